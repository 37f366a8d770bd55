/** The way out against real servers: what is sent, what comes back, what is kept open. */
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { createEgress } from '../../../src/egress/fetch.ts'
import { answer, channelTo, closed, failureOf, get, handClock, options, outcomeOf, rawTarget } from './support.ts'
import type { FakeTarget } from './support.ts'

const opened: FakeTarget[] = []

const target = async (...args: Parameters<typeof rawTarget>): Promise<FakeTarget> => {
  const made = await rawTarget(...args)
  opened.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((made) => made.close()))
})

describe('check', () => {
  const egress = createEgress({
    allow: ['127.0.0.1:8080', '10.0.0.0/8', '[::1]:9000', 'billing.internal', 'search.internal:9200'],
    clock: systemClock,
  })

  it.each([
    'https://api.example.com/v1?x=1',
    'https://93.184.216.34/',
    'https://[2606:4700:4700::1111]/',
    'https://anything.internal/',
    'https://10.1.2.3/',
    'http://10.1.2.3:81/',
    'http://127.0.0.1:8080/',
    'http://2130706433:8080/',
    'http://[::1]:9000/',
    'http://billing.internal/',
    'http://billing.internal.:8080/',
    'http://SEARCH.internal:9200/',
  ])('lets %s pass', (url) => {
    expect(egress.check(url).href).toBe(new URL(url).href)
  })

  it.each([
    ['not a URL', 'api.example.com'],
    ['nothing', ''],
    ['no host', 'https://'],
    ['no host', 'file:///etc/passwd'],
    ['another scheme', 'gopher://api.example.com/'],
    ['another scheme', 'javascript:alert(1)'],
    ['another scheme', 'ftp://api.example.com/'],
    ['another scheme', 'ws://api.example.com/'],
    ['another scheme', 'data:text/plain,x'],
    ['a relative reference', '//evil.example/'],
    ['a relative reference', '\\\\evil.example\\'],
    ['a user name', 'https://user@api.example.com/'],
    ['a password', 'https://:secret-canary@api.example.com/'],
    ['a look-alike of a listed host', 'https://billing.internal@evil.example/'],
    ['plain http to a name', 'http://api.example.com/'],
    ['plain http to a name that looks local', 'http://localhost.evil.test/'],
    ['plain http to a listed name on another port', 'http://search.internal/'],
    ['plain http to a name below a listed one', 'http://x.billing.internal/'],
    ['plain http to a public address', 'http://93.184.216.34/'],
    ['loopback on another port', 'http://127.0.0.1:8081/'],
    ['loopback', 'https://127.0.0.1/'],
    ['loopback as one number', 'https://2130706433/'],
    ['loopback in hexadecimal', 'https://0x7f.1/'],
    ['loopback in hexadecimal', 'https://0x7f000001/'],
    ['loopback in octal', 'https://0177.0.0.1/'],
    ['loopback in short', 'https://127.1/'],
    ['loopback with a final dot', 'https://127.0.0.1./'],
    ['loopback in circled digits', 'https://①②⑦.⓪.⓪.①/'],
    ['loopback in full-width digits', 'https://１２７.０.０.１/'],
    ['loopback percent-encoded', 'https://%31%32%37.0.0.1/'],
    ['metadata with ideographic full stops', 'https://169。254。169。254/'],
    ['this host', 'https://0/'],
    ['this host', 'https://0.0.0.0/'],
    ['metadata', 'https://169.254.169.254/latest/meta-data/'],
    ['IPv6 loopback', 'https://[::1]/'],
    ['IPv4 in IPv6', 'https://[::ffff:127.0.0.1]/'],
    ['IPv4 in IPv6', 'https://[::ffff:a9fe:a9fe]/'],
    ['IPv4 in IPv6', 'https://[::127.0.0.1]/'],
    ['NAT64', 'https://[64:ff9b::a9fe:a9fe]/'],
    ['6to4', 'https://[2002:7f00:1::]/'],
    ['unique local', 'https://[fd00:ec2::254]/'],
    ['link-local with a zone', 'https://[fe80::1%25eth0]/'],
  ])('refuses %s: %s', (_what, url) => {
    expect(() => egress.check(url)).toThrow(expect.objectContaining({ code: 'egress_refused' }))
    expect(() => egress.check(url)).not.toThrow(/secret-canary|example|internal|\d/)
  })

  it.each(['https://127.0.0.1', 'http://10.0.0.1.evil@10.0.0.1', 'https://169.254.169.254', 'ftp://a.test', 'x'])(
    'opens no channel to %s either',
    (origin) => {
      expect(() => egress.channel(origin)).toThrow(expect.objectContaining({ code: 'egress_refused' }))
    },
  )

  it.each(['https://a.test/', 'https://a.test/x', 'https://a.test:443', 'HTTPS://a.test'])(
    'takes %s for a fault of the gateway, since it is not an origin as URLs print it',
    (origin) => {
      expect(() => egress.channel(origin)).toThrow(expect.objectContaining({ code: 'internal' }))
    },
  )

  it('keeps one channel for an origin until it is closed', async () => {
    const channel = egress.channel('https://api.example.com')
    expect(egress.channel('https://api.example.com')).toBe(channel)
    await channel.close()
    await channel.close()
    expect(egress.channel('https://api.example.com')).not.toBe(channel)
  })

  it('refuses a wrong allow list at once', () => {
    expect(() => createEgress({ allow: ['*'], clock: systemClock })).toThrow(
      expect.objectContaining({ code: 'bad_config' }),
    )
  })
})

describe('send', () => {
  it('sends method, path, header fields and body as they are', async () => {
    const api = await target((socket) => socket.write(answer('ok')))
    const body = '{"name":"é"}'
    const headers = new Map([
      ['Content-Type', 'application/json'],
      ['X-Api-Key', 'k'],
    ])
    await channelTo(api).send({ method: 'POST', url: `${api.origin}/v1/pets?x=%20`, headers, body }, options())
    const [head, sentBody] = (api.requests[0] ?? '').split('\r\n\r\n')
    expect(head?.split('\r\n')).toEqual([
      'POST /v1/pets?x=%20 HTTP/1.1',
      `host: 127.0.0.1:${api.port}`,
      'connection: keep-alive',
      'Content-Type: application/json',
      'X-Api-Key: k',
      'accept-encoding: gzip, br',
      'content-length: 13',
    ])
    expect(Buffer.from(sentBody ?? '', 'latin1').toString()).toBe(body)
  })

  it('gives names in lower case, repeated fields joined, no cookies, and strangers’ names as data', async () => {
    const api = await target((socket) =>
      socket.write(
        answer('ok', ['X-A: 1', 'x-a: 2', 'Set-Cookie: a=1', 'set-cookie: b=2', '__proto__: p', 'constructor: c']),
      ),
    )
    const response = await channelTo(api).send(get(`${api.origin}/`), options())
    expect([...response.headers]).toEqual([
      ['x-a', '1, 2'],
      ['__proto__', 'p'],
      ['constructor', 'c'],
      ['content-length', '2'],
    ])
    expect(response).toMatchObject({ status: 200, cut: false })
  })

  it('decodes a body and drops the fields that described its coding', async () => {
    const api = await target((socket) => socket.write(answer(gzipSync('plain'), ['content-encoding: gzip', 'x-a: 1'])))
    const response = await channelTo(api).send(get(`${api.origin}/`), options())
    expect(response.body.toString()).toBe('plain')
    expect([...response.headers]).toEqual([['x-a', '1']])
  })

  it('takes an answer without a body as it is, whatever coding it names', async () => {
    const api = await target((socket) => socket.write(answer('', ['content-encoding: gzip'])))
    const channel = channelTo(api)
    expect(await outcomeOf(channel.send(get(`${api.origin}/`), options()))).toBe('200 ')
    const head = { ...get(`${api.origin}/`), method: 'HEAD' }
    expect(await outcomeOf(channel.send(head, options()))).toBe('200 ')
  })

  it('tells how far it is', async () => {
    const api = await target((socket) => {
      socket.write(answer('0123456789', ['content-length: 10']).subarray(0, -5))
      setImmediate(() => socket.write('56789'))
    })
    const seen: (string | number)[] = []
    const onProgress = (phase: string, bytes: number): number => seen.push(phase, bytes)
    const request = { method: 'POST', url: `${api.origin}/`, headers: new Map(), body: 'abc' }
    await channelTo(api).send(request, options({ onProgress: (phase, bytes) => void onProgress(phase, bytes) }))
    expect(seen.slice(0, 4)).toEqual(['sent', 3, 'headers', 0])
    expect(seen.slice(-2)).toEqual(['body', 10])
  })

  it('uses a connection again and leaves no timer or listener behind', async () => {
    const api = await target((socket) => socket.write(answer('ok')))
    const clock = handClock()
    const channel = channelTo(api, { clock })
    const { signal } = new AbortController()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    for (let n = 0; n < 5; n += 1) await channel.send(get(`${api.origin}/`), options({ signal }))
    // two at most: a socket is free again one turn of the event loop after its answer
    expect(api.connections()).toBeLessThanOrEqual(2)
    expect(clock.waiting()).toBe(0)
    expect(added.mock.calls.length).toBe(5)
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(added.mock.calls.map(([, listener]) => listener))
  })

  it('answers each of many at once with its own', async () => {
    const api = await target((socket, request) => socket.write(answer(/\/(\d+) /.exec(request)?.[1] ?? '')))
    const channel = channelTo(api)
    const numbers = Array.from({ length: 300 }, (_, n) => n)
    const bodies = await Promise.all(
      numbers.map(async (n) => (await channel.send(get(`${api.origin}/${n}`), options())).body.toString()),
    )
    expect(bodies).toEqual(numbers.map(String))
    expect(api.connections()).toBeLessThanOrEqual(limits.connectionsPerTarget)
  })

  it('gives draining once the channel is closed, and closes after what is in flight', async () => {
    let release = (): void => undefined
    const api = await target((socket) => {
      release = () => void socket.write(answer('late'))
    })
    const channel = channelTo(api)
    const inFlight = outcomeOf(channel.send(get(`${api.origin}/`), options()))
    await vi.waitFor(() => expect(api.requests.length).toBe(1))
    const closing = channel.close()
    expect(await outcomeOf(channel.send(get(`${api.origin}/`), options()))).toBe('draining')
    release()
    expect(await inFlight).toBe('200 late')
    await closing
  })

  it('refuses what cannot be built before anything is connected', async () => {
    const api = await target((socket) => socket.write(answer('ok')))
    const channel = channelTo(api)
    expect((await failureOf(channel.send(get(`${api.origin}/`, { 'x-a': 'a\r\nb' }), options()))).code).toBe(
      'request_unbuildable',
    )
    expect((await failureOf(channel.send(get('http://127.0.0.1:1/'), options()))).code).toBe('internal')
    const wrongLength = {
      method: 'POST',
      url: `${api.origin}/`,
      headers: new Map([['content-length', '9']]),
      body: 'a',
    }
    expect((await failureOf(channel.send(wrongLength, options()))).code).toBe('request_unbuildable')
    expect(api.requests.length).toBe(0)
  })
})

describe('cancelling', () => {
  it('closes the target’s socket at once', async () => {
    const api = await target(() => undefined)
    const abort = new AbortController()
    const sending = failureOf(channelTo(api).send(get(`${api.origin}/`), options({ signal: abort.signal })))
    await vi.waitFor(() => expect(api.requests.length).toBe(1))
    abort.abort()
    expect((await sending).code).toBe('cancelled')
    await closed(api.sockets[0])
  })

  it('closes it in the middle of an answer too', async () => {
    const api = await target((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01'))
    const abort = new AbortController()
    const onProgress = (phase: string): void => void (phase === 'body' && abort.abort())
    const sending = channelTo(api).send(get(`${api.origin}/`), options({ signal: abort.signal, onProgress }))
    expect((await failureOf(sending)).code).toBe('cancelled')
    await closed(api.sockets[0])
  })

  it('sends nothing when it was cancelled before, or while it waited for a name', async () => {
    const api = await target((socket) => socket.write(answer('ok')))
    const found = Promise.withResolvers<void>()
    const lookup = async (): Promise<{ address: string; family: 4 }[]> => {
      await found.promise
      return [{ address: '127.0.0.1', family: 4 }]
    }
    const origin = `http://target.test:${api.port}`
    const channel = channelTo({ origin }, { allow: ['target.test'], lookup })
    expect(await outcomeOf(channel.send(get(`${origin}/`), options({ signal: AbortSignal.abort() })))).toBe('cancelled')
    const abort = new AbortController()
    const sending = outcomeOf(channel.send(get(`${origin}/first`), options({ signal: abort.signal })))
    abort.abort()
    expect(await sending).toBe('cancelled')
    found.resolve()
    expect(await outcomeOf(channel.send(get(`${origin}/second`), options()))).toBe('200 ok')
    expect(api.requests.map((request) => request.split(' ')[1])).toEqual(['/second'])
  })
})

describe('bounds', () => {
  it('refuses more than the connections and the waiting room hold, and recovers', async () => {
    let hang = true
    const api = await target((socket) => void (hang || socket.write(answer('ok'))))
    const channel = channelTo(api)
    const abort = new AbortController()
    const heldMax = limits.connectionsPerTarget + limits.waitingPerTarget
    const held = Array.from({ length: heldMax }, () =>
      outcomeOf(channel.send(get(`${api.origin}/`), options({ signal: abort.signal }))),
    )
    expect(await outcomeOf(channel.send(get(`${api.origin}/`), options()))).toBe('overloaded')
    await vi.waitFor(() => expect(api.requests.length).toBe(limits.connectionsPerTarget))
    expect(api.connections()).toBe(limits.connectionsPerTarget)
    hang = false
    abort.abort()
    expect(new Set(await Promise.all(held))).toEqual(new Set(['cancelled']))
    await vi.waitFor(async () => expect(await outcomeOf(channel.send(get(`${api.origin}/`), options()))).toBe('200 ok'))
    expect(api.requests.length).toBeLessThan(limits.connectionsPerTarget + 10)
  })
})
