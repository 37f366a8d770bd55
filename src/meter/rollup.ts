/**
 * Roll-up: what the spool holds is added to the store, each line once. A batch’s figures and the segment’s new mark go
 * into one transaction that fails when the mark has moved, so several processes may roll up the same segments, and one
 * that is killed anywhere leaves nothing half done.
 *
 * That is as good as looking every id up: a line has one place in one segment, and each place is passed once. Two lines
 * with one id would count twice, so there must be none. Within a segment there is none, since a line is put into one
 * write, and a segment gets no more lines after a write that failed; what somebody else copies there is `verify`’s to
 * find, and is dropped here when it comes in the same batch. Across segments it can happen to an end whose write failed
 * after the disk had taken it; the second one says so (`r`), and counts only when the first is not there.
 */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import type { OutcomeKind } from '../core/model.ts'
import { bucketOf } from '../store/latency.ts'
import type { Mark, SegmentHash, Store, UsageDelta } from '../store/store.ts'
import { archiveSegment } from './archive.ts'
import { ChainReader } from './chain.ts'
import { type Position, wholeSegment } from './events.ts'
import { type LedgerEvent, unknownEnd } from './line.ts'
import {
  endsThatCount,
  isFinished,
  listSegments,
  lookAgain,
  openCalls,
  ownerOf,
  readBatch,
  readWhole,
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
  /** Where segments go then, compressed; left out, they are removed. */
  readonly archiveDir?: string
  /** The place behind which events are still to be read: no segment there goes. `undefined` for none. */
  readonly holdFrom?: () => Promise<Position | undefined>
  /** Outcomes that are one unit each, for calls without an end; `billedByDefault` when left out. */
  readonly billed?: ReadonlySet<OutcomeKind>
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs

type Sum = { -readonly [Name in keyof Required<UsageDelta>]: Required<UsageDelta>[Name] } & {
  readonly latency: Map<number, number>
}

const emptySum = ({ at, tenant, subject, client, target, tool, meter, outcome }: LedgerEvent): Sum => ({
  ...{ hour: at - (at % hourMs), tenant, subject, client, target, tool, meter, outcome },
  ...{ events: 0, units: 0, ms: 0, waitMs: 0, bytesIn: 0, bytesOut: 0, latency: new Map() },
})

/** Of a call without an end nobody knows how long it took, and those that reached no target would make the others look fast. */
const untimed: ReadonlySet<OutcomeKind> = new Set<OutcomeKind>(['unknown', 'unreached', 'invalid_arguments'])

/** Calls summed by hour, principal, client, tool, meter and outcome. */
const sumUp = (calls: Iterable<LedgerEvent>): UsageDelta[] => {
  const sums = new Map<string, Sum>()
  for (const call of calls) {
    const { at, tenant, subject, client, target, tool, meter, outcome, ms } = call
    const key = JSON.stringify([at - (at % hourMs), tenant, subject, client, target, tool, meter, outcome])
    let sum = sums.get(key)
    if (sum === undefined) {
      sum = emptySum(call)
      sums.set(key, sum)
    }
    sum.events += 1
    sum.units += call.units
    sum.ms += ms
    sum.waitMs += call.waitMs
    sum.bytesIn += call.bytesIn
    sum.bytesOut += call.bytesOut
    if (meter !== 'call' || untimed.has(outcome)) continue
    const bucket = bucketOf(ms)
    sum.latency.set(bucket, (sum.latency.get(bucket) ?? 0) + 1)
  }
  return [...sums.values()]
}

/** The chain up to a mark. What lies between the seal and the mark is read again, as only a seal’s hash can be gone on from. */
const chainUpTo = (file: SegmentFile, { offset, chain }: Mark): ChainReader => {
  const reader = new ChainReader(file.name, chain)
  for (let at = chain?.sealedAt ?? 0; at < offset; ) {
    const bytes = readWhole(file.path, at).subarray(0, offset - at)
    if (bytes.length === 0) break
    reader.push(bytes)
    at += bytes.length
  }
  return reader
}

interface Progress extends RollUpResult {
  readonly mark: Mark
  /** Everything that was there has been added, by us. */
  readonly done: boolean
}

const withoutRepeats = (calls: readonly LedgerEvent[]): LedgerEvent[] => [
  ...new Map(calls.toReversed().map((call) => [call.id, call])).values(),
]

/** Adds what a segment held when it was listed. Stops where another process turns out to be adding the same. */
const addLines = async (file: SegmentFile, start: Mark, store: Store): Promise<Progress> => {
  let mark = start
  let events = 0
  let torn = 0
  if (mark.offset >= file.bytes) return { events, torn, mark, done: true }
  const chain = chainUpTo(file, mark)
  while (mark.offset < file.bytes) {
    const { offset } = mark
    const batch = readBatch(file.path, offset)
    if (batch.next === offset) break
    chain.push(batch.bytes)
    const calls = withoutRepeats(endsThatCount(batch.lines, file))
    const hash: SegmentHash = chain.state
    if (!(await store.addUsage(file.name, offset, batch.next, sumUp(calls), false, hash)))
      return { events, torn, mark, done: false }
    mark = { ...mark, offset: batch.next, chain: hash }
    events += calls.length
    torn += batch.torn
  }
  return { events, torn, mark, done: true }
}

/** Accounts for the calls of a finished segment that have no end. True when that was done here. */
const closeSegment = async (
  file: SegmentFile,
  all: readonly SegmentFile[],
  mark: Mark,
  { store, billed }: RollUpOptions,
): Promise<boolean> => {
  const unknown = openCalls(file, all, mark.offset).map((call) => unknownEnd(call, billed))
  const chain = mark.chain ?? chainUpTo(file, mark).state
  return store.addUsage(file.name, mark.offset, mark.offset, sumUp(unknown), true, chain)
}

/** What was added, and whether the segment is accounted for since before. */
interface Accounted extends RollUpResult {
  readonly settled: boolean
}

/** Accounts for one segment; `all` are the segments listed with it. */
const rollUpSegment = async (
  listed: SegmentFile,
  all: readonly SegmentFile[],
  options: RollUpOptions,
): Promise<Accounted> => {
  // asked before its length: what is finished now cannot grow behind our back
  const finished = isFinished(listed, all, options.clock.now())
  const file = finished ? lookAgain(listed) : listed
  const start = (await options.store.usageMark(file.name)) ?? { offset: 0, closed: false }
  // a closed segment is read on, too: should its owner have been taken for dead, its calls count all the same
  const { events, mark, done, torn } = await addLines(file, start, options.store)
  if (!done || mark.closed || !finished) return { events, torn, settled: done && mark.closed }
  const closed = await closeSegment(file, all, mark, options)
  return { events, torn: closed && mark.offset < file.bytes ? torn + 1 : torn, settled: false }
}

/** Whether everything of the segment has been read by those who read events. */
const isPassed = ({ name }: SegmentFile, hold: Position | undefined): boolean =>
  hold === undefined || name < hold.segment || (name === hold.segment && hold.offset === wholeSegment)

/** Lets a segment go whose time is over; false when it stays. The store is told first, or it would seem to be missing. */
const retire = async (
  file: SegmentFile,
  { store, clock, retentionDays, archiveDir, holdFrom }: RollUpOptions,
): Promise<boolean> => {
  if (clock.now() - file.writtenAt <= retentionDays * dayMs) return false
  if (!isPassed(file, await holdFrom?.())) return false
  if (archiveDir !== undefined) await archiveSegment(file, archiveDir)
  await store.dropSegment(file.name, archiveDir === undefined ? 'removed' : 'archived')
  removeSegment(file)
  return true
}

/**
 * Adds everything new in the spool to the store. Rejects with `store_unavailable` when the store cannot be used; what
 * was added until then stays added, and the rest waits in the spool. A segment that cannot be read does not hold up the
 * others: the first such fault is thrown at the end, as `internal`.
 */
export const rollUp = async (options: RollUpOptions): Promise<RollUpResult> => {
  const all = listSegments(options.dir, options.clock.now())
  /** Processes of which a segment has stayed: those after it tell what became of its calls, and stay as well. */
  const staying = new Set<string>()
  let events = 0
  let torn = 0
  let fault: unknown
  for (const file of all) {
    let gone = false
    try {
      const added = await rollUpSegment(file, all, options)
      events += added.events
      torn += added.torn
      gone = added.settled && !staying.has(ownerOf(file)) && (await retire(file, options))
    } catch (error) {
      if (error instanceof GatewayError) throw error
      fault ??= error
    }
    if (!gone) staying.add(ownerOf(file))
  }
  if (fault !== undefined) throw new GatewayError('internal', { cause: fault })
  return { events, torn }
}
