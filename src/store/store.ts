/** The port to what must be durable, small and consistent. Asynchronous, so that a database over a network can follow. */
import type { OutcomeKind } from '../core/model.ts'
import type { LatencyBucket } from './latency.ts'
import type { Link, StoredLink } from './link.ts'

export { percentile } from './latency.ts'

/** What an event is counted as. */
export type MeterKind = 'call' | 'search' | 'list'

/** A segment as far as it was read: `meter/chain.ts` says what the hashes are of. SHA-256 in hexadecimal. */
export interface SegmentHash {
  /** Bytes up to and with the last seal that was read. */
  readonly sealedAt: number
  /** The hash there. */
  readonly sealed: string
  /** The hash at the mark’s own offset. */
  readonly hash: string
}

/** How far a spool segment has been added to the store. */
export interface Mark {
  /** Bytes from the segment’s beginning that are accounted for. */
  readonly offset: number
  /** Its calls without an end have been accounted for, too. */
  readonly closed: boolean
  /** Left out where a former version made the mark. */
  readonly chain?: SegmentHash
  /** Left out while the segment’s file is to be there. */
  readonly gone?: Gone
}

/** What has become of a segment’s file after its retention. */
export type Gone = 'removed' | 'archived'

export interface StoredSegment extends Mark {
  readonly segment: string
}

/** What is added for one hour, one principal and client, one tool, one meter and one outcome. */
export interface UsageDelta {
  /** Beginning of the hour, milliseconds since the Unix epoch. */
  readonly hour: number
  readonly tenant: string
  readonly subject: string
  /** Left out for none. */
  readonly client?: string
  readonly target: string
  readonly tool: string
  /** Left out for `call`. */
  readonly meter?: MeterKind
  readonly outcome: OutcomeKind
  /** Calls. */
  readonly events: number
  /** Billable invocations. */
  readonly units: number
  /** Sum of the calls’ durations in milliseconds. */
  readonly ms: number
  /** Sum of what of it was spent waiting on the target; left out for 0. */
  readonly waitMs?: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** How long the calls lasted; left out where that is not counted. */
  readonly latency?: Iterable<LatencyBucket>
}

/** What a question may be grouped by. `principal` is tenant and subject; `month`, `day` and `hour` are UTC. */
export type UsageGroup =
  | 'target'
  | 'tool'
  | 'principal'
  | 'client'
  | 'tenant'
  | 'outcome'
  | 'meter'
  | 'month'
  | 'day'
  | 'hour'

/** Only what has these names. */
export interface UsageWhere {
  readonly tenant?: string
  readonly subject?: string
  readonly client?: string
  readonly target?: string
  readonly tool?: string
}

export interface UsageQuestion {
  /** First moment, milliseconds since the Unix epoch; a full hour, as the ledger is kept by the hour. */
  readonly from: number
  /** First moment that is not asked for any more; hours that begin before it are in. */
  readonly to: number
  /** Groups, in the order that the rows are sorted by. */
  readonly by: readonly UsageGroup[]
  readonly where?: UsageWhere
  /** At most so many rows. */
  readonly rows: number
}

/** A group’s names. One is there when it was asked for. */
export interface UsageNames {
  readonly target?: string
  readonly tool?: string
  readonly tenant?: string
  readonly subject?: string
  readonly client?: string
  readonly outcome?: string
  readonly meter?: string
  /** `YYYY-MM`. */
  readonly month?: string
  /** `YYYY-MM-DD`. */
  readonly day?: string
  /** Milliseconds since the Unix epoch. */
  readonly hour?: number
}

/** One group’s figures. */
export interface UsageRow extends UsageNames {
  readonly events: number
  readonly units: number
  readonly ms: number
  readonly waitMs: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** How long one group’s calls lasted. */
export interface LatencyRow extends UsageNames {
  readonly buckets: readonly LatencyBucket[]
}

/** Every method rejects with `store_unavailable` when the database cannot be used (locked, full, read-only, damaged). */
export interface Store {
  /** How far the segment of this name has been added; `undefined` for one never seen. */
  usageMark(segment: string): Promise<Mark | undefined>
  /**
   * Adds `rows` and moves the segment’s mark from `expect` (0 for a segment never seen) to `next`, both or neither.
   * Answers false, and changes nothing, when the mark is elsewhere: someone else has added these bytes.
   * `closed` closes the segment, and answers false when it is closed already; a closed segment stays closed. `chain` is
   * kept with the mark; a segment that is closed with one gets its link.
   */
  addUsage(
    segment: string,
    expect: number,
    next: number,
    rows: readonly UsageDelta[],
    closed: boolean,
    chain?: SegmentHash,
  ): Promise<boolean>
  /** The figures of a period, grouped and sorted by the groups asked for. Without a group it is one row. */
  usage(question: UsageQuestion): Promise<UsageRow[]>
  /** The same, one row after the other, none of which is kept: there may be more than memory holds. */
  eachUsage(question: UsageQuestion, visit: (row: UsageRow) => void): Promise<void>
  /**
   * How long the calls of a period lasted. Rejects with `invalid_params` where it is asked by or for what durations are
   * not kept by: subject, client, outcome or meter.
   */
  latency(question: UsageQuestion): Promise<LatencyRow[]>
  /** All segments ever seen, by name, from behind `after`; at most `limit`. */
  segments(after: string, limit: number): Promise<StoredSegment[]>
  /** The segment’s file is about to go. What is known of it stays. */
  dropSegment(segment: string, gone: Gone): Promise<void>
  /** Adds a link at the end of the chain; answers its head. */
  addLink(link: Link): Promise<string>
  /** The links in their order, from behind the number `after`; at most `limit`. */
  links(after: number, limit: number): Promise<StoredLink[]>
  /** The prices kept for a month (`YYYY-MM`), as text. */
  plan(month: string): Promise<string | undefined>
  /**
   * Keeps a month’s prices; those that are kept already stay, unless they are to be replaced and no later month has any: a
   * clock that is set back changes nothing of a month that is over. Answers what is kept then.
   */
  keepPlan(month: string, text: string, replace: boolean): Promise<string>
  close(): Promise<void>
}
