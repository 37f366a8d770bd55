/** What is counted, as its operator and its callers see it: quotas, exports, usage in results, a ledger that is verified. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { operatorOf, patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

let target: Recorder
let receiver: Recorder
let gateway: GatewayProcess
const { admin } = operatorOf(() => gateway)

const config = (quotas: readonly object[]): object => ({
  listen: { port: 0 },
  admin: { port: 0, tools: false },
  egress: { allow: [target.address, receiver.address] },
  targets: Object.fromEntries(['free', 'few', 'money'].map((name) => [name, { openapi: `${name}.json` }])),
  metering: {
    overrides: [{ target: 'money', pricePer1000: '500' }],
    quotas,
    exports: [
      { name: 'events', type: 'cloudevents', url: `${receiver.origin}/events` },
      { name: 'lake', type: 'file', folder: 'lake', format: 'ndjson', every: 'hour' },
    ],
  },
})

const quotas = [
  { name: 'few-a-day', targets: ['few'], per: 'day', invocations: 2 },
  { name: 'a-dollar', targets: ['money'], per: 'month', cost: '1.00', warnAt: [0.5] },
]

beforeAll(async () => {
  ;[target, receiver] = await Promise.all([startRecorder(), startRecorder()])
  target.answer = json({ done: true })
  receiver.answer = (_request, response) => void response.writeHead(204).end()
  gateway = await startGatewayProcess({
    config: config(quotas),
    files: Object.fromEntries(
      ['free', 'few', 'money'].map((name) => [`${name}.json`, oneTool(target.origin, 'act', `/${name}`)]),
    ),
  })
})

afterAll(async () => {
  await gateway.remove()
  await Promise.all([target.close(), receiver.close()])
})

const call = (tool: string, extra: object = {}) => callModern(gateway.url, tool, {}, extra)

const cli = (...args: readonly string[]): Promise<{ status: number; out: string }> =>
  new Promise((resolve) => {
    const main = join(import.meta.dirname, '../../src/main.ts')
    const child = execFile(
      process.execPath,
      [main, ...args, '--config', join(gateway.dir, 'gateway.config.json')],
      (_error, out) => resolve({ status: child.exitCode ?? -1, out }),
    )
  })

describe('a quota', () => {
  it('lets so many through in its day, then refuses with the time when it begins anew, before anything is sent', async () => {
    expect((await call('few___act')).status).toBe(200)
    expect((await call('few___act')).status).toBe(200)
    const sent = target.requests.length
    const refused = await call('few___act')
    expect(refused.status).toBe(429)
    expect(refused.json.error).toMatchObject({
      code: -32003,
      data: { quota: 'few-a-day', limit: 2, per: 'day', resetAt: expect.stringMatching(/T00:00:00/) },
    })
    expect(target.requests).toHaveLength(sent)
    expect((await call('free___act')).status).toBe(200)
  })

  it('of money counts what calls cost, and warns on the way', async () => {
    expect((await call('money___act')).status).toBe(200)
    expect((await call('money___act')).status).toBe(200)
    expect((await call('money___act')).json.error).toMatchObject({ code: -32003, data: { quota: 'a-dollar' } })
    await until('the warning', () => gateway.log().includes('a quota is used up to a fraction'), patienceMs)
    const metrics = await (await admin('/metrics')).text()
    expect(metrics).toMatch(/toolgate_quota_used_ratio\{quota="a-dollar"\} 1\b/)
    expect(metrics).toMatch(/toolgate_quota_refused_total\{quota="few-a-day"\} 1\b/)
  })

  it('is shown to the operator', async () => {
    const { quotas: rows } = (await (await admin('/api/quotas')).json()) as { quotas: object[] }
    expect(rows).toContainEqual(expect.objectContaining({ quota: 'few-a-day', used: 2, limit: 2 }))
  })

  it('follows the configuration without a restart', async () => {
    writeIn(gateway.dir, 'gateway.config.json', config([{ ...quotas[0], invocations: 3 }]))
    await until('the new quota', async () => (await call('few___act')).status === 200, patienceMs)
    expect((await call('few___act')).status).toBe(429)
    expect((await call('money___act')).status).toBe(200)
  })
})

describe('usage in a result', () => {
  it('is there when the caller asks for it, with what the call costs', async () => {
    const { json: answer } = await call('free___act', { _meta: { 'toolgate/usage': true } })
    expect(answer.result._meta['toolgate/usage']).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      outcome: 'ok',
      units: 1,
      cost: '0.000005000 USD',
      bytesIn: expect.any(Number),
    })
    expect((await call('free___act')).json.result._meta?.['toolgate/usage']).toBeUndefined()
  })
})

describe('the ledger', () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'

  it('has listings and calls, with snapshot, trace and the time spent waiting, and is exported as it is', async () => {
    const { headers, body } = modernRequest('tools/list')
    await post(`${gateway.url}/mcp`, headers, body)
    await call('free___act', { _meta: { traceparent: `00-${trace}-00f067aa0ba902b7-01` } })
    const events = (): readonly { id: string; data: { [name: string]: unknown } }[] =>
      receiver.requests.flatMap(({ body }) => JSON.parse(body.toString()) as { id: string; data: object }[]) as never
    await until('the export', () => events().some(({ data }) => data['trace'] === trace), 20_000)
    expect(events().find(({ data }) => data['trace'] === trace)?.data).toMatchObject({
      meter: 'call',
      target: 'free',
      tool: 'free___act',
      outcome: 'ok',
      units: 1,
      snapshot: expect.any(Number),
    })
    expect(events().some(({ data }) => data['meter'] === 'list' && data['tool'] === 'tools/list')).toBe(true)
    expect(new Set(events().map(({ id }) => id)).size).toBe(events().length)
  }, 40_000)

  it('is verified, and a line that was altered is named', async () => {
    const good = await cli('usage', 'verify', '--json')
    expect([good.status, JSON.parse(good.out)]).toMatchObject([0, { ok: true, faults: [] }])
    await gateway.stop()
    const folder = join(gateway.dir, '.toolgate/usage')
    const [segment = ''] = readdirSync(folder).filter((file) => file.endsWith('.ndjson'))
    const text = readFileSync(join(folder, segment), 'utf8')
    writeFileSync(join(folder, segment), text.replace('"outcome":"ok"', '"outcome":"OK"'))
    const bad = await cli('usage', 'verify')
    expect(bad.status).toBe(1)
    expect(bad.out).toContain(segment)
  })
})
