/**
 * The hash chain within a segment, pure. A seal line (`h`) stands behind every group of lines:
 *
 *     h₀ = SHA-256(name of the segment)
 *     hₙ = SHA-256(hₙ₋₁ ‖ every byte between the seal before and this one ‖ "end" in the last seal)
 *
 * with hashes in hexadecimal. So a seal says what all bytes before it were. The hash of a segment *at* some place is that
 * of the last seal before it, or, when bytes follow that seal, SHA-256(hₙ ‖ those bytes). The head of a segment names
 * another one with its hash at some place: so segments are chained, too.
 *
 * Beside the hash, a seal lists its lines by the end of their ids and their length (`l`). That proves nothing; it tells
 * where to look when the hash is wrong.
 */
import { createHash } from 'node:crypto'
import { limits } from '../core/limits.ts'

const tagChars = 7
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** h₀ of the segment of this name. */
export const firstHash = (segment: string): string => sha256(segment)

/** hₙ, from the lines behind the seal before. */
export const nextHash = (before: string, lines: string, last: boolean): string =>
  createHash('sha256')
    .update(before)
    .update(last ? `${lines}end` : lines)
    .digest('hex')

const digitsOf = (length: number): string => length.toString(36).padStart(3, '0')
/** Of all lengths that a line of ours has, made once. */
const lengths = Array.from({ length: limits.spoolLineBytes + 1 }, (_, length) => digitsOf(length))

/** What a seal lists of a line: four characters of its id, which are random, and its length in UTF-16 units, base 36. */
export const tagOf = (id: string, line: string): string =>
  id.slice(-4) + (lengths[line.length] ?? digitsOf(line.length))

const idSyntax = /^\{"[bcer]":\{"id":"[0-9a-f-]{32}([0-9a-f]{4})"/

/** The same from the line alone, with its newline. */
export const tagOfLine = (line: string): string => tagOf(idSyntax.exec(line)?.[1] ?? '----', line)

export const tagsIn = (list: string): string[] =>
  Array.from({ length: Math.ceil(list.length / tagChars) }, (_, at) => list.slice(at * tagChars, (at + 1) * tagChars))

export const sealLine = (hash: string, tags: string, last: boolean): string =>
  `{"h":"${hash}","l":"${tags}"${last ? ',"end":true' : ''}}\n`

const sealStart = Buffer.from('{"h":"')
const newline = 0x0a

/** Whether a line, which starts there, is a seal. */
export const isSealAt = (bytes: Buffer, start: number): boolean =>
  bytes.compare(sealStart, 0, sealStart.length, start, Math.min(bytes.length, start + sealStart.length)) === 0

const hashChars = 64
/** The hash in a seal line that starts there. */
const hashAt = (bytes: Buffer, start: number): string =>
  bytes.toString('latin1', start + sealStart.length, start + sealStart.length + hashChars)

/** How far a segment was read, and its hash there. */
export interface ChainState {
  readonly sealedAt: number
  readonly sealed: string
}

/** Follows the chain through complete lines, wherever they are cut into pieces, to tell the hash behind each piece. */
export class ChainReader {
  #sealedAt: number
  #sealed: string
  #offset: number
  #hash: ReturnType<typeof createHash>

  /** `from` is where to begin: the first piece starts at its `sealedAt`. */
  constructor(segment: string, from: ChainState = { sealedAt: 0, sealed: firstHash(segment) }) {
    this.#sealedAt = from.sealedAt
    this.#sealed = from.sealed
    this.#offset = from.sealedAt
    this.#hash = createHash('sha256').update(from.sealed)
  }

  /** Takes complete lines. A seal is believed here; whether it is right is for `verify` to say. */
  push(bytes: Buffer): void {
    let start = 0
    for (let seal = findSeal(bytes, 0); seal !== -1; seal = findSeal(bytes, start)) {
      const end = bytes.indexOf(newline, seal) + 1
      this.#sealed = hashAt(bytes, seal)
      this.#sealedAt = this.#offset + end
      this.#hash = createHash('sha256').update(this.#sealed)
      start = end
    }
    this.#offset += bytes.length
    if (start < bytes.length) this.#hash.update(bytes.subarray(start))
  }

  get state(): ChainState & { readonly hash: string } {
    const [sealedAt, sealed] = [this.#sealedAt, this.#sealed]
    return { sealedAt, sealed, hash: this.#offset === sealedAt ? sealed : this.#hash.copy().digest('hex') }
  }
}

/** Where the first seal line at or behind `from`, which is the start of a line, begins; −1 for none. */
const findSeal = (bytes: Buffer, from: number): number => {
  for (let at = bytes.indexOf(sealStart, from); at !== -1; at = bytes.indexOf(sealStart, at + 1))
    if ((at === 0 || bytes[at - 1] === newline) && bytes.indexOf(newline, at) !== -1) return at
  return -1
}
