/** Configurations that must not take effect, and those that must at once (rows A01–A04 of the threat model). */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { oneTool } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'

let target: Recorder
let gateway: GatewayProcess

const good = (): object => ({
  listen: { port: 0 },
  admin: { port: 0, tools: false },
  log: { level: 'debug' },
  egress: { allow: [target.address] },
  targets: { fixed: { openapi: 'fixed.json' } },
})

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: good(),
    files: { 'fixed.json': oneTool(target.origin, 'one'), 'specs/dropped.json': oneTool(target.origin, 'two') },
  })
})

afterAll(async () => {
  await gateway.remove()
  await target.close()
})

interface Status {
  readonly configError?: string
  readonly targets: readonly { readonly name: string; readonly status: string }[]
}

const status = async (): Promise<Status> => {
  const headers = { authorization: `Bearer ${gateway.adminToken}` }
  return (await (await fetch(`${gateway.adminUrl}/api/targets`, { headers })).json()) as Status
}

const all = (wanted: string): Promise<void> =>
  until(`every target is ${wanted}`, async () => (await status()).targets.every((one) => one.status === wanted))

/** That both targets are called as ever. */
const serves = async (): Promise<void> => {
  for (const tool of ['fixed___one', 'dropped___two'])
    expect((await callModern(gateway.url, tool)).json.result?.content[0].text).toBe('{"ok":true}')
}

const secret = 'sk-live-0123456789'
const key = (value: unknown): object => ({ credentials: { k: { type: 'apiKey', in: 'header', name: 'X', value } } })
const write = (content: string | object): void => writeIn(gateway.dir, 'gateway.config.json', content)
const told = async (what: RegExp | undefined): Promise<void> =>
  until(`the configuration’s error is ${what}`, async () => {
    const { configError } = await status()
    return what === undefined ? configError === undefined : configError !== undefined && what.test(configError)
  })

const wrong: readonly (readonly [string, () => string | object, RegExp])[] = [
  ['A01: an unknown key', () => ({ ...good(), nonsense: 1 }), /nonsense/],
  [
    'A01: one further in',
    () => ({ ...good(), targets: { fixed: { openapi: 'x', timeout: 1 } } }),
    /targets\.fixed.*timeout/,
  ],
  ['A01: one called __proto__', () => JSON.stringify(good()).replace('{', '{"__proto__":{"name":"x"},'), /__proto__/],
  ['A01: a wrong type', () => ({ ...good(), listen: { port: '8080' } }), /listen\.port/],
  ['A01: a comment', () => `{ // comment\n"name":"x" }`, /line 1 column 3/],
  ['A01: a trailing comma', () => '{"name":"changed",}', /line 1 column 19/],
  ['A04: nothing', () => '', /not JSON;/],
  ['A02: a secret in plain', () => ({ ...good(), ...key(secret) }), /credentials\.k\.value/],
  [
    'A02: one in plain before a slip',
    () => JSON.stringify({ ...good(), ...key(secret) }).replace(`"${secret}"`, `"${secret}",`),
    /column/,
  ],
  ['A02: a token in plain', () => ({ ...good(), admin: { token: secret } }), /admin\.token/],
  [
    'A02: a password in a server',
    () => ({ targets: { fixed: { server: `https://u:${secret}@api.test` } } }),
    /targets\.fixed\.server/,
  ],
  [
    'A03: an environment variable that is not there',
    () => ({ ...good(), ...key({ env: 'NOT_THERE' }) }),
    /credentials\.k\.value.*NOT_THERE/,
  ],
  [
    'A03: a file that is not there',
    () => ({ ...good(), ...key({ file: 'not-there' }) }),
    /credentials\.k\.value.*not-there/,
  ],
  [
    'A03: a credential that is not there',
    () => ({ ...good(), targets: { fixed: { openapi: 'fixed.json', credential: 'no' } } }),
    /targets\.fixed\.credential/,
  ],
  ['A04: half of it', () => JSON.stringify(good()).slice(0, 60), /not JSON/],
]

it.each(wrong)(
  '%s is told with its place, never with a secret, and the old one stays',
  async (_case, content, place) => {
    write(content())
    await told(place)
    await serves()
    expect(JSON.stringify(await status()) + gateway.log()).not.toContain(secret.slice(0, 12))
  },
)

it('A03: the gateway does not start with such a one either, and says why', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'toolgate-test-'))
  const starting = startGatewayProcess({ dir, config: { ...good(), ...key({ env: 'NOT_THERE' }) } })
  await expect(starting).rejects.toThrow(/ended with 1:\n[^]*credentials\.k\.value.*NOT_THERE/)
  rmSync(dir, { recursive: true })
})

it('A04: one that is swapped by a link is told while it is wrong and taken once it is right', async () => {
  const swap = (to: string): void => {
    symlinkSync(to, join(gateway.dir, 'next'))
    renameSync(join(gateway.dir, 'next'), join(gateway.dir, 'gateway.config.json'))
  }
  writeIn(gateway.dir, 'v1/config.json', '{"half":')
  writeIn(gateway.dir, 'v2/config.json', { ...good(), name: 'second' })
  swap('v1/config.json')
  await told(/not JSON/)
  await serves()
  swap('v2/config.json')
  await told(undefined)
  expect((await callModern(gateway.url, 'fixed___one')).text).toContain('"name":"second"')
})

it('A04: a folder in its place, and nothing, are told too', async () => {
  rmSync(join(gateway.dir, 'gateway.config.json'))
  await told(/cannot be read/)
  mkdirSync(join(gateway.dir, 'gateway.config.json'))
  await serves()
  rmSync(join(gateway.dir, 'gateway.config.json'), { recursive: true })
  write({ ...good(), name: 'third' })
  await told(undefined)
})

it('A08: an address that is taken out of egress.allow is not called any more, though the old tools are listed', async () => {
  const before = target.requests.length
  try {
    write({ ...good(), egress: { allow: [] } })
    await all('FAILED')
    for (const tool of ['fixed___one', 'dropped___two']) {
      const { json } = await callModern(gateway.url, tool)
      expect(json.result?.isError === true || json.error !== undefined).toBe(true)
    }
    expect(target.requests.length).toBe(before)
  } finally {
    write(good())
    await all('READY')
  }
  await serves()
})

it('after all of it the gateway lives, and nothing was an internal failure', async () => {
  await serves()
  expect(gateway.child.exitCode).toBeNull()
  expect(
    gateway
      .log()
      .split('\n')
      .filter((line) => /"code":"internal"|internal failure|reload failed/.test(line)),
  ).toEqual([])
})
