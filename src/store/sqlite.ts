/** The embedded store: one SQLite file through node:sqlite. Its calls block, so a serving process keeps it on a worker thread. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { limits } from '../core/limits.ts'
import { guard, openFile, transaction } from './sqlite-file.ts'
import type { Mark, Store, UsageDelta, UsageGroup, UsageQuestion, UsageRow } from './store.ts'

/** Step n takes a file from version n to n + 1 (`user_version`). Steps are only ever added at the end. */
const migrations: readonly string[] = [
  `CREATE TABLE usage_segment (
     segment TEXT PRIMARY KEY,
     offset INTEGER NOT NULL CHECK (offset >= 0),
     closed INTEGER NOT NULL CHECK (closed IN (0, 1))
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE usage_hour (
     hour INTEGER NOT NULL,
     tenant TEXT NOT NULL,
     subject TEXT NOT NULL,
     target TEXT NOT NULL,
     tool TEXT NOT NULL,
     outcome TEXT NOT NULL,
     events INTEGER NOT NULL,
     units INTEGER NOT NULL,
     ms INTEGER NOT NULL,
     bytes_in INTEGER NOT NULL,
     bytes_out INTEGER NOT NULL,
     PRIMARY KEY (hour, tenant, subject, target, tool, outcome)
   ) STRICT, WITHOUT ROWID;`,
]

const insertUsage = `
  INSERT INTO usage_hour (hour, tenant, subject, target, tool, outcome, events, units, ms, bytes_in, bytes_out)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET events = events + excluded.events, units = units + excluded.units, ms = ms + excluded.ms,
    bytes_in = bytes_in + excluded.bytes_in, bytes_out = bytes_out + excluded.bytes_out`

/** The columns behind each group. Questions are put together from this table only, never from a caller’s words. */
const columns = {
  target: ['target'],
  tool: ['tool'],
  principal: ['tenant', 'subject'],
  tenant: ['tenant'],
  outcome: ['outcome'],
  day: [`strftime('%Y-%m-%d', hour / 1000, 'unixepoch') AS day`],
  hour: ['hour'],
} as const satisfies Record<UsageGroup, readonly string[]>

const values = (row: UsageDelta): SQLInputValue[] => [
  row.hour,
  row.tenant,
  row.subject,
  row.target,
  row.tool,
  row.outcome,
  row.events,
  row.units,
  row.ms,
  row.bytesIn,
  row.bytesOut,
]

const question = (by: readonly UsageGroup[]): string => {
  const groups = [...new Set(by.flatMap((group) => columns[group]))]
  const names = groups.map((column) => column.replace(/^.* AS /, '')).join(', ')
  const figures = `ifnull(sum(events), 0) AS events, ifnull(sum(units), 0) AS units, ifnull(sum(ms), 0) AS ms,
    ifnull(sum(bytes_in), 0) AS bytesIn, ifnull(sum(bytes_out), 0) AS bytesOut`
  const grouped = names === '' ? '' : `GROUP BY ${names} ORDER BY ${names}`
  return `SELECT ${[...groups, figures].join(', ')} FROM usage_hour WHERE hour >= ? AND hour < ? ${grouped} LIMIT ?`
}

const texts = ['target', 'tool', 'tenant', 'subject', 'outcome', 'day'] as const

const toRow = (found: Record<string, SQLOutputValue>): UsageRow => ({
  ...Object.fromEntries(texts.filter((name) => found[name] !== undefined).map((name) => [name, String(found[name])])),
  ...(found['hour'] === undefined ? {} : { hour: Number(found['hour']) }),
  events: Number(found['events']),
  units: Number(found['units']),
  ms: Number(found['ms']),
  bytesIn: Number(found['bytesIn']),
  bytesOut: Number(found['bytesOut']),
})

const storeOn = (database: DatabaseSync): Store => {
  const selectMark = database.prepare('SELECT offset, closed FROM usage_segment WHERE segment = ?')
  const putMark = database.prepare(
    `INSERT INTO usage_segment (segment, offset, closed) VALUES (?, ?, ?)
     ON CONFLICT DO UPDATE SET offset = excluded.offset, closed = excluded.closed`,
  )
  const insert = database.prepare(insertUsage)

  const markOf = (segment: string): Mark | undefined => {
    const found = selectMark.get(segment)
    return found && { offset: Number(found['offset']), closed: found['closed'] === 1 }
  }

  const add = (segment: string, expect: number, next: number, rows: readonly UsageDelta[], closed: boolean): boolean =>
    transaction(database, () => {
      const mark = markOf(segment) ?? { offset: 0, closed: false }
      if (mark.offset !== expect || (closed && mark.closed)) return false
      for (const row of rows) insert.run(...values(row))
      putMark.run(segment, next, closed || mark.closed ? 1 : 0)
      return true
    })

  return {
    usageMark: async (segment) => guard(() => markOf(segment)),
    addUsage: async (segment, expect, next, rows, closed) => guard(() => add(segment, expect, next, rows, closed)),
    usage: async (asked: UsageQuestion) =>
      guard(() => {
        const select = database.prepare(question(asked.by))
        select.setReadBigInts(true)
        return select.all(asked.from, asked.to, asked.rows).map(toRow)
      }),
    close: async () => {
      if (database.isOpen) guard(() => database.close())
    },
  }
}

/**
 * Opens, or makes, the database file (mode 0600). Throws `store_unavailable` with the reason in its words when the file
 * is damaged, read-only, locked, of a newer version or not to be opened.
 */
export const openSqliteStore = (path: string): Store =>
  guard(() => storeOn(openFile(path, migrations, limits.storeBusyMs)))
