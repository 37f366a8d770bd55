/** The words of the OAuth half: what a credential is configured with, and what it needs of the gateway. */
import type { Clock } from '../../core/clock.ts'
import type { Secret } from '../../core/secret.ts'
import type { Egress } from '../../egress/fetch.ts'
import type { Records } from '../../store/records.ts'
import type { Vault } from '../../vault/vault.ts'
import type { SecretSource } from '../rotating.ts'

type GrantKind = 'clientCredentials' | 'authorizationCode' | 'tokenExchange' | 'jwtBearer'

export type ClientAuthentication = 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none'

/** A credential of type `oauth2`, as the configuration has it; secrets are found, nothing else is filled in. */
export interface OAuthOptions {
  /** The credential's name in the configuration. */
  readonly name: string
  readonly grant: GrantKind
  /** A row of the vendor table. */
  readonly vendor?: string
  /** What the row's addresses leave open: `tenantId`, `domain`, `subdomain`, … */
  readonly vendorParameters: ReadonlyMap<string, string>
  /** `…/.well-known/openid-configuration` or `…/.well-known/oauth-authorization-server…`. */
  readonly discoveryUrl?: string
  readonly issuer?: string
  readonly authorizationEndpoint?: string
  readonly tokenEndpoint?: string
  readonly revocationEndpoint?: string
  readonly clientId: string
  /** One that may change while the gateway runs is a source. */
  readonly clientSecret?: Secret | SecretSource
  /** PEM (PKCS #8, PKCS #1 or SEC 1) or a JWK. */
  readonly privateKey?: Secret
  readonly clientAuthentication?: ClientAuthentication
  readonly scopes: readonly string[]
  /** What a target may have asked for besides (RFC 6750 §3.1, `insufficient_scope`). */
  readonly optionalScopes?: readonly string[]
  readonly audience?: string
  /** RFC 8707. */
  readonly resource?: string
  readonly parameters: {
    readonly authorization: ReadonlyMap<string, string>
    readonly token: ReadonlyMap<string, string>
  }
  /** `jwtBearer` with a `privateKey`: what the self-made assertion says (RFC 7523 §3). */
  readonly assertion?: AssertionOptions
  /** `tokenExchange`: who acts for the caller (RFC 8693 §2.1). */
  readonly actorToken?: ActorToken
}

interface AssertionOptions {
  /** `sub`: whom to act for. */
  readonly subject?: string
  /** `aud`: the token endpoint unless given. */
  readonly audience?: string
  readonly claims?: ReadonlyMap<string, string>
}

interface ActorToken {
  readonly token: Secret
  /** `urn:ietf:params:oauth:token-type:jwt` unless given. */
  readonly type?: string
}

/** What the room has of the gateway. */
export interface OAuthRoom {
  readonly records: Records
  readonly vault: Vault
  readonly egress: Egress
  readonly clock: Clock
  /** A fresh text of at least 128 random bits, letters, digits, `-` and `_` only. */
  readonly random: () => string
  readonly audit: (event: AuditEvent) => void
  /** This process, as no other is called. */
  readonly owner: string
  /** `{publicUrl}/connect/callback`; each credential's own redirect URI begins with it (see `redirectUri`). */
  readonly callbackUrl: string
}

/** The part of a principal that owns connections. */
export interface Owner {
  readonly tenant: string
  readonly subject: string
}

export type AuditAct = 'begin' | 'start' | 'connect' | 'disconnect' | 'refresh' | 'reconnect' | 'denied' | 'token'

/** Who did what to which credential, and how it ended; never a value. */
export interface AuditEvent {
  /** Milliseconds since the Unix epoch. */
  readonly at: number
  readonly act: AuditAct
  readonly tenant: string
  /** Empty for what the gateway does as itself. */
  readonly subject: string
  readonly credential: string
  readonly outcome: 'ok' | 'failed' | 'unknown'
  /** A fixed word or an error code of RFC 6749. */
  readonly detail?: string
}

/**
 * Where the authorization server sends the browser back to: an address of its own for each credential, so that no
 * server can pass its answer off as another's, even one that knows nothing of `iss` (RFC 9700 §4.4.2).
 */
export const redirectUri = (room: Pick<OAuthRoom, 'callbackUrl'>, credential: string): string =>
  `${room.callbackUrl}/${encodeURIComponent(credential)}`
