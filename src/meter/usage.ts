/** Usage: questions about what was called and what it cost, answered from the rolled-up ledger. */
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { percentile, type Store, type UsageNames } from '../store/store.ts'
import { type InvoiceQuery, readInvoiceQuery, type Statement, statementOf } from './invoice.ts'
import { formatCost } from './money.ts'
import { createPlans, type Plans } from './plans.ts'
import type { PriceList } from './price-schema.ts'
import { costOf, type Plan } from './prices.ts'
import { type PricedRow, readPriced } from './pricing.ts'
import { print, type ReadQuery, readQuery, type UsageBy, type UsageQuery, wrong } from './query.ts'
import type { Counted, RecountQuestion } from './quota/recount.ts'
import { type RollUpOptions, type RollUpResult, rollUp } from './rollup.ts'

export type { UsageQuery } from './query.ts'

/** How long calls took at most, in milliseconds: half of them, nine of ten, 99 of 100; to within 1.6 %. */
interface Durations {
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

/** Names that were asked for, and figures. */
type UsageAnswerRow = { readonly [Name in UsageBy]?: string } & {
  /** Units that count on a bill. */
  readonly invocations: number
  readonly cost: string
  /** All calls, billed or not; in rows by outcome. */
  readonly calls?: number
  readonly durationMs?: Durations
}

/** The answer of `GET /api/usage`. `from` and `to` are the period that was counted, as timestamps. */
export interface UsageAnswer {
  readonly from: string
  readonly to: string
  readonly currency: string
  readonly total: { readonly invocations: number; readonly cost: string }
  readonly rows: readonly UsageAnswerRow[]
  /** What a reader should know of the prices. */
  readonly notes?: readonly string[]
}

export interface Usage {
  /** Adds what is new in the spool to the store. Rejects with `store_unavailable` when it cannot be used. */
  rollUp(): Promise<RollUpResult>
  /**
   * Answers a question, everything that has ended by now included. Rejects with `invalid_params` for a question that
   * cannot be understood, `over_limit` over `limits.usageRows` or `limits.usageCells`, `store_unavailable`.
   */
  answer(query: UsageQuery): Promise<UsageAnswer>
  /** A tenant’s statement of a month; rejects as `answer` does. */
  invoice(query: InvoiceQuery): Promise<Statement>
  /** What quotas are counted from, everything that has ended by now included. Rejects as `answer` does. */
  recount(question: RecountQuestion): Promise<Counted[]>
}

export interface UsageOptions extends RollUpOptions {
  readonly prices: PriceList
  /** Whether a month’s prices are kept while it runs: those of the process that serves are. */
  readonly keepsPrices: boolean
}

interface Sum {
  readonly names: UsageNames
  units: bigint
  calls: number
  amount: bigint
}

/** What a name of a row is shown as; undefined for a column that the row does not have. */
const shownName = (row: UsageNames, by: UsageBy): string | undefined => {
  if (by === 'principal') return `${row.tenant}/${row.subject}`
  if (by === 'hour') return row.hour === undefined ? undefined : print(row.hour)
  return row[by]
}

const namesOf = (row: UsageNames, by: readonly UsageBy[]): string[] => by.map((name) => shownName(row, name) ?? '')

const keyOf = (row: UsageNames, by: readonly UsageBy[]): string =>
  JSON.stringify(by.flatMap((name) => (name === 'principal' ? [row.tenant, row.subject] : [shownName(row, name)])))

const compareNames = (one: readonly string[], other: readonly string[]): number => {
  const at = one.findIndex((name, index) => name !== other[index])
  return at === -1 ? 0 : (one[at] ?? '') < (other[at] ?? '') ? -1 : 1
}

const tooMany = (): GatewayError =>
  new GatewayError('over_limit', {
    words: `The answer has more than ${limits.usageRows} rows. Ask for a shorter period or group by fewer things.`,
  })

const collect = (sums: Map<string, Sum>, by: readonly UsageBy[], { row, line, parts }: PricedRow): void => {
  const key = keyOf(row, by)
  let sum = sums.get(key)
  if (sum === undefined) {
    if (sums.size >= limits.usageRows) throw tooMany()
    sum = { names: row, units: 0n, calls: 0, amount: 0n }
    sums.set(key, sum)
  }
  for (const { units } of parts) sum.units += units
  sum.calls += row.events
  sum.amount += costOf(line, parts)
}

const answerRow = (
  { names, units, calls, amount }: Sum,
  by: readonly UsageBy[],
  durationMs?: Durations,
): UsageAnswerRow => ({
  ...Object.fromEntries(by.map((name) => [name, shownName(names, name)])),
  invocations: Number(units),
  cost: formatCost(amount),
  ...(by.includes('outcome') ? { calls } : {}),
  ...(durationMs === undefined ? {} : { durationMs }),
})

/** Percentiles by the key of a row. */
const durationsOf = async (store: Store, question: ReadQuery): Promise<Map<string, Durations>> => {
  const rows = await store.latency({ ...question, rows: limits.usageRows + 1 })
  return new Map(
    rows.map((row) => {
      const [p50, p90, p99] = [50, 90, 99].map((p) => percentile(row.buckets, p))
      return [keyOf(row, question.by), { p50: p50 ?? 0, p90: p90 ?? 0, p99: p99 ?? 0 }]
    }),
  )
}

const ask = async (store: Store, plans: Plans, question: ReadQuery, percentiles: boolean): Promise<UsageAnswer> => {
  const { from, to, by } = question
  const sums = new Map<string, Sum>()
  if (by.length === 0) sums.set(keyOf({}, by), { names: {}, units: 0n, calls: 0, amount: 0n })
  const currencies = new Set<string>()
  const notes: string[] = []
  const planFor = async (month: string) => {
    const plan = await plans.of(month)
    notes.push(...plans.notes(plan))
    if (currencies.add(plan.currency).size > 1)
      throw wrong(`Prices are in ${[...currencies].join(' and in ')}. Ask for a time that has one currency.`)
    return plan
  }
  await readPriced(store, planFor, question, (row) => collect(sums, by, row))
  const durations = percentiles ? await durationsOf(store, question) : undefined
  const rows = [...sums.entries()]
    .map(([key, sum]) => ({ names: namesOf(sum.names, by), row: answerRow(sum, by, durations?.get(key)), sum }))
    .toSorted((one, other) => compareNames(one.names, other.names))
  return {
    from: print(from),
    to: print(to),
    currency: [...currencies][0] ?? plans.currency,
    total: {
      invocations: rows.reduce((total, { row }) => total + row.invocations, 0),
      cost: formatCost(rows.reduce((total, { sum }) => total + sum.amount, 0n)),
    },
    rows: rows.map(({ row }) => row),
    ...(notes.length === 0 ? {} : { notes }),
  }
}

const count = async (store: Store, plans: Plans, { from, to, by }: RecountQuestion): Promise<Counted[]> => {
  const sums = new Map<string, { -readonly [Name in keyof Counted]: Counted[Name] }>()
  const planFor = (month: string): Promise<Plan> => plans.of(month)
  await readPriced(store, planFor, { from, to, by: [...by, 'meter'], where: {} }, ({ row, line, parts }) => {
    const { tenant, subject, target, tool } = row
    const meter = row.meter === 'search' || row.meter === 'list' ? row.meter : 'call'
    const key = JSON.stringify([meter, tenant, subject, target, tool])
    const sum = sums.get(key) ?? { meter, tenant, subject, target, tool, units: 0, cost: 0n }
    if (sums.size >= limits.quotaCounters && !sums.has(key)) throw tooMany()
    for (const { units } of parts) sum.units += Number(units)
    sum.cost += costOf(line, parts)
    sums.set(key, sum)
  })
  return [...sums.values()]
}

/** Usage over one spool directory and one store. Roll-ups run one after another, never two at once. */
export const createUsage = (options: UsageOptions): Usage => {
  const { store, clock, prices } = options
  const plans = createPlans(store, prices, clock)
  let last: Promise<unknown> = Promise.resolve()

  const rollUpNext = (): Promise<RollUpResult> => {
    const next = last.then(async () => {
      if (options.keepsPrices) await plans.keep()
      return rollUp(options)
    })
    last = next.catch(() => undefined)
    return next
  }

  return {
    rollUp: rollUpNext,
    async answer(query) {
      const question = readQuery(query, clock.now())
      await rollUpNext()
      return ask(store, plans, question, query.percentiles === true)
    },
    async invoice(query) {
      const question = readInvoiceQuery(query)
      await rollUpNext()
      return statementOf(store, plans, question, clock.now())
    },
    async recount(question) {
      await rollUpNext()
      return count(store, plans, question)
    },
  }
}
