/** Where a connection goes and with whom it is made (rows D23 and D24 of the threat model), on real sockets. */
import { createSecureContext, getCACertificates, setDefaultCACertificates } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { limits } from '../../../src/core/limits.ts'
import { createEgress } from '../../../src/egress/fetch.ts'
import {
  answer,
  channelTo,
  failureOf,
  get,
  handClock,
  options,
  outcomeOf,
  rawTarget,
  tlsFixture,
  tlsTarget,
} from './support.ts'
import type { FakeTarget } from './support.ts'

const opened: FakeTarget[] = []

const target = async (...args: Parameters<typeof rawTarget>): Promise<FakeTarget> => {
  const made = await rawTarget(...args)
  opened.push(made)
  return made
}

const secureTarget = async (...args: Parameters<typeof tlsTarget>): Promise<FakeTarget> => {
  const made = await tlsTarget(...args)
  opened.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((made) => made.close()))
})

describe('D23: names that lead astray', () => {
  const resolved = (...addresses: readonly string[]) =>
    addresses.map((address) => ({ address, family: address.includes(':') ? (6 as const) : (4 as const) }))

  const sendTo = async (
    scheme: string,
    allow: readonly string[],
    addresses: readonly string[],
  ): Promise<{ outcome: string; connections: number }> => {
    const listener = await target((socket) => void socket.write(answer('reached')))
    const origin = `${scheme}://target.test:${listener.port}`
    const lookup = async () => resolved(...addresses)
    const channel = channelTo({ origin }, { allow, lookup })
    const outcome = await outcomeOf(channel.send(get(`${origin}/`), options({ repeatable: true })))
    return { outcome, connections: listener.connections() }
  }

  const hundred = Array.from({ length: 99 }, (_, n) => `93.184.216.${n}`)

  it.each([
    ['loopback', ['127.0.0.1']],
    ['public, then private', ['93.184.216.34', '127.0.0.1']],
    ['private, then public', ['127.0.0.1', '93.184.216.34']],
    ['a hundred, the last of them private', [...hundred, '127.0.0.1']],
    ['IPv6 loopback', ['2606:4700:4700::1111', '::1']],
    ['IPv4 in IPv6', ['::ffff:127.0.0.1']],
    ['NAT64', ['64:ff9b::7f00:1']],
    ['this host', ['0.0.0.0']],
    ['something that is no address', ['127.1']],
  ])('https to a name that resolves to %s is refused without a connection', async (_what, addresses) => {
    expect(await sendTo('https', [], addresses)).toEqual({ outcome: 'egress_refused', connections: 0 })
  })

  it.each([
    ['a public address', [], ['93.184.216.34']],
    ['one listed and one public address', ['127.0.0.1'], ['127.0.0.1', '93.184.216.34']],
    ['one listed and one unlisted address', ['127.0.0.1'], ['127.0.0.1', '127.0.0.2']],
    ['an address listed for another port', ['127.0.0.1:1'], ['127.0.0.1']],
  ])(
    'http to an unlisted name that resolves to %s is refused without a connection',
    async (_what, allow, addresses) => {
      expect(await sendTo('http', allow, addresses)).toEqual({ outcome: 'egress_refused', connections: 0 })
    },
  )

  it.each([
    ['the name is listed', ['target.test'], ['127.0.0.1']],
    ['each address is listed', ['127.0.0.0/8'], ['127.0.0.1', '127.0.0.2']],
    ['it has a hundred listed addresses', ['127.0.0.0/8'], Array.from({ length: 100 }, (_, n) => `127.0.1.${n}`)],
  ])('http to a name is let through when %s, on one connection', async (_what, allow, addresses) => {
    expect(await sendTo('http', allow, addresses)).toEqual({ outcome: '200 reached', connections: 1 })
  })

  it('the connection goes to the address that was judged, whatever the name means to the system', async () => {
    const listener = await target((socket) => void socket.write(answer('reached')))
    const origin = `http://localhost:${listener.port}`
    const channel = channelTo({ origin }, { allow: ['127.0.0.7'], lookup: async () => resolved('127.0.0.7') })
    expect(await outcomeOf(channel.send(get(`${origin}/`), options()))).toBe('200 reached')
    expect(listener.sockets.map((socket) => socket.localAddress)).toEqual(['127.0.0.7'])
  })

  it('tries the next address when one does not answer', async () => {
    const listener = await rawTarget((socket) => void socket.write(answer('reached')))
    opened.push(listener)
    const origin = `http://target.test:${listener.port}`
    const lookup = async () => resolved('::1', '127.0.0.1')
    const channel = channelTo({ origin }, { allow: ['target.test'], lookup })
    expect(await outcomeOf(channel.send(get(`${origin}/`), options()))).toBe('200 reached')
  })

  it('a name that turns private after the first call is judged again at the next connection', async () => {
    const listener = await target((socket) => void socket.end(answer('reached', ['connection: close'])))
    const origin = `http://target.test:${listener.port}`
    let lookups = 0
    const lookup = async () => resolved(lookups++ === 0 ? '127.0.0.1' : '127.0.0.2')
    const channel = channelTo({ origin }, { allow: ['127.0.0.1'], lookup })
    expect(await outcomeOf(channel.send(get(`${origin}/`), options()))).toBe('200 reached')
    expect(await outcomeOf(channel.send(get(`${origin}/`), options()))).toBe('egress_refused')
    expect([listener.connections(), lookups]).toEqual([1, 2])
  })

  it('is resolved once for a connection, and never again while it is kept', async () => {
    const listener = await target((socket) => void socket.write(answer('reached')))
    const origin = `http://target.test:${listener.port}`
    const lookup = vi.fn(async () => resolved('127.0.0.1'))
    const channel = channelTo({ origin }, { allow: ['target.test'], lookup })
    const sends = Array.from({ length: 20 }, () => outcomeOf(channel.send(get(`${origin}/`), options())))
    expect(new Set(await Promise.all(sends))).toEqual(new Set(['200 reached']))
    expect(lookup).toHaveBeenCalledTimes(1)
    await new Promise(setImmediate)
    await channel.send(get(`${origin}/`), options())
    expect(lookup).toHaveBeenCalledTimes(1)
  })

  it('an address in the URL is never resolved', async () => {
    const listener = await target((socket) => void socket.write(answer('reached')))
    const lookup = vi.fn(async () => resolved('93.184.216.34'))
    const channel = channelTo(listener, { lookup })
    expect(await outcomeOf(channel.send(get(`${listener.origin}/`), options()))).toBe('200 reached')
    expect(lookup).not.toHaveBeenCalled()
  })

  it.each([
    ['does not exist', () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))],
    ['has no address', () => Promise.resolve([])],
  ])('a name that %s is unresolved, and the error does not say it', async (_what, lookup) => {
    const channel = channelTo({ origin: 'https://target.test' }, { lookup })
    const error = await failureOf(channel.send(get('https://target.test/'), options({ repeatable: true })))
    expect(error.code).toBe('target_unresolved')
    expect(error.message).not.toContain('target.test')
  })

  it('a resolver that never answers meets the deadline for connecting', async () => {
    const clock = handClock()
    const channel = channelTo({ origin: 'https://target.test' }, { clock, lookup: () => new Promise(() => undefined) })
    const sending = failureOf(channel.send(get('https://target.test/'), options({ timeoutMs: 60_000 })))
    clock.advance(limits.connectMs)
    expect((await sending).code).toBe('target_unreachable')
  })

  it('the refusal says how to allow it, and keeps the address for the log', async () => {
    const lookup = async () => resolved('10.1.2.3')
    const channel = channelTo({ origin: 'https://target.test' }, { allow: [], lookup })
    const error = await failureOf(channel.send(get('https://target.test/'), options()))
    expect(error.message).toContain('egress.allow')
    expect(error.message).not.toMatch(/10\.1|target\.test/)
    expect(String(error.cause)).toContain('10.1.2.3')
  })
})

describe('D24: TLS', () => {
  const trusted = getCACertificates('default')

  beforeAll(() => setDefaultCACertificates([...trusted, tlsFixture('ca.pem')]))
  afterAll(() => setDefaultCACertificates(trusted))

  const key = tlsFixture('leaf.key')
  const certificate = (name: string) => ({ key, cert: tlsFixture(`${name}.pem`) })

  const sendByName = async (server: FakeTarget) => {
    const origin = `https://target.test:${server.port}`
    const lookup = async () => [{ address: '127.0.0.1', family: 4 as const }]
    return createEgress({ allow: ['127.0.0.1'], clock: systemClock, lookup })
      .channel(origin)
      .send(get(`${origin}/`), options({ repeatable: true }))
  }

  it('a good certificate is taken, for a name and for an address', async () => {
    const server = await secureTarget(certificate('good'), (socket) => void socket.write(answer('ok')))
    expect(await outcomeOf(sendByName(server))).toBe('200 ok')
    expect(await outcomeOf(channelTo(server).send(get(`${server.origin}/`), options()))).toBe('200 ok')
    expect(server.requests[0]).toContain(`host: target.test:${server.port}`)
  })

  it('the handshake names the host, and speaks HTTP/1.1 only', async () => {
    const seen: unknown[] = []
    const server = await secureTarget(
      {
        ...certificate('good'),
        ALPNCallback: ({ servername, protocols }) => {
          seen.push(servername, protocols)
          return 'http/1.1'
        },
      },
      (socket) => void socket.write(answer('ok')),
    )
    expect(await outcomeOf(sendByName(server))).toBe('200 ok')
    expect(seen).toEqual(['target.test', ['http/1.1']])
  })

  it.each([
    ['expired', 'it has expired'],
    ['wrong-name', 'wrong name'],
    ['self-signed', 'self-signed'],
  ])('a certificate that is %s is refused by that word, and nothing is sent', async (name, word) => {
    const server = await secureTarget(certificate(name), (socket) => void socket.write(answer('stolen')))
    const error = await failureOf(sendByName(server))
    expect(error.code).toBe('target_tls')
    expect(error.message).toContain(word)
    expect(error.message).not.toMatch(/target\.test|other\.test|127/)
    expect([server.connections(), server.requests.length]).toEqual([1, 0])
  })

  it('a certificate is checked whatever NODE_TLS_REJECT_UNAUTHORIZED says', async () => {
    vi.spyOn(process, 'emitWarning').mockReturnValue(undefined)
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    const server = await secureTarget(certificate('self-signed'), (socket) => void socket.write(answer('stolen')))
    expect(await outcomeOf(sendByName(server))).toBe('target_tls')
    vi.unstubAllEnvs()
    vi.restoreAllMocks()
  })

  it('TLS 1.1 is refused by that word', async () => {
    const old = {
      ...certificate('good'),
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL:@SECLEVEL=0',
    } as const
    expect(() => createSecureContext(old)).not.toThrow()
    const server = await secureTarget(old, (socket) => void socket.write(answer('stolen')))
    const error = await failureOf(sendByName(server))
    expect([error.code, error.message]).toEqual(['target_tls', 'The target speaks no TLS version from 1.2 on.'])
    expect(server.requests.length).toBe(0)
  })

  it('a server that speaks plain HTTP where TLS is due is refused as TLS', async () => {
    const server = await target(() => undefined)
    const origin = `https://127.0.0.1:${server.port}`
    const sending = failureOf(channelTo({ origin }).send(get(`${origin}/`), options()))
    await vi.waitFor(() => expect(server.sockets.length).toBe(1))
    server.sockets[0]?.write(answer('plain'))
    expect((await sending).code).toBe('target_tls')
  })
})
