/** Real MCP servers of both eras as targets: lists, calls, questions, progress, cancellation. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cancellation } from '../../../src/core/cancel.ts'
import type { Notice } from '../../../src/transports/transport.ts'
import {
  ann,
  bob,
  bodyOf,
  callOf,
  delivery,
  type ModernServer,
  openRoom,
  request,
  type Room,
  type Server,
  startEverything,
  startModern,
  targetAt,
  until,
} from './mcp-support.ts'

let room: Room
beforeAll(() => {
  room = openRoom()
})
afterAll(() => room.close())

describe('a server of 2025-11-25 (server-everything)', () => {
  let server: Server
  beforeAll(async () => {
    server = await startEverything()
  })
  afterAll(() => server.close())

  it('lists tools, prompts, resources and templates, the same bytes each time', async () => {
    const options = { target: targetAt(server.url), credential: undefined, egress: room.egress, refreshMs: 300_000 }
    const first = Buffer.from(await room.upstreams.listing(options))
    const listing = JSON.parse(first.toString())
    const names = listing.tools.map(({ name }: { name: string }) => name)
    expect(names).toEqual(expect.arrayContaining(['echo', 'get-sum', 'trigger-elicitation-request', 'get-roots-list']))
    expect(listing.prompts.length).toBeGreaterThan(0)
    expect(listing.resources.length).toBeGreaterThan(0)
    expect(listing.resourceTemplates.length).toBeGreaterThan(0)
    expect(listing.capabilities.completions).toEqual({})
    const again = await room.upstreams.listingFor(ann, options)
    expect(Buffer.from(again).toString()).toBe(first.toString())
  })

  it('answers calls, prompts, resources and completions', async () => {
    const target = targetAt(server.url)
    const transport = room.transport(target)
    const sum = await transport.send(callOf(target, 'get-sum', { a: 2, b: 3 }), delivery())
    expect(bodyOf(sum)['content'][0].text).toContain('5')
    expect(sum.response.headers.get('content-type')).toBe('application/vnd.toolgate.result+json')
    const prompt = await transport.send(request(target, 'prompts/get', { name: 'simple-prompt' }), delivery())
    expect(bodyOf(prompt)['messages'].length).toBeGreaterThan(0)
    const uri = 'demo://resource/dynamic/text/1'
    const resource = await transport.send(request(target, 'resources/read', { uri }), delivery())
    expect(bodyOf(resource)['contents'][0].uri).toBe(uri)
    const ref = { type: 'ref/prompt', name: 'completable-prompt' }
    const completion = request(target, 'completion/complete', { ref, argument: { name: 'department', value: 'E' } })
    expect(bodyOf(await transport.send(completion, delivery()))['completion'].values).toContain('Engineering')
  })

  it('tells its progress', async () => {
    const target = targetAt(server.url)
    const notices: Notice[] = []
    const onNotice = (notice: Notice): void => void notices.push(notice)
    const call = callOf(target, 'trigger-long-running-operation', { duration: 0.2, steps: 2 })
    await room.transport(target).send(call, delivery({ onNotice }))
    expect(notices.filter(({ kind }) => kind === 'progress')).toEqual([
      { kind: 'progress', progress: 1, total: 2 },
      { kind: 'progress', progress: 2, total: 2 },
    ])
  })

  it('asks the client, and its call is held until the same caller answers for the same tool', async () => {
    const target = targetAt(server.url)
    const transport = room.transport(target)
    const capabilities = ['elicitation', 'sampling', 'roots'] as const
    const call = callOf(target, 'trigger-elicitation-request')
    const asked = bodyOf(await transport.send(call, delivery({ capabilities })))
    expect(asked['resultType']).toBe('input_required')
    const [[key, question]] = Object.entries<any>(asked['inputRequests']) as [[string, any]]
    expect(question.method).toBe('elicitation/create')
    expect(Object.keys(question.params.requestedSchema.properties)).toContain('name')
    const answers = {
      responses: { [key]: { action: 'accept', content: { name: 'Ann', integer: 7 } } },
      state: asked['requestState'],
    }
    const over = { code: 'invalid_params' }
    await expect(transport.send(call, delivery({ capabilities, answers, caller: bob }))).rejects.toMatchObject(over)
    await expect(transport.send(call, delivery({ capabilities, answers, name: 'up___b' }))).rejects.toMatchObject(over)
    const done = bodyOf(await transport.send(call, delivery({ capabilities, answers })))
    expect(JSON.stringify(done['content'])).toContain('Ann')
    await expect(transport.send(call, delivery({ capabilities, answers }))).rejects.toMatchObject(over)
  })

  it('samples through the client', async () => {
    const target = targetAt(server.url)
    const transport = room.transport(target)
    const capabilities = ['sampling'] as const
    const call = callOf(target, 'trigger-sampling-request', { prompt: 'Hi', maxTokens: 10 })
    const asked = bodyOf(await transport.send(call, delivery({ capabilities })))
    const [key = ''] = Object.keys(asked['inputRequests'])
    const reply = { role: 'assistant', model: 'm', content: { type: 'text', text: 'Sampled.' } }
    const answers = { responses: { [key]: reply }, state: asked['requestState'] }
    expect(JSON.stringify(bodyOf(await transport.send(call, delivery({ capabilities, answers }))))).toContain(
      'Sampled.',
    )
  })

  it('keeps what it cannot ask for to itself', async () => {
    const target = targetAt(server.url)
    const body = bodyOf(await room.transport(target).send(callOf(target, 'trigger-elicitation-request'), delivery()))
    expect(body['isError']).toBe(true)
  })

  it('gives unknown resources their error, and unknown tools as a result', async () => {
    const target = targetAt(server.url)
    const read = room.transport(target).send(request(target, 'resources/read', { uri: 'demo://none' }), delivery())
    await expect(read).rejects.toMatchObject({ code: 'unknown_resource' })
    const body = bodyOf(await room.transport(target).send(callOf(target, 'no-such-tool'), delivery()))
    expect(body['isError']).toBe(true)
  })

  it('subscribes to a resource and hears of it', async () => {
    const target = targetAt(server.url)
    const transport = room.transport(target)
    const uri = 'demo://resource/dynamic/text/2'
    expect(bodyOf(await transport.send(request(target, 'resources/subscribe', { uri }), delivery()))).toEqual({})
    expect(bodyOf(await transport.send(request(target, 'resources/unsubscribe', { uri }), delivery()))).toEqual({})
  })

  it('is left when its caller is gone', async () => {
    const target = targetAt(server.url)
    const signal = new Cancellation()
    const call = callOf(target, 'trigger-long-running-operation', { duration: 60, steps: 6 })
    const sent = room.transport(target).send(call, delivery({ signal }))
    signal.abort()
    await expect(sent).rejects.toMatchObject({ code: 'cancelled' })
  })

  it('is given up after the target’s time', async () => {
    const target = targetAt(server.url, { timeoutMs: 200 })
    const call = callOf(target, 'trigger-long-running-operation', { duration: 60, steps: 6 })
    await expect(room.transport(target).send(call, delivery())).rejects.toMatchObject({ code: 'target_timeout' })
  })
})

describe('a server of 2026-07-28', () => {
  let server: ModernServer
  beforeAll(async () => {
    server = await startModern()
  })
  afterAll(() => server.close())

  it('lists, and tells when its list has changed', async () => {
    const target = targetAt(server.url, { name: 'modern' })
    const options = { target, credential: undefined, egress: room.egress, refreshMs: 300_000 }
    const names = async (): Promise<string[]> =>
      JSON.parse(Buffer.from(await room.upstreams.listing(options)).toString()).tools.map(
        ({ name }: { name: string }) => name,
      )
    expect(await names()).toEqual(['echo', 'greet', 'regional', 'slow'])
    expect(room.upstreams.eraOf(target)).toBe('modern')
  })

  it('answers calls without a handshake, prompts and resources', async () => {
    const target = targetAt(server.url)
    const transport = room.transport(target)
    await transport.send(callOf(target, 'echo'), delivery())
    const before = server.seen.length
    const echo = bodyOf(await transport.send(callOf(target, 'echo', { big: 1.5, list: [1] }), delivery()))
    expect(server.seen.length).toBe(before + 1)
    expect(echo['structuredContent']).toEqual({ big: 1.5, list: [1] })
    const prompt = await transport.send(request(target, 'prompts/get', { name: 'hello' }), delivery())
    expect(bodyOf(prompt)['messages']).toHaveLength(1)
    const read = await transport.send(request(target, 'resources/read', { uri: 'note://one' }), delivery())
    expect(bodyOf(read)['contents'][0].text).toBe('One.')
    const none = transport.send(request(target, 'resources/read', { uri: 'note://two' }), delivery())
    await expect(none).rejects.toMatchObject({ code: 'unknown_resource' })
  })

  it('asks with its own state, which comes back to it', async () => {
    const target = targetAt(server.url)
    const transport = room.transport(target)
    const capabilities = ['elicitation'] as const
    const asked = bodyOf(await transport.send(callOf(target, 'greet'), delivery({ capabilities })))
    expect(asked).toMatchObject({ resultType: 'input_required', requestState: 'the-servers-own' })
    const answers = {
      responses: { who: { action: 'accept', content: { name: 'Ann' } } },
      state: 'the-servers-own',
    }
    const done = bodyOf(await transport.send(callOf(target, 'greet'), delivery({ capabilities, answers })))
    expect(done['content'][0].text).toBe('Hello, Ann')
  })

  it('tells progress and log messages', async () => {
    const target = targetAt(server.url)
    const notices: Notice[] = []
    const onNotice = (notice: Notice): void => void notices.push(notice)
    await room.transport(target).send(callOf(target, 'slow'), delivery({ onNotice }))
    expect(notices).toEqual([
      { kind: 'progress', progress: 1, total: 2, message: 'halfway' },
      { kind: 'log', level: 'warning', logger: 'modern', data: { saw: 'it' } },
    ])
  })

  it('is sent an argument as a header where it wants that', async () => {
    const target = targetAt(server.url)
    const call = callOf(target, 'regional', { region: 'eu' }, [['mcp-param-region', 'eu']])
    expect(bodyOf(await room.transport(target).send(call, delivery()))['content'][0].text).toBe('eu')
  })

  it('tells those who listen that its tools have changed', async () => {
    server.toggle()
    await until(() => room.changed.includes('modern'))
    const target = targetAt(server.url, { name: 'modern' })
    const options = { target, credential: undefined, egress: room.egress, refreshMs: 300_000 }
    expect(Buffer.from(await room.upstreams.listing(options)).toString()).toContain('"extra"')
  }, 20_000)
})
