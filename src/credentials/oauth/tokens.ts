/**
 * The tokens of one credential, in this process. A hit is answered at once; a token is renewed before it ends, by one
 * flight however many wait for it; every few seconds its record is looked at, since another process may have changed it.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Secret } from '../../core/secret.ts'
import { fingerprintOf, leewayMs } from './record.ts'

export interface Token {
  readonly access: Secret
  readonly fingerprint: string
  /** `access` alone, as what a request is signed with. */
  readonly secrets: readonly Secret[]
}

/** A token as its source gives it. */
export interface Obtained {
  readonly access: Secret
  /** Good for so many milliseconds from now; infinite when nobody said. */
  readonly remainingMs: number
  /** Good for so many milliseconds when it was got. */
  readonly lifetimeMs: number | undefined
  readonly ageMs: number
  /** Grows with every set of tokens. */
  readonly counter: number
  /** Of its record; undefined when it has none. */
  readonly version: number | undefined
}

export interface Wanted {
  /** The fingerprint of a token that will not do. */
  readonly rejected?: string
  /** A counter that will not do, nor an older one. */
  readonly newerThan?: number
}

/** Where a token comes from. */
export interface Source {
  obtain(wanted: Wanted): Promise<Obtained>
  /** The version of its record now; missing where there is none. */
  version?(): Promise<number | undefined>
}

export interface Tokens {
  /** The token, if it is at hand and nothing has to be looked at first. Costs a microsecond. */
  peek(name: string): Token | undefined
  /** Rejects with what the source rejects with, or with `token_unavailable` after `limits.tokenWaitMs`. */
  get(name: string, source: Source): Promise<Token>
  /** After a 401: whether there is another token than the one rejected. */
  renew(name: string, source: Source, rejected: string): Promise<boolean>
  /** The next `get` looks at the record. */
  forget(name: string): void
}

interface Entry {
  readonly token: Token
  readonly counter: number
  readonly version: number | undefined
  /** All on the monotonic clock, which no jump of the wall clock moves. */
  readonly obtainedAt: number
  readonly endAt: number
  refreshAt: number
  checkAt: number
}

interface Failure {
  readonly error: unknown
  readonly until: number
}

/** `owner` differs from process to process, and with it the moment of renewal. */
export function createTokens(clock: Clock, owner: string): Tokens {
  return new TokenCache(clock, owner)
}

class TokenCache implements Tokens {
  readonly #clock: Clock
  readonly #owner: string
  /** The least used first. */
  readonly #entries = new Map<string, Entry>()
  readonly #flights = new Map<string, Promise<Entry>>()
  readonly #failures = new Map<string, Failure>()

  constructor(clock: Clock, owner: string) {
    this.#clock = clock
    this.#owner = owner
  }

  peek(name: string): Token | undefined {
    const entry = this.#entries.get(name)
    if (entry === undefined) return undefined
    const now = this.#clock.monotonic()
    if (now >= entry.checkAt || now >= entry.refreshAt || now >= entry.endAt) return undefined
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    return entry.token
  }

  async get(name: string, source: Source): Promise<Token> {
    const entry = await this.#checked(name, source)
    const now = this.#clock.monotonic()
    // the record may be of another opinion, when the wall clock was set back: what is over here is over
    if (entry === undefined || now >= entry.endAt)
      return (await this.#fly(name, source, entry === undefined ? {} : { newerThan: entry.counter })).token
    if (now >= entry.refreshAt) {
      entry.refreshAt = now + limits.tokenPauseMs
      // it is good for a while yet, so nobody waits, and a failure is heard of when it is not
      this.#fly(name, source, { newerThan: entry.counter }).catch(() => undefined)
    }
    return entry.token
  }

  async renew(name: string, source: Source, rejected: string): Promise<boolean> {
    const entry = this.#entries.get(name)
    if (entry !== undefined && entry.token.fingerprint !== rejected) return true
    // one that was got just now is refused for another reason, and another one would be as well
    if (entry !== undefined && this.#clock.monotonic() - entry.obtainedAt < limits.tokenRenewMs) return false
    this.#entries.delete(name)
    const renewed = await this.#fly(name, source, { rejected })
    return renewed.token.fingerprint !== rejected
  }

  forget(name: string): void {
    this.#entries.delete(name)
    this.#failures.delete(name)
  }

  /** The entry, unless its record is another by now. */
  async #checked(name: string, source: Source): Promise<Entry | undefined> {
    const entry = this.#entries.get(name)
    if (entry === undefined || this.#clock.monotonic() < entry.checkAt) return entry
    // one look for all who come meanwhile
    entry.checkAt = this.#clock.monotonic() + limits.tokenRecheckMs
    // a store that cannot be asked has not said no: what was good stays good until it ends
    const version = await source.version?.().catch(() => entry.version)
    if (version === entry.version) return entry
    if (this.#entries.get(name) === entry) this.#entries.delete(name)
    return this.#entries.get(name)
  }

  /** One flight a name; whoever comes later waits for it, but no longer than is allowed. */
  async #fly(name: string, source: Source, wanted: Wanted): Promise<Entry> {
    let flight = this.#flights.get(name)
    if (flight === undefined) {
      const failure = this.#failures.get(name)
      if (failure !== undefined && this.#clock.monotonic() < failure.until) throw failure.error
      flight = this.#obtain(name, source, wanted).finally(() => this.#flights.delete(name))
      this.#flights.set(name, flight)
    }
    return within(this.#clock, limits.tokenWaitMs, flight)
  }

  async #obtain(name: string, source: Source, wanted: Wanted): Promise<Entry> {
    try {
      const entry = this.#entryOf(await source.obtain(wanted))
      this.#failures.delete(name)
      keep(this.#entries, name, entry)
      return entry
    } catch (error) {
      // whoever asks again at once hears the same, so that a server in trouble is left alone for a moment
      if (error instanceof GatewayError && error.code.startsWith('token_'))
        keep(this.#failures, name, { error, until: this.#clock.monotonic() + limits.tokenPauseMs })
      throw error
    }
  }

  #entryOf({ access, remainingMs, lifetimeMs, ageMs, counter, version }: Obtained): Entry {
    const now = this.#clock.monotonic()
    const fingerprint = fingerprintOf(access)
    const endAt = lifetimeMs === undefined ? Infinity : now + remainingMs - leewayMs(lifetimeMs)
    const early = Math.min(limits.tokenEarlyMs, (lifetimeMs ?? 0) / 5)
    return {
      token: { access, fingerprint, secrets: [access] },
      counter,
      version,
      obtainedAt: now - ageMs,
      endAt,
      refreshAt: endAt - early * (0.5 + fraction(`${this.#owner} ${fingerprint}`) / 2),
      checkAt: version === undefined ? Infinity : now + limits.tokenRecheckMs,
    }
  }
}

function keep<T>(map: Map<string, T>, name: string, value: T): void {
  map.delete(name)
  map.set(name, value)
  if (map.size <= limits.tokensCached) return
  const first = map.keys().next()
  if (first.done !== true) map.delete(first.value)
}

/** The same number between 0 and 1 for the same text: jitter that can be repeated. */
const fraction = (text: string): number => createHash('sha256').update(text).digest().readUInt32BE(0) / 2 ** 32

function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = clock.after(ms, () => reject(new GatewayError('token_unavailable')))
    work.then(resolve, reject).finally(stop)
  })
}
