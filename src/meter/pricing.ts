/**
 * The ledger with its prices. What a row costs depends on the units of its tenant and month before it, but only where
 * there are tiers, and there only when a tenant passes from one tier into the next: so sums are asked for at once, by
 * day for tenants that pass, by hour on the days when they do, and row by row in that hour alone.
 *
 * Within an hour the order is that of target, tool, tenant, subject, client, outcome and meter (by code points).
 */
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Store, UsageGroup, UsageRow, UsageWhere } from '../store/store.ts'
import { monthEnd, monthOf, monthStart } from './months.ts'
import { type Part, type Plan, type PriceLine, type PriceVersion, split } from './prices.ts'

/** Figures of one price line in one version of the prices. */
export interface PricedRow {
  /** With the names that were asked for, and maybe more. */
  readonly row: UsageRow
  readonly plan: Plan
  readonly version: PriceVersion
  readonly line: PriceLine
  /** Its units by tier. */
  readonly parts: readonly Part[]
}

export interface PricedQuestion {
  /** Milliseconds since the Unix epoch, as in `UsageQuestion`. */
  readonly from: number
  readonly to: number
  readonly by: readonly UsageGroup[]
  readonly where: UsageWhere
}

interface Span {
  readonly from: number
  readonly to: number
}

/** A part of the ledger that has one version of one month’s prices. */
interface Stretch extends Span {
  readonly plan: Plan
  readonly version: PriceVersion
}

interface Asking extends PricedQuestion {
  readonly store: Store
  readonly visit: (row: PricedRow) => void
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/** `act` on every row, none of which is kept. Rejects with `over_limit` behind `limits.usageCells` of them. */
const eachRow = async (
  { store }: Asking,
  { from, to }: Span,
  by: readonly UsageGroup[],
  where: UsageWhere,
  act: (row: UsageRow) => void,
): Promise<void> => {
  let left: number = limits.usageCells
  await store.eachUsage({ from, to, by: [...new Set(by)], where, rows: limits.usageCells + 1 }, (row) => {
    left -= 1
    if (left < 0)
      throw new GatewayError('over_limit', {
        words: `The question needs more than ${limits.usageCells} sums. Ask for a shorter period, a tenant, or fewer groups.`,
      })
    act(row)
  })
}

const lineOf = ({ version }: Stretch, { meter = 'call', target = '', tool = '' }: UsageRow): PriceLine =>
  version.lineOf(meter, target, tool)

/** What the line of a row is told by. */
const lineGroups = ({ version }: Stretch): UsageGroup[] => ['meter', ...version.keys]

/** Units by price line. */
type LineUnits = Map<PriceLine, bigint>

/** How many units of each line tenants have behind them in this month. */
class Places {
  readonly #byTenant = new Map<string, Map<string, bigint>>()

  of(tenant: string, line: PriceLine): bigint {
    return this.#byTenant.get(tenant)?.get(line.id) ?? 0n
  }

  advance(tenant: string, units: LineUnits): void {
    const lines = this.#byTenant.get(tenant) ?? new Map<string, bigint>()
    for (const [{ id }, count] of units) lines.set(id, (lines.get(id) ?? 0n) + count)
    this.#byTenant.set(tenant, lines)
  }

  /** Takes over where a tenant is by now in `others`. */
  with(tenant: string, others: Places): void {
    this.#byTenant.set(tenant, new Map(others.#byTenant.get(tenant)))
  }

  has(tenant: string): boolean {
    return this.#byTenant.has(tenant)
  }

  get size(): number {
    return this.#byTenant.size
  }

  /** The one tenant that is known here, if it is one. */
  get only(): string | undefined {
    const [tenant, more] = this.#byTenant.keys()
    return more === undefined ? tenant : undefined
  }
}

const tenantOnly = ({ tenant }: UsageWhere): UsageWhere => (tenant === undefined ? {} : { tenant })

/** Units of each tenant by line. */
const unitsOf = async (asking: Asking, stretch: Stretch): Promise<Map<string, LineUnits>> => {
  const tenants = new Map<string, LineUnits>()
  const by = ['tenant' as const, ...lineGroups(stretch)]
  await eachRow(asking, stretch, by, tenantOnly(asking.where), (row) => {
    const { tenant = '' } = row
    const lines: LineUnits = tenants.get(tenant) ?? new Map()
    tenants.set(tenant, lines)
    const units = BigInt(row.units)
    const line = lineOf(stretch, row)
    if (units > 0n) lines.set(line, (lines.get(line) ?? 0n) + units)
  })
  return tenants
}

/** The one tier of each line that these units lie in; undefined when any line passes from one tier into the next. */
const singleTiers = (places: Places, tenant: string, units: LineUnits): Map<PriceLine, number> | undefined => {
  const tiers = new Map<PriceLine, number>()
  for (const [line, count] of units) {
    const [part, more] = split(line.tiers, places.of(tenant, line), count)
    if (more !== undefined) return undefined
    if (part !== undefined) tiers.set(line, part.tier)
  }
  return tiers
}

const visitAt = ({ visit }: Asking, stretch: Stretch, row: UsageRow, tier: number): void => {
  const units = BigInt(row.units)
  const { plan, version } = stretch
  visit({ row, plan, version, line: lineOf(stretch, row), parts: units === 0n ? [] : [{ tier, units }] })
}

/** Prices that no volume changes. */
const priceFlat = (asking: Asking, stretch: Stretch): Promise<void> =>
  eachRow(asking, stretch, [...asking.by, ...lineGroups(stretch)], asking.where, (row) =>
    visitAt(asking, stretch, row, 0),
  )

/** How finely time is looked at, one after the other; within an hour it is row by row. */
type Step = 'whole' | 'day' | 'hour'

/** The days, or the hours, of a stretch. */
function* partsOf(step: Step, { from, to }: Span): Generator<Span, void, void> {
  const ms = step === 'day' ? dayMs : hourMs
  if (step === 'whole') yield { from, to }
  else
    for (let start = from; start < to; ) {
      const end = Math.min((Math.floor(start / ms) + 1) * ms, to)
      yield { from: start, to: end }
      start = end
    }
}

/**
 * Prices a span for some tenants, or for all, from the places that they have at its beginning. `places` are then those at
 * its end.
 */
const priceSteps = async (
  asking: Asking,
  stretch: Stretch,
  places: Places,
  step: Step,
  wanted: (tenant: string) => boolean,
): Promise<void> => {
  for (const span of partsOf(step, stretch)) {
    const part = { ...stretch, ...span }
    const single = new Map<string, Map<PriceLine, number>>()
    const passing = new Places()
    for (const [tenant, units] of await unitsOf(asking, part)) {
      if (!wanted(tenant)) continue
      const tiers = singleTiers(places, tenant, units)
      if (tiers !== undefined) single.set(tenant, tiers)
      else passing.with(tenant, places)
      places.advance(tenant, units)
    }
    if (single.size > 0)
      await eachRow(asking, part, [...asking.by, 'tenant', ...lineGroups(part)], asking.where, (row) => {
        const tiers = single.get(row.tenant ?? '')
        if (tiers !== undefined) visitAt(asking, part, row, tiers.get(lineOf(part, row)) ?? 0)
      })
    if (passing.size > 0) await pricePassing(asking, part, passing, step)
  }
}

/** A step in which the tenants of `places` pass into another tier: looked at more finely. */
const pricePassing = async (asking: Asking, part: Stretch, places: Places, step: Step): Promise<void> => {
  const one = places.only
  const narrowed = one === undefined ? asking : { ...asking, where: { ...asking.where, tenant: one } }
  if (step === 'hour') await priceHour(narrowed, part, places)
  else await priceSteps(narrowed, part, places, step === 'whole' ? 'day' : 'hour', (tenant) => places.has(tenant))
}

const isWanted = (row: UsageRow, { target, tool, subject, client }: UsageWhere): boolean =>
  (target ?? row.target) === row.target &&
  (tool ?? row.tool) === row.tool &&
  (subject ?? row.subject) === row.subject &&
  (client ?? row.client) === row.client

/** An hour in which the tenants of `places` pass into another tier. */
const priceHour = async (asking: Asking, stretch: Stretch, places: Places): Promise<void> => {
  const every: UsageGroup[] = ['target', 'tool', 'principal', 'client', 'outcome', 'meter']
  const day = new Date(stretch.from).toISOString().slice(0, -14)
  const { plan, version } = stretch
  await eachRow(asking, stretch, every, tenantOnly(asking.where), (found) => {
    const { tenant = '' } = found
    if (!places.has(tenant)) return
    const line = lineOf(stretch, found)
    const units = BigInt(found.units)
    const parts = split(line.tiers, places.of(tenant, line), units)
    places.advance(tenant, new Map([[line, units]]))
    const row: UsageRow = { ...found, hour: stretch.from, day, month: plan.month }
    if (isWanted(row, asking.where)) asking.visit({ row, plan, version, line, parts })
  })
}

/** One month’s part of a question. What lies before it in the month is read for its volume. */
const priceMonth = async (asking: Asking, plan: Plan, places: Places): Promise<void> => {
  const isTiered = plan.versions.some(({ tiered }) => tiered)
  for (const [index, version] of plan.versions.entries()) {
    const from = Math.max(version.from, monthStart(plan.month))
    const to = plan.versions[index + 1]?.from ?? monthEnd(plan.month)
    const before = { from, to: Math.min(to, asking.from), plan, version }
    if (isTiered && before.from < before.to) {
      for (const [tenant, units] of await unitsOf(asking, before)) places.advance(tenant, units)
    }
    const asked = { from: Math.max(from, asking.from), to: Math.min(to, asking.to), plan, version }
    if (asked.from >= asked.to) continue
    await (isTiered ? priceSteps(asking, asked, places, 'whole', () => true) : priceFlat(asking, asked))
  }
}

/** The first hour of a span that the ledger has anything of. */
const firstHour = async (store: Store, from: number, to: number): Promise<number | undefined> => {
  const [row] = from < to ? await store.usage({ from, to, by: ['hour'], rows: 1 }) : []
  return row?.hour
}

/**
 * Reads what a question is about, each sum once, with its price. Rejects with `over_limit`, `store_unavailable`, and
 * what `planFor` rejects with.
 */
export const readPriced = async (
  store: Store,
  planFor: (month: string) => Promise<Plan>,
  question: PricedQuestion,
  visit: (row: PricedRow) => void,
): Promise<void> => {
  const asking = { ...question, store, visit }
  let at = await firstHour(store, question.from, question.to)
  while (at !== undefined) {
    const plan = await planFor(monthOf(at))
    await priceMonth(asking, plan, new Places())
    at = await firstHour(store, monthEnd(plan.month), question.to)
  }
}
