/** Tells work under way that nobody waits for it any more. */

/** The part of an `AbortSignal` that is listened to; a `Cancellation` is one too, at a fraction of its cost. */
export interface CancelSignal {
  readonly aborted: boolean
  addEventListener(type: 'abort', act: () => void, options?: { readonly once?: boolean }): void
  removeEventListener(type: 'abort', act: () => void): void
}

/** Made for every call, used for few: it holds its listeners in a set and nothing else. */
export class Cancellation implements CancelSignal {
  readonly #listeners = new Set<() => void>()
  #aborted = false

  get aborted(): boolean {
    return this.#aborted
  }

  abort(): void {
    if (this.#aborted) return
    this.#aborted = true
    for (const act of this.#listeners) act()
    this.#listeners.clear()
  }

  addEventListener(_type: 'abort', act: () => void): void {
    this.#listeners.add(act)
  }

  removeEventListener(_type: 'abort', act: () => void): void {
    this.#listeners.delete(act)
  }
}
