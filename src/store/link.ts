/**
 * The links of the ledger’s own chain. Segments of several processes lie side by side; here they stand in one order, that
 * of their links, and the hash of the last link stands for all of them.
 */
import { createHash } from 'node:crypto'

/** That a segment, up to some place, was just so. */
export interface Link {
  readonly segment: string
  /** Bytes from the segment’s beginning. */
  readonly offset: number
  /** Of the segment up to there (`meter/chain.ts`), SHA-256 in hexadecimal. */
  readonly hash: string
  /** The segment had ended there. */
  readonly closed: boolean
}

export interface StoredLink extends Link {
  /** From 1, without gaps. */
  readonly number: number
  /** The hash of this link and, through it, of all before it. */
  readonly head: string
}

/** What the first link follows. */
export const firstHead = '0'.repeat(64)

export const headOf = (before: string, { segment, offset, hash, closed }: Link): string =>
  createHash('sha256')
    .update(JSON.stringify([before, segment, offset, hash, closed]))
    .digest('hex')
