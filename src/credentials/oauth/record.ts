/**
 * What is kept of a token: a record whose plain half tells whose it is and how it stands, and whose sealed half is the
 * tokens. The seal is bound to the place and to a counter that grows with every set of tokens.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import type { TokenSet } from './client.ts'
import type { Place } from '../../vault/vault.ts'
import type { OAuthRoom, Owner } from './room.ts'

const shape = z.object({
  format: z.literal(1),
  tenant: z.string(),
  subject: z.string(),
  credential: z.string(),
  /** `reconnect`: only the user can bring it back, by signing in again. */
  state: z.enum(['active', 'reconnect']),
  /** Granted, as far as the server said; else what was asked for. */
  scopes: z.array(z.string()),
  asked: z.array(z.string()),
  account: z.string().optional(),
  /** Who gave it, to which client: another server or client is never shown its refresh token. */
  issuer: z.string(),
  client: z.string(),
  createdAt: z.number(),
  updatedAt: z.number(),
  /** When the access token was got, and how long it is good for; both in milliseconds. */
  obtainedAt: z.number(),
  lifetimeMs: z.number().optional(),
  refreshable: z.boolean(),
  /** Refreshes begun with the refresh token in the seal whose end was not recorded. */
  attempts: z.number(),
  counter: z.number(),
  sealed: z.string(),
})

export type TokenRecord = z.infer<typeof shape>

const secrets = z.object({ access: z.string(), refresh: z.string().optional() })

export interface Held {
  readonly record: TokenRecord
  /** Of the record in the store. */
  readonly version: number
}

/** `key` in the store, and what the seal is bound to. */
export interface Seat {
  readonly key: string
  readonly place: Place
}

/** Base64url of a SHA-256. */
export const hashed = (text: string): string => createHash('sha256').update(text).digest('base64url')

/** Names a token without telling it: sixteen hexadecimal digits. */
export const fingerprintOf = (token: Secret): string =>
  createHash('sha256').update(token.reveal()).digest('hex').slice(0, 16)

/** A part of a key: printable, without a slash, and of bounded length; two texts never have the same. */
const part = (text: string): string => {
  const plain = encodeURIComponent(text.toWellFormed())
  // `%-` begins no percent triple
  return plain.length <= 128 && text.isWellFormed() ? plain : `%-${hashed(text)}`
}

export const tenantPrefix = (tenant: string): string => `connection/${part(tenant)}/`

export const ownerPrefix = ({ tenant, subject }: Owner): string => `${tenantPrefix(tenant)}${hashed(subject)}/`

/** A user's own grant. */
export const connectionSeat = (owner: Owner, credential: string): Seat => ({
  key: `${ownerPrefix(owner)}${part(credential)}`,
  place: { kind: 'connection', tenant: owner.tenant, principal: owner.subject, name: credential },
})

/** A token that the gateway holds as itself. `request` is everything that it was asked for with. */
export const ownSeat = (credential: string, request: string): Seat => ({
  key: `token/${part(credential)}/${hashed(request)}`,
  place: { kind: 'token', tenant: '', principal: '', name: credential },
})

const unreadable = (cause: unknown): GatewayError =>
  new GatewayError('store_unavailable', { words: 'A stored token cannot be read. Tell the operator.', cause })

/** Rejects with `store_unavailable`. */
export async function readHeld(room: OAuthRoom, seat: Seat): Promise<Held | undefined> {
  const found = await room.records.get(seat.key)
  return found === undefined ? undefined : toHeld(found.value, found.version)
}

/** Throws `store_unavailable` for a record that this version did not write. */
export function toHeld(value: string, version: number): Held {
  try {
    return { record: shape.parse(JSON.parse(value)), version }
  } catch {
    throw unreadable(new Error('the record has another form'))
  }
}

export interface OpenTokens {
  readonly access: Secret
  readonly refresh: Secret | undefined
}

/** Rejects with the vault's own error when the seal is not of this place and counter. */
export async function openTokens(room: OAuthRoom, seat: Seat, record: TokenRecord): Promise<OpenTokens> {
  const opened = await room.vault.open(seat.place, record.counter, record.sealed)
  try {
    const { access, refresh } = secrets.parse(JSON.parse(opened.reveal()))
    return { access: new Secret(access), refresh: refresh === undefined ? undefined : new Secret(refresh) }
  } catch {
    // what the parser would say has the text in it
    throw unreadable(new Error('the seal holds something else'))
  }
}

export interface Issued {
  readonly owner: Owner
  readonly credential: string
  readonly issuer: string
  readonly client: string
  readonly asked: readonly string[]
}

/** A record of new tokens, sealed. What the answer leaves out stays as it was before. */
export async function sealTokens(
  room: OAuthRoom,
  seat: Seat,
  issued: Issued,
  set: TokenSet,
  before: { readonly record: TokenRecord; readonly refresh: Secret | undefined } | undefined,
): Promise<TokenRecord> {
  const now = room.clock.now()
  // a grant after a disconnection counts on from where no earlier one has come to
  const counter = before === undefined ? now : before.record.counter + 1
  const refresh = set.refresh ?? before?.refresh
  const account = set.account ?? before?.record.account
  const plain = new Secret(
    JSON.stringify({ access: set.access.reveal(), ...(refresh === undefined ? {} : { refresh: refresh.reveal() }) }),
  )
  return {
    format: 1,
    tenant: issued.owner.tenant,
    subject: issued.owner.subject,
    credential: issued.credential,
    state: 'active',
    scopes: [...(set.scopes ?? before?.record.scopes ?? issued.asked)],
    asked: [...issued.asked],
    ...(account === undefined ? {} : { account }),
    issuer: issued.issuer,
    client: issued.client,
    createdAt: before?.record.createdAt ?? now,
    updatedAt: now,
    obtainedAt: now,
    ...(set.lifetimeMs === undefined ? {} : { lifetimeMs: set.lifetimeMs }),
    refreshable: refresh !== undefined,
    attempts: 0,
    counter,
    sealed: await room.vault.seal(seat.place, counter, plain),
  }
}

/**
 * Milliseconds that a token is still good for, by a clock that may have jumped: never more than it was given for.
 * Infinite when the server did not say, negative when it is over.
 */
export function remainingMs({ obtainedAt, lifetimeMs }: TokenRecord, clock: Clock): number {
  if (lifetimeMs === undefined) return Infinity
  return Math.min(obtainedAt + lifetimeMs - clock.now(), lifetimeMs)
}

/** How long before its end a token is no longer used: what is on its way must arrive in time. */
export const leewayMs = (lifetimeMs: number): number => Math.min(limits.tokenLeewayMs, lifetimeMs / 10)

export const isGood = (record: TokenRecord, clock: Clock): boolean =>
  record.state === 'active' && remainingMs(record, clock) > leewayMs(record.lifetimeMs ?? Infinity)

/** Whether all of `wanted` was granted, or asked for and then named in another way by the server. */
export const covers = (record: TokenRecord, wanted: readonly string[]): boolean =>
  wanted.every((scope) => record.scopes.includes(scope) || record.asked.includes(scope))
