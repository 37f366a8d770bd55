/** What this process knows of sessions of the older revisions: all of it may be forgotten without harm, so all is bounded. */
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Id } from './message.ts'

export class SessionNotes {
  readonly #ended = new Set<string>()
  readonly #levels = new Map<string, string>()
  /** What a session has subscribed to. */
  readonly #watching = new Map<string, Set<string>>()
  /** How a call under way is withdrawn, by session and request. */
  readonly #calls = new Map<string, () => void>()

  /** Gives the resources that it watched. */
  end(id: string): string[] {
    const left = [...(this.#watching.get(id) ?? [])]
    this.#watching.delete(id)
    this.#ended.add(id)
    keepNewest(this.#ended, limits.sessionsRemembered)
    return left
  }

  hasEnded(id: string): boolean {
    return this.#ended.has(id)
  }

  setLevel(id: string, level: string): void {
    this.#levels.set(id, level)
    keepNewest(this.#levels, limits.sessionsRemembered)
  }

  level(id: string): string | undefined {
    return this.#levels.get(id)
  }

  /** Whether it did not yet. A session that cannot have a stream open need not be known. Throws `over_limit`. */
  watch(id: string, uri: string): boolean {
    const watched = this.#watching.get(id) ?? new Set()
    if (watched.has(uri)) return false
    if (watched.size >= limits.resourcesWatched)
      throw new GatewayError('over_limit', {
        words: `A session subscribes to at most ${limits.resourcesWatched} resources.`,
      })
    this.#watching.delete(id)
    this.#watching.set(id, watched.add(uri))
    keepNewest(this.#watching, limits.streamsOpen)
    return true
  }

  /** Whether it did. */
  unwatch(id: string, uri: string): boolean {
    return this.#watching.get(id)?.delete(uri) === true
  }

  watches(id: string, uri: string): boolean {
    return isAmong(this.#watching.get(id) ?? [], uri)
  }

  /** A call that its client may withdraw until what comes back is called. */
  begun(id: string, request: Id, withdraw: () => void): () => void {
    const key = JSON.stringify([id, request])
    if (id === '' || this.#calls.has(key)) return () => undefined
    this.#calls.set(key, withdraw)
    return () => void this.#calls.delete(key)
  }

  /** Nothing where no such call is under way here. */
  withdraw(id: string, request: Id): void {
    this.#calls.get(JSON.stringify([id, request]))?.()
  }
}

/** A server may say that a part of what is watched has changed (MCP 2025-11-25, resources). */
export const isAmong = (watched: Iterable<string>, uri: string): boolean => {
  for (const one of watched) if (uri.startsWith(one)) return true
  return false
}

function keepNewest(all: Set<string> | Map<string, unknown>, most: number): void {
  for (const oldest of all.keys()) {
    if (all.size <= most) return
    all.delete(oldest)
  }
}
