/** `kill -9` of the whole gateway at random moments under load: what was answered is on the bill, once. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'

const kills = 20
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

const description = {
  openapi: '3.1.0',
  info: { title: 'things', version: '1' },
  paths: {
    '/things/{id}': {
      get: {
        operationId: 'get_thing',
        parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' } }],
        responses: { 200: { description: 'ok' } },
      },
    },
  },
}

let target: Recorder
let gateway: GatewayProcess
let dir: string
let next = 0
/** Numbers of the calls that were sent, and of those that were answered. */
const sent = new Set<number>()
const answered = new Set<number>()

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: {
      egress: { allow: [target.address] },
      admin: { port: 0, tools: false },
      targets: { t: { server: target.origin } },
    },
    files: { 'specs/t.json': description },
  })
  dir = gateway.dir
})

afterAll(async () => {
  await gateway.remove()
  await target.close()
})

/** Calls one after the other until the gateway is gone. */
async function caller(url: string, going: () => boolean): Promise<void> {
  while (going()) {
    const number = next++
    sent.add(number)
    try {
      const { json } = await callModern(url, 't___get_thing', { id: String(number) })
      if (json?.result !== undefined) answered.add(number)
    } catch {
      return
    }
  }
}

interface End {
  readonly id: string
  readonly outcome: string
  readonly units: number
}

/** The end lines of all segments; a torn last line is no line. */
function endsOnFile(): End[] {
  const folder = join(dir, '.toolgate/usage')
  return readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => {
        const { e } = JSON.parse(line) as { e?: End }
        return e === undefined ? [] : [e]
      }),
  )
}

async function invocations(): Promise<number> {
  const main = join(import.meta.dirname, '../../src/main.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [
    main,
    'usage',
    '--format',
    'json',
    '--config',
    join(dir, 'gateway.config.json'),
  ])
  return (JSON.parse(stdout) as { total: { invocations: number } }).total.invocations
}

describe(`with seed ${seed}`, () => {
  it('kill -9 loses no answered call and doubles none', async () => {
    const random = randomOf(seed)
    for (let kill = 0; kill < kills; kill++) {
      const calls = Array.from({ length: connections }, () => caller(gateway.url, () => true))
      await new Promise((resolve) => setTimeout(resolve, 100 + random() * 300))
      await gateway.kill()
      await Promise.all(calls)
      gateway = await startGatewayProcess({ dir })
    }
    const ends = endsOnFile()
    const billed = ends.filter(({ units }) => units === 1).length
    expect(new Set(ends.map(({ id }) => id)).size).toBe(ends.length)
    expect(answered.size).toBeGreaterThan(kills)
    expect(billed).toBeGreaterThanOrEqual(answered.size)
    // Recorded but unanswered are at most the calls that were under way at each kill.
    expect(billed).toBeLessThanOrEqual(answered.size + kills * connections)
    expect(await invocations()).toBe(billed)
    expect(await invocations()).toBe(billed)
    const reached = new Set(target.requests.map(({ url }) => url))
    for (const number of answered) expect(reached.has(`/things/${number}`)).toBe(true)
  }, 180_000)

  it('SIGTERM lets calls in flight finish, records them, and exits with 0', async () => {
    const before = await invocations()
    let begun = 0
    target.answer = (_request, response) => {
      begun++
      setTimeout(() => response.writeHead(200, { 'content-type': 'application/json' }).end('{"late":true}'), 300)
    }
    const calls = Array.from({ length: 8 }, (_, index) =>
      callModern(gateway.url, 't___get_thing', { id: `late${index}` }),
    )
    await until('all calls are at the target', () => begun === 8)
    const status = gateway.stop()
    const answers = await Promise.all(calls)
    expect(answers.map(({ json }) => json.result.content[0].text)).toEqual(
      Array.from({ length: 8 }, () => '{"late":true}'),
    )
    expect(await status).toBe(0)
    expect(await invocations()).toBe(before + 8)
  }, 60_000)
})
