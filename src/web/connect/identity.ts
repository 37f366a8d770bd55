/**
 * Signing a user in at the identity provider that the callers’ tokens come from (OpenID Connect Core 1.0 §3.1, with
 * RFC 7636): nothing is asked for but who it is, and nothing is kept but that.
 */
import * as oauth from 'oauth4webapi'
import { z } from 'zod'
import { nameIn, refinementIn } from '../../auth/claims.ts'
import { issuersOf } from '../../auth/issuer.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import { authenticationOf } from '../../credentials/oauth/authentication.ts'
import { toFault } from '../../credentials/oauth/fault.ts'
import type { OAuthOptions, OAuthRoom, Owner } from '../../credentials/oauth/room.ts'
import { createServers, type Server } from '../../credentials/oauth/server.ts'
import { createWire } from '../../credentials/oauth/wire.ts'
import { fieldsOf } from './fields.ts'

/** The part of an `inbound` of type `jwt` that makes the gateway a client of its provider. */
export interface IdentityOptions {
  readonly discoveryUrl: string
  readonly clientId: string
  readonly clientSecret?: Secret
  /** Besides `openid`. */
  readonly scopes: readonly string[]
  /** As for the inbound check (`PrincipalOptions`). */
  readonly principalClaim?: string
  readonly tenant?: string
  readonly tenantClaim?: string
}

const person = z.object({
  issuer: z.string(),
  sub: z.string(),
  /** For people. */
  name: z.string(),
  tenant: z.string().nullable(),
  refinement: z.string().nullable(),
})

/** Who a browser is signed in as. */
export type Person = z.infer<typeof person>

export const asPerson = (value: Json | undefined): Person | undefined => person.safeParse(value).data

const ticket = z.object({ state: z.string(), nonce: z.string(), verifier: z.string() })

/** What the browser keeps, sealed, while it is at the provider. */
export type Ticket = z.infer<typeof ticket>

export const asTicket = (value: Json | undefined): Ticket | undefined => ticket.safeParse(value).data

export interface Identity {
  /** Tells it from others; safe to show. */
  readonly key: string
  /** The issuer without its scheme: for people. */
  readonly label: string
  /** Whether it speaks for this caller. */
  knows(owner: Owner): boolean
  /** Whether the person is the caller: the same `iss` and `sub`, whatever refines them. */
  is(person: Person, owner: Owner): boolean
  /** Whose connections a person may see; `undefined` where the ID token does not tell. */
  ownerOf(person: Person): Owner | undefined
  /** Where to send the browser. `again`: it is asked even if it is signed in. Rejects with `token_refused` or `token_unavailable`. */
  begin(again: boolean): Promise<{ readonly url: string; readonly ticket: Ticket }>
  /** Who came back. Rejects with `sign_in_failed`. */
  finish(query: string, ticket: Ticket): Promise<Person>
}

const identityRedirectUri = (publicUrl: string): string => `${publicUrl.replace(/\/+$/, '')}/connect/identity`

/** Throws `bad_config`. */
export function createIdentity(options: IdentityOptions, room: OAuthRoom, publicUrl: string): Identity {
  const client: OAuthOptions = {
    name: 'inbound',
    // the grant that is not checked for `code_challenge_methods_supported`: S256 is sent in any case, and with a
    // provider that keeps quiet about it the nonce guards the code (RFC 9700 §2.1.1)
    grant: 'clientCredentials',
    vendorParameters: new Map(),
    discoveryUrl: options.discoveryUrl,
    clientId: options.clientId,
    ...(options.clientSecret === undefined ? {} : { clientSecret: options.clientSecret }),
    scopes: options.scopes,
    parameters: { authorization: new Map(), token: new Map() },
  }
  const servers = createServers(client, room)
  const issuers = issuersOf(options.discoveryUrl)
  const redirectUri = identityRedirectUri(publicUrl)
  return {
    key: `${options.clientId} ${issuers[0]}`,
    label: issuers[0].replace(/^https?:\/\//, ''),
    knows: ({ subject }) => issuers.some((issuer) => subject.startsWith(`${issuer}|`)),
    is: (who, owner) => isPerson(options, who, owner),
    ownerOf: (who) => ownerOf(options, who),
    async begin(again) {
      const server = await servers.current().catch(unavailable)
      return leave(options, server, room, redirectUri, again)
    },
    async finish(query, kept) {
      try {
        const server = await servers.current()
        return toPerson(options, await redeem(client, room, server, redirectUri, query, kept))
      } catch (error) {
        if (error instanceof GatewayError && error.code === 'invalid_params') throw error
        // the library’s errors hold the answer, tokens included: only their code is kept
        throw new GatewayError('sign_in_failed', { words: notSignedIn, cause: toFault(error, undefined) })
      }
    },
  }
}

const notSignedIn = 'You were not signed in. Go back to the link that your agent gave you, and try again.'

const unavailable = (error: unknown): never => {
  throw new GatewayError('token_unavailable', {
    words:
      'Your identity provider cannot be reached, or is not set up for this. Try again shortly, or tell the operator.',
    cause: error,
  })
}

/** A refinement has no bar in it, so that what stands before the last one is `iss|sub` (see `principalOf`). */
function isPerson({ principalClaim }: IdentityOptions, who: Person, { tenant, subject }: Owner): boolean {
  const bar = principalClaim === undefined ? subject.length : subject.lastIndexOf('|')
  const isSubject = subject.slice(0, bar) === `${who.issuer}|${who.sub}`
  const isRefined = who.refinement === null || subject.slice(bar + 1) === who.refinement
  return isSubject && isRefined && (who.tenant === null || who.tenant === tenant)
}

function ownerOf({ principalClaim }: IdentityOptions, who: Person): Owner | undefined {
  if (who.tenant === null || (principalClaim !== undefined && who.refinement === null)) return undefined
  const parts = [who.issuer, who.sub, ...(who.refinement === null ? [] : [who.refinement])]
  return { tenant: who.tenant, subject: parts.join('|') }
}

async function leave(
  { clientId, scopes }: IdentityOptions,
  { as }: Server,
  room: OAuthRoom,
  redirectUri: string,
  again: boolean,
): Promise<{ readonly url: string; readonly ticket: Ticket }> {
  if (as.authorization_endpoint === undefined) return unavailable(new Error('no authorization_endpoint'))
  const kept = { state: room.random(), nonce: room.random(), verifier: oauth.generateRandomCodeVerifier() }
  const url = room.egress.check(as.authorization_endpoint)
  const query = url.searchParams
  query.set('response_type', 'code')
  query.set('client_id', clientId)
  query.set('redirect_uri', redirectUri)
  query.set('scope', [...new Set(['openid', ...scopes])].join(' '))
  query.set('state', kept.state)
  query.set('nonce', kept.nonce)
  query.set('code_challenge', await oauth.calculatePKCECodeChallenge(kept.verifier))
  query.set('code_challenge_method', 'S256')
  if (again) query.set('prompt', 'login')
  return { url: url.href, ticket: kept }
}

/** The claims of an ID token that was made for us, now, upon this sign-in, and signed by the provider. */
async function redeem(
  options: OAuthOptions,
  room: OAuthRoom,
  server: Server,
  redirectUri: string,
  query: string,
  { state, nonce, verifier }: Ticket,
): Promise<oauth.IDToken> {
  const client: oauth.Client = {
    client_id: options.clientId,
    [oauth.clockTolerance]: limits.callerTokenLeewayMs / 1_000,
  }
  const callback = oauth.validateAuthResponse(server.as, client, fieldsOf(query), state)
  const auth = await authenticationOf(options, undefined, server)
  const response = await oauth.authorizationCodeGrantRequest(
    server.as,
    client,
    auth,
    callback,
    redirectUri,
    verifier,
    through(room, limits.tokenResponseBytes),
  )
  const answer = await oauth.processAuthorizationCodeResponse(server.as, client, response, {
    expectedNonce: nonce,
    requireIdToken: true,
  })
  await oauth.validateApplicationLevelSignature(server.as, response, through(room, limits.jwksBytes))
  const claims = oauth.getValidatedIdTokenClaims(answer)
  if (claims === undefined) throw new Error('no ID token')
  return claims
}

/** Which addresses may be plain http is the way out’s to judge (`egress.allow`). */
const through = ({ egress }: OAuthRoom, bodyBytes: number) => ({
  [oauth.customFetch]: createWire(egress, { bodyBytes }).fetch,
  [oauth.allowInsecureRequests]: true,
})

function toPerson(options: IdentityOptions, token: oauth.IDToken): Person {
  const claims = new Map(Object.entries(token)) as ReadonlyMap<string, Json>
  const issuer = nameIn(claims, 'iss')
  const sub = nameIn(claims, 'sub')
  if (issuer === undefined || sub === undefined) throw new Error('the ID token names nobody')
  const { principalClaim, tenant: fixed = 'default', tenantClaim } = options
  const tenant = tenantClaim === undefined ? fixed : nameIn(claims, tenantClaim)
  const refinement = principalClaim === undefined ? undefined : refinementIn(claims, principalClaim)
  const name = ['email', 'preferred_username', 'name', 'sub'].map((claim) => nameIn(claims, claim))
  return {
    issuer,
    sub,
    name: name.find((found) => found !== undefined) ?? sub,
    tenant: tenant ?? null,
    refinement: refinement ?? null,
  }
}
