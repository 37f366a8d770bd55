/** Usage: questions about what was called and what it cost, answered from the rolled-up ledger. */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Store, UsageRow } from '../store/store.ts'
import { cost, formatCost, parsePrice } from './money.ts'
import { type RollUpResult, rollUp } from './rollup.ts'

/** What rows may be told apart by. `principal` shows as `tenant/subject`, `day` is a day of UTC. */
type UsageBy = 'target' | 'tool' | 'principal' | 'day'

/** A question as the command line and the admin API put it. */
export interface UsageQuery {
  /** `YYYY-MM-DD` or an RFC 3339 timestamp on the full hour; included. The first of the current month when left out. */
  readonly from?: string | undefined
  /**
   * A bare date includes that day (UTC); a timestamp is excluded, and falls on the full hour unless it is in the running
   * one, which means now. Now when left out.
   */
  readonly to?: string | undefined
  /** Without any, one row says it all. */
  readonly by: readonly string[]
}

interface UsageAnswerRow {
  readonly target?: string
  readonly tool?: string
  readonly principal?: string
  readonly day?: string
  readonly invocations: number
  readonly cost: string
}

/** The answer of `GET /api/usage`. `from` and `to` are the period that was counted, as timestamps. */
export interface UsageAnswer {
  readonly from: string
  readonly to: string
  readonly currency: string
  readonly total: { readonly invocations: number; readonly cost: string }
  readonly rows: readonly UsageAnswerRow[]
}

export interface Price {
  readonly currency: string
  /** A decimal string, see `parsePrice`. */
  readonly pricePer1000: string
}

export interface Usage {
  /** Adds what is new in the spool to the store. Rejects with `store_unavailable` when it cannot be used. */
  rollUp(): Promise<RollUpResult>
  /**
   * Answers a question, everything that has ended by now included. Rejects with `invalid_params` for a question that
   * cannot be understood, `over_limit` over `limits.usageRows`, `store_unavailable`. `price` replaces the one in force
   * when this was made.
   */
  answer(query: UsageQuery, price?: Price): Promise<UsageAnswer>
}

export interface UsageOptions extends Price {
  /** The spool’s directory (`spoolDir`). */
  readonly dir: string
  readonly store: Store
  readonly clock: Clock
  /** Days after its last write that a rolled-up segment is removed. */
  readonly retentionDays: number
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const dateSyntax = /^(\d{4})-(\d{2})-(\d{2})$/
/** RFC 3339 §5.6 `date-time`; a leap second is not one of the moments that the ledger knows. */
const timestampSyntax =
  /^(\d{4}-\d{2}-\d{2})[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/

const wrong = (words: string): GatewayError => new GatewayError('invalid_params', { words })
const print = (ms: number): string => new Date(ms).toISOString()

/** Beginning of a day of the calendar, in milliseconds; undefined for a day that does not exist. */
const readDate = (text: string): number | undefined => {
  const ms = dateSyntax.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN
  // Date.parse turns February 30 into March 1 or 2
  return Number.isNaN(ms) || print(ms).slice(0, text.length) !== text ? undefined : ms
}

const readTimestamp = (text: string): number | undefined => {
  const [, date] = timestampSyntax.exec(text) ?? []
  return date === undefined || readDate(date) === undefined ? undefined : Date.parse(text.toUpperCase())
}

const notAMoment = (name: string): GatewayError =>
  wrong(`"${name}" is a date such as 2026-11-24 or an RFC 3339 timestamp such as 2026-11-24T10:00:00Z.`)
const notAnHour = (name: string): GatewayError =>
  wrong(`"${name}" must be on the full hour (UTC), as usage is kept by the hour.`)

const readFrom = (text: string | undefined, now: number): number => {
  if (text === undefined) return Date.parse(`${print(now).slice(0, 7)}-01T00:00:00Z`)
  const from = readDate(text) ?? readTimestamp(text)
  if (from === undefined) throw notAMoment('from')
  if (from % hourMs !== 0) throw notAnHour('from')
  return from
}

const readTo = (text: string | undefined, now: number): number => {
  if (text === undefined) return now
  const day = readDate(text)
  if (day !== undefined) return day + dayMs
  const to = readTimestamp(text)
  if (to === undefined) throw notAMoment('to')
  if (to % hourMs === 0) return to
  if (Math.floor(to / hourMs) === Math.floor(now / hourMs)) return now
  throw notAnHour('to')
}

const isGroup = (name: string): name is UsageBy =>
  name === 'target' || name === 'tool' || name === 'principal' || name === 'day'

const readBy = (names: readonly string[]): UsageBy[] => {
  const by = names.filter(isGroup)
  if (by.length !== names.length || new Set(by).size !== by.length)
    throw wrong('"by" takes target, tool, principal and day, each at most once.')
  return by
}

const answerRow = (row: UsageRow, by: readonly UsageBy[], price: bigint): UsageAnswerRow => {
  const names: Record<UsageBy, string | undefined> = {
    target: row.target,
    tool: row.tool,
    principal: `${row.tenant}/${row.subject}`,
    day: row.day,
  }
  return {
    ...Object.fromEntries(by.map((name) => [name, names[name]])),
    invocations: row.units,
    cost: formatCost(cost(row.units, price)),
  }
}

interface Question {
  readonly from: number
  readonly to: number
  readonly by: readonly UsageBy[]
}

const readQuery = (query: UsageQuery, now: number): Question => {
  const by = readBy(query.by)
  const from = readFrom(query.from, now)
  const to = readTo(query.to, now)
  // A bare `to` includes its day: that of the day before `from` ends where `from` begins.
  const endsBefore = from === to && query.to !== undefined && readDate(query.to) !== undefined
  if (from > to || endsBefore) throw wrong('"from" is later than "to".')
  return { from, to, by }
}

const ask = async (store: Store, { from, to, by }: Question, price: Price): Promise<UsageAnswer> => {
  const pricePer1000 = parsePrice(price.pricePer1000)
  const rows = await store.usage({ from, to, by, rows: limits.usageRows + 1 })
  if (rows.length > limits.usageRows)
    throw new GatewayError('over_limit', {
      words: `The answer has more than ${limits.usageRows} rows. Ask for a shorter period or group by fewer things.`,
    })
  const invocations = rows.reduce((sum, row) => sum + row.units, 0)
  return {
    from: print(from),
    to: print(to),
    currency: price.currency,
    total: { invocations, cost: formatCost(cost(invocations, pricePer1000)) },
    rows: rows.map((row) => answerRow(row, by, pricePer1000)),
  }
}

/** Usage over one spool directory and one store. Roll-ups run one after another, never two at once. */
export const createUsage = (options: UsageOptions): Usage => {
  const { store, clock } = options
  let last: Promise<unknown> = Promise.resolve()

  const rollUpNext = (): Promise<RollUpResult> => {
    const next = last.then(() => rollUp(options))
    last = next.catch(() => undefined)
    return next
  }

  return {
    rollUp: rollUpNext,
    async answer(query, price = options) {
      const question = readQuery(query, clock.now())
      await rollUpNext()
      return ask(store, question, price)
    },
  }
}
