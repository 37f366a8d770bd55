/** Secrets that the gateway keeps: set from outside while it runs, used a moment later, rotated with the vault, never shown. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
const canary = 'managed-canary-4d1f'

let target: Recorder
let gateway: GatewayProcess

const toolgate = (words: readonly string[], input = ''): Promise<{ status: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [main, ...words], { cwd: gateway.dir }, (error, out, err) =>
      resolve({ status: error === null ? 0 : Number(error.code), out, err }),
    )
    child.stdin?.end(input)
  })

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: {
      egress: { allow: [target.address] },
      credentials: {
        crm: { type: 'apiKey', in: 'header', name: 'Authorization', prefix: 'Bearer', value: { vault: 'crm-key' } },
      },
      targets: { crm: { credential: 'crm' } },
    },
    files: { 'specs/crm.json': oneTool(target.origin, 'contacts') },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
})
beforeEach(() => {
  target.answer = json({ ok: true })
})

const call = () => callModern(gateway.url, 'crm___contacts', {})
const sent = (): string | undefined => target.requests.at(-1)?.headers['authorization']

describe('a managed secret', () => {
  it('that is not there yet fails the call and tells the operator, not the caller, what to do', async () => {
    const { json: answer } = await call()
    expect(answer.error ?? answer.result.isError).toBeTruthy()
    expect(target.requests).toEqual([])
  })

  it('is set from standard input, and used by the gateway that runs', async () => {
    expect(await toolgate(['secret', 'set', 'crm-key'], `${canary}-1\n`)).toMatchObject({ status: 0 })
    await until('the call carries it', async () => (await call(), sent() === `Bearer ${canary}-1`), 5_000)
  })

  it('is replaced while it runs', async () => {
    await toolgate(['secret', 'set', 'crm-key'], `${canary}-2`)
    await until('the call carries the new one', async () => (await call(), sent() === `Bearer ${canary}-2`), 5_000)
  })

  it('is read again at once when the target refuses it', async () => {
    target.answer = (request, response, incoming) =>
      request.headers['authorization'] === `Bearer ${canary}-3`
        ? json({ ok: true })(request, response, incoming)
        : json({ error: 'no' }, 401)(request, response, incoming)
    await call()
    await toolgate(['secret', 'set', 'crm-key'], `${canary}-3`)
    const { json: answer } = await call()
    expect(answer.result.isError).toBeUndefined()
  })

  it('survives a rotation of the vault, whose old key is gone after it', async () => {
    const keys = (): string[] =>
      readdirSync(join(gateway.dir, '.toolgate')).filter((name) => name.startsWith('vault-key'))
    expect(keys()).toEqual(['vault-key'])
    expect(await toolgate(['vault', 'rotate'])).toMatchObject({ status: 0, out: expect.stringContaining('1 records') })
    expect(keys()).toEqual(['vault-key.2'])
    await gateway.stop()
    gateway = await startGatewayProcess({ dir: gateway.dir })
    await call()
    expect(sent()).toBe(`Bearer ${canary}-3`)
  })

  it('is listed by name, removed, and nowhere in the clear', async () => {
    const { out } = await toolgate(['secret', 'list'])
    expect(out).toContain('crm-key')
    const files = readdirSync(join(gateway.dir, '.toolgate'), { recursive: true, withFileTypes: true })
    for (const file of files.filter((entry) => entry.isFile()))
      expect(readFileSync(join(file.parentPath, file.name)).includes(canary), file.name).toBe(false)
    expect(out + gateway.log()).not.toContain(canary)
    expect(await toolgate(['secret', 'remove', 'crm-key'])).toMatchObject({ status: 0 })
    expect(await toolgate(['secret', 'remove', 'crm-key'])).toMatchObject({ status: 1 })
  })

  it('has left a trail of what was done, without a value', () => {
    const trail = readFileSync(join(gateway.dir, '.toolgate/audit.ndjson'), 'utf8')
    const acts = trail
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { act: string; by: string; outcome: string })
    expect(acts.map(({ act, outcome }) => `${act}: ${outcome}`)).toEqual([
      'secret set: ok',
      'secret set: ok',
      'secret set: ok',
      'vault rotate: ok',
      'secret remove: ok',
      'secret remove: absent',
    ])
    expect(trail).not.toContain(canary)
  })

  it('of an empty input, or a name that is none, is refused', async () => {
    expect(await toolgate(['secret', 'set', 'x'], '')).toMatchObject({ status: 2 })
    expect(await toolgate(['secret', 'set', '../x'], 'value')).toMatchObject({ status: 2 })
  })
})
