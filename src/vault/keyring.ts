/**
 * The keys that wrap the vault’s data keys: one is current, the others only open what was sealed under them. They come
 * from the configuration, or from files that the gateway makes for itself, or (behind `KeyWrapper`) from elsewhere.
 */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, hkdfSync, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { Secret } from '../core/secret.ts'
import { randomKey, removeFile, secretFile } from '../store/files.ts'

/** Wraps data keys under one key-encryption key, here or in a service that never gives its key away. */
export interface KeyWrapper {
  /** Names the key, and is written beside everything it seals: 1 to 200 characters of visible ASCII. */
  readonly id: string
  wrap(dataKey: Uint8Array): Promise<Uint8Array>
  /** Rejects, with whatever error, when this key did not wrap it or a bit has changed. */
  unwrap(wrapped: Uint8Array): Promise<Uint8Array>
}

export interface Keyring {
  /** The key that seals from now on. */
  current(): KeyWrapper
  find(id: string): KeyWrapper | undefined
}

const algorithm = 'aes-256-gcm'
const keyBytes = 32
const saltBytes = 16
const nonceBytes = 12
const tagBytes = 16
const purpose = Buffer.from('toolgate vault: wrap a data key, 1')

const badKey = (): GatewayError =>
  new GatewayError('bad_config', {
    words: 'A vault key is 32 bytes in base64, as `openssl rand -base64 32` prints them, and nothing else.',
  })

/** One text for one key: what decodes but is written otherwise, such as 64 hexadecimal digits, is a mistake. */
const bytesOf = (key: Secret): Buffer => {
  const bytes = Buffer.from(key.reveal(), 'base64')
  if (bytes.length !== keyBytes || bytes.toString('base64') !== key.reveal()) throw badKey()
  return bytes
}

/**
 * A key in memory. Each wrapping has a key of its own, made of this one and 128 random bits (HKDF, RFC 5869), besides
 * a random 96-bit nonce: the 2³² messages after which random nonces alone would call for a new key (NIST SP 800-38D
 * §8.3) are never in sight, and nothing has to be counted. Throws `bad_config` for what is not 32 bytes in base64.
 */
export function localKey(secret: Secret): KeyWrapper {
  const bytes = bytesOf(secret)
  const key = createSecretKey(bytes)
  // made of the key, so that no one can give a wrong one its name
  const id = createHmac('sha256', key).update('toolgate vault: key id, 1').digest('hex').slice(0, 16)
  bytes.fill(0)
  const derived = (salt: Uint8Array): Uint8Array => new Uint8Array(hkdfSync('sha256', key, salt, purpose, keyBytes))
  return {
    id,
    async wrap(dataKey) {
      const [salt, nonce] = [randomBytes(saltBytes), randomBytes(nonceBytes)]
      const cipher = createCipheriv(algorithm, derived(salt), nonce, { authTagLength: tagBytes }).setAAD(purpose)
      return Buffer.concat([salt, nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()])
    },
    async unwrap(wrapped) {
      if (wrapped.length !== saltBytes + nonceBytes + keyBytes + tagBytes)
        throw new Error('a wrapped key has one length')
      const salt = wrapped.subarray(0, saltBytes)
      const nonce = wrapped.subarray(saltBytes, saltBytes + nonceBytes)
      const decipher = createDecipheriv(algorithm, derived(salt), nonce, { authTagLength: tagBytes })
      decipher.setAAD(purpose).setAuthTag(wrapped.subarray(-tagBytes))
      return Buffer.concat([decipher.update(wrapped.subarray(saltBytes + nonceBytes, -tagBytes)), decipher.final()])
    },
  }
}

/** The keys that are given, and no others. */
export function createKeyring(current: KeyWrapper, retired: readonly KeyWrapper[] = []): Keyring {
  const keys = new Map([...retired, current].map((key) => [key.id, key]))
  return { current: () => current, find: (id) => keys.get(id) }
}

/** `vault-key` is the first; what the file system calls `vault-key.7` is the seventh. */
const fileName = /^vault-key(?:\.(\d{1,6}))?$/

const pathOf = (dir: string, number: number): string => join(dir, number === 1 ? 'vault-key' : `vault-key.${number}`)

/** Numbers of the key files that are there, the newest first. */
const numbersIn = (dir: string): number[] =>
  readdirSync(dir)
    .flatMap((name) => {
      const found = fileName.exec(name)
      return found === null ? [] : [Number(found[1] ?? 1)]
    })
    .toSorted((one, other) => other - one)
    .slice(0, limits.vaultKeyFiles)

const readKey = (path: string): KeyWrapper => localKey(new Secret(readFileSync(path, 'utf8').replace(/\r?\n$/, '')))

const unreadable = (cause: unknown): GatewayError =>
  cause instanceof GatewayError
    ? cause
    : new GatewayError('bad_config', { words: 'A vault key’s file cannot be read.', cause })

/**
 * The keys in `vault-key`, `vault-key.2`, … of the gateway’s own folder, the first made on first use (mode 0600). The
 * highest number is current. A key that another process adds is current here with the next sealing, since the folder’s
 * time of change is looked at; keys once read are kept even if their files vanish. Throws `bad_config` at the start.
 */
export function folderKeyring(dir: string): Keyring {
  const keys = new Map<string, KeyWrapper>()
  let current: KeyWrapper | undefined
  let seen = -1

  const read = (): void => {
    const changed = statSync(dir).mtimeMs
    const found = numbersIn(dir).map((number) => readKey(pathOf(dir, number)))
    for (const key of found) keys.set(key.id, key)
    current = found[0] ?? current
    seen = changed
  }
  /** Once it runs, a folder that cannot be read is no reason to stop opening what it can open. */
  const refresh = (): void => {
    try {
      read()
    } catch {
      // the keys that are known stay
    }
  }
  const stale = (): boolean => (statSync(dir, { throwIfNoEntry: false })?.mtimeMs ?? seen) !== seen

  try {
    secretFileUnlessAny(dir)
    read()
  } catch (error) {
    throw unreadable(error)
  }
  return {
    current() {
      if (stale()) refresh()
      if (current === undefined) throw new GatewayError('bad_config', { words: 'The vault has no key.' })
      return current
    },
    find(id) {
      if (!keys.has(id)) refresh()
      return keys.get(id)
    },
  }
}

function secretFileUnlessAny(dir: string): void {
  const there = statSync(dir, { throwIfNoEntry: false }) !== undefined && numbersIn(dir).length > 0
  if (!there) secretFile(pathOf(dir, 1), randomKey)
}

/** Makes a new key the current one of a folder; two who do so at once agree on one. The older ones are now retired. */
export function addFolderKey(dir: string): void {
  secretFile(pathOf(dir, (numbersIn(dir)[0] ?? 0) + 1), randomKey)
}

/**
 * Removes all keys of a folder but the current one, and says how many. Only after a rotation that found nothing to do
 * and nothing unreadable: what another process was just sealing when the key changed is met by the second one.
 */
export async function dropRetiredFolderKeys(dir: string): Promise<number> {
  const [, ...retired] = numbersIn(dir)
  for (const number of retired) await removeFile(pathOf(dir, number))
  return retired.length
}
