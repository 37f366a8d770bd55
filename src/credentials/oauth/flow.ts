/**
 * The authorization code flow (RFC 6749 §4.1, with RFC 7636, RFC 8707, RFC 9207): begin, when a call finds no
 * connection; start, when its user says so on the connect page; finish, when the browser comes back.
 *
 * What the web must do: `start` only upon a POST of the page's own form by a browser that has shown to be the caller
 * whom the sign-in was begun for (a GET or HEAD, as link scanners send, calls nothing but `describe`), with a fresh
 * `binding` of 128 random bits or more, kept in a cookie (`__Host-`, HttpOnly, Secure, SameSite=Lax) that is handed to
 * `finish` again.
 */
import * as oauth from 'oauth4webapi'
import type { CancelSignal } from '../../core/cancel.ts'
import { type Clock, sleep } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { ConnectionRequired } from '../provider.ts'
import type { OAuthClient } from './client.ts'
import type { CredentialsByName } from './connections.ts'
import { asTokenError } from './fault.ts'
import { type Finish, type Finished, finishSignIn } from './finish.ts'
import { type OAuthRoom, type Owner, redirectUri } from './room.ts'
import type { Server } from './server.ts'
import { beginPending, invalid, type PendingSignIn, readPending, writeStarted } from './sign-in.ts'

export interface SignIns {
  /** What the connect page tells, for whom, and whether it can be started. `undefined` when it is over or never was. */
  describe(pendingId: string): Promise<PendingSignIn | undefined>
  /**
   * The address that the browser goes to next. Rejects with `sign_in_invalid` when the sign-in is over or another
   * caller's, `token_refused` or `token_unavailable` when the authorization server is not as it must be.
   */
  start(pendingId: string, who: Owner, binding: string): Promise<string>
  /** Rejects with `sign_in_invalid` when the answer is to no question of ours, with `sign_in_failed` when it is a no. */
  finish(finish: Finish): Promise<Finished>
}

export const createSignIns = (room: OAuthRoom, credentials: CredentialsByName): SignIns => ({
  describe: async (pendingId) => (await readPending(room, pendingId))?.pending,
  start: (pendingId, who, binding) => start(room, credentials, pendingId, who, binding),
  finish: (finish) => finishSignIn(room, credentials, finish),
})

/** Scopes as they are asked for: the vendor's own for a refresh token among them. */
function scopesToAsk(client: OAuthClient, more: readonly string[]): readonly string[] {
  const offline = client.servers.vendor?.offlineScopes ?? []
  return [...new Set([...more, ...client.options.scopes, ...offline])].slice(0, limits.scopes)
}

/** A sign-in for this caller, as the error that asks for it. `more` are scopes besides the configured ones. */
export async function beginSignIn(
  room: OAuthRoom,
  client: OAuthClient,
  who: Owner,
  target: string,
  more: readonly string[],
): Promise<ConnectionRequired> {
  const { name } = client.options
  const scopes = scopesToAsk(client, more)
  const { pending, isNew } = await beginPending(room, who, name, target, scopes)
  if (isNew) audit(room, 'begin', pending)
  return new ConnectionRequired(name, target, scopes, pending.id)
}

const audit = (room: OAuthRoom, act: 'begin' | 'start', { tenant, subject, credential }: PendingSignIn): void =>
  room.audit({ at: room.clock.now(), act, tenant, subject, credential, outcome: 'ok' })

/** Waits for the end of a sign-in; `false` when it failed, when it is not this caller's, or when `ms` are over. */
export async function awaitSignIn(
  room: OAuthRoom,
  who: Owner,
  pendingId: string,
  ms: number,
  signal: CancelSignal,
): Promise<boolean> {
  const end = room.clock.monotonic() + ms
  for (;;) {
    const pending = (await readPending(room, pendingId))?.pending
    if (pending === undefined || !isOwner(pending, who) || pending.state === 'failed') return false
    if (pending.state === 'done') return true
    const left = end - room.clock.monotonic()
    if (left <= 0 || signal.aborted) return false
    await pause(room.clock, Math.min(left, limits.signInPollMs), signal)
  }
}

function pause(clock: Clock, ms: number, signal: CancelSignal): Promise<void> {
  let wake = (): void => undefined
  const woken = new Promise<void>((resolve) => {
    wake = resolve
  })
  signal.addEventListener('abort', wake, { once: true })
  return Promise.race([sleep(clock, ms), woken]).finally(() => signal.removeEventListener('abort', wake))
}

const isOwner = (of: Owner, who: Owner): boolean => of.tenant === who.tenant && of.subject === who.subject

async function start(
  room: OAuthRoom,
  credentials: CredentialsByName,
  pendingId: string,
  who: Owner,
  binding: string,
): Promise<string> {
  const held = await readPending(room, pendingId)
  // O20: another caller's sign-in looks as if there were none
  if (held === undefined || !isOwner(held.pending, who) || held.pending.state !== 'open') throw invalid()
  const { pending } = held
  const client = credentials(pending.credential)?.client
  if (client === undefined || binding.length < 16) throw invalid()
  let server: Server
  try {
    server = await client.servers.current()
  } catch (error) {
    throw asTokenError(error, pending.credential)
  }
  const state = room.random()
  const verifier = server.pkce ? oauth.generateRandomCodeVerifier() : undefined
  const nonce = server.discovered && pending.scopes.includes('openid') ? room.random() : undefined
  await writeStarted(room, held, state, binding, server.as.issuer, {
    ...(verifier === undefined ? {} : { verifier }),
    ...(nonce === undefined ? {} : { nonce }),
  })
  audit(room, 'start', pending)
  return authorizationUrl(room, client, server, pending.scopes, { state, verifier, nonce })
}

async function authorizationUrl(
  room: OAuthRoom,
  client: OAuthClient,
  server: Server,
  scopes: readonly string[],
  { state, verifier, nonce }: { state: string; verifier: string | undefined; nonce: string | undefined },
): Promise<string> {
  const { options, servers } = client
  const { vendor } = servers
  const endpoint = server.as.authorization_endpoint
  if (endpoint === undefined)
    throw new GatewayError('token_refused', { words: 'The authorization server has no page to sign in at.' })
  const url = room.egress.check(endpoint)
  const query = url.searchParams
  for (const [name, value] of Object.entries(vendor?.authorizationParameters ?? {})) query.set(name, value)
  if (options.audience !== undefined) query.set('audience', options.audience)
  if (options.resource !== undefined) query.set('resource', options.resource)
  for (const [name, value] of options.parameters.authorization) query.set(name, value)
  // ours last: no parameter of the configuration takes the place of what guards the answer
  if (scopes.length > 0)
    query.set(vendor?.scopeParameter ?? 'scope', scopes.join(vendor?.commaScopes === 'both' ? ',' : ' '))
  query.set('response_type', 'code')
  query.set('client_id', options.clientId)
  query.set('redirect_uri', redirectUri(room, options.name))
  query.set('state', state)
  if (nonce !== undefined) query.set('nonce', nonce)
  if (verifier !== undefined) {
    query.set('code_challenge', await oauth.calculatePKCECodeChallenge(verifier))
    query.set('code_challenge_method', 'S256')
  }
  return url.href
}
