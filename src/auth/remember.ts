/** Tokens that were verified, so that the same token coming again costs a hash and not a signature. */
import { hash } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import type { Principal } from '../core/model.ts'

interface Entry {
  readonly principal: Principal
  /** The token’s own end, milliseconds since the epoch. */
  readonly expiresAt: number
  /** When it is verified again whatever it says, on the monotonic scale. */
  readonly verifyAt: number
  readonly holds: () => boolean
}

/** A token is kept as its SHA-256 only. */
const nameOf = (token: string): string => hash('sha256', token, 'base64')

/**
 * At most `max` tokens; the one that was not seen for longest goes first. Belongs to one configuration of inbound
 * checks: when that changes, a new one is made.
 */
export class RememberedTokens {
  readonly #entries = new Map<string, Entry>()
  readonly #clock: Clock
  readonly #max: number

  constructor(clock: Clock, max: number = limits.callerTokensRemembered) {
    this.#clock = clock
    this.#max = max
  }

  get size(): number {
    return this.#entries.size
  }

  get(token: string): Principal | undefined {
    const name = nameOf(token)
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    this.#entries.delete(name)
    const over = this.#clock.now() >= entry.expiresAt || this.#clock.monotonic() >= entry.verifyAt
    if (over || !entry.holds()) return undefined
    // a map lists in the order of insertion, so that the last used stands last
    this.#entries.set(name, entry)
    return entry.principal
  }

  /**
   * `expiresAt` in milliseconds since the epoch; `limits.callerTokenRememberMs` at most. `holds` tells whether what the
   * verification stood on still stands: the key is still published.
   */
  put(token: string, principal: Principal, expiresAt: number, holds: () => boolean): void {
    const verifyAt = this.#clock.monotonic() + limits.callerTokenRememberMs
    this.#entries.set(nameOf(token), { principal, expiresAt, verifyAt, holds })
    if (this.#entries.size <= this.#max) return
    const [oldest] = this.#entries.keys()
    if (oldest !== undefined) this.#entries.delete(oldest)
  }
}
