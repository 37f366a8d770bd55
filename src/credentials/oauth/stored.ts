/**
 * Tokens that are shared through the store. A refresh token may be good for one use only, and using it twice may cost
 * the whole grant (RFC 9700 §4.14.2): so a refresh is made under a lease, after reading again, with its beginning
 * written down before it is sent, and its result written only over what it began from.
 */
import { sleep } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Secret } from '../../core/secret.ts'
import type { OAuthClient, TokenSet } from './client.ts'
import { asTokenError, TokenFault, toFault, toTokenError } from './fault.ts'
import {
  covers,
  fingerprintOf,
  type Held,
  isGood,
  openTokens,
  readHeld,
  remainingMs,
  type Seat,
  sealTokens,
  type TokenRecord,
} from './record.ts'
import type { AuditAct, AuditEvent, OAuthRoom, Owner } from './room.ts'
import type { Obtained, Source, Wanted } from './tokens.ts'

/** There is no grant to go on with: only the user can help. */
export class Disconnected extends Error {
  /** What the user had been asked for before. */
  readonly asked: readonly string[]

  constructor(reason: string, asked: readonly string[]) {
    super(reason)
    this.name = 'Disconnected'
    this.asked = asked
  }
}

interface Stored {
  readonly room: OAuthRoom
  readonly client: OAuthClient
  readonly seat: Seat
  readonly owner: Owner
  /** Who holds the lease; never two at once under one name. */
  readonly holder: string
}

/** Nothing came of it for a reason that time or another process has changed: look again. */
type Attempt = Obtained | 'again' | 'elsewhere'

type Renew = (stored: Stored, held: Held | undefined, guard: () => void) => Promise<Attempt>

/** A user's grant: refreshed while it can be. Rejects with `Disconnected` when it cannot. */
export const connectionSource = (stored: Stored): Source => ({
  obtain: (wanted) => obtain(stored, wanted, refreshed),
  version: async () => (await readHeld(stored.room, stored.seat))?.version,
})

/** A token that the gateway gets as itself, with `ask`, whenever it needs one. */
export const ownSource = (stored: Stored, ask: (guard: () => void) => Promise<TokenSet>): Source => ({
  obtain: (wanted) => obtain(stored, wanted, (of, held, guard) => askedAnew(of, held, guard, ask)),
  version: async () => (await readHeld(stored.room, stored.seat))?.version,
})

async function obtain(stored: Stored, wanted: Wanted, renew: Renew): Promise<Obtained> {
  const { clock } = stored.room
  const end = clock.monotonic() + limits.tokenWaitMs
  for (;;) {
    const attempt =
      (await usable(stored, await readHeld(stored.room, stored.seat), wanted)) ?? (await leased(stored, wanted, renew))
    if (typeof attempt !== 'string') return attempt
    if (clock.monotonic() >= end)
      throw new GatewayError('token_unavailable', { cause: new Error('a refresh takes too long') })
    if (attempt === 'elsewhere') await sleep(clock, limits.tokenPollMs)
  }
}

/** What is in the store, if it is what is wanted. */
async function usable(
  { room, client, seat }: Stored,
  held: Held | undefined,
  wanted: Wanted,
): Promise<Obtained | undefined> {
  if (held === undefined || held.record.state !== 'active') return undefined
  if (!covers(held.record, client.options.scopes)) throw new Disconnected('more scopes are needed', held.record.asked)
  if (!isGood(held.record, room.clock)) return undefined
  if (wanted.newerThan !== undefined && held.record.counter <= wanted.newerThan) return undefined
  const { access } = await openTokens(room, seat, held.record)
  return fingerprintOf(access) === wanted.rejected ? undefined : toObtained(room, held, access)
}

const toObtained = (room: OAuthRoom, { record, version }: Held, access: Secret): Obtained => ({
  access,
  remainingMs: remainingMs(record, room.clock),
  lifetimeMs: record.lifetimeMs,
  ageMs: Math.max(0, room.clock.now() - record.obtainedAt),
  counter: record.counter,
  version,
})

async function leased(stored: Stored, wanted: Wanted, renew: Renew): Promise<Attempt> {
  const { records, clock } = stored.room
  const name = `refresh/${stored.seat.key}`
  const began = clock.monotonic()
  const lease = await records.lease(name, stored.holder, limits.tokenLeaseMs)
  if (lease === undefined) return 'elsewhere'
  // a process that was stopped in between must not send when its lease may be over before the answer is there
  const guard = (): void => {
    if (clock.monotonic() - began > limits.tokenLeaseMs - limits.tokenRequestMs)
      throw new TokenFault('unsent', 'lease_over')
  }
  try {
    const held = await readHeld(stored.room, stored.seat)
    return (await usable(stored, held, wanted)) ?? (await renew(stored, held, guard))
  } finally {
    // one that is not released is over by itself
    await records.release(name, lease.fence).catch(() => undefined)
  }
}

async function refreshed(stored: Stored, held: Held | undefined, guard: () => void): Promise<Attempt> {
  const { room, client, seat } = stored
  if (held === undefined) throw new Disconnected('not connected', [])
  const { record } = held
  if (record.state !== 'active') throw new Disconnected('has to be connected again', record.asked)
  if (!record.refreshable) return lost(stored, held, isGood(record, room.clock) ? 'rejected' : 'expired')
  if (record.attempts >= attemptsMax) return lost(stored, held, 'unknown_outcome')
  const server = await client.servers.current().catch((error: unknown) => {
    throw unasked(stored, error)
  })
  // O13: what one server gave is never shown to another
  if (server.as.issuer !== record.issuer || client.options.clientId !== record.client)
    return lost(stored, held, 'issuer_changed')
  const { refresh } = await openTokens(room, seat, record)
  if (refresh === undefined) return lost(stored, held, 'expired')
  const begun = { ...record, attempts: record.attempts + 1 }
  const version = await room.records.put(seat.key, JSON.stringify(begun), { expect: held.version })
  if (version === undefined) return 'again'
  const marked: Held = { record: begun, version }
  let set: TokenSet
  try {
    set = await client.refresh(refresh, guard)
  } catch (error) {
    return failed(stored, marked, toFault(error, undefined))
  }
  return kept(stored, marked, set, refresh)
}

/** The first time, and once more when nobody knows what became of it. */
const attemptsMax = 2

async function failed(stored: Stored, marked: Held, fault: TokenFault): Promise<Attempt> {
  const { room, client, seat } = stored
  const { record, version } = marked
  if (fault.fate === 'unknown') {
    audit(stored, 'refresh', 'unknown', fault.reason)
    if (record.attempts >= attemptsMax) return lost(stored, marked, 'unknown_outcome')
    await sleep(room.clock, limits.tokenPauseMs)
    return 'again'
  }
  const isOver = fault.fate === 'refused' && isGrave(client, fault.reason)
  if (isOver) {
    // another process may have used the same token, and better
    const current = await readHeld(room, seat)
    return current?.version === version ? lost(stored, marked, fault.reason) : 'again'
  }
  // nothing was done with the token: this attempt does not count
  const undone = { ...record, attempts: record.attempts - 1 }
  await room.records.put(seat.key, JSON.stringify(undone), { expect: version })
  if (fault.reason === 'lease_over') return 'again'
  audit(stored, 'refresh', 'failed', fault.reason)
  throw toTokenError(fault, client.options.name)
}

const isGrave = ({ servers }: OAuthClient, reason: string): boolean =>
  reason === 'invalid_grant' || servers.vendor?.graveErrors?.includes(reason) === true

/** Writes down that only the user can help, unless the record has changed meanwhile. */
async function lost(stored: Stored, { record, version }: Held, reason: string): Promise<Attempt> {
  const { room, seat } = stored
  const over: TokenRecord = { ...record, state: 'reconnect', updatedAt: room.clock.now() }
  if ((await room.records.put(seat.key, JSON.stringify(over), { expect: version })) === undefined) return 'again'
  audit(stored, 'reconnect', 'ok', reason)
  throw new Disconnected(reason, record.asked)
}

/**
 * Writes new tokens over those they came from. A store that fails now must not cost the only copy there is;
 * and a record that was only sealed anew meanwhile, as when keys are rotated, is still the one they came from.
 */
async function kept(stored: Stored, marked: Held, set: TokenSet, refresh: Secret): Promise<Attempt> {
  const { room, seat, owner } = stored
  const { record: before } = marked
  let { version: expect } = marked
  for (let left: number = limits.tokenStoreTries; left > 0; left--) {
    try {
      const issued = {
        owner,
        credential: before.credential,
        issuer: before.issuer,
        client: before.client,
        asked: before.asked,
      }
      const record = await sealTokens(room, seat, issued, set, { record: before, refresh })
      const version = await room.records.put(seat.key, JSON.stringify(record), { expect })
      if (version === undefined) {
        const current = await readHeld(room, seat)
        if (current?.record.counter !== before.counter || current.record.attempts !== before.attempts)
          return await late(stored, current, set)
        expect = current.version
        continue
      }
      audit(stored, 'refresh', 'ok')
      return toObtained(room, { record, version }, set.access)
    } catch (error) {
      if (left === 1) audit(stored, 'refresh', 'unknown', 'not_stored')
      else await sleep(room.clock, limits.tokenPauseMs)
      if (!(error instanceof GatewayError)) throw error
    }
  }
  return {
    access: set.access,
    remainingMs: set.lifetimeMs ?? Infinity,
    lifetimeMs: set.lifetimeMs,
    ageMs: 0,
    counter: before.counter,
    version: marked.version,
  }
}

/** C09: someone else went on meanwhile. What is there is newer; if nothing is, the user has disconnected. */
async function late({ client }: Stored, current: Held | undefined, set: TokenSet): Promise<Attempt> {
  if (current === undefined)
    await client
      .revoke(set.refresh ?? set.access, set.refresh === undefined ? 'access_token' : 'refresh_token')
      .catch(() => undefined)
  return 'again'
}

async function askedAnew(
  stored: Stored,
  held: Held | undefined,
  guard: () => void,
  ask: (guard: () => void) => Promise<TokenSet>,
): Promise<Attempt> {
  const { room, client, seat, owner } = stored
  let set: TokenSet
  try {
    set = await ask(guard)
  } catch (error) {
    throw unasked(stored, error)
  }
  const server = await client.servers.current()
  const { name, clientId, scopes } = client.options
  const issued = { owner, credential: name, issuer: server.as.issuer, client: clientId, asked: scopes }
  const before = held === undefined ? undefined : { record: held.record, refresh: undefined }
  const record = await sealTokens(room, seat, issued, { ...set, refresh: undefined }, before)
  const version = await room.records.put(seat.key, JSON.stringify(record), {
    expect: held?.version ?? 'absent',
    expiresAt: room.clock.now() + (set.lifetimeMs ?? limits.tokenLifetimeMs),
  })
  audit(stored, 'token', 'ok')
  return version === undefined ? 'again' : toObtained(room, { record, version }, set.access)
}

/** Why no token came, said to the audit and to the caller. */
function unasked(stored: Stored, error: unknown): GatewayError {
  const shown = asTokenError(error, stored.client.options.name)
  audit(stored, 'token', 'failed', error instanceof TokenFault ? error.reason : shown.code)
  return shown
}

function audit({ room, owner, client }: Stored, act: AuditAct, outcome: AuditEvent['outcome'], detail?: string): void {
  room.audit({
    at: room.clock.now(),
    act,
    ...owner,
    credential: client.options.name,
    outcome,
    ...(detail === undefined ? {} : { detail }),
  })
}
