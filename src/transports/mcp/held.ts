/** Calls that wait for a person, each under a name that only the same caller can use, for the same tool. */
import { randomUUID } from 'node:crypto'
import type { CancelSignal } from '../../core/cancel.ts'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Call } from './call.ts'

interface Held {
  readonly call: Call
  readonly owner: string
  readonly tool: string
  /** Nothing ends it any more by itself. */
  readonly letGo: () => void
}

const mark = 'held-'

/** Whether a state was given by `hold`, and not by a server that keeps its own. */
export const isHeldState = (state: string | undefined): boolean => state?.startsWith(mark) === true

export class HeldCalls {
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Gives the state to come back with, within `limits.askMs`; a caller who goes away meanwhile does not. Throws `overloaded`,
   * and then the call is cancelled.
   */
  hold(call: Call, owner: string, tool: string, signal: CancelSignal): string {
    let own = 0
    for (const held of this.#held.values()) if (held.owner === owner) own++
    if (this.#held.size >= limits.mcpHeldCalls || own >= limits.mcpHeldPerCaller) {
      call.cancel()
      throw new GatewayError('overloaded')
    }
    const state = `${mark}${randomUUID()}`
    const end = (): void => {
      letGo()
      this.#held.delete(state)
      call.cancel()
    }
    const stopTimer = this.#clock.after(limits.askMs, end)
    const letGo = (): void => {
      stopTimer()
      signal.removeEventListener('abort', end)
    }
    signal.addEventListener('abort', end, { once: true })
    this.#held.set(state, { call, owner, tool, letGo })
    return state
  }

  /** The call, held no longer; nothing for another caller or another tool. */
  take(state: string | undefined, owner: string, tool: string): Call | undefined {
    const held = state === undefined ? undefined : this.#held.get(state)
    if (state === undefined || held?.owner !== owner || held.tool !== tool) return undefined
    this.#held.delete(state)
    held.letGo()
    return held.call
  }

  close(): void {
    for (const { call, letGo } of this.#held.values()) {
      letGo()
      call.cancel()
    }
    this.#held.clear()
  }
}
