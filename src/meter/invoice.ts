/** A tenant’s statement of a month: what was used, at which prices, and what it comes to. */
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { MeterKind, Store } from '../store/store.ts'
import { formatCost, formatPrice } from './money.ts'
import { isMonth, monthEnd, monthStart } from './months.ts'
import type { Plans } from './plans.ts'
import { costOf, type Plan, type PriceLine, type PriceVersion } from './prices.ts'
import { type PricedRow, readPriced } from './pricing.ts'
import { print, wrong } from './query.ts'

export interface InvoiceQuery {
  /** `2026-11`. */
  readonly month: string | undefined
  readonly tenant: string | undefined
}

interface ReadInvoiceQuery {
  readonly month: string
  readonly tenant: string
}

/** A tier as a statement shows it: the units of the month that have this price. */
interface StatementTier {
  /** The first of them, counted from 1. */
  readonly from: number
  /** The last of them; none for an open end. */
  readonly upTo?: number
  readonly pricePer1000: string
}

interface StatementPrices {
  /** Their first day; none for prices without a beginning. */
  readonly since?: string
  readonly lines: readonly { readonly line: string; readonly title: string; readonly tiers: readonly StatementTier[] }[]
}

interface Figures {
  readonly units: number
  /** Nine digits after the point. */
  readonly amount: string
}

export interface StatementLine extends StatementTier, Figures {
  readonly line: string
  readonly title: string
  readonly since?: string
}

export interface Statement {
  readonly tenant: string
  readonly month: string
  /** Timestamps; `to` is excluded. */
  readonly from: string
  readonly to: string
  readonly currency: string
  /** `closed` once the month is over and everything of it must have been recorded; `preliminary` until then. */
  readonly state: 'closed' | 'preliminary'
  readonly generatedAt: string
  readonly prices: readonly StatementPrices[]
  readonly lines: readonly StatementLine[]
  readonly targets: readonly ({ readonly meter: MeterKind; readonly target: string } & Figures)[]
  readonly tools: readonly ({ readonly meter: MeterKind; readonly target: string; readonly tool: string } & Figures)[]
  readonly notBilled: readonly { readonly outcome: string; readonly calls: number; readonly reason: string }[]
  /** `rounded` is the amount in the currency’s smallest unit, half to even. */
  readonly total: Figures & { readonly rounded: string }
  readonly notes?: readonly string[]
}

const reasons: ReadonlyMap<string, string> = new Map([
  ['ok', 'Answered, and not billed by the terms in force.'],
  ['target_error', 'Answered with an error by the target, and not billed by the terms in force.'],
  ['invalid_arguments', 'Refused before anything was sent: the arguments did not fit.'],
  ['failed', 'Sent, but not answered properly, and not billed by the terms in force.'],
  ['unreached', 'The target was not reached: nothing was sent.'],
  ['cancelled', 'Cancelled by the caller, and not billed by the terms in force.'],
  ['input_required', 'Went on after the caller’s client was asked, and is billed as it ended.'],
  ['unknown', 'The gateway stopped before the call ended: whether it was made is not known.'],
])

const meterTitles: Record<MeterKind, string> = { call: 'Tool calls', search: 'Tool searches', list: 'Tool listings' }

const lineTitle = ({ meter, target, tools }: PriceLine): string =>
  [
    meterTitles[meter],
    ...(target === undefined ? [] : [` to ${target}`]),
    ...(tools === undefined ? [] : [`: ${tools.join(', ')}`]),
  ].join('')

/** Throws `invalid_params`. */
export const readInvoiceQuery = ({ month, tenant }: InvoiceQuery): ReadInvoiceQuery => {
  if (month === undefined || !isMonth(month)) throw wrong('"month" is a month such as 2026-11.')
  if (tenant === undefined || tenant === '') throw wrong('"tenant" is the name of a tenant.')
  return { month, tenant }
}

const sinceOf = ({ from }: PriceVersion): { since?: string } =>
  from === Number.NEGATIVE_INFINITY ? {} : { since: print(from).slice(0, -14) }

const tierOf = ({ tiers }: PriceLine, index: number): StatementTier => {
  const { upTo, pricePer1000 } = tiers[index] ?? { upTo: undefined, pricePer1000: 0n }
  return {
    from: Number(tiers[index - 1]?.upTo ?? 0n) + 1,
    ...(upTo === undefined ? {} : { upTo: Number(upTo) }),
    pricePer1000: formatPrice(pricePer1000),
  }
}

const pricesOf = ({ versions }: Plan): StatementPrices[] =>
  versions.map((version) => ({
    ...sinceOf(version),
    lines: version.lines.map((line) => ({
      line: line.id,
      title: lineTitle(line),
      tiers: line.tiers.map((_, index) => tierOf(line, index)),
    })),
  }))

type Rank = readonly (string | number)[]

const compare = (one: Rank, other: Rank): number => {
  const at = one.findIndex((value, index) => value !== other[index])
  return at === -1 ? 0 : (one[at] ?? '') < (other[at] ?? '') ? -1 : 1
}

/** Sums by a key, with what they are sums of and where they stand. */
class Sums<T> {
  readonly #sums = new Map<string, { readonly of: T; readonly rank: Rank; units: bigint; amount: bigint }>()

  add(of: T, rank: Rank, units: bigint, amount: bigint, key: readonly unknown[] = rank): void {
    const text = JSON.stringify(key)
    let sum = this.#sums.get(text)
    if (sum === undefined) {
      if (this.#sums.size >= limits.usageRows)
        throw new GatewayError('over_limit', { words: `The statement has more than ${limits.usageRows} lines.` })
      sum = { of, rank, units: 0n, amount: 0n }
      this.#sums.set(text, sum)
    }
    sum.units += units
    sum.amount += amount
  }

  get rows(): (T & Figures)[] {
    return [...this.#sums.values()]
      .toSorted((one, other) => compare(one.rank, other.rank))
      .map(({ of, units, amount }) => ({ ...of, units: Number(units), amount: formatCost(amount) }))
  }

  get total(): { readonly units: bigint; readonly amount: bigint } {
    const all = [...this.#sums.values()]
    return {
      units: all.reduce((sum, { units }) => sum + units, 0n),
      amount: all.reduce((sum, { amount }) => sum + amount, 0n),
    }
  }
}

const meters: readonly MeterKind[] = ['call', 'search', 'list']

/** Digits after the point that amounts of a currency have (ISO 4217). */
export const minorDigits = (currency: string): number =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits ?? 2

class Sheet {
  readonly lines = new Sums<Omit<StatementLine, keyof Figures>>()
  readonly targets = new Sums<{ readonly meter: MeterKind; readonly target: string }>()
  readonly tools = new Sums<{ readonly meter: MeterKind; readonly target: string; readonly tool: string }>()
  readonly notBilled = new Map<string, number>()

  add({ row, plan, version, line, parts }: PricedRow): void {
    const { target = '', tool = '', outcome = '' } = row
    const { meter } = line
    const free = row.events - row.units
    if (free > 0) this.notBilled.set(outcome, (this.notBilled.get(outcome) ?? 0) + free)
    for (const part of parts) {
      const amount = costOf(line, [part])
      const rank = [version.lines.indexOf(line), plan.versions.indexOf(version), part.tier]
      const tier = tierOf(line, part.tier)
      const shown = { line: line.id, title: lineTitle(line), ...sinceOf(version), ...tier }
      // what a later version of the prices left as it was is one line
      const key = [line.id, tier.from, tier.upTo, tier.pricePer1000]
      this.lines.add(shown, rank, part.units, amount, key)
      this.targets.add({ meter, target }, [meters.indexOf(meter), target], part.units, amount)
      this.tools.add({ meter, target, tool }, [meters.indexOf(meter), target, tool], part.units, amount)
    }
  }
}

/** The statement as it is by `now`. Rejects with `over_limit` and `store_unavailable`. */
export const statementOf = async (
  store: Store,
  plans: Plans,
  { month, tenant }: ReadInvoiceQuery,
  now: number,
): Promise<Statement> => {
  const [from, to] = [monthStart(month), monthEnd(month)]
  const plan = await plans.of(month)
  const sheet = new Sheet()
  const question = { from, to, by: ['target', 'tool', 'outcome'] as const, where: { tenant } }
  await readPriced(
    store,
    () => Promise.resolve(plan),
    question,
    (row) => sheet.add(row),
  )
  const { units, amount } = sheet.lines.total
  const notes = plans.notes(plan)
  return {
    ...{ tenant, month, from: print(from), to: print(to), currency: plan.currency },
    state: now >= to + limits.monthSettleMs ? 'closed' : 'preliminary',
    generatedAt: print(now),
    prices: pricesOf(plan),
    lines: sheet.lines.rows,
    targets: sheet.targets.rows,
    tools: sheet.tools.rows,
    notBilled: [...sheet.notBilled]
      .toSorted(([one], [other]) => compare([one], [other]))
      .map(([outcome, calls]) => ({
        outcome,
        calls,
        reason: reasons.get(outcome) ?? 'Not billed by the terms in force.',
      })),
    total: {
      units: Number(units),
      amount: formatCost(amount),
      rounded: formatCost(amount, minorDigits(plan.currency)),
    },
    ...(notes.length === 0 ? {} : { notes }),
  }
}
