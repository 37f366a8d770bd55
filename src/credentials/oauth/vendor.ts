/** The columns of the vendor table. */
import type { Json } from '../../core/model.ts'
import type { ClientAuthentication } from './room.ts'

/** One vendor: where its servers are and what they want. `{name}` in an address is filled from `vendorParameters`. */
export interface Vendor {
  readonly title: string
  /** The vendor's own page that the row is taken from. */
  readonly docs: string
  /** `…/.well-known/…`: the addresses, the issuer and the keys are found there. Else they are given below. */
  readonly discovery?: string
  readonly authorization?: string
  readonly token?: string
  /** RFC 7009. */
  readonly revocation?: string
  /** What `{name}` stands for when the configuration does not say. */
  readonly defaults?: { readonly [name: string]: string }
  readonly clientAuthentication: ClientAuthentication
  /** Where a comma stands between scopes, and not a space. */
  readonly commaScopes?: 'answer' | 'both'
  /** The parameter that carries the scopes to the authorization endpoint; `scope` unless given. */
  readonly scopeParameter?: string
  /** Whether it takes PKCE with S256 from a client that has a secret. */
  readonly pkce: boolean
  /** What the authorization request needs besides, be it for a refresh token. */
  readonly authorizationParameters?: { readonly [name: string]: string }
  /** Scopes that make it issue a refresh token. */
  readonly offlineScopes?: readonly string[]
  /** The token endpoint reads JSON, not a form. */
  readonly json?: boolean
  /** A grant (and the parameter of the same name) that turns a token of hours into one of months. */
  readonly longLived?: string
  readonly quirks?: readonly Quirk[]
  /** `error` values besides `invalid_grant` that mean, on a refresh: this grant is over. */
  readonly graveErrors?: readonly string[]
  /** The scheme of the `Authorization` field at its API; `Bearer` unless given. */
  readonly scheme?: string
  /** A field of each API request that names the client, in small letters. */
  readonly clientHeader?: string
}

/**
 * `errorWithSuccess`: a refusal is 200 with `error`, also beside a token. `authedUser`: the user's token is
 * in `authed_user`. `scopeList`: `scope` is an array. `noTokenType`: the answer lacks `token_type`. `userTokenType`:
 * `token_type` is `user` or `bot`. `statusError`: the error code is in `status`.
 */
export type Quirk = 'errorWithSuccess' | 'authedUser' | 'scopeList' | 'noTokenType' | 'userTokenType' | 'statusError'

/** An answer as the RFCs describe it, whatever the vendor sent. */
export interface Mended {
  readonly status: number
  readonly body: { readonly [name: string]: Json | undefined }
}
