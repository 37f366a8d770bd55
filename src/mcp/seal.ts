/**
 * State that travels with the client, so that any replica can go on with it: AES-256-GCM with a fresh 96-bit nonce and
 * the full tag, bound to what it is for and to whom it was given. It holds no credential.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Json } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'

export interface Seal {
  /** Visible ASCII (base64url). `purpose` and `owner` must be the same when it is opened. */
  close(value: Json, purpose: string, owner: string): string
  /** The value, or nothing for a text that was cut, changed, made elsewhere or for another purpose or owner. */
  open(text: string, purpose: string, owner: string): Json | undefined
}

const algorithm = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16

/** `key`: 32 bytes in base64. */
export function createSeal(key: Secret): Seal {
  const bytes = (): Buffer => Buffer.from(key.reveal(), 'base64')
  const bound = (purpose: string, owner: string): Buffer => Buffer.from(JSON.stringify([purpose, owner]))
  return {
    close(value, purpose, owner) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, bytes(), nonce, { authTagLength: tagBytes }).setAAD(
        bound(purpose, owner),
      )
      const sealed = Buffer.concat([cipher.update(JSON.stringify(value), 'utf8'), cipher.final()])
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url')
    },
    open(text, purpose, owner) {
      if (!/^[\w-]+$/.test(text)) return undefined
      const raw = Buffer.from(text, 'base64url')
      if (raw.length < nonceBytes + tagBytes + 2 || raw.toString('base64url') !== text) return undefined
      const decipher = createDecipheriv(algorithm, bytes(), raw.subarray(0, nonceBytes), { authTagLength: tagBytes })
      decipher.setAAD(bound(purpose, owner)).setAuthTag(raw.subarray(-tagBytes))
      try {
        const opened = Buffer.concat([decipher.update(raw.subarray(nonceBytes, -tagBytes)), decipher.final()])
        return JSON.parse(opened.toString('utf8')) as Json
      } catch {
        return undefined
      }
    },
  }
}
