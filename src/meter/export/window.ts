/**
 * Cutting the stream into windows. A window’s cut is kept before anything of it is sent, and says by itself what is in
 * it: after a crash the same items are made again, under the same keys, however the ledger has grown since.
 */
import { limits } from '../../core/limits.ts'
import type { Collector, Item, Shape } from './item.ts'
import { chunksFrom, type EventSource, type LedgerEvent, type Mark, type Position, positionOf } from './source.ts'

/** Of `events` events, those that began before `below`, milliseconds since the Unix epoch. */
export interface Cut {
  readonly events: number
  readonly below: number
}

/** How far an export has come. */
export interface Cursor {
  /** Windows that have been sent. */
  readonly sequence: number
  /** Everything before it has been sent. */
  readonly from?: Position
  /** What has been sent from there on. */
  readonly sent: Cut
  /** The window that is being sent. */
  readonly window?: Cut
  /** Items of that window that the receiver has taken. */
  readonly taken: number
}

export const firstCursor: Cursor = { sequence: 0, sent: { events: 0, below: 0 }, taken: 0 }

export interface Window<I extends Item> {
  readonly cut: Cut
  readonly items: readonly I[]
  /** The cursor behind it. */
  after(): Promise<Cursor>
}

/** A window to send, or when it is worth to look again. */
export type Gathered<I extends Item> =
  | { readonly kind: 'window'; readonly window: Window<I>; readonly lagMs: number }
  | { readonly kind: 'wait'; readonly ms: number }

/** A moment that no event has. */
const never = Number.MAX_SAFE_INTEGER
const everything: Cut = { events: 0, below: never }

/**
 * The window that the first event not sent yet opens: the period in which it began. It is never an earlier one than the
 * window before, which has left nothing of its own period behind. An event of a period far ahead is of a clock that has
 * been put back since: it must not hold up what came after it until its time has come, so all there is goes out at once.
 */
const cutFor = (at: number, periodMs: number | undefined, now: number): Cut => {
  if (periodMs === undefined) return everything
  const period = Math.floor(at / periodMs)
  return period > Math.floor(now / periodMs) + 1 ? everything : { events: 0, below: (period + 1) * periodMs }
}

class Gathering<I extends Item> {
  readonly #cursor: Cursor
  readonly #shape: Shape<I>
  readonly #now: number
  readonly collector: Collector<I>
  cut: Cut | undefined
  events = 0
  end: Mark
  /** The first event that is left for a later window. */
  left: { readonly mark: Mark; readonly index: number } | undefined
  firstAt: number | undefined

  constructor(cursor: Cursor, shape: Shape<I>, now: number) {
    this.#cursor = cursor
    this.#shape = shape
    this.#now = now
    this.cut = cursor.window
    this.end = { from: cursor.from, events: 0 }
    this.collector = shape.collect({ from: cursor.from, sequence: cursor.sequence })
  }

  /** True when the window ends before this event. */
  endsBefore(at: number): boolean {
    const { window } = this.#cursor
    if (window !== undefined) return this.events === window.events
    return this.cut !== undefined && at >= this.cut.below + limits.exportGraceMs
  }

  /** Takes the event at `mark`; true when the window ends behind it. */
  take(event: LedgerEvent, mark: Mark): boolean {
    const { at } = event
    if (!this.#wasSent(at)) {
      this.firstAt ??= at
      this.cut ??= cutFor(at, this.#shape.periodMs, this.#now)
      if (at < this.cut.below) this.collector.add(event)
      else this.left ??= { mark, index: this.events }
    }
    this.events += 1
    this.end = { from: mark.from, events: mark.events + 1 }
    return this.#cursor.window === undefined && this.collector.size >= this.#shape.most
  }

  #wasSent(at: number): boolean {
    return this.events < this.#cursor.sent.events && at < this.#cursor.sent.below
  }
}

/** True when the window ended before the stream did. */
const fill = async <I extends Item>(
  gathering: Gathering<I>,
  source: EventSource,
  from: Position | undefined,
): Promise<boolean> => {
  for await (const chunk of chunksFrom(source, from, limits.exportReadEvents)) {
    for (const [index, event] of chunk.events.entries()) {
      if (gathering.endsBefore(event.at)) return true
      if (gathering.take(event, { from: chunk.from, events: index })) return true
    }
    gathering.end = { from: chunk.next, events: 0 }
  }
  return false
}

/** The window that `cursor` says is being sent, made again; or the next one, when it may be closed by now. */
export const gather = async <I extends Item>(
  source: EventSource,
  cursor: Cursor,
  shape: Shape<I>,
  now: number,
): Promise<Gathered<I>> => {
  const gathering = new Gathering(cursor, shape, now)
  const ended = await fill(gathering, source, cursor.from)
  const { events, end, left, firstAt = now, collector } = gathering
  // a window whose events are gone has nothing in it, and is left behind like any other
  const cut = gathering.cut ?? cursor.window
  if (cut === undefined) return { kind: 'wait', ms: limits.exportPollMs }
  const dueAt = cut.below === never ? firstAt : cut.below + limits.exportGraceMs
  if (!ended && cursor.window === undefined && cut.below !== never && now < dueAt)
    return { kind: 'wait', ms: dueAt - now }
  const whole: Cut = { events, below: cut.below }
  return {
    kind: 'window',
    lagMs: Math.max(0, now - dueAt),
    window: {
      cut: cursor.window ?? whole,
      items: collector.items(),
      async after() {
        const from = await positionOf(source, left?.mark ?? end)
        return {
          sequence: cursor.sequence + 1,
          ...(from === undefined ? {} : { from }),
          sent: { ...whole, events: left === undefined ? 0 : events - left.index },
          taken: 0,
        }
      },
    },
  }
}
