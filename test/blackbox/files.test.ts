/** Files dropped into a running gateway: whole ones take effect, half ones and bad ones never. */
import {
  appendFileSync,
  closeSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'

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

const { admin, inForce, list, shown, statusOf, tools } = operatorOf(() => gateway)
const drop = (name: string, content: string | object): void => writeIn(gateway.dir, `specs/${name}`, content)
const spec = (name: string): string => join(gateway.dir, 'specs', name)
const calls = async (tool: string): Promise<boolean> =>
  (await callModern(gateway.url, tool)).json.result?.isError !== true
const different = (seen: readonly string[][]): string[] => [...new Set(seen.map((names) => names.join()))]
const swap = (to: string, link: string): void => {
  symlinkSync(to, `${link}.new`)
  renameSync(`${link}.new`, link)
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Writes piece by piece, looking at the tools in between; again when the machine made a pause longer than a writer’s. */
async function writeSlowly(
  path: string,
  pieces: readonly string[],
  look: () => Promise<string[]>,
): Promise<string[][]> {
  for (let attempt = 0; attempt < 8; attempt++) {
    const file = openSync(path, 'w')
    let longest = 0
    const seen: string[][] = []
    for (const piece of pieces) {
      const began = performance.now()
      writeSync(file, piece)
      while (performance.now() - began < 180) {
        seen.push(await look())
        await pause(20)
      }
      longest = Math.max(longest, performance.now() - began)
    }
    closeSync(file)
    if (longest < 300) return seen
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

/** Takes every file away, whatever a test left, so that none stands in the way of the next. */
async function clear(): Promise<void> {
  for (const name of readdirSync(spec('.'))) rmSync(spec(name), { recursive: true })
  await inForce()
}

describe('a file in the folder', () => {
  afterEach(clear)

  it('takes effect when it is added, even to a folder made just now, when it is changed, and when it is removed', async () => {
    expect(await tools()).toEqual([])
    drop('first.json', oneTool(target.origin, 'one'))
    await inForce('first___one')
    drop('second.yaml', growing('s', 1).join(''))
    drop('Third Shop.yml', growing('t', 1).join(''))
    await inForce('first___one', 'second___s0', 'Third-Shop___t0')
    drop('first.json', oneTool(target.origin, 'two'))
    await inForce('first___two', 'second___s0', 'Third-Shop___t0')
    expect(await calls('first___two')).toBe(true)
    expect(target.requests.at(-1)?.url).toBe('/two')
    expect((await callModern(gateway.url, 'first___one')).json.error.code).toBe(-32602)
    for (const name of ['first.json', 'second.yaml', 'Third Shop.yml']) rmSync(spec(name))
    await inForce()
    expect((await shown()).targets.map(({ name }) => name)).toEqual(['fixed', 'toolgate'])
  })

  it('is left alone when it is no description by its name', async () => {
    const names = ['notes.txt', 'a.json~', '.a.json', '.a.json.swp', 'a.json.tmp', 'inner/deep.json', 'marker.json']
    for (const name of names) drop(name, oneTool(target.origin, name.replace(/\W/g, '')))
    await inForce('marker___markerjson')
  })

  it('never takes effect half-written', async () => {
    const seen = await writeSlowly(spec('slow.yaml'), growing('a', 6), tools)
    expect(different(seen).filter((names) => names !== '')).toEqual([])
    await inForce(...grown('a', 6))
  })

  it('keeps its old version in force while a new one is being written over it', async () => {
    drop('slow.yaml', growing('a', 6).join(''))
    await inForce(...grown('a', 6))
    const seen = await writeSlowly(spec('slow.yaml'), growing('b', 6), tools)
    expect(different(seen)).toEqual([grown('a', 6).join()])
    await inForce(...grown('b', 6))
  })

  it('never takes effect half-written when another target is registered meanwhile', async () => {
    let registered = 0
    const seen = await writeSlowly(spec('slow.yaml'), growing('c', 4), async () => {
      const body = JSON.stringify(oneTool(target.origin, `other${registered++}`))
      expect((await admin('/api/targets/other', { method: 'PUT', body })).status).toBeLessThan(300)
      return (await tools()).filter((name) => name.startsWith('slow___'))
    })
    expect(different(seen).filter((names) => names !== '')).toEqual([])
    await until('it is there whole', async () => (await statusOf('slow'))?.toolCount === 4, patienceMs)
  })

  it('takes effect when it is renamed into place', async () => {
    writeIn(gateway.dir, 'aside.json', oneTool(target.origin, 'one'))
    utimesSync(join(gateway.dir, 'aside.json'), 1_000, 1_000)
    renameSync(join(gateway.dir, 'aside.json'), spec('moved.json'))
    await inForce('moved___one')
    drop('.moved.new', oneTool(target.origin, 'two'))
    renameSync(spec('.moved.new'), spec('moved.json'))
    await inForce('moved___two')
    renameSync(spec('moved.json'), spec('other.json'))
    await inForce('other___two')
  })

  it('takes effect when it is a link that is swapped, by itself or as mounted configuration is', async () => {
    writeIn(gateway.dir, 'v1/linked.json', oneTool(target.origin, 'one'))
    writeIn(gateway.dir, 'v2/linked.json', oneTool(target.origin, 'two'))
    swap('../v1/linked.json', spec('linked.json'))
    await inForce('linked___one')
    swap('../v2/linked.json', spec('linked.json'))
    await inForce('linked___two')
    swap('../v1', spec('..data'))
    swap('..data/linked.json', spec('linked.json'))
    await inForce('linked___one')
    swap('../v2', spec('..data'))
    await inForce('linked___two')
  })

  it('takes effect, and holds up no other, when its date lies in the future', async () => {
    drop('early.json', oneTool(target.origin, 'early'))
    const tomorrow = Date.now() / 1_000 + 86_400
    utimesSync(spec('early.json'), tomorrow, tomorrow)
    drop('other.json', oneTool(target.origin, 'other'))
    await inForce('early___early', 'other___other')
  })

  it('holds up no other while it is written to without end', async () => {
    const writing = setInterval(() => appendFileSync(spec('endless.yaml'), '# more\n'), 100)
    try {
      await pause(200)
      drop('other.json', oneTool(target.origin, 'other'))
      await inForce('other___other')
    } finally {
      clearInterval(writing)
    }
  })
})

describe('a description outside the folder', () => {
  it('that the configuration names takes effect when it is changed, too', async () => {
    const fixed = async (): Promise<string> => (await list('/seen')).json.result.tools[0]?.name
    for (const operation of ['changed', 'fixed']) {
      writeIn(gateway.dir, 'elsewhere/fixed.json', oneTool(target.origin, operation))
      await until(`the tool is ${operation}`, async () => (await fixed()) === `fixed___${operation}`, patienceMs)
    }
  })
})

describe('a bad file', () => {
  const plain = { openapi: '3.1.0', info: { title: 'x', version: '1' } }
  const noServer = { ...plain, paths: { '/x': { get: { operationId: 'x', responses: {} } } } }
  const bad: readonly [what: string, content: () => string | object, reason: RegExp][] = [
    ['is not JSON', () => '{"openapi": "3.1.0", ', /./],
    ['is not YAML', () => 'openapi: 3.1.0\n\tpaths: [', /./],
    ['is empty', () => '', /./],
    ['is a page', () => '<!doctype html><title>Sign in</title>', /./],
    ['is no description', () => ({ hello: 'world' }), /./],
    ['names no server', () => noServer, /server/],
    ['names a server that is not allowed', () => oneTool('http://127.0.0.1:9', 'x'), /allow/],
  ]
  const shop = (at: number): string => `shop${at}`
  const versions: (string | undefined)[] = []

  beforeAll(async () => {
    for (const at of bad.keys()) drop(`${shop(at)}.json`, oneTool(target.origin, 'buy'))
    await inForce(...bad.map((_, at) => `${shop(at)}___buy`))
    for (const at of bad.keys()) versions.push((await statusOf(shop(at)))?.version)
    for (const [at, [, content]] of bad.entries()) drop(`${shop(at)}.json`, content())
    const failed = async () => (await shown()).targets.filter(({ status }) => status === 'FAILED').length
    await until('all failures are told', async () => (await failed()) === bad.length, patienceMs)
  })
  afterAll(clear)

  it.each(bad.map(([what, , reason], at) => ({ what, reason, at })))(
    'that $what leaves the good one serving and says why',
    async ({ reason, at }) => {
      const { reasons = [], ...rest } = (await statusOf(shop(at))) ?? {}
      expect(reasons.join(' ')).toMatch(reason)
      expect(rest).toMatchObject({ status: 'FAILED', toolCount: 1, version: versions[at] })
      expect(await tools()).toContain(`${shop(at)}___buy`)
      expect(await calls(`${shop(at)}___buy`)).toBe(true)
      expect(gateway.log()).toContain(`"target":"${shop(at)}"`)
    },
  )
})

describe('a file that was bad from its beginning', () => {
  afterEach(clear)

  it('is told, keeps no other from taking effect, and takes effect once it is mended', async () => {
    drop('broken.json', '{')
    drop('fine.json', oneTool(target.origin, 'fine'))
    await inForce('fine___fine')
    expect(await statusOf('broken')).toMatchObject({ status: 'FAILED', toolCount: 0 })
    drop('broken.json', oneTool(target.origin, 'mended'))
    await inForce('broken___mended', 'fine___fine')
    expect(await statusOf('broken')).toMatchObject({ status: 'READY', reasons: [], toolCount: 1 })
  })

  it('does not take the place of another whose name it gives', async () => {
    const fines = async () => (await shown()).targets.filter(({ name }) => name === 'fine')
    drop('fine.json', oneTool(target.origin, 'fine'))
    drop('fine.yaml', growing('n', 1).join(''))
    await until('the second is told', async () => (await fines()).length === 2, patienceMs)
    expect((await fines()).map(({ status }) => status).toSorted()).toEqual(['FAILED', 'READY'])
    expect(await tools()).toEqual(['fine___fine'])
  })
})

describe('a bad configuration', () => {
  const key = { type: 'apiKey', in: 'header', name: 'x', value: { env: 'TOOLGATE_TEST_ABSENT' } }
  it.each<[what: string, content: () => string | object, where: RegExp]>([
    ['is cut off', () => '{"listen": {"port": 0}, "vie', /not JSON/],
    ['has an unknown key', () => configuration({ egres: {} }), /egres/],
    [
      'has a wrong type deep inside',
      () => configuration({ targets: { fixed: { timeoutMs: 'long' } } }),
      /targets\.fixed\.timeoutMs/,
    ],
    ['misses a secret', () => configuration({ credentials: { key } }), /credentials\.key\.value/],
    [
      'names a credential that is not there',
      () => configuration({ targets: { fixed: { credential: 'k' } } }),
      /targets\.fixed\.credential/,
    ],
    ['is empty', () => '', /not JSON/],
  ])('that %s stays out of force, and the operator sees where', async (_what, content, where) => {
    writeIn(gateway.dir, 'gateway.config.json', content())
    await until('it is told', async () => where.test((await shown()).configError ?? ''), patienceMs)
    expect((await list('/seen')).json.result.tools).toHaveLength(1)
    expect(await calls('fixed___fixed')).toBe(true)
  })

  it('gives way to a good one, renamed into its place, whose changes then take effect', async () => {
    writeIn(gateway.dir, 'next.json', configuration({ views: { other: { targets: ['fixed'] } } }))
    renameSync(join(gateway.dir, 'next.json'), join(gateway.dir, 'gateway.config.json'))
    await until('the new view is there', async () => (await list('/other')).status === 200, patienceMs)
    expect((await list('/seen')).status).toBe(404)
    expect((await shown()).configError).toBeUndefined()
  })

  it('may be a link that is swapped', async () => {
    writeIn(gateway.dir, 'conf/1.json', configuration())
    writeIn(gateway.dir, 'conf/2.json', configuration({ views: { second: { targets: ['fixed'] } } }))
    const file = join(gateway.dir, 'gateway.config.json')
    for (const [to, view] of [
      ['conf/1.json', '/seen'],
      ['conf/2.json', '/second'],
    ] as const) {
      swap(to, file)
      await until(`${view} is there`, async () => (await list(view)).status === 200, patienceMs)
    }
  })
})
