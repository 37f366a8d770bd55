/**
 * How the keys that the gateway gives out are written. `tg_` and a checksum let a scanner find a leaked one and let a
 * mistyped one be refused without asking anybody.
 */
import { hash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const base32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** 43 characters of 62 are 256 bits: nobody guesses them, however fast a hash of them is computed. */
const randomChars = 43
const checkChars = 6
const form = /^tg_[0-9A-Za-z]{49}$/

/** Each character drawn evenly and on its own. */
const randomText = (alphabet: string, chars: number): string =>
  Array.from({ length: chars }, () => alphabet[randomInt(alphabet.length)]).join('')

const checkOf = (text: string): string => {
  let rest = crc32(text)
  let check = ''
  for (let place = 0; place < checkChars; place++) {
    check = `${digits[rest % digits.length]}${check}`
    rest = Math.trunc(rest / digits.length)
  }
  return check
}

/** `tg_`, 43 random characters, and the CRC-32 of both in six digits of base 62. */
export const newKeyText = (): string => {
  const text = `tg_${randomText(digits, randomChars)}`
  return text + checkOf(text)
}

/** Whether this can be one of our keys: costs no look into the database. */
export const isKeyText = (text: string): boolean =>
  form.test(text) && checkOf(text.slice(0, -checkChars)) === text.slice(-checkChars)

/** Names a key without being one. A plain SHA-256 does, since there is nothing to guess (see `randomChars`). */
export const keyHash = (text: string): string => hash('sha256', text, 'hex')

export const newKeyId = (): string => randomText(digits, 16)

/** As AWS writes them, so that clients which look at the form take them: 20 and 40 characters. */
export const newAccessKeyId = (): string => `TGAK${randomText(base32, 16)}`
export const newAccessKeySecret = (): string => randomText(digits, 40)

export const isAccessKeyId = (text: string): boolean => /^TGAK[A-Z2-7]{16}$/.test(text)
