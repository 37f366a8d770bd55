/** The browser comes back from the authorization server: is it the one that left, and what does it bring. */
import { timingSafeEqual } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { isFor } from './audience.ts'
import type { OAuthClient, TokenSet } from './client.ts'
import type { CredentialsByName } from './connections.ts'
import { safeCode, type TokenFault, toFault, toTokenError } from './fault.ts'
import { connectionSeat, hashed, readHeld, sealTokens } from './record.ts'
import { type OAuthRoom, type Owner, redirectUri } from './room.ts'
import type { Server } from './server.ts'
import {
  type HeldSignIn,
  invalid,
  isNewestStart,
  openProof,
  readPending,
  type StartedSignIn,
  takeStarted,
  writePending,
} from './sign-in.ts'

export interface Finish {
  /** The callback's query, as it came. */
  readonly query: string
  /** The credential that the callback's address names. */
  readonly credential: string
  /** What the browser was given at the start. */
  readonly binding: string
  /** Who the browser is signed in as, where that is known. */
  readonly who?: Owner
}

export interface Finished {
  readonly pendingId: string
  readonly owner: Owner
  readonly credential: string
  readonly target: string
  readonly account: string | undefined
  readonly scopes: readonly string[]
  /** Asked for and not granted, as far as the server's names tell. */
  readonly missing: readonly string[]
}

export async function finishSignIn(room: OAuthRoom, credentials: CredentialsByName, finish: Finish): Promise<Finished> {
  const query = readQuery(finish.query)
  const state = query.get('state')
  const started = state === null ? undefined : await takeStarted(room, state)
  if (state === null || started === undefined)
    throw denied(room, { tenant: '', subject: '' }, finish.credential, 'state')
  const isBound =
    sameHash(started.binding, finish.binding) &&
    started.credential === finish.credential &&
    (finish.who === undefined || (started.tenant === finish.who.tenant && started.subject === finish.who.subject))
  if (!isBound) throw denied(room, started, finish.credential, 'browser')
  const held = await readPending(room, started.id)
  const client = credentials(started.credential)?.client
  if (held === undefined || held.pending.state !== 'open' || !isNewestStart(held, state) || client === undefined)
    throw denied(room, started, started.credential, 'over')
  try {
    const set = await redeem(room, client, started, query)
    return await connect(room, credentials, held, set)
  } catch (error) {
    const reason = error instanceof SignInFault ? error.reason : 'failed'
    await writePending(room, held, { state: 'failed', reason })
    room.audit({
      at: room.clock.now(),
      act: 'connect',
      ...ownerOf(started),
      credential: started.credential,
      outcome: 'failed',
      detail: reason,
    })
    throw error instanceof SignInFault ? error.shown : error
  }
}

const ownerOf = ({ tenant, subject }: Owner): Owner => ({ tenant, subject })

const sameHash = (hash: string, text: string): boolean => {
  const found = Buffer.from(hashed(text))
  const wanted = Buffer.from(hash)
  return found.length === wanted.length && timingSafeEqual(found, wanted)
}

/** O23: a parameter that is there twice is read by no two programs alike. */
function readQuery(text: string): URLSearchParams {
  if (text.length > limits.callbackBytes) throw invalid()
  const query = new URLSearchParams(text)
  for (const name of query.keys()) if (query.getAll(name).length > 1) throw invalid()
  return query
}

function denied(room: OAuthRoom, owner: Owner, credential: string, detail: string): GatewayError {
  room.audit({ at: room.clock.now(), act: 'denied', ...ownerOf(owner), credential, outcome: 'failed', detail })
  return invalid()
}

/** An end of the sign-in: what the user hears, and a word for the record. */
class SignInFault extends Error {
  readonly reason: string
  readonly shown: GatewayError

  constructor(reason: string, shown: GatewayError) {
    super(reason)
    this.name = 'SignInFault'
    this.reason = reason
    this.shown = shown
  }
}

const failedWith = (reason: string, words?: string): SignInFault =>
  new SignInFault(reason, new GatewayError('sign_in_failed', words === undefined ? {} : { words }))

async function redeem(
  room: OAuthRoom,
  client: OAuthClient,
  started: StartedSignIn,
  query: URLSearchParams,
): Promise<TokenSet> {
  const server = await client.servers.current().catch((error: unknown) => {
    throw ofFault(toFault(error, undefined), started.credential)
  })
  // O13: the code goes to the server that the user was sent to, or nowhere
  if (server.as.issuer !== started.issuer) throw failedWith('issuer_changed')
  const callback = readCallback(client, server, query)
  const { verifier, nonce } = await openProof(room, started)
  let set: TokenSet
  try {
    set = await client.exchangeCode(server, {
      callback,
      redirectUri: redirectUri(room, started.credential),
      verifier,
      nonce,
    })
  } catch (error) {
    // the code is spent, or may be: only a new one helps
    throw ofFault(toFault(error, undefined), started.credential)
  }
  checkAudience(set, client.options.resource)
  return lengthened(client, set)
}

/** One vendor gives tokens of hours, and for such a token one of months. Without it, the first will do for a while. */
async function lengthened(client: OAuthClient, set: TokenSet): Promise<TokenSet> {
  const grant = client.servers.vendor?.longLived
  if (grant === undefined) return set
  const parameters = new URLSearchParams([[grant, set.access.reveal()]])
  return client.request(grant, parameters).then(
    (longer) => ({ ...longer, scopes: longer.scopes ?? set.scopes }),
    () => set,
  )
}

const ofFault = (fault: TokenFault, credential: string): SignInFault => {
  const isOver = fault.fate === 'unknown' || fault.reason === 'invalid_grant'
  return new SignInFault(
    fault.reason,
    isOver ? new GatewayError('sign_in_failed', { cause: fault }) : toTokenError(fault, credential),
  )
}

/** RFC 9207 §2.4, then RFC 6749 §4.1.2.1: what an error says is believed only of the right server, and never shown. */
function readCallback(client: OAuthClient, server: Server, query: URLSearchParams): URLSearchParams {
  if (!server.knowsIssuer) query.delete('iss')
  try {
    return oauth.validateAuthResponse(server.as, { client_id: client.options.clientId }, query, oauth.skipStateCheck)
  } catch (error) {
    if (!(error instanceof oauth.AuthorizationResponseError)) throw new SignInFault('bad_callback', invalid())
    const reason = safeCode(error.error)
    throw failedWith(
      reason,
      reason === 'access_denied'
        ? 'The sign-in was cancelled, or the account does not allow it. Nothing was connected.'
        : undefined,
    )
  }
}

/** O24 (RFC 8707 §2.2): a token that names its audience must name the one that was asked for. */
function checkAudience({ access }: TokenSet, resource: string | undefined): void {
  if (!isFor(access, resource))
    throw failedWith('wrong_audience', 'The authorization server gave a token for another resource. Tell the operator.')
}

/** Seals and stores the grant in the place of whatever was there. */
async function connect(
  room: OAuthRoom,
  credentials: CredentialsByName,
  { pending, version }: HeldSignIn,
  set: TokenSet,
): Promise<Finished> {
  const credential = credentials(pending.credential)
  if (credential === undefined) throw failedWith('over')
  const owner = ownerOf(pending)
  const seat = connectionSeat(owner, pending.credential)
  const { options, servers } = credential.client
  const issuer = (await servers.current()).as.issuer
  const scopes = set.scopes ?? pending.scopes
  for (;;) {
    const held = await readHeld(room, seat)
    // another account may have been chosen: nothing of the old grant lives on but when it began
    const before =
      held === undefined ? undefined : { record: { ...held.record, account: undefined }, refresh: undefined }
    const issued = { owner, credential: pending.credential, issuer, client: options.clientId, asked: pending.scopes }
    const record = await sealTokens(room, seat, issued, { ...set, scopes }, before)
    const stored = await room.records.put(seat.key, JSON.stringify(record), { expect: held?.version ?? 'absent' })
    if (stored !== undefined) break
  }
  credential.forget(owner)
  await writePending(room, { pending, version }, { state: 'done' })
  const missing = pending.scopes.filter((scope) => !scopes.includes(scope))
  room.audit({
    at: room.clock.now(),
    act: 'connect',
    ...owner,
    credential: pending.credential,
    outcome: 'ok',
    ...(missing.length === 0 ? {} : { detail: 'fewer_scopes' }),
  })
  const { id: pendingId, target } = pending
  return { pendingId, owner, credential: pending.credential, target, account: set.account, scopes, missing }
}
