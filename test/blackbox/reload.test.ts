/** Reloading under way: calls in flight, registration from outside, and load; nothing is lost. */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { load as parse } from 'js-yaml'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const { paths } = parse(readFileSync(join(import.meta.dirname, '../../specs/toolgate.yaml'), 'utf8')) as {
  paths: { [path: string]: { put: { responses: object } } }
}
/** Statuses that registering may be answered with, by the description of the admin API. */
const documented = Object.keys(paths['/api/targets/{name}']?.put.responses ?? {})
const main = join(import.meta.dirname, '../../src/main.ts')

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
    ...more,
  }
}

const { admin, inForce, shown, statusOf, tools } = operatorOf(() => gateway)
const spec = (name: string): string => join(gateway.dir, 'specs', name)
const drop = (name: string, content: string | object): void => writeIn(gateway.dir, `specs/${name}`, content)
const configure = (more: object = {}): void => writeIn(gateway.dir, 'gateway.config.json', configuration(more))
const put = (name: string, body: string, query = ''): Promise<Response> =>
  admin(`/api/targets/${name}${query}`, { method: 'PUT', body })
const remove = (name: string): Promise<Response> => admin(`/api/targets/${name}`, { method: 'DELETE' })

describe('a call in flight', () => {
  it.each<[change: string, act: () => void, done: () => Promise<boolean>]>([
    ['its file is removed', () => rmSync(spec('held.json')), async () => (await tools()).length === 0],
    [
      'its file names another tool',
      () => drop('held.json', oneTool(target.origin, 'new')),
      async () => (await tools()).includes('held___new'),
    ],
    [
      'its address is no longer allowed',
      () => configure({ egress: { allow: ['127.0.0.1:9'] } }),
      async () => (await statusOf('held'))?.status === 'FAILED',
    ],
  ])('finishes on the snapshot that it began with when %s', async (_change, act, done) => {
    configure()
    drop('held.json', oneTool(target.origin, 'held'))
    const ready = async () => (await statusOf('held'))?.status === 'READY' && (await tools()).includes('held___held')
    await until('it can be called', ready, patienceMs)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      target.answer = (request, response, incoming) => {
        release = () => json({ held: true })(request, response, incoming)
        resolve()
      }
    })
    const call = callModern(gateway.url, 'held___held')
    await held
    act()
    await until('the change took effect', done, patienceMs)
    release()
    expect((await call).json.result).toMatchObject({ content: [{ type: 'text', text: '{"held":true}' }] })
  })

  it('leaves the first state behind', async () => {
    rmSync(spec('held.json'))
    configure()
    const quiet = async () => (await shown()).targets.every(({ status }) => status === 'READY')
    await until('all targets are ready', async () => (await quiet()) && (await tools()).length === 0, patienceMs)
  })
})

describe('registering by the admin API', () => {
  it('is in force when it has answered, and so is removing', async () => {
    const made = await put('made', JSON.stringify(oneTool(target.origin, 'one')))
    expect([made.status, await tools()]).toEqual([201, ['made___one']])
    expect(await made.json()).toMatchObject({ name: 'made', status: 'READY', toolCount: 1 })
    const replaced = await put('made', JSON.stringify(oneTool('http://127.0.0.1:9', 'two')), `?server=${target.origin}`)
    expect([replaced.status, await tools()]).toEqual([200, ['made___two']])
    expect((await callModern(gateway.url, 'made___two')).json.result.isError).toBeUndefined()
    expect([(await remove('made')).status, await tools(), existsSync(spec('made.json'))]).toEqual([204, [], false])
    expect((await remove('made')).status).toBe(404)
  })

  it('fetches a description that is given by its address', async () => {
    target.answer = json(oneTool(target.origin, 'fetched'))
    const answer = await put('far', JSON.stringify({ url: `${target.origin}/openapi.json` }))
    expect([answer.status, await tools()]).toEqual([201, ['far___fetched']])
    expect(target.requests.at(-1)).toMatchObject({ method: 'GET', url: '/openapi.json' })
    expect((await remove('far')).status).toBe(204)
  })

  it.each<[what: string, name: string, body: string, query: string, status: number]>([
    ['that cannot be read', 'made', '{', '', 422],
    ['that is none', 'made', '{}', '', 422],
    ['without a server', 'made', '{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{}}', '', 422],
    ['whose server is not allowed', 'made', JSON.stringify(oneTool('http://127.0.0.1:9', 'x')), '', 422],
    [
      'with a credential that is not there',
      'made',
      JSON.stringify(oneTool('https://x.example', 'x')),
      '?credential=k',
      400,
    ],
    ['with a server that is no URL', 'made', JSON.stringify(oneTool('https://x.example', 'x')), '?server=nowhere', 422],
    ['in place of a configured target', 'fixed', '{}', '', 409],
    ['in place of the gateway itself', 'toolgate', '{}', '', 409],
    ['under a name that is none', 'a_b', '{}', '', 400],
    ['under a path', '..%2Fa', '{}', '', 400],
  ])('refuses a description %s, and nothing changes', async (_what, name, body, query, status) => {
    const { snapshot } = await shown()
    const answer = await put(name, body, query)
    expect(await answer.json()).toMatchObject({ error: { code: expect.any(String), message: expect.any(String) } })
    expect(answer.status).toBe(status)
    expect(documented).toContain(String(status))
    expect([(await shown()).snapshot, await tools(), existsSync(spec('made.json'))]).toEqual([snapshot, [], false])
  })

  it.each([
    ['fixed', 409],
    ['toolgate', 409],
    ['nothing', 404],
  ])('does not remove %s', async (name, status) => {
    expect((await remove(name)).status).toBe(status)
    expect((await shown()).targets.map((one) => one.name)).toEqual(['fixed', 'toolgate'])
  })
})

describe('a file that lies in the folder already', () => {
  afterEach(async () => {
    for (const name of readdirSync(spec('.'))) rmSync(spec(name))
    configure()
    await inForce()
  })

  it.each(['Old Shop.json', 'Old_Shop.yml', 'Old-Shop.YAML'])(
    '%s, is replaced by what is registered under its name',
    async (file) => {
      drop(file, oneTool(target.origin, 'one'))
      await inForce('Old-Shop___one')
      const answer = await put('Old-Shop', JSON.stringify(oneTool(target.origin, 'two')))
      expect([answer.status, await tools()]).toEqual([200, ['Old-Shop___two']])
      expect(await answer.json()).toMatchObject({ name: 'Old-Shop', status: 'READY', reasons: [] })
      expect((await shown()).targets.filter(({ name }) => name === 'Old-Shop')).toHaveLength(1)
    },
  )

  it('is left alone when a configured target of another name has it', async () => {
    drop('owned.json', oneTool(target.origin, 'owned'))
    configure({ targets: { fixed: { openapi: 'elsewhere/fixed.json' }, owner: { openapi: 'specs/owned.json' } } })
    await inForce('owner___owned')
    expect((await remove('owned')).status).toBe(404)
    await put('owned', JSON.stringify(oneTool(target.origin, 'stolen')))
    expect(JSON.parse(readFileSync(spec('owned.json'), 'utf8'))).toEqual(oneTool(target.origin, 'owned'))
    expect(await tools()).toContain('owner___owned')
  })
})

describe('registering many at once', () => {
  it('loses none, nor what was said of it', async () => {
    const names = Array.from({ length: 10 }, (_, at) => `many${at}`)
    const elsewhere = (name: string): string => JSON.stringify(oneTool('http://127.0.0.1:9', name))
    const puts = names.map((name) => put(name, elsewhere(name), `?server=${target.origin}/${name}`))
    expect((await Promise.all(puts)).map(({ status }) => status)).toEqual(names.map(() => 201))
    const ready = (await shown()).targets.filter(({ name }) => names.includes(name))
    expect(ready.map(({ name, status, server }) => [name, status, server])).toEqual(
      names.map((name) => [name, 'READY', `${target.origin}/${name}`]),
    )
    expect((await tools()).length).toBe(10)
  })

  it('and removing them leaves none', async () => {
    const names = (await shown()).targets.map(({ name }) => name).filter((name) => name.startsWith('many'))
    expect((await Promise.all(names.map(remove))).map(({ status }) => status)).toEqual(names.map(() => 204))
    expect(await tools()).toEqual([])
  })
})

describe('toolgate add in another process', () => {
  it('is in force soon', async () => {
    writeIn(gateway.dir, 'inbox/Pet Store.json', oneTool(target.origin, 'added'))
    const file = join(gateway.dir, 'inbox/Pet Store.json')
    const words = [main, 'add', file, '--config', join(gateway.dir, 'gateway.config.json')]
    const { stdout } = await promisify(execFile)(process.execPath, words)
    expect(stdout).toContain('Pet-Store')
    await inForce('Pet-Store___added')
    expect(JSON.parse(readFileSync(spec('Pet-Store.json'), 'utf8'))).toEqual(oneTool(target.origin, 'added'))
    expect((await remove('Pet-Store')).status).toBe(204)
  })
})

describe('twenty reloads under load', () => {
  it('lose no call', async () => {
    expect((await put('steady', JSON.stringify(oneTool(target.origin, 'steady')))).status).toBe(201)
    const first = (await shown()).snapshot
    const going = { on: true }
    let answered = 0
    const wrong: string[] = []
    const caller = async (): Promise<void> => {
      while (going.on) {
        const failed = (error: unknown) => ({ json: undefined, text: String(error) })
        const { json, text } = await callModern(gateway.url, 'steady___steady').catch(failed)
        if (json?.result === undefined || json.result.isError === true) wrong.push(text)
        answered++
      }
    }
    const callers = Array.from({ length: 8 }, caller)
    for (let round = 0; round < 20; round++) {
      const from = answered
      const turning = JSON.stringify(oneTool(target.origin, `round${round}`))
      const { status } = round % 4 === 3 ? await remove('turning') : await put('turning', turning)
      expect(status).toBe(round % 4 === 3 ? 204 : round % 4 === 0 ? 201 : 200)
      await until('calls went on', () => answered > from + 8)
    }
    going.on = false
    await Promise.all(callers)
    expect(wrong).toEqual([])
    expect((await shown()).snapshot).toBeGreaterThanOrEqual(first + 20)
  })
})
