/**
 * The gateway as a client of one authorization server: each request that it makes there, once, and what comes back as
 * a set of tokens. Rejects with a `TokenFault` that says whether the server may have acted.
 */
import * as oauth from 'oauth4webapi'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import { isFor } from './audience.ts'
import { authenticationOf, renewSecret } from './authentication.ts'
import { TokenFault, toFault } from './fault.ts'
import type { OAuthOptions, OAuthRoom } from './room.ts'
import type { Server, Servers } from './server.ts'
import { mendToken } from './vendors.ts'
import { createWire, type Wire } from './wire.ts'

/** What a token endpoint gave (RFC 6749 §5.1). */
export interface TokenSet {
  readonly access: Secret
  readonly refresh: Secret | undefined
  /** Milliseconds it is good for from now on; undefined when the server does not say. */
  readonly lifetimeMs: number | undefined
  /** What was granted; undefined when that is what was asked for. */
  readonly scopes: readonly string[] | undefined
  /** How the user would call the account, from a checked ID token. */
  readonly account: string | undefined
}

interface CodeAsk {
  /** The callback's query, checked by `oauth.validateAuthResponse`. */
  readonly callback: URLSearchParams
  readonly redirectUri: string
  /** Undefined where the server takes no PKCE. */
  readonly verifier: string | undefined
  readonly nonce: string | undefined
}

interface RequestHow {
  /** Called last before the request leaves. */
  readonly guard?: () => void
  /** Nothing says which client asks: what is in the parameters says enough (RFC 7521 §4.1). */
  readonly anonymous?: boolean
}

export interface OAuthClient {
  readonly options: OAuthOptions
  readonly servers: Servers
  /** Any grant but the code and the refresh. */
  request(grantType: string, parameters: URLSearchParams, how?: RequestHow): Promise<TokenSet>
  refresh(token: Secret, guard: () => void): Promise<TokenSet>
  exchangeCode(server: Server, ask: CodeAsk): Promise<TokenSet>
  /** RFC 7009. `false` when the server has no such endpoint. */
  revoke(token: Secret, kind: 'refresh_token' | 'access_token'): Promise<boolean>
}

export const createClient = (options: OAuthOptions, servers: Servers, room: OAuthRoom): OAuthClient =>
  new Client(options, servers, room)

interface AskOptions {
  readonly guard?: (() => void) | undefined
  /** The caller looks at the audience, and tells the user of a wrong one. */
  readonly anyResource?: boolean
  /** Whether an ID token is looked at; else it is as good as absent. */
  readonly idToken?: boolean
}

type Send = (auth: oauth.ClientAuth, how: ReturnType<typeof through>) => Promise<Response>
type Read = (response: Response) => Promise<oauth.TokenEndpointResponse>

class Client implements OAuthClient {
  readonly options: OAuthOptions
  readonly servers: Servers
  readonly #room: OAuthRoom
  readonly #client: oauth.Client

  constructor(options: OAuthOptions, servers: Servers, room: OAuthRoom) {
    this.options = options
    this.servers = servers
    this.#room = room
    this.#client = { client_id: options.clientId, [oauth.clockTolerance]: 60 }
  }

  async request(grantType: string, given: URLSearchParams, { guard, anonymous = false }: RequestHow = {}) {
    const server = await this.servers.current()
    const parameters = this.#withExtras(given)
    return this.#ask(
      server,
      { guard },
      (auth, how) => {
        const proof = anonymous ? () => undefined : auth
        return oauth.genericTokenEndpointRequest(server.as, this.#client, proof, grantType, parameters, how)
      },
      (response) => oauth.processGenericTokenEndpointResponse(server.as, this.#client, response),
    )
  }

  async refresh(token: Secret, guard: () => void) {
    const server = await this.servers.current()
    const additionalParameters = this.#withExtras(new URLSearchParams())
    return this.#ask(
      server,
      { guard },
      (auth, how) =>
        oauth.refreshTokenGrantRequest(server.as, this.#client, auth, token.reveal(), { ...how, additionalParameters }),
      (response) => oauth.processRefreshTokenResponse(server.as, this.#client, response),
    )
  }

  exchangeCode(server: Server, { callback, redirectUri, verifier, nonce }: CodeAsk) {
    const additionalParameters = this.#withExtras(new URLSearchParams())
    const expected = nonce === undefined ? {} : { expectedNonce: nonce }
    return this.#ask(
      server,
      // an ID token can only be checked against what the server says of itself
      { idToken: server.discovered, anyResource: true },
      (auth, how) =>
        oauth.authorizationCodeGrantRequest(
          server.as,
          this.#client,
          auth,
          callback,
          redirectUri,
          verifier ?? oauth.nopkce,
          {
            ...how,
            additionalParameters,
          },
        ),
      (response) => oauth.processAuthorizationCodeResponse(server.as, this.#client, response, expected),
    )
  }

  async revoke(token: Secret, kind: 'refresh_token' | 'access_token') {
    const server = await this.servers.current()
    if (server.as.revocation_endpoint === undefined) return false
    const wire = createWire(this.#room.egress, { bodyBytes: limits.tokenResponseBytes })
    try {
      const auth = await authenticationOf(this.options, this.servers.vendor, server)
      const response = await oauth.revocationRequest(server.as, this.#client, auth, token.reveal(), {
        ...through(wire),
        additionalParameters: { token_type_hint: kind },
      })
      if (!response.ok) throw new TokenFault('refused', `http_${response.status}`)
      return true
    } catch (error) {
      throw toFault(error, wire.status())
    }
  }

  /** Asks, and once more with a newer secret when the server refuses the client: then it did nothing (RFC 6749 §5.2). */
  async #ask(server: Server, options: AskOptions, send: Send, read: Read): Promise<TokenSet> {
    try {
      return await this.#askOnce(server, options, send, read)
    } catch (error) {
      const refused = error instanceof TokenFault && error.fate === 'refused' && error.reason === 'invalid_client'
      if (!refused || !(await renewSecret(this.options))) throw error
      return this.#askOnce(server, options, send, read)
    }
  }

  /** Whatever fails is a fault that names its fate. */
  async #askOnce(server: Server, options: AskOptions, send: Send, read: Read): Promise<TokenSet> {
    const wire = this.#wire(options)
    try {
      const auth = await authenticationOf(this.options, this.servers.vendor, server)
      const set = toSet(await read(await send(auth, through(wire))))
      if (options.anyResource !== true && !isFor(set.access, this.options.resource))
        throw new TokenFault('refused', 'wrong_audience')
      return set
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'bad_config') throw error
      throw toFault(error, wire.status())
    }
  }

  #wire({ guard, idToken = false }: AskOptions): Wire {
    const { vendor } = this.servers
    return createWire(this.#room.egress, {
      bodyBytes: limits.tokenResponseBytes,
      json: vendor?.json === true,
      mend: (status, body) => {
        const mended = mendToken(vendor, status, body)
        return idToken ? mended : { ...mended, body: { ...mended.body, id_token: undefined } }
      },
      ...(guard === undefined ? {} : { guard }),
    })
  }

  /** RFC 8707, and what the operator adds. */
  #withExtras(parameters: URLSearchParams): URLSearchParams {
    const { resource } = this.options
    if (resource !== undefined) parameters.set('resource', resource)
    for (const [name, value] of this.options.parameters.token) parameters.set(name, value)
    return parameters
  }
}

/** Which addresses may be plain http is the way out's to judge (`egress.allow`). */
const through = (wire: Wire) => ({ [oauth.customFetch]: wire.fetch, [oauth.allowInsecureRequests]: true })

/** Throws for what cannot be used as a token in a header field. */
function toSet(answer: oauth.TokenEndpointResponse): TokenSet {
  // a token bound to a key that nobody here has would be refused by every target
  if (answer.token_type !== 'bearer') throw new TokenFault('refused', 'unsupported_token_type')
  const access = checked(answer.access_token)
  const refresh = answer.refresh_token === undefined ? undefined : checked(answer.refresh_token)
  const scopes = answer.scope?.split(/\s+/).filter((scope) => scope !== '')
  if (scopes !== undefined && scopes.length > limits.scopes * 10) throw new TokenFault('unknown', 'too_many_scopes')
  return {
    access: new Secret(access),
    refresh: refresh === undefined ? undefined : new Secret(refresh),
    lifetimeMs:
      answer.expires_in === undefined ? undefined : Math.min(answer.expires_in * 1_000, limits.tokenLifetimeMs),
    scopes,
    account: accountOf(oauth.getValidatedIdTokenClaims(answer)),
  }
}

/** RFC 6750 §2.1 `b64token`, generously: visible ASCII. */
function checked(token: string): string {
  if (token.length > limits.tokenBytes || !/^[\x21-\x7e]+$/.test(token))
    throw new TokenFault('unknown', 'unusable_token')
  return token
}

function accountOf(claims: oauth.IDToken | undefined): string | undefined {
  for (const name of ['email', 'preferred_username', 'name']) {
    const value = claims?.[name]
    // control characters, and those that turn the direction of writing, have no place in a name that is shown
    if (typeof value === 'string' && value !== '')
      return value.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').slice(0, limits.accountChars)
  }
  return undefined
}
