/**
 * Reading the ledger’s events from the spool: one after another, from a place that can be kept, or those of a time. Their
 * order never changes: by segment, within it as they were written, and behind the lines of a finished segment its calls
 * without an end. A segment is passed only when it is finished, so that what is read is all that will ever be there;
 * spools give up a segment after `limits.spoolAgeMs` for that.
 *
 * Reading blocks: it belongs on a thread that may.
 */
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import type { OutcomeKind } from '../core/model.ts'
import { type LedgerEvent, type Line, parseLine, unknownEnd } from './line.ts'
import {
  endsThatCount,
  headOf,
  isFinished,
  listSegments,
  lookAgain,
  openCalls,
  readBatch,
  readWhole,
  scanSegments,
  type SegmentFile,
} from './segments.ts'

export type { LedgerEvent } from './line.ts'

/** A place among the events. Places sort by segment, then by offset. */
export interface Position {
  readonly segment: string
  /**
   * Bytes from the segment’s beginning; behind its last byte, one for each call without an end; `wholeSegment` behind
   * everything.
   */
  readonly offset: number
}

/** The offset behind everything that a segment will ever hold. */
export const wholeSegment = Number.MAX_SAFE_INTEGER

/** Events, and the place behind them: where to read on. It stays where it was when there is nothing new. */
export interface EventsRead {
  readonly events: readonly LedgerEvent[]
  readonly next: Position | undefined
}

export interface EventOptions {
  /** The spool’s directory (`spoolDir`). */
  readonly dir: string
  readonly clock: Pick<Clock, 'now'>
  /** Outcomes that are one unit each, for calls without an end; `billedByDefault` when left out. */
  readonly billed?: ReadonlySet<OutcomeKind>
}

const newline = 0x0a
const ends = [Buffer.from('{"e":'), Buffer.from('{"r":')] as const
const startsEnd = (bytes: Buffer, start: number): boolean =>
  ends.some((word) => bytes.compare(word, 0, word.length, start, Math.min(bytes.length, start + word.length)) === 0)

/** About so many bytes hold so many events, with the begins between them. */
const bytesFor = (count: number): number => Math.min(limits.rollupBatchBytes, 16_384 + count * 1_024)

interface SegmentRead {
  readonly events: readonly LedgerEvent[]
  readonly next: number
  /** There is and will be no more of this segment. */
  readonly whole: boolean
}

/** Ends among complete lines, at most `max`, and the offset behind the last line that was looked at. */
const endsIn = (bytes: Buffer, max: number): { lines: Line[]; length: number } => {
  const lines: Line[] = []
  let start = 0
  while (start < bytes.length && lines.length < max) {
    const stop = bytes.indexOf(newline, start)
    const end = stop === -1 ? bytes.length : stop
    const line = startsEnd(bytes, start) ? parseLine(bytes.toString('utf8', start, end)) : undefined
    if (line !== undefined) lines.push(line)
    start = end + 1
  }
  return { lines, length: Math.min(start, bytes.length) }
}

const readLines = (file: SegmentFile, start: number, max: number): SegmentRead => {
  const events: LedgerEvent[] = []
  let next = start
  while (events.length < max) {
    const bytes = readWhole(file.path, next, bytesFor(max - events.length))
    if (bytes.length === 0) return { events, next, whole: true }
    const { lines, length } = endsIn(bytes, max - events.length)
    events.push(...endsThatCount(lines, file))
    next += length
  }
  return { events, next, whole: false }
}

const readSegment = (
  listed: SegmentFile,
  all: readonly SegmentFile[],
  start: number,
  max: number,
  { clock, billed }: EventOptions,
): SegmentRead => {
  // asked before its length: what is finished now cannot grow behind our back
  const finished = isFinished(listed, all, clock.now())
  const file = finished ? lookAgain(listed) : listed
  const read = start > file.bytes ? { events: [], next: start, whole: true } : readLines(file, start, max)
  if (!read.whole || !finished) return { ...read, whole: false }
  const open = openCalls(file, all, file.bytes)
  const from = Math.max(0, start - file.bytes)
  const to = Math.min(open.length, from + max - read.events.length)
  return {
    events: [...read.events, ...open.slice(from, to).map((call) => unknownEnd(call, billed))],
    next: to < open.length ? file.bytes + to : wholeSegment,
    whole: to === open.length,
  }
}

/**
 * The next events from `from` on (from the oldest one kept when it is left out), at most `max`. The same place and number
 * give the same events, again and in any process, as far as there were so many.
 */
export const readEvents = (options: EventOptions, from: Position | undefined, max: number): EventsRead => {
  const events: LedgerEvent[] = []
  let next = from
  const all = scanSegments(options.dir, from?.segment ?? '', options.clock.now())
  for (const file of all) {
    // one that is about to be shown will hold events that come before those of the segments behind it
    if (file.hidden || events.length >= max) break
    const start = file.name === from?.segment ? from.offset : 0
    if (start === wholeSegment) continue
    const read = readSegment(file, all, start, max - events.length, options)
    events.push(...read.events)
    next = { segment: file.name, offset: read.next }
    if (!read.whole) break
  }
  return { events, next }
}

/** Whether a segment may hold events that began before `to`: it was begun before, or has taken over calls that were. */
const mayHold = (file: SegmentFile, to: number): boolean => {
  const head = headOf(file)
  if (head === undefined || head.at < to) return true
  const [, second] = readBatch(file.path, 0).lines
  return second?.kind === 'carried'
}

/** The events that began from `from` on and before `to` (milliseconds since the Unix epoch), as far as they are kept. */
export function* eventsBetween(options: EventOptions, from: number, to: number): Generator<LedgerEvent, void, void> {
  const now = options.clock.now()
  const all = listSegments(options.dir, now)
  const isIn = ({ at }: LedgerEvent): boolean => at >= from && at < to
  // a call ends after it began, and the file is written last with its last end
  for (const listed of all.filter((file) => file.writtenAt >= from && mayHold(file, to))) {
    const finished = isFinished(listed, all, now)
    const file = finished ? lookAgain(listed) : listed
    for (let offset = 0; offset < file.bytes; ) {
      const batch = readBatch(file.path, offset)
      if (batch.next === offset) break
      yield* endsThatCount(batch.lines, file).filter(isIn)
      offset = batch.next
    }
    if (finished)
      yield* openCalls(file, all, file.bytes)
        .map((call) => unknownEnd(call, options.billed))
        .filter(isIn)
  }
}
