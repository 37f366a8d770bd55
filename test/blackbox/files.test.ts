/** Files dropped into a running gateway: whole ones take effect, half ones and bad ones never, and no call is lost. */
import { execFile } from 'node:child_process'
import {
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
/** How long a change may take here. What is promised is less; a busy machine is given more. */
const patienceMs = 5_000

let target: Recorder
let gateway: GatewayProcess

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: configuration(),
    files: { 'elsewhere/fixed.json': oneTool(target.origin, 'fixed') },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.answer = json({ ok: true })
})

function configuration(more: object = {}): object {
  return {
    listen: { port: 0 },
    admin: { port: 0 },
    egress: { allow: [target.address] },
    targets: { fixed: { openapi: 'elsewhere/fixed.json' } },
    views: { seen: { tools: ['fixed___*'] } },
    ...more,
  }
}

const drop = (name: string, content: string | object): void => writeIn(gateway.dir, `specs/${name}`, content)
const spec = (name: string): string => join(gateway.dir, 'specs', name)

/** Names of the tools in force, but for those that are always there. */
async function tools(): Promise<string[]> {
  const { headers, body } = modernRequest('tools/list')
  const { json } = await post(`${gateway.url}/mcp`, headers, body)
  return json.result.tools
    .map((tool: { name: string }) => tool.name)
    .filter((name: string) => !/^(?:toolgate|fixed)___/.test(name))
}

const admin = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${gateway.adminUrl}${path}`, { ...init, headers: { authorization: `Bearer ${gateway.adminToken}` } })

interface Shown {
  readonly snapshot: number
  readonly configError?: string
  readonly targets: readonly { name: string; status: string; reasons: string[]; toolCount: number; version: string }[]
}
const shown = async (): Promise<Shown> => (await (await admin('/api/targets')).json()) as Shown
const statusOf = async (name: string) => (await shown()).targets.find((one) => one.name === name)

const inForce = (...names: readonly string[]): Promise<void> =>
  until(
    `the tools are ${names.join(', ') || 'none'}`,
    async () => JSON.stringify(await tools()) === JSON.stringify([...names].toSorted()),
    patienceMs,
  )

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Writes piece by piece, looking at the tools in between; again when the machine made a pause longer than a writer’s. */
async function writeSlowly(path: string, pieces: readonly string[], see: (names: string[]) => void): Promise<void> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const file = openSync(path, 'w')
    let longest = 0
    const seen: string[][] = []
    for (const piece of pieces) {
      writeSync(file, piece)
      const wrote = performance.now()
      while (performance.now() - wrote < 200) {
        seen.push(await tools())
        await pause(20)
      }
      longest = Math.max(longest, performance.now() - wrote)
    }
    closeSync(file)
    if (longest > 300) continue
    seen.forEach(see)
    return
  }
  throw new Error('This machine is too busy to write a file without long pauses.')
}

/** YAML that is a whole description after each piece: one more tool each time. */
const growing = (prefix: string, count: number): string[] => [
  `openapi: 3.1.0\ninfo: { title: slow, version: '1' }\nservers: [{ url: '${target.origin}' }]\npaths:\n`,
  ...Array.from(
    { length: count },
    (_, at) => `  /${prefix}${at}:\n    get: { operationId: ${prefix}${at}, responses: {} }\n`,
  ),
]
const grown = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, at) => `slow___${prefix}${at}`)

describe('a file in the folder', () => {
  it('takes effect when it is added, even to a folder made just now, when it is changed, and when it is removed', async () => {
    expect(await tools()).toEqual([])
    drop('first.json', oneTool(target.origin, 'one'))
    await inForce('first___one')
    drop('second.yaml', growing('s', 1).join(''))
    drop('third.yml', growing('t', 1).join(''))
    await inForce('first___one', 'second___s0', 'third___t0')
    drop('first.json', oneTool(target.origin, 'two'))
    await inForce('first___two', 'second___s0', 'third___t0')
    expect((await callModern(gateway.url, 'first___two')).json.result.isError).toBeUndefined()
    expect(target.requests.at(-1)?.url).toBe('/two')
    expect((await callModern(gateway.url, 'first___one')).json.error.code).toBe(-32602)
    for (const name of ['first.json', 'second.yaml', 'third.yml']) rmSync(spec(name))
    await inForce()
    expect((await shown()).targets.map(({ name }) => name)).toEqual(['fixed', 'toolgate'])
  })

  it('is left alone when it is no description by its name', async () => {
    for (const name of [
      'notes.txt',
      'first.json~',
      '.first.json',
      '.first.json.swp',
      'first.json.tmp',
      'inner/deep.json',
    ])
      drop(name, oneTool(target.origin, 'never'))
    drop('marker.json', oneTool(target.origin, 'marker'))
    await inForce('marker___marker')
    for (const name of [
      'notes.txt',
      'first.json~',
      '.first.json',
      '.first.json.swp',
      'first.json.tmp',
      'inner',
      'marker.json',
    ])
      rmSync(spec(name), { recursive: true })
    await inForce()
  })

  it('never takes effect half-written', async () => {
    await writeSlowly(spec('slow.yaml'), growing('a', 6), (names) =>
      expect(names.length === 6 ? [] : names).toEqual([]),
    )
    await inForce(...grown('a', 6))
  })

  it('keeps its old version in force while a new one is being written over it', async () => {
    await writeSlowly(spec('slow.yaml'), growing('b', 6), (names) =>
      expect([grown('a', 6), grown('b', 6)]).toContainEqual(names),
    )
    await inForce(...grown('b', 6))
    rmSync(spec('slow.yaml'))
    await inForce()
  })

  it('takes effect when it is renamed into place, old as it may be', async () => {
    writeIn(gateway.dir, 'aside.json', oneTool(target.origin, 'one'))
    mkdirSync(spec('.'), { recursive: true })
    renameSync(join(gateway.dir, 'aside.json'), spec('moved.json'))
    await inForce('moved___one')
    drop('.moved.new', oneTool(target.origin, 'two'))
    renameSync(spec('.moved.new'), spec('moved.json'))
    await inForce('moved___two')
    renameSync(spec('moved.json'), spec('other.json'))
    await inForce('other___two')
    rmSync(spec('other.json'))
    await inForce()
  })

  it('takes effect when it is a link that is swapped, by itself or as mounted configuration is', async () => {
    writeIn(gateway.dir, 'v1/linked.json', oneTool(target.origin, 'one'))
    writeIn(gateway.dir, 'v2/linked.json', oneTool(target.origin, 'two'))
    const swap = (to: string, link: string): void => {
      symlinkSync(to, `${link}.new`)
      renameSync(`${link}.new`, link)
    }
    swap('../v1/linked.json', spec('linked.json'))
    await inForce('linked___one')
    swap('../v2/linked.json', spec('linked.json'))
    await inForce('linked___two')
    rmSync(spec('linked.json'))
    await inForce()
    swap('../v1', spec('..data'))
    swap('..data/linked.json', spec('linked.json'))
    await inForce('linked___one')
    swap('../v2', spec('..data'))
    await inForce('linked___two')
    rmSync(spec('linked.json'))
    rmSync(spec('..data'))
    await inForce()
  })
})

describe('a bad file', () => {
  const noServer = {
    openapi: '3.1.0',
    info: { title: 'x', version: '1' },
    paths: { '/x': { get: { operationId: 'x', responses: {} } } },
  }
  const bad: [what: string, content: string | object, reason: RegExp][] = [
    ['is not JSON', '{"openapi": "3.1.0", ', /./],
    ['is not YAML', 'openapi: 3.1.0\n\tpaths: [', /./],
    ['is empty', '', /./],
    ['is a page', '<!doctype html><title>Sign in</title>', /./],
    ['is no description', { hello: 'world' }, /./],
    ['names no server', noServer, /server/],
    ['names a server inside that is not allowed', oneTool('http://127.0.0.1:9', 'x'), /allow/],
  ]

  it.each(bad)('that %s leaves the good one serving and says why', async (_what, content, reason) => {
    drop('shop.json', oneTool(target.origin, 'buy'))
    await until('the shop is there', async () => (await statusOf('shop'))?.status === 'READY', patienceMs)
    const before = await statusOf('shop')
    drop('shop.json', content)
    await until('the failure is told', async () => (await statusOf('shop'))?.status === 'FAILED', patienceMs)
    const { reasons, ...rest } = (await statusOf('shop')) ?? { reasons: [] }
    expect(reasons.join(' ')).toMatch(reason)
    expect(rest).toMatchObject({ toolCount: 1, version: before?.version })
    expect(await tools()).toEqual(['shop___buy'])
    expect((await callModern(gateway.url, 'shop___buy')).json.result.isError).toBeUndefined()
    expect(gateway.log()).toContain('"target":"shop"')
  })

  it('by itself is told, and does not keep others from taking effect', async () => {
    rmSync(spec('shop.json'))
    drop('broken.json', '{')
    drop('fine.json', oneTool(target.origin, 'fine'))
    await inForce('fine___fine')
    expect(await statusOf('broken')).toMatchObject({ status: 'FAILED', toolCount: 0 })
    drop('broken.json', oneTool(target.origin, 'mended'))
    await inForce('broken___mended', 'fine___fine')
    expect(await statusOf('broken')).toMatchObject({ status: 'READY', reasons: [], toolCount: 1 })
  })

  it('that gives the name of another does not take its place', async () => {
    drop('fine.yaml', growing('n', 1).join(''))
    await until(
      'the second is told',
      async () => (await shown()).targets.filter(({ name }) => name === 'fine').length === 2,
      patienceMs,
    )
    expect(
      (await shown()).targets
        .filter(({ name }) => name === 'fine')
        .map(({ status }) => status)
        .toSorted(),
    ).toEqual(['FAILED', 'READY'])
    expect(await tools()).toEqual(['broken___mended', 'fine___fine'])
    for (const name of ['fine.yaml', 'fine.json', 'broken.json']) rmSync(spec(name))
    await inForce()
  })
})

describe('a bad configuration', () => {
  it.each<[what: string, content: string | (() => object), where: RegExp]>([
    ['is cut off', '{"listen": {"port": 0}, "vie', /not JSON/],
    ['has an unknown key', () => configuration({ egres: {} }), /egres/],
    [
      'has a wrong type deep inside',
      () => configuration({ targets: { fixed: { timeoutMs: 'long' } } }),
      /targets\.fixed\.timeoutMs/,
    ],
    [
      'misses a secret',
      () =>
        configuration({
          credentials: { key: { type: 'apiKey', in: 'header', name: 'x', value: { env: 'TOOLGATE_TEST_ABSENT' } } },
        }),
      /credentials\.key\.value/,
    ],
    ['is empty', '', /./],
  ])('that %s stays out of force, and the operator sees why', async (_what, content, where) => {
    writeIn(gateway.dir, 'gateway.config.json', typeof content === 'string' ? content : content())
    await until('it is told', async () => where.test((await shown()).configError ?? ''), patienceMs)
    expect((await post(`${gateway.url}/mcp/seen`, ...listing())).json.result.tools).toHaveLength(1)
    expect((await callModern(gateway.url, 'fixed___fixed')).json.result.isError).toBeUndefined()
    const cut = join(gateway.dir, 'next.json')
    writeFileSync(cut, JSON.stringify(configuration()))
    renameSync(cut, join(gateway.dir, 'gateway.config.json'))
    await until('it is mended', async () => (await shown()).configError === undefined, patienceMs)
  })

  it('gives way to a good one, whose changes then take effect', async () => {
    writeIn(gateway.dir, 'gateway.config.json', configuration({ views: { other: { targets: ['fixed'] } } }))
    await until(
      'the new view is there',
      async () => (await post(`${gateway.url}/mcp/other`, ...listing())).status === 200,
      patienceMs,
    )
    expect((await post(`${gateway.url}/mcp/seen`, ...listing())).status).toBe(404)
    writeIn(gateway.dir, 'gateway.config.json', configuration())
    await until(
      'the old view is back',
      async () => (await post(`${gateway.url}/mcp/seen`, ...listing())).status === 200,
      patienceMs,
    )
  })
})

const listing = (): [{ [name: string]: string }, object] => {
  const { headers, body } = modernRequest('tools/list')
  return [headers, body]
}

describe('a call in flight', () => {
  it.each<[change: string, act: () => void | Promise<unknown>, done: () => Promise<boolean>]>([
    ['its file is removed', () => rmSync(spec('held.json')), async () => (await tools()).length === 0],
    [
      'its file names another tool',
      () => drop('held.json', oneTool(target.origin, 'new')),
      async () => (await tools()).includes('held___new'),
    ],
    [
      'the allowed addresses change',
      () => writeIn(gateway.dir, 'gateway.config.json', configuration({ egress: { allow: [] } })),
      async () => (await statusOf('held'))?.status === 'FAILED',
    ],
  ])('finishes on the snapshot that it began with when %s', async (_change, act, done) => {
    writeIn(gateway.dir, 'gateway.config.json', configuration())
    drop('held.json', oneTool(target.origin, 'held'))
    await until(
      'it can be called',
      async () => (await statusOf('held'))?.status === 'READY' && (await tools()).includes('held___held'),
      patienceMs,
    )
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      target.answer = (request, response, incoming) => {
        release = () => json({ held: true })(request, response, incoming)
        resolve()
      }
    })
    const call = callModern(gateway.url, 'held___held')
    await held
    await act()
    await until('the change took effect', done, patienceMs)
    release()
    expect((await call).json.result).toMatchObject({ content: [{ type: 'text', text: '{"held":true}' }] })
  })
})

describe('registering from outside', () => {
  const put = (name: string, body: string, query = '') => admin(`/api/targets/${name}${query}`, { method: 'PUT', body })

  it('is in force when the admin API has answered', async () => {
    rmSync(spec('held.json'), { force: true })
    writeIn(gateway.dir, 'gateway.config.json', configuration())
    await until(
      'the first state is back',
      async () => (await shown()).targets.every(({ status }) => status === 'READY') && (await tools()).length === 0,
      patienceMs,
    )
    const made = await put('made', JSON.stringify(oneTool(target.origin, 'one')))
    expect([made.status, await tools()]).toEqual([201, ['made___one']])
    const replaced = await put('made', JSON.stringify(oneTool('http://127.0.0.1:9', 'two')), `?server=${target.origin}`)
    expect([replaced.status, await tools()]).toEqual([200, ['made___two']])
    expect((await callModern(gateway.url, 'made___two')).json.result.isError).toBeUndefined()
    for (const [name, body, status] of [
      ['made', '{', 422],
      ['made', '{}', 422],
      ['fixed', '{}', 409],
      ['toolgate', '{}', 409],
      ['a_b', '{}', 400],
    ] as const)
      expect([name, (await put(name, body)).status]).toEqual([name, status])
    expect(await tools()).toEqual(['made___two'])
    const statuses: number[] = []
    for (const name of ['made', 'made', 'fixed', 'toolgate'])
      statuses.push((await admin(`/api/targets/${name}`, { method: 'DELETE' })).status)
    expect([statuses, await tools()]).toEqual([[204, 404, 409, 409], []])
  })

  it('is in force soon after `toolgate add` in another process', async () => {
    writeIn(gateway.dir, 'inbox/Pet Store.json', oneTool(target.origin, 'added'))
    const words = [
      main,
      'add',
      join(gateway.dir, 'inbox/Pet Store.json'),
      '--config',
      join(gateway.dir, 'gateway.config.json'),
    ]
    const { stdout } = await promisify(execFile)(process.execPath, words)
    expect(stdout).toContain('Pet-Store: 1 tools of 1 operations')
    await inForce('Pet-Store___added')
    expect(JSON.parse(readFileSync(spec('Pet-Store.json'), 'utf8'))).toEqual(oneTool(target.origin, 'added'))
    rmSync(spec('Pet-Store.json'))
    await inForce()
  })
})

describe('twenty reloads under load', () => {
  it('lose no call', async () => {
    drop('steady.json', oneTool(target.origin, 'steady'))
    await inForce('steady___steady')
    const first = (await shown()).snapshot
    let going = true
    let answered = 0
    const wrong: string[] = []
    const caller = async (): Promise<void> => {
      while (going) {
        const { json, text } = await callModern(gateway.url, 'steady___steady').catch((error: unknown) => ({
          json: undefined,
          text: String(error),
        }))
        if (json?.result === undefined || json.result.isError === true) wrong.push(text)
        answered++
      }
    }
    const callers = Array.from({ length: 8 }, caller)
    for (let round = 0; round < 20; round++) {
      const from = answered
      const body = JSON.stringify(oneTool(target.origin, `round${round}`))
      const status =
        round % 4 === 3
          ? (await admin('/api/targets/turning', { method: 'DELETE' })).status
          : (await admin('/api/targets/turning', { method: 'PUT', body })).status
      expect(status).toBe(round % 4 === 3 ? 204 : round % 4 === 0 ? 201 : 200)
      await until('calls went on', () => answered > from + 8)
    }
    going = false
    await Promise.all(callers)
    expect(wrong).toEqual([])
    expect((await shown()).snapshot).toBeGreaterThanOrEqual(first + 20)
  })
})
