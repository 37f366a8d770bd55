/**
 * The port to small durable records: keys, connections, sealed secrets, sign-ins under way. Every change names the
 * version that it expects, so that two processes never overwrite each other unseen, and leases carry a fence.
 */

/** A record and its version, which grows with every change and is never used twice for a key. */
export interface Versioned {
  readonly value: string
  readonly version: number
  /** Milliseconds since the Unix epoch after which the record is as good as absent; to be given again with a change. */
  readonly expiresAt?: number
}

export interface RecordRow extends Versioned {
  readonly key: string
}

export interface PutOptions {
  /** The version that is to be replaced, or that there is none. */
  readonly expect: number | 'absent'
  /** Milliseconds since the Unix epoch after which the record is as good as absent. */
  readonly expiresAt?: number
}

/** The sole right to do something for a while. */
export interface Lease {
  /** Grows with every owner of the same lease: a write guarded by an older fence is refused. */
  readonly fence: number
  /** Milliseconds since the Unix epoch. */
  readonly until: number
}

/**
 * Keys are of printable ASCII, at most `limits.recordKeyBytes`; values at most `limits.recordBytes`. What is
 * acknowledged survives `kill -9`. Every method rejects with `store_unavailable` when the database cannot be used.
 */
export interface Records {
  get(key: string): Promise<Versioned | undefined>
  /** The new version; `undefined`, and nothing changed, when another version is there than expected. */
  put(key: string, value: string, options: PutOptions): Promise<number | undefined>
  /** Whether it was there (in the version expected, when one is). */
  delete(key: string, expect?: number): Promise<boolean>
  /** Reads and deletes in one step: exactly one of many callers gets it. */
  take(key: string): Promise<Versioned | undefined>
  /** Records whose key begins with `prefix`, in the order of keys, from behind `after`; at most `limit`. */
  list(prefix: string, options: { readonly after?: string; readonly limit: number }): Promise<readonly RecordRow[]>
  /** A number that changes whenever any record has changed, in whatever process: cheap to ask often. */
  changes(): Promise<number>
  /** `undefined` while another owner holds it. The same owner's lease is renewed under the same fence. */
  lease(name: string, owner: string, ms: number): Promise<Lease | undefined>
  /** Whether the fence is still the newest and its lease not over. */
  holds(name: string, fence: number): Promise<boolean>
  release(name: string, fence: number): Promise<void>
  close(): Promise<void>
}
