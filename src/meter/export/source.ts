/** What exports read: the ledger’s ended events in one stable order, from any place on. */
import type { LedgerEvent } from '../line.ts'

export type { LedgerEvent } from '../line.ts'

/** A place in the ledger’s order of events. */
export interface Position {
  readonly segment: string
  /** Bytes from the segment’s beginning. */
  readonly offset: number
}

/** `from` is left out for the oldest event still kept. */
export interface EventSource {
  /**
   * The next events, at most `max`, and the place behind them. The order never changes: the same place and number give
   * the same events, again and in any process. No event and the same place: that is all there is for now.
   */
  read(
    from: Position | undefined,
    max: number,
  ): Promise<{ readonly events: readonly LedgerEvent[]; readonly next: Position | undefined }>
}

/** Events as they lie in a place, and the place behind them. */
interface Chunk {
  readonly from: Position | undefined
  readonly events: readonly LedgerEvent[]
  readonly next: Position | undefined
}

/** A place in the order: `events` behind a position. Nothing but reading tells the position in between. */
export interface Mark {
  readonly from: Position | undefined
  readonly events: number
}

const isSame = (one: Position | undefined, other: Position | undefined): boolean =>
  one?.segment === other?.segment && one?.offset === other?.offset

/** Everything from `from` to the end that there is now. */
export async function* chunksFrom(
  source: EventSource,
  from: Position | undefined,
  max: number,
): AsyncGenerator<Chunk, void, void> {
  for (;;) {
    const { events, next } = await source.read(from, max)
    if (events.length === 0 && isSame(from, next)) return
    yield { from, events, next }
    from = next
  }
}

/** The position of a mark. */
export async function positionOf(source: EventSource, { from, events }: Mark): Promise<Position | undefined> {
  let position = from
  for (let left = events; left > 0; ) {
    const read = await source.read(position, left)
    if (read.events.length === 0 && isSame(position, read.next)) break
    left -= read.events.length
    position = read.next
  }
  return position
}

/** Whether `one` comes before `other`. Names of segments sort by time. */
export const isBefore = (one: Position, other: Position): boolean =>
  one.segment === other.segment ? one.offset < other.offset : one.segment < other.segment
