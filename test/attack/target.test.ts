/** Hostile and broken targets (rows D01–D18 and P12 of the threat model), each on a real socket. */
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import {
  answer,
  channelTo,
  closed,
  failureOf,
  get,
  handClock,
  options,
  outcomeOf,
  rawTarget,
} from '../unit/egress/support.ts'
import type { FakeTarget } from '../unit/egress/support.ts'

const opened: FakeTarget[] = []

const target = async (...args: Parameters<typeof rawTarget>): Promise<FakeTarget> => {
  const made = await rawTarget(...args)
  opened.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((made) => made.close()))
})

const KiB = 1024
const MiB = 1024 * KiB

describe('a target that takes its time', () => {
  it('D01: that never answers meets the deadline, and its connection is closed', async () => {
    const clock = handClock()
    const slow = await target(() => undefined)
    const sending = failureOf(channelTo(slow, { clock }).send(get(`${slow.origin}/`), options({ timeoutMs: 50_000 })))
    await vi.waitFor(() => expect(slow.requests.length).toBe(1))
    clock.advance(49_999)
    expect(clock.waiting()).toBe(1)
    clock.advance(1)
    const error = await sending
    expect([error.code, error.retry]).toEqual(['target_timeout', false])
    await closed(slow.sockets[0])
    expect(clock.waiting()).toBe(0)
  })

  it('D02: that sends its headers byte by byte meets the deadline', async () => {
    const clock = handClock()
    const head = 'HTTP/1.1 200 OK\r\nx-a: '
    const slow = await target((socket) => void socket.write(head.slice(0, 1)))
    const sending = failureOf(channelTo(slow, { clock }).send(get(`${slow.origin}/`), options({ timeoutMs: 20_000 })))
    await vi.waitFor(() => expect(slow.requests.length).toBe(1))
    for (const byte of head.slice(1)) {
      slow.sockets[0]?.write(byte)
      await new Promise(setImmediate)
      clock.advance(1_000)
    }
    expect((await sending).code).toBe('target_timeout')
    await closed(slow.sockets[0])
  })

  it('that has no connection free until the deadline was sent nothing, and that is said', async () => {
    const clock = handClock()
    const silent = await target(() => undefined)
    const channel = channelTo(silent, { clock })
    const send = () => failureOf(channel.send(get(`${silent.origin}/`), options({ timeoutMs: 20_000 })))
    const sent = Array.from({ length: limits.connectionsPerTarget }, send)
    await vi.waitFor(() => expect(silent.requests.length).toBe(limits.connectionsPerTarget))
    const waiting = send()
    clock.advance(20_000)
    expect(await waiting).toMatchObject({ code: 'target_busy', retry: true })
    expect(new Set((await Promise.all(sent)).map(({ code }) => code))).toEqual(new Set(['target_timeout']))
    expect(silent.requests.length).toBe(limits.connectionsPerTarget)
  })

  it('D04: that falls silent in its body meets the idle deadline, one that goes on does not', async () => {
    const clock = handClock()
    const slow = await target((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0'))
    let received = 0
    const sending = failureOf(
      channelTo(slow, { clock }).send(
        get(`${slow.origin}/`),
        options({ timeoutMs: 600_000, onProgress: (_phase, bytes) => void (received = bytes) }),
      ),
    )
    await vi.waitFor(() => expect(received).toBe(1))
    for (let round = 2; round < 6; round += 1) {
      clock.advance(limits.responseIdleMs - 1)
      slow.sockets[0]?.write('0')
      await vi.waitFor(() => expect(received).toBe(round))
    }
    clock.advance(limits.responseIdleMs - 1)
    expect(clock.waiting()).toBe(1)
    clock.advance(1)
    const error = await sending
    expect(error.code).toBe('target_timeout')
    expect(error.message).toContain('in the middle')
    await closed(slow.sockets[0])
  })

  it('that takes the connection but no TLS handshake meets the deadline for connecting', async () => {
    const clock = handClock()
    const silent = await target(() => undefined)
    const origin = `https://127.0.0.1:${silent.port}`
    const sending = failureOf(channelTo({ origin }, { clock }).send(get(`${origin}/`), options({ timeoutMs: 60_000 })))
    await vi.waitFor(() => expect(silent.connections()).toBe(1))
    clock.advance(limits.connectMs)
    expect((await sending).code).toBe('target_unreachable')
    await closed(silent.sockets[0])
  })
})

describe('a target that says too much', () => {
  it('D03: an endless body is cut at the bound and the connection closed', async () => {
    const chunk = Buffer.alloc(64 * KiB, 'x')
    const endless = await target((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      const pour = (): void => {
        while (!socket.destroyed && socket.write(chunk)) continue
        socket.once('drain', pour)
      }
      pour()
    })
    const response = await channelTo(endless).send(get(`${endless.origin}/`), options({ bodyBytes: MiB }))
    expect([response.status, response.body.length, response.cut]).toEqual([200, MiB, true])
    await closed(endless.sockets[0])
  })

  it('a body of single-byte chunks costs its bytes, not an object for each', async () => {
    const bytes = 2 * MiB
    const chunks = Buffer.from('1\r\nx\r\n'.repeat(64 * KiB))
    const tiny = await target((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n')
      for (let sent = 0; sent < bytes; sent += 64 * KiB) socket.write(chunks)
      socket.write('0\r\n\r\n')
    })
    const response = await channelTo(tiny).send(get(`${tiny.origin}/`), options({ bodyBytes: bytes }))
    expect([response.body.length, response.cut]).toEqual([bytes, false])
    expect(response.body.every((byte) => byte === 0x78)).toBe(true)
  })

  const members = Array.from({ length: 200 }, () => gzipSync(Buffer.alloc(MiB)))
  const bombs: readonly (readonly [string, Buffer])[] = [
    ['gzip', Buffer.concat(members)],
    ['br', brotliCompressSync(Buffer.alloc(64 * MiB), { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
    ['gzip, gzip', gzipSync(Buffer.concat(members))],
  ]

  it.each(bombs)('D05: a %s bomb is cut at the decoded bound, and its memory with it', async (encoding, bomb) => {
    const bomber = await target((socket) => void socket.write(answer(bomb, [`content-encoding: ${encoding}`])))
    const before = process.memoryUsage().rss
    const response = await channelTo(bomber).send(get(`${bomber.origin}/`), options({ bodyBytes: 8 * MiB }))
    expect([response.body.length, response.cut]).toEqual([8 * MiB, true])
    expect(response.headers.has('content-encoding')).toBe(false)
    expect(process.memoryUsage().rss - before).toBeLessThan(150 * MiB)
  })

  it.each([
    ['seven encodings', answer(gzipSync('x'), ['content-encoding: gzip, gzip, gzip, gzip, gzip, gzip, gzip'])],
    [
      'seven encodings in seven fields',
      answer(
        gzipSync('x'),
        Array.from({ length: 7 }, () => 'content-encoding: gzip'),
      ),
    ],
    ['broken gzip', answer('this is not gzip', ['content-encoding: gzip'])],
    ['gzip that ends early', answer(gzipSync('x'.repeat(999)).subarray(0, 20), ['content-encoding: gzip'])],
    ['an unknown encoding', answer('x', ['content-encoding: rot13'])],
    ['1 MiB of headers', answer('x', [`x-a: ${'a'.repeat(MiB)}`])],
    [
      '10,000 headers',
      answer(
        'x',
        Array.from({ length: 10_000 }, (_, n) => `x-${n}: ${n}`),
      ),
    ],
    ['endless interim answers', Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(100))],
    [
      'a switch of protocols',
      Buffer.from('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
    ['something that is not HTTP', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
    ['a length that is not a number', answer('x', ['content-length: one'])],
    ['two lengths', answer('x', ['content-length: 1', 'content-length: 2'])],
    ['a length and chunks', answer('1\r\nx\r\n0\r\n\r\n', ['content-length: 1', 'transfer-encoding: chunked'])],
    ['a chunk without a length', answer('x\r\n', ['transfer-encoding: chunked'])],
  ])('D06, D16–D18: %s is a bad answer, and nothing of it is repeated', async (_what, bytes) => {
    const broken = await target((socket) => void socket.write(bytes))
    const sending = channelTo(broken).send(get(`${broken.origin}/`), options({ repeatable: true }))
    expect(await outcomeOf(sending)).toBe('target_bad_answer')
    expect(broken.requests.length).toBe(1)
  })
})

describe('a target that sends elsewhere', () => {
  it.each([
    ['D07', '302 Found', 'GET'],
    ['D08', '307 Temporary Redirect', 'POST'],
    ['D08', '308 Permanent Redirect', 'POST'],
    ['D09', '301 Moved Permanently', 'GET'],
    ['D10', '200 OK', 'GET'],
  ])('%s: a %s is an answer like any other', async (_row, status, method) => {
    const other = await target((socket) => void socket.write(answer('stolen')))
    const headers = [`location: ${other.origin}/x`, `refresh: 0; url=${other.origin}/y`]
    const away = await target((socket) => void socket.write(answer('there', headers, status)))
    const request = { ...get(`${away.origin}/`, { 'x-api-key': 'canary' }), method }
    const response = await channelTo(away).send(request, options())
    expect(response.status).toBe(Number(status.slice(0, 3)))
    expect(response.headers.get('location')).toBe(`${other.origin}/x`)
    expect([away.requests.length, other.connections()]).toEqual([1, 0])
  })

  it('P12: a URL inside the path stays in the path', async () => {
    const other = await target((socket) => void socket.write(answer('stolen')))
    const api = await target((socket) => void socket.write(answer('mine')))
    const url = `${api.origin}/proxy/${other.origin}//x`
    expect(await outcomeOf(channelTo(api).send(get(url), options()))).toBe('200 mine')
    expect(api.requests[0]).toContain(`GET /proxy/${other.origin}//x HTTP/1.1`)
    expect(other.connections()).toBe(0)
  })

  it.each(['429 Too Many Requests', '500 Internal Server Error', '503 Service Unavailable'])(
    'D11–D13: %s comes back as it is and is never repeated here',
    async (status) => {
      const busy = await target((socket) => void socket.write(answer('no', ['retry-after: 1e9'], status)))
      const sending = channelTo(busy).send(get(`${busy.origin}/`), options({ repeatable: true }))
      expect(await outcomeOf(sending)).toBe(`${status.slice(0, 3)} no`)
      expect(busy.requests.length).toBe(1)
    },
  )
})

describe('a target that breaks off', () => {
  /** Answers the first request and resets the connection at the second, as a server does that had closed it. */
  const stale = (behaviour: 'once' | 'always'): Promise<FakeTarget> => {
    const seen = new WeakSet<object>()
    return target((socket, _request, count) => {
      if (count > 1 && (behaviour === 'always' || seen.has(socket))) {
        socket.resetAndDestroy()
        return
      }
      seen.add(socket)
      socket.write(answer('ok'))
    })
  }

  /** One request to warm the connection, one turn for it to be free again, then the request that meets the reset. */
  const second = async (server: FakeTarget, repeatable: boolean): Promise<string> => {
    const channel = channelTo(server)
    await channel.send(get(`${server.origin}/`), options())
    await new Promise(setImmediate)
    await new Promise(setImmediate)
    return outcomeOf(channel.send({ ...get(`${server.origin}/`), method: 'POST', body: 'x' }, options({ repeatable })))
  }

  it('D14: a reused connection that is reset before any byte: repeated once when that does no harm', async () => {
    const server = await stale('once')
    expect(await second(server, true)).toBe('200 ok')
    expect(server.requests.length).toBe(3)
  })

  it('D14: and never otherwise', async () => {
    const server = await stale('once')
    expect(await second(server, false)).toBe('target_broke_off')
    expect(server.requests.length).toBe(2)
  })

  it('D14: a second reset ends it', async () => {
    const server = await stale('always')
    expect(await second(server, true)).toBe('target_broke_off')
    expect(server.requests.length).toBe(3)
  })

  it('D14: a connection that ends politely before any byte counts as broken too', async () => {
    const server = await target((socket) => void socket.end())
    expect(await outcomeOf(channelTo(server).send(get(`${server.origin}/`), options({ repeatable: true })))).toBe(
      'target_broke_off',
    )
    expect(server.requests.length).toBe(2)
  })

  it('a repeat still meets the deadline of the first try and hears an abort', async () => {
    for (const end of ['deadline', 'abort']) {
      const clock = handClock()
      const abort = new AbortController()
      const server = await target((socket, _request, count) => void (count === 1 && socket.resetAndDestroy()))
      const sending = outcomeOf(
        channelTo(server, { clock }).send(
          get(`${server.origin}/`),
          options({ timeoutMs: 20_000, repeatable: true, signal: abort.signal }),
        ),
      )
      await vi.waitFor(() => expect(server.requests.length).toBe(2))
      if (end === 'abort') abort.abort()
      else clock.advance(20_000)
      expect(await sending).toBe(end === 'abort' ? 'cancelled' : 'target_timeout')
      await closed(server.sockets[1])
    }
  })

  it.each([
    ['after one byte', 'H'],
    ['in its status line', 'HTTP/1.1 20'],
    ['in its headers', 'HTTP/1.1 200 OK\r\ncontent-le'],
    ['in a body of known length', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n01234'],
    ['between chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n01234\r\n'],
    [
      'in chunks it will not keep alive',
      'HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\n0',
    ],
    ['in a length it will not keep alive', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 10\r\n\r\n01234'],
  ])('D15, D16: breaking off %s is never repeated, whether by reset or by end', async (_where, text) => {
    for (const end of ['end', 'resetAndDestroy'] as const) {
      const server = await target((socket) => {
        socket.write(text, () => setTimeout(() => socket[end](), 5))
      })
      const sending = channelTo(server).send(get(`${server.origin}/`), options({ repeatable: true }))
      expect(await outcomeOf(sending)).toBe('target_broke_off')
      expect(server.requests.length).toBe(1)
    }
  })

  it('D16: what comes after the answer is nobody’s answer', async () => {
    const server = await target((socket, _request, count) => {
      socket.write(count === 1 ? Buffer.concat([answer('first'), answer('poison')]) : answer('second'))
    })
    const channel = channelTo(server)
    expect(await outcomeOf(channel.send(get(`${server.origin}/`), options()))).toBe('200 first')
    expect(await outcomeOf(channel.send(get(`${server.origin}/`), options()))).toBe('200 second')
  })

  it('D17: trailers, interim answers, a 204 with a body and an answer that ends with its connection are read', async () => {
    const bodies: readonly Buffer[] = [
      Buffer.from(
        'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n',
      ),
      Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nx-early: 1\r\n\r\n'), answer('ok')]),
      Buffer.from('HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\nbody'),
      Buffer.from('HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison'),
    ]
    const server = await target((socket, _request, count) => {
      const bytes = bodies[count - 1]
      if (bytes === undefined) socket.end('HTTP/1.1 200 OK\r\n\r\nlast')
      else socket.write(bytes)
    })
    const channel = channelTo(server)
    const outcomes: string[] = []
    for (let n = 0; n < 5; n += 1) outcomes.push(await outcomeOf(channel.send(get(`${server.origin}/`), options())))
    expect(outcomes).toEqual(['200 ok', '200 ok', '204 ', '204 ', '200 last'])
  })

  it('a port where nobody listens is unreachable, and that is not repeated', async () => {
    const gone = await rawTarget(() => undefined)
    await gone.close()
    const clock = handClock()
    const error = await failureOf(
      channelTo(gone, { clock }).send(get(`${gone.origin}/`), options({ repeatable: true })),
    )
    expect([error.code, error.retry]).toEqual(['target_unreachable', true])
    expect(error.message).not.toMatch(/127|\d{4}/)
    expect(clock.waiting()).toBe(0)
  })
})
