/** OAuth 2.0 at a target: as the user who asked, as the service itself, or with what the caller signed in with. */
import { randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import { callerToken } from '../auth/caller-token.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { OutboundRequest, Principal } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import { checkAuthentication, readKey } from './oauth/authentication.ts'
import { createClient, type OAuthClient, type TokenSet } from './oauth/client.ts'
import type { OAuthCredential } from './oauth/connections.ts'
import { asTokenError } from './oauth/fault.ts'
import { awaitSignIn, beginSignIn } from './oauth/flow.ts'
import { connectionSeat, covers, fingerprintOf, ownSeat, readHeld } from './oauth/record.ts'
import type { OAuthOptions, OAuthRoom, Owner } from './oauth/room.ts'
import { createServers } from './oauth/server.ts'
import { connectionSource, Disconnected, ownSource } from './oauth/stored.ts'
import { createTokens, type Source, type Token } from './oauth/tokens.ts'
import type { ConnectionRequired, CredentialProvider, Signed } from './provider.ts'

/** A provider, with what the web and the operator need of it. */
export interface OAuthProvider extends CredentialProvider, OAuthCredential {}

/** Throws `bad_config` for options that cannot work, whatever the authorization server says. */
export function oauth2(options: OAuthOptions, room: OAuthRoom): OAuthProvider {
  checkAuthentication(options)
  const client = createClient(options, createServers(options, room), room)
  const tokens = createTokens(room.clock, room.owner)
  const grant = grantOf(client, room)
  const connect = (
    who: Principal,
    target: { readonly name: string },
    more: readonly string[],
  ): Promise<ConnectionRequired> => beginSignIn(room, client, who, target.name, more)
  const whenDisconnected = async <T>(
    who: Principal,
    target: { readonly name: string },
    work: Promise<T>,
  ): Promise<T> => {
    try {
      return await work
    } catch (error) {
      throw error instanceof Disconnected ? await connect(who, target, error.asked) : error
    }
  }
  return {
    kind: 'oauth2',
    place: { in: 'header', name: 'Authorization' },
    client,
    forget: (owner) => tokens.forget(keyOf(owner)),
    apply(request, who, target) {
      const name = grant.nameOf(who)
      const token = tokens.peek(name)
      if (token !== undefined) return signed(client, request, token)
      return whenDisconnected(who, target, tokens.get(name, grant.sourceOf(who))).then((got) =>
        signed(client, request, got),
      )
    },
    renew: (who, target, rejected) =>
      whenDisconnected(who, target, tokens.renew(grant.nameOf(who), grant.sourceOf(who), rejected)),
    ...(options.grant === 'authorizationCode'
      ? {
          connect,
          awaitConnection: (who, id, ms, signal) => awaitSignIn(room, who, id, ms, signal),
          stepUp: (who, target, wanted) => stepUp(client, room, who, wanted, (more) => connect(who, target, more)),
        }
      : {}),
  }
}

/**
 * A target does not widen a grant: only what the operator named as optional is asked for, besides all that was asked for
 * before, and never what is granted already.
 */
async function stepUp(
  { options }: OAuthClient,
  room: OAuthRoom,
  who: Owner,
  wanted: readonly string[],
  connect: (more: readonly string[]) => Promise<ConnectionRequired>,
): Promise<ConnectionRequired | undefined> {
  const allowed = wanted.filter((scope) => options.optionalScopes?.includes(scope) === true)
  if (allowed.length === 0) return undefined
  const held = await readHeld(room, connectionSeat(who, options.name))
  if (held === undefined || covers(held.record, allowed)) return undefined
  return connect([...held.record.asked, ...allowed])
}

/** RFC 6750 §2.1, or the scheme and the field that a vendor has instead and besides. */
function signed({ options, servers: { vendor } }: OAuthClient, request: OutboundRequest, token: Token): Signed {
  const headers = new Map(request.headers).set(
    'authorization',
    `${vendor?.scheme ?? 'Bearer'} ${token.access.reveal()}`,
  )
  if (vendor?.clientHeader !== undefined) headers.set(vendor.clientHeader, options.clientId)
  return { request: { ...request, headers }, secrets: token.secrets, fingerprint: token.fingerprint }
}

/** Names whose token it is, and gets it. */
interface Grant {
  /** Throws `token_refused` for a caller who lacks what the grant needs. */
  nameOf(who: Principal): string
  sourceOf(who: Principal): Source
}

/** No tenant can imitate the border. */
const keyOf = ({ tenant, subject }: Owner): string => `${tenant.length}:${tenant}${subject}`

function grantOf(client: OAuthClient, room: OAuthRoom): Grant {
  const { options } = client
  const holder = `${room.owner}/${room.random()}`
  switch (options.grant) {
    case 'authorizationCode':
      return {
        nameOf: keyOf,
        sourceOf: ({ tenant, subject }) => {
          const owner = { tenant, subject }
          return connectionSource({ room, client, seat: connectionSeat(owner, options.name), owner, holder })
        },
      }
    case 'clientCredentials':
      return asItself(client, room, holder, (guard) =>
        client.request('client_credentials', parametersOf(options), { guard }),
      )
    case 'tokenExchange':
      return withCallerToken(client, (token) => client.request(exchangeGrant, exchangeOf(options, token)))
    case 'jwtBearer':
      return signsItself(options)
        ? asItself(client, room, holder, (guard) => selfSigned(client, room, guard))
        : withCallerToken(client, (token) => client.request(bearerGrant, onBehalfOf(options, token)))
  }
}

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'
const bearerGrant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

/** One token for all callers, shared by all processes; its record is named by all that it is asked for with. */
function asItself(
  client: OAuthClient,
  room: OAuthRoom,
  holder: string,
  ask: (guard: () => void) => Promise<TokenSet>,
): Grant {
  const { options } = client
  const request = JSON.stringify([
    options.grant,
    options.vendor ?? options.discoveryUrl ?? options.tokenEndpoint,
    [...options.vendorParameters],
    options.tokenEndpoint,
    options.clientId,
    options.scopes,
    options.audience,
    options.resource,
    [...options.parameters.token],
    options.assertion === undefined
      ? []
      : [options.assertion.subject, options.assertion.audience, ...(options.assertion.claims ?? [])],
  ])
  const stored = { room, client, seat: ownSeat(options.name, request), owner: { tenant: '', subject: '' }, holder }
  const source = ownSource(stored, ask)
  return { nameOf: () => '', sourceOf: () => source }
}

/** One token for each token that a caller signs in with; kept in this process only, and never longer than it is good. */
function withCallerToken({ options }: OAuthClient, ask: (token: Secret) => Promise<TokenSet>): Grant {
  /** A caller's token is the same object for as long as it is good, and hashing it costs more than all else here. */
  const prints = new WeakMap<Secret, string>()
  const tokenOf = (who: Principal): Secret => {
    const token = callerToken(who)
    if (token === undefined)
      throw new GatewayError('token_refused', {
        words:
          'This target is called with the token that the caller signed in with, and this caller has none (a key or a signature is no token).',
      })
    return token
  }
  return {
    nameOf: (who) => {
      const token = tokenOf(who)
      let print = prints.get(token)
      if (print === undefined) {
        print = fingerprintOf(token)
        prints.set(token, print)
      }
      return `${keyOf(who)} ${print}`
    },
    sourceOf: (who) => ({
      obtain: async () => {
        try {
          const { access, lifetimeMs } = await ask(tokenOf(who))
          const remainingMs = lifetimeMs ?? limits.tokenEarlyMs
          return { access, remainingMs, lifetimeMs: remainingMs, ageMs: 0, counter: 0, version: undefined }
        } catch (error) {
          throw asTokenError(error, options.name)
        }
      },
    }),
  }
}

const parametersOf = ({ scopes, audience }: OAuthOptions): URLSearchParams => {
  const parameters = new URLSearchParams()
  if (scopes.length > 0) parameters.set('scope', scopes.join(' '))
  if (audience !== undefined) parameters.set('audience', audience)
  return parameters
}

/** RFC 8693 §2.1. */
function exchangeOf(options: OAuthOptions, token: Secret): URLSearchParams {
  const parameters = parametersOf(options)
  parameters.set('subject_token', token.reveal())
  parameters.set('subject_token_type', 'urn:ietf:params:oauth:token-type:access_token')
  if (options.actorToken !== undefined) {
    parameters.set('actor_token', options.actorToken.token.reveal())
    parameters.set('actor_token_type', options.actorToken.type ?? 'urn:ietf:params:oauth:token-type:jwt')
  }
  return parameters
}

/** RFC 7523 §2.1 with the caller's own token; Microsoft wants to hear that it is meant so. */
function onBehalfOf(options: OAuthOptions, token: Secret): URLSearchParams {
  const parameters = parametersOf(options)
  parameters.set('assertion', token.reveal())
  if (options.vendor === 'microsoft') parameters.set('requested_token_use', 'on_behalf_of')
  return parameters
}

/** With a key that is not spoken for by the client's own authentication, the gateway makes the assertion itself. */
const signsItself = ({ privateKey, clientAuthentication, vendor }: OAuthOptions): boolean =>
  privateKey !== undefined && clientAuthentication !== 'private_key_jwt' && vendor !== 'microsoft'

/** RFC 7523 §3, as service accounts use it: scopes are claimed in the assertion, and sent as the RFC has it, too. */
async function selfSigned(client: OAuthClient, room: OAuthRoom, guard: () => void): Promise<TokenSet> {
  const { options, servers } = client
  const server = await servers.current()
  const { key, alg, header } = readKey(options)
  const now = Math.floor(room.clock.now() / 1_000)
  // a Google service account that acts for nobody else names no subject
  const subject = options.assertion?.subject ?? (options.vendor === 'google' ? undefined : options.clientId)
  const assertion = await new SignJWT({
    ...Object.fromEntries(options.assertion?.claims ?? []),
    ...(options.scopes.length > 0 ? { scope: options.scopes.join(' ') } : {}),
    iss: options.clientId,
    aud: options.assertion?.audience ?? server.as.token_endpoint ?? '',
    ...(subject === undefined ? {} : { sub: subject }),
    iat: now,
    exp: now + limits.assertionMs / 1_000,
    jti: randomUUID(),
  })
    .setProtectedHeader({ ...header, alg, typ: 'JWT' })
    .sign(key)
  const parameters = parametersOf(options)
  parameters.set('assertion', assertion)
  return client.request(bearerGrant, parameters, { guard, anonymous: options.clientSecret === undefined })
}
