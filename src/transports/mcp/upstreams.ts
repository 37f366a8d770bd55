/** What this process keeps of MCP servers, over reloads of the configuration: listings, sessions, held calls, eras. */
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { Log } from '../../core/log.ts'
import type { Principal, Target } from '../../core/model.ts'
import type { Egress } from '../../egress/fetch.ts'
import type { CredentialProvider } from '../../credentials/provider.ts'
import type { Era } from './connection.ts'
import { HeldCalls } from './held.ts'
import { KeptListing, listOnce, type ListingOptions } from './listings.ts'
import { Sessions } from './sessions.ts'
import { Watches } from './watches.ts'

export interface UpstreamsOptions {
  readonly clock: Clock
  readonly log: Log
  /** Of this gateway, as servers are told it. */
  readonly version: string
  /** A server lists something else than before, or answers at last: its target is to be imported anew. */
  readonly onChanged: (target: string) => void
  /** A resource that the caller subscribed to has changed. */
  readonly onUpdated: (target: string, uri: string, caller: Principal) => void
}

export class Upstreams {
  readonly clock: Clock
  readonly version: string
  readonly sessions: Sessions
  readonly held: HeldCalls
  readonly watches: Watches
  readonly #options: UpstreamsOptions
  readonly #listings = new Map<string, KeptListing>()
  readonly #eras = new Map<string, { readonly era: Era; readonly until: number }>()

  constructor(options: UpstreamsOptions) {
    this.#options = options
    this.clock = options.clock
    this.version = options.version
    this.sessions = new Sessions(options.clock)
    this.held = new HeldCalls(options.clock)
    this.watches = new Watches(options)
  }

  /**
   * What the server lists, as bytes that `targets/mcp` reads: asked for at the first time, within `limits.mcpListMs`, and
   * kept fresh from then on. Throws the `target_…` errors, `egress_refused`, `bad_description` and `over_limit`; the
   * server is asked again by and by, and `onChanged` tells when it answers.
   */
  listing(options: ListingOptions): Promise<Uint8Array> {
    const { name } = options.target
    let kept = this.#listings.get(name)
    if (kept?.isOf(options) !== true) {
      kept?.close()
      const { clock, log, version, onChanged } = this.#options
      const onEra = (target: Target, era: Era): void => this.learn(target, era)
      kept = new KeptListing({ clock, log, version, onChanged, onEra }, options)
      this.#listings.set(name, kept)
    }
    return kept.get(options)
  }

  /** What the server lists for this caller, with the caller's credential, asked for now; for `mode: live`. */
  listingFor(
    caller: Principal,
    options: { readonly target: Target; readonly credential: CredentialProvider | undefined; readonly egress: Egress },
  ): Promise<Uint8Array> {
    const { clock, version } = this
    return listOnce({ clock, version, onEra: (target, era) => this.learn(target, era) }, options, caller)
  }

  /** Forgets the listings of all targets but these, and ends what is watched of others. */
  keep(targets: ReadonlySet<string>): void {
    this.watches.keep(targets)
    for (const [name, listing] of this.#listings) {
      if (targets.has(name)) continue
      listing.close()
      this.#listings.delete(name)
    }
  }

  /** What the server was last found to speak, for a while: a server that was replaced is found out again. */
  eraOf(target: Target): Era | undefined {
    const known = this.#eras.get(urlOf(target))
    return known !== undefined && known.until > this.clock.monotonic() ? known.era : undefined
  }

  learn(target: Target, era: Era | undefined): void {
    if (era === undefined) this.#eras.delete(urlOf(target))
    else this.#eras.set(urlOf(target), { era, until: this.clock.monotonic() + limits.mcpEraMs })
  }

  /** Ends sessions, held calls and streams; before the way out is closed. */
  async close(): Promise<void> {
    for (const listing of this.#listings.values()) listing.close()
    this.#listings.clear()
    this.held.close()
    await Promise.all([this.watches.close(), this.sessions.close()])
  }
}

const urlOf = ({ origin, basePath }: Target): string => `${origin}${basePath}`

export const createUpstreams = (options: UpstreamsOptions): Upstreams => new Upstreams(options)
