/** Broken and hostile targets, from the client’s call to its answer (D01–D18 and M27 of the threat model). */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { until } from '../support/gateway.ts'
import { modernRequest } from '../support/mcp.ts'
import { rawRequest, rawSocket } from '../support/raw.ts'
import { answer, closed } from '../unit/egress/support.ts'
import { type Behaviour, type Calls, failed, outcomeOf, startCalls, wordsOf } from './calls.ts'

const MiB = 1024 * 1024

let calls: Calls

beforeAll(async () => {
  calls = await startCalls((_origin, closedPort) => ({
    config: {
      targets: {
        api: { openapi: 'target.json', headers: { forwardResponse: ['x-echo', 'set-cookie', 'location'] } },
        hasty: { openapi: 'target.json', timeoutMs: 300 },
        gone: { openapi: 'target.json', server: closedPort },
      },
    },
  }))
})

afterEach(async () => {
  expect(calls.gateway.child.exitCode).toBeNull()
  const { made, metered } = await calls.counted()
  expect(metered).toBe(made)
})

afterAll(() => calls.close())

/** Sends bytes, one every `ms`, until the other end has had enough. */
const drip = (socket: Socket, ms: number): void => {
  const timer = setInterval(() => socket.write('a'), ms)
  socket.once('close', () => clearInterval(timer))
}

/** Sends a piece as often as it is taken, `times` at most. */
const pour = (socket: Socket, piece: Buffer, times = Infinity): void => {
  let sent = 0
  const more = (): void => {
    while (!socket.destroyed && sent++ < times) if (!socket.write(piece)) return void socket.once('drain', more)
  }
  more()
}

const chunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])

describe('a target that takes its time', () => {
  it.each<[string, Behaviour]>([
    ['D01: never answers', () => undefined],
    [
      'D02: sends its headers byte by byte',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nx: ')
        drip(socket, 20)
      },
    ],
    ['D04: stops in its body', (socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc')],
    [
      'D04: sends its body byte by byte',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n')
        drip(socket, 20)
      },
    ],
  ])('%s: the call ends at its deadline, and the connection with it', async (_case, then) => {
    const sockets: Socket[] = []
    const called = await calls.call('hasty___get', (socket, request) => {
      sockets.push(socket)
      then(socket, request)
    })
    expect(outcomeOf(called)).toEqual(failed(1))
    expect(wordsOf(called)).toMatch(/in time/)
    await closed(sockets[0])
  })

  it.each([
    [
      'modern',
      (signal: AbortSignal) => hangUp(modernRequest('tools/call', { name: 'api___get', arguments: {} }), signal),
    ],
    [
      'with progress',
      (signal: AbortSignal) =>
        hangUp(modernRequest('tools/call', { name: 'api___get', arguments: {}, _meta: { progressToken: 1 } }), signal),
    ],
    [
      'of an older revision',
      (signal: AbortSignal) =>
        hangUp(
          {
            headers: { 'content-type': 'application/json' },
            body: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'api___get' } },
          },
          signal,
        ),
    ],
  ])(
    'M27: a caller (%s) who hangs up ends the call at the target, and it is metered as cancelled',
    async (_era, start) => {
      const [before, seen, abort] = [await cancelled(), calls.target.requests.length, new AbortController()]
      const sockets: Socket[] = []
      calls.expecting(1, (socket) => void sockets.push(socket))
      const hungUp = start(abort.signal)
      await until('the target was asked', () => calls.target.requests.length > seen)
      abort.abort()
      await hungUp
      await closed(sockets[0])
      await until('the call is metered', async () => (await cancelled()) === before + 1)
      expect(calls.target.requests.length).toBe(seen + 1)
    },
  )

  it('M27: so do all calls that he had sent down one connection', async () => {
    const [before, seen] = [await cancelled(), calls.target.requests.length]
    const sockets: Socket[] = []
    const { headers, body } = modernRequest('tools/call', { name: 'api___get', arguments: {} })
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
    const client = rawSocket(calls.gateway.url)
    calls.expecting(5, (socket) => void sockets.push(socket))
    client.write(rawRequest(calls.gateway.url, { lines, body: JSON.stringify(body), last: false }).repeat(5))
    await until('the target was asked', () => calls.target.requests.length === seen + 5)
    client.destroy()
    await Promise.all(sockets.map(closed))
    await until('the calls are metered', async () => (await cancelled()) === before + 5)
  })
})

const hangUp = async ({ headers, body }: ReturnType<typeof modernRequest>, signal: AbortSignal): Promise<void> => {
  const response = fetch(`${calls.gateway.url}/mcp`, { method: 'POST', headers, body: JSON.stringify(body), signal })
  await expect(response.then(async (open) => open.text())).rejects.toThrow(/abort/)
}

const cancelled = async (): Promise<number> => {
  const headers = { authorization: `Bearer ${calls.gateway.adminToken}` }
  const text = await (await fetch(`${calls.gateway.adminUrl}/metrics`, { headers })).text()
  return Number(/^toolgate_calls_total\{target="api",outcome="cancelled"\} (\d+)$/m.exec(text)?.[1] ?? 0)
}

describe('a target that breaks off', () => {
  it('refuses: the call says so', async () => {
    const called = await calls.call('gone___get', '')
    expect(outcomeOf(called)).toEqual(failed(0))
    expect(wordsOf(called)).toMatch(/could not be reached/)
    expect(called.raw).not.toMatch(/127\.0|ECONN/)
  })

  it.each([
    ['before a byte', '', 'get', 2],
    ['before a byte', '', 'post', 1],
    ['in its headers', 'HTTP/1.1 200 OK\r\ncontent-le', 'get', 1],
    ['in its body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234', 'get', 1],
    ['in its body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234', 'post', 1],
    ['between chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n', 'get', 1],
  ])('D14–D16: by a reset %s (%j) in %s: asked %i times', async (_where, text, tool, times) => {
    const called = await calls.call(`api___${tool}`, (socket) => {
      if (text === '') socket.resetAndDestroy()
      else socket.write(text, () => setTimeout(() => socket.resetAndDestroy(), 5))
    })
    expect(outcomeOf(called)).toEqual(failed(times))
    expect(wordsOf(called)).toMatch(/broke off/)
  })

  it('D16: what it sends beyond its length is nobody’s answer', async () => {
    const first = await calls.call('api___get', Buffer.concat([answer('first'), answer('poison')]))
    const second = await calls.call('api___get', answer('second'))
    expect([wordsOf(first), wordsOf(second)]).toEqual(['first', 'second'])
  })

  it.each<[string, string, RegExp]>([
    ['101', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', /not proper HTTP/],
    ['interim answers without end', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(100), /without end/],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.9\r\n\r\n', /not proper HTTP/],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', /not proper HTTP/],
  ])('D17: %s is no answer', async (_case, text, words) => {
    const called = await calls.call('api___post', text)
    expect(outcomeOf(called)).toEqual(failed(1))
    expect(wordsOf(called)).toMatch(words)
  })

  it.each([
    ['a 204 with a body', 'HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nbody', /204/],
    [
      'an interim answer first',
      'HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok',
      /^ok$/,
    ],
    ['trailers', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-echo: late\r\n\r\n', /^ok$/],
  ])('D17: %s is read', async (_case, text, words) => {
    const called = await calls.call('api___get', text)
    expect(outcomeOf(called)).toEqual([200, false, 1])
    expect(wordsOf(called)).toMatch(words)
    expect(called.raw).not.toContain('late')
  })
})

describe('a target that sends too much', () => {
  const head = (coding: string): string =>
    `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n${coding}transfer-encoding: chunked\r\n\r\n`
  const bomb = gzipSync(Buffer.alloc(20 * MiB, 'x'))
  // gzip of noise is as long as the noise
  const noise = gzipSync(Buffer.from(Array.from({ length: MiB }, (_, index) => (index * index * 2654435761) >>> 24)), {
    level: 0,
  })

  it.each<[string, Behaviour]>([
    [
      'D03: without end',
      (socket) => {
        socket.write(head(''))
        pour(socket, chunk(Buffer.alloc(MiB, 'x')))
      },
    ],
    [
      'D05: 200 MiB in 200 KiB of gzip',
      (socket) => {
        socket.write(head('content-encoding: gzip\r\n'))
        pour(socket, chunk(bomb), 10)
        socket.write('0\r\n\r\n')
      },
    ],
    [
      'D05: 200 MiB of gzip',
      (socket) => {
        socket.write(head('content-encoding: gzip\r\n'))
        pour(socket, chunk(noise), 200)
      },
    ],
  ])('%s is cut at the bound, in memory too, and the connection is closed', async (_case, then) => {
    const sockets: Socket[] = []
    const called = await calls.call('api___get', (socket, request) => {
      sockets.push(socket)
      then(socket, request)
    })
    expect(outcomeOf(called)).toEqual([200, false, 1])
    expect(wordsOf(called)).toMatch(/cut here/)
    expect(wordsOf(called).length).toBeLessThan(limits.resultTextChars + 200)
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${calls.gateway.child.pid}/status`, 'utf8'))?.[1]
    expect(Number(peak) / 1024).toBeLessThan(400)
  })

  it.each([
    ['a megabyte of header', [`x-echo: ${'a'.repeat(MiB)}`]],
    ['10,000 headers', Array.from({ length: 10_000 }, (_, index) => `x-${index}: ${index}`)],
  ])('D18: %s is no answer', async (_case, lines) => {
    const called = await calls.call('api___post', answer('ok', lines))
    expect(outcomeOf(called)).toEqual(failed(1))
    expect(wordsOf(called)).toMatch(/larger than is read/)
  })

  it('D18: a cookie is neither shown nor kept', async () => {
    const first = await calls.call(
      'api___get',
      answer('ok', ['set-cookie: canary-cookie=1; Path=/', 'set-cookie: b=2']),
    )
    const second = await calls.call('api___get', answer('ok'))
    expect([wordsOf(first), first.raw.includes('canary-cookie')]).toEqual(['ok', false])
    expect(second.requests[0]).not.toMatch(/cookie/i)
  })

  it.each([
    ['seven codings', 'gzip, gzip, gzip, gzip, gzip, gzip, gzip', gzipSync('x')],
    ['an unknown coding', 'zstd', Buffer.from('x')],
    ['broken gzip', 'gzip', gzipSync('x'.repeat(999)).subarray(0, 15)],
    ['text as gzip', 'gzip', Buffer.from('plain')],
    ['a coding called constructor', 'constructor', Buffer.from('x')],
  ])('D06: %s is no answer', async (_case, coding, body) => {
    const called = await calls.call('api___get', answer(body, [`content-encoding: ${coding}`]))
    expect(outcomeOf(called)).toEqual(failed(1))
    expect(wordsOf(called)).toMatch(/encod/)
  })
})

describe('a target that points elsewhere or asks for patience', () => {
  it.each([
    ['D07: metadata', 'get', '302 Found', () => 'http://169.254.169.254/latest/'],
    ['D08: another origin, with the body', 'post', '307 Temporary Redirect', () => `${calls.elsewhere.origin}/x`],
    ['D09: itself', 'get', '301 Moved Permanently', () => `${calls.target.origin}/api/get`],
    ['a scheme of its own', 'get', '308 Permanent Redirect', () => 'file:///etc/passwd'],
  ])('%s: the redirect is not followed', async (_case, tool, line, location) => {
    const called = await calls.call(`api___${tool}`, answer('moved', [`location: ${location()}`], line))
    expect(outcomeOf(called)).toEqual(failed(1))
    expect(wordsOf(called)).toMatch(/redirects are not followed/)
    expect(calls.elsewhere.connections()).toBe(0)
  })

  it('D10: Refresh and Location on a good answer lead nowhere', async () => {
    const lines = [
      `refresh: 0; url=${calls.elsewhere.origin}`,
      `location: ${calls.elsewhere.origin}`,
      `link: <${calls.elsewhere.origin}>; rel=preload`,
    ]
    const called = await calls.call('api___get', answer('<meta http-equiv="refresh" content="0">', lines))
    expect([outcomeOf(called), calls.elsewhere.connections()]).toEqual([[200, false, 1], 0])
  })

  it.each(['1', '1e9', '-1', 'Wed, 21 Oct 2099 07:28:00 GMT', 'x'.repeat(1_000), '<b>soon</b>', undefined])(
    'D11: 429 with Retry-After %s is told at once, asked once',
    async (after) => {
      const lines = after === undefined ? [] : [`retry-after: ${after}`]
      const called = await calls.call('api___get', answer('busy', lines, '429 Too Many Requests'))
      expect(outcomeOf(called)).toEqual(failed(1))
      expect(wordsOf(called)).toMatch(
        /^The target answered 429 Too Many Requests\.(?: Retry after: [\w ,:+-]{1,64}\.)?\n\nbusy$/,
      )
    },
  )

  it.each(['500 Internal Server Error', '502 Bad Gateway', '503 Service Unavailable'])(
    'D12, D13: %s on a POST is not repeated',
    async (line) => {
      const called = await calls.call('api___post', answer('no', [], line))
      expect(outcomeOf(called)).toEqual(failed(1))
    },
  )
})
