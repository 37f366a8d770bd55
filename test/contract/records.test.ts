/** One body for every implementation of `Records`: what the port promises, two connections at once included. */
import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import type { Records } from '../../src/store/records.ts'
import { openRecords } from '../../src/store/sqlite-records.ts'

let dir = ''
let now = 0
let ticks: (() => void)[] = []
const clock: Clock = {
  ...systemClock,
  now: () => now,
  every: (_ms, act) => {
    ticks.push(act)
    return () => undefined
  },
}
const opened: Records[] = []
const sqliteFile = (): string => join(dir, 'data', 'records.db')

const implementations: readonly { name: string; open: () => Records }[] = [
  { name: 'sqlite', open: () => openRecords(sqliteFile(), clock) },
]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'records-'))
  now = Date.UTC(2026, 10, 24)
  ticks = []
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((records) => records.close()))
  rmSync(dir, { recursive: true, force: true })
})

const over = { code: 'over_limit' }
const put = async (records: Records, key: string, value: string, expect: number | 'absent' = 'absent') => {
  const version = await records.put(key, value, { expect })
  if (version === undefined) throw new Error('another version is there')
  return version
}

describe.each(implementations)('records in $name', ({ open }) => {
  const start = (): Records => {
    const records = open()
    opened.push(records)
    return records
  }

  test('a record is read as it was written, in its version', async () => {
    const records = start()
    expect(await records.get('a')).toBeUndefined()
    const version = await put(records, 'a', '{"ö":"𝒳"}')
    expect(await records.get('a')).toEqual({ value: '{"ö":"𝒳"}', version })
    expect(await start().get('a')).toEqual({ value: '{"ö":"𝒳"}', version })
  })

  test('a write that expects another version changes nothing', async () => {
    const records = start()
    const first = await put(records, 'a', '1')
    expect(await records.put('a', '2', { expect: 'absent' })).toBeUndefined()
    const second = await put(records, 'a', '2', first)
    expect(second).toBeGreaterThan(first)
    const before = await records.changes()
    expect(await records.put('a', '3', { expect: first })).toBeUndefined()
    expect(await records.put('b', '3', { expect: first })).toBeUndefined()
    expect(await records.delete('a', first)).toBe(false)
    expect(await records.get('a')).toEqual({ value: '2', version: second })
    expect(await records.changes()).toBe(before)
  })

  test('a version never comes back, not even after the record was deleted or taken', async () => {
    const records = start()
    const versions = [await put(records, 'a', '1')]
    await records.delete('a')
    versions.push(await put(records, 'a', '1'))
    await records.take('a')
    versions.push(await put(start(), 'a', '1'))
    expect(versions).toEqual([...new Set(versions)].toSorted((one, other) => one - other))
  })

  test('deleting says whether something was there', async () => {
    const records = start()
    const version = await put(records, 'a', '1')
    expect(await records.delete('a', version)).toBe(true)
    expect(await records.delete('a')).toBe(false)
    await put(records, 'a', '1')
    expect(await records.delete('a')).toBe(true)
    expect(await records.get('a')).toBeUndefined()
  })

  test('of many who take a record, on two connections, one gets it', async () => {
    const both = [start(), start()]
    const version = await put(both[0] ?? start(), 'once', 'prize')
    const taken = await Promise.all(Array.from({ length: 40 }, async (_, index) => both[index % 2]?.take('once')))
    expect(taken.filter((one) => one !== undefined)).toEqual([{ value: 'prize', version }])
  })

  test('of many who replace the same version, on two connections, one wins', async () => {
    const both = [start(), start()]
    const first = await put(both[0] ?? start(), 'a', '0')
    const won = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => both[index % 2]?.put('a', String(index), { expect: first })),
    )
    expect(won.filter((one) => one !== undefined)).toHaveLength(1)
    expect((await both[1]?.get('a'))?.version).toBe(won.find((one) => one !== undefined))
  })

  test('a record is gone from the moment of its expiry, and its place is free', async () => {
    const records = start()
    const version = await records.put('a', '1', { expect: 'absent', expiresAt: now + 10 })
    expect(await records.get('a')).toEqual({ value: '1', version, expiresAt: now + 10 })
    now += 9
    expect(await records.list('', { limit: 9 })).toEqual([{ key: 'a', value: '1', version, expiresAt: now + 1 }])
    now += 1
    expect(await records.get('a')).toBeUndefined()
    expect(await records.list('', { limit: 9 })).toEqual([])
    expect(await records.take('a')).toBeUndefined()
    expect(await records.delete('a')).toBe(false)
    expect(await records.put('a', '2', { expect: version ?? 0 })).toBeUndefined()
    expect(await put(records, 'a', '2')).toBeGreaterThan(version ?? 0)
    now += 1e12
    expect(await records.get('a')).toMatchObject({ value: '2' })
  })

  test('a list has the keys of the prefix only, in order, page by page', async () => {
    const records = start()
    const keys = ['k/1', 'k/10', 'k/2', 'k/~', 'k/a b', 'K/1', 'k', 'k0', 'l/1', 'k/_%']
    for (const key of keys) await put(records, key, key)
    const expected = keys.filter((key) => key.startsWith('k/')).toSorted()
    const pages: string[] = []
    for (let after: string | undefined; ; ) {
      const page = await records.list('k/', { limit: 2, ...(after === undefined ? {} : { after }) })
      pages.push(...page.map(({ key }) => key))
      after = page.at(-1)?.key
      if (page.length < 2) break
    }
    expect(pages).toEqual(expected)
    expect((await records.list('', { limit: 1_000 })).map(({ key }) => key)).toEqual(keys.toSorted())
  })

  test('the number of changes moves with every change, whoever makes it, and with nothing else', async () => {
    const [mine, other] = [start(), start()]
    const seen = [await mine.changes()]
    const version = await put(other, 'a', '1')
    seen.push(await mine.changes())
    await put(mine, 'a', '2', version)
    seen.push(await mine.changes())
    await other.delete('a')
    seen.push(await mine.changes())
    expect(new Set(seen).size).toBe(4)
    await other.get('a')
    await other.take('a')
    await other.lease('l', 'me', 1_000)
    expect(await mine.changes()).toBe(seen.at(-1))
    expect(await other.changes()).toBe(seen.at(-1))
  })

  test.each([
    ['an empty key', ''],
    ['a key beyond ASCII', 'ö'],
    ['a key with a control character', 'a\n'],
    ['a key too long', 'k'.repeat(limits.recordKeyBytes + 1)],
  ])('%s is refused', async (_what, key) => {
    const records = start()
    await expect(records.put(key, '', { expect: 'absent' })).rejects.toMatchObject(over)
    await expect(records.get(key)).rejects.toMatchObject(over)
    await expect(records.lease(key, 'me', 1)).rejects.toMatchObject(over)
  })

  test.each([
    ['too long', 'v'.repeat(limits.recordBytes + 1)],
    ['too long in bytes', 'ö'.repeat(limits.recordBytes / 2 + 1)],
    ['that would be cut', 'a\0b'],
    ['that would be mended', '\ud800'],
  ])('a value %s is refused', async (_what, text) => {
    await expect(start().put('a', text, { expect: 'absent' })).rejects.toMatchObject(over)
  })

  test('the longest key and value fit', async () => {
    const [records, key, text] = [start(), 'k'.repeat(limits.recordKeyBytes), 'v'.repeat(limits.recordBytes)]
    await put(records, key, text)
    expect((await records.get(key))?.value).toBe(text)
  })

  test('a lease has one owner until it ends, and every owner a higher fence', async () => {
    const [mine, other] = [start(), start()]
    const first = await mine.lease('refresh', 'a', 100)
    expect(first).toEqual({ fence: expect.any(Number), until: now + 100 })
    expect(await other.lease('refresh', 'b', 100)).toBeUndefined()
    now += 60
    expect(await mine.lease('refresh', 'a', 100)).toEqual({ fence: first?.fence, until: now + 100 })
    now += 99
    expect(await other.lease('refresh', 'b', 100)).toBeUndefined()
    expect(await other.holds('refresh', first?.fence ?? 0)).toBe(true)
    now += 1
    expect(await mine.holds('refresh', first?.fence ?? 0)).toBe(false)
    const second = await other.lease('refresh', 'b', 100)
    expect(second?.fence).toBeGreaterThan(first?.fence ?? 0)
    expect(await mine.holds('refresh', first?.fence ?? 0)).toBe(false)
    expect(await mine.holds('refresh', second?.fence ?? 0)).toBe(true)
  })

  test('an owner who comes back after the end has a new fence', async () => {
    const records = start()
    const first = await records.lease('l', 'a', 100)
    now += 100
    expect((await records.lease('l', 'a', 100))?.fence).toBeGreaterThan(first?.fence ?? 0)
  })

  test('a released lease is free, a late release harms nobody, and fences still grow', async () => {
    const records = start()
    const first = await records.lease('l', 'a', 100)
    await records.release('l', first?.fence ?? 0)
    expect(await records.holds('l', first?.fence ?? 0)).toBe(false)
    const second = await records.lease('l', 'b', 100)
    expect(second?.fence).toBeGreaterThan(first?.fence ?? 0)
    await records.release('l', first?.fence ?? 0)
    expect(await records.holds('l', second?.fence ?? 0)).toBe(true)
    expect(await records.lease('l', 'c', 100)).toBeUndefined()
  })

  test('of many who want a lease at once, on two connections, one has it', async () => {
    const both = [start(), start()]
    const got = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => both[index % 2]?.lease('l', `owner ${index}`, 100)),
    )
    expect(got.filter((one) => one !== undefined)).toHaveLength(1)
  })

  test('closing twice is closing, and nothing works afterwards', async () => {
    const records = start()
    await records.close()
    await records.close()
    const gone = { code: 'store_unavailable' }
    await expect(records.get('a')).rejects.toMatchObject(gone)
    await expect(records.put('a', '', { expect: 'absent' })).rejects.toMatchObject(gone)
    await expect(records.changes()).rejects.toMatchObject(gone)
  })
})

describe('the SQLite file of records', () => {
  const start = (): Records => {
    const records = openRecords(sqliteFile(), clock)
    opened.push(records)
    return records
  }

  test('is for its owner alone', async () => {
    const records = start()
    await put(records, 'a', '1')
    const files = readdirSync(join(dir, 'data'))
    expect(files).toContain('records.db-wal')
    expect(files.map((file) => statSync(join(dir, 'data', file)).mode & 0o777)).toEqual(files.map(() => 0o600))
  })

  test('loses what is over and what was deleted, from its bytes, too', async () => {
    const records = start()
    await records.put('a', 'canary-expired', { expect: 'absent', expiresAt: now + 1 })
    await put(records, 'b', 'canary-deleted')
    await put(records, 'c', 'kept')
    await records.lease('l', 'canary-owner', 1)
    await records.delete('b')
    now += 1
    for (const tick of ticks) tick()
    await records.close()
    const bytes = readFileSync(sqliteFile(), 'latin1')
    expect(bytes).toContain('kept')
    expect(bytes).not.toContain('canary')
  })

  test('is waited for without blocking while another process writes', async () => {
    const records = start()
    await put(records, 'a', '1')
    const other = new DatabaseSync(sqliteFile())
    other.exec('BEGIN IMMEDIATE')
    const writing = records.put('b', '2', { expect: 'absent' })
    // the loop turns meanwhile, and reading goes on
    await new Promise((resolve) => setTimeout(resolve, limits.recordsBusyMs))
    expect(await records.get('a')).toMatchObject({ value: '1' })
    other.exec('COMMIT')
    other.close()
    expect(await writing).toEqual(expect.any(Number))
  })

  test('says so when it stays locked, and works again afterwards', async () => {
    let waited = 0
    const impatient: Clock = { ...clock, monotonic: () => (waited += limits.storeBusyMs) }
    const records = openRecords(sqliteFile(), impatient)
    opened.push(records)
    const other = new DatabaseSync(sqliteFile())
    other.exec('BEGIN IMMEDIATE')
    await expect(records.put('a', '1', { expect: 'absent' })).rejects.toMatchObject({
      code: 'store_unavailable',
      message: 'The database is locked by another process.',
    })
    other.exec('ROLLBACK')
    other.close()
    expect(await put(records, 'a', '1')).toEqual(expect.any(Number))
  })

  const made = async (): Promise<void> => {
    const records = start()
    await put(records, 'a', 'x'.repeat(20_000))
    await records.close()
  }
  const damage = (): void => {
    const bytes = readFileSync(sqliteFile())
    writeFileSync(sqliteFile(), bytes.fill(0x5a, 100))
  }
  test.each([
    ['no database', 'The database file is not a database.', () => writeFileSync(sqliteFile(), 'x'.repeat(4_096))],
    ['damaged', 'The database file is damaged.', damage],
    [
      'of a newer version',
      'The database was made by a newer version of this program.',
      () => {
        const database = new DatabaseSync(sqliteFile())
        database.exec('PRAGMA user_version = 99')
        database.close()
      },
    ],
  ])('that is %s is refused with words', async (_what, message, spoil) => {
    await made()
    spoil()
    expect(() => openRecords(sqliteFile(), clock)).toThrow(
      expect.objectContaining({ code: 'store_unavailable', message }),
    )
  })

  test.skipIf(process.getuid?.() === 0)('that cannot be written is refused with words', async () => {
    await made()
    chmodSync(sqliteFile(), 0o400)
    expect(() => openRecords(sqliteFile(), clock)).toThrow(expect.objectContaining({ code: 'store_unavailable' }))
  })

  test('has everything that was acknowledged before kill -9', async () => {
    await start().close()
    const child = spawn(process.execPath, [join(import.meta.dirname, 'records-child.ts'), sqliteFile()], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    child.stdout.on('data', (part: Buffer) => {
      said += part.toString()
      if (said.split('\n').length > 20) child.kill('SIGKILL')
    })
    const signal = await new Promise((resolve) => child.on('close', (_code, signal) => resolve(signal)))
    expect(signal).toBe('SIGKILL')
    const acknowledged = said.split('\n').slice(0, -1)
    const found = await start().get('counted')
    // the change under way may have made it, too
    expect([acknowledged.length - 1, acknowledged.length]).toContain(Number(found?.value))
    expect(found?.version).toBeGreaterThanOrEqual(Number(acknowledged.at(-1)))
  })
})
