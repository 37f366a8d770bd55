/** A value that must never be printed: logs, errors, JSON and inspection show `[secret]`; only `reveal()` gives it. */
import { inspect } from 'node:util'

const shown = '[secret]'

export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  /** The value itself. Called where a request is signed and nowhere else (an architecture test counts the places). */
  reveal(): string {
    return this.#value
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
