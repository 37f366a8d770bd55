/**
 * A year of calls, seeded: price changes, tiers, a clock that is set back, roll-ups tried twice, restarts. What the ledger
 * says of each tenant and month is held against a plain computation here, event by event, that shares no code with it.
 * `TOOLGATE_SIMULATION=10000000 npx vitest run test/unit/meter/simulation.test.ts` runs it at full size.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { OutcomeKind } from '../../../src/core/model.ts'
import { createUsage, type Usage } from '../../../src/meter/usage.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store, UsageDelta } from '../../../src/store/store.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { manualClock } from './parts.ts'

const events = Number(process.env['TOOLGATE_SIMULATION'] ?? 200_000)
const hourMs = 3_600_000
const start = Date.UTC(2026, 0, 1)
const end = Date.UTC(2027, 0, 1)
const scale = events / 200_000

/** xorshift32 (Marsaglia 2003): the same numbers every time. */
const seeded = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return Math.floor(((state >>> 0) / 2 ** 32) * below)
  }
}

const tenants = ['acme', 'Ärger & Söhne', '=cmd()', 'zürich', '<b>'] as const
const outcomes = ['cancelled', 'failed', 'invalid_arguments', 'ok', 'target_error', 'unknown', 'unreached'] as const
/** In the order of the ledger within an hour: target, tool. */
const things = [
  { target: '', tool: 'find_tools', meter: 'search' },
  { target: '', tool: 'tools/list', meter: 'list' },
  { target: 'crm', tool: 'sales___find', meter: 'call' },
  { target: 'crm', tool: 'sales___save', meter: 'call' },
  { target: 'mail', tool: 'mail___send', meter: 'call' },
  { target: 'pets', tool: 'pets___get', meter: 'call' },
] as const
const callers = [
  { subject: 'ann', client: 'editor' },
  { subject: 'bob', client: 'bot' },
] as const

const tier = (upTo: number, pricePer1000: string) => ({ upTo: Math.max(1, Math.round(upTo * scale)), pricePer1000 })

/** What the operator wrote into the configuration, and the day on which the gateway was started with it. */
const configurations = [
  {
    since: Date.UTC(2026, 0, 1),
    metering: {
      pricePer1000: { call: '0.005', search: '0.025', list: [tier(37, '0'), { pricePer1000: '0.007000001' }] },
      prices: [{ from: '2026-02-14', pricePer1000: { call: '0.0049' } }],
    },
  },
  {
    since: Date.UTC(2026, 2, 10, 12),
    metering: {
      pricePer1000: { call: [tier(100, '0'), tier(900, '0.005'), { pricePer1000: '0.003' }] },
      overrides: [
        { target: 'crm', tools: ['*___save'], pricePer1000: [tier(55, '0.1'), { pricePer1000: '0.09' }] },
        { target: 'm*', pricePer1000: '0.000000001' },
      ],
      billed: { outcomes: ['ok', 'target_error'] },
      prices: [
        { from: '2026-04-15', overrides: [{ tools: ['pets___*'], pricePer1000: '0.011' }] },
        {
          from: '2026-05-20',
          pricePer1000: { call: [tier(700, '0.0051'), tier(701, '999999999.999999999'), { pricePer1000: '0.0001' }] },
        },
      ],
    },
  },
  {
    since: Date.UTC(2026, 5, 11, 12),
    metering: {
      pricePer1000: { call: [tier(400, '0.2'), tier(800, '0.1'), tier(1_200, '0.05'), { pricePer1000: '0.01' }] },
      prices: [
        { from: '2026-08-01', pricePer1000: { search: [tier(50, '0.02'), { pricePer1000: '0.01' }] } },
        { from: '2026-08-09', pricePer1000: { call: '0.004' } },
        { from: '2026-08-21', pricePer1000: { call: [tier(950, '0.004'), { pricePer1000: '0.002' }] } },
        { from: '2026-11-30', overrides: [{ target: 'crm', pricePer1000: [tier(5, '0'), { pricePer1000: '7' }] }] },
      ],
    },
  },
  { since: Date.UTC(2027, 0, 4, 12), metering: { pricePer1000: { call: '123' } } },
] as const

// The plain computation. Prices in integers of 10⁻⁹, amounts of 10⁻¹².

type Loose = { readonly [key: string]: unknown }
interface PlainTier {
  readonly last: number
  readonly price: bigint
}

const integer = (text: string): bigint => {
  const [whole = '', fraction = ''] = text.split('.')
  return BigInt(whole) * 10n ** 9n + BigInt(fraction.padEnd(9, '0'))
}
const plainTiers = (value: unknown): PlainTier[] =>
  typeof value === 'string'
    ? [{ last: Infinity, price: integer(value) }]
    : (value as { upTo?: number; pricePer1000: string }[]).map((one) => ({
        last: one.upTo ?? Infinity,
        price: integer(one.pricePer1000),
      }))
const decimal = (amount: bigint): string => {
  const [quotient, rest] = [amount / 1_000n, amount % 1_000n]
  const nano = rest > 500n || (rest === 500n && quotient % 2n === 1n) ? quotient + 1n : quotient
  return `${nano / 10n ** 9n}.${String(nano % 10n ** 9n).padStart(9, '0')}`
}

const star = (pattern: string): RegExp => new RegExp(`^${pattern.replaceAll('*', '.*')}$`)

/** The price line of a thing at an hour, under a configuration: its name and its tiers. */
const plainLine = (metering: Loose, hour: number, { target, tool, meter }: (typeof things)[number]) => {
  const steps = [metering, ...((metering['prices'] ?? []) as Loose[])].filter(
    ({ from }) => typeof from !== 'string' || Date.parse(from) <= hour,
  )
  const overrides = (steps.findLast((step) => step['overrides'] !== undefined)?.['overrides'] ?? []) as Loose[]
  for (const one of meter === 'call' ? overrides : []) {
    const { target: wanted = '*', tools = ['*'], pricePer1000 } = one
    if (star(String(wanted)).test(target) && (tools as string[]).some((name) => star(name).test(tool)))
      return { name: JSON.stringify([one['target'], one['tools']]), tiers: plainTiers(pricePer1000) }
  }
  const named = steps.findLast((step) => (step['pricePer1000'] as Loose | undefined)?.[meter] !== undefined)
  const standard = { call: '0.005', search: '0.025', list: '0.005' }[meter]
  return { name: meter, tiers: plainTiers((named?.['pricePer1000'] as Loose | undefined)?.[meter] ?? standard) }
}

const standardOutcomes = ['ok', 'target_error', 'failed', 'cancelled']

/** Whether a call counts is settled when it is recorded, by what the gateway was started with. */
const countedBy = ({ metering }: { readonly metering: Loose }): ReadonlySet<string> =>
  new Set((metering['billed'] as { outcomes: string[] } | undefined)?.outcomes ?? standardOutcomes)

const inForce = (month: number): Loose =>
  configurations.findLast(({ since }) => since < Date.UTC(2026, month + 1, 1))?.metering ?? {}

/** Which event it was, as one number that sorts as the ledger orders the calls of one tenant in one hour. */
const sizes = { outcome: outcomes.length, caller: callers.length, thing: things.length }
const codeOf = (tenant: number, thing: number, caller: number, outcome: number, units: number): number =>
  (((tenant * sizes.thing + thing) * sizes.caller + caller) * sizes.outcome + outcome) * 2 + units
const partsOf = (whole: number) => {
  const code = Math.floor(whole / 2)
  const outcome = code % sizes.outcome
  const caller = Math.floor(code / sizes.outcome) % sizes.caller
  const thing = Math.floor(code / sizes.outcome / sizes.caller) % sizes.thing
  return {
    units: whole % 2,
    outcome,
    caller,
    thing,
    tenant: Math.floor(code / sizes.outcome / sizes.caller / sizes.thing),
  }
}

interface Plain {
  /** By `month/tenant` and by `month/tenant/tool`: amounts and units. */
  readonly amounts: Map<string, bigint>
  readonly units: Map<string, number>
}

const plainly = (byHour: ReadonlyMap<number, readonly number[]>): Plain => {
  const amounts = new Map<string, bigint>()
  const units = new Map<string, number>()
  let month = -1
  let places = new Map<string, number>()
  for (const hour of [...byHour.keys()].toSorted((one, other) => one - other)) {
    if (new Date(hour).getUTCMonth() !== month) {
      month = new Date(hour).getUTCMonth()
      places = new Map()
    }
    const metering = inForce(month)
    const lines = things.map((thing) => plainLine(metering, hour, thing))
    for (const code of (byHour.get(hour) ?? []).toSorted((one, other) => one - other)) {
      const { tenant, thing, units: counted } = partsOf(code)
      if (counted === 0) continue
      const line = lines[thing]
      if (line === undefined) throw new Error('There is a line for everything.')
      const place = (places.get(`${tenant}${line.name}`) ?? 0) + 1
      places.set(`${tenant}${line.name}`, place)
      const price = line.tiers.find(({ last }) => place <= last)?.price ?? 0n
      for (const key of [`${month}/${tenant}`, `${month}/${tenant}/${thing}`]) {
        amounts.set(key, (amounts.get(key) ?? 0n) + price)
        units.set(key, (units.get(key) ?? 0) + 1)
      }
    }
  }
  return { amounts, units }
}

const outcomeOf = (pick: number): number =>
  outcomes.indexOf(pick < 85 ? 'ok' : pick < 90 ? 'target_error' : (outcomes[pick - 90] ?? 'unreached'))

describe(`a year of ${events} events`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'year-'))
  const path = join(dir, 'toolgate.db')
  const clock = manualClock(start)
  const byHour = new Map<number, number[]>()
  let store: Store = openSqliteStore(path)
  let usage: Usage
  let configured = 0
  let offset = 0

  const open = () => {
    const { metering: prices } = configSchema.parse({ metering: configurations[configured]?.metering })
    usage = createUsage({ dir: join(dir, 'usage'), store, clock, retentionDays: 30, prices, keepsPrices: true })
  }
  const restart = async () => {
    await store.close()
    store = openSqliteStore(path)
    open()
  }
  /** As a roll-up adds a batch; tried again, as another process or a restart would. */
  const add = async (sums: Map<string, UsageDelta>, twice: boolean) => {
    const rows = [...sums.values()]
    expect(await store.addUsage('segment', offset, offset + 1, rows, false)).toBe(true)
    if (twice) expect(await store.addUsage('segment', offset, offset + 1, rows, false)).toBe(false)
    offset += 1
    sums.clear()
  }

  beforeAll(async () => {
    const random = seeded(20_261_124)
    const sums = new Map<string, UsageDelta>()
    let now = start
    const counts = () => countedBy(configurations[configured] ?? configurations[0])
    open()
    for (let at = 0; at < events; at++) {
      now = Math.min(now + random(2 * ((end - start) / events)), end - 1)
      // the clock is set back by up to three hours, now and then, and found to be late again
      const shown = random(1_000) < 30 ? Math.max(start, now - random(3 * hourMs)) : now
      const hour = shown - (shown % hourMs)
      const [tenant, thing, caller] = [random(tenants.length), random(things.length), random(callers.length)]
      const outcome = outcomeOf(random(97))
      const code = codeOf(tenant, thing, caller, outcome, counts().has(outcomes[outcome] ?? 'ok') ? 1 : 0)
      const codes = byHour.get(hour)
      if (codes === undefined) byHour.set(hour, [code])
      else codes.push(code)
      const key = `${hour}/${code}`
      const sum = sums.get(key)
      if (sum !== undefined) sums.set(key, { ...sum, events: sum.events + 1, units: sum.units + (code % 2) })
      else sums.set(key, delta(hour, code))
      if (random(Math.min(events / 500, 20_000)) > 0 && at < events - 1) continue
      clock.set(shown)
      const due = configurations.findLastIndex(({ since }) => since <= shown)
      const changed = due > configured
      if (changed) configured = due
      await add(sums, random(3) === 0)
      if (changed || random(5) === 0) await restart()
      await usage.rollUp()
    }
    configured = configurations.length - 1
    clock.set(Date.UTC(2027, 0, 5))
    await restart()
  }, 3_600_000)
  afterAll(async () => {
    await store.close()
    rmSync(dir, { recursive: true, force: true })
  })

  const delta = (hour: number, code: number): UsageDelta => {
    const { tenant, thing, caller, outcome, units } = partsOf(code)
    const names = { ...(things[thing] ?? things[0]), ...(callers[caller] ?? callers[0]) }
    const kind: OutcomeKind = outcomes[outcome] ?? 'ok'
    const figures = { events: 1, units, ms: 3, waitMs: 2, bytesIn: 1, bytesOut: 1 }
    return { hour, tenant: tenants[tenant] ?? '', ...names, outcome: kind, ...figures }
  }

  test('costs to the last digit what it costs event by event, by tenant, tool and month, and in any sum of them', async () => {
    const plain = plainly(byHour)
    const ask = (by: string[], more: object = {}) => usage.answer({ from: '2026-01-01', to: '2026-12-31', by, ...more })
    const byTenant = await ask(['month', 'tenant'])
    const byTool = await ask(['month', 'tenant', 'tool'])
    const expected = (size: number) =>
      [...plain.amounts]
        .map(([key, amount]) => ({
          parts: key.split('/').map(Number),
          cost: decimal(amount),
          units: plain.units.get(key),
        }))
        .filter(({ parts }) => parts.length === size)
        .map(({ parts: [month = 0, tenant = 0, thing], cost, units }) => ({
          month: `2026-${String(month + 1).padStart(2, '0')}`,
          tenant: tenants[tenant],
          ...(thing === undefined ? {} : { tool: things[thing]?.tool }),
          invocations: units,
          cost,
        }))
    const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted()
    expect(byTenant.rows).toHaveLength(12 * tenants.length)
    expect(sorted(byTenant.rows)).toEqual(sorted(expected(2)))
    expect(sorted(byTool.rows)).toEqual(sorted(expected(3)))
    const all = [...plain.amounts].filter(([key]) => key.split('/').length === 2)
    const total = decimal(all.reduce((sum, [, amount]) => sum + amount, 0n))
    for (const by of [[], ['tenant'], ['target'], ['principal', 'client'], ['day'], ['outcome', 'meter']])
      expect({ by, cost: (await ask(by)).total.cost }).toEqual({ by, cost: total })
  }, 600_000)

  test('statements say the same, each with its lines adding up', async () => {
    const { amounts } = plainly(byHour)
    for (const [tenant, name] of tenants.entries())
      for (const month of [1, 4, 7, 10]) {
        const text = `2026-${String(month + 1).padStart(2, '0')}`
        const statement = await usage.invoice({ month: text, tenant: name })
        expect(statement).toMatchObject({ state: 'closed', tenant: name, currency: 'USD' })
        expect(statement.total.amount).toBe(decimal(amounts.get(`${month}/${tenant}`) ?? 0n))
        for (const rows of [statement.lines, statement.targets, statement.tools])
          expect(rows.reduce((sum, { units }) => sum + units, 0)).toBe(statement.total.units)
        const exact = statement.lines.map(({ units, pricePer1000 }) => BigInt(units) * integer(pricePer1000))
        expect(decimal(exact.reduce((sum, amount) => sum + amount, 0n))).toBe(statement.total.amount)
      }
  }, 600_000)

  test('months that are over say so where the configuration has other prices now', async () => {
    const { notes = [] } = await usage.answer({ from: '2026-01-01', to: '2026-12-31', by: [] })
    expect(notes).toHaveLength(12)
    expect(notes[0]).toContain('2026-01 is over and keeps its prices')
  })
})
