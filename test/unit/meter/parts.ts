/** Parts that the meter's tests share: a clock moved by hand, a disk that can be made to fail, calls to record. */
import { readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../../src/core/clock.ts'
import type { Principal } from '../../../src/core/model.ts'
import { type Line, parseLine } from '../../../src/meter/line.ts'
import type { CallResult, Entry, Meter } from '../../../src/meter/meter.ts'
import { type Disk, systemDisk } from '../../../src/meter/spool.ts'

export interface ManualClock extends Clock {
  /** Moves both scales on at once, as after a sleep, and runs what falls due. */
  pass(ms: number): void
  /** Moves both scales on step by step, so that what falls due again and again is run each time. */
  live(ms: number): void
  /** Sets the wall clock, as an operator or NTP does. */
  set(now: number): void
}

const stepMs = 10_000

export const manualClock = (start = Date.UTC(2026, 10, 24, 10)): ManualClock => {
  let now = start
  let mono = 0
  const timers = new Map<number, { at: number; act: () => void; again?: number }>()
  let last = 0
  const add = (ms: number, act: () => void, again?: number) => {
    last += 1
    const id = last
    timers.set(id, { at: mono + ms, act, ...(again === undefined ? {} : { again }) })
    return () => void timers.delete(id)
  }
  return {
    now: () => now,
    monotonic: () => mono,
    after: (ms, act) => add(ms, act),
    every: (ms, act) => add(ms, act, ms),
    set: (to) => {
      now = to
    },
    live(ms) {
      for (let left = ms; left > 0; left -= stepMs) this.pass(Math.min(left, stepMs))
    },
    pass(ms) {
      now += ms
      mono += ms
      for (const [id, timer] of timers) {
        if (timer.at > mono) continue
        timers.delete(id)
        timer.act()
        if (timer.again !== undefined) add(timer.again, timer.act, timer.again)
      }
    },
  }
}

/** The real disk with switches. `full` takes the bytes that are left, then nothing, as a full disk does. */
export interface FaultyDisk extends Disk {
  /** Bytes that can still be written; undefined for no end. */
  left: number | undefined
  /** Writes that were tried: the lines of every turn, and the head of every segment. */
  writes: number
  syncFails: boolean
  syncs: number
  /** Told of every fsync that is asked for in the background. */
  onSync: (fd: number) => void
}

const fault = (code: string): Error => Object.assign(new Error(`${code}: injected`), { code })

export const faultyDisk = (): FaultyDisk => ({
  ...systemDisk,
  left: undefined,
  writes: 0,
  syncFails: false,
  syncs: 0,
  onSync: () => undefined,
  write(fd, text) {
    this.writes += 1
    if (this.left === undefined) return systemDisk.write(fd, text)
    if (this.left === 0) throw fault('ENOSPC')
    // in bytes, so that it may end within a character
    const part = Buffer.from(text).subarray(0, this.left)
    this.left -= part.length
    return writeSync(fd, part)
  },
  sync(fd) {
    this.syncs += 1
    if (this.syncFails) throw fault('EIO')
    systemDisk.sync(fd)
  },
  syncLater(fd, done) {
    this.syncs += 1
    this.onSync(fd)
    if (this.syncFails) setImmediate(done, fault('EIO'))
    else systemDisk.syncLater(fd, done)
  },
})

export const ann: Principal = { tenant: 'local', subject: 'ann', client: 'editor', scopes: new Set() }
export const getPet = { name: 'pets___get', target: 'pets' }
export const fine = { outcome: 'ok', status: 200, bytesIn: 10, bytesOut: 20 } as const

/** Records one call from its begin to its end. */
export const call = async (meter: Meter, who = ann, result: CallResult = fine): Promise<Entry> => {
  const entry = await meter.begin(who, getPet)
  await entry.end(result)
  return entry
}

/** Records calls whose lines share their turns. */
export const calls = (meter: Meter, count: number, who = ann): Promise<Entry[]> =>
  Promise.all(Array.from({ length: count }, () => call(meter, who)))

/** Begins calls in one turn. */
export const begun = (meter: Meter, count: number): Promise<Entry[]> =>
  Promise.all(Array.from({ length: count }, () => meter.begin(ann, getPet)))

export const segmentsIn = (dir: string): string[] => readdirSync(dir).toSorted()

/** Every line of every segment, oldest first; `torn` for what cannot be read. */
export const linesIn = (dir: string): (Line | 'torn')[] =>
  segmentsIn(dir).flatMap((name) => {
    const texts = readFileSync(join(dir, name), 'utf8').split('\n')
    const tail = texts.pop()
    return [...texts.map((text) => parseLine(text) ?? ('torn' as const)), ...(tail === '' ? [] : ['torn' as const])]
  })

export const idsOf = (lines: readonly (Line | 'torn')[], kind: 'begin' | 'carried' | 'end'): string[] =>
  lines.flatMap((line) => (line !== 'torn' && line.kind !== 'segment' && line.kind === kind ? [line.call.id] : []))

/** Lets what is under way on the thread pool come back. */
export const settle = async (until: () => boolean): Promise<void> => {
  while (!until()) await new Promise((resolve) => setImmediate(resolve))
}
