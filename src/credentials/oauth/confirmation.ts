/**
 * The one-time code that a caller’s client is given beside the link, and that its user types on the page: it shows that
 * the browser is of the one who asked, where no identity provider can. It is made of the sign-in’s id, so that any
 * replica knows it; wrong tries are counted in the store, and too many of them end the sign-in.
 */
import { createHmac } from 'node:crypto'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import { hashed } from './record.ts'
import type { OAuthRoom } from './room.ts'
import { type PendingSignIn, readPending, writePending } from './sign-in.ts'

/** Crockford’s base 32: without I, L, O and U, so that none of them is taken for another sign. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const half = 4

/**
 * Eight signs of 5 bits, such as `K7QX-3M9P`, from an HMAC-SHA-256 of the sign-in’s id: 40 bits. Five tries find it
 * with a chance of 1 in 2×10¹¹.
 */
export function confirmationCode(key: Secret, pendingId: string): string {
  const mac = createHmac('sha256', key.reveal()).update(`toolgate confirmation 1\n${pendingId}`).digest()
  const signs = [...mac.subarray(0, 2 * half)].map((byte) => alphabet.charAt(byte % alphabet.length))
  return `${signs.slice(0, half).join('')}-${signs.slice(half).join('')}`
}

/** As it was given, whatever a hand made of it: small letters, spaces and hyphens, O for 0, I or L for 1. */
const asGiven = (typed: string): string => {
  const signs = typed
    .toUpperCase()
    .replaceAll(/[\s\p{Pd}]/gu, '')
    .replaceAll('O', '0')
    .replaceAll(/[IL]/g, '1')
  return `${signs.slice(0, half)}-${signs.slice(half)}`
}

type Verdict =
  | { readonly kind: 'right' }
  /** `left`: tries that remain. */
  | { readonly kind: 'wrong'; readonly left: number }
  /** There is no such sign-in any more, be it that this try ended it. */
  | { readonly kind: 'over' }

export interface Confirmations {
  /** Judges what was typed for an open sign-in. Rejects with `store_unavailable`. */
  check(pending: PendingSignIn, typed: string): Promise<Verdict>
}

const triesKey = (pendingId: string): string => `signin-tries/${hashed(pendingId)}`

/** `key` makes the codes: the same for all replicas. */
export const createConfirmations = (room: OAuthRoom, key: Secret): Confirmations => ({
  async check(pending, typed) {
    // a try is counted before it is judged, so that many at once are no more than one after the other
    const tries = await count(room, pending, 1)
    if (tries > limits.confirmationTries) return { kind: 'over' }
    if (new Secret(confirmationCode(key, pending.id)).equals(asGiven(typed))) {
      await count(room, pending, -1)
      return { kind: 'right' }
    }
    const { tenant, subject, credential } = pending
    room.audit({ at: room.clock.now(), act: 'denied', tenant, subject, credential, outcome: 'failed', detail: 'code' })
    const left = limits.confirmationTries - tries
    if (left > 0) return { kind: 'wrong', left }
    await endSignIn(room, pending.id)
    return { kind: 'over' }
  },
})

/** The number of tries with this one, which is not written down past the bound. */
async function count(room: OAuthRoom, { id, expiresAt }: PendingSignIn, by: 1 | -1): Promise<number> {
  for (;;) {
    const found = await room.records.get(triesKey(id))
    const before = Number(found?.value ?? 0)
    const tries = Math.max(before + by, 0)
    if (tries > limits.confirmationTries) return tries
    // a start makes the sign-in live on: its count outlives it in any case
    const options = { expect: found?.version ?? ('absent' as const), expiresAt: expiresAt + limits.signInMs }
    if ((await room.records.put(triesKey(id), String(tries), options)) !== undefined) return tries
  }
}

async function endSignIn(room: OAuthRoom, pendingId: string): Promise<void> {
  for (;;) {
    const held = await readPending(room, pendingId)
    if (held === undefined || held.pending.state !== 'open') return
    if (await writePending(room, held, { state: 'failed', reason: 'wrong_code' })) return
  }
}
