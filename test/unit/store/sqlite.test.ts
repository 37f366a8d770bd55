/** The embedded store: marks and figures move together, and every fault has a name. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { headOf } from '../../../src/store/link.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { UsageDelta, UsageGroup, UsageWhere } from '../../../src/store/store.ts'

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

describe('segments and their chain', () => {
  const chain = { sealedAt: 40, sealed: 'a', hash: 'b' }

  test('a mark keeps its hashes, and a segment that is gone stays known', async () => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 100, [], false, chain)
    await store.addUsage('r', 0, 7, [], false)
    expect(await store.usageMark('s')).toEqual({ offset: 100, closed: false, chain })
    await store.dropSegment('s', 'archived')
    expect(await store.segments('', 10)).toEqual([
      { segment: 'r', offset: 7, closed: false },
      { segment: 's', offset: 100, closed: false, chain, gone: 'archived' },
    ])
    expect(await store.segments('r', 10)).toHaveLength(1)
    expect(await store.segments('', 1)).toHaveLength(1)
    await store.close()
  })

  test('a segment that is closed gets a link, once, and every link follows the one before it', async () => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 100, [], false, chain)
    expect(await store.links(0, 10)).toEqual([])
    await store.addUsage('s', 100, 100, [], true, chain)
    expect(await store.addUsage('s', 100, 100, [], true, chain)).toBe(false)
    const head = await store.addLink({ segment: 'r', offset: 3, hash: 'c', closed: false })
    const [one, two] = await store.links(0, 10)
    expect(one).toMatchObject({ number: 1, segment: 's', offset: 100, hash: 'b', closed: true })
    expect(two).toEqual({ number: 2, segment: 'r', offset: 3, hash: 'c', closed: false, head })
    expect(head).toBe(headOf(one?.head ?? '', { segment: 'r', offset: 3, hash: 'c', closed: false }))
    expect(await store.links(1, 10)).toEqual([two])
    await store.close()
  })

  test('prices of a month are kept once, unless they are replaced', async () => {
    const store = openSqliteStore(path)
    expect(await store.plan('2026-11')).toBeUndefined()
    expect(await store.keepPlan('2026-11', 'one', false)).toBe('one')
    expect(await store.keepPlan('2026-11', 'two', false)).toBe('one')
    expect(await store.keepPlan('2026-11', 'three', true)).toBe('three')
    expect(await store.plan('2026-11')).toBe('three')
    await store.close()
  })
})

test('a database of the first version is brought up to date with all that is in it', async () => {
  mkdirSync(join(dir, 'data'))
  const raw = new DatabaseSync(path)
  raw.exec(`CREATE TABLE usage_segment (segment TEXT PRIMARY KEY, offset INTEGER NOT NULL, closed INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
    CREATE TABLE usage_hour (hour INTEGER NOT NULL, tenant TEXT NOT NULL, subject TEXT NOT NULL, target TEXT NOT NULL,
      tool TEXT NOT NULL, outcome TEXT NOT NULL, events INTEGER NOT NULL, units INTEGER NOT NULL, ms INTEGER NOT NULL,
      bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
      PRIMARY KEY (hour, tenant, subject, target, tool, outcome)) STRICT, WITHOUT ROWID;
    INSERT INTO usage_segment VALUES ('s', 100, 1);
    INSERT INTO usage_hour VALUES (${hour}, 'local', 'ann', 'pets', 'pets___get', 'ok', 2, 2, 10, 20, 40);
    PRAGMA user_version = 1`)
  raw.close()
  const store = openSqliteStore(path)
  expect(await store.usageMark('s')).toEqual({ offset: 100, closed: true })
  await store.addUsage('s', 100, 200, [delta()], false)
  expect(await store.usage({ ...everything, by: ['client', 'meter'] })).toEqual([
    { client: '', meter: 'call', events: 3, units: 3, ms: 15, waitMs: 0, bytesIn: 30, bytesOut: 60 },
  ])
  await store.close()
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
    waitMs: 0,
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

  test('grouped by client, meter and month, old rows have neither client nor another meter than calls', async () => {
    const store = openSqliteStore(path)
    const search = { client: 'bot', meter: 'search', target: '', tool: '', waitMs: 3 } as const
    await store.addUsage('s', 0, 1, [...rows, delta({ ...search, hour: Date.UTC(2026, 11, 31, 23) })], false)
    expect(await store.usage({ ...everything, by: ['month', 'meter', 'client'] })).toEqual([
      { month: '2026-11', meter: 'call', client: '', ...figures(4, 4) },
      { month: '2026-12', meter: 'search', client: 'bot', ...figures(1), waitMs: 3 },
    ])
    await store.close()
  })

  test('for some names only', async () => {
    const store = openSqliteStore(path)
    await store.addUsage('s', 0, 1, [...rows, delta({ client: 'bot' })], false)
    const events = async (where: UsageWhere) => (await store.usage({ ...everything, by: [], where }))[0]?.events
    expect(await events({})).toBe(5)
    expect(await events({ tenant: 'local' })).toBe(4)
    expect(await events({ tenant: 'local', subject: 'ann' })).toBe(3)
    expect(await events({ tenant: 'local', subject: 'ann', client: 'bot' })).toBe(1)
    expect(await events({ target: 'orders' })).toBe(1)
    expect(await events({ tool: 'pets___add' })).toBe(1)
    expect(await events({ tool: "' OR 1 --" })).toBe(0)
    await store.close()
  })

  test('of durations add up bucket by bucket, and are refused where they are not kept', async () => {
    const store = openSqliteStore(path)
    const one = delta({
      latency: [
        [5, 2],
        [9, 1],
      ],
    })
    const other = delta({ target: 'orders', subject: 'bob', latency: [[5, 1]] })
    await store.addUsage('s', 0, 1, [one, other, delta({ subject: 'cy', latency: [[9, 4]] })], false)
    expect(await store.latency({ ...everything, by: ['target'] })).toEqual([
      { target: 'orders', buckets: [[5, 1]] },
      {
        target: 'pets',
        buckets: [
          [5, 2],
          [9, 5],
        ],
      },
    ])
    expect(await store.latency({ ...everything, by: ['day'], where: { target: 'pets' } })).toEqual([
      {
        day: '2026-11-24',
        buckets: [
          [5, 2],
          [9, 5],
        ],
      },
    ])
    expect(await store.latency({ ...everything, by: ['target'], rows: 1 })).toHaveLength(1)
    expect(await store.latency({ ...everything, from: 8.64e14, by: [] })).toEqual([])
    for (const asked of [{ by: ['principal'] }, { by: ['outcome'] }, { by: [], where: { client: 'bot' } }] as const)
      await expect(store.latency({ ...everything, ...asked })).rejects.toMatchObject({ code: 'invalid_params' })
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
    expect(raw.prepare('PRAGMA user_version').get()).toEqual({ user_version: 3 })
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
