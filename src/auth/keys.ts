/**
 * Keys that the gateway gives to its callers: shown once, kept as a hash (or, for signatures, sealed), revocable within
 * a second on every replica. A key that is in use costs no look into the database.
 */
import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Principal } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import type { Records, Versioned } from '../store/records.ts'
import type { Place, Vault } from '../vault/vault.ts'
import type { Authenticate, Inbound } from './authenticate.ts'
import { createHeldKeys } from './held-keys.ts'
import {
  isAccessKeyId,
  isKeyText,
  keyHash,
  newAccessKeyId,
  newAccessKeySecret,
  newKeyId,
  newKeyText,
} from './key-text.ts'
import { createLastUse } from './last-use.ts'

export interface KeyRequest {
  readonly name: string
  readonly tenant?: string
  readonly scopes?: readonly string[]
  /** Names of the targets that the key may reach; all when there are none given. */
  readonly targets?: readonly string[]
  /** Milliseconds since the Unix epoch. */
  readonly expires?: number
  /** An access key for AWS Signature Version 4 instead of a key that is sent. */
  readonly sigv4?: boolean
}

export interface KeyInfo {
  readonly id: string
  readonly kind: 'key' | 'accessKey'
  readonly name: string
  readonly tenant: string
  readonly scopes: readonly string[]
  readonly targets?: readonly string[]
  /** These four in milliseconds since the Unix epoch. */
  readonly created: number
  readonly expires?: number
  readonly revoked?: number
  /** To the minute or so. */
  readonly lastUsed?: number
}

interface AccessKey {
  readonly id: string
  readonly principal: Principal
  readonly secret: Secret
}

/** Every method rejects with `store_unavailable` when the database cannot be asked: a key is never taken on trust. */
export interface Keys {
  /**
   * `key` is shown now and never again: the key itself, or the secret of the access key whose id `id` is.
   * Rejects with `invalid_params`.
   */
  create(request: KeyRequest): Promise<{ readonly id: string; readonly key: Secret }>
  /** In the order of ids, revoked and expired ones for `limits.keyEndedKeptMs`. */
  list(): Promise<readonly KeyInfo[]>
  /** Whether there was such a key in force. */
  revoke(id: string): Promise<boolean>
  /** Whose key this is. No promise where it is known already. */
  check(text: string): Principal | undefined | Promise<Principal | undefined>
  /** The access key of this id. Whoever knows the id gets this far: it counts as used when `used` says so. */
  accessKey(id: string): AccessKey | undefined | Promise<AccessKey | undefined>
  used(id: string): void
  /** Writes down last uses that are not yet written. */
  close(): Promise<void>
}

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/
const plainName = /^[^\p{C}\s](?:[^\p{C}]*[^\p{C}\s])?$/u

const base = {
  id: z.string(),
  name: z.string().max(limits.keyNameChars).regex(plainName),
  tenant: z.string().max(limits.keyNameChars).regex(plainName),
  scopes: z.array(z.string().regex(scopeToken)).max(limits.keyScopes),
  targets: z.array(z.string().max(limits.keyNameChars).regex(plainName)).min(1).max(limits.keyTargets).optional(),
  created: z.number(),
  expires: z.number().optional(),
  revoked: z.number().optional(),
}

/** A record `key/<id>`. */
const stored = z.union([z.strictObject({ ...base, hash: z.string() }), z.strictObject({ ...base, sealed: z.string() })])

type Stored = z.infer<typeof stored>

const recordKey = (id: string): string => `key/${id}`
const hashKey = (hash: string): string => `keyhash/${hash}`

const read = ({ value }: Versioned): Stored => {
  try {
    return stored.parse(JSON.parse(value))
  } catch (cause) {
    throw new GatewayError('internal', { cause })
  }
}

/** Bound to the tenant and the id: a record that is altered to be someone else’s has no secret any more. */
const placeOf = ({ tenant, id }: Stored): Place => ({ kind: 'accessKey', tenant, principal: `key|${id}`, name: id })

const sameHash = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))

const principalOf = ({ id, tenant, name, scopes, targets }: Stored): Principal => ({
  tenant,
  subject: `key|${id}`,
  client: name,
  scopes: new Set(scopes),
  ...(targets === undefined ? {} : { claims: new Map([['targets', targets]]) }),
})

const given = <T>(name: string, value: T | undefined): { [name: string]: T } =>
  value === undefined ? {} : { [name]: value }

const infoOf = (key: Stored, lastUsed: number | undefined): KeyInfo => ({
  id: key.id,
  kind: 'hash' in key ? 'key' : 'accessKey',
  name: key.name,
  tenant: key.tenant,
  scopes: key.scopes,
  ...given('targets', key.targets),
  created: key.created,
  ...given('expires', key.expires),
  ...given('revoked', key.revoked),
  ...given('lastUsed', lastUsed),
})

/** When the record itself may go. */
const keptUntil = (end: number | undefined): { expiresAt?: number } =>
  end === undefined ? {} : { expiresAt: end + limits.keyEndedKeptMs }

export interface KeyParts {
  readonly records: Records
  readonly vault: Vault
  readonly clock: Clock
}

export function createKeys({ records, vault, clock }: KeyParts): Keys {
  const lastUse = createLastUse(records, clock)

  /** What holds of a key while its record stays as it is. */
  const hold = (key: Stored) => ({ id: key.id, principal: principalOf(key), expires: key.expires ?? Infinity })

  const sent = createHeldKeys({
    records,
    clock,
    find: async (hash) => {
      const id = (await records.get(hashKey(hash)))?.value
      return id === undefined ? undefined : recordKey(id)
    },
    open: async (record, hash) => {
      const key = read(record)
      return 'hash' in key && sameHash(key.hash, hash) && key.revoked === undefined ? hold(key) : undefined
    },
  })

  const signing = createHeldKeys({
    records,
    clock,
    find: async (id) => recordKey(id),
    open: async (record) => {
      const key = read(record)
      if (!('sealed' in key) || key.revoked !== undefined) return undefined
      return { ...hold(key), secret: await vault.open(placeOf(key), 1, key.sealed) }
    },
  })

  const inForce = <T extends { readonly expires: number }>(held: T | undefined): T | undefined =>
    held !== undefined && held.expires > clock.now() ? held : undefined

  const callerOf = (held: ReturnType<typeof hold> | undefined): Principal | undefined => {
    const found = inForce(held)
    if (found !== undefined) lastUse.note(found.id)
    return found?.principal
  }

  const create = async (request: KeyRequest): Promise<{ id: string; key: Secret }> => {
    const made = {
      name: request.name,
      tenant: request.tenant ?? 'default',
      scopes: [...(request.scopes ?? [])],
      ...(request.targets === undefined ? {} : { targets: [...request.targets] }),
      created: clock.now(),
      ...(request.expires === undefined ? {} : { expires: request.expires }),
    }
    const text = request.sigv4 === true ? newAccessKeySecret() : newKeyText()
    const id = request.sigv4 === true ? newAccessKeyId() : newKeyId()
    const checked = stored.safeParse({ ...made, id, hash: keyHash(text) })
    if (!checked.success) throw new GatewayError('invalid_params', { words: wrongPart(checked.error) })
    if (request.expires !== undefined && request.expires <= clock.now())
      throw new GatewayError('invalid_params', { words: 'A key must expire in the future.' })

    const key = new Secret(text)
    const record =
      request.sigv4 === true
        ? { ...made, id, sealed: await vault.seal(placeOf({ ...made, id, sealed: '' }), 1, key) }
        : { ...made, id, hash: keyHash(text) }
    const options = { expect: 'absent', ...keptUntil(request.expires) } as const
    // the record first: a hash without one would be found and mean nothing
    await records.put(recordKey(id), JSON.stringify(record), options)
    if ('hash' in record) await records.put(hashKey(record.hash), id, options)
    return { id, key }
  }

  const revoke = async (id: string): Promise<boolean> => {
    if (!/^\w{1,64}$/.test(id)) return false
    for (let tries = 0; tries < limits.rotationTries; tries++) {
      const found = await records.get(recordKey(id))
      if (found === undefined) return false
      const key = read(found)
      if (key.revoked !== undefined) return false
      const revoked = clock.now()
      const options = { expect: found.version, ...keptUntil(revoked) }
      if ((await records.put(recordKey(id), JSON.stringify({ ...key, revoked }), options)) === undefined) continue
      // the record decides; without the index it is not even asked
      if ('hash' in key) await records.delete(hashKey(key.hash))
      return true
    }
    throw new GatewayError('store_unavailable')
  }

  const list = async (): Promise<KeyInfo[]> => {
    const uses = await lastUse.all()
    const found: KeyInfo[] = []
    for (let after = ''; found.length < limits.keysListed; ) {
      const page = await records.list('key/', { after, limit: limits.recordsListed })
      for (const row of page) {
        const key = read(row)
        found.push(infoOf(key, uses.get(key.id)))
      }
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
    }
    return found
  }

  return {
    create,
    revoke,
    list,
    check(text) {
      if (!isKeyText(text)) return undefined
      const held = sent.get(keyHash(text))
      return held instanceof Promise ? held.then(callerOf) : callerOf(held)
    },
    accessKey(id) {
      if (!isAccessKeyId(id)) return undefined
      const held = signing.get(id)
      return held instanceof Promise ? held.then(inForce) : inForce(held)
    },
    used: (id) => lastUse.note(id),
    close: () => lastUse.close(),
  }
}

const wrongPart = ({ issues }: z.ZodError): string => {
  const path = issues.flatMap((issue) => (issue.code === 'invalid_union' ? issue.errors.flat() : [issue]))[0]?.path[0]
  return `The key’s ${path === undefined ? 'fields are' : `${String(path)} is`} not what it may be.`
}

const refused = (): GatewayError => new GatewayError('unauthenticated', { headers: { 'www-authenticate': 'Bearer' } })

/**
 * The key that a request carries, as `Authorization: Bearer …` or `X-Api-Key: …`; `undefined` for none. Throws
 * `unauthenticated` when it is not clear which one is meant: sent twice, or two that differ.
 */
export function presentedKey(inbound: Inbound): string | undefined {
  if (inbound.times('authorization') > 1 || inbound.times('x-api-key') > 1) throw refused()
  const authorization = inbound.header('authorization')
  const plain = inbound.header('x-api-key')
  const bearer = authorization === undefined ? undefined : (/^bearer +(\S+)$/i.exec(authorization)?.[1] ?? '')
  if (bearer !== undefined && plain !== undefined && bearer !== plain) throw refused()
  return bearer ?? plain
}

/** `inbound: apiKey`. */
export const authenticateKey =
  (keys: Pick<Keys, 'check'>): Authenticate =>
  (inbound) => {
    const known = (principal: Principal | undefined): Principal => {
      if (principal === undefined) throw refused()
      return principal
    }
    const found = keys.check(presentedKey(inbound) ?? '')
    return found instanceof Promise ? found.then(known) : known(found)
  }

/** The targets that a key is held to; `undefined` for callers who may reach all, or came otherwise. */
export function targetsOf({ subject, claims }: Principal): readonly string[] | undefined {
  if (!subject.startsWith('key|')) return undefined
  const targets = claims?.get('targets')
  if (targets === undefined) return undefined
  return Array.isArray(targets) ? targets.filter((target) => typeof target === 'string') : []
}
