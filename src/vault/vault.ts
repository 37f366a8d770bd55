/**
 * Secrets at rest. Each is encrypted under a data key of its own (AES-256-GCM, a fresh 96-bit nonce, the full tag), and
 * that key is wrapped by a key of the keyring. A sealed text opens at the place and in the version it was sealed for.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { Secret } from '../core/secret.ts'
import type { Keyring, KeyWrapper } from './keyring.ts'

/** Where a secret belongs. Moved anywhere else it cannot be read. */
export interface Place {
  readonly kind: 'connection' | 'secret' | 'accessKey' | 'token' | 'signIn'
  readonly tenant: string
  /** Whose it is; empty for the gateway’s own. */
  readonly principal: string
  /** The credential’s, secret’s or key’s name. */
  readonly name: string
}

/**
 * Every method rejects with `vault_unreadable` for a text that this vault did not seal, or not for this place and
 * version, or whose key is not on the ring, or of which a bit has changed: always the same error, nothing of the text.
 *
 * `version` is a count that the owner of the record keeps in the record, beside the sealed text, and raises whenever it
 * seals something new: an older text put back beside the newer count does not open. It is not the version that
 * `Records` gives, since that is known only after what it covers has been written.
 */
export interface Vault {
  /** Text for `Records`, `tgv1.` and base64url. Rejects with `over_limit` above `limits.sealedSecretBytes`. */
  seal(place: Place, version: number, secret: Secret): Promise<string>
  open(place: Place, version: number, sealed: string): Promise<Secret>
  /** The id of the key that a sealed text needs. Throws `vault_unreadable`. */
  keyOf(sealed: string): string
  /** The id of the key that seals from now on. */
  currentKey(): string
  /**
   * The same secret under the current key. Only its data key is wrapped anew, so that neither the secret nor its place
   * has to be known: what opened before opens after, and what did not does not.
   */
  rewrap(sealed: string): Promise<string>
}

const prefix = 'tgv1.'
const algorithm = 'aes-256-gcm'
const dataKeyBytes = 32
const nonceBytes = 12
const tagBytes = 16
/** Length of the key’s id in one byte, the id, length of the wrapped data key in two, that key; then the message. */
const wrappedBytesMax = 4_096
const sealedCharsMax = prefix.length + Math.ceil(((limits.sealedSecretBytes + wrappedBytesMax + 1_024) * 4) / 3)

/** Finds sealed texts in whatever they are written into. */
export const sealedTexts = /\btgv1\.[\w-]{40,}/g

interface Parts {
  readonly keyId: string
  readonly wrapped: Buffer
  /** Nonce, ciphertext, tag. */
  readonly message: Buffer
}

const unreadable = (cause: unknown): GatewayError => new GatewayError('vault_unreadable', { cause })

/** JSON keeps the parts apart, whatever characters they have. */
const boundTo = ({ kind, tenant, principal, name }: Place, version: number): Buffer =>
  Buffer.from(JSON.stringify(['toolgate sealed 1', kind, tenant, principal, name, version]))

const join = ({ keyId, wrapped, message }: Parts): string => {
  const head = Buffer.alloc(2 + keyId.length + 1)
  // ids are visible ASCII: one byte a character
  head.writeUInt8(keyId.length, 0)
  head.write(keyId, 1, 'latin1')
  head.writeUInt16BE(wrapped.length, 1 + keyId.length)
  return prefix + Buffer.concat([head, wrapped, message]).toString('base64url')
}

/** Takes a sealed text apart, as far as that is possible without a key. */
const split = (sealed: string): Parts => {
  const fail = (why: string): never => {
    throw unreadable(new Error(why))
  }
  if (!sealed.startsWith(prefix) || sealed.length > sealedCharsMax) fail('not a sealed text')
  const text = sealed.slice(prefix.length)
  const bytes = Buffer.from(text, 'base64url')
  // the last character has bits to spare, which must not make two texts of one
  if (bytes.toString('base64url') !== text) fail('not base64url')
  const idEnd = 1 + (bytes[0] ?? 0)
  if (bytes.length < idEnd + 2) fail('cut within the key’s id')
  const wrappedEnd = idEnd + 2 + bytes.readUInt16BE(idEnd)
  if (bytes.length < wrappedEnd + nonceBytes + tagBytes) fail('cut within the message')
  return {
    keyId: bytes.toString('latin1', 1, idEnd),
    wrapped: bytes.subarray(idEnd + 2, wrappedEnd),
    message: bytes.subarray(wrappedEnd),
  }
}

const encrypt = (dataKey: Uint8Array, text: string, bound: Buffer): Buffer => {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv(algorithm, dataKey, nonce, { authTagLength: tagBytes }).setAAD(bound)
  return Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

const decrypt = (dataKey: Uint8Array, message: Buffer, bound: Buffer): Secret => {
  const decipher = createDecipheriv(algorithm, dataKey, message.subarray(0, nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(bound).setAuthTag(message.subarray(-tagBytes))
  const plain = Buffer.concat([decipher.update(message.subarray(nonceBytes, -tagBytes)), decipher.final()])
  const secret = new Secret(plain.toString('utf8'))
  plain.fill(0)
  return secret
}

const wrapUnder = async (key: KeyWrapper, dataKey: Uint8Array): Promise<{ keyId: string; wrapped: Buffer }> => {
  const wrapped = Buffer.from(await key.wrap(dataKey))
  if (!/^[!-~]{1,200}$/.test(key.id) || wrapped.length > wrappedBytesMax)
    throw new GatewayError('internal', { cause: new Error('a key wrapper’s id or wrapped key is too long') })
  return { keyId: key.id, wrapped }
}

export function createVault(keyring: Keyring): Vault {
  /** Gives the data key to `use` and forgets it. What a key service reports as an error of the table stays that. */
  const withDataKey = async <T>(
    { keyId, wrapped }: Parts,
    use: (dataKey: Uint8Array) => T | Promise<T>,
  ): Promise<T> => {
    try {
      const key = keyring.find(keyId)
      if (key === undefined) throw new Error(`the key ${JSON.stringify(keyId)} is not on the ring`)
      const dataKey = await key.unwrap(wrapped)
      try {
        return await use(dataKey)
      } finally {
        dataKey.fill(0)
      }
    } catch (error) {
      throw error instanceof GatewayError ? error : unreadable(error)
    }
  }

  return {
    async seal(place, version, secret) {
      const text = secret.reveal()
      if (Buffer.byteLength(text) > limits.sealedSecretBytes || !text.isWellFormed())
        throw new GatewayError('over_limit', { words: 'A secret must be text of bounded length.' })
      const dataKey = randomBytes(dataKeyBytes)
      const message = encrypt(dataKey, text, boundTo(place, version))
      const wrapping = await wrapUnder(keyring.current(), dataKey)
      dataKey.fill(0)
      return join({ ...wrapping, message })
    },
    async open(place, version, sealed) {
      const parts = split(sealed)
      return withDataKey(parts, (dataKey) => decrypt(dataKey, parts.message, boundTo(place, version)))
    },
    keyOf: (sealed) => split(sealed).keyId,
    currentKey: () => keyring.current().id,
    async rewrap(sealed) {
      const parts = split(sealed)
      return withDataKey(parts, async (dataKey) =>
        join({ ...(await wrapUnder(keyring.current(), dataKey)), message: parts.message }),
      )
    },
  }
}
