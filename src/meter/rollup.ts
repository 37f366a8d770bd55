/**
 * Roll-up: what the spool holds is added to the store, each line once. A batch’s figures and the segment’s new mark go
 * into one transaction that fails when the mark has moved, so several processes may roll up the same segments, and one
 * that is killed anywhere leaves nothing half done.
 */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import type { OutcomeKind } from '../core/model.ts'
import type { Mark, Store, UsageDelta } from '../store/store.ts'
import { type CallRecord, type EndRecord, unitsOf } from './line.ts'
import {
  isFinished,
  listSegments,
  lookAgain,
  openCalls,
  readBatch,
  removeSegment,
  type SegmentFile,
} from './segments.ts'

/** What a roll-up added. */
export interface RollUpResult {
  /** Calls with an end. */
  readonly events: number
  /** Lines that could not be read, torn tails of finished segments among them. None of them was acknowledged whole. */
  readonly torn: number
}

export interface RollUpOptions {
  /** The spool’s directory (`spoolDir`). */
  readonly dir: string
  readonly store: Store
  readonly clock: Clock
  /** Days after its last write that a segment is removed, once it is accounted for. */
  readonly retentionDays: number
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

type Ended = CallRecord & Pick<EndRecord, 'outcome' | 'units' | 'ms' | 'bytesIn' | 'bytesOut'>

const unknownEnd = (call: CallRecord): Ended => {
  const outcome: OutcomeKind = 'unknown'
  return { ...call, outcome, units: unitsOf(outcome), ms: 0, bytesIn: 0, bytesOut: 0 }
}

type Sum = { -readonly [Name in keyof UsageDelta]: UsageDelta[Name] }

/** Calls summed by hour, principal, tool and outcome. */
const sumUp = (calls: Iterable<Ended>): UsageDelta[] => {
  const sums = new Map<string, Sum>()
  for (const { at, tenant, subject, target, tool, outcome, units, ms, bytesIn, bytesOut } of calls) {
    const hour = at - (at % hourMs)
    const key = JSON.stringify([hour, tenant, subject, target, tool, outcome])
    let sum = sums.get(key)
    if (sum === undefined) {
      sum = { hour, tenant, subject, target, tool, outcome, events: 0, units: 0, ms: 0, bytesIn: 0, bytesOut: 0 }
      sums.set(key, sum)
    }
    sum.events += 1
    sum.units += units
    sum.ms += ms
    sum.bytesIn += bytesIn
    sum.bytesOut += bytesOut
  }
  return [...sums.values()]
}

interface Progress extends RollUpResult {
  readonly mark: Mark
  /** Everything that was there has been added, by us. */
  readonly done: boolean
}

/** Adds what a segment held when it was listed. Stops where another process turns out to be adding the same. */
const addLines = async (file: SegmentFile, start: Mark, store: Store): Promise<Progress> => {
  let { offset } = start
  let events = 0
  let torn = 0
  while (offset < file.bytes) {
    const batch = readBatch(file.path, offset)
    if (batch.next === offset) break
    const calls = batch.lines.filter((line) => line.kind === 'end').map((line) => line.call)
    if (!(await store.addUsage(file.name, offset, batch.next, sumUp(calls), false)))
      return { events, torn, mark: { ...start, offset }, done: false }
    offset = batch.next
    events += calls.length
    torn += batch.torn
  }
  return { events, torn, mark: { ...start, offset }, done: true }
}

/** Accounts for one segment; `all` are the segments listed with it. */
const rollUpSegment = async (
  listed: SegmentFile,
  all: readonly SegmentFile[],
  { store, clock, retentionDays }: RollUpOptions,
): Promise<RollUpResult> => {
  // asked before its length: what is finished now cannot grow behind our back
  const finished = isFinished(listed, all, clock.now())
  const file = finished ? lookAgain(listed) : listed
  const start = (await store.usageMark(file.name)) ?? { offset: 0, closed: false }
  // a closed segment is read on, too: should its owner have been taken for dead, its calls count all the same
  const progress = await addLines(file, start, store)
  const { events, mark, done } = progress
  let { torn } = progress
  if (!done) return { events, torn }
  if (finished && !mark.closed) {
    const unknown = openCalls(file, all, mark.offset).map(unknownEnd)
    const closed = await store.addUsage(file.name, mark.offset, mark.offset, sumUp(unknown), true)
    if (closed && mark.offset < file.bytes) torn += 1
  }
  if (mark.closed && clock.now() - file.writtenAt > retentionDays * dayMs) removeSegment(file)
  return { events, torn }
}

/**
 * Adds everything new in the spool to the store. Rejects with `store_unavailable` when the store cannot be used; what
 * was added until then stays added, and the rest waits in the spool. A segment that cannot be read does not hold up the
 * others: the first such fault is thrown at the end, as `internal`.
 */
export const rollUp = async (options: RollUpOptions): Promise<RollUpResult> => {
  const all = listSegments(options.dir, options.clock.now())
  let events = 0
  let torn = 0
  let fault: unknown
  for (const file of all) {
    try {
      const added = await rollUpSegment(file, all, options)
      events += added.events
      torn += added.torn
    } catch (error) {
      if (error instanceof GatewayError) throw error
      fault ??= error
    }
  }
  if (fault !== undefined) throw new GatewayError('internal', { cause: fault })
  return { events, torn }
}
