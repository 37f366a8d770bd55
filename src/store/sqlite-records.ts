/**
 * Records in a SQLite file of their own. Its calls run on the main thread: a point read costs about as much as handing
 * it to another thread, writes are rare, and a lock held elsewhere is waited for without blocking.
 */
import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite'
import { type Clock, sleep } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Lease, PutOptions, RecordRow, Records, Versioned } from './records.ts'
import { guard, isBusy, named, openFile, transaction } from './sqlite-file.ts'

/**
 * Versions and fences are drawn from counters of the whole file, so that a key written anew after its deletion never
 * has a version again, and a lease no fence. Keys compare as bytes (BINARY), which for ASCII is the order of keys.
 */
const migrations: readonly string[] = [
  `CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO counter (name, value) VALUES ('version', 0), ('fence', 0);
   CREATE TABLE record (
     key TEXT PRIMARY KEY,
     value TEXT NOT NULL,
     version INTEGER NOT NULL,
     expires INTEGER
   ) STRICT;
   CREATE INDEX record_expires ON record (expires) WHERE expires IS NOT NULL;
   CREATE TABLE lease (
     name TEXT PRIMARY KEY,
     owner TEXT NOT NULL,
     fence INTEGER NOT NULL,
     until INTEGER NOT NULL
   ) STRICT, WITHOUT ROWID;`,
]

const live = '(expires IS NULL OR expires > ?)'

const statements = (database: DatabaseSync) => ({
  next: database.prepare('UPDATE counter SET value = value + 1 WHERE name = ? RETURNING value'),
  changes: database.prepare(`SELECT value FROM counter WHERE name = 'version'`),
  get: database.prepare(`SELECT value, version, expires FROM record WHERE key = ? AND ${live}`),
  put: database.prepare(
    `INSERT INTO record (key, value, version, expires) VALUES (?, ?, ?, ?)
     ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires`,
  ),
  delete: database.prepare('DELETE FROM record WHERE key = ?'),
  list: database.prepare(
    `SELECT key, value, version, expires FROM record
     WHERE key >= ? AND key < ? AND key > ? AND ${live} ORDER BY key LIMIT ?`,
  ),
  sweepRecords: database.prepare(
    'DELETE FROM record WHERE key IN (SELECT key FROM record WHERE expires <= ? ORDER BY expires LIMIT ?)',
  ),
  sweepLeases: database.prepare('DELETE FROM lease WHERE until <= ?'),
  lease: database.prepare('SELECT owner, fence, until FROM lease WHERE name = ?'),
  putLease: database.prepare(
    `INSERT INTO lease (name, owner, fence, until) VALUES (?, ?, ?, ?)
     ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = excluded.fence, until = excluded.until`,
  ),
  holds: database.prepare('SELECT 1 AS yes FROM lease WHERE name = ? AND fence = ? AND until > ?'),
  release: database.prepare('DELETE FROM lease WHERE name = ? AND fence = ?'),
})

type Statements = ReturnType<typeof statements>

/** The last of the printable ASCII characters is `~`; whatever begins with a prefix sorts before the one after it. */
const behindAll = '\u007f'

const key = (text: string): string => {
  if (!/^[ -~]+$/.test(text) || text.length > limits.recordKeyBytes)
    throw new GatewayError('over_limit', { words: 'A record’s key must be printable ASCII of bounded length.' })
  return text
}

/** What came back is what was given: SQLite would mend a lone surrogate, and C text ends at a NUL. */
const value = (text: string): string => {
  if (Buffer.byteLength(text) > limits.recordBytes || !text.isWellFormed() || text.includes('\0'))
    throw new GatewayError('over_limit', { words: 'A record’s value must be text of bounded length.' })
  return text
}

const drawn = (next: StatementSync, counter: 'version' | 'fence'): number => Number(next.get(counter)?.['value'])

const toVersioned = (row: Record<string, SQLOutputValue>): Versioned => ({
  value: String(row['value']),
  version: Number(row['version']),
  ...(row['expires'] === null ? {} : { expiresAt: Number(row['expires']) }),
})

const lookUp = (found: Statements, name: string, now: number): Versioned | undefined => {
  const row = found.get.get(name, now)
  return row && toVersioned(row)
}

const put = (found: Statements, name: string, text: string, options: PutOptions, now: number): number | undefined => {
  const there = lookUp(found, name, now)?.version ?? 'absent'
  if (there !== options.expect) return undefined
  const version = drawn(found.next, 'version')
  found.put.run(name, text, version, options.expiresAt === undefined ? null : Math.ceil(options.expiresAt))
  return version
}

/** The record that was there and now is not. */
const remove = (found: Statements, name: string, now: number, expect?: number): Versioned | undefined => {
  const there = lookUp(found, name, now)
  if (there === undefined || (expect !== undefined && there.version !== expect)) return undefined
  found.delete.run(name)
  // a deletion is a change, too
  drawn(found.next, 'version')
  return there
}

const lease = (found: Statements, name: string, owner: string, ms: number, now: number): Lease | undefined => {
  const there = found.lease.get(name)
  const held = there !== undefined && Number(there['until']) > now
  if (held && there['owner'] !== owner) return undefined
  // the same owner after the end is a new one: what it did in between is not covered
  const fence = held ? Number(there['fence']) : drawn(found.next, 'fence')
  const until = Math.ceil(now + ms)
  found.putLease.run(name, owner, fence, until)
  return { fence, until }
}

const list = (found: Statements, prefix: string, after: string, limit: number, now: number): RecordRow[] =>
  found.list
    .all(prefix, `${prefix}${behindAll}`, after, now, Math.min(limit, limits.recordsListed))
    .map((row) => ({ key: String(row['key']), ...toVersioned(row) }))

const recordsOn = (database: DatabaseSync, clock: Clock): Records => {
  const found = statements(database)

  /**
   * SQLite’s own waiting would stop the whole process, for as long as another one sits on the lock; so it is kept
   * short and gone on with between other work, until `limits.storeBusyMs` are over.
   */
  const patiently = async <T>(work: () => T): Promise<T> => {
    const end = clock.monotonic() + limits.storeBusyMs
    for (;;) {
      try {
        return work()
      } catch (error) {
        if (!isBusy(error) || clock.monotonic() >= end) throw named(error)
      }
      await sleep(clock, limits.recordsRetryMs)
    }
  }
  const reading = <T>(work: (now: number) => T): Promise<T> => patiently(() => work(clock.now()))
  const writing = <T>(work: (now: number) => T): Promise<T> =>
    patiently(() => transaction(database, () => work(clock.now())))

  const sweep = async (): Promise<void> => {
    await writing((now) => {
      found.sweepRecords.run(now, limits.recordsSwept)
      found.sweepLeases.run(now)
    })
  }
  // what is not swept now is invisible all the same, and swept next time
  const stop = clock.every(limits.recordsSweepMs, () => void sweep().catch(() => undefined))

  return {
    get: async (name) => reading((now) => lookUp(found, key(name), now)),
    put: async (name, text, options) => writing((now) => put(found, key(name), value(text), options, now)),
    delete: async (name, expect) => writing((now) => remove(found, key(name), now, expect) !== undefined),
    take: async (name) => writing((now) => remove(found, key(name), now)),
    list: async (prefix, { after = '', limit }) => reading((now) => list(found, prefix, after, limit, now)),
    // the counter of versions: one number for all processes, which leases and sweeping do not move
    changes: async () => reading(() => Number(found.changes.get()?.['value'])),
    lease: async (name, owner, ms) => writing((now) => lease(found, key(name), owner, ms, now)),
    holds: async (name, fence) => reading((now) => found.holds.get(name, fence, now) !== undefined),
    release: async (name, fence) => writing(() => void found.release.run(name, fence)),
    close: async () => {
      stop()
      if (database.isOpen) guard(() => database.close())
    },
  }
}

/**
 * Opens, or makes, the file (mode 0600). What is deleted is overwritten in it. Throws `store_unavailable`, saying why in
 * its words, when the file is damaged, read-only, locked, of a newer version or not to be opened.
 */
export const openRecords = (file: string, clock: Clock): Records =>
  guard(() => {
    const database = openFile(file, migrations, limits.storeBusyMs)
    database.exec(`PRAGMA secure_delete = ON; PRAGMA busy_timeout = ${limits.recordsBusyMs}`)
    return recordsOn(database, clock)
  })
