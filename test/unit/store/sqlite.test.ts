/** The embedded store: marks and figures move together, and every fault has a name. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { UsageDelta, UsageGroup } from '../../../src/store/store.ts'

let dir = ''
let path = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'store-'))
  path = join(dir, 'data', 'toolgate.db')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const hour = Date.UTC(2026, 10, 24, 10)
const delta = (change: Partial<UsageDelta> = {}): UsageDelta => ({
  ...{ hour, tenant: 'local', subject: 'ann', target: 'pets', tool: 'pets___get', outcome: 'ok' },
  ...{ events: 1, units: 1, ms: 5, bytesIn: 10, bytesOut: 20 },
  ...change,
})
const everything = { from: 0, to: 8.64e15, rows: 100 }

describe('marks', () => {
  test('a segment never seen has no mark, and one added to has it where it was moved', async () => {
    const store = openSqliteStore(path)
    expect(await store.usageMark('s')).toBeUndefined()
    expect(await store.addUsage('s', 0, 100, [delta()], false)).toBe(true)
    expect(await store.usageMark('s')).toEqual({ offset: 100, closed: false })
    await store.close()
  })

  test('adding from a place where the mark is not changes nothing', async () => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 100, [delta()], false)
    for (const expected of [0, 99, 101]) expect(await store.addUsage('s', expected, 200, [delta()], false)).toBe(false)
    expect(await store.addUsage('new', 7, 200, [delta()], false)).toBe(false)
    expect(await store.usage({ ...everything, by: [] })).toMatchObject([{ events: 1 }])
    expect(await store.usageMark('s')).toEqual({ offset: 100, closed: false })
    await store.close()
  })

  test('a segment is closed once, stays closed, and can still be added to', async () => {
    const store = openSqliteStore(path)
    expect(await store.addUsage('s', 0, 0, [], true)).toBe(true)
    expect(await store.addUsage('s', 0, 0, [delta()], true)).toBe(false)
    expect(await store.addUsage('s', 0, 50, [delta()], false)).toBe(true)
    expect(await store.usageMark('s')).toEqual({ offset: 50, closed: true })
    await store.close()
  })

  test('a row that the table refuses takes the mark and the other rows back with it', async () => {
    const store = openSqliteStore(path)
    const bad = delta({ hour: 0.5 })
    await expect(store.addUsage('s', 0, 100, [delta(), bad], false)).rejects.toMatchObject({
      code: 'store_unavailable',
    })
    expect(await store.usageMark('s')).toBeUndefined()
    expect(await store.usage({ ...everything, by: [] })).toMatchObject([{ events: 0 }])
    expect(await store.addUsage('s', 0, 100, [delta()], false)).toBe(true)
    await store.close()
  })

  test('two stores on one file race for the same bytes and one of them wins', async () => {
    const stores = [openSqliteStore(path), openSqliteStore(path)]
    const won = await Promise.all(stores.map((store) => store.addUsage('s', 0, 10, [delta()], false)))
    expect(won.filter((one) => one)).toHaveLength(1)
    for (const store of stores) expect(await store.usage({ ...everything, by: [] })).toMatchObject([{ events: 1 }])
    await Promise.all(stores.map((store) => store.close()))
  })
})

describe('questions', () => {
  const rows = [
    delta(),
    delta({ outcome: 'unknown', units: 0 }),
    delta({ tool: 'pets___add', subject: 'bob', units: 2 }),
    delta({ target: 'orders', tool: 'orders___get', tenant: 'other', hour: hour + 86_400_000 }),
  ]
  const figures = (units: number, events = 1) => ({
    events,
    units,
    ms: 5 * events,
    bytesIn: 10 * events,
    bytesOut: 20 * events,
  })
  const cases: [UsageGroup[], object[]][] = [
    [[], [figures(4, 4)]],
    [
      ['target'],
      [
        { target: 'orders', ...figures(1) },
        { target: 'pets', ...figures(3, 3) },
      ],
    ],
    [
      ['tool'],
      [
        { tool: 'orders___get', ...figures(1) },
        { tool: 'pets___add', ...figures(2) },
        { tool: 'pets___get', ...figures(1, 2) },
      ],
    ],
    [
      ['principal'],
      [
        { tenant: 'local', subject: 'ann', ...figures(1, 2) },
        { tenant: 'local', subject: 'bob', ...figures(2) },
        { tenant: 'other', subject: 'ann', ...figures(1) },
      ],
    ],
    [
      ['tenant', 'principal'],
      [
        { tenant: 'local', subject: 'ann', ...figures(1, 2) },
        { tenant: 'local', subject: 'bob', ...figures(2) },
        { tenant: 'other', subject: 'ann', ...figures(1) },
      ],
    ],
    [
      ['outcome'],
      [
        { outcome: 'ok', ...figures(4, 3) },
        { outcome: 'unknown', ...figures(0) },
      ],
    ],
    [
      ['day', 'target'],
      [
        { day: '2026-11-24', target: 'pets', ...figures(3, 3) },
        { day: '2026-11-25', target: 'orders', ...figures(1) },
      ],
    ],
    [
      ['hour'],
      [
        { hour, ...figures(3, 3) },
        { hour: hour + 86_400_000, ...figures(1) },
      ],
    ],
  ]

  test.each(cases)('grouped by %j the figures add up and are in order', async (by, expected) => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 1, rows, false)
    await store.addUsage('s', 1, 2, [], false)
    expect(await store.usage({ ...everything, by })).toEqual(expected)
    await store.close()
  })

  test('the period begins with its first hour and ends before its last moment; rows are bounded', async () => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 1, rows, false)
    const total = async (from: number, to: number) => (await store.usage({ from, to, by: [], rows: 1 }))[0]?.events
    expect(await total(hour, hour + 1)).toBe(3)
    expect(await total(hour, hour)).toBe(0)
    expect(await total(hour + 1, hour + 86_400_000)).toBe(0)
    expect(await store.usage({ ...everything, rows: 2, by: ['tool'] })).toHaveLength(2)
    await store.close()
  })

  test('names of any characters come back as they were', async () => {
    const store = openSqliteStore(path)
    const subject = `O'Neil"; DROP TABLE usage_hour; -- \u0000 \u{1f43e} __proto__`
    await store.addUsage('s', 0, 1, [delta({ subject })], false)
    expect(await store.usage({ ...everything, by: ['principal'] })).toMatchObject([{ subject }])
    await store.close()
  })
})

describe('the file', () => {
  test('the database and its companions are for the owner only, and are still there after a restart', async () => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 1, [delta()], false)
    const modes = readdirSync(join(dir, 'data')).map((name) => statSync(join(dir, 'data', name)).mode & 0o777)
    expect(modes.length).toBeGreaterThan(1)
    expect(new Set(modes)).toEqual(new Set([0o600]))
    expect(statSync(join(dir, 'data')).mode & 0o777).toBe(0o700)
    await store.close()
    const again = openSqliteStore(path)
    expect(await again.usage({ ...everything, by: [] })).toMatchObject([{ events: 1 }])
    await again.close()
  })

  test('commits reach the disk: WAL with full synchronisation', async () => {
    const store = openSqliteStore(path)
    await store.close()
    const raw = new DatabaseSync(path)
    expect(raw.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' })
    expect(raw.prepare('PRAGMA user_version').get()).toEqual({ user_version: 1 })
    raw.close()
  })

  test('what is not a database is refused with a reason', () => {
    mkdirSync(join(dir, 'data'))
    writeFileSync(path, 'This is a text file of some length, and surely not a database at all. '.repeat(20))
    expect(() => openSqliteStore(path)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
    expect(() => openSqliteStore(path)).toThrow('The database file is not a database.')
  })

  test('a damaged database is refused with a reason', async () => {
    const store = openSqliteStore(path)
    const many = Array.from({ length: 2_000 }, (_, at) => delta({ subject: `subject ${at}` }))
    await store.addUsage('s', 0, 1, many, false)
    await store.close()
    const raw = new DatabaseSync(path)
    raw.exec('PRAGMA journal_mode = DELETE')
    raw.close()
    const { size } = statSync(path)
    writeFileSync(path, Buffer.alloc(size - 4_096, 0xee), { flag: 'r+', flush: true })
    expect(() => openSqliteStore(path)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
  })

  test('a database of a newer version is left alone', async () => {
    await openSqliteStore(path).close()
    const raw = new DatabaseSync(path)
    raw.exec('PRAGMA user_version = 999')
    raw.close()
    expect(() => openSqliteStore(path)).toThrow('newer version')
  })

  test('a directory in its place cannot be opened', () => {
    mkdirSync(path, { recursive: true })
    expect(() => openSqliteStore(path)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
    chmodSync(path, 0o700)
  })

  test('after closing, questions are refused and closing again is nothing', async () => {
    const store = openSqliteStore(path)
    await store.close()
    await store.close()
    await expect(store.usageMark('s')).rejects.toMatchObject({ code: 'store_unavailable' })
  })
})
