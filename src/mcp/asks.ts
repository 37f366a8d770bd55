/**
 * Requests from here to a client of an older revision (elicitation, sampling, roots), which it answers in a POST of its
 * own. They are kept in this process: the answer must reach the replica that asked, and a lost one ends in a time-out.
 */
import { randomUUID } from 'node:crypto'
import type { CancelSignal } from '../core/cancel.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Json } from '../core/model.ts'
import type { Id } from './message.ts'

interface Open {
  readonly owner: string
  readonly resolve: (answer: { readonly result?: Json; readonly error?: Json }) => void
}

export class Asks {
  readonly #open = new Map<Id, Open>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A fresh id and the answer to come; it fails with `cancelled` on `signal` or after `limits.askMs`. */
  ask(
    owner: string,
    signal: CancelSignal,
  ): { id: string; answer: Promise<{ readonly result?: Json; readonly error?: Json }> } {
    if (this.#open.size >= limits.asksOpen) throw new GatewayError('overloaded')
    const id = randomUUID()
    const answer = new Promise<{ readonly result?: Json; readonly error?: Json }>((resolve, reject) => {
      const settle = (): void => {
        this.#open.delete(id)
        cancel()
        signal.removeEventListener('abort', fail)
      }
      const fail = (): void => {
        settle()
        reject(new GatewayError('cancelled', { words: 'The client did not answer what it was asked.' }))
      }
      const cancel = this.#clock.after(limits.askMs, fail)
      signal.addEventListener('abort', fail, { once: true })
      this.#open.set(id, {
        owner,
        resolve: (value) => {
          settle()
          resolve(value)
        },
      })
    })
    return { id, answer }
  }

  /** Takes a client's answer; whatever was not asked, or was asked of another, is ignored. */
  answer(id: Id, owner: string, value: { readonly result?: Json; readonly error?: Json }): void {
    const open = this.#open.get(id)
    if (open?.owner === owner) open.resolve(value)
  }
}
