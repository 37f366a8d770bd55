/** What is in force: configuration and catalogue, immutable, numbered. A call finishes on the snapshot it began with. */
import type { Catalogue } from '../catalogue/catalogue.ts'
import type { Offered } from '../catalogue/offers.ts'
import type { Principal, Target, Tool } from '../core/model.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Issue, TargetAdapter } from '../targets/adapter.ts'
import type { Transport } from '../transports/transport.ts'
import type { Throttle } from './throttle.ts'

/** How a target is called. */
export interface Route {
  readonly target: Target
  readonly adapter: TargetAdapter
  readonly transport: Transport
  /** What it signs with, where a user has to be asked. */
  readonly credential: CredentialProvider | undefined
}

/** What the operator sees of a target, whether it can be called or not. */
export interface TargetStatus {
  readonly name: string
  readonly kind: string
  readonly status: 'READY' | 'FAILED'
  /** Why it failed, or what its import left out. The version in force may be an older one that was good. */
  readonly reasons: readonly string[]
  readonly toolCount: number
  /** Hash of the tools in force; empty when there are none. */
  readonly version: string
  /** Names a version that waits for approval, of a pinned target. */
  readonly held?: string
  readonly server: string
  readonly source: string
  readonly issues: readonly Issue[]
}

/** What a caller sees of a view. */
export interface Seen {
  readonly catalogue: Catalogue
  readonly offers: Offered
}

/** For gateways some of whose targets list to each caller for itself. */
export interface LiveLists {
  /** Asks those targets now. */
  fresh(this: void, view: string, caller: Principal): Promise<Seen>
  /** What they said last, within `limits.liveMs`. */
  known(this: void, view: string, caller: Principal): Promise<Seen>
}

export interface Snapshot {
  /** Grows with each change that took effect. */
  readonly number: number
  /** Why the configuration file as it is now is not the one in force. */
  readonly configError: string | undefined
  readonly serverName: string
  readonly instructions: string | undefined
  /** The catalogue of a view, `''` for the whole, whoever may see it. */
  catalogue(view: string): Catalogue | undefined
  /** The tool, if it is in the view and the caller may use it: absent and forbidden look alike. */
  find(view: string, caller: Principal, name: string): Tool | undefined
  /** What the caller may see of a view, by the same rules. */
  listed(view: string, caller: Principal): Catalogue | undefined
  /** Entries a page of a list; 0 for all on one. */
  readonly listPageSize: number
  /** Prompts and resources of MCP servers, whoever may use them. */
  readonly offers: Offered
  /** Whether what a target offers under a name is in the view and the caller may use it. */
  mayUse(view: string, caller: Principal, offer: { readonly name: string; readonly target: Target }): boolean
  /** Where some targets list to each caller: what `find`, `listed` and `offers` have is then not all. */
  readonly live?: LiveLists
  /** Changes when the rules of access do. */
  readonly accessVersion: string
  readonly throttle: Throttle
  route(target: Target): Route
  /** Names of the views, the whole (`""`) among them. */
  readonly views: readonly string[]
  readonly targets: readonly TargetStatus[]
}
