/** Who wants to hear that the list of tools has changed: open streams, by view, bounded in number. */
import { limits } from '../core/limits.ts'
import { GatewayError } from '../core/errors.ts'

export interface Listener {
  readonly view: string
  changed(): void
  /** The gateway is going away. */
  close(): void
}

export class Hub {
  readonly #listeners = new Set<Listener>()

  /** Throws `overloaded` past `limits.streamsOpen`. The answer takes the listener out again. */
  add(listener: Listener): () => void {
    if (this.#listeners.size >= limits.streamsOpen) throw new GatewayError('overloaded')
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  changed(views: ReadonlySet<string>): void {
    for (const listener of this.#listeners) if (views.has(listener.view)) listener.changed()
  }

  close(): void {
    for (const listener of this.#listeners) listener.close()
    this.#listeners.clear()
  }

  get size(): number {
    return this.#listeners.size
  }
}
