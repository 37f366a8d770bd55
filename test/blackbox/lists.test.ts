/** Lists and answers in every form that they are given in: pages, compressed, views, for browsers, with progress. */
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { modernRequest, post } from '../support/mcp.ts'
import { petAnswer, petstore, petTools, rex } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import { initialize, type Loose, messagesIn, postLegacy, rawPost } from '../support/wire.ts'

const app = 'https://app.example.com'
const legacy = ['2025-11-25', '2025-06-18', '2025-03-26'] as const

let target: Recorder
let gateway: GatewayProcess
let mcp = ''

beforeAll(async () => {
  target = await startRecorder()
  target.answer = petAnswer
  gateway = await startGatewayProcess({
    config: {
      listen: { port: 0, allowedOrigins: [app] },
      admin: { port: 0, tools: false },
      egress: { allow: [target.address] },
      listPageSize: 3,
      views: { readers: { tools: ['pets___get*'] }, none: {} },
    },
    files: { 'specs/pets.json': petstore(target.origin) },
  })
  mcp = `${gateway.url}/mcp`
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.requests.length = 0
})

const modern = (method: string, params: object = {}, id: unknown = 1, url = mcp) => {
  const { headers, body } = modernRequest(method, params, id)
  return post(url, headers, body)
}

describe('pages of tools/list', () => {
  const walk = async (ask: (params: object) => Promise<{ json: Loose }>): Promise<string[][]> => {
    const pages: string[][] = []
    for (let cursor: string | undefined = ''; cursor !== undefined; ) {
      const { json } = await ask(cursor === '' ? {} : { cursor })
      pages.push(json.result.tools.map((tool: { name: string }) => tool.name))
      cursor = json.result.nextCursor as string | undefined
      expect(pages.length).toBeLessThan(9)
    }
    return pages
  }
  const pages = [petTools.slice(0, 3), petTools.slice(3, 6), petTools.slice(6)]

  it('make the whole list, in a stable order, in every revision', async () => {
    expect(await walk((params) => modern('tools/list', params))).toEqual(pages)
    expect(await walk((params) => modern('tools/list', params))).toEqual(pages)
    for (const revision of legacy)
      expect(await walk((params) => postLegacy(mcp, revision, undefined, 'tools/list', params))).toEqual(pages)
  })

  it('begin at the empty cursor, too', async () => {
    const { json } = await modern('tools/list', { cursor: '' })
    expect(json.result.tools.map((tool: { name: string }) => tool.name)).toEqual(pages[0])
  })

  const base64 = (text: string): string => Buffer.from(text).toString('base64url')
  it.each([
    ['a word', 'next'],
    ['a number', 3],
    ['nothing', null],
    ['an object', {}],
    ['a name that no tool has', base64('pets___zzz')],
    ['the last tool', base64(petTools.at(-1) ?? '')],
    ['ten thousand characters', 'A'.repeat(10_000)],
  ])('refuse a cursor that is %s', async (_what, cursor) => {
    const { status, json } = await modern('tools/list', { cursor })
    expect([status, json.error?.code]).toEqual([400, -32602])
  })
})

describe('the bytes of tools/list', () => {
  it.each(['gzip', 'deflate, gzip;q=0.5, br'])('are one gzip member of the same JSON for "%s"', async (accepted) => {
    for (const id of [1, 'ü'.repeat(100), 'x']) {
      const { headers, body } = modernRequest('tools/list', {}, id)
      const plain = await rawPost(mcp, headers, body)
      const packed = await rawPost(mcp, { ...headers, 'accept-encoding': accepted }, body)
      expect(plain.headers['content-encoding']).toBeUndefined()
      expect(packed.headers['content-encoding']).toBe('gzip')
      expect(Number(packed.headers['content-length'])).toBe(packed.body.length)
      expect(gunzipSync(packed.body).toString()).toBe(plain.body.toString())
      expect(JSON.parse(plain.body.toString()).id).toBe(id)
    }
  })

  it.each(['gzip;q=0', 'identity', 'br, gzip; q=0.0', ''])('are plain for "%s"', async (accepted) => {
    const { headers, body } = modernRequest('tools/list')
    const answer = await rawPost(mcp, { ...headers, 'accept-encoding': accepted }, body)
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(JSON.parse(answer.body.toString()).result.tools).toHaveLength(3)
  })
})

describe('views', () => {
  const names = async (view: string) =>
    (await modern('tools/list', {}, 1, `${mcp}/${view}`)).json.result.tools.map((tool: { name: string }) => tool.name)

  it('list and call their own tools only; others do not exist there', async () => {
    expect(await names('readers')).toEqual(['pets___getPet', 'pets___getPhoto'])
    expect(await names('none')).toEqual([])
    const call = (name: string) => modern('tools/call', { name, arguments: { petId: '7' } }, 1, `${mcp}/readers`)
    expect((await call('pets___getPet')).json.result.structuredContent).toEqual(rex)
    const [hidden, absent] = [await call('pets___deletePet'), await call('pets___nothing')]
    expect(hidden.text).toBe(absent.text)
    expect(hidden.json.error.code).toBe(-32602)
    const { session } = await initialize(`${mcp}/readers`, '2025-11-25')
    const legacyCall = await postLegacy(`${mcp}/readers`, '2025-11-25', session, 'tools/call', {
      name: 'pets___deletePet',
      arguments: { petId: '7' },
    })
    expect(legacyCall.json.error.code).toBe(-32602)
    expect(target.requests.map(({ method }) => method)).toEqual(['GET'])
  })

  it.each(['nobody', 'constructor', '__proto__', 'readers/', 'Readers', 'readers%2f'])(
    '/mcp/%s is not there',
    async (view) => {
      expect((await modern('tools/list', {}, 1, `${mcp}/${view}`)).status).toBe(404)
    },
  )
})

describe('browsers', () => {
  it.each([app, 'http://localhost:5173', 'http://127.0.0.1'])('may ask from %s', async (origin) => {
    const preflight = await fetch(mcp, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'mcp-method' },
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin)
    const words = (name: string): string[] => (preflight.headers.get(name) ?? '').toLowerCase().split(/, ?/)
    expect(words('access-control-allow-methods')).toEqual(expect.arrayContaining(['post', 'get', 'delete']))
    const needed = ['content-type', 'authorization', 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'mcp-session-id']
    expect(words('access-control-allow-headers')).toEqual(expect.arrayContaining(needed))
    const { headers, body } = modernRequest('tools/list')
    const answer = await post(mcp, { ...headers, origin, 'accept-encoding': 'identity' }, body)
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin)
    expect(answer.headers.get('access-control-expose-headers')?.toLowerCase()).toContain('mcp-session-id')
    // two answers to one address must not be mixed up in a cache
    expect((answer.headers.get('vary') ?? '').toLowerCase().split(/, ?/).toSorted()).toEqual([
      'accept-encoding',
      'origin',
    ])
  })

  it.each(['https://evil.example', 'null', `${app}.evil.example`, 'http://app.example.com', `${app}:444`])(
    'may not ask from %s',
    async (origin) => {
      const { headers, body } = modernRequest('tools/list')
      for (const init of [{ method: 'OPTIONS' }, { method: 'POST', body: JSON.stringify(body) }]) {
        const answer = await fetch(mcp, {
          ...init,
          headers: { ...headers, origin, 'access-control-request-method': 'POST' },
        })
        expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([403, null])
      }
    },
  )
})

describe('progress', () => {
  const call = { name: 'pets___getPet', arguments: { petId: '7' } }
  const asked = (progressToken: unknown) => ({ ...call, _meta: { progressToken } })

  it.each([['p-1'], [7], [0]])('is told ahead of the result to who gave the token %j, growing', async (token) => {
    const { session } = await initialize(mcp, '2025-11-25')
    for (const answer of [
      await modern('tools/call', asked(token)),
      await postLegacy(mcp, '2025-11-25', session, 'tools/call', asked(token)),
    ]) {
      expect(answer.headers.get('content-type')).toBe('text/event-stream')
      const messages = messagesIn(answer.text)
      const told = messages.slice(0, -1)
      expect(told.length).toBeGreaterThan(0)
      for (const message of told)
        expect(message).toMatchObject({ method: 'notifications/progress', params: { progressToken: token } })
      const steps = told.map(({ params }) => params.progress as number)
      expect(steps).toEqual([...new Set(steps)].toSorted((a, b) => a - b))
      expect(messages.at(-1)).toMatchObject({ id: 1, result: { structuredContent: rex } })
    }
  })

  it('is not told to who reads JSON only, nor to who did not ask', async () => {
    const { headers, body } = modernRequest('tools/call', asked('p-1'))
    const json = await post(mcp, { ...headers, accept: 'application/json' }, body)
    const quiet = await modern('tools/call', call)
    for (const answer of [json, quiet]) {
      expect(answer.headers.get('content-type')).toBe('application/json')
      expect(answer.json.result.structuredContent).toEqual(rex)
    }
  })
})
