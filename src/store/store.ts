/** The port to what must be durable, small and consistent. Asynchronous, so that a database over a network can follow. */
import type { OutcomeKind } from '../core/model.ts'

/** How far a spool segment has been added to the store. */
export interface Mark {
  /** Bytes from the segment’s beginning that are accounted for. */
  readonly offset: number
  /** Its calls without an end have been accounted for, too. */
  readonly closed: boolean
}

/** What is added for one hour, one principal, one tool and one outcome. */
export interface UsageDelta {
  /** Beginning of the hour, milliseconds since the Unix epoch. */
  readonly hour: number
  readonly tenant: string
  readonly subject: string
  readonly target: string
  readonly tool: string
  readonly outcome: OutcomeKind
  /** Calls. */
  readonly events: number
  /** Billable invocations. */
  readonly units: number
  /** Sum of the calls’ durations in milliseconds. */
  readonly ms: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** What a question may be grouped by. `principal` is tenant and subject; `day` and `hour` are UTC. */
export type UsageGroup = 'target' | 'tool' | 'principal' | 'tenant' | 'outcome' | 'day' | 'hour'

export interface UsageQuestion {
  /** First moment, milliseconds since the Unix epoch; a full hour, as the ledger is kept by the hour. */
  readonly from: number
  /** First moment that is not asked for any more; hours that begin before it are in. */
  readonly to: number
  /** Groups, in the order that the rows are sorted by. */
  readonly by: readonly UsageGroup[]
  /** At most so many rows. */
  readonly rows: number
}

/** One group’s figures. A name is there when it was asked for. */
export interface UsageRow {
  readonly target?: string
  readonly tool?: string
  readonly tenant?: string
  readonly subject?: string
  readonly outcome?: string
  /** `YYYY-MM-DD`. */
  readonly day?: string
  /** Milliseconds since the Unix epoch. */
  readonly hour?: number
  readonly events: number
  readonly units: number
  readonly ms: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** Every method rejects with `store_unavailable` when the database cannot be used (locked, full, read-only, damaged). */
export interface Store {
  /** How far the segment of this name has been added; `undefined` for one never seen. */
  usageMark(segment: string): Promise<Mark | undefined>
  /**
   * Adds `rows` and moves the segment’s mark from `expect` (0 for a segment never seen) to `next`, both or neither.
   * Answers false, and changes nothing, when the mark is elsewhere: someone else has added these bytes.
   * `closed` closes the segment, and answers false when it is closed already; a closed segment stays closed.
   */
  addUsage(
    segment: string,
    expect: number,
    next: number,
    rows: readonly UsageDelta[],
    closed: boolean,
  ): Promise<boolean>
  /** The figures of a period, grouped and sorted by the groups asked for. Without a group it is one row. */
  usage(question: UsageQuestion): Promise<UsageRow[]>
  close(): Promise<void>
}
