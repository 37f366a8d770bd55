/** Questions about usage: exact figures, by what is asked for, and clear refusals. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { OutcomeKind } from '../../../src/core/model.ts'
import { createIds } from '../../../src/meter/id.ts'
import { endLine, namesText } from '../../../src/meter/line.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { createUsage } from '../../../src/meter/usage.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store } from '../../../src/store/store.ts'
import { ann, fine, getPet, manualClock } from './parts.ts'

let parent = ''
let dir = ''
let store: Store
const clock = manualClock()
const start = clock.now()
beforeEach(() => {
  clock.set(start)
  parent = mkdtempSync(join(tmpdir(), 'usage-'))
  dir = join(parent, 'usage')
  mkdirSync(dir)
  store = openSqliteStore(join(parent, 'toolgate.db'))
})
afterEach(async () => {
  await store.close()
  rmSync(parent, { recursive: true, force: true })
})

const pricesOf = (metering: object = {}) => configSchema.parse({ metering }).metering
const usage = (over: Store = store, prices = pricesOf()) =>
  createUsage({ dir, store: over, clock, retentionDays: 30, prices, keepsPrices: false })
/** A process number that is nobody’s: above every pid_max. */
const nobody = 4_194_305 + 1
const nextId = createIds(clock)
const names = namesText(ann, getPet)
const ending = (id: string, outcome: OutcomeKind) => endLine(id, start, names, { ...fine, outcome, ms: 3 })
/** Writes a segment as a process `pid` would have left it. */
const leave = (text: string, pid = nobody, name = `${nextId()}-${pid}.ndjson`) => {
  writeFileSync(join(dir, name), text)
  return name
}

describe('answers', () => {
  const hour = 3_600_000
  const fill = () => {
    const bob = namesText({ ...ann, subject: 'bob' }, { name: 'orders___list', target: 'orders' })
    const figures = { ...fine, ms: 1 }
    leave(
      [
        ...Array.from({ length: 3 }, (_, at) => endLine(`a${at}`, start, names, figures)),
        endLine('b', start - 24 * hour, bob, figures),
        endLine('c', start - 24 * hour, names, { ...figures, outcome: 'failed' }),
        endLine('d', start - 31 * 24 * hour, bob, figures),
      ].join(''),
    )
  }

  test('without anything asked, this month until now, in one row', async () => {
    fill()
    expect(await usage().answer({ by: [] })).toEqual({
      from: '2026-11-01T00:00:00.000Z',
      to: '2026-11-24T10:00:00.000Z',
      ...{ currency: 'USD', total: { invocations: 2, cost: '0.000010000' } },
      rows: [{ invocations: 2, cost: '0.000010000' }],
    })
    clock.set(start + 1)
    expect(await usage().answer({ by: [] })).toMatchObject({ total: { invocations: 5, cost: '0.000025000' } })
  })

  test('grouped, in the order asked', async () => {
    fill()
    const to = '2026-11-24'
    expect((await usage().answer({ to, by: ['principal', 'day'] })).rows).toEqual([
      { principal: 'local/ann', day: '2026-11-23', invocations: 1, cost: '0.000005000' },
      { principal: 'local/ann', day: '2026-11-24', invocations: 3, cost: '0.000015000' },
      { principal: 'local/bob', day: '2026-11-23', invocations: 1, cost: '0.000005000' },
    ])
    const rows = (await usage().answer({ to, by: ['target', 'tool'] })).rows
    expect(rows.map((row) => JSON.stringify(row))).toEqual([
      '{"target":"orders","tool":"orders___list","invocations":1,"cost":"0.000005000"}',
      '{"target":"pets","tool":"pets___get","invocations":4,"cost":"0.000020000"}',
    ])
  })

  test('prices are those of the configuration', async () => {
    fill()
    const prices = pricesOf({ currency: 'EUR', pricePer1000: { call: '1' } })
    const answer = await usage(store, prices).answer({ from: '2026-11-24', to: '2026-11-24', by: [] })
    expect(answer).toMatchObject({ currency: 'EUR', total: { invocations: 3, cost: '0.003000000' } })
  })

  test('grouped by everything that there is, times as UTC shows them', async () => {
    fill()
    const by = ['month', 'day', 'hour', 'tenant', 'client', 'outcome', 'meter']
    const { rows, total } = await usage().answer({ from: '2026-10-01', to: '2026-11-24', by })
    expect(rows.map((row) => Object.values(row).slice(0, 8).map(String).join(' '))).toEqual([
      '2026-10 2026-10-24 2026-10-24T10:00:00.000Z local editor ok call 1',
      '2026-11 2026-11-23 2026-11-23T10:00:00.000Z local editor failed call 1',
      '2026-11 2026-11-23 2026-11-23T10:00:00.000Z local editor ok call 1',
      '2026-11 2026-11-24 2026-11-24T10:00:00.000Z local editor ok call 3',
    ])
    expect(total.invocations).toBe(6)
  })

  test.each([
    [{ tool: 'pets___get' }, 4],
    [{ target: 'orders' }, 1],
    [{ principal: 'local/bob' }, 1],
    [{ principal: 'local/ann', target: 'pets' }, 4],
    [{ tenant: 'local', principal: 'local/ann' }, 4],
    [{ client: 'editor' }, 5],
    [{ client: 'nobody' }, 0],
    [{ tenant: "' OR 1=1 --" }, 0],
  ])('only %j is %d', async (filter, invocations) => {
    fill()
    const { rows, total } = await usage().answer({ to: '2026-11-24', by: [], ...filter })
    expect([total.invocations, rows.length]).toEqual([invocations, 1])
  })

  test('calls that are not billed are no invocations, and counted by outcome', async () => {
    leave((['invalid_arguments', 'unreached', 'ok'] as const).map((outcome, at) => ending(`a${at}`, outcome)).join(''))
    expect((await usage().answer({ to: '2026-11-24', by: ['outcome'] })).rows).toEqual([
      { outcome: 'invalid_arguments', invocations: 0, cost: '0.000000000', calls: 1 },
      { outcome: 'ok', invocations: 1, cost: '0.000005000', calls: 1 },
      { outcome: 'unreached', invocations: 0, cost: '0.000000000', calls: 1 },
    ])
  })

  test('percentiles of durations stand beside the figures', async () => {
    const lasting = (ms: number) => endLine(`p${ms}`, start, names, { ...fine, ms })
    leave(Array.from({ length: 100 }, (_, at) => lasting(at)).join(''))
    const { rows } = await usage().answer({ to: '2026-11-24', by: ['tool', 'hour'], percentiles: true })
    expect(rows).toEqual([expect.objectContaining({ invocations: 100, durationMs: { p50: 49, p90: 89, p99: 99 } })])
    await expect(usage().answer({ by: ['client'], percentiles: true })).rejects.toMatchObject({
      code: 'invalid_params',
    })
  })

  test.each([
    [{ from: '2026-11-23', to: '2026-11-23' }, 2, '2026-11-23T00:00:00.000Z', '2026-11-24T00:00:00.000Z'],
    [{ from: '2026-11-23', to: '2026-11-24' }, 5, '2026-11-23T00:00:00.000Z', '2026-11-25T00:00:00.000Z'],
    [{ from: '2026-10-24', to: '2026-10-24' }, 1, '2026-10-24T00:00:00.000Z', '2026-10-25T00:00:00.000Z'],
    [
      { from: '2026-11-24T10:00:00Z', to: '2026-11-24T11:00:00Z' },
      3,
      '2026-11-24T10:00:00.000Z',
      '2026-11-24T11:00:00.000Z',
    ],
    [
      { from: '2026-11-23T10:00:00Z', to: '2026-11-24T10:00:00Z' },
      2,
      '2026-11-23T10:00:00.000Z',
      '2026-11-24T10:00:00.000Z',
    ],
    [
      { from: '2026-11-24t12:00:00.000+02:00', to: '2026-11-24T16:30:00+05:30' },
      3,
      '2026-11-24T10:00:00.000Z',
      '2026-11-24T11:00:00.000Z',
    ],
    [{ from: '2026-11-24', to: '2026-11-24T10:17:33Z' }, 3, '2026-11-24T00:00:00.000Z', '2026-11-24T10:45:00.000Z'],
    [
      { from: '2026-11-24T10:00:00Z', to: '2026-11-24T10:00:00Z' },
      0,
      '2026-11-24T10:00:00.000Z',
      '2026-11-24T10:00:00.000Z',
    ],
  ])('%j counts %d', async (period, invocations, from, to) => {
    fill()
    clock.set(start + 45 * 60_000)
    expect(await usage().answer({ ...period, by: [] })).toMatchObject({ from, to, total: { invocations } })
  })

  test.each([
    [{ from: 'yesterday' }, '"from" is a date'],
    [{ from: '' }, '"from" is a date'],
    [{ from: '2026-02-30' }, '"from" is a date'],
    [{ from: '2026-13-01' }, '"from" is a date'],
    [{ from: '2026-1-1' }, '"from" is a date'],
    [{ from: '2026-11-24T10:00:00' }, '"from" is a date'],
    [{ from: '2026-11-24 10:00:00Z' }, '"from" is a date'],
    [{ from: '2026-02-30T10:00:00Z' }, '"from" is a date'],
    [{ from: '2026-11-24T24:00:00Z' }, '"from" is a date'],
    [{ from: '1764000000000' }, '"from" is a date'],
    [{ to: '2026-11-24T10:00Z' }, '"to" is a date'],
    [{ from: '2026-11-24T10:30:00Z' }, '"from" must be on the full hour'],
    [{ to: '2026-11-24T09:59:59Z' }, '"to" must be on the full hour'],
    [{ from: '2026-11-24', to: '2026-11-22' }, '"from" is later'],
    [{ by: ['target', 'target'] }, '"by" takes'],
    [{ by: ['constructor'] }, '"by" takes'],
    [{ by: ['subject'] }, '"by" takes'],
    [{ principal: 'ann' }, '"principal" is'],
    [{ tenant: 'other', principal: 'local/ann' }, '"principal" is'],
  ])('%j is refused with words', async (query, words) => {
    const asked = usage().answer({ by: [], ...query })
    await expect(asked).rejects.toMatchObject({ code: 'invalid_params', message: expect.stringContaining(words) })
  })

  test('more rows than the bound ask for a narrower question', async () => {
    const many = Array.from({ length: limits.usageRows + 1 }, (_, at) =>
      endLine(`${at}`, start, namesText({ ...ann, subject: `${at}` }, getPet), { ...fine, ms: 1 }),
    )
    leave(many.join(''))
    await expect(usage().answer({ to: '2026-11-24', by: ['principal'] })).rejects.toMatchObject({ code: 'over_limit' })
    expect((await usage().answer({ to: '2026-11-24', by: ['tool'] })).total.invocations).toBe(limits.usageRows + 1)
  })
})
