/** Sends one window’s items in order, in batches that shrink round an item that is refused, until all are taken or put aside. */
import { limits } from '../../core/limits.ts'
import type { Batch, Destination, Verdict } from './destination.ts'
import { type Item, keyOf } from './item.ts'

/** What the receiver cannot take for now; the export tries again. */
export class Later extends Error {
  readonly ms: number | undefined

  constructor(reason: string, ms?: number) {
    super(reason)
    this.ms = ms
  }
}

/** What came of some items, in the order of the window. */
export type Settled<I extends Item> =
  | { readonly kind: 'taken'; readonly items: readonly I[]; readonly but?: { items: number; reason: string } }
  | { readonly kind: 'refused'; readonly items: readonly I[]; readonly reason: string }
  | { readonly kind: 'unassigned'; readonly items: readonly I[]; readonly tenant: string }

/** How many items a batch may have: halved by every refusal, doubled by every success, below what was too large once. */
class BatchSize {
  readonly #most: number
  #ceiling: number
  now: number

  constructor(most: number) {
    this.#most = most
    this.#ceiling = most
    this.now = most
  }

  shrink(refused: number, tooLarge: boolean): void {
    this.now = Math.ceil(refused / 2)
    if (tooLarge) this.#ceiling = this.now
  }

  grow(): void {
    this.now = Math.min(this.now * 2, this.#ceiling, this.#most)
  }
}

const nextBatch = <I extends Item>(
  destination: Destination<I>,
  items: readonly I[],
  start: number,
  most: number,
): readonly I[] => {
  const first = items[start]
  if (first === undefined) return []
  const part = destination.partOf?.(first)
  let bytes = 0
  let end = start
  for (const item of items.slice(start, start + most)) {
    bytes += destination.sizeOf?.(item) ?? 0
    const fits = bytes <= limits.exportBatchBytes && destination.partOf?.(item) === part
    if (end > start && !fits) break
    end += 1
  }
  return items.slice(start, end)
}

const keyOfBatch = (items: readonly Item[]): string => {
  const [first] = items
  return items.length === 1 && first !== undefined ? first.key : keyOf(items.map(({ key }) => key))
}

const settle = <I extends Item>(items: readonly I[], verdict: Exclude<Verdict, { kind: 'later' }>): Settled<I> => {
  switch (verdict.kind) {
    case 'taken':
      return { kind: 'taken', items, ...(verdict.but === undefined ? {} : { but: verdict.but }) }
    case 'refused':
      return { kind: 'refused', items, reason: verdict.reason }
    case 'unassigned':
      return { kind: 'unassigned', items, tenant: verdict.tenant }
  }
}

/** Remembers from window to window how much the receiver takes at once. */
export class Delivery<I extends Item> {
  readonly #destination: Destination<I>
  readonly #size: BatchSize

  constructor(destination: Destination<I>) {
    this.#destination = destination
    this.#size = new BatchSize(destination.itemsMax)
  }

  /**
   * Sends the items from `start` on. `before` is awaited before each batch; what came of it is given out, and when it
   * has been dealt with, the next is sent. Throws `Later` when the receiver takes nothing now.
   */
  async *send(
    items: readonly I[],
    start: number,
    signal: Batch<I>['signal'],
    before: () => Promise<void>,
  ): AsyncGenerator<Settled<I>, void, void> {
    for (let next = start; next < items.length; ) {
      const batch = nextBatch(this.#destination, items, next, this.#size.now)
      await before()
      const verdict = await this.#destination.send({ items: batch, key: keyOfBatch(batch), signal })
      if (verdict.kind === 'later') throw new Later(verdict.reason, verdict.ms)
      if (verdict.kind === 'refused' && batch.length > 1) {
        this.#size.shrink(batch.length, verdict.tooLarge)
        continue
      }
      yield settle(batch, verdict)
      next += batch.length
      this.#size.grow()
    }
  }
}
