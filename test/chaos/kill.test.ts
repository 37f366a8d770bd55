/** The whole gateway ended at random moments under load, by `kill -9` and by SIGTERM: what was answered is on the bill, once. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseLine } from '../../src/meter/line.ts'
import { type GatewayProcess, startGatewayProcess, until } from '../support/gateway.ts'
import { callModern, modernRequest } from '../support/mcp.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const kills = 20
const drains = 3
const connections = 16
const seed = Number(process.env['CHAOS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Mulberry32: the same seed gives the same moments. */
function randomOf(state: number): () => number {
  let now = state
  return () => {
    now = (now + 0x6d2b79f5) | 0
    let mixed = Math.imul(now ^ (now >>> 15), now | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * One tool for each connection. The record names the tool, its segment the process, and a connection calls one after the
 * other: so of its calls all are answered but perhaps the last, and the record can be held against them call by call.
 */
const description = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'load', version: '1' },
  servers: [{ url: origin }],
  paths: Object.fromEntries(
    Array.from({ length: connections }, (_, at) => [
      `/c${at}`,
      {
        get: {
          operationId: `c${at}`,
          parameters: [{ name: 'n', in: 'query', required: true, schema: { type: 'string' } }],
          responses: { 200: { description: 'ok' } },
        },
      },
    ]),
  ),
})

let target: Recorder
let gateway: GatewayProcess

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: { egress: { allow: [target.address] }, admin: { port: 0, tools: false } },
    files: { 'specs/t.json': description(target.origin) },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})

interface Connection {
  /** Of the gateway. */
  readonly pid: number
  readonly tool: string
  sent: number
  answered: number
  /** How the gateway refused the last call, when it did so in words. */
  refusal?: number | undefined
}

const connect = (): Connection[] =>
  Array.from({ length: connections }, (_, at) => ({
    pid: gateway.child.pid ?? 0,
    tool: `t___c${at}`,
    sent: 0,
    answered: 0,
  }))

/** Calls one tool again and again until a call is not answered with its result. */
async function load(connection: Connection): Promise<void> {
  const { tool, pid } = connection
  for (;;) {
    const n = `${pid}.${connection.sent++}`
    const answer = await callModern(gateway.url, tool, { n }).catch(() => undefined)
    if (answer?.json?.result === undefined) {
      connection.refusal = answer?.status
      return
    }
    // the answer is this call’s own
    expect(answer.json.result.content[0].text).toBe(`/${tool.slice('t___'.length)}?n=${n}`)
    connection.answered++
  }
}

interface Recorded {
  begun: number
  /** Ids of ended calls. */
  readonly ended: string[]
}

/** What the segments hold, by process and tool; the last line of one that was killed may be torn. */
function recorded(): Map<string, Recorded> {
  const folder = join(gateway.dir, '.toolgate/usage')
  const found = new Map<string, Recorded>()
  for (const file of readdirSync(folder)) {
    const pid = /-(\d+)\.ndjson$/.exec(file)?.[1]
    if (pid === undefined) continue
    for (const text of readFileSync(join(folder, file), 'utf8').split('\n').slice(0, -1)) {
      const line = parseLine(text)
      if (line === undefined) throw new Error(`A whole line of the spool cannot be read: ${text.slice(0, 200)}`)
      if (line.kind === 'segment' || line.kind === 'seal' || line.kind === 'carried') continue
      const key = `${pid} ${line.call.tool}`
      const of = found.get(key) ?? { begun: 0, ended: [] }
      found.set(key, of)
      if (line.kind === 'begin') of.begun++
      else of.ended.push(line.call.id)
    }
  }
  return found
}

/** Each connection whose record is not as it must be, with its figures. */
function check(all: readonly Connection[], exact: 'to the call' | 'but for the last call'): string[] {
  const records = recorded()
  const hits = new Map<string, number>()
  for (const { url } of target.requests) {
    const [, path, pid] = /^\/(c\d+)\?n=(\d+)\./.exec(url) ?? []
    hits.set(`${pid} t___${path}`, (hits.get(`${pid} t___${path}`) ?? 0) + 1)
  }
  return all.flatMap(({ pid, tool, sent, answered }) => {
    const { begun, ended } = records.get(`${pid} ${tool}`) ?? { begun: 0, ended: [] }
    const made = hits.get(`${pid} ${tool}`) ?? 0
    const figures = `sent ${sent}, begun ${begun}, made ${made}, ended ${ended.length}, answered ${answered}`
    const rules: [string, boolean][] = [
      ['lost or doubled', answered <= ended.length && ended.length <= begun && begun <= sent],
      ['made without a record, or answered without being made', answered <= made && made <= begun],
      ['one id twice', new Set(ended).size === ended.length],
      ['made but not answered', exact !== 'to the call' || (made === answered && ended.length === answered)],
    ]
    return rules.filter(([, holds]) => !holds).map(([fault]) => `${pid} ${tool}: ${fault}: ${figures}`)
  })
}

async function invocations(): Promise<number> {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const config = join(gateway.dir, 'gateway.config.json')
  const words = [main, 'usage', '--format', 'json', '--config', config]
  const { stdout } = await promisify(execFile)(process.execPath, words)
  return (JSON.parse(stdout) as { total: { invocations: number } }).total.invocations
}
const endsOnFile = (): number =>
  recorded()
    .values()
    .reduce((sum, { ended }) => sum + ended.length, 0)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe(`with seed ${seed} (CHAOS_SEED repeats it)`, () => {
  const random = randomOf(seed)

  it(`kill -9 at ${kills} moments loses no answered call, doubles none, and makes none without a record`, async () => {
    target.answer = (request, response) => void response.end(request.url)
    const all: Connection[] = []
    for (let kill = 0; kill < kills; kill++) {
      const connected = connect()
      all.push(...connected)
      const loads = connected.map(load)
      await until('the load is on', () => connected.every(({ answered }) => answered > 0))
      await pause(random() * 200)
      await gateway.kill()
      await Promise.all(loads)
      gateway = await startGatewayProcess({ dir: gateway.dir })
    }
    expect(check(all, 'but for the last call')).toEqual([])
    const ends = endsOnFile()
    expect(ends).toBeGreaterThan(kills * connections)
    expect(await invocations()).toBe(ends)
    // asked again, nothing is counted again
    expect(await invocations()).toBe(ends)
  }, 180_000)

  it(`SIGTERM at ${drains} moments ends with 0, and every call that was made is answered and recorded`, async () => {
    target.answer = (request, response) => setTimeout(() => response.end(request.url), random() * 40)
    for (let drain = 0; drain < drains; drain++) {
      const connected = connect()
      const loads = connected.map(load)
      await until('the load is on', () => connected.every(({ answered }) => answered > 1))
      await pause(random() * 100)
      const status = gateway.stop()
      await Promise.all(loads)
      expect(await status).toBe(0)
      expect(check(connected, 'to the call')).toEqual([])
      expect(connected.filter(({ refusal }) => refusal !== undefined && refusal !== 503)).toEqual([])
      gateway = await startGatewayProcess({ dir: gateway.dir })
    }
    expect(await invocations()).toBe(endsOnFile())
  }, 120_000)

  it('SIGTERM takes readiness away at once, and waits for a call that takes its time', async () => {
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      target.answer = (_request, response, incoming) => {
        release = () => json({ late: true })(_request, response, incoming)
        resolve()
      }
    })
    const call = callModern(gateway.url, 't___c0', { n: 'late' })
    await held
    const ready = async (): Promise<boolean> =>
      (await fetch(`${gateway.url}/readyz`).catch(() => undefined))?.ok === true
    expect(await ready()).toBe(true)
    const status = gateway.stop()
    await until('it is not ready any more', async () => !(await ready()))
    expect((await callModern(gateway.url, 't___c0', { n: 'new' }).catch(() => ({ status: 503 }))).status).toBe(503)
    expect(gateway.child.exitCode).toBeNull()
    release()
    expect((await call).json.result.content[0].text).toBe('{"late":true}')
    expect(await status).toBe(0)
  }, 60_000)

  it('SIGTERM lets a client that reads slowly have its answer to the end', async () => {
    gateway = await startGatewayProcess({ dir: gateway.dir })
    const image = Buffer.alloc(6_000_000, 7)
    target.answer = (_request, response) => void response.writeHead(200, { 'content-type': 'image/png' }).end(image)
    const { headers, body } = modernRequest('tools/call', { name: 't___c0', arguments: { n: 'big' } })
    const outgoing = request(`${gateway.url}/mcp`, { method: 'POST', headers, agent: false }).end(JSON.stringify(body))
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    // what lies in the buffers between is less than the answer, so it is not out yet
    const status = gateway.stop()
    await pause(500)
    let bytes = 0
    for await (const chunk of response) bytes += (chunk as Buffer).length
    expect(bytes).toBe(Number(response.headers['content-length']))
    expect(await status).toBe(0)
  }, 60_000)
})
