/** Targets that are functions and MCP servers, attacked: who is called as whom, and who sees whose lists. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createAccess } from '../../src/auth/authorize.ts'
import { askTarget } from '../../src/call/offers.ts'
import type { CallRoom } from '../../src/call/metered.ts'
import type { Snapshot } from '../../src/call/snapshot.ts'
import { Catalogue } from '../../src/catalogue/catalogue.ts'
import { Offered, toOffers } from '../../src/catalogue/offers.ts'
import { runImport } from '../../src/config/import-job.ts'
import { createLiveLists } from '../../src/config/live.ts'
import { type Held, holdBack } from '../../src/config/pins.ts'
import { configSchema } from '../../src/config/schema.ts'
import { Cancellation } from '../../src/core/cancel.ts'
import { systemClock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import type { Principal, Target } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Offers } from '../../src/targets/adapter.ts'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorded, type Recorder, startRecorder } from '../support/recorder.ts'

const mcpTarget = (name: string): Target => ({
  name,
  kind: 'mcp',
  origin: `https://${name}.example.com`,
  basePath: '/mcp',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
})

const configOf = (target: object) => {
  const config = configSchema.parse({ targets: { x: target } }).targets['x']
  if (config === undefined) throw new Error('there is a target')
  return config
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

describe('a file that names a function', () => {
  let target: Recorder
  let gateway: GatewayProcess

  const functionIn = (region: string) => ({
    function: 'orders',
    region,
    tools: [{ name: 'get', description: 'Gets.', inputSchema: { type: 'object', properties: {} } }],
  })
  const { admin, statusOf, tools } = operatorOf(() => gateway)

  beforeAll(async () => {
    target = await startRecorder()
    gateway = await startGatewayProcess({
      config: {
        egress: { allow: [target.address] },
        targets: { fn: { lambda: { endpoint: target.origin } } },
      },
      files: {
        'specs/fn.lambda.json': functionIn('us-east-1'),
        'specs/api.json': oneTool(target.origin, 'act'),
      },
      env: { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret-of-the-operator' },
    })
  })
  afterAll(async () => {
    await gateway.remove()
    await target.close()
  })

  it('is called where it says now, though its tools are the same as before', async () => {
    const calledIn = async (): Promise<string | undefined> => {
      await callModern(gateway.url, 'fn___get')
      return /\/([a-z0-9-]+)\/lambda\/aws4_request/.exec(target.requests.at(-1)?.headers.authorization ?? '')?.[1]
    }
    expect(await calledIn()).toBe('us-east-1')
    writeIn(gateway.dir, 'specs/fn.lambda.json', functionIn('eu-west-1'))
    await until('it is called in the other region', async () => (await calledIn()) === 'eu-west-1', patienceMs)
  })

  it('of any other name gets nothing of the gateway’s own AWS identity: a description may turn into one', async () => {
    writeIn(gateway.dir, 'specs/api.json', functionIn('us-east-1'))
    await until('it is looked at', async () => (await statusOf('api'))?.status === 'FAILED', patienceMs)
    expect((await statusOf('api'))?.reasons[0]).toContain('.lambda.json')
    // what was good before goes on, and is an API still
    expect(await tools()).toContain('api___act')
  })

  it.each([
    ['sent to the admin API', () => JSON.stringify(functionIn('us-east-1'))],
    ['sent as a list alone', () => JSON.stringify(functionIn('us-east-1').tools)],
  ])('is refused when it is %s', async (_how, body) => {
    const answer = await admin('/api/targets/sneaked', { method: 'PUT', body: body() })
    expect(answer.status).toBe(422)
    expect(await answer.text()).toContain('.lambda.json')
  })

  it('is refused when an address answers with it in the place of an OpenAPI description', async () => {
    target.answer = json(functionIn('us-east-1'))
    const answer = await admin(`/api/targets/sneaked?url=${encodeURIComponent(`${target.origin}/openapi.json`)}`, {
      method: 'PUT',
    })
    expect(answer.status).toBe(422)
    expect(await tools()).not.toContain('sneaked___get')
  })
})

describe('toolgate add', () => {
  const main = join(import.meta.dirname, '../../src/main.ts')

  it.each([
    ['orders.lambda.json', 'specs/orders.lambda.json', ''],
    ['orders.json', undefined, '.lambda.json'],
  ])('takes %s for what its name says', async (source, written, words) => {
    const dir = mkdtempSync(join(tmpdir(), 'toolgate-add-'))
    try {
      writeIn(dir, 'gateway.config.json', {})
      writeIn(dir, source, { function: 'orders', region: 'us-east-1', tools: [{ name: 'get', inputSchema: {} }] })
      const ran = promisify(execFile)(process.execPath, [main, 'add', source], { cwd: dir }).then(
        () => '',
        ({ stderr }: { stderr: string }) => stderr,
      )
      expect(await ran).toContain(words)
      expect(existsSync(join(dir, 'specs/orders.json'))).toBe(false)
      expect(existsSync(join(dir, 'specs/orders.lambda.json'))).toBe(written !== undefined)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})

describe('a call whose tool looks the same as before', () => {
  let target: Recorder
  let gateway: GatewayProcess
  const at = (path: string) => ({
    openapi: '3.1.0',
    info: { title: 'API', version: '1' },
    servers: [{ url: target.origin }],
    paths: { [path]: { get: { operationId: 'act', summary: 'Acts', responses: { 200: { description: 'ok' } } } } },
  })
  const becomes = (what: string, wanted: string, found: (request: Recorded | undefined) => unknown): Promise<void> =>
    until(
      what,
      async () => {
        await callModern(gateway.url, 'api___act')
        return found(target.requests.at(-1)) === wanted
      },
      patienceMs,
    )

  beforeAll(async () => {
    target = await startRecorder()
    const key = (value: string) => ({ type: 'apiKey', in: 'header', name: 'x-key', value: { env: value } })
    gateway = await startGatewayProcess({
      config: { egress: { allow: [target.address] }, credentials: { one: key('ONE'), two: key('TWO') } },
      env: { ONE: 'key-number-one', TWO: 'key-number-two' },
    })
  })
  afterAll(async () => {
    await gateway.remove()
    await target.close()
  })

  it('goes to the path that the description says now', async () => {
    writeIn(gateway.dir, 'specs/api.json', at('/old'))
    await becomes('the old path is called', '/old', (request) => request?.url)
    writeIn(gateway.dir, 'specs/api.json', at('/new'))
    await becomes('the new path is called', '/new', (request) => request?.url)
  })

  it('is signed with the credential that was registered last', async () => {
    const { admin } = operatorOf(() => gateway)
    const put = (credential: string) =>
      admin(`/api/targets/api?credential=${credential}`, { method: 'PUT', body: JSON.stringify(at('/new')) })
    expect((await put('one')).status).toBeLessThan(300)
    await becomes('it is signed with one', 'key-number-one', (request) => request?.headers['x-key'])
    expect((await put('two')).status).toBeLessThan(300)
    await becomes('it is signed with two', 'key-number-two', (request) => request?.headers['x-key'])
  })
})

describe('lists of a caller’s own', () => {
  const live = mcpTarget('live')
  const listing = Buffer.from(
    JSON.stringify({ mcp: 1, tools: ['read', 'erase'].map((name) => ({ name, inputSchema: { type: 'object' } })) }),
  )
  const lists = () => {
    let passed = 0
    const access = createAccess([
      { tools: ['live___read'], effect: 'allow' },
      { scopes: ['admin'], tools: ['**'], effect: 'allow' },
    ])
    let asked = 0
    const made = createLiveLists(
      {
        importer: { run: runImport },
        clock: { ...systemClock, monotonic: () => systemClock.monotonic() + passed },
        log: quiet as never,
      },
      [
        {
          target: live,
          config: configOf({ mcp: { url: 'https://live.example.com/mcp', mode: 'live' } }),
          priority: 0,
          place: undefined,
          async list() {
            asked++
            await new Promise((resolve) => setImmediate(resolve))
            return listing
          },
        },
      ],
      {
        listed: () => new Catalogue([], { modern: '' }),
        offers: [],
        access,
        mayUse: (_view, caller, { name, target }) =>
          access.allows(access.audience(caller), { name, target: target.name }),
        facts: { modern: '' },
        pageSize: 0,
      },
    )
    return { made, asked: () => asked, pass: (ms: number) => void (passed += ms) }
  }
  const ann: Principal = { tenant: 't', subject: 'ann', client: 'c', scopes: new Set(['admin']) }
  const narrow: Principal = { ...ann, scopes: new Set() }
  const names = ({ catalogue }: { catalogue: Catalogue }): string[] => catalogue.tools.map(({ name }) => name)

  it('are by what the token in hand allows, whatever another token of the same caller allowed', async () => {
    const { made } = lists()
    expect(names(await made.fresh('', ann))).toEqual(['live___erase', 'live___read'])
    const seen = await made.known('', narrow)
    expect(names(seen)).toEqual(['live___read'])
    expect(seen.catalogue.find('live___erase')).toBeUndefined()
    expect(names(await made.known('', ann))).toEqual(['live___erase', 'live___read'])
  })

  it('are asked for once for all who ask at the same time, or again at once', async () => {
    const { made, asked, pass } = lists()
    await Promise.all(Array.from({ length: 20 }, () => made.fresh('', ann)))
    await made.fresh('', ann)
    expect(asked()).toBe(1)
    pass(limits.liveGapMs)
    await made.fresh('', ann)
    expect(asked()).toBe(2)
  })
})

describe('resources', () => {
  const offers = (some: Partial<Offers>): Offers => ({
    prompts: [],
    resources: [],
    templates: [],
    completions: false,
    subscribe: false,
    ...some,
  })
  const bound = (name: string, some: Partial<Offers>, exclude: string[], priority = 1_000) => ({
    target: mcpTarget(name),
    set: toOffers(name, offers(some), { include: [], exclude, override: new Map() }, () => undefined),
    priority,
  })

  it('that are excluded cannot be read by way of a template that they fit', () => {
    const offered = new Offered([
      bound(
        'files',
        {
          resources: [{ uri: 'file:///secret/key', name: 'key' }],
          templates: [{ uriTemplate: 'file:///{+path}', name: 'any' }],
        },
        ['resource file:///secret/**'],
      ),
    ])
    expect(offered.resource('file:///secret/key')).toBeUndefined()
    expect(offered.resource('file:///secret/other')).toBeUndefined()
    expect(offered.resource('file:///public/page')?.target.name).toBe('files')
  })

  it('that fit templates of two servers are read from the one that the operator puts first', () => {
    const offered = new Offered([
      bound('evil', { templates: [{ uriTemplate: 'file:///{+a}', name: 'any' }] }, [], 5),
      bound('files', { templates: [{ uriTemplate: 'file:///{+path}', name: 'any' }] }, [], 1),
    ])
    expect(offered.resource('file:///x')?.target.name).toBe('files')
  })
})

describe('what a server says in a prompt or a resource', () => {
  const secret = new Secret('p"ss/wörd&1')
  const forms = [
    ['in JSON', JSON.stringify(secret.reveal()).slice(1, -1)],
    ['as percent triples', encodeURIComponent(secret.reveal())],
    ['as it is', secret.reveal()],
  ] as const

  it.each(forms)('is without the credential, %s', async (_form, text) => {
    const target = mcpTarget('up')
    const body = Buffer.from(JSON.stringify({ messages: [{ role: 'user', content: { type: 'text', text } }] }))
    const snapshot = {
      number: 1,
      throttle: { enter: () => () => undefined },
      route: () => ({
        target,
        credential: undefined,
        transport: {
          send: async () => ({ response: { status: 200, headers: new Map(), body, cut: false }, secrets: [secret] }),
        },
      }),
    } as unknown as Snapshot
    const room = {
      clock: systemClock,
      load: { inFlight: 0, waiting: new Map() },
      quotas: { enter: () => undefined },
      billed: new Set(),
      metrics: { call: () => undefined },
      meter: { begin: async () => ({ id: 'u', end: async () => undefined }) },
    } as unknown as CallRoom
    const { result } = await askTarget(
      room,
      snapshot,
      { tenant: 't', subject: 's', client: 'c', scopes: new Set() },
      {
        target,
        name: 'up___p',
        method: 'prompts/get',
        params: { name: 'p' },
        bytesIn: 1,
        messageId: 1,
        capabilities: [],
        header: () => undefined,
      },
      new Cancellation(),
    )
    expect(JSON.stringify(result)).toContain('[secret]')
    expect(JSON.stringify(result)).not.toMatch(/rd(?:&|%26)1/)
  })
})

describe('a pinned target', () => {
  it('tells its operator that another function would be called, or another version of it', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'toolgate-pins-'))
    const made = (qualifier: string) => ({
      kind: 'lambda' as const,
      server: 'https://lambda.us-east-1.amazonaws.com',
      origins: [],
      tools: { entries: [], bytes: new Uint8Array() },
      lambda: { function: 'orders', qualifier },
    })
    try {
      await holdBack(dir, 'fn', made('live'))
      const held: Held = await holdBack(dir, 'fn', made('draft'))
      expect(held.serving.lambda?.qualifier).toBe('live')
      expect(held.words).toContain('"qualifier":"draft"')
    } finally {
      rmSync(dir, { recursive: true })
    }
  })

  it('does not list to each caller for itself, since nobody could approve that', () => {
    expect(() => configOf({ mcp: { url: 'https://a.example.com/mcp', mode: 'live' }, pin: true })).toThrow(/pin/)
  })
})
