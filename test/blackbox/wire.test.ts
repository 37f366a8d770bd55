/** Every revision on the wire, message by message: what it must carry, and what each wrong one is answered with. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { specTypeSchemas } from '@modelcontextprotocol/client'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { anonymous, principalKey } from '../../src/auth/authenticate.ts'
import { Secret } from '../../src/core/secret.ts'
import { createSeal } from '../../src/mcp/seal.ts'
import { type GatewayProcess, startGatewayProcess, until } from '../support/gateway.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { petAnswer, petstore, rex } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import { initialize, legacyHeaders, openEvents, postLegacy } from '../support/wire.ts'

const legacy = ['2025-11-25', '2025-06-18', '2025-03-26'] as const

let target: Recorder
let gateway: GatewayProcess
let mcp = ''

const start = async (dir?: string): Promise<void> => {
  gateway = await startGatewayProcess({
    config: {
      name: 'pet gateway',
      instructions: 'Be kind.',
      admin: { port: 0, tools: false },
      egress: { allow: [target.address] },
      listPageSize: 3,
    },
    files: { 'specs/pets.json': petstore(target.origin) },
    ...(dir === undefined ? {} : { dir }),
  })
  mcp = `${gateway.url}/mcp`
}

beforeAll(async () => {
  target = await startRecorder()
  target.answer = petAnswer
  await start()
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.requests.length = 0
})

const modern = (method: string, params: object = {}, id: unknown = 1) => {
  const { headers, body } = modernRequest(method, params, id)
  return post(mcp, headers, body)
}
const issues = (type: 'DiscoverResult' | 'ListToolsResult' | 'CallToolResult' | 'InitializeResult', value: unknown) =>
  specTypeSchemas[type]['~standard'].validate(value).issues ?? []

describe('2026-07-28', () => {
  it('server/discover says everything that a client needs, and no session is made', async () => {
    const { status, headers, json } = await modern('server/discover', {}, 'd-1')
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('application/json')
    expect(headers.get('mcp-session-id')).toBeNull()
    expect(json).toEqual({
      jsonrpc: '2.0',
      id: 'd-1',
      result: {
        resultType: 'complete',
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: { listChanged: true } },
        instructions: 'Be kind.',
        ttlMs: expect.any(Number),
        cacheScope: 'private',
        _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'pet gateway', version: expect.any(String) } },
      },
    })
    expect(issues('DiscoverResult', json.result)).toEqual([])
  })

  it('tools/list and tools/call carry what every result must', async () => {
    const info = { 'io.modelcontextprotocol/serverInfo': { name: 'pet gateway', version: expect.any(String) } }
    const list = await modern('tools/list')
    expect(list.json.result).toMatchObject({
      resultType: 'complete',
      ttlMs: expect.any(Number),
      cacheScope: 'private',
      _meta: info,
    })
    expect(issues('ListToolsResult', list.json.result)).toEqual([])
    const call = await callModern(gateway.url, 'pets___getPet', { petId: '7' })
    expect(call.json).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: {
        content: [{ type: 'text', text: JSON.stringify(rex) }],
        structuredContent: rex,
        resultType: 'complete',
        _meta: info,
      },
    })
    expect(issues('CallToolResult', call.json.result)).toEqual([])
  })

  const version = 'io.modelcontextprotocol/protocolVersion'
  const capabilities = 'io.modelcontextprotocol/clientCapabilities'
  it.each<[wrong: string, status: number, code: number, method: string, headers: object, meta?: object]>([
    ['no MCP-Protocol-Version', 400, -32020, 'tools/list', { 'mcp-protocol-version': undefined }],
    ['another revision in the body', 400, -32020, 'tools/list', {}, { [version]: '2025-11-25' }],
    ['an older revision in the header', 400, -32020, 'tools/list', { 'mcp-protocol-version': '2025-11-25' }],
    [
      'an unknown revision',
      400,
      -32022,
      'tools/list',
      { 'mcp-protocol-version': '2099-01-01' },
      { [version]: '2099-01-01' },
    ],
    ['no revision in _meta', 400, -32602, 'tools/list', {}, { [version]: undefined }],
    ['no capabilities in _meta', 400, -32602, 'tools/list', {}, { [capabilities]: undefined }],
    ['no Mcp-Method', 400, -32020, 'tools/list', { 'mcp-method': undefined }],
    ['another Mcp-Method', 400, -32020, 'tools/list', { 'mcp-method': 'tools/call' }],
    ['an Mcp-Method in another case', 400, -32020, 'tools/list', { 'mcp-method': 'Tools/List' }],
    ['no Mcp-Name', 400, -32020, 'tools/call', { 'mcp-name': undefined }],
    ['another Mcp-Name', 400, -32020, 'tools/call', { 'mcp-name': 'pets___getPhoto' }],
    ['an Mcp-Name whose base64 is another name', 400, -32020, 'tools/call', { 'mcp-name': '=?base64?YQ==?=' }],
    ['an Mcp-Name whose base64 is broken', 400, -32020, 'tools/call', { 'mcp-name': '=?base64?cGV0c19fX2dldFBldA?=' }],
    ['a method that nobody knows', 404, -32601, 'tools/dance', {}],
    ['a method of older revisions: initialize', 404, -32601, 'initialize', {}],
    ['a method of older revisions: ping', 404, -32601, 'ping', {}],
    ['a method of older revisions: logging/setLevel', 404, -32601, 'logging/setLevel', {}],
    ['a method by the name of a member', 404, -32601, 'constructor', {}],
  ])(
    'refuses %s with %i and %i, naming the request, and sends nothing on',
    async (_wrong, status, code, method, headers, meta = {}) => {
      const params = method === 'tools/call' ? { name: 'pets___getPet', arguments: { petId: '7' } } : {}
      const request = modernRequest(method, { ...params, _meta: meta }, 'r-1')
      const kept = Object.entries({ ...request.headers, ...headers }).filter(([, value]) => value !== undefined)
      const answer = await post(mcp, Object.fromEntries<string>(kept), request.body)
      expect(answer.json).toMatchObject({ jsonrpc: '2.0', id: 'r-1', error: { code } })
      expect(answer.status).toBe(status)
      if (code === -32022)
        expect(answer.json.error.data).toEqual({ supported: ['2026-07-28'], requested: '2099-01-01' })
      expect(target.requests).toEqual([])
    },
  )

  it('takes an Mcp-Name in base64, no client info, and headers that it has no use for', async () => {
    const { headers, body } = modernRequest('tools/call', { name: 'pets___getPet', arguments: { petId: '7' } })
    const name = `=?base64?${Buffer.from('pets___getPet').toString('base64')}?=`
    const slim = JSON.parse(JSON.stringify(body))
    delete slim.params._meta['io.modelcontextprotocol/clientInfo']
    const stray = { 'mcp-name': name, 'mcp-session-id': 'none', 'last-event-id': '4' }
    const answer = await post(mcp, { ...headers, ...stray }, slim)
    expect(answer.json.result.structuredContent).toEqual(rex)
    expect(answer.headers.get('mcp-session-id')).toBeNull()
  })

  it('answers an unknown tool as a fault of the parameters, with 200', async () => {
    const answer = await callModern(gateway.url, 'pets___nothing')
    expect([answer.status, answer.json.error.code, answer.json.id]).toEqual([200, -32602, 1])
  })

  it('takes a notification with 202 and no body, and never calls a tool for one', async () => {
    for (const method of ['notifications/cancelled', 'tools/call']) {
      const { headers, body } = modernRequest(method, { name: 'pets___getPet', arguments: { petId: '7' } })
      const answer = await post(mcp, headers, { ...body, id: undefined })
      expect([answer.status, answer.text]).toEqual([202, ''])
    }
    expect(target.requests).toEqual([])
  })

  it.each(['GET', 'DELETE'])('has no %s', async (method) => {
    const headers = { 'mcp-protocol-version': '2026-07-28', accept: 'text/event-stream' }
    const response = await fetch(mcp, { method, headers })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
  })

  it('subscriptions/listen first says what it will tell, with the id of the request', async () => {
    const { headers, body } = modernRequest(
      'subscriptions/listen',
      { notifications: { toolsListChanged: true, promptsListChanged: true } },
      'sub-1',
    )
    const stream = await openEvents(mcp, { method: 'POST', headers, body: JSON.stringify(body) })
    await until('the first message is there', () => stream.messages().length > 0)
    expect(stream.headers.get('content-type')).toBe('text/event-stream')
    expect(stream.headers.get('x-accel-buffering')).toBe('no')
    expect(stream.messages()).toEqual([
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: {
          notifications: { toolsListChanged: true },
          _meta: { 'io.modelcontextprotocol/subscriptionId': 'sub-1' },
        },
      },
    ])
    await stream.close()
  })
})

describe.each(legacy)('%s', (revision) => {
  let session = ''
  beforeAll(async () => {
    session = (await initialize(mcp, revision)).session
  })
  const ask = (method: string, params = {}, as: string | undefined = session) =>
    postLegacy(mcp, revision, as, method, params)

  it('initialize agrees on it and gives a session of visible ASCII', async () => {
    const { status, json, session } = await initialize(mcp, revision)
    expect([status, json.id]).toEqual([200, 0])
    expect(json.result).toEqual({
      protocolVersion: revision,
      capabilities: { tools: { listChanged: true }, logging: {} },
      serverInfo: { name: 'pet gateway', version: expect.any(String) },
      instructions: 'Be kind.',
    })
    expect(issues('InitializeResult', json.result)).toEqual([])
    expect(session).toMatch(/^[\x21-\x7e]{16,2048}$/)
  })

  it('answers ping, takes notifications, lists and calls without the members of later revisions', async () => {
    expect((await ask('ping')).json).toEqual({ jsonrpc: '2.0', id: 1, result: {} })
    const initialized = await post(mcp, legacyHeaders(revision, session), {
      jsonrpc: '2.0',
      method: 'notifications/initialized',
    })
    expect([initialized.status, initialized.text]).toEqual([202, ''])
    expect(Object.keys((await ask('tools/list')).json.result)).toEqual(['tools', 'nextCursor'])
    const call = await ask('tools/call', { name: 'pets___getPet', arguments: { petId: '7' } })
    expect(call.json.result).toEqual({ content: [{ type: 'text', text: JSON.stringify(rex) }], structuredContent: rex })
  })

  it.each([
    ['a method that nobody knows', 'tools/dance', {}, -32601],
    ['a method of the later revision', 'server/discover', {}, -32601],
    ['a tool that nobody knows', 'tools/call', { name: 'pets___nothing' }, -32602],
    ['a log level that is none', 'logging/setLevel', { level: 'loud' }, -32602],
    ['a cursor that was never given', 'tools/list', { cursor: 'bm9uZQ' }, -32602],
  ])('answers %s in the message, not in the status', async (_what, method, params, code) => {
    const { status, json } = await ask(method, params)
    expect(json).toMatchObject({ id: 1, error: { code } })
    expect(status).toBe(200)
  })

  it('ends a session with DELETE: it is unknown from then on, others are not', async () => {
    const other = (await initialize(mcp, revision)).session
    const ended = await fetch(mcp, { method: 'DELETE', headers: legacyHeaders(revision, other) })
    expect(ended.status).toBe(204)
    const gone = await ask('ping', {}, other)
    expect(gone.status).toBe(404)
    expect(gone.json).toMatchObject({ id: 1, error: { code: -32001 } })
    expect((await ask('ping')).status).toBe(200)
  })

  it('refuses batches, and what has no Accept for a stream on GET', async () => {
    const batch = await post(mcp, legacyHeaders(revision, session), [{ jsonrpc: '2.0', id: 1, method: 'ping' }])
    expect([batch.status, batch.json.error.code]).toEqual([400, -32600])
    const get = await fetch(mcp, { headers: { ...legacyHeaders(revision, session), accept: 'application/json' } })
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
  })
})

describe('sessions', () => {
  const forge = (value: object, purpose: string): string => {
    const key = new Secret(readFileSync(join(gateway.dir, '.toolgate/session-key'), 'utf8').trim())
    const owner = principalKey(anonymous)
    return createSeal(key).close(JSON.parse(JSON.stringify(value)), purpose, owner)
  }
  const agreed = { version: '2025-11-25', capabilities: [] }
  const later = Date.now() + 60_000
  const flip = (text: string, at: number): string =>
    `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`

  it.each<[wrong: string, make: (good: string) => string]>([
    ['one that was never given', () => 'e5b2c6b0-1111-4222-8333-000000000000'],
    ['an empty one', () => ''],
    ['one that has expired', () => forge({ ...agreed, until: Date.now() - 1 }, 'session')],
    ['one sealed for something else', () => forge({ ...agreed, until: later }, 'ask')],
    ['one without a term', () => forge(agreed, 'session')],
    ['one that was cut', (good) => good.slice(0, -4)],
    ['one that was made longer', (good) => `${good}AAAA`],
    ['one with its nonce changed', (good) => flip(good, 2)],
    ['one with its text changed', (good) => flip(good, Math.trunc(good.length / 2))],
    ['one with its tag changed', (good) => flip(good, good.length - 6)],
    ['one that is too long', () => 'A'.repeat(4_096)],
  ])('refuses %s with 404, on POST, GET and DELETE', async (_wrong, make) => {
    const { session } = await initialize(mcp, '2025-11-25')
    const headers = legacyHeaders('2025-11-25', make(session))
    const answer = await post(mcp, headers, { jsonrpc: '2.0', id: 1, method: 'ping' })
    expect([answer.status, answer.json.error?.code]).toEqual([404, -32001])
    expect((await fetch(mcp, { method: 'DELETE', headers })).status).toBe(404)
    expect((await fetch(mcp, { headers })).status).toBe(404)
  })

  it('takes one sealed as ours are, so that the refusals above are for their faults', async () => {
    const session = forge({ ...agreed, until: later }, 'session')
    expect((await postLegacy(mcp, '2025-11-25', session, 'ping')).status).toBe(200)
  })

  it('refuses a revision that it does not speak with 400, and offers its newest to who asks for another', async () => {
    const answer = await postLegacy(mcp, '2024-11-05', undefined, 'ping')
    expect(answer.status).toBe(400)
    expect((await initialize(mcp, '2024-11-05')).json.result.protocolVersion).toBe('2025-11-25')
  })
})

describe('a restart', () => {
  it('closes streams in order, and sessions go on in the same data folder', async () => {
    const { session } = await initialize(mcp, '2025-06-18')
    const { headers, body } = modernRequest('subscriptions/listen', { notifications: {} }, 77)
    const subscription = await openEvents(mcp, { method: 'POST', headers, body: JSON.stringify(body) })
    const stream = await openEvents(mcp, {
      headers: { ...legacyHeaders('2025-06-18', session), accept: 'text/event-stream' },
    })
    await until('the subscription is there', () => subscription.messages().length === 1)
    expect(stream.status).toBe(200)
    expect(await gateway.stop()).toBe(0)
    await until('both have ended', () => subscription.ended() && stream.ended())
    expect(subscription.messages().at(-1)).toMatchObject({ id: 77, result: { resultType: 'complete' } })
    await start(gateway.dir)
    const call = await postLegacy(mcp, '2025-06-18', session, 'tools/call', {
      name: 'pets___getPet',
      arguments: { petId: '7' },
    })
    expect(call.json.result.structuredContent).toEqual(rex)
  })
})
