/** The command line as it is typed: results on standard output, talk on standard error, 0, 1 or 2 at the end. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { operatorOf } from '../support/operator.ts'
import { oneTool, petAnswer, petstore, petTools, rex } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import type { Loose } from '../support/wire.ts'

const bin = join(import.meta.dirname, '../../bin/toolgate.mjs')

let target: Recorder
let gateway: GatewayProcess

const swagger = {
  swagger: '2.0',
  info: { title: 'old', version: '1' },
  host: 'old.example',
  schemes: ['https'],
  paths: { '/a': { get: { responses: {} } }, '/no-slash': { get: { operationId: 'b', responses: {} } } },
}

beforeAll(async () => {
  target = await startRecorder()
  target.answer = petAnswer
  gateway = await startGatewayProcess({
    config: { admin: { port: 0, tools: false }, egress: { allow: [target.address] } },
    files: {
      'specs/pets.json': petstore(target.origin),
      'old.yaml': JSON.stringify(swagger),
      'broken.yaml': 'openapi: 3.1.0\n  paths: [',
      'odd.json': {
        ...oneTool('https://odd.example', 'fine'),
        paths: { ...paths(oneTool('https://odd.example', 'fine')), 'no/slash': { get: { responses: {} } } },
      },
      'args.json': { petId: '7' },
      'bad.config.json': { egres: {} },
    },
  })
  writeIn(gateway.dir, 'client.config.json', {
    publicUrl: gateway.url,
    credentials: { key: { type: 'apiKey', in: 'header', name: 'x', value: { env: 'TOOLGATE_TEST_ABSENT' } } },
    egress: { allow: [target.address] },
    admin: { tools: false },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})

const paths = (description: object): object => (description as { paths: object }).paths

interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

/** Runs the command in the gateway’s folder, with pipes. */
function toolgate(...words: readonly string[]): Promise<Ran> {
  const child = spawn(process.execPath, [bin, ...words], { cwd: gateway.dir, stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, out, err }))
  })
}

const { admin, inForce, list } = operatorOf(() => gateway)
const client = ['--config', 'client.config.json'] as const
const rows = (text: string): string[][] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd().split(/ {2,}/))

describe.concurrent('toolgate', () => {
  it.each(['serve', 'check', 'add', 'tools', 'call', 'usage'])(
    '%s --help shows its use with an example',
    async (command) => {
      const { status, out, err } = await toolgate(command, '--help')
      expect([status, err]).toEqual([0, ''])
      expect(out).toMatch(new RegExp(`^Usage: toolgate ${command} `))
      expect(out).toContain('--config <file>')
      expect(out).toMatch(new RegExp(`Example:\\n  \\$ toolgate ${command} `))
    },
  )

  it('names its commands and its version', async () => {
    const { status, out } = await toolgate('--help')
    expect(status).toBe(0)
    for (const command of ['serve', 'check', 'add', 'tools', 'call', 'usage'])
      expect(out).toMatch(new RegExp(`^  ${command} `, 'm'))
    const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
      version: string
    }
    expect(await toolgate('--version')).toEqual({ status: 0, out: `${version}\n`, err: '' })
  })

  it.each([
    [''],
    ['nope'],
    ['check --nope'],
    ['tools extra'],
    ['serve --port http'],
    ['serve --port 70000'],
    ['add'],
    ['add odd.json --credential nobody'],
    ['call'],
    ['call a b'],
    ['call pets___getPet --args {'],
    ['call pets___getPet --args []'],
    ['call pets___getPet --args @missing.json'],
    ['call pets___getPet --url nowhere'],
    ['usage --format xml'],
    ['usage --by colour'],
    ['usage --by tool,tool'],
    ['usage --from yesterday'],
    ['usage --from 2026-02-30'],
    ['usage --from 2026-11-02 --to 2026-11-01'],
  ])('%s: these words are wrong, which is 2', async (words) => {
    const { status, out, err } = await toolgate(...words.split(' ').filter((word) => word !== ''))
    expect([status, out]).toEqual([2, ''])
    expect(err).not.toBe('')
    expect(err).not.toMatch(/^ {4}at /m)
  })

  it.each([
    ['add missing.yaml'],
    ['add broken.yaml'],
    ['add http://127.0.0.1:9/openapi.json'],
    ['check --config missing.json'],
    ['serve --config missing.json'],
    ['serve --config bad.config.json'],
    ['serve --config client.config.json'],
    ['tools --config bad.config.json'],
    ['tools --target nobody'],
    ['usage --config missing.json'],
    ['call pets___nothing --config client.config.json'],
    ['call pets___getPet --url http://127.0.0.1:9/mcp'],
  ])('%s: this fails, which is 1, and says why in words', async (words) => {
    const { status, out, err } = await toolgate(...words.split(' '))
    expect([status, out]).toEqual([1, ''])
    expect(err).toMatch(/^toolgate: \S/)
    expect(err).not.toMatch(/^ {4}at /m)
    expect(readdirSync(join(gateway.dir, 'specs'))).toEqual(['pets.json'])
  })
})

describe('toolgate check', () => {
  it('prints what an import comes to', async () => {
    const { status, out, err } = await toolgate('check', 'specs/pets.json')
    expect([status, err]).toEqual([0, ''])
    expect(out).toMatch(/^specs\/pets\.json: .*3\.1.*, 7 tools of 7 operations/)
    expect(rows(out).map(([operation, tool]) => [operation, tool])).toEqual(
      expect.arrayContaining([
        ['OPERATION', 'TOOL'],
        ['GET /pets/{petId}', 'pets___getPet'],
        ['PUT /pets/{petId}/photo', 'pets___putPhoto'],
      ]),
    )
  })

  it('prints each of several, and fails when one cannot be imported', async () => {
    const { status, out, err } = await toolgate('check', 'specs/pets.json', 'broken.yaml', 'missing.yaml')
    expect([status, err]).toEqual([1, ''])
    for (const name of ['specs/pets.json', 'broken.yaml', 'missing.yaml']) expect(out).toContain(`${name}: `)
    expect(out).toContain('1 of 3 documents can be imported.')
  })

  it('takes the configured targets when it is given no file', async () => {
    const { status, out } = await toolgate('check')
    expect(status).toBe(0)
    expect(out).toContain('7 tools of 7 operations')
  })

  it('--json prints one object a document, a line each', async () => {
    const { status, out, err } = await toolgate(
      'check',
      '--json',
      'specs/pets.json',
      'broken.yaml',
      'old.yaml',
      'odd.json',
    )
    expect([status, err]).toEqual([1, ''])
    const [pets, broken, old, odd] = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    for (const document of [pets, broken, old, odd])
      expect(Object.keys(document).toSorted()).toEqual(['format', 'issues', 'ok', 'operations', 'source', 'tools'])
    expect(pets).toMatchObject({ source: 'specs/pets.json', ok: true, operations: 7, issues: [] })
    const { tools } = (await list()).json.result
    expect(
      pets.tools.map(({ operation, ...definition }: { operation: string }) => [typeof operation, definition]),
    ).toEqual(tools.map((definition: object) => ['string', definition]))
    expect(pets.tools[2]).toMatchObject({ name: 'pets___getPet', operation: 'GET /pets/{petId}' })
    expect(broken).toMatchObject({ source: 'broken.yaml', ok: false, operations: 0, tools: [] })
    expect(broken.issues).toEqual([
      {
        severity: 'error',
        code: expect.any(String),
        pointer: expect.any(String),
        message: expect.any(String),
        line: expect.any(Number),
      },
    ])
    expect(old).toMatchObject({ ok: true, operations: 2 })
    expect(old.format).toMatch(/2\.0/)
    expect(old.tools.map(({ name }: { name: string }) => name)).toEqual(['old___b', 'old___get_a'])
    expect(odd).toMatchObject({ ok: true })
    expect(odd.issues).toContainEqual({
      severity: 'warning',
      code: expect.any(String),
      pointer: expect.stringContaining('/paths/no~1slash'),
      message: expect.any(String),
      line: expect.any(Number),
    })
  })
})

describe('toolgate tools', () => {
  it('prints the catalogue as a table, or as the definitions that clients get, without looking secrets up', async () => {
    const table = await toolgate('tools', ...client)
    expect([table.status, table.err]).toEqual([0, ''])
    expect(rows(table.out).slice(0, 1)).toEqual([['TOOL', 'TARGET', 'OPERATION', 'TITLE']])
    expect(
      rows(table.out)
        .slice(1)
        .map(([tool]) => tool),
    ).toEqual(petTools)
    const definitions = await toolgate('tools', '--json', '--target', 'pets', ...client)
    expect([definitions.status, definitions.err]).toEqual([0, ''])
    expect(JSON.parse(definitions.out)).toEqual({ tools: (await list()).json.result.tools })
  })
})

describe('toolgate call', () => {
  it.each<[words: string[], status: number, out: string]>([
    [['pets___getPet', '--args', '{"petId":"7"}'], 0, `${JSON.stringify(rex)}\n`],
    [['pets___getPet', '--args', '@args.json'], 0, `${JSON.stringify(rex)}\n`],
    [['pets___listPets'], 0, `${JSON.stringify([rex])}\n`],
    [
      ['pets___getPet', '--args', '{"petId":"404"}'],
      1,
      'The target answered 404 Not Found.\n\nno such pet\n\n{"message":"no such pet"}\n',
    ],
  ])('%j ends with %i', async (words, status, out) => {
    expect(await toolgate('call', ...words, ...client)).toEqual({ status, out, err: '' })
  })

  it('--json prints the whole result', async () => {
    const { status, out } = await toolgate(
      'call',
      'pets___getPet',
      '--args',
      '{"petId":"7"}',
      '--json',
      '--url',
      `${gateway.url}/mcp`,
    )
    expect(status).toBe(0)
    expect(JSON.parse(out)).toEqual({ content: [{ type: 'text', text: JSON.stringify(rex) }], structuredContent: rex })
  })
})

describe('toolgate usage', () => {
  const usage = async (query: string): Promise<Loose> => (await admin(`/api/usage${query}`)).json()
  let invocations = 0
  beforeAll(async () => {
    for (const petId of ['7', '404', '7']) await callModern(gateway.url, 'pets___getPet', { petId })
    await callModern(gateway.url, 'pets___listPets', { limit: 'wrong' })
    invocations = (await usage('')).total.invocations
    expect(invocations).toBeGreaterThanOrEqual(3)
  })

  it('--format json gives what the admin API gives', async () => {
    const { status, out, err } = await toolgate('usage', '--by', 'target,tool', '--format', 'json')
    expect([status, err]).toEqual([0, ''])
    const { to, ...answer } = JSON.parse(out)
    const { to: _, ...shown } = await usage('?by=target,tool')
    expect(answer).toEqual(shown)
    expect(to).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(answer).toMatchObject({ currency: 'USD', total: { invocations, cost: (invocations * 5e-6).toFixed(9) } })
    // a listing is of no target
    for (const row of answer.rows)
      expect(row).toEqual({
        target: row.tool === 'tools/list' ? '' : 'pets',
        tool: expect.stringMatching(/^pets___|^tools\/list$/),
        invocations: expect.any(Number),
        cost: expect.stringMatching(/^\d+\.\d{9}$/),
      })
  })

  it('--format csv is of RFC 4180', async () => {
    const { status, out, err } = await toolgate('usage', '--by', 'tool,principal', '--format', 'csv')
    expect([status, err]).toEqual([0, ''])
    const [head, ...lines] = out.split('\r\n').slice(0, -1)
    expect(head).toBe('tool,principal,invocations,cost')
    expect(lines.every((line) => /^(?:pets___\w+|tools\/list),default\/anonymous,\d+,\d+\.\d{9}$/.test(line))).toBe(
      true,
    )
    expect(lines.reduce((sum, line) => sum + Number(line.split(',')[2]), 0)).toBe(invocations)
  })

  it('is a table otherwise, with the total', async () => {
    const today = new Date().toISOString().slice(0, 10)
    const { status, out, err } = await toolgate('usage', '--by', 'day', '--from', `${today.slice(0, 7)}-01`)
    expect([status, err]).toEqual([0, ''])
    const total = [String(invocations), (invocations * 5e-6).toFixed(9)]
    expect(rows(out).slice(-3)).toEqual([
      ['DAY', 'INVOCATIONS', 'COST'],
      [today, ...total],
      ['total', ...total],
    ])
    expect(rows((await toolgate('usage')).out).slice(-2)).toEqual([['INVOCATIONS', 'COST'], total])
    expect(rows((await toolgate('usage', '--to', '2020-12-31', '--from', '2020-01-01')).out).at(-1)).toEqual([
      '0',
      '0.000000000',
    ])
  })
})

describe('toolgate add', () => {
  it('checks a description and puts it into the folder, where a running gateway finds it', async () => {
    writeIn(gateway.dir, 'new shop.json', oneTool('http://127.0.0.1:9', 'buy'))
    const refused = await toolgate('add', 'new shop.json')
    expect([refused.status, refused.out, existsSync(join(gateway.dir, 'specs/new-shop.json'))]).toEqual([1, '', false])
    const added = await toolgate('add', 'new shop.json', '--name', 'shop', '--server', target.origin)
    expect([added.status, added.err]).toEqual([0, ''])
    expect(added.out).toMatch(/^shop: 1 tools? of 1 operations?/)
    expect(JSON.parse(readFileSync(join(gateway.dir, 'specs/shop.json'), 'utf8'))).toEqual(
      oneTool('http://127.0.0.1:9', 'buy'),
    )
    await inForce(...petTools, 'shop___buy')
    expect((await callModern(gateway.url, 'shop___buy')).json.result.isError).toBeUndefined()
    expect(target.requests.at(-1)).toMatchObject({ method: 'GET', url: '/buy' })
  })

  it('takes an address, and says on standard error what the import had to remark', async () => {
    const odd = JSON.parse(readFileSync(join(gateway.dir, 'odd.json'), 'utf8'))
    target.answer = (_request, response) => void response.end(JSON.stringify(odd))
    const { status, out, err } = await toolgate('add', `${target.origin}/files/odd.json?v=1`)
    target.answer = petAnswer
    expect([status, out]).toEqual([0, expect.stringMatching(/^odd: 1 tools? /)])
    expect(err).toMatch(/^warning: \S/)
    expect(existsSync(join(gateway.dir, 'specs/odd.json'))).toBe(true)
  })
})

describe('toolgate serve', () => {
  let port = 0
  const ready = async (): Promise<number | undefined> =>
    (await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined))
      ?.status

  beforeAll(async () => {
    const free = await startRecorder()
    port = Number(new URL(free.origin).port)
    await free.close()
    writeIn(gateway.dir, 'serve.config.json', {
      listen: { port },
      admin: { port: 0 },
      dataDir: '.other',
      specs: 'none',
    })
  })

  it.each([[['stdout']], [['stderr']], [['stdout', 'stderr']]] as ('stdout' | 'stderr')[][][])(
    'goes on when nobody reads its %j any more, and ends on SIGTERM',
    async (gone) => {
      const child = spawn(process.execPath, [bin, 'serve', '--config', 'serve.config.json'], {
        cwd: gateway.dir,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      try {
        for (const name of ['stdout', 'stderr'] as const)
          if (gone.includes(name)) child[name].destroy()
          else child[name].resume()
        await until('it serves', async () => (await ready()) === 200)
        // what it has to say besides is said by now
        await new Promise((resolve) => setTimeout(resolve, 300))
        expect(await ready()).toBe(200)
        const exit = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await until('it has ended', () => child.exitCode !== null, 8_000)
        expect(await exit).toBe(0)
      } finally {
        child.kill('SIGKILL')
      }
    },
  )
})
