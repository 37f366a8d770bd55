/** What every SQLite file here has in common: how it is opened and brought up to date, and how its faults are named. */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { GatewayError } from '../core/errors.ts'

/** Primary result codes (sqlite.org/rescode.html) that an operator can do something about. */
const reasons = new Map<number, string>([
  [5, 'The database is locked by another process.'],
  [6, 'The database is locked by another process.'],
  [8, 'The database is read-only.'],
  [10, 'The database’s disk reports errors.'],
  [11, 'The database file is damaged.'],
  [13, 'The database’s disk is full.'],
  [14, 'The database file cannot be opened.'],
  [26, 'The database file is not a database.'],
])

const codeOf = (cause: unknown): number =>
  cause instanceof Error && 'errcode' in cause ? Number(cause.errcode) & 0xff : 0

/** Whether another connection holds the lock that was wanted, so that it may be free in a moment (SQLITE_BUSY). */
export const isBusy = (cause: unknown): boolean => codeOf(cause) === 5

/** Whatever a database threw, as an error of the table: `store_unavailable`, with words where an operator can help. */
export const named = (cause: unknown): GatewayError => {
  if (cause instanceof GatewayError) return cause
  const words = reasons.get(codeOf(cause))
  return new GatewayError('store_unavailable', words === undefined ? { cause } : { words, cause })
}

/** Runs one piece of database work; whatever it throws leaves as `store_unavailable`. */
export const guard = <T>(work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw named(error)
  }
}

/** All of `work` or nothing of it. `IMMEDIATE` takes the write lock first, so that what is read stays true until the commit. */
export const transaction = <T>(database: DatabaseSync, work: () => T): T => {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = work()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

const version = (database: DatabaseSync): number =>
  Number(database.prepare('PRAGMA user_version').get()?.['user_version'])

const migrate = (database: DatabaseSync, migrations: readonly string[]): void => {
  if (version(database) === migrations.length) return
  transaction(database, () => {
    const found = version(database)
    if (found > migrations.length)
      throw new GatewayError('store_unavailable', {
        words: 'The database was made by a newer version of this program.',
      })
    for (const step of migrations.slice(found)) database.exec(step)
    database.exec(`PRAGMA user_version = ${migrations.length}`)
  })
}

/**
 * Opens, or makes, the file (mode 0600) and takes it through those `migrations` that it has not seen: step n leads from
 * `user_version` n to n + 1. `busyMs` is how long a call waits, blocking, for a lock.
 */
export const openFile = (path: string, migrations: readonly string[], busyMs: number): DatabaseSync => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // SQLite gives its `-wal` and `-shm` files the mode of the database, which therefore must exist first
  closeSync(openSync(path, 'a', 0o600))
  const database = new DatabaseSync(path, {
    timeout: busyMs,
    allowExtension: false,
    enableDoubleQuotedStringLiterals: false,
  })
  try {
    // FULL: a commit survives a power cut in WAL mode, which NORMAL does not promise (sqlite.org/pragma.html)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
    migrate(database, migrations)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}
