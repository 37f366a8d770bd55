/**
 * Prices: which price line a unit belongs to, and what it costs at the place that it has in its line. Volume counts by
 * tenant, calendar month (UTC) and price line, in the order of time. A later version of the prices goes on from the
 * place that was reached. So the cost of some units is what the line costs with them less what it costs without them,
 * and sums come out the same however units are put together.
 */
import { GatewayError } from '../core/errors.ts'
import { toMatcher } from '../core/pattern.ts'
import type { MeterKind } from '../store/store.ts'
import { cost, parsePrice } from './money.ts'
import { monthEnd, monthStart } from './months.ts'
import { type KeptPlan, keptPlan, type PriceList, type Tiered } from './price-schema.ts'

export interface Tier {
  /** The last unit that has this price; undefined in the last tier. */
  readonly upTo: bigint | undefined
  /** 10⁻⁹ of the currency unit, see `parsePrice`. */
  readonly pricePer1000: bigint
}

/** One line of a price list. */
export interface PriceLine {
  /** The same in every version of the prices, so that its volume goes on. */
  readonly id: string
  readonly meter: MeterKind
  /** Patterns that an override has; none for the line of everything else. */
  readonly target?: string
  readonly tools?: readonly string[]
  readonly tiers: readonly Tier[]
}

/** Prices from a moment on. */
export interface PriceVersion {
  /** Milliseconds since the Unix epoch; −∞ for those that were first. */
  readonly from: number
  readonly lines: readonly PriceLine[]
  /** Whether any price depends on volume. */
  readonly tiered: boolean
  /** What, besides the meter, a unit's line depends on. */
  readonly keys: readonly ('target' | 'tool')[]
  lineOf(meter: string, target: string, tool: string): PriceLine
}

/** The prices of one month. */
export interface Plan {
  readonly month: string
  readonly currency: string
  /** In the order of time; the first is in force at the month's beginning. */
  readonly versions: readonly PriceVersion[]
  /** The same prices give the same text; `readPlan` reads it. */
  readonly text: string
}

const meters = ['call', 'search', 'list'] as const

const tiersOf = (tiered: Tiered): KeptPlan['versions'][number]['pricePer1000']['call'] =>
  typeof tiered === 'string'
    ? [{ pricePer1000: tiered }]
    : tiered.map(({ upTo, pricePer1000 }) => (upTo === undefined ? { pricePer1000 } : { upTo, pricePer1000 }))

type KeptVersion = KeptPlan['versions'][number]

/** All versions of a price list, each complete. */
const completed = ({ pricePer1000, overrides, prices }: PriceList): KeptVersion[] => {
  let now = { pricePer1000, overrides }
  const complete = (from?: string): KeptVersion => ({
    ...(from === undefined ? {} : { from }),
    pricePer1000: {
      call: tiersOf(now.pricePer1000.call),
      search: tiersOf(now.pricePer1000.search),
      list: tiersOf(now.pricePer1000.list),
    },
    overrides: now.overrides.map(({ target, tools, pricePer1000 }) => ({
      ...(target === undefined ? {} : { target }),
      ...(tools === undefined ? {} : { tools }),
      pricePer1000: tiersOf(pricePer1000),
    })),
  })
  const versions = [complete()]
  for (const { from, ...next } of prices) {
    const { call, search, list } = now.pricePer1000
    now = {
      pricePer1000: {
        call: next.pricePer1000?.call ?? call,
        search: next.pricePer1000?.search ?? search,
        list: next.pricePer1000?.list ?? list,
      },
      overrides: next.overrides ?? now.overrides,
    }
    versions.push(complete(from))
  }
  return versions
}

const momentOf = (day: string | undefined): number =>
  day === undefined ? Number.NEGATIVE_INFINITY : Date.parse(`${day}T00:00:00Z`)

/** The prices that a list has for a month. */
export const planOf = (list: PriceList, month: string): Plan => {
  const versions = completed(list)
  const first = versions.findLastIndex(({ from }) => momentOf(from) <= monthStart(month))
  const kept: KeptPlan = {
    v: 1,
    month,
    currency: list.currency,
    versions: versions.slice(first).filter(({ from }) => momentOf(from) < monthEnd(month)),
  }
  return compile(kept)
}

/** A plan from its text. Throws `internal` for what is none. */
export const readPlan = (text: string): Plan => {
  try {
    return compile(keptPlan.parse(JSON.parse(text)))
  } catch (cause) {
    throw new GatewayError('internal', { words: 'The prices kept for a closed month cannot be read.', cause })
  }
}

const compile = (kept: KeptPlan): Plan => ({
  month: kept.month,
  currency: kept.currency,
  versions: kept.versions.map(versionOf),
  text: JSON.stringify(kept),
})

const exactTiers = (tiers: readonly { upTo?: number | undefined; pricePer1000: string }[]): Tier[] =>
  tiers.map(({ upTo, pricePer1000 }) => ({
    upTo: upTo === undefined ? undefined : BigInt(upTo),
    pricePer1000: parsePrice(pricePer1000),
  }))

const versionOf = ({ from, pricePer1000, overrides }: KeptVersion): PriceVersion => {
  const special = overrides.map(
    ({ target, tools, pricePer1000 }): PriceLine => ({
      id: JSON.stringify({ target, tools }),
      meter: 'call',
      ...(target === undefined ? {} : { target }),
      ...(tools === undefined ? {} : { tools }),
      tiers: exactTiers(pricePer1000),
    }),
  )
  const plain = meters.map((meter): PriceLine => ({ id: meter, meter, tiers: exactTiers(pricePer1000[meter]) }))
  const lines = [...plain, ...special]
  return {
    from: momentOf(from),
    lines,
    tiered: lines.some(({ tiers }) => tiers.length > 1),
    keys: [
      ...(special.some(({ target }) => target !== undefined) ? (['target'] as const) : []),
      ...(special.some(({ tools }) => tools !== undefined) ? (['tool'] as const) : []),
    ],
    lineOf: finder(special, new Map(plain.map((line) => [line.id, line]))),
  }
}

/** Names of calls that a finder remembers at most; it begins anew when there are more. */
const namesKept = 10_000

const finder = (
  special: readonly PriceLine[],
  plain: ReadonlyMap<string, PriceLine>,
): ((meter: string, target: string, tool: string) => PriceLine) => {
  const fits = special.map(({ target = '**', tools = ['**'], ...line }) => {
    const targetFits = toMatcher(target)
    const toolFits = tools.map(toMatcher)
    return (targetName: string, tool: string): boolean =>
      line.meter === 'call' && targetFits(targetName) && toolFits.some((one) => one(tool))
  })
  const known = new Map<string, PriceLine>()
  return (meter, target, tool) => {
    const line = plain.get(meter)
    if (line === undefined) throw new GatewayError('internal', { cause: new Error(`There is no meter ${meter}.`) })
    if (meter !== 'call' || special.length === 0) return line
    const key = `${target.length}:${target}${tool}`
    let found = known.get(key)
    if (found === undefined) {
      found = special[fits.findIndex((one) => one(target, tool))] ?? line
      if (known.size >= namesKept) known.clear()
      known.set(key, found)
    }
    return found
  }
}

/** Units of one tier. */
export interface Part {
  /** Index into the line's tiers. */
  readonly tier: number
  readonly units: bigint
}

/** How the `units` behind the first `position` ones fall into the tiers: no part is empty. */
export const split = (tiers: readonly Tier[], position: bigint, units: bigint): Part[] => {
  const parts: Part[] = []
  let at = position
  const end = position + units
  for (const [tier, { upTo }] of tiers.entries()) {
    const until = upTo === undefined || upTo > end ? end : upTo
    if (until <= at) continue
    parts.push({ tier, units: until - at })
    at = until
  }
  return parts
}

/** What parts of a line cost, exactly: 10⁻¹² of the currency unit. */
export const costOf = (line: PriceLine, parts: readonly Part[]): bigint =>
  parts.reduce((sum, { tier, units }) => sum + cost(units, line.tiers[tier]?.pricePer1000 ?? 0n), 0n)
