/** Targets of every temper on real sockets, a clock that is turned by hand, and errors as values. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import type { Clock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import type { InboundResponse, OutboundRequest } from '../../../src/core/model.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createEgress } from '../../../src/egress/fetch.ts'
import type { Channel, EgressOptions, SendOptions } from '../../../src/egress/fetch.ts'

export interface FakeTarget {
  readonly port: number
  readonly origin: string
  /** Connections that were accepted so far. */
  readonly connections: () => number
  /** Requests that arrived complete with their headers. */
  readonly requests: string[]
  readonly sockets: Socket[]
  close(): Promise<void>
}

type Behaviour = (socket: Socket, request: string, count: number) => void

/** On every IPv4 address, so that a connection to the wrong one of 127.0.0.0/8 is seen too. */
const listen = (server: Server): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '0.0.0.0', () => resolve((server.address() as AddressInfo).port))
  })

const serve = async (server: Server, event: string, scheme: string, behave: Behaviour): Promise<FakeTarget> => {
  const sockets: Socket[] = []
  const requests: string[] = []
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  server.on('tlsClientError', () => undefined)
  server.on(event, (socket: Socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    let text = ''
    socket.on('data', (data) => {
      text += data.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      requests.push(text)
      const request = text
      text = ''
      behave(socket, request, requests.length)
    })
  })
  const port = await listen(server)
  return {
    port,
    origin: `${scheme}://127.0.0.1:${port}`,
    connections: () => connections,
    requests,
    sockets,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

/** A plain TCP server that is handed every request head and does with the socket what it likes. */
export const rawTarget = (behave: Behaviour): Promise<FakeTarget> => serve(createServer(), 'connection', 'http', behave)

export const tlsTarget = (options: TlsOptions, behave: Behaviour): Promise<FakeTarget> =>
  serve(createTlsServer(options), 'secureConnection', 'https', behave)

/** Certificates for `target.test` and 127.0.0.1, made once with openssl; `ca.pem` signed all but `self-signed.pem`. */
export const tlsFixture = (name: string): string =>
  readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), 'utf8')

/** An answer in bytes, its `content-length` right unless given. */
export const answer = (body: string | Buffer, headers: readonly string[] = [], status = '200 OK'): Buffer => {
  const bytes = Buffer.from(body)
  const lines = [`HTTP/1.1 ${status}`, ...headers]
  if (!headers.some((line) => /^(content-length|transfer-encoding):/i.test(line))) {
    lines.push(`content-length: ${bytes.length}`)
  }
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), bytes])
}

export interface HandClock extends Clock {
  advance(ms: number): void
  readonly waiting: () => number
}

/** Stands still until it is advanced; what falls due then runs in order. */
export const handClock = (): HandClock => {
  let time = 1_000
  const timers = new Set<{ at: number; act: () => void }>()
  const after = (ms: number, act: () => void): (() => void) => {
    const timer = { at: time + ms, act }
    timers.add(timer)
    return () => timers.delete(timer)
  }
  return {
    now: () => time,
    monotonic: () => time,
    after,
    every: () => () => undefined,
    waiting: () => timers.size,
    advance(ms) {
      const end = time + ms
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)[0]
        if (next === undefined) break
        timers.delete(next)
        time = Math.max(time, next.at)
        next.act()
      }
      time = end
    },
  }
}

/** The way out to a target on this machine. */
export const channelTo = (target: { readonly origin: string }, options: Partial<EgressOptions> = {}): Channel =>
  createEgress({ allow: ['127.0.0.1'], clock: systemClock, ...options }).channel(target.origin)

export const get = (url: string, headers: Record<string, string> = {}): OutboundRequest => ({
  method: 'GET',
  url,
  headers: new Map(Object.entries(headers)),
})

export const options = (changes: Partial<SendOptions> = {}): SendOptions => ({
  timeoutMs: 20_000,
  bodyBytes: 1024 * 1024,
  repeatable: false,
  ...changes,
})

/** The error of the table that a promise ends in. */
export const failureOf = async (promise: Promise<unknown>): Promise<GatewayError> => {
  try {
    await promise
  } catch (error) {
    if (error instanceof GatewayError) return error
    throw error
  }
  throw new Error('it did not fail')
}

/** The code a promise ends in, or the answer’s status and body. */
export const outcomeOf = async (promise: Promise<InboundResponse>): Promise<string> => {
  try {
    const response = await promise
    return `${response.status} ${response.body.toString('latin1')}`
  } catch (error) {
    return error instanceof GatewayError ? error.code : String(error)
  }
}

/** Resolves when the socket is closed at this end too. */
export const closed = (socket: Socket | undefined): Promise<void> =>
  new Promise((resolve) => {
    if (socket === undefined || socket.closed) resolve()
    else socket.once('close', () => resolve())
  })
