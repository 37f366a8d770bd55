/**
 * The only way out of the gateway. A name is resolved once and the connection is made to the addresses that were
 * checked; redirects are answers like any other; every phase has a deadline and every answer a bound.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket, TcpNetConnectOpts } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Pool } from 'undici'
import type { buildConnector } from 'undici'
import type { Clock } from '../core/clock.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InboundResponse, OutboundRequest } from '../core/model.ts'
import { isPublic, parseAllowList } from './address.ts'
import type { AllowList } from './address.ts'
import { Exchange } from './exchange.ts'
import type { SendOptions } from './exchange.ts'
import { connectFailure } from './failure.ts'
import { buildCall } from './request.ts'
import { type Opened, type OpenOptions, StreamExchange } from './stream.ts'

export type { SendOptions } from './exchange.ts'
export type { Opened, OpenOptions } from './stream.ts'

/** The connections to one origin. */
export interface Channel {
  /**
   * Sends one request and gives its answer, decoded and bounded; any status is an answer. Throws `internal` for a URL
   * of another origin, `request_unbuildable`, `overloaded`, `cancelled`, `egress_refused` and the `target_…` errors.
   */
  send(request: OutboundRequest, options: SendOptions): Promise<InboundResponse>
  /**
   * Sends one request and gives its answer as it comes, never repeated and in no content encoding. Streams have
   * connections of their own, so that those which stay open leave the others free. Throws what `send` throws.
   */
  open(request: OutboundRequest, options: OpenOptions): Promise<Opened>
  /** Ends after what is in flight, streams at the latest after `limits.drainMs`; later requests give `draining`. */
  close(): Promise<void>
}

export interface Egress {
  /** A URL that may be called, parsed. Throws `egress_refused` with the reason; names are judged again when resolved. */
  check(url: string): URL
  /** The channel to an origin (`scheme://host[:port]`); the same one until it is closed. Throws `egress_refused`. */
  channel(origin: string): Channel
  /** Closes every channel. */
  close(): Promise<void>
}

interface ResolvedAddress {
  readonly address: string
  readonly family: 4 | 6
}

type Lookup = (host: string) => Promise<readonly ResolvedAddress[]>

export interface EgressOptions {
  /** `egress.allow` of the configuration, see `parseAllowList`. */
  readonly allow: readonly string[]
  readonly clock: Clock
  /** All addresses of a host name; the system’s resolver unless given. */
  readonly lookup?: Lookup
}

/** Where connections of a channel go. */
interface Place {
  readonly origin: string
  readonly secure: boolean
  /** A name without its final dot, or an address without brackets. */
  readonly host: string
  /** 4 or 6 when the host is an address, 0 when it is a name. */
  readonly literal: number
  readonly port: number
}

const resolveBySystem: Lookup = async (host) => {
  const found = await systemLookup(host, { all: true, order: 'verbatim' })
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))
}

const refused = (words: string): GatewayError => new GatewayError('egress_refused', { words })

const readUrl = (text: string): URL => {
  const url = URL.parse(text)
  if (url === null) throw refused('The URL cannot be read.')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused('Only https and http URLs can be called.')
  if (url.username !== '' || url.password !== '')
    throw refused('A URL with a user name or password in it is not called.')
  return url
}

const placeOf = (url: URL): Place => {
  const secure = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$|\.$/g, '')
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  return { origin: url.origin, secure, host, literal: isIP(host), port }
}

/** The rule for every connection: https to public addresses, anything else to what the operator lists. */
const admits = (allow: AllowList, place: Place, address: string): boolean =>
  (place.secure && isPublic(address)) || allow.allows(place.host, address, place.port)

/** A host that is an address is never resolved, so it is judged as it stands. */
const requireLiteral = (allow: AllowList, place: Place): void => {
  if (place.literal === 0 || admits(allow, place, place.host)) return
  throw refused(
    isPublic(place.host)
      ? 'Plain http goes only to hosts that the operator lists in egress.allow.'
      : 'The URL names an address that is not public. The operator can list it in egress.allow.',
  )
}

/** Opens a socket to addresses that were judged; the name only goes into the TLS handshake. */
const dial = (place: Place, addresses: readonly ResolvedAddress[]): Socket => {
  const options: TcpNetConnectOpts = {
    host: place.host,
    port: place.port,
    lookup: (_host, _options, done) => done(null, [...addresses]),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: limits.addressAttemptMs,
    noDelay: true,
    keepAlive: true,
  }
  if (!place.secure) return connectTcp(options)
  return connectTls({
    ...options,
    // RFC 6066 §3: an address is no server name; the certificate is then checked against `host`
    ...(place.literal === 0 ? { servername: place.host } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    // said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED cannot take it away
    rejectUnauthorized: true,
  })
}

/** undici’s connector: judges, then connects, within one deadline for name, TCP and TLS. */
const connectorTo = (place: Place, allow: AllowList, clock: Clock, lookup: Lookup): buildConnector.connector => {
  /** Connections opened at the same time share one look-up; none outlives it. */
  let lookingUp: Promise<readonly ResolvedAddress[]> | undefined

  const addressesOf = async (): Promise<readonly ResolvedAddress[]> => {
    if (place.literal !== 0) return [{ address: place.host, family: place.literal === 6 ? 6 : 4 }]
    lookingUp ??= lookup(place.host).finally(() => {
      lookingUp = undefined
    })
    try {
      return await lookingUp
    } catch (error) {
      throw new GatewayError('target_unresolved', { cause: error })
    }
  }

  const judgedAddresses = async (): Promise<readonly ResolvedAddress[]> => {
    const addresses = await addressesOf()
    if (addresses.length === 0) throw new GatewayError('target_unresolved')
    // one bad address refuses the name: which of them would be used is not the name’s owner’s to steer
    const bad = addresses.find(({ address }) => !admits(allow, place, address))
    if (bad !== undefined) {
      throw new GatewayError('egress_refused', { cause: new Error(`${place.host} resolved to ${bad.address}`) })
    }
    return addresses.slice(0, limits.addressesTried)
  }

  return (_options, callback) => {
    let done = false
    let socket: Socket | undefined
    const fail = (error: GatewayError): void => {
      if (done) return
      done = true
      stopTimer()
      socket?.destroy()
      callback(error, null)
    }
    const stopTimer = clock.after(limits.connectMs, () =>
      fail(new GatewayError('target_unreachable', { words: 'No connection to the target came about in time.' })),
    )
    const proceed = (addresses: readonly ResolvedAddress[]): void => {
      if (done) return
      const opened = dial(place, addresses)
      socket = opened
      opened.on('error', (error) => fail(connectFailure(error, place.secure)))
      opened.once(place.secure ? 'secureConnect' : 'connect', () => {
        if (done) return
        done = true
        stopTimer()
        callback(null, opened)
      })
    }
    judgedAddresses().then(proceed, (error) => fail(toGatewayError(error)))
  }
}

const createChannel = (place: Place, connect: buildConnector.connector, clock: Clock, onClose: () => void): Channel => {
  const poolOf = (connections: number): Pool =>
    new Pool(place.origin, {
      connect,
      connections,
      pipelining: 1,
      allowH2: false,
      maxHeaderSize: limits.responseHeaderBytes,
      keepAliveTimeout: limits.targetKeepAliveMs,
      keepAliveMaxTimeout: limits.targetKeepAliveMsMax,
      // the exchange has its own deadlines, on the gateway’s clock
      headersTimeout: 0,
      bodyTimeout: 0,
    })
  const pool = poolOf(limits.connectionsPerTarget)
  /** Made for the first of them: most targets have none. */
  let streams: Pool | undefined
  let streaming = 0
  const heldMax = limits.connectionsPerTarget + limits.waitingPerTarget
  /** Requests the pool holds: on a connection or waiting for one, wanted still or not. */
  let held = 0
  let closing: Promise<void> | undefined
  return {
    send: (request, options) =>
      new Promise((resolve, reject) => {
        const call = buildCall(place.origin, request)
        if (options.signal?.aborted === true) throw new GatewayError('cancelled')
        if (held >= heldMax) throw new GatewayError('overloaded')
        held += 1
        const exchange = new Exchange(options, call.body?.length ?? 0, clock, {
          resolve,
          reject,
          repeat: () => pool.dispatch(call, exchange),
          release: () => {
            held -= 1
          },
        })
        pool.dispatch(call, exchange)
      }),
    open: (request, options) =>
      new Promise((resolve, reject) => {
        const headers = new Map([...request.headers, ['accept-encoding', 'identity']])
        const call = buildCall(place.origin, { ...request, headers })
        if (options.signal?.aborted === true) throw new GatewayError('cancelled')
        if (closing !== undefined) throw new GatewayError('draining')
        if (streaming >= limits.streamsPerTarget) throw new GatewayError('overloaded')
        streaming += 1
        const release = (): void => {
          streaming -= 1
        }
        streams ??= poolOf(limits.streamsPerTarget)
        streams.dispatch(call, new StreamExchange(options, clock, { resolve, reject, release }))
      }),
    close() {
      onClose()
      closing ??= Promise.all([pool.close(), endStreams(streams, clock)]).then(() => undefined)
      return closing
    },
  }
}

/** Nothing says when a stream is over, so it is not waited for without end. */
const endStreams = async (streams: Pool | undefined, clock: Clock): Promise<void> => {
  if (streams === undefined) return
  const stopTimer = clock.after(limits.drainMs, () => void streams.destroy(new GatewayError('draining')))
  await streams.close()
  stopTimer()
}

/** Throws `bad_config` when an entry of `allow` is wrong. */
export const createEgress = ({ allow, clock, lookup = resolveBySystem }: EgressOptions): Egress => {
  const allowList = parseAllowList(allow)
  const channels = new Map<string, Channel>()

  const openChannel = (origin: string): Channel => {
    const url = readUrl(origin)
    if (url.origin !== origin) throw new GatewayError('internal', { cause: new Error('a channel needs an origin') })
    const place = placeOf(url)
    // a name in plain http is judged by its addresses when it connects
    requireLiteral(allowList, place)
    const connect = connectorTo(place, allowList, clock, lookup)
    return createChannel(place, connect, clock, () => channels.delete(origin))
  }

  return {
    check(text) {
      const url = readUrl(text)
      const place = placeOf(url)
      requireLiteral(allowList, place)
      if (!place.secure && place.literal === 0 && !allowList.allowsName(place.host, place.port)) {
        throw refused('Plain http goes only to hosts that the operator lists in egress.allow.')
      }
      return url
    },
    channel(origin) {
      let channel = channels.get(origin)
      if (channel === undefined) {
        channel = openChannel(origin)
        channels.set(origin, channel)
      }
      return channel
    },
    async close() {
      await Promise.all([...channels.values()].map((channel) => channel.close()))
    },
  }
}
