/** Who wants to hear what has changed, lists and resources: open streams, by view, bounded in number. */
import { limits } from '../core/limits.ts'
import { GatewayError } from '../core/errors.ts'

export type List = 'tools' | 'prompts' | 'resources'

export interface Listener {
  readonly view: string
  /** Whose it is (`principalKey`). */
  readonly owner: string
  changed(list: List): void
  /** A resource that its owner has subscribed to, on this stream or another. */
  updated(uri: string): void
  /** The gateway is going away. */
  close(): void
}

export class Hub {
  readonly #listeners = new Set<Listener>()
  readonly #owned = new Map<string, number>()

  /**
   * Throws `overloaded` past `limits.streamsOpen`, or past `limits.streamsPerCaller` of one caller. The answer takes the
   * listener out again.
   */
  add(listener: Listener): () => void {
    const own = this.#owned.get(listener.owner) ?? 0
    if (this.#listeners.size >= limits.streamsOpen || own >= limits.streamsPerCaller)
      throw new GatewayError('overloaded')
    this.#listeners.add(listener)
    this.#owned.set(listener.owner, own + 1)
    return () => {
      if (!this.#listeners.delete(listener)) return
      const left = (this.#owned.get(listener.owner) ?? 1) - 1
      if (left === 0) this.#owned.delete(listener.owner)
      else this.#owned.set(listener.owner, left)
    }
  }

  changed(list: List, views: ReadonlySet<string>): void {
    for (const listener of this.#listeners) if (views.has(listener.view)) listener.changed(list)
  }

  updated(owner: string, uri: string): void {
    for (const listener of this.#listeners) if (listener.owner === owner) listener.updated(uri)
  }

  close(): void {
    for (const listener of this.#listeners) listener.close()
    this.#listeners.clear()
    this.#owned.clear()
  }

  get size(): number {
    return this.#listeners.size
  }
}
