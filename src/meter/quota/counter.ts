/**
 * One counter of a quota in one window. It spends from a lease: an amount that the store has set aside for this process.
 * While the lease lasts nothing is waited for; a new one is taken with compare-and-set, once for all who wait.
 */
import type { Clock } from '../../core/clock.ts'
import { GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Records } from '../../store/records.ts'
import type { Presence } from './presence.ts'
import type { Recounts } from './recount.ts'
import type { CompiledRule, CounterNames } from './rule.ts'
import {
  holders,
  leaseOf,
  printTally,
  readTally,
  type Tally,
  takenByOthers,
  usedByOthers,
  withoutDead,
  withoutShare,
  withShare,
} from './tally.ts'
import type { Window } from './window.ts'

export interface CounterRoom {
  readonly records: Records
  readonly clock: Clock
  readonly presence: Presence
  readonly recounts: Recounts
  /** Told once for each fraction of the limit that is reached. */
  onReached(counter: Counter, fraction: number): void
}

/** There is not as much left as a call needs. */
export class UsedUp extends Error {
  readonly counter: Counter

  constructor(counter: Counter) {
    super('The quota is used up.')
    this.name = 'UsedUp'
    this.counter = counter
  }
}

const atLeastZero = (amount: bigint): bigint => (amount > 0n ? amount : 0n)

/** A millionth part is as fine as fractions get. */
const partOf = (limit: bigint, fraction: number): bigint => {
  const millions = limit * BigInt(Math.round(fraction * 1_000_000))
  return (millions + 999_999n) / 1_000_000n
}

export class Counter {
  readonly rule: CompiledRule
  readonly window: Window
  readonly names: CounterNames
  /** In the store. */
  readonly record: string
  /** Set by use, cleared by whoever looks for idle ones. */
  touched = true
  readonly #key: string
  readonly #room: CounterRoom
  /** Granted to this process, spent of that, and held by calls under way. The difference is the lease in hand. */
  #granted = 0n
  #spent = 0n
  #inFlight = 0n
  /** As the store had it last: used and taken by other processes, and what was there for anyone. */
  #usedByOthers = 0n
  #left = 0n
  #wanted = 0n
  /** Calls under way and waiting: while there are any, this is the one counter of its record. */
  #users = 0
  #askedAt = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  #failure: GatewayError | undefined
  #work: { readonly since: number; readonly done: Promise<void> } | undefined
  /** A share of ours may stand in the record. */
  #isShared = false
  #fractionsReached = 0
  #limitSeen: bigint

  constructor(rule: CompiledRule, window: Window, key: string, names: CounterNames, record: string, room: CounterRoom) {
    this.rule = rule
    this.window = window
    this.names = names
    this.record = record
    this.#key = key
    this.#room = room
    this.#limitSeen = rule.spec.limit
  }

  /** By all processes, as far as this one knows, with calls under way. */
  get used(): bigint {
    return this.#usedByOthers + this.#spent + this.#inFlight
  }

  /** Sets an amount aside for a call, if the lease in hand has it, and says how much was used before it. */
  reserve(amount: bigint): bigint | undefined {
    if (amount > 0n && this.#granted - this.#spent - this.#inFlight < amount) return undefined
    const before = this.used
    this.#inFlight += amount
    this.#users++
    this.touched = true
    return before
  }

  /** The same, waiting for a lease where it must. Rejects with `UsedUp`, or `store_unavailable` when the counter cannot be read or written. */
  async reserveSoon(amount: bigint): Promise<bigint> {
    this.#users++
    this.#wanted += amount
    try {
      for (;;) {
        const before = this.reserve(amount)
        if (before !== undefined) return before
        this.#refuse(amount)
        await this.#within(this.#start(() => this.#take()))
      }
    } finally {
      this.#wanted -= amount
      this.#users--
    }
  }

  /** A call is about to ask for it: it stays the counter of its record until `part`. */
  join(): void {
    this.#users++
  }

  part(): void {
    this.#users--
  }

  /** Of what was reserved, `amount` was spent; the rest is there again. */
  settle(reserved: bigint, amount: bigint): void {
    this.#inFlight -= reserved
    this.#spent += amount
    this.#users--
    this.#tell(this.#usedByOthers + this.#spent)
  }

  /** `used`, as the store has it now; `stored` is the record’s text. Takes nothing. Rejects with `store_unavailable`. */
  async look(stored?: string): Promise<bigint> {
    const text = stored ?? (await this.#room.records.get(this.record))?.value
    const tally = text === undefined ? await this.#counted() : await this.#buried(readTally(text))
    return usedByOthers(tally, this.#room.presence.id) + this.#spent + this.#inFlight
  }

  /** The rule may have other words now. Where the limit is another one, the lease in hand is of no use. */
  thinkAgain(): void {
    this.#fractionsReached = 0
    if (this.#limitSeen === this.rule.spec.limit) return
    this.#limitSeen = this.rule.spec.limit
    this.#granted = this.#spent + this.#inFlight
    this.#askedAt = Number.NEGATIVE_INFINITY
  }

  /** Gives back the lease, as far as no call needs it. Rejects with `store_unavailable`. */
  async release(): Promise<void> {
    if (this.#work !== undefined) return
    if (!this.#isShared && this.#spent !== 0n) await this.#start(() => this.#take('write'))
    if (this.#isShared) await this.#start(() => this.#leave())
  }

  /** Whether nobody uses the counter and nothing would be lost with it. */
  get isIdle(): boolean {
    return this.#users === 0 && this.#work === undefined && !this.#isShared && this.#spent === 0n
  }

  /** A refusal that needs no asking: the store was asked just now, or does not answer. */
  #refuse(amount: bigint): void {
    const now = this.#room.clock.monotonic()
    if (this.#failure !== undefined && now - this.#failedAt < limits.quotaRetryMs) throw this.#failure
    if (this.#work !== undefined && now - this.#work.since >= limits.quotaWaitMs) throw unanswered()
    const lease = this.#granted - this.#spent - this.#inFlight
    if (now - this.#askedAt >= limits.quotaRecheckMs || lease + this.#left >= amount) return
    this.#reached(1)
    throw new UsedUp(this)
  }

  /** One piece of work at a time. */
  #start(work: () => Promise<void>): Promise<void> {
    if (this.#work !== undefined) return this.#work.done
    const done = work().then(
      () => {
        this.#failure = undefined
        this.#work = undefined
      },
      (thrown: unknown) => {
        this.#failure = toGatewayError(thrown)
        this.#failedAt = this.#room.clock.monotonic()
        this.#work = undefined
        throw this.#failure
      },
    )
    this.#work = { since: this.#room.clock.monotonic(), done }
    return done
  }

  /** The store may take its time; a caller does not wait as long. */
  async #within(work: Promise<void>): Promise<void> {
    let cancel = (): void => undefined
    const late = new Promise<never>((_, reject) => {
      cancel = this.#room.clock.after(limits.quotaWaitMs, () => reject(unanswered()))
    })
    try {
      await Promise.race([work, late])
    } finally {
      cancel()
    }
  }

  /** Asks for a lease. The store is written to when there is one to be had, or when it must be. */
  async #take(must?: 'write'): Promise<void> {
    const { records, presence, clock } = this.#room
    await presence.announce()
    for (let tries = 0; tries < limits.quotaTries; tries++) {
      const row = await records.get(this.record)
      const stored = row === undefined ? await this.#counted() : readTally(row.value)
      const tally = row === undefined ? stored : await this.#buried(stored)
      const { limit, unit } = this.rule.spec
      const [spent, inFlight] = [this.#spent, this.#inFlight]
      const free = atLeastZero(this.#granted - spent - inFlight)
      const left = limit - takenByOthers(tally, presence.id) - spent - inFlight
      const most = unit === 'cost' ? limit : BigInt(limits.quotaLeaseUnits)
      // what is in hand may be spent while this is written
      const lease = leaseOf(limit, left, this.#wanted > free ? this.#wanted : free, most)
      this.#usedByOthers = usedByOthers(tally, presence.id)
      if (lease > free || tally !== stored || must !== undefined || (row === undefined && this.#isShared)) {
        const share = { spent, held: atLeastZero(inFlight + lease) }
        this.#isShared = true
        const version = await records.put(
          this.record,
          printTally(withShare(tally, presence.id, share), this.names),
          this.#expecting(row?.version),
        )
        // with another limit meanwhile, it is another lease that may be had
        if (version === undefined || limit !== this.rule.spec.limit) continue
        this.#granted = spent + inFlight + lease
      }
      this.#left = atLeastZero(left - (lease > free ? lease : free))
      this.#askedAt = clock.monotonic()
      return
    }
    throw new GatewayError('store_unavailable', { cause: new Error('A quota’s counter is fought over.') })
  }

  /** A counter that is not in the store: it is new, or was lost. */
  async #counted(): Promise<Tally> {
    const now = this.#room.clock.monotonic()
    const notBefore = this.#isShared ? now : now - limits.quotaRecountMs
    const counted = await this.#room.recounts.of(this.rule, this.window, this.#key, notBefore)
    // of what the ledger has, some was spent here
    return { base: atLeastZero(counted - this.#spent), shares: new Map() }
  }

  /** Without the dead, where that matters: at first sight, and when there is too little left. */
  async #buried(tally: Tally): Promise<Tally> {
    const { presence, recounts, clock } = this.#room
    const taken = takenByOthers(tally, presence.id)
    const isShort = this.rule.spec.limit - taken - this.#spent - this.#inFlight < this.#wanted
    if (!isShort && this.#askedAt !== Number.NEGATIVE_INFINITY) return tally
    const dead = new Set<string>()
    let since = Number.NEGATIVE_INFINITY
    for (const id of holders(tally, presence.id)) {
      const seen = await presence.deadSince(id)
      if (seen === undefined) continue
      dead.add(id)
      since = Math.max(since, seen)
    }
    if (dead.size === 0) return tally
    // one answer does for all counters of a rule, though others may have gone on since
    const notBefore = this.rule.spec.each === undefined ? clock.monotonic() : since
    // the ledger has what was spent here since the share was written, too
    const { spent = 0n } = tally.shares.get(presence.id) ?? {}
    const unwritten = this.#spent - spent
    const counted = await recounts.of(this.rule, this.window, this.#key, notBefore)
    return withoutDead(tally, dead, counted - unwritten)
  }

  async #leave(): Promise<void> {
    const { records, presence } = this.#room
    this.#granted = this.#spent + this.#inFlight
    for (let tries = 0; tries < limits.quotaTries; tries++) {
      const row = await records.get(this.record)
      const tally = row === undefined ? undefined : readTally(row.value)
      const [spent, inFlight] = [this.#spent, this.#inFlight]
      if (row !== undefined && tally?.shares.has(presence.id) === true) {
        const next =
          this.#users === 0
            ? withoutShare(tally, presence.id, spent)
            : withShare(tally, presence.id, { spent, held: atLeastZero(inFlight) })
        const version = await records.put(this.record, printTally(next, this.names), this.#expecting(row.version))
        if (version === undefined) continue
        if (next.shares.has(presence.id)) return
      }
      // the base has it now, whether this put it there or an earlier try that seemed to fail
      this.#spent -= spent
      this.#granted -= spent
      this.#usedByOthers += spent
      this.#askedAt = Number.NEGATIVE_INFINITY
      this.#isShared = false
      return
    }
  }

  #expecting(version: number | undefined): { expect: number | 'absent'; expiresAt: number } {
    return { expect: version ?? 'absent', expiresAt: this.window.to + limits.quotaKeptMs }
  }

  /** Fractions that this much of the limit reaches. */
  #tell(used: bigint): void {
    const { limit, warnAt } = this.rule.spec
    for (;;) {
      const fraction = warnAt[this.#fractionsReached]
      if (fraction === undefined || used < partOf(limit, fraction)) return
      this.#reached(fraction)
    }
  }

  #reached(upTo: number): void {
    const { warnAt } = this.rule.spec
    for (;;) {
      const fraction = warnAt[this.#fractionsReached]
      if (fraction === undefined || fraction > upTo) return
      this.#fractionsReached++
      this.#room.onReached(this, fraction)
    }
  }
}

const unanswered = (): GatewayError =>
  new GatewayError('store_unavailable', { cause: new Error('A quota’s counter did not answer in time.') })
