/** Undoes content codings (RFC 9110 §8.4). What comes out is counted while it is made, so a bomb never unfolds. */
import type { Transform } from 'node:stream'
import {
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  gunzipSync,
  inflateRawSync,
  inflateSync,
} from 'node:zlib'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { Gathering } from './gather.ts'

export interface Body {
  readonly bytes: Buffer
  /** There was more than the bound. */
  readonly cut: boolean
}

interface Coding {
  /** Decodes a small body on the spot; throws past `maxOutputLength` bytes. */
  inline(input: Buffer, options: { readonly maxOutputLength: number }): Buffer
  /** Decodes off the event loop, piece by piece. */
  open(options: { readonly finishFlush: number }): Transform
  /** What makes an input that ends early give what it has instead of failing. */
  readonly lenient: number
  readonly strict: number
}

const zlibFlush = { lenient: constants.Z_SYNC_FLUSH, strict: constants.Z_FINISH }
const gzip: Coding = { inline: gunzipSync, open: createGunzip, ...zlibFlush }
const inflate: Coding = { inline: inflateSync, open: createInflate, ...zlibFlush }
const inflateRaw: Coding = { inline: inflateRawSync, open: createInflateRaw, ...zlibFlush }
const brotli: Coding = {
  inline: brotliDecompressSync,
  open: createBrotliDecompress,
  lenient: constants.BROTLI_OPERATION_FLUSH,
  strict: constants.BROTLI_OPERATION_FINISH,
}

/** RFC 9110 §8.4.1.2: “deflate” is zlib’s format, but some send the raw stream; zlib’s first byte tells them apart. */
const deflate = (input: Buffer): Coding => (((input[0] ?? 0) & 0x0f) === 8 ? inflate : inflateRaw)

const codings: ReadonlyMap<string, (input: Buffer) => Coding> = new Map([
  ['gzip', () => gzip],
  ['x-gzip', () => gzip],
  ['br', () => brotli],
  ['deflate', deflate],
])

const badAnswer = (words: string, cause?: unknown): GatewayError =>
  new GatewayError('target_bad_answer', { words, cause })

const broken = (cause: unknown): GatewayError =>
  badAnswer('The target’s answer is not in the content encoding that it names.', cause)

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

const stream = (coding: Coding, body: Body, limit: number): Promise<Body> =>
  new Promise((resolve, reject) => {
    const made = new Gathering(limit)
    const decoder = coding.open({ finishFlush: body.cut ? coding.lenient : coding.strict })
    decoder.on('data', (piece: Buffer) => {
      if (made.add(piece)) return
      decoder.destroy()
      resolve({ bytes: made.bytes(), cut: true })
    })
    decoder.once('end', () => resolve({ bytes: made.bytes(), cut: body.cut }))
    decoder.once('error', (error) => reject(broken(error)))
    decoder.end(body.bytes)
  })

/** Small bodies are decoded on the spot, which is cheaper than a trip to another thread; all others aside. */
const undo = (coding: Coding, body: Body, limit: number): Body | Promise<Body> => {
  if (body.bytes.length > limits.decodeInlineBytes || body.cut) return stream(coding, body, limit)
  try {
    const maxOutputLength = Math.min(limit, limits.decodeInlineOutputBytes)
    return { bytes: coding.inline(body.bytes, { maxOutputLength }), cut: false }
  } catch (error) {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') return stream(coding, body, limit)
    throw broken(error)
  }
}

/** The codings of a `content-encoding` field, last applied first. Throws `target_bad_answer` for unknown or too many ones. */
function codingsOf(encoding: string): readonly ((input: Buffer) => Coding)[] {
  const names = encoding.split(',', limits.encodingsStacked + 2).map((name) => name.trim().toLowerCase())
  if (names.length > limits.encodingsStacked) throw badAnswer('The target’s answer is encoded too many times over.')
  const applied = names.filter((name) => name !== '' && name !== 'identity')
  return applied.toReversed().map((name) => {
    const choose = codings.get(name)
    if (choose === undefined) throw badAnswer('The target’s answer is in a content encoding that is not known here.')
    return choose
  })
}

/**
 * Undoes the codings of a `content-encoding` field, last applied first, each giving at most `limit` bytes. A body that
 * is longer keeps its first `limit` bytes and is `cut`. Throws `target_bad_answer` for unknown, too many or broken ones.
 */
export const decode = async (raw: Body, encoding: string, limit: number): Promise<Body> => {
  let body = raw
  for (const choose of codingsOf(encoding))
    if (body.bytes.length > 0) body = await undo(choose(body.bytes), body, limit)
  return body
}

/** The same on the spot, of what is whole and at hand; throws `target_bad_answer` past `limit` bytes, too. */
export function decodeNow(raw: Buffer, encoding: string, limit: number): Buffer {
  let bytes = raw
  for (const choose of codingsOf(encoding))
    try {
      if (bytes.length > 0) bytes = choose(bytes).inline(bytes, { maxOutputLength: limit })
    } catch (error) {
      if (codeOf(error) !== 'ERR_BUFFER_TOO_LARGE') throw broken(error)
      throw badAnswer('The target’s answer is longer than is read here once it is decoded.', error)
    }
  return bytes
}
