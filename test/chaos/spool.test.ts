/**
 * Real processes, really killed (threats C01, C02). Every call whose end was acknowledged is counted exactly once,
 * wherever the recording process or the one that rolls up was killed.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import { type Position, readEvents } from '../../src/meter/events.ts'
import { createMeter } from '../../src/meter/meter.ts'
import { rollUp } from '../../src/meter/rollup.ts'
import { verifyLedger } from '../../src/meter/verify.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import { ann, calls, getPet, idsOf, linesIn } from '../unit/meter/parts.ts'

const script = fileURLToPath(new URL('./spool-child.ts', import.meta.url))
const kills = 20
/** Of the test with many connections, for each durability. `TOOLGATE_KILLS=200` is the run that is reported. */
const manyKills = Number(process.env['TOOLGATE_KILLS'] ?? 6)
const seed = Number(process.env['CHAOS_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))

/** mulberry32: small, seeded, good enough to choose moments. */
const random = (() => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
})()

let parent = ''
let dir = ''
let database = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'chaos-'))
  dir = join(parent, 'usage')
  database = join(parent, 'toolgate.db')
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

/**
 * Runs the child and, if told so, kills it a while after its first line, or after its start. Answers its whole lines.
 */
const run = (
  words: readonly string[],
  killAfterMs?: number,
  since: 'first line' | 'start' = 'first line',
): Promise<{ lines: string[]; signal: string | null }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
    const parts: Buffer[] = []
    const kill = () => child.kill('SIGKILL')
    if (killAfterMs !== undefined && since === 'start') setTimeout(kill, killAfterMs)
    child.stdout.on('data', (part: Buffer) => {
      if (parts.length === 0 && killAfterMs !== undefined && since === 'first line') setTimeout(kill, killAfterMs)
      parts.push(part)
    })
    child.on('error', reject)
    child.on('close', (_, signal) =>
      resolve({ lines: Buffer.concat(parts).toString().split('\n').slice(0, -1), signal }),
    )
  })

/** Rolls everything up, twice. Answers the invocations in the store and the torn lines that were met. */
const total = async (): Promise<{ units: number; torn: number }> => {
  const store = openSqliteStore(database)
  const options = { dir, store, clock: systemClock, retentionDays: limits.usageRetentionDays }
  const { torn } = await rollUp(options)
  expect(await rollUp(options)).toEqual({ events: 0, torn: 0 })
  const [row] = await store.usage({ from: 0, to: 8.64e15, by: [], rows: 1 })
  await store.close()
  return { units: row?.units ?? 0, torn }
}

describe(`killing, seed ${seed} (CHAOS_SEED repeats it)`, () => {
  test(`${kills} recording processes killed at random moments lose no acknowledged call and double none`, async () => {
    const acknowledged: string[] = []
    const durabilities = ['group', 'group', 'sync', 'async']
    const one = async (at: number) => {
      const { lines, signal } = await run(['meter', dir, durabilities[at % 4] ?? 'group'], random() * 120)
      expect(signal).toBe('SIGKILL')
      acknowledged.push(...lines)
    }
    // two at a time, so that live and dead segments lie side by side
    for (let at = 0; at < kills; at += 2) await Promise.all([one(at), one(at + 1)])

    const ends = idsOf(linesIn(dir), 'end')
    const times = new Map<string, number>()
    for (const id of ends) times.set(id, (times.get(id) ?? 0) + 1)
    expect(acknowledged.length).toBeGreaterThan(kills)
    expect(acknowledged.filter((id) => times.get(id) !== 1)).toEqual([])
    expect([...times.values()].every((count) => count === 1)).toBe(true)
    const { units, torn } = await total()
    expect(units).toBe(ends.length)
    expect(torn).toBeLessThanOrEqual(kills)
  }, 60_000)

  test.each(['group', 'sync'] as const)(
    `%s: ${manyKills} kills at 64 connections, of recording, of recovery and of the roll-up`,
    async (durability) => {
      const acknowledged: string[] = []
      const seen: string[] = []
      let next: Position | undefined
      const read = () => {
        for (;;) {
          const some = readEvents({ dir, clock: systemClock }, next, 500)
          if (some.events.length === 0) return
          seen.push(...some.events.map(({ id }) => id))
          next = some.next
        }
      }
      /** Answers whether it was killed; it may have lived a moment too short for that. */
      const recorder = async (): Promise<boolean> => {
        // one in four dies before it has answered anything: while it begins a segment, or reads what was left
        const early = random() < 0.25
        const { lines, signal } = await run(
          ['meter', dir, durability, '64'],
          early ? 60 + random() * 200 : random() * 120,
          early ? 'start' : 'first line',
        )
        acknowledged.push(...lines)
        return signal === 'SIGKILL'
      }
      let killed = 0
      while (killed < manyKills) {
        const [wasKilled] = await Promise.all([recorder(), run(['rollups', dir, database], random() * 60)])
        if (wasKilled) killed += 1
        if (killed % 5 === 0) read()
      }

      const lines = linesIn(dir)
      const ends = idsOf(lines, 'end')
      const times = new Map<string, number>()
      for (const id of ends) times.set(id, (times.get(id) ?? 0) + 1)
      const missing = acknowledged.filter((id) => !times.has(id))
      const twice = [...times.values()].filter((count) => count !== 1).length
      const { units, torn } = await total()
      const store = openSqliteStore(database)
      const [row] = await store.usage({ from: 0, to: 8.64e15, by: [], rows: 1 })
      const report = await verifyLedger({ dir, store, clock: systemClock })
      await store.close()
      read()
      const begun = new Set([...idsOf(lines, 'begin'), ...ends])
      const figures = {
        ...{ durability, killed, acknowledged: acknowledged.length, missing: missing.length, twice, ends: ends.length },
        ...{ units, unknown: (row?.events ?? 0) - units, torn, segments: report.segments },
      }
      if (process.env['TOOLGATE_KILLS'] !== undefined) process.stderr.write(`${JSON.stringify(figures)}\n`)
      expect(missing).toEqual([])
      expect(twice).toBe(0)
      expect(acknowledged.length).toBeGreaterThan(killed)
      expect(units).toBe(ends.length)
      expect(row?.events).toBe(begun.size)
      expect(report).toMatchObject({ ok: true, events: ends.length })
      expect(seen).toHaveLength(begun.size)
      expect(new Set(seen)).toEqual(begun)
    },
    20_000 + manyKills * 3_000,
  )

  test('a roll-up killed before or after each of its commits counts every call once', async () => {
    const big = { ...ann, subject: 's'.repeat(3_500) }
    const recorders = 2
    let made = 0
    for (let at = 0; at < recorders; at += 1) {
      const meter = createMeter({ dir, durability: 'async', clock: systemClock, onFault: () => undefined })
      await meter.begin(ann, getPet)
      // more than one batch of the roll-up
      const count = Math.ceil((1.5 * limits.rollupBatchBytes) / 7_000)
      await calls(meter, count, big)
      made += count
      await meter.close()
    }
    let killed = 0
    for (let attempt = 0; attempt < 40; attempt += 1) {
      const moment = random() < 0.5 ? 'before' : 'after'
      const { signal } = await run(['rollup', dir, database, String(1 + Math.trunc(random() * 2)), moment])
      if (signal === null) break
      killed += 1
    }
    expect(killed).toBeGreaterThan(1)
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(made)
    expect((await total()).units).toBe(made)
  }, 60_000)
})
