/** Questions to the embedded store. They are put together from the tables here only, never from a caller’s words. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { GatewayError } from '../core/errors.ts'
import type { LatencyBucket } from './latency.ts'
import type { LatencyRow, UsageGroup, UsageNames, UsageQuestion, UsageRow, UsageWhere } from './store.ts'

/** The columns behind each group. */
const columns = {
  target: ['target'],
  tool: ['tool'],
  principal: ['tenant', 'subject'],
  client: ['client'],
  tenant: ['tenant'],
  outcome: ['outcome'],
  meter: ['meter'],
  month: [`strftime('%Y-%m', hour / 1000, 'unixepoch') AS month`],
  day: [`strftime('%Y-%m-%d', hour / 1000, 'unixepoch') AS day`],
  hour: ['hour'],
} as const satisfies Record<UsageGroup, readonly string[]>

const filters = ['tenant', 'subject', 'client', 'target', 'tool'] as const satisfies readonly (keyof UsageWhere)[]

const figures = `ifnull(sum(events), 0) AS events, ifnull(sum(units), 0) AS units, ifnull(sum(ms), 0) AS ms,
  ifnull(sum(wait_ms), 0) AS waitMs, ifnull(sum(bytes_in), 0) AS bytesIn, ifnull(sum(bytes_out), 0) AS bytesOut`

const texts = ['target', 'tool', 'tenant', 'subject', 'client', 'outcome', 'meter', 'month', 'day'] as const

type Found = Record<string, SQLOutputValue>

const namesOf = (found: Found): UsageNames => ({
  ...Object.fromEntries(texts.filter((name) => found[name] !== undefined).map((name) => [name, String(found[name])])),
  ...(found['hour'] === undefined ? {} : { hour: Number(found['hour']) }),
})

const toRow = (found: Found): UsageRow => ({
  ...namesOf(found),
  events: Number(found['events']),
  units: Number(found['units']),
  ms: Number(found['ms']),
  waitMs: Number(found['waitMs']),
  bytesIn: Number(found['bytesIn']),
  bytesOut: Number(found['bytesOut']),
})

const dayMs = 24 * 3_600_000

/**
 * Where figures of a time are read: days have sums of their own, so that only what is left over before the first and
 * behind the last whole day is read by the hour. `also` is the condition with its places for from and to.
 */
const sourceOf = (
  { from, to, by }: UsageQuestion,
  also: string,
): { readonly sql: string; readonly spans: number[][] } => {
  const first = Math.ceil(from / dayMs) * dayMs
  const last = Math.floor(to / dayMs) * dayMs
  const parts =
    by.includes('hour') || first >= last
      ? [{ table: 'usage_hour', span: [from, to] }]
      : [
          { table: 'usage_hour', span: [from, first] },
          { table: 'usage_day', span: [first, last] },
          { table: 'usage_hour', span: [last, to] },
        ].filter(({ span: [start = 0, end = 0] }) => start < end)
  return {
    sql: parts.map(({ table }) => `SELECT * FROM ${table} WHERE ${also}`).join(' UNION ALL '),
    spans: parts.map(({ span }) => span),
  }
}

interface Asked {
  /** Selected columns, their names, and the conditions with their values. */
  readonly selected: readonly string[]
  readonly names: readonly string[]
  readonly where: string
  readonly values: readonly SQLInputValue[]
}

const read = ({ from, to, by, where = {} }: UsageQuestion): Asked => {
  const selected = [...new Set(by.flatMap((group) => columns[group]))]
  const given = filters.flatMap((name) => {
    const value = where[name]
    return value === undefined ? [] : [{ name, value }]
  })
  return {
    selected,
    names: selected.map((column) => column.replace(/^.* AS /, '')),
    where: ['hour >= ? AND hour < ?', ...given.map(({ name }) => `${name} = ?`)].join(' AND '),
    values: [from, to, ...given.map(({ value }) => value)],
  }
}

export const eachUsage = (database: DatabaseSync, question: UsageQuestion, visit: (row: UsageRow) => void): void => {
  const { selected, names, where, values } = read(question)
  const grouped = names.length === 0 ? '' : `GROUP BY ${names.join(', ')} ORDER BY ${names.join(', ')}`
  const { sql, spans } = sourceOf(question, where)
  const select = database.prepare(`SELECT ${[...selected, figures].join(', ')} FROM (${sql}) ${grouped} LIMIT ?`)
  // sums may be larger than what a number holds exactly, and node:sqlite throws for those otherwise
  select.setReadBigInts(true)
  for (const found of select.iterate(...spans.flatMap((span) => [...span, ...values.slice(2)]), question.rows))
    visit(toRow(found))
}

export const askUsage = (database: DatabaseSync, question: UsageQuestion): UsageRow[] => {
  const rows: UsageRow[] = []
  eachUsage(database, question, (row) => rows.push(row))
  return rows
}

const notKept = new Set<string>(['principal', 'subject', 'client', 'outcome', 'meter'])

/** Throws `invalid_params` for what durations are not kept by. */
export const askLatency = (database: DatabaseSync, question: UsageQuestion): LatencyRow[] => {
  if ([...question.by, ...Object.keys(question.where ?? {})].some((name) => notKept.has(name)))
    throw new GatewayError('invalid_params', {
      words: 'Durations are kept by tenant, target, tool and time only.',
    })
  const { selected, names, where, values } = read(question)
  const order = [...names, 'bucket'].join(', ')
  const select = database.prepare(
    `SELECT ${[...selected, 'bucket', 'sum(calls) AS calls'].join(', ')} FROM usage_latency
     WHERE ${where} GROUP BY ${order} ORDER BY ${order}`,
  )
  const rows: { names: UsageNames; key: string; buckets: LatencyBucket[] }[] = []
  for (const found of select.iterate(...values)) {
    const key = JSON.stringify(names.map((name) => found[name]))
    if (rows.at(-1)?.key !== key) {
      if (rows.length === question.rows) break
      rows.push({ names: namesOf(found), key, buckets: [] })
    }
    rows.at(-1)?.buckets.push([Number(found['bucket']), Number(found['calls'])])
  }
  return rows.map((row) => ({ ...row.names, buckets: row.buckets }))
}
