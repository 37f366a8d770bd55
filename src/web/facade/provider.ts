/** The gateway as a client of the identity provider behind the façade: its own id, PKCE, state and nonce. */
import * as oauth from 'oauth4webapi'
import { GatewayError } from '../../core/errors.ts'
import { createClient, type OAuthClient, type TokenSet } from '../../credentials/oauth/client.ts'
import { safeCode, type TokenFault, toFault } from '../../credentials/oauth/fault.ts'
import type { OAuthOptions, OAuthRoom } from '../../credentials/oauth/room.ts'
import { createServers, type Server } from '../../credentials/oauth/server.ts'
import type { Secret } from '../../core/secret.ts'
import type { Parameters } from './parameters.ts'
import { callbackUri, type FacadeRoom, OAuthRefusal } from './room.ts'

/** What the provider’s answer must fit. */
interface Proof {
  readonly issuer: string
  readonly verifier: string
  readonly nonce?: string
}

interface Begun {
  /** The provider’s own page. */
  readonly url: string
  readonly state: string
  readonly proof: Proof
}

/** Every method rejects with an `OAuthRefusal` when the provider does not do its part. */
export interface Provider {
  begin(scopes: readonly string[]): Promise<Begun>
  finish(callback: Parameters, proof: Proof): Promise<TokenSet>
  /** Rejects with a `TokenFault`, which tells what became of the refresh token. */
  refresh(token: Secret): Promise<TokenSet>
}

export function createProvider(room: FacadeRoom): Provider {
  const { provider } = room
  const options: OAuthOptions = {
    name: 'façade',
    // Not `authorizationCode`, for which metadata without S256 are refused: the providers that need a façade know S256
    // and do not say so (Entra ID, Cognito). `begin` has a rule of its own for them.
    grant: 'clientCredentials',
    discoveryUrl: provider.discoveryUrl,
    clientId: provider.clientId,
    ...(provider.clientSecret === undefined ? {} : { clientSecret: provider.clientSecret }),
    ...(provider.resource === undefined ? {} : { resource: provider.resource }),
    scopes: provider.scopes,
    vendorParameters: new Map(),
    parameters: { authorization: provider.parameters ?? new Map(), token: new Map() },
  }
  const { records, vault, egress, clock, random } = room
  const callbackUrl = callbackUri(room)
  const rooms: OAuthRoom = { records, vault, egress, clock, random, callbackUrl, owner: '', audit: () => undefined }
  const servers = createServers(options, rooms)
  const client = createClient(options, servers, rooms)
  const current = (): Promise<Server> =>
    servers.current().catch((error: unknown) => {
      throw refusalOf(toFault(error, undefined))
    })
  return {
    begin: async (scopes) => begin(room, options, await current(), scopes),
    finish: async (callback, proof) => finish(client, await current(), callback, proof, callbackUrl),
    refresh: (token) => client.refresh(token, () => undefined),
  }
}

/** A fault in the words of RFC 6749 §4.1.2.1, which know two kinds: try again, or tell someone. */
export function refusalOf(fault: TokenFault): OAuthRefusal {
  const how = { detail: fault.reason, cause: fault }
  const isRefusedHere = fault.cause instanceof GatewayError && fault.cause.code === 'egress_refused'
  return fault.fate === 'refused' || isRefusedHere
    ? new OAuthRefusal('server_error', 'The identity provider gave no token. Tell the operator.', how)
    : new OAuthRefusal(
        'temporarily_unavailable',
        'The identity provider did not answer as it should. Try again shortly.',
        how,
      )
}

async function begin(
  room: FacadeRoom,
  { clientId, resource, parameters }: OAuthOptions,
  { as }: Server,
  scopes: readonly string[],
): Promise<Begun> {
  const nonce = scopes.includes('openid') ? room.random() : undefined
  // RFC 9700 §2.1.1: one of the two keeps a stolen code from being put into someone else’s sign-in
  if (nonce === undefined && as.code_challenge_methods_supported?.includes('S256') !== true)
    throw misconfigured('no_pkce', 'it says nothing of S256, so that inbound.scopes must have openid')
  if (as.authorization_endpoint === undefined) throw misconfigured('no_authorization_endpoint', 'it has no page')
  // checked when it was read, and again: a browser is sent there
  const url = room.egress.check(as.authorization_endpoint)
  const state = room.random()
  const verifier = oauth.generateRandomCodeVerifier()
  const query = url.searchParams
  for (const [name, value] of parameters.authorization) query.set(name, value)
  // ours last: no parameter of the configuration takes the place of what guards the answer
  if (scopes.length > 0) query.set('scope', scopes.join(' '))
  if (resource !== undefined) query.set('resource', resource)
  query.set('response_type', 'code')
  query.set('client_id', clientId)
  query.set('redirect_uri', callbackUri(room))
  query.set('state', state)
  query.set('code_challenge', await oauth.calculatePKCECodeChallenge(verifier))
  query.set('code_challenge_method', 'S256')
  if (nonce !== undefined) query.set('nonce', nonce)
  return { url: url.href, state, proof: { issuer: as.issuer, verifier, ...(nonce === undefined ? {} : { nonce }) } }
}

const misconfigured = (detail: string, why: string): OAuthRefusal =>
  new OAuthRefusal('server_error', 'The identity provider cannot be used as it is set up. Tell the operator.', {
    detail,
    cause: new Error(`the identity provider cannot be used: ${why}`),
  })

async function finish(
  client: OAuthClient,
  server: Server,
  callback: Parameters,
  { issuer, verifier, nonce }: Proof,
  redirectUri: string,
): Promise<TokenSet> {
  // the code goes to the server that the user was sent to, or nowhere
  if (server.as.issuer !== issuer) throw unfit('issuer_changed')
  const query = judged(client, server, callback)
  if (!query.has('code')) throw unfit('no_code')
  try {
    return await client.exchangeCode(server, { callback: query, redirectUri, verifier, nonce })
  } catch (error) {
    // the code is spent, or may be: only a new one helps
    throw refusalOf(toFault(error, undefined))
  }
}

const unfit = (detail: string): OAuthRefusal =>
  new OAuthRefusal('server_error', 'The answer of the identity provider cannot be used.', { detail })

/** RFC 9207 §2.4, then RFC 6749 §4.1.2.1: what an error says is believed only of the right server, and never passed on. */
function judged(client: OAuthClient, { as }: Server, callback: Parameters): URLSearchParams {
  const query = new URLSearchParams([...callback])
  try {
    return oauth.validateAuthResponse(as, { client_id: client.options.clientId }, query, oauth.skipStateCheck)
  } catch (error) {
    if (!(error instanceof oauth.AuthorizationResponseError)) throw unfit('bad_callback')
    const code = safeCode(error.error)
    if (code === 'access_denied')
      throw new OAuthRefusal('access_denied', 'The sign-in was cancelled, or the account does not allow it.', {
        detail: 'provider_access_denied',
      })
    if (code === 'temporarily_unavailable')
      throw new OAuthRefusal(code, 'The identity provider is not available. Try again shortly.')
    throw new OAuthRefusal('server_error', `The identity provider answered ${code}.`, { detail: code })
  }
}
