/** Parts that the exports' tests share: a ledger in memory, time that passes while everyone rests, an exporter to run. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import type { Log } from '../../../src/core/log.ts'
import { createEgress } from '../../../src/egress/fetch.ts'
import type { Destination } from '../../../src/meter/export/destination.ts'
import { createExporter, type Exporter, type ExportProgress } from '../../../src/meter/export/exporter.ts'
import type { HttpRoom } from '../../../src/meter/export/http.ts'
import type { Item } from '../../../src/meter/export/item.ts'
import type { EventSource, LedgerEvent } from '../../../src/meter/export/source.ts'
import type { Records } from '../../../src/store/records.ts'
import { openRecords } from '../../../src/store/sqlite-records.ts'

export const hour = 3_600_000
export const start = Date.UTC(2026, 10, 24, 10)

let made = 0

/** An event that began `at`; everything else as said, or as usual. */
export const event = (at: number, facts: Partial<LedgerEvent> = {}): LedgerEvent => {
  made += 1
  return {
    id: `0199aaaa-bbbb-7ccc-8ddd-${made.toString(16).padStart(12, '0')}`,
    at,
    tenant: 'acme',
    subject: 'ann',
    client: 'desk',
    target: 'pets',
    tool: 'pets___get',
    meter: 'call',
    outcome: 'ok',
    units: 1,
    status: 200,
    ms: 12,
    waitMs: 9,
    bytesIn: 20,
    bytesOut: 300,
    ...facts,
  }
}

/** A ledger that is a list; it answers a question with at most `chunk` events, and in segments of `perSegment`. */
export interface ListedLedger extends EventSource {
  readonly events: LedgerEvent[]
}

export const ledger = (events: LedgerEvent[] = [], chunk = 500, perSegment = 10): ListedLedger => ({
  events,
  read: async (from, max) => {
    const index = from === undefined ? 0 : Number(from.segment.slice(1)) * perSegment + from.offset
    const segment = Math.floor(index / perSegment)
    const end = Math.min(index + Math.min(max, chunk), (segment + 1) * perSegment, events.length)
    const next = Math.floor(end / perSegment)
    return {
      events: events.slice(index, end),
      next: { segment: `s${String(next).padStart(6, '0')}`, offset: end % perSegment },
    }
  },
})

export interface RestingClock extends Clock {
  /** Timers that someone waits for. */
  readonly resting: number
  set(now: number): void
  /** Goes on to the next timer and lets it run. */
  next(): number
  /** How long each wait was. */
  readonly waits: number[]
}

export const restingClock = (from = start + 2 * hour): RestingClock => {
  let now = from
  const timers = new Map<object, { at: number; act: () => void }>()
  const waits: number[] = []
  return {
    now: () => now,
    monotonic: () => now,
    after(ms, act) {
      const key = {}
      waits.push(ms)
      timers.set(key, { at: now + ms, act })
      return () => void timers.delete(key)
    },
    every: () => () => undefined,
    get resting() {
      return timers.size
    },
    waits,
    set: (to) => {
      now = to
    },
    next() {
      const [first] = [...timers].toSorted(([, one], [, other]) => one.at - other.at)
      if (first === undefined) return now
      const [key, { at, act }] = first
      timers.delete(key)
      now = Math.max(now, at)
      act()
      return now
    },
  }
}

export interface Told {
  readonly level: string
  readonly fields: unknown
  readonly message: string
}

export const toldLog = (): Log & { readonly told: Told[] } => {
  const told: Told[] = []
  const at = (level: string) => (fields: unknown, message: string) => void told.push({ level, fields, message })
  return { told, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), debugs: true }
}

export const tempDir = (): string => {
  const dir = mkdtempSync(join(tmpdir(), 'exports-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export const recordsIn = (dir: string, clock: Clock): Records => {
  const records = openRecords(join(dir, 'records.db'), clock)
  onTestFinished(() => records.close())
  return records
}

/** A way out to `address` on the real clock. */
export const roomTo = (address: string, clock: Clock = systemClock): HttpRoom => {
  const egress = createEgress({ allow: [address], clock: systemClock })
  onTestFinished(() => egress.close())
  return { egress, clock }
}

export interface Run<I extends Item> {
  readonly destination: Destination<I>
  readonly source: EventSource
  readonly clock: RestingClock
  readonly records: Records
  readonly owner?: string
  readonly aside?: (lines: readonly string[]) => boolean
  readonly log?: Log
}

export interface Running {
  readonly exporter: Exporter
  readonly progress: ExportProgress[]
  readonly put: string[]
  sum(this: void, what: 'sent' | 'refused' | 'unassigned'): number
}

export const run = <I extends Item>(options: Run<I>): Running => {
  const progress: ExportProgress[] = []
  const put: string[] = []
  const exporter = createExporter({
    name: 'billing',
    owner: 'one',
    log: toldLog(),
    random: () => 1,
    ...options,
    aside: {
      async add(lines) {
        if (options.aside?.(lines) === false) return false
        put.push(...lines)
        return true
      },
    },
    onProgress: (told) => void progress.push(told),
  })
  exporter.start()
  onTestFinished(() => exporter.close())
  return {
    exporter,
    progress,
    put,
    sum: (what) => progress.reduce((sum, told) => sum + told[what], 0),
  }
}

/** Lets time pass whenever `resting` exporters wait for it, until `done`. */
export const until = async (clock: RestingClock, done: () => boolean, resting = 1): Promise<void> => {
  for (let turns = 0; turns < 100_000; turns += 1) {
    if (done()) return
    await turn()
    if (clock.resting >= resting && !done()) clock.next()
  }
  throw new Error('it did not come about')
}
