/** A reload never opens what was closed: not the listener, not an old credential, not a tool that nobody looked at. */
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const main = join(import.meta.dirname, '../../src/main.ts')

let target: Recorder
let gateway: GatewayProcess

beforeEach(async () => {
  target = await startRecorder()
  target.answer = json({ ok: true })
})
afterEach(async () => {
  await gateway.remove()
  await target.close()
})

const { shown, statusOf, tools, admin } = operatorOf(() => gateway)
const base = (more: object = {}): object => ({
  listen: { port: 0 },
  admin: { port: 0 },
  egress: { allow: [target.address] },
  ...more,
})
const configure = (more: object): void => writeIn(gateway.dir, 'gateway.config.json', base(more))
const listStatus = async (): Promise<number> => {
  const { headers, body } = modernRequest('tools/list')
  return (await post(`${gateway.url}/mcp`, headers, body)).status
}

describe('the listener', () => {
  it('stays closed to everyone when the file names a loopback address that it does not listen on', async () => {
    const open = { listen: { host: '0.0.0.0', port: 0 }, inbound: { type: 'apiKey' } }
    gateway = await startGatewayProcess({ config: base(open) })
    expect(await listStatus()).toBe(401)
    configure({ listen: { host: '127.0.0.1', port: 0 }, inbound: { type: 'none' } })
    await until('the file is refused', async () => (await shown()).configError !== undefined, patienceMs)
    expect((await shown()).configError).toContain('inbound')
    expect(await listStatus()).toBe(401)
  })

  it('tells which settings want a restart', async () => {
    gateway = await startGatewayProcess({ config: base() })
    configure({ dataDir: 'elsewhere' })
    await until('it is told', async () => /want a restart/.test(gateway.log()), patienceMs)
    expect(gateway.log()).toContain('dataDir')
  })
})

describe('a configuration', () => {
  it('takes effect with its targets or not at all, and later when what stood in its way is gone', async () => {
    gateway = await startGatewayProcess({ config: base(), files: { 'specs/shop.json': oneTool(target.origin, 'buy') } })
    writeIn(gateway.dir, '.toolgate/targets.json', '{"damaged')
    configure({ inbound: { type: 'apiKey' }, access: [{ tools: ['nothing'], effect: 'allow' }] })
    await until('the reload has failed', async () => /reload failed/.test(gateway.log()), patienceMs)
    expect(await listStatus()).toBe(200)
    expect(await tools()).toEqual(['shop___buy'])
    writeIn(gateway.dir, '.toolgate/targets.json', '{}')
    configure({ inbound: { type: 'apiKey' }, access: [{ tools: ['nothing'], effect: 'allow' }], instructions: 'x' })
    await until('callers are asked who they are', async () => (await listStatus()) === 401, patienceMs)
  })

  it('that is refused changes nothing of what is in force', async () => {
    gateway = await startGatewayProcess({ config: base(), files: { 'specs/shop.json': oneTool(target.origin, 'buy') } })
    configure({
      inbound: {
        type: 'jwt',
        discoveryUrl: 'https://login.test/.well-known/openid-configuration',
        facade: true,
        clientId: 'x',
        scopes: ['two words'],
      },
    })
    await until('it is refused', async () => (await shown()).configError !== undefined, patienceMs)
    expect(await listStatus()).toBe(200)
  })
})

describe('what every tenant did', () => {
  it('is no tool of callers who sign in, unless the operator says so', async () => {
    gateway = await startGatewayProcess({ config: base({ inbound: { type: 'apiKey' } }) })
    expect((await shown()).targets.map(({ name }) => name)).not.toContain('toolgate')
    configure({ inbound: { type: 'apiKey' }, admin: { port: 0, tools: true } })
    await until('a restart is asked for', async () => /want a restart/.test(gateway.log()), patienceMs)
  })
})

describe('a target whose description broke', () => {
  const keyed = (more: object = {}): object => ({
    credentials: { key: { type: 'apiKey', in: 'header', name: 'X-Key', value: { file: 'key.txt' } } },
    targets: { shop: { credential: 'key' } },
    ...more,
  })
  const sent = (): unknown => target.requests.at(-1)?.headers['x-key']

  it('is called with the new secret, and not at all once its credential is gone', async () => {
    gateway = await startGatewayProcess({
      config: base(keyed()),
      files: { 'specs/shop.json': oneTool(target.origin, 'buy'), 'key.txt': 'old-key-1234' },
    })
    await callModern(gateway.url, 'shop___buy')
    expect(sent()).toBe('old-key-1234')
    writeIn(gateway.dir, 'specs/shop.json', '{"broken')
    await until('it is broken', async () => (await statusOf('shop'))?.status === 'FAILED', patienceMs)
    await callModern(gateway.url, 'shop___buy')
    expect(sent()).toBe('old-key-1234')
    writeIn(gateway.dir, 'key.txt', 'new-key-5678')
    configure(keyed({ instructions: 'changed' }))
    await until(
      'the new secret is sent',
      async () => (await callModern(gateway.url, 'shop___buy'), sent() === 'new-key-5678'),
      patienceMs,
    )
    configure({ targets: { shop: {} } })
    await until('it is not served', async () => (await tools()).length === 0, patienceMs)
    const calls = target.requests.length
    await callModern(gateway.url, 'shop___buy')
    expect(target.requests.length).toBe(calls)
  })
})

describe('an approval', () => {
  it('takes the version that was looked at, not what the file has become meanwhile', async () => {
    gateway = await startGatewayProcess({
      config: base({ targets: { shop: { pin: true } } }),
      files: { 'specs/shop.json': oneTool(target.origin, 'first') },
    })
    writeIn(gateway.dir, 'specs/shop.json', oneTool(target.origin, 'looked-at'))
    const held = async (): Promise<string | undefined> => ((await statusOf('shop')) as { held?: string }).held
    await until('it is held', async () => (await held()) !== undefined, patienceMs)
    const version = await held()
    const evil = JSON.stringify(oneTool(target.origin, 'evil'))
    writeFileSync(join(gateway.dir, 'specs/shop.json'), evil)
    const writing = setInterval(() => writeFileSync(join(gateway.dir, 'specs/shop.json'), evil), 40)
    try {
      expect((await admin(`/api/targets/shop/approval?version=${version}`, { method: 'POST' })).status).toBe(200)
      expect(await tools()).toEqual(['shop___looked-at'])
    } finally {
      clearInterval(writing)
    }
    await until('the next is held', async () => ![undefined, version].includes(await held()), patienceMs)
    expect(await tools()).toEqual(['shop___looked-at'])
  })

  it('is given by the very words that ask for it', async () => {
    gateway = await startGatewayProcess({
      config: base({ targets: { shop: { pin: true } } }),
      files: { 'specs/shop.json': oneTool(target.origin, 'first') },
    })
    writeIn(gateway.dir, 'specs/shop.json', oneTool(target.origin, 'second'))
    await until('it is held', async () => ((await statusOf('shop'))?.reasons.length ?? 0) > 0, patienceMs)
    const words = /`toolgate (approve [^`]+)`/.exec((await statusOf('shop'))?.reasons[0] ?? '')?.[1] ?? ''
    configure({ targets: { shop: { pin: true } }, admin: { port: Number(new URL(gateway.adminUrl).port) } })
    await new Promise<void>((resolve, reject) => {
      execFile(process.execPath, [main, ...words.split(' ')], { cwd: gateway.dir }, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
    expect(await tools()).toEqual(['shop___second'])
  })

  it('outlives a description that cannot be read at a start', async () => {
    gateway = await startGatewayProcess({
      config: base({ targets: { shop: { pin: true } } }),
      files: { 'specs/shop.json': oneTool(target.origin, 'first') },
    })
    await gateway.stop()
    writeIn(gateway.dir, 'specs/shop.json', '{"broken')
    gateway = await startGatewayProcess({ dir: gateway.dir })
    expect(await tools()).toEqual(['shop___first'])
    await callModern(gateway.url, 'shop___first')
    expect(target.requests).toHaveLength(1)
  })
})
