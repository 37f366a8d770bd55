/** The words of the façade: what it is configured with, what it needs of the gateway, what it reports and refuses. */
import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import type { TokenCheck } from '../../auth/jwt.ts'
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Secret } from '../../core/secret.ts'
import type { Egress } from '../../egress/fetch.ts'
import type { Guard } from '../../mcp/guard.ts'
import type { Seal } from '../../mcp/seal.ts'
import type { Records } from '../../store/records.ts'
import type { Vault } from '../../vault/vault.ts'

/** The identity provider behind the façade, where the gateway is a client registered by hand. */
interface ProviderOptions {
  /** `…/.well-known/openid-configuration` or `…/.well-known/oauth-authorization-server…`. */
  readonly discoveryUrl: string
  readonly clientId: string
  readonly clientSecret?: Secret
  /** All that is ever asked for; with `openid`, and whatever makes the provider give refresh tokens. */
  readonly scopes: readonly string[]
  /** RFC 8707; sent only when given, since providers of this kind refuse it. */
  readonly resource?: string
  /** Further parameters of the authorization request, for example `audience`. */
  readonly parameters?: ReadonlyMap<string, string>
}

export interface FacadeRoom {
  /** Without a final slash; the issuer’s name. */
  readonly publicUrl: string
  /** What the gateway is called on the page that asks for consent. */
  readonly name: string
  readonly provider: ProviderOptions
  /** The inbound check, which the provider’s tokens must pass: else clients would sign in again and again. */
  readonly check: TokenCheck['check']
  /** What `resource` may be (RFC 8707): see `resourceAliases`. */
  readonly aliases: () => readonly string[]
  /** Schemes without a dot that clients may be sent back to, for example `cursor`. */
  readonly redirectSchemes?: readonly string[]
  readonly records: Records
  /** Seals what holds a token. */
  readonly vault: Vault
  /** Seals what travels with a client or browser and holds none. */
  readonly seal: Seal
  readonly egress: Egress
  readonly clock: Clock
  /** Its rule for `Host`; these routes have their own for `Origin`. */
  readonly guard: Guard
  /** A fresh text of at least 128 random bits: letters, digits, `-` and `_`. */
  readonly random: () => string
  readonly log: Log
  /** Acts for the audit. */
  readonly note: (event: FacadeEvent) => void
}

export type FacadeAct = 'register' | 'consent' | 'sign_in' | 'token' | 'refresh'

/** Which client did what, and how it ended; never a value. */
export interface FacadeEvent {
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly act: FacadeAct
  /** Hash of the client’s id; empty when there is none to believe. */
  readonly client: string
  /** `refused`: by this gateway or the user. `failed`: at the provider. */
  readonly outcome: 'ok' | 'refused' | 'failed'
  /** A fixed word or an error code of RFC 6749. */
  readonly detail?: string
}

export type FacadeContext = Context<{ Bindings: HttpBindings }>

/** RFC 6749 §4.1.2.1 and §5.2, RFC 7591 §3.2.2, RFC 8707 §2. */
export type OAuthError =
  | 'access_denied'
  | 'invalid_client'
  | 'invalid_client_metadata'
  | 'invalid_grant'
  | 'invalid_redirect_uri'
  | 'invalid_request'
  | 'invalid_target'
  | 'server_error'
  | 'temporarily_unavailable'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'

/** A refusal in OAuth’s own words. Its message is for the client’s developer, in ASCII (RFC 6749 §5.2). */
export class OAuthRefusal extends Error {
  readonly error: OAuthError
  /** For the audit, where it says more than `error`. */
  readonly detail: string | undefined

  constructor(error: OAuthError, description: string, options: { detail?: string; cause?: unknown } = {}) {
    super(description, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'OAuthRefusal'
    this.error = error
    this.detail = options.detail
  }

  get status(): 400 | 401 | 500 | 503 {
    if (this.error === 'invalid_client') return 401
    if (this.error === 'server_error') return 500
    return this.error === 'temporarily_unavailable' ? 503 : 400
  }
}

/** Takes note of an act, now. */
export const note = (room: FacadeRoom, act: FacadeAct, client: string, how: Pick<FacadeEvent, 'outcome' | 'detail'>) =>
  room.note({ at: room.clock.now(), act, client, ...how })

/** Where the provider sends the browser back to; to be registered there. */
export const callbackUri = ({ publicUrl }: Pick<FacadeRoom, 'publicUrl'>): string => `${publicUrl}/authorize/callback`
