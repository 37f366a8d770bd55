/**
 * Sign-ins under way, as records, so that beginning, starting, coming back and waiting may each reach another process.
 * A pending sign-in is named by an id that its caller is given; each start of it by a `state` that only its browser
 * brings back, and that is taken from the store the moment it does.
 */
import { z } from 'zod'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import { hashed, ownerPrefix } from './record.ts'
import type { Place } from '../../vault/vault.ts'
import type { OAuthRoom, Owner } from './room.ts'

const pendingShape = z.object({
  format: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  subject: z.string(),
  credential: z.string(),
  target: z.string(),
  scopes: z.array(z.string()),
  /** `done` and `failed` are kept until their time is over, for those who wait. */
  state: z.enum(['open', 'done', 'failed']),
  reason: z.string().optional(),
  createdAt: z.number(),
  expiresAt: z.number(),
  /** The hash of the newest `state`: an older start of the same sign-in is over. */
  started: z.string().optional(),
})

/** A sign-in that someone has still to go through, or has. */
export type PendingSignIn = z.infer<typeof pendingShape>

export interface HeldSignIn {
  readonly pending: PendingSignIn
  readonly version: number
}

const startedShape = z.object({
  format: z.literal(1),
  id: z.string(),
  tenant: z.string(),
  subject: z.string(),
  credential: z.string(),
  issuer: z.string(),
  /** Hash of what the browser must bring again. */
  binding: z.string(),
  /** The code verifier and the nonce, sealed: who reads the store cannot redeem a code. */
  sealed: z.string(),
})

export type StartedSignIn = z.infer<typeof startedShape>

const proofShape = z.object({ verifier: z.string().optional(), nonce: z.string().optional() })

/** What shows the authorization server, and us, that the answer belongs to the question. */
export type Proof = z.infer<typeof proofShape>

const pendingKey = (id: string): string => `signin/${hashed(id)}`
const startedKey = (state: string): string => `signin-state/${hashed(state)}`
const openKey = (owner: Owner, credential: string): string =>
  `signin-of/${hashed(`${ownerPrefix(owner)}${credential}`)}`

export const invalid = (): GatewayError => new GatewayError('sign_in_invalid')

const read = <T>(shape: z.ZodType<T>, text: string): T => {
  try {
    return shape.parse(JSON.parse(text))
  } catch {
    throw invalid()
  }
}

/** A pending sign-in for these scopes: the open one of this user, if there is time left, or a new one. */
export async function beginPending(
  room: OAuthRoom,
  owner: Owner,
  credential: string,
  target: string,
  scopes: readonly string[],
): Promise<{ readonly pending: PendingSignIn; readonly isNew: boolean }> {
  const at = openKey(owner, credential)
  const known = await room.records.get(at)
  const open = known === undefined ? undefined : (await readPending(room, known.value))?.pending
  const now = room.clock.now()
  const fits =
    open?.state === 'open' &&
    open.expiresAt - now > limits.signInReuseMs &&
    open.scopes.length === scopes.length &&
    scopes.every((scope) => open.scopes.includes(scope))
  if (fits) return { pending: open, isNew: false }
  // One at a time: a link that is asked for anew ends the one before, so that no caller can gather them.
  if (open?.state === 'open') await room.records.delete(pendingKey(open.id))
  const pending: PendingSignIn = {
    format: 1,
    id: room.random(),
    tenant: owner.tenant,
    subject: owner.subject,
    credential,
    target,
    scopes: [...scopes],
    state: 'open',
    createdAt: now,
    expiresAt: now + limits.signInMs,
  }
  const { expiresAt } = pending
  await room.records.put(pendingKey(pending.id), JSON.stringify(pending), { expect: 'absent', expiresAt })
  // whoever is first is used again; the other one is good as well
  await room.records.put(at, pending.id, { expect: known?.version ?? 'absent', expiresAt })
  return { pending, isNew: true }
}

export async function readPending(room: OAuthRoom, id: string): Promise<HeldSignIn | undefined> {
  if (!/^[\w-]{16,256}$/.test(id)) return undefined
  const found = await room.records.get(pendingKey(id))
  return found === undefined ? undefined : { pending: read(pendingShape, found.value), version: found.version }
}

/** Whether nothing had changed it meanwhile. */
export async function writePending(
  room: OAuthRoom,
  held: HeldSignIn,
  change: Partial<PendingSignIn>,
): Promise<boolean> {
  const pending = { ...held.pending, ...change }
  const written = await room.records.put(pendingKey(pending.id), JSON.stringify(pending), {
    expect: held.version,
    expiresAt: pending.expiresAt,
  })
  return written !== undefined
}

const proofPlace = ({ tenant, subject, credential }: PendingSignIn | StartedSignIn): Place => ({
  kind: 'signIn',
  tenant,
  principal: subject,
  name: credential,
})

/** Writes down a start and makes it the only one of its sign-in. Rejects with `sign_in_invalid` if another one is. */
export async function writeStarted(
  room: OAuthRoom,
  held: HeldSignIn,
  state: string,
  binding: string,
  issuer: string,
  proof: Proof,
): Promise<void> {
  const { pending } = held
  const started: StartedSignIn = {
    format: 1,
    id: pending.id,
    tenant: pending.tenant,
    subject: pending.subject,
    credential: pending.credential,
    issuer,
    binding: hashed(binding),
    sealed: await room.vault.seal(proofPlace(pending), 1, new Secret(JSON.stringify(proof))),
  }
  const expiresAt = room.clock.now() + limits.signInMs
  await room.records.put(startedKey(state), JSON.stringify(started), { expect: 'absent', expiresAt })
  if (!(await writePending(room, held, { started: hashed(state), expiresAt }))) throw invalid()
}

/** The start that a `state` belongs to; it is gone with this, so of many who bring it one is answered. */
export async function takeStarted(room: OAuthRoom, state: string): Promise<StartedSignIn | undefined> {
  const found = await room.records.take(startedKey(state))
  return found === undefined ? undefined : read(startedShape, found.value)
}

export const isNewestStart = ({ pending }: HeldSignIn, state: string): boolean => pending.started === hashed(state)

export async function openProof(room: OAuthRoom, started: StartedSignIn): Promise<Proof> {
  const opened = await room.vault.open(proofPlace(started), 1, started.sealed)
  return read(proofShape, opened.reveal())
}
