/** Where an export goes: what is made of the events, how much goes at once, and how it is sent. */
import type { CancelSignal } from '../../core/cancel.ts'
import type { Item, Shape } from './item.ts'

/** What came of a batch. */
export type Verdict =
  /** The receiver has it; what it said of parts that it could not use, if anything. */
  | { readonly kind: 'taken'; readonly but?: { readonly items: number; readonly reason: string } }
  /** It is this batch that the receiver does not want: it would be refused again. */
  | { readonly kind: 'refused'; readonly reason: string; readonly tooLarge: boolean }
  /** It belongs to nobody that the receiver knows; the configuration says so, nothing was sent. */
  | { readonly kind: 'unassigned'; readonly tenant: string }
  /** The receiver cannot take anything now; `ms` when it said for how long. */
  | { readonly kind: 'later'; readonly reason: string; readonly ms?: number }

export interface Batch<I extends Item> {
  /** At least one. */
  readonly items: readonly I[]
  /** The same for the same items. */
  readonly key: string
  readonly signal: CancelSignal
}

export interface Destination<I extends Item> {
  /** Tells the place from any other. No secret is in it. */
  readonly place: string
  readonly shape: Shape<I>
  readonly itemsMax: number
  /** Bytes of an item in a batch, where a batch has a bound in bytes. */
  sizeOf?(item: I): number
  /** Items of different parts never go into one batch. */
  partOf?(item: I): unknown
  /** Never rejects because of the receiver. */
  send(batch: Batch<I>): Promise<Verdict>
}
