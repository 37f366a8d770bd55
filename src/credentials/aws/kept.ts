/**
 * A value that is got elsewhere and kept for a while: one reading at a time however many wait for it, read anew when it
 * is no longer fresh, and good beyond that as long as its source cannot be asked.
 */
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

interface Reading<T> {
  readonly value: T
  /** Taken as it is for so many milliseconds. */
  readonly freshMs: number
  /** Taken for so many milliseconds when it cannot be read anew. */
  readonly goodMs: number
}

export interface Source<T> {
  /** `again`: what was read last will not do. Throws `token_refused` and `token_unavailable`. */
  read(again: boolean): Promise<Reading<T>>
  same(one: T, other: T): boolean
  /** Told when an old value is used since there is no new one. */
  onStale(error: unknown): void
}

interface Held<T> {
  readonly value: T
  /** On the monotonic clock, as all times here. */
  readonly readAt: number
  freshUntil: number
  readonly goodUntil: number
}

export class Kept<T> {
  readonly #clock: Clock
  readonly #source: Source<T>
  #held: Held<T> | undefined
  #flight: Promise<T> | undefined
  #failure: { readonly error: unknown; readonly until: number } | undefined

  constructor(clock: Clock, source: Source<T>) {
    this.#clock = clock
    this.#source = source
  }

  /** The value, the same object as long as it is the same; without a promise when it is fresh. */
  get(): T | Promise<T> {
    const held = this.#held
    return held !== undefined && this.#clock.monotonic() < held.freshUntil ? held.value : this.#late()
  }

  /** The next `get` reads anew. */
  forget(): void {
    if (this.#held !== undefined) this.#held.freshUntil = -Infinity
    this.#failure = undefined
  }

  /** Reads anew, unless the value is another already or was read just now: whether there is one that is not rejected. */
  async renew(isRejected: (value: T) => boolean): Promise<boolean> {
    const held = this.#held
    if (held !== undefined && !isRejected(held.value)) return true
    const now = this.#clock.monotonic()
    // one that was read just now is refused for another reason, and another reading would give the same
    if (held !== undefined && now - held.readAt < limits.awsRenewMs) return false
    if (this.#failureAt(now) !== undefined) return false
    try {
      return !isRejected(await this.#fly(true))
    } catch {
      // the target's own answer tells more than that its credential could not be read
      return false
    }
  }

  #failureAt(now: number): { readonly error: unknown } | undefined {
    return this.#failure !== undefined && now < this.#failure.until ? this.#failure : undefined
  }

  async #late(): Promise<T> {
    const now = this.#clock.monotonic()
    const held = this.#held
    const good = held !== undefined && now < held.goodUntil
    const failure = this.#failureAt(now)
    if (failure !== undefined) {
      if (good) return held.value
      throw failure.error
    }
    const flight = this.#fly(false)
    return good ? this.#patiently(flight, held) : flight
  }

  /** The new value, or the old one when the new does not come soon; not when the answer is that there is none. */
  #patiently(flight: Promise<T>, held: Held<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = this.#clock.after(limits.awsPatienceMs, () => resolve(held.value))
      flight.then(resolve, (error) => (isRefusal(error) ? reject(error) : resolve(held.value))).finally(stop)
    })
  }

  #fly(again: boolean): Promise<T> {
    if (this.#flight === undefined) {
      const flight = this.#read(again).finally(() => {
        this.#flight = undefined
      })
      // whoever waited may have gone on with the old value
      flight.catch(() => undefined)
      this.#flight = flight
    }
    return this.#flight
  }

  async #read(again: boolean): Promise<T> {
    try {
      const { value, freshMs, goodMs } = await this.#source.read(again)
      const now = this.#clock.monotonic()
      const old = this.#held
      const kept = old !== undefined && this.#source.same(old.value, value) ? old.value : value
      this.#held = { value: kept, readAt: now, freshUntil: now + freshMs, goodUntil: now + goodMs }
      this.#failure = undefined
      return kept
    } catch (error) {
      const now = this.#clock.monotonic()
      // whoever asks again at once hears the same, so that a service in trouble is left alone for a moment
      this.#failure = { error, until: now + limits.awsPauseMs }
      if (isRefusal(error)) this.#held = undefined
      else if (this.#held !== undefined && now < this.#held.goodUntil) this.#source.onStale(error)
      throw error
    }
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof GatewayError && (error.code === 'token_refused' || error.code === 'bad_config')
