/** A value that must never be printed: logs, errors, JSON and inspection show `[secret]`; only `reveal()` gives it. */
import { createHash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

const shown = '[secret]'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Called where a request is signed and nowhere else (an architecture test counts the places). */
  reveal(): string {
    return this.#value
  }

  /** Compares in constant time, on digests of equal length. */
  equals(text: string): boolean {
    return timingSafeEqual(digest(this.#value), digest(text))
  }

  /** Whether another one has the same value; in constant time. */
  isSame(other: Secret): boolean {
    return this.equals(other.#value)
  }

  toString(): string {
    return shown
  }

  toJSON(): string {
    return shown
  }

  [inspect.custom](): string {
    return shown
  }
}
