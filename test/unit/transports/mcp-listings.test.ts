/** Listings over time, on a clock that is turned by hand: refreshed, kept through failures, told when they change. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { type Recorder, startRecorder } from '../../support/recorder.ts'
import { type HandClock, handClock } from '../egress/support.ts'
import {
  ann,
  bodyOf,
  callOf,
  delivery,
  legacyServer,
  type ModernServer,
  openRoom,
  request,
  type Room,
  rpcOf,
  sse,
  startModern,
  targetAt,
  until,
} from './mcp-support.ts'

let recorder: Recorder
let room: Room
let clock: HandClock
let tools: object[]
beforeEach(async () => {
  clock = handClock()
  room = openRoom(clock)
  recorder = await startRecorder()
  tools = [{ name: 'one' }]
  recorder.answer = serving
})
afterEach(async () => {
  const closed = room.close()
  clock.advance(limits.drainMs)
  await recorder.close()
  await closed
})

const serving = legacyServer(({ id }, _recorded, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { tools } }))
})

const options = () => ({
  target: targetAt(`${recorder.origin}/mcp`),
  credential: undefined,
  egress: room.egress,
  refreshMs: 60_000,
})
const names = async (): Promise<string[]> => {
  const bytes = await room.upstreams.listing(options())
  return JSON.parse(Buffer.from(bytes).toString()).tools.map(({ name }: { name: string }) => name)
}
const lists = (): number => recorder.requests.filter((sent) => rpcOf(sent).method === 'tools/list').length

describe('a listing', () => {
  it('is asked for once, again after its time, and told only when it is another', async () => {
    expect(await names()).toEqual(['one'])
    expect(await names()).toEqual(['one'])
    expect(lists()).toBe(1)
    clock.advance(60_000)
    await until(() => lists() === 2)
    await until(() => clock.waiting() > 0)
    expect(room.changed).toEqual([])
    tools = [{ name: 'two' }]
    await new Promise((resolve) => setTimeout(resolve, 20))
    clock.advance(60_000)
    await until(() => room.changed.length > 0)
    expect(room.changed).toEqual(['up'])
    expect(await names()).toEqual(['two'])
  })

  it('of a server that is down stays as it was', async () => {
    expect(await names()).toEqual(['one'])
    recorder.answer = (_recorded, response) => response.destroy()
    clock.advance(60_000)
    await until(() => recorder.requests.length > 5)
    expect(await names()).toEqual(['one'])
    expect(room.changed).toEqual([])
  })

  it('of a server that was down at first is told when it answers', async () => {
    recorder.answer = (_recorded, response) => response.destroy()
    await expect(names()).rejects.toMatchObject({ code: 'target_broke_off' })
    recorder.answer = serving
    clock.advance(limits.mcpRetryMs)
    await until(() => room.changed.length > 0)
    expect(await names()).toEqual(['one'])
  })

  it('of a server that does not answer holds nobody up', async () => {
    recorder.answer = () => undefined
    const failure = expect(names()).rejects.toMatchObject({ code: 'target_timeout' })
    await until(() => recorder.requests.length > 0)
    clock.advance(limits.mcpListMs)
    await failure
  })

  it('is forgotten with its target', async () => {
    await names()
    room.upstreams.keep(new Set())
    clock.advance(600_000)
    expect(await names()).toEqual(['one'])
    expect(lists()).toBe(2)
  })
})

describe('a call that is held', () => {
  it('is cancelled at the server when nobody comes back', async () => {
    const target = targetAt(`${recorder.origin}/mcp`)
    recorder.answer = (recorded, response, incoming) => {
      if (rpcOf(recorded).method !== 'tools/call') return serving(recorded, response, incoming)
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(sse({ id: 'q', method: 'roots/list' }))
    }
    const capabilities = ['roots'] as const
    const sent = callOf(target, 'tool')
    const asked = bodyOf(await room.transport(target).send(sent, delivery({ capabilities })))
    expect(Object.values(asked['inputRequests'])).toEqual([{ method: 'roots/list', params: {} }])
    clock.advance(limits.askMs)
    await until(() => recorder.requests.some((one) => rpcOf(one).method === 'notifications/cancelled'))
    const answers = { responses: {}, state: asked['requestState'] }
    const late = room.transport(target).send(sent, delivery({ capabilities, answers }))
    await expect(late).rejects.toMatchObject({ code: 'invalid_params' })
  })
})

describe('a watched resource', () => {
  let modern: ModernServer
  beforeEach(async () => {
    modern = await startModern()
  })
  afterEach(() => modern.close())

  it('of a server of 2026-07-28 is told of to its caller', async () => {
    const target = targetAt(modern.url)
    const transport = room.transport(target)
    await transport.send(request(target, 'resources/subscribe', { uri: 'note://one' }), delivery())
    modern.update('note://two')
    modern.update('note://one')
    await until(() => room.updated.length > 0)
    expect(room.updated).toEqual([`up note://one ${ann.subject}`])
    await transport.send(request(target, 'resources/unsubscribe', { uri: 'note://one' }), delivery())
  })

  it('of an older server is told of to its caller', async () => {
    const target = targetAt(`${recorder.origin}/mcp`)
    let stream: Parameters<typeof serving>[1] | undefined
    recorder.answer = (recorded, response, incoming) => {
      if (recorded.method === 'GET') {
        stream = response.writeHead(200, { 'content-type': 'text/event-stream' })
        stream.flushHeaders()
      } else serving(recorded, response, incoming)
    }
    await room.transport(target).send(request(target, 'resources/subscribe', { uri: 'note://a' }), delivery())
    await until(() => stream !== undefined)
    const updated = (uri: unknown): object => ({ method: 'notifications/resources/updated', params: { uri } })
    stream?.write(sse(updated(7), updated('file:///etc'), updated('note://a/part')))
    await until(() => room.updated.length > 0)
    expect(room.updated).toEqual(['up note://a/part ann'])
  })
})
