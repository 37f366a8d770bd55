/** Answers that are read as they come: the same addresses, deadlines and bounds as for those that are gathered. */
import { afterEach, describe, expect, it } from 'vitest'
import { Cancellation } from '../../../src/core/cancel.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { createEgress, type Opened, type OpenOptions } from '../../../src/egress/fetch.ts'
import { answer, channelTo, closed, type FakeTarget, failureOf, get, handClock, rawTarget } from './support.ts'

let target: FakeTarget
afterEach(() => target.close())

const options = (changes: Partial<OpenOptions> = {}): OpenOptions => ({
  timeoutMs: 20_000,
  idleMs: 20_000,
  totalMs: 20_000,
  bodyBytes: 1024 * 1024,
  ...changes,
})

const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

const textOf = async ({ body }: Opened): Promise<string> => {
  let text = ''
  for await (const piece of body) text += Buffer.from(piece).toString('latin1')
  return text
}

/** Until the target has seen it, whatever the clock says. */
const seen = async (count: number): Promise<void> => {
  while (target.requests.length < count) await new Promise((resolve) => setImmediate(resolve))
}

describe('open', () => {
  it('gives headers at once and the body as it comes', async () => {
    target = await rawTarget((socket) => {
      socket.write(`${head}${chunk('one')}`)
    })
    const opened = await channelTo(target).open(get(`${target.origin}/a`), options())
    expect([opened.status, opened.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
    const reader = opened.body.getReader()
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('one')
    target.sockets[0]?.write(`${chunk('two')}0\r\n\r\n`)
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('two')
    expect((await reader.read()).done).toBe(true)
    expect(target.requests[0]).toContain('accept-encoding: identity')
  })

  it('uses connections again when an answer was read to its end', async () => {
    target = await rawTarget((socket) => void socket.write(answer('whole')))
    const channel = channelTo(target)
    for (let count = 0; count < 6; count++)
      expect(await textOf(await channel.open(get(`${target.origin}/`), options()))).toBe('whole')
    expect(target.connections()).toBeLessThan(4)
  })

  it('leaves the connections of gathered answers free', async () => {
    target = await rawTarget((socket, request) => {
      if (request.startsWith('GET /stream')) socket.write(head)
      else socket.write(answer('ok'))
    })
    const channel = channelTo(target)
    const open = Array.from({ length: limits.connectionsPerTarget + 8 }, () =>
      channel.open(get(`${target.origin}/stream`), options()),
    )
    const streams = await Promise.all(open)
    const sent = { timeoutMs: 20_000, bodyBytes: 100, repeatable: false }
    expect((await channel.send(get(`${target.origin}/`), sent)).body.toString()).toBe('ok')
    await Promise.all(streams.map(({ body }) => body.cancel()))
  })

  it('closes the connection when the reader wants no more', async () => {
    target = await rawTarget((socket) => void socket.write(`${head}${chunk('one')}`))
    const { body } = await channelTo(target).open(get(`${target.origin}/`), options())
    await body.cancel()
    await closed(target.sockets[0])
  })

  it('holds back a target that is faster than its reader', async () => {
    let written = 0
    target = await rawTarget((socket) => {
      socket.write(head)
      const more = (): void => {
        while (!socket.destroyed && written < 64 * 1024 * 1024) {
          written += 65_536
          if (!socket.write(chunk('x'.repeat(65_536)))) return
        }
      }
      socket.on('drain', more)
      more()
    })
    const { body } = await channelTo(target).open(get(`${target.origin}/`), options({ bodyBytes: 1024 ** 3 }))
    for (let count = 0, before = -1; count < 20 && before !== written; count++) {
      before = written
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    expect(written).toBeLessThan(32 * 1024 * 1024)
    await body.cancel()
  })

  it.each<[string, string, string | Buffer, Partial<OpenOptions>]>([
    ['longer than is read', 'target_bad_answer', `${head}${chunk('x'.repeat(100))}`, { bodyBytes: 99 }],
    ['cut off', 'target_broke_off', `${head}${chunk('one')}`, {}],
    ['no HTTP', 'target_bad_answer', `${head}zzz`, {}],
  ])('ends a body that is %s in %s', async (_what, code, bytes, changes) => {
    target = await rawTarget((socket) => void socket.end(bytes))
    const opened = await channelTo(target).open(get(`${target.origin}/`), options(changes))
    expect((await failureOf(textOf(opened))).code).toBe(code)
  })

  it.each<[string, string, string | Buffer]>([
    ['in a content encoding', 'target_bad_answer', answer('x', ['content-encoding: gzip'])],
    ['announced without end', 'target_bad_answer', 'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(20)],
    ['no HTTP', 'target_bad_answer', 'hello\r\n\r\n'],
  ])('refuses an answer that is %s', async (_what, code, bytes) => {
    target = await rawTarget((socket) => void socket.write(bytes))
    expect((await failureOf(channelTo(target).open(get(`${target.origin}/`), options()))).code).toBe(code)
  })

  it('waits for headers, for a next piece and for the end only so long', async () => {
    const clock = handClock()
    target = await rawTarget((socket, request) => {
      if (!request.startsWith('GET /silent')) socket.write(`${head}${chunk('one')}`)
    })
    const channel = channelTo(target, { clock })
    const silent = channel.open(get(`${target.origin}/silent`), options({ timeoutMs: 1_000 }))
    await seen(1)
    clock.advance(1_000)
    expect((await failureOf(silent)).code).toBe('target_timeout')
    const idle = await channel.open(get(`${target.origin}/idle`), options({ idleMs: 1_000 }))
    const rest = failureOf(textOf(idle))
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(1_000)
    expect((await rest).code).toBe('target_timeout')
    const long = await channel.open(get(`${target.origin}/long`), options({ totalMs: 3_000, idleMs: 2_000 }))
    const end = failureOf(textOf(long))
    await new Promise((resolve) => setImmediate(resolve))
    clock.advance(3_000)
    expect((await end).code).toBe('target_timeout')
    // only those that keep idle connections are left
    expect(clock.waiting()).toBe(0)
  })

  it('is cancelled before, while it waits and while it is read', async () => {
    target = await rawTarget((socket, request) => {
      if (request.startsWith('GET /stream')) socket.write(`${head}${chunk('one')}`)
    })
    const channel = channelTo(target)
    const aborted = new Cancellation()
    aborted.abort()
    const before = channel.open(get(`${target.origin}/`), options({ signal: aborted }))
    expect((await failureOf(before)).code).toBe('cancelled')
    const signal = new Cancellation()
    const waiting = channel.open(get(`${target.origin}/silent`), options({ signal }))
    await seen(1)
    signal.abort()
    expect((await failureOf(waiting)).code).toBe('cancelled')
    await closed(target.sockets[0])
    const later = new Cancellation()
    const reading = failureOf(textOf(await channel.open(get(`${target.origin}/stream`), options({ signal: later }))))
    later.abort()
    expect((await reading).code).toBe('cancelled')
    await closed(target.sockets[1])
  })

  it('judges addresses as `send` does', async () => {
    target = await rawTarget(() => undefined)
    const egress = createEgress({ allow: [], clock: systemClock })
    expect(() => egress.channel(target.origin)).toThrow(GatewayError)
    const named = createEgress({
      allow: ['inward.test:1'],
      clock: systemClock,
      lookup: async () => [{ address: '127.0.0.1', family: 4 }],
    })
    const opened = named.channel('https://inward.test').open(get('https://inward.test/'), options())
    expect((await failureOf(opened)).code).toBe('egress_refused')
    expect(target.connections()).toBe(0)
  })

  it('is bounded in number, and over when the channel is closed', async () => {
    const clock = handClock()
    target = await rawTarget((socket) => void socket.write(head))
    const channel = channelTo(target, { clock })
    const opened = await channel.open(get(`${target.origin}/`), options({ idleMs: 10 ** 9, totalMs: 10 ** 9 }))
    const rest = failureOf(textOf(opened))
    const end = channel.close()
    expect((await failureOf(channel.open(get(`${target.origin}/`), options()))).code).toBe('draining')
    clock.advance(limits.drainMs)
    expect((await rest).code).toBe('draining')
    await end
  })
})
