/** The embedded store: one SQLite file through node:sqlite. Its calls block, so a serving process keeps it on a worker thread. */
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from 'node:sqlite'
import { limits } from '../core/limits.ts'
import { firstHead, headOf, type Link } from './link.ts'
import { guard, openFile, transaction } from './sqlite-file.ts'
import { askLatency, askUsage, eachUsage } from './sqlite-usage.ts'
import type { Gone, Mark, SegmentHash, Store, UsageDelta } from './store.ts'

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
  // what the key of a table without rowids is made of cannot be altered, so the rows move
  `CREATE TABLE usage_hour_2 (
     hour INTEGER NOT NULL,
     tenant TEXT NOT NULL,
     subject TEXT NOT NULL,
     client TEXT NOT NULL,
     target TEXT NOT NULL,
     tool TEXT NOT NULL,
     meter TEXT NOT NULL,
     outcome TEXT NOT NULL,
     events INTEGER NOT NULL,
     units INTEGER NOT NULL,
     ms INTEGER NOT NULL,
     wait_ms INTEGER NOT NULL,
     bytes_in INTEGER NOT NULL,
     bytes_out INTEGER NOT NULL,
     PRIMARY KEY (hour, tenant, subject, client, target, tool, meter, outcome)
   ) STRICT, WITHOUT ROWID;
   INSERT INTO usage_hour_2
     SELECT hour, tenant, subject, '', target, tool, 'call', outcome, events, units, ms, 0, bytes_in, bytes_out
     FROM usage_hour;
   DROP TABLE usage_hour;
   ALTER TABLE usage_hour_2 RENAME TO usage_hour;
   CREATE INDEX usage_tenant ON usage_hour (tenant, hour);
   CREATE TABLE usage_latency (
     hour INTEGER NOT NULL,
     tenant TEXT NOT NULL,
     target TEXT NOT NULL,
     tool TEXT NOT NULL,
     bucket INTEGER NOT NULL,
     calls INTEGER NOT NULL,
     PRIMARY KEY (hour, tenant, target, tool, bucket)
   ) STRICT, WITHOUT ROWID;
   ALTER TABLE usage_segment ADD COLUMN sealed_at INTEGER;
   ALTER TABLE usage_segment ADD COLUMN sealed TEXT;
   ALTER TABLE usage_segment ADD COLUMN hash TEXT;
   ALTER TABLE usage_segment ADD COLUMN gone TEXT CHECK (gone IN ('removed', 'archived'));
   CREATE TABLE usage_link (
     number INTEGER PRIMARY KEY,
     segment TEXT NOT NULL,
     offset INTEGER NOT NULL,
     hash TEXT NOT NULL,
     closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
     head TEXT NOT NULL
   ) STRICT;
   CREATE TABLE usage_plan (month TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  // the same sums by day, `hour` being the day’s first: a month or a year is asked for far more often than an hour
  `CREATE TABLE usage_day (
     hour INTEGER NOT NULL,
     tenant TEXT NOT NULL,
     subject TEXT NOT NULL,
     client TEXT NOT NULL,
     target TEXT NOT NULL,
     tool TEXT NOT NULL,
     meter TEXT NOT NULL,
     outcome TEXT NOT NULL,
     events INTEGER NOT NULL,
     units INTEGER NOT NULL,
     ms INTEGER NOT NULL,
     wait_ms INTEGER NOT NULL,
     bytes_in INTEGER NOT NULL,
     bytes_out INTEGER NOT NULL,
     PRIMARY KEY (hour, tenant, subject, client, target, tool, meter, outcome)
   ) STRICT, WITHOUT ROWID;
   INSERT INTO usage_day
     SELECT hour - hour % 86400000, tenant, subject, client, target, tool, meter, outcome,
       sum(events), sum(units), sum(ms), sum(wait_ms), sum(bytes_in), sum(bytes_out)
     FROM usage_hour GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;`,
]

const insertUsage = (table: 'usage_hour' | 'usage_day'): string => `
  INSERT INTO ${table} (hour, tenant, subject, client, target, tool, meter, outcome,
    events, units, ms, wait_ms, bytes_in, bytes_out)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET events = events + excluded.events, units = units + excluded.units, ms = ms + excluded.ms,
    wait_ms = wait_ms + excluded.wait_ms, bytes_in = bytes_in + excluded.bytes_in,
    bytes_out = bytes_out + excluded.bytes_out`

const insertLatency = `
  INSERT INTO usage_latency (hour, tenant, target, tool, bucket, calls) VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET calls = calls + excluded.calls`

const putMark = `
  INSERT INTO usage_segment (segment, offset, closed, sealed_at, sealed, hash) VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET offset = excluded.offset, closed = excluded.closed,
    sealed_at = excluded.sealed_at, sealed = excluded.sealed, hash = excluded.hash`

const dayMs = 24 * 3_600_000

const values = (row: UsageDelta, hour = row.hour): SQLInputValue[] => [
  ...[hour, row.tenant, row.subject, row.client ?? '', row.target, row.tool, row.meter ?? 'call', row.outcome],
  ...[row.events, row.units, row.ms, row.waitMs ?? 0, row.bytesIn, row.bytesOut],
]

type Found = Record<string, SQLOutputValue>

const goneOf = (value: unknown): { gone?: Gone } => (value === 'removed' || value === 'archived' ? { gone: value } : {})

const toMark = (found: Found): Mark => ({
  ...goneOf(found['gone']),
  offset: Number(found['offset']),
  closed: found['closed'] === 1,
  ...(found['hash'] === null
    ? {}
    : {
        chain: {
          sealedAt: Number(found['sealed_at']),
          sealed: String(found['sealed']),
          hash: String(found['hash']),
        },
      }),
})

/** Adding: marks, figures, durations and links. Everything here runs within a transaction. */
const writerOn = (database: DatabaseSync) => {
  const selectMark = database.prepare('SELECT * FROM usage_segment WHERE segment = ?')
  const put = database.prepare(putMark)
  const insert = database.prepare(insertUsage('usage_hour'))
  const insertDay = database.prepare(insertUsage('usage_day'))
  const insertBucket = database.prepare(insertLatency)
  const lastHead = database.prepare('SELECT head FROM usage_link ORDER BY number DESC LIMIT 1')
  const insertLink = database.prepare(
    'INSERT INTO usage_link (segment, offset, hash, closed, head) VALUES (?, ?, ?, ?, ?)',
  )

  const markOf = (segment: string): Mark | undefined => {
    const found = selectMark.get(segment)
    return found && toMark(found)
  }

  const link = (added: Link): string => {
    const head = headOf(String(lastHead.get()?.['head'] ?? firstHead), added)
    insertLink.run(added.segment, added.offset, added.hash, added.closed ? 1 : 0, head)
    return head
  }

  const addRow = (row: UsageDelta): void => {
    insert.run(...values(row))
    insertDay.run(...values(row, row.hour - (row.hour % dayMs)))
    for (const [bucket, calls] of row.latency ?? [])
      insertBucket.run(row.hour, row.tenant, row.target, row.tool, bucket, calls)
  }

  const add = (
    segment: string,
    expect: number,
    next: number,
    rows: readonly UsageDelta[],
    closed: boolean,
    chain = markOf(segment)?.chain,
  ): boolean => {
    const mark = markOf(segment) ?? { offset: 0, closed: false }
    if (mark.offset !== expect || (closed && mark.closed)) return false
    for (const row of rows) addRow(row)
    const { sealedAt = null, sealed = null, hash = null } = chain ?? {}
    put.run(segment, next, closed || mark.closed ? 1 : 0, sealedAt, sealed, hash)
    if (closed && hash !== null) link({ segment, offset: next, hash, closed })
    return true
  }

  return { markOf, link, add }
}

const planOn = (database: DatabaseSync) => {
  const select = database.prepare('SELECT text FROM usage_plan WHERE month = ?')
  const insert = database.prepare('INSERT INTO usage_plan (month, text) VALUES (?, ?) ON CONFLICT DO NOTHING')
  const replacing = database.prepare(
    `INSERT INTO usage_plan (month, text) VALUES (?, ?) ON CONFLICT DO UPDATE SET text = excluded.text
     WHERE NOT EXISTS (SELECT 1 FROM usage_plan AS later WHERE later.month > excluded.month)`,
  )
  const planOf = (month: string): string | undefined => {
    const found = select.get(month)
    return found && String(found['text'])
  }
  const keep = (month: string, text: string, replace: boolean): string => {
    if (replace) replacing.run(month, text)
    else insert.run(month, text)
    return planOf(month) ?? text
  }
  return { planOf, keep }
}

const storeOn = (database: DatabaseSync): Store => {
  const { markOf, link, add } = writerOn(database)
  const { planOf, keep } = planOn(database)
  const drop = database.prepare('UPDATE usage_segment SET gone = ? WHERE segment = ?')
  const segmentsAfter = database.prepare('SELECT * FROM usage_segment WHERE segment > ? ORDER BY segment LIMIT ?')
  const linksAfter = database.prepare('SELECT * FROM usage_link WHERE number > ? ORDER BY number LIMIT ?')
  const together = <T>(work: () => T): T => guard(() => transaction(database, work))

  return {
    usageMark: async (segment) => guard(() => markOf(segment)),
    addUsage: async (segment: string, expect, next, rows, closed, chain?: SegmentHash) =>
      together(() => add(segment, expect, next, rows, closed, chain)),
    usage: async (asked) => guard(() => askUsage(database, asked)),
    eachUsage: async (asked, visit) => guard(() => eachUsage(database, asked, visit)),
    latency: async (asked) => guard(() => askLatency(database, asked)),
    segments: async (after, limit) =>
      guard(() =>
        segmentsAfter.all(after, limit).map((found) => ({ segment: String(found['segment']), ...toMark(found) })),
      ),
    dropSegment: async (segment, gone) => guard(() => void drop.run(gone, segment)),
    addLink: async (added) => together(() => link(added)),
    links: async (after, limit) =>
      guard(() =>
        linksAfter.all(after, limit).map((found) => ({
          ...{ number: Number(found['number']), segment: String(found['segment']), offset: Number(found['offset']) },
          ...{ hash: String(found['hash']), closed: found['closed'] === 1, head: String(found['head']) },
        })),
      ),
    plan: async (month) => guard(() => planOf(month)),
    keepPlan: async (month, text, replace) => together(() => keep(month, text, replace)),
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
