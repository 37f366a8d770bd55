/**
 * Quotas and budgets: how much may be called, or spent, in a day or a month. A call is counted when it begins, and given
 * back when it turns out not to be billed. What cannot be counted is refused.
 */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Records } from '../store/records.ts'
import { createIds } from './id.ts'
import { Counter, type CounterRoom, UsedUp } from './quota/counter.ts'
import { createPresence, ownProcess, type ProcessRoom } from './quota/presence.ts'
import { createRecounts, type Recount } from './quota/recount.ts'
import {
  type CompiledRule,
  type CounterNames,
  compileRule,
  idOf,
  type QuotaCall,
  type QuotaCaller,
  type QuotaRule,
  volumeRule,
} from './quota/rule.ts'
import { readTally } from './quota/tally.ts'
import { type QuotaState, refusalOf, stateOf, warningOf } from './quota/tell.ts'
import { createWarnings, type QuotaWarning, type SendWebhook } from './quota/warnings.ts'
import { createWindows, type Window } from './quota/window.ts'

export type { Recount, RecountQuestion } from './quota/recount.ts'
export type { QuotaCall, QuotaCaller, QuotaRule } from './quota/rule.ts'
export { shownState } from './quota/tell.ts'
export type { QuotaWarning, SendWebhook } from './quota/warnings.ts'
export { webhookTo } from './quota/webhook.ts'

/** What calls cost, by the prices in force. */
export interface QuotaPrices {
  /** Names the price line of a call where its price depends on the volume of the month; undefined elsewhere. */
  volumeOf(call: QuotaCall, at: number): string | undefined
  /** 10⁻¹² of the currency unit for one unit that has `position` units of its line, tenant and month before it. */
  priceOf(call: QuotaCall, at: number, position: bigint): bigint
}

/** A call that was counted. */
export interface Reservation {
  /**
   * Tells what it came to, once it is in the ledger: billed units (0 gives everything back) and, where it is known
   * better than by the prices, their cost in 10⁻¹² of the currency unit. A second time does nothing.
   */
  settle(units: number, cost?: bigint): void
}

export interface Quotas {
  /** The quotas in force from now on; counters of those that count the same go on. */
  apply(rules: readonly QuotaRule[]): void
  /**
   * Counts a call that is about to be made, under every quota that is about it, or under none. Without a promise where
   * leases are in hand; undefined where no quota is about it. Throws, or rejects with, `quota_exceeded`,
   * `store_unavailable` where a counter cannot be read or written, `overloaded` over `limits.quotaCounters`.
   */
  enter(caller: QuotaCaller, call: QuotaCall): Reservation | undefined | Promise<Reservation>
  /** Counters of the windows that run, at most `limits.quotaRowsShown`. Rejects with `store_unavailable`. */
  state(quota?: string): Promise<readonly QuotaState[]>
  /** How much of each quota is used, as a fraction of its limit: of its fullest counter that this process has. */
  ratios(): ReadonlyMap<string, number>
  /** Gives every lease back, within `limits.quotaCloseMs`. Never rejects. */
  close(): Promise<void>
}

export interface QuotasOptions {
  readonly records: Records
  readonly clock: Clock
  readonly recount: Recount
  readonly prices: QuotaPrices
  readonly currency: string
  /** The webhook of a quota, as configured now. */
  hook(quota: string): SendWebhook | undefined
  onWarn(warning: QuotaWarning): void
  onRefuse(quota: string): void
  /** Something in the background failed: a lease given back, a warning, a webhook. It is tried again. */
  onFault(error: unknown): void
  readonly self?: ProcessRoom
}

interface Held {
  readonly counter: Counter
  readonly amount: bigint
}

const reservationOf = (held: readonly Held[]): Reservation => {
  let settled = false
  return {
    settle(units, cost) {
      if (settled) return
      settled = true
      for (const { counter, amount } of held) {
        const isMoney = counter.rule.spec.unit === 'cost'
        counter.settle(amount, isMoney ? (cost ?? amount * BigInt(units)) : BigInt(units))
      }
    },
  }
}

const giveBack = (held: readonly Held[]): void => {
  for (const { counter, amount } of held) counter.settle(amount, 0n)
}

class CountingQuotas implements Quotas {
  readonly #options: QuotasOptions
  readonly #room: CounterRoom
  readonly #warnings: ReturnType<typeof createWarnings>
  readonly #windowAt = createWindows()
  readonly #counters = new Map<string, Counter>()
  readonly #volumes = new Map<string, CompiledRule>()
  #rules: readonly CompiledRule[] = []
  #stop: (() => void) | undefined
  #sweeping: Promise<void> | undefined
  #scan: MapIterator<[string, Counter]> | undefined
  #scannedAt = 0

  constructor(options: QuotasOptions) {
    const { records, clock, recount, self = ownProcess } = options
    this.#options = options
    this.#warnings = createWarnings(options)
    this.#room = {
      records,
      clock,
      presence: createPresence(records, clock, createIds(clock)(), self),
      recounts: createRecounts(recount, clock),
      onReached: (counter, fraction) => this.#warnings.reached(warningOf(counter, fraction, options.currency)),
    }
  }

  apply(rules: readonly QuotaRule[]): void {
    const known = new Map(this.#rules.map((rule) => [rule.id, rule]))
    for (const { rule } of this.#counters.values()) known.set(rule.id, rule)
    this.#rules = rules.map((rule) => {
      const made = compileRule(rule)
      const before = known.get(made.id)
      if (before === undefined) return made
      before.spec = made.spec
      return before
    })
    for (const counter of this.#counters.values()) counter.thinkAgain()
    if (this.#rules.length > 0)
      this.#stop ??= this.#options.clock.every(limits.quotaSweepMs, () => {
        this.#warnings.tick()
        this.#sweeping ??= this.#sweep().finally(() => {
          this.#sweeping = undefined
        })
      })
  }

  enter(caller: QuotaCaller, call: QuotaCall): Reservation | undefined | Promise<Reservation> {
    if (this.#rules.length === 0) return undefined
    const applying = this.#rules.filter((rule) => rule.about(caller, call))
    if (applying.length === 0) return undefined
    const at = this.#options.clock.now()
    const counters = this.#countersOf(applying, caller, call, at)
    const held: Held[] = []
    let position = 0n
    try {
      for (const counter of counters) {
        const amount = this.#amountOf(counter, call, at, position)
        const before = counter.reserve(amount)
        if (before === undefined) return this.#enterSlowly(counters, held, position, call, at)
        held.push({ counter, amount })
        // a volume comes first, and says where the price is looked up
        if (isVolume(counter)) position = before
      }
    } catch (error) {
      giveBack(held)
      throw error
    }
    return reservationOf(held)
  }

  async state(quota?: string): Promise<readonly QuotaState[]> {
    const rows: QuotaState[] = []
    for (const rule of this.#rules) {
      if (quota !== undefined && rule.spec.name !== quota) continue
      const window = this.#windowAt(rule.spec.per, this.#options.clock.now())
      for (const row of await this.#rowsOf(rule, window)) {
        if (rows.length >= limits.quotaRowsShown) return rows
        rows.push(row)
      }
    }
    return rows
  }

  ratios(): ReadonlyMap<string, number> {
    const ratios = new Map(this.#rules.map(({ spec }) => [spec.name, 0]))
    const now = this.#options.clock.now()
    for (const { rule, window, used } of this.#counters.values()) {
      const known = ratios.get(rule.spec.name)
      if (known === undefined || now < window.from || now >= window.to) continue
      ratios.set(rule.spec.name, Math.max(known, Number(used) / Number(rule.spec.limit)))
    }
    return ratios
  }

  async close(): Promise<void> {
    const { clock } = this.#options
    this.#stop?.()
    this.#stop = undefined
    const end = clock.monotonic() + limits.quotaCloseMs
    try {
      await this.#warnings.close()
      await this.#sweeping
      for (const counter of this.#counters.values()) {
        if (clock.monotonic() >= end) break
        await counter.release()
      }
      await this.#room.presence.leave()
    } catch (error) {
      // whoever comes next counts anew what was not given back
      this.#options.onFault(error)
    }
  }

  async #enterSlowly(
    counters: readonly Counter[],
    held: Held[],
    reached: bigint,
    call: QuotaCall,
    at: number,
  ): Promise<Reservation> {
    let position = reached
    // none of them is let go while another one is waited for
    const rest = counters.slice(held.length)
    for (const counter of rest) counter.join()
    try {
      for (const counter of rest) {
        const amount = this.#amountOf(counter, call, at, position)
        const before = await counter.reserveSoon(amount)
        held.push({ counter, amount })
        if (isVolume(counter)) position = before
      }
      return reservationOf(held)
    } catch (error) {
      giveBack(held)
      if (!(error instanceof UsedUp)) throw error
      this.#options.onRefuse(error.counter.rule.spec.name)
      throw refusalOf(error, this.#options.currency, this.#options.clock.now())
    } finally {
      for (const counter of rest) counter.part()
    }
  }

  /** The counters of a call; where one of them is of money and the price depends on volume, that volume’s before them. */
  #countersOf(rules: readonly CompiledRule[], caller: QuotaCaller, call: QuotaCall, at: number): Counter[] {
    const line = rules.some(({ spec }) => spec.unit === 'cost') ? this.#options.prices.volumeOf(call, at) : undefined
    const all = line === undefined ? rules : [this.#volumeOf(line), ...rules]
    return all.map((rule) => this.#counterOf(rule, caller, call, at))
  }

  #volumeOf(line: string): CompiledRule {
    let rule = this.#volumes.get(line)
    if (rule === undefined) {
      rule = volumeRule(line, (call) => this.#options.prices.volumeOf(call, this.#options.clock.now()))
      this.#volumes.set(line, rule)
    }
    return rule
  }

  #amountOf({ rule }: Counter, call: QuotaCall, at: number, position: bigint): bigint {
    return rule.spec.unit === 'cost' ? this.#options.prices.priceOf(call, at, position) : 1n
  }

  #counterOf(rule: CompiledRule, caller: QuotaCaller, call: QuotaCall, at: number): Counter {
    const window = this.#windowAt(rule.spec.per, at)
    const key = rule.keyOf(caller, call)
    const place = `${rule.id}/${window.name}/${key}`
    let counter = this.#counters.get(place)
    if (counter === undefined) {
      if (this.#counters.size >= limits.quotaCounters) throw new GatewayError('overloaded')
      counter = this.#newCounter(rule, window, caller, call)
      this.#counters.set(place, counter)
    }
    return counter
  }

  /** Gives back leases that lie idle, a few at a time, and shows others that this process lives. */
  async #sweep(): Promise<void> {
    const { clock } = this.#options
    try {
      if (this.#counters.size > 0) await this.#room.presence.renew()
      const isDue = clock.monotonic() - this.#scannedAt >= limits.quotaIdleMs
      if (this.#scan === undefined && isDue) {
        this.#scannedAt = clock.monotonic()
        this.#scan = this.#counters.entries()
      }
      for (let looked = 0, released = 0; looked < limits.quotaSweepCounters; looked++) {
        const [place, counter] = this.#scan?.next().value ?? []
        if (place === undefined || counter === undefined) {
          this.#scan = undefined
          return
        }
        const isUsed = counter.touched && clock.now() < counter.window.to
        counter.touched = false
        if (isUsed) continue
        await counter.release()
        // looked at now: a call may have come while it was given back
        if (counter.isIdle) this.#counters.delete(place)
        if (++released >= limits.quotaSweepReleases) return
      }
    } catch (error) {
      this.#options.onFault(error)
    }
  }

  async #rowsOf(rule: CompiledRule, window: Window): Promise<QuotaState[]> {
    const prefix = recordsOf(rule, window)
    const stored = new Map<string, string>()
    for (const { key, value } of await this.#options.records.list(prefix, { limit: limits.quotaRowsShown }))
      stored.set(key, value)
    const shown = new Map<string, Counter>()
    for (const counter of this.#counters.values()) {
      // each costs a look into the store
      if (shown.size >= limits.quotaRowsShown) break
      if (counter.rule === rule && counter.window.from === window.from) shown.set(counter.record, counter)
    }
    // to be looked at only: what other processes count is not taken over
    for (const [record, text] of stored)
      if (!shown.has(record)) shown.set(record, this.#asNamed(rule, window, readTally(text).names))
    if (rule.spec.each === undefined && shown.size === 0) shown.set(`${prefix}all`, this.#asNamed(rule, window, {}))
    const rows: QuotaState[] = []
    for (const [record, counter] of shown) {
      rows.push(stateOf(counter, await counter.look(stored.get(record))))
    }
    return rows
  }

  #asNamed(rule: CompiledRule, window: Window, names: CounterNames): Counter {
    const { tenant = '', principal = '', target = '', tool = '' } = names
    return this.#newCounter(rule, window, { tenant, subject: principal }, { meter: 'call', target, tool })
  }

  #newCounter(rule: CompiledRule, window: Window, caller: QuotaCaller, call: QuotaCall): Counter {
    const key = rule.keyOf(caller, call)
    const record = `${recordsOf(rule, window)}${key === '' ? 'all' : idOf([key])}`
    return new Counter(rule, window, key, rule.namesOf(caller, call), record, this.#room)
  }
}

const isVolume = ({ rule }: Counter): boolean => rule.spec.name === ''

const recordsOf = (rule: CompiledRule, window: Window): string => `quota/count/${rule.id}/${window.name}/`

/** Without quotas until `apply` says which. */
export const createQuotas = (options: QuotasOptions): Quotas => new CountingQuotas(options)
