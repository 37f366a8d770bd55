/** Prices: tiers, overrides, versions; what a month keeps; costs that add up however they are asked for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { formatPrice, parsePrice } from '../../../src/meter/money.ts'
import { monthEnd, monthOf, monthStart } from '../../../src/meter/months.ts'
import { createPlans } from '../../../src/meter/plans.ts'
import { costOf, planOf, readPlan, split } from '../../../src/meter/prices.ts'
import { readPriced } from '../../../src/meter/pricing.ts'
import { createUsage } from '../../../src/meter/usage.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store, UsageDelta, UsageGroup, UsageQuestion, UsageWhere } from '../../../src/store/store.ts'
import { manualClock } from './parts.ts'

const pricesOf = (metering: object) => configSchema.parse({ metering }).metering
const tier = (pricePer1000: string, upTo?: number) => (upTo === undefined ? { pricePer1000 } : { upTo, pricePer1000 })

describe('tiers', () => {
  const tiers = [
    { upTo: 10n, pricePer1000: 0n },
    { upTo: 11n, pricePer1000: 5n },
    { upTo: undefined, pricePer1000: 3n },
  ]
  test.each<[position: bigint, units: bigint, parts: [number, bigint][]]>([
    [0n, 0n, []],
    [0n, 1n, [[0, 1n]]],
    [0n, 10n, [[0, 10n]]],
    [
      9n,
      2n,
      [
        [0, 1n],
        [1, 1n],
      ],
    ],
    [
      0n,
      13n,
      [
        [0, 10n],
        [1, 1n],
        [2, 2n],
      ],
    ],
    [10n, 1n, [[1, 1n]]],
    [11n, 9_007_199_254_740_993n, [[2, 9_007_199_254_740_993n]]],
  ])('the units behind the first %s, %s of them, fall into them', (position, units, parts) => {
    expect(split(tiers, position, units)).toEqual(parts.map(([tier, units]) => ({ tier, units })))
  })

  test.each(['0', '0.005', '1', '12.3', '0.000000001', '999999999.999999999'])('%s is printed as it was', (text) => {
    expect(formatPrice(parsePrice(text))).toBe(text)
  })
})

describe('months', () => {
  test.each([
    [Date.UTC(2026, 10, 30, 23, 59, 59, 999), '2026-11'],
    [Date.UTC(2026, 11, 1), '2026-12'],
    [0, '1970-01'],
  ])('%d is in %s', (ms, month) => {
    expect(monthOf(ms)).toBe(month)
    expect(monthStart(month) <= ms && ms < monthEnd(month)).toBe(true)
  })
  test('the last of a year ends with it, that of a leap year has 29 days in February', () => {
    expect(monthEnd('2026-12')).toBe(Date.UTC(2027, 0, 1))
    expect((monthEnd('2028-02') - monthStart('2028-02')) / 86_400_000).toBe(29)
  })
})

describe('a list of prices', () => {
  test.each<[metering: object, place: string, words: string]>([
    [{ pricePer1000: { call: 0.005 } }, 'pricePer1000.call', 'expected string'],
    [{ pricePer1000: { call: '.5' } }, 'pricePer1000.call', 'a decimal such as'],
    [{ pricePer1000: { call: [] } }, 'pricePer1000.call', '>=1'],
    [{ pricePer1000: { call: [tier('1', 5)] } }, 'pricePer1000.call.0.upTo', 'left out in the last'],
    [
      { pricePer1000: { call: [tier('1'), tier('2')] } },
      'pricePer1000.call.0.upTo',
      'needed in every tier but the last',
    ],
    [{ pricePer1000: { call: [tier('1', 5), tier('2', 5), tier('3')] } }, 'pricePer1000.call.1.upTo', 'must be more'],
    [{ pricePer1000: { call: [tier('1', 0), tier('3')] } }, 'pricePer1000.call.0.upTo', '>=1'],
    [{ overrides: [{ target: 'crm' }] }, 'overrides.0.pricePer1000', ''],
    [{ overrides: [{ subject: 'ann', pricePer1000: '1' }] }, 'overrides.0', 'Unrecognized key'],
    [{ billed: { outcomes: ['unknown'] } }, 'billed.outcomes.0', 'Invalid option'],
    [{ prices: [{ from: '2026-02-30' }] }, 'prices.0.from', 'must be a day'],
    [{ prices: [{ from: '2026-02-03' }, { from: '2026-02-03' }] }, 'prices.1.from', 'later than the one before'],
    [{ retentionDays: 0 }, 'retentionDays', '>=1'],
  ])('%j is refused at %s', (metering, place, words) => {
    const issues = configSchema.safeParse({ metering }).error?.issues ?? []
    const flat = issues.flatMap((issue) =>
      issue.code === 'invalid_union'
        ? issue.errors.flat().map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }))
        : [issue],
    )
    const told = flat.filter(({ path }) => path.join('.') === `metering.${place}`)
    expect(told.map(({ message }) => message).join('; ')).toContain(words)
    expect(told).not.toEqual([])
  })

  test('is by default one price each, as the contract has it', () => {
    const { versions, currency } = planOf(pricesOf({}), '2026-11')
    const shown = versions[0]?.lines.map(({ id, tiers }) => [id, tiers.map((one) => formatPrice(one.pricePer1000))])
    expect([currency, shown]).toEqual([
      'USD',
      [
        ['call', ['0.005']],
        ['search', ['0.025']],
        ['list', ['0.005']],
      ],
    ])
  })

  test.each([
    ['2026-10', [[undefined, '1', '5', 1]]],
    [
      '2026-11',
      [
        [undefined, '1', '5', 1],
        ['2026-11-02', '2', '5', 1],
        ['2026-11-30', '2', '6', 0],
      ],
    ],
    ['2026-12', [['2026-11-30', '2', '6', 0]]],
    ['2027-01', [['2027-01-01', '3', '6', 0]]],
    ['2030-01', [['2027-01-01', '3', '6', 0]]],
  ])('has for %s the versions that are in force in it, each replacing what it names', (month, expected) => {
    const list = pricesOf({
      pricePer1000: { call: '1', search: '5' },
      overrides: [{ target: 'crm', pricePer1000: '9' }],
      prices: [
        { from: '2026-11-02', pricePer1000: { call: '2' } },
        { from: '2026-11-30', pricePer1000: { search: '6' }, overrides: [] },
        { from: '2027-01-01', pricePer1000: { call: '3' } },
      ],
    })
    const { versions } = planOf(list, month)
    const shown = versions.map(({ from, lines }) => [
      Number.isFinite(from) ? new Date(from).toISOString().slice(0, 10) : undefined,
      ...lines.slice(0, 2).map(({ tiers: [first] }) => formatPrice(first?.pricePer1000 ?? 0n)),
      lines.length - 3,
    ])
    expect(shown).toEqual(expected)
  })

  test.each([
    ['call', 'crm', 'crm___save_contact', 'first'],
    ['call', 'crm', 'crm___find', 'second'],
    ['call', 'mail', 'mail___send', 'third'],
    ['call', 'pets', 'pets___get', 'call'],
    ['search', 'crm', 'crm___save_contact', 'search'],
    ['list', '', '', 'list'],
  ])('has for a %s of %s, %s the price of %s, the first override that fits', (meter, target, tool, expected) => {
    const list = pricesOf({
      overrides: [
        { target: 'crm', tools: ['crm___save*', 'crm___delete*'], pricePer1000: '1' },
        { target: 'c*', pricePer1000: '2' },
        { tools: ['*___send'], pricePer1000: '3' },
        { target: 'crm', pricePer1000: '4' },
      ],
    })
    const [version] = planOf(list, '2026-11').versions
    const names = new Map([
      ['1', 'first'],
      ['2', 'second'],
      ['3', 'third'],
    ])
    for (const _ of [1, 2]) {
      const line = version?.lineOf(meter, target, tool)
      expect(names.get(formatPrice(line?.tiers[0]?.pricePer1000 ?? 0n)) ?? line?.id).toBe(expected)
    }
  })

  test('is kept as a text that reads as the same prices', () => {
    const list = pricesOf({
      currency: 'JPY',
      pricePer1000: { call: [tier('0', 9), tier('0.1')] },
      overrides: [{ target: 'a', tools: ['b'], pricePer1000: [tier('1', 2), tier('3')] }],
      prices: [{ from: '2026-11-10', pricePer1000: { list: '4' } }],
    })
    const plan = planOf(list, '2026-11')
    expect(readPlan(plan.text).text).toBe(plan.text)
    expect(readPlan(plan.text).versions.map(({ from, lines }) => ({ from, lines }))).toEqual(
      plan.versions.map(({ from, lines }) => ({ from, lines })),
    )
    expect(() => readPlan('{"v":2}')).toThrow(expect.objectContaining({ code: 'internal' }))
  })
})

let dir = ''
let store: Store
const open = () => {
  dir = mkdtempSync(join(tmpdir(), 'prices-'))
  store = openSqliteStore(join(dir, 'toolgate.db'))
}
const close = async () => {
  await store.close()
  rmSync(dir, { recursive: true, force: true })
}
let offset = 0
const add = async (...rows: Partial<UsageDelta>[]) => {
  const whole = rows.map((row): UsageDelta => {
    const { events = 1, units = events } = row
    const names = { tenant: 'acme', subject: 'ann', client: 'c', target: 'crm', tool: 'crm___find' }
    return { hour: 0, ...names, outcome: 'ok', ms: 1, bytesIn: 1, bytesOut: 1, ...row, events, units }
  })
  expect(await store.addUsage(`s${offset}`, 0, 1, whole, false)).toBe(true)
  offset += 1
}

describe('a month', () => {
  beforeEach(open)
  afterEach(close)
  const cheap = pricesOf({ pricePer1000: { call: '1' } })
  const dear = pricesOf({ pricePer1000: { call: '2' } })
  const november = Date.UTC(2026, 10, 24)
  const december = Date.UTC(2026, 11, 2)
  const callPrice = async (list: typeof cheap, now: number, month = '2026-11') => {
    const plans = createPlans(store, list, { now: () => now })
    const plan = await plans.of(month)
    return [formatPrice(plan.versions[0]?.lines[0]?.tiers[0]?.pricePer1000 ?? 0n), plans.notes(plan).length]
  }
  const serve = (list: typeof cheap, now: number) => createPlans(store, list, { now: () => now }).keep()

  test('has the prices of the configuration while it runs, also after they were kept', async () => {
    await serve(cheap, november)
    expect(await callPrice(dear, november)).toEqual(['2', 0])
  })

  test('keeps the prices that it was last served with, whatever the configuration says later', async () => {
    await serve(cheap, november - 86_400_000)
    await serve(dear, november)
    await serve(cheap, december)
    expect(await callPrice(cheap, december)).toEqual(['2', 1])
    expect(await callPrice(dear, december)).toEqual(['2', 0])
  })

  test('that nobody served keeps those with which it was first asked about', async () => {
    expect(await callPrice(cheap, december)).toEqual(['1', 0])
    expect(await callPrice(dear, december)).toEqual(['1', 1])
  })

  test('does not change when the clock is set back into it, though the configuration has changed', async () => {
    await serve(cheap, november)
    await serve(cheap, december)
    await serve(dear, november)
    expect(await callPrice(dear, december)).toEqual(['1', 1])
  })

  test('is told of in notes, and months of two currencies are not added up', async () => {
    await add({ hour: Date.UTC(2026, 9, 5), events: 1_000 }, { hour: Date.UTC(2026, 10, 5), events: 1_000 })
    const clock = manualClock(Date.UTC(2026, 9, 31))
    const usage = (metering: object) =>
      createUsage({
        dir: join(dir, 'spool'),
        store,
        clock,
        retentionDays: 30,
        prices: pricesOf(metering),
        keepsPrices: true,
      })
    await usage({ pricePer1000: { call: '1' } }).rollUp()
    clock.set(december)
    const period = { from: '2026-10-01', to: '2026-11-30', by: ['month'] }
    expect(await usage({ pricePer1000: { call: '3' } }).answer(period)).toMatchObject({
      rows: [{ cost: '1.000000000' }, { cost: '3.000000000' }],
      notes: [expect.stringContaining('2026-10 is over and keeps its prices')],
    })
    clock.set(Date.UTC(2027, 0, 2))
    await add({ hour: Date.UTC(2027, 0, 1), events: 1_000 })
    const euros = usage({ currency: 'EUR' })
    await expect(euros.answer({ ...period, to: '2027-01-02' })).rejects.toMatchObject({
      code: 'invalid_params',
      message: 'Prices are in USD and in EUR. Ask for a time that has one currency.',
    })
    expect(await euros.answer({ from: '2027-01-01', by: [] })).toMatchObject({ currency: 'EUR' })
  })
})

describe('costs', () => {
  const list = pricesOf({
    pricePer1000: { call: [tier('0', 20), tier('0.7', 90), tier('0.3')], search: [tier('5', 7), tier('4')] },
    overrides: [{ target: 'crm', tools: ['*save'], pricePer1000: [tier('11', 9), tier('10')] }],
    prices: [
      { from: '2026-11-09', pricePer1000: { call: [tier('0.9', 50), tier('0.1', 120), tier('0.2')] } },
      { from: '2026-11-21', overrides: [{ tools: ['*find'], pricePer1000: '0.000000001' }] },
    ],
  })
  const start = Date.UTC(2026, 10, 1)
  const hours = 30 * 24
  const plan = planOf(list, '2026-11')
  const total = async (
    from: number,
    to: number,
    by: readonly UsageGroup[] = [],
    where: UsageWhere = {},
    over = store,
  ) => {
    let amount = 0n
    await readPriced(
      over,
      async () => plan,
      { from, to, by, where },
      ({ line, parts }) => {
        amount += costOf(line, parts)
      },
    )
    return amount
  }
  const at = (hour: number) => start + hour * 3_600_000
  beforeAll(async () => {
    open()
    const numbers = fc.sample(fc.nat(1_000_000), { numRuns: 4 * 900, seed: 7 })
    const rows = Array.from({ length: 900 }, (_, index) => {
      const [one = 0, two = 0, three = 0, four = 0] = numbers.slice(4 * index)
      const tool = ['crm___find', 'crm___save', 'mail___find'][one % 3] ?? ''
      return {
        ...{ hour: at(two % hours), tenant: `t${three % 3}`, subject: `s${four % 3}`, tool, target: tool.slice(0, -7) },
        ...{ meter: one % 11 === 0 ? ('search' as const) : ('call' as const), events: (one % 4) + 1 },
        units: one % 13 === 0 ? 0 : (one % 4) + 1,
      }
    })
    const sums = new Map<string, (typeof rows)[number]>()
    for (const row of rows) sums.set(JSON.stringify([row.hour, row.tenant, row.subject, row.tool, row.meter]), row)
    await add(...sums.values())
  })
  afterAll(close)

  test('of a time are those of its parts, wherever it is cut', async () => {
    const whole = await total(start, at(hours))
    const cut = fc.integer({ min: 0, max: hours })
    await fc.assert(
      fc.asyncProperty(cut, cut, async (one, other) => {
        const [first, second] = [Math.min(one, other), Math.max(one, other)]
        const parts = [total(start, at(first)), total(at(first), at(second)), total(at(second), at(hours))]
        expect((await Promise.all(parts)).reduce((sum, part) => sum + part, 0n)).toBe(whole)
      }),
      { numRuns: 60, seed: 3 },
    )
  })

  test('are the same sum by whatever they are grouped, and by whatever they are told apart', async () => {
    const whole = await total(start, at(hours))
    expect(whole).toBeGreaterThan(0n)
    for (const by of [
      ['tool'],
      ['principal'],
      ['hour', 'meter'],
      ['day', 'client'],
      ['month', 'outcome', 'tenant'],
    ] as const)
      expect({ by, amount: await total(start, at(hours), by) }).toEqual({ by, amount: whole })
    const wheres: UsageWhere[][] = [
      [{ tenant: 't0' }, { tenant: 't1' }, { tenant: 't2' }],
      [{ subject: 's0' }, { subject: 's1' }, { subject: 's2' }],
      [{ tool: 'crm___find' }, { tool: 'crm___save' }, { tool: 'mail___find' }],
    ]
    for (const apart of wheres) {
      const parts = await Promise.all(apart.map((where) => total(start, at(hours), ['target'], where)))
      expect(parts.reduce((sum, part) => sum + part, 0n)).toBe(whole)
    }
  })

  test('are read row by row: none are held that there may be more of than memory has room for', async () => {
    const passing: Store = {
      ...store,
      usage: async (question: UsageQuestion) => {
        expect(question.rows).toBe(1)
        return store.usage(question)
      },
    }
    const by = ['client'] as const
    expect(await total(start, at(hours), by, {}, passing)).toBe(await total(start, at(hours), by))
  })

  test('of which there are too many in the smallest part are refused with words', async () => {
    const one = { events: 0, units: 0, ms: 0, waitMs: 0, bytesIn: 0, bytesOut: 0, hour: start }
    const endless: Store = {
      ...store,
      eachUsage: async ({ rows }, visit) => {
        for (let row = 0; row < rows; row += 1) visit(one)
      },
    }
    await expect(total(start, at(hours), ['principal'], {}, endless)).rejects.toMatchObject({ code: 'over_limit' })
  })
})
