/** Exports as the configuration has them: what is accepted, where secrets are looked for, and what the ledger must keep. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { exportReferences, exportsSchema } from '../../../src/config/export-schema.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import { type Exports, startExports } from '../../../src/gateway/exports.ts'
import { startRecorder } from '../../support/recorder.ts'
import { event, hour, ledger, type ListedLedger, recordsIn, start, tempDir, toldLog } from './export-parts.ts'

const openmeter = { name: 'openmeter', type: 'cloudevents', url: 'https://meter.test/api/v1/events' }
const billing = { name: 'stripe', type: 'stripe', apiKey: { env: 'STRIPE_KEY' }, customers: { acme: 'cus_1' } }

describe('the configuration', () => {
  it('fills in what is usual', () => {
    expect(exportsSchema.parse([openmeter, billing, { name: 'f', type: 'file', folder: 'usage' }])).toEqual([
      { ...openmeter, headers: {}, batch: true, what: 'events', source: 'toolgate', subject: 'tenant' },
      {
        ...billing,
        eventNames: { call: 'toolgate_call', search: 'toolgate_search', list: 'toolgate_list' },
        server: 'https://api.stripe.com',
      },
      { name: 'f', type: 'file', folder: 'usage', format: 'ndjson', every: 'hour' },
    ])
    expect(exportsSchema.parse(undefined)).toEqual([])
  })

  it.each<[string, unknown]>([
    ['a secret that is written down', [{ ...openmeter, token: 'abc' }]],
    ['an unknown key', [{ ...openmeter, urls: [] }]],
    ['an unknown kind', [{ ...openmeter, type: 'kafka' }]],
    ['one name twice', [openmeter, { ...billing, name: 'openmeter' }]],
    ['a name that is a path', [{ ...openmeter, name: '../x' }]],
    ['a customer that is none of Stripe’s', [{ ...billing, customers: { acme: 'acme' } }]],
    ['no URL', [{ ...openmeter, url: 'meter.test' }]],
  ])('refuses %s', (_what, value) => {
    expect(exportsSchema.safeParse(value).success).toBe(false)
  })

  it('names each secret by its path in the file', () => {
    const headers = { 'x-plan': 'gold', 'x-key': { file: 'key' } }
    const entries = exportsSchema.parse([{ ...openmeter, headers, token: { env: 'TOKEN' } }, billing])
    expect(exportReferences(entries)).toEqual([
      ['metering.exports.0.token', { env: 'TOKEN' }],
      ['metering.exports.0.headers.x-key', { file: 'key' }],
      ['metering.exports.1.apiKey', { env: 'STRIPE_KEY' }],
    ])
  })
})

const starting = (
  exports: unknown[],
  source: ListedLedger,
  allow: string[],
  secrets: [string, string][] = [],
): Exports => {
  const dir = tempDir()
  const started = startExports({
    exports: exportsSchema.parse(exports),
    secrets: new Map(secrets.map(([path, value]) => [path, new Secret(value)])),
    file: join(dir, 'gateway.config.json'),
    dataDir: join(dir, '.toolgate'),
    allow,
    read: (from, max) => source.read(from, max),
    records: recordsIn(dir, systemClock),
    clock: systemClock,
    log: toldLog(),
    onProgress: () => undefined,
  })
  onTestFinished(() => started.close())
  return Object.assign(started, { dir })
}

const reaches = async (exports: Exports, offset: number): Promise<void> => {
  while ((await exports.position())?.offset !== offset) await turn()
}

describe('exports that run', () => {
  it('hold back nothing when there are none', async () => {
    expect(await starting([], ledger(), []).position()).toBeUndefined()
  })

  it('hold back what the slowest has not sent: all of it, while its receiver has taken nothing', async () => {
    const receiver = await startRecorder()
    onTestFinished(() => receiver.close())
    let up = false
    receiver.answer = (request, response) => void response.writeHead(up || request.url === '/a' ? 204 : 503).end()
    const to = (path: string) => ({ ...openmeter, name: `to-${path}`, url: `${receiver.origin}/${path}` })
    const source = ledger([event(start), event(start)])
    const exports = starting([to('a'), to('b')], source, [receiver.address])
    while (receiver.requests.length < 2) await turn()
    expect(await exports.position()).toEqual({ segment: '', offset: 0 })
    up = true
    await reaches(exports, 2)
    await exports.close()
  })

  it('reveal secrets to the receiver alone', async () => {
    const receiver = await startRecorder()
    onTestFinished(() => receiver.close())
    const entry = {
      name: 'metrics',
      type: 'otlp',
      url: receiver.origin,
      token: { env: 'TOKEN' },
      headers: { 'x-key': { env: 'KEY' }, 'x-plan': 'gold' },
    }
    const exports = starting(
      [entry],
      ledger([event(start - 10 * hour)]),
      [receiver.address],
      [
        ['metering.exports.0.token', 't0ken'],
        ['metering.exports.0.headers.x-key', 'k3y'],
      ],
    )
    // long past, whatever the clock says
    await reaches(exports, 1)
    expect(receiver.requests[0]).toMatchObject({
      url: '/v1/metrics',
      headers: { authorization: 'Bearer t0ken', 'x-key': 'k3y', 'x-plan': 'gold' },
    })
  })

  it('write files beside the configuration', async () => {
    const exports = starting([{ name: 'f', type: 'file', folder: 'usage' }], ledger([event(0)]), [])
    await reaches(exports, 1)
    expect('dir' in exports && readdirSync(join(String(exports.dir), 'usage'))).toHaveLength(1)
  })
})
