/** Questions about usage, as the command line and the admin API put them: read, checked, made exact. */
import { GatewayError } from '../core/errors.ts'
import type { UsageGroup, UsageWhere } from '../store/store.ts'

/** What rows may be told apart by. `principal` shows as `tenant/subject`; hours, days and months are of UTC. */
export const usageGroups = [
  'target',
  'tool',
  'principal',
  'client',
  'tenant',
  'hour',
  'day',
  'month',
  'outcome',
  'meter',
] as const satisfies readonly UsageGroup[]

export type UsageBy = (typeof usageGroups)[number]

/** Only what has these names. */
export interface UsageFilter {
  readonly tenant?: string | undefined
  readonly target?: string | undefined
  readonly tool?: string | undefined
  /** As rows show it, `tenant/subject`. A tenant with a slash in its name is to be given as `tenant`, too. */
  readonly principal?: string | undefined
  readonly client?: string | undefined
}

/** A question as the command line and the admin API put it. */
export interface UsageQuery extends UsageFilter {
  /** `YYYY-MM-DD` or an RFC 3339 timestamp on the full hour; included. The first of the current month when left out. */
  readonly from?: string | undefined
  /**
   * A bare date includes that day (UTC); a timestamp is excluded, and falls on the full hour unless it is in the running
   * one, which means now. Now when left out.
   */
  readonly to?: string | undefined
  /** Without any, one row says it all. */
  readonly by: readonly string[]
  /** Whether rows tell how long calls took: p50, p90 and p99. */
  readonly percentiles?: boolean | undefined
}

export interface ReadQuery {
  readonly from: number
  readonly to: number
  readonly by: readonly UsageBy[]
  readonly where: UsageWhere
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const dateSyntax = /^(\d{4})-(\d{2})-(\d{2})$/
/** RFC 3339 §5.6 `date-time`; a leap second is not one of the moments that the ledger knows. */
const timestampSyntax =
  /^(\d{4}-\d{2}-\d{2})[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/

export const wrong = (words: string): GatewayError => new GatewayError('invalid_params', { words })

/** A moment as answers show it. */
export const print = (ms: number): string => new Date(ms).toISOString()

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

const isGroup = (name: string): name is UsageBy => usageGroups.some((group) => group === name)

const readBy = (names: readonly string[]): UsageBy[] => {
  const by = names.filter(isGroup)
  if (by.length !== names.length || new Set(by).size !== by.length)
    throw wrong(`"by" takes ${usageGroups.slice(0, -1).join(', ')} and ${usageGroups.at(-1)}, each at most once.`)
  return by
}

const readWhere = ({ tenant, target, tool, principal, client }: UsageFilter): UsageWhere => {
  const names = {
    ...(tenant === undefined ? {} : { tenant }),
    ...(target === undefined ? {} : { target }),
    ...(tool === undefined ? {} : { tool }),
    ...(client === undefined ? {} : { client }),
  }
  if (principal === undefined) return names
  const slash = tenant === undefined ? principal.indexOf('/') : tenant.length
  const whose = principal.slice(0, slash)
  if (slash < 0 || principal[slash] !== '/' || (tenant ?? whose) !== whose)
    throw wrong(
      '"principal" is a tenant and a subject as rows show them, such as default/ann, and of the tenant asked for.',
    )
  return { ...names, tenant: whose, subject: principal.slice(slash + 1) }
}

/** Throws `invalid_params` for a question that cannot be understood. */
export const readQuery = (query: UsageQuery, now: number): ReadQuery => {
  const by = readBy(query.by)
  const from = readFrom(query.from, now)
  const to = readTo(query.to, now)
  // A bare `to` includes its day: that of the day before `from` ends where `from` begins.
  const endsBefore = from === to && query.to !== undefined && readDate(query.to) !== undefined
  if (from > to || endsBefore) throw wrong('"from" is later than "to".')
  return { from, to, by, where: readWhere(query) }
}
