/** The time that one call may take, over all its attempts, with the caller’s own cancelling. */
import { Cancellation, type CancelSignal } from '../../core/cancel.ts'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'

export class Deadline {
  readonly #clock: Clock
  readonly #end: number
  readonly #outer: CancelSignal
  readonly #own = new Cancellation()
  readonly #stopTimer: () => void
  #over = false

  constructor(ms: number, outer: CancelSignal, clock: Clock) {
    this.#clock = clock
    this.#end = clock.monotonic() + ms
    this.#outer = outer
    this.#stopTimer = clock.after(ms, () => {
      this.#over = true
      this.#own.abort()
    })
    outer.addEventListener('abort', this.#cancel, { once: true })
    if (outer.aborted) this.#own.abort()
  }

  /** Aborts when the caller hangs up, or when the time is over. */
  get signal(): CancelSignal {
    return this.#own
  }

  /** It was the time that ended it, and not the caller. */
  get isOver(): boolean {
    return this.#over && !this.#outer.aborted
  }

  /** Waits. Throws `cancelled` when the signal aborts. */
  async pause(ms: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      if (this.#own.aborted) {
        reject(new GatewayError('cancelled'))
        return
      }
      const wake = (): void => {
        stop()
        reject(new GatewayError('cancelled'))
      }
      const stop = this.#clock.after(ms, () => {
        this.#own.removeEventListener('abort', wake)
        resolve()
      })
      this.#own.addEventListener('abort', wake)
    })
  }

  /** Milliseconds that are left. */
  get leftMs(): number {
    return this.#end - this.#clock.monotonic()
  }

  close(): void {
    this.#stopTimer()
    this.#outer.removeEventListener('abort', this.#cancel)
  }

  readonly #cancel = (): void => this.#own.abort()
}
