/**
 * Disks that fill up or are read-only, for real, and a database that is away (threats C04 to C06): calls are refused
 * before they are made, what was acknowledged is counted once, and it all recovers by itself.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import { createMeter } from '../../src/meter/meter.ts'
import { rollUp } from '../../src/meter/rollup.ts'
import type { SpoolFault } from '../../src/meter/spool.ts'
import { verifyLedger } from '../../src/meter/verify.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { ann, call, fine, getPet, idsOf, linesIn, manualClock } from '../unit/meter/parts.ts'

let parent = ''
let disk = ''
let dir = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'faults-'))
  disk = join(parent, 'disk')
  dir = join(disk, 'usage')
  mkdirSync(disk)
})
afterEach(() => {
  spawnSync('umount', ['-l', disk])
  rmSync(parent, { recursive: true, force: true })
})

const mount = (options: string): boolean =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status === 0

const mayMount = (() => {
  const place = mkdtempSync(join(tmpdir(), 'mount-'))
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place])
  if (status === 0) spawnSync('umount', [place])
  rmSync(place, { recursive: true, force: true })
  return status === 0
})()

const setUp = (durability: 'group' | 'sync' = 'group') => {
  const clock = manualClock()
  const faults: SpoolFault[] = []
  const meter = createMeter({ dir, durability, clock, onFault: (fault) => void faults.push(fault) })
  return { clock, faults, meter }
}

/** Figures by outcome, after a roll-up that is made again; the ledger is verified. */
const counted = async (): Promise<Record<string, number>> => {
  const store = openSqliteStore(join(parent, 'toolgate.db'))
  const options = { dir, store, clock: systemClock, retentionDays: 30 }
  await rollUp(options)
  expect((await rollUp(options)).events).toBe(0)
  expect(await verifyLedger({ dir, store, clock: systemClock })).toMatchObject({ ok: true })
  const rows = await store.usage({ from: 0, to: 8.64e15, by: ['outcome'], rows: 10 })
  await store.close()
  return Object.fromEntries(rows.map(({ outcome = '', events }) => [outcome, events]))
}

describe.skipIf(!mayMount)('a file system of its own (skipped where it may not be mounted)', () => {
  test.each(['group', 'sync'] as const)('%s: that is full refuses calls until there is space', async (durability) => {
    expect(mount('size=1m')).toBe(true)
    const ballast = join(disk, 'ballast')
    writeFileSync(ballast, Buffer.alloc(700 * 1_024))
    const { clock, faults, meter } = setUp(durability)
    const ended: string[] = []
    let refused: unknown
    while (refused === undefined) {
      try {
        ended.push((await call(meter)).id)
      } catch (error) {
        refused = error
      }
    }
    expect(refused).toMatchObject({ code: 'not_recorded' })
    expect(ended.length).toBeGreaterThan(100)
    expect(meter.healthy).toBe(false)
    expect(faults[0]?.kind).toBe('write_failed')
    for (let tries = 0; tries < 3; tries += 1) {
      clock.pass(limits.spoolRecoverMs)
      await expect(meter.begin(ann, getPet)).rejects.toMatchObject({ code: 'not_recorded' })
    }
    rmSync(ballast)
    clock.pass(limits.spoolRecoverMs)
    expect(meter.healthy).toBe(true)
    for (let count = 0; count < 10; count += 1) ended.push((await call(meter)).id)
    await meter.close()
    expect(idsOf(linesIn(dir), 'end').toSorted()).toEqual(ended.toSorted())
    expect(await counted()).toEqual({ ok: ended.length })
  })

  test('that is read-only refuses calls until it can be written', async () => {
    expect(mount('size=1m,ro')).toBe(true)
    const { clock, faults, meter } = setUp()
    expect(meter.healthy).toBe(false)
    expect(faults[0]?.kind).toBe('write_failed')
    await expect(meter.begin(ann, getPet)).rejects.toMatchObject({ code: 'not_recorded' })
    expect(spawnSync('mount', ['-o', 'remount,rw', disk]).status).toBe(0)
    clock.pass(limits.spoolRecoverMs)
    await call(meter)
    await meter.close()
    expect(await counted()).toEqual({ ok: 1 })
  })
})

test('while the database is away calls go on, and all of them are in it afterwards', async () => {
  const database = join(parent, 'toolgate.db')
  const { meter } = setUp()
  const roll = async () => {
    const store = openSqliteStore(database)
    try {
      return await rollUp({ dir, store, clock: systemClock, retentionDays: 30 })
    } finally {
      await store.close()
    }
  }
  await call(meter)
  expect(await roll()).toEqual({ events: 1, torn: 0 })
  renameSync(database, `${database}.away`)
  mkdirSync(database)
  for (let minute = 0; minute < 10; minute += 1) {
    await call(meter, ann, { ...fine, outcome: 'failed' })
    await expect(roll()).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(meter.healthy).toBe(true)
  }
  rmSync(database, { recursive: true })
  renameSync(`${database}.away`, database)
  expect(await roll()).toEqual({ events: 10, torn: 0 })
  await meter.close()
  expect(await counted()).toEqual({ ok: 1, failed: 10 })
})
