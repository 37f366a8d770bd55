/** Content codings, undone within a bound. */
import { randomBytes } from 'node:crypto'
import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { decode } from '../../../src/egress/decode.ts'
import { Gathering } from '../../../src/egress/gather.ts'
import { failureOf } from './support.ts'

const brotli = (bytes: Buffer): Buffer => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })

const small = Buffer.from('{"a":1}')
const noise = randomBytes(200_000)
const zeros = Buffer.alloc(2_000_000)
const bound = 1_000_000

const encoders: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['GZip', gzipSync],
  ['deflate', deflateSync],
  ['deflate', deflateRawSync],
  ['br', brotli],
  ['gzip, br', (bytes) => brotli(gzipSync(bytes))],
  ['gzip, gzip', (bytes) => gzipSync(gzipSync(bytes))],
  ['identity', (bytes) => bytes],
]

describe('decode', () => {
  it.each(encoders)('gives back what was encoded as %s, small or large', async (encoding, encode) => {
    for (const bytes of [small, noise]) {
      const { bytes: made, cut } = await decode({ bytes: encode(bytes), cut: false }, encoding, bound)
      expect(made.equals(bytes)).toBe(true)
      expect(cut).toBe(false)
    }
  })

  it.each(encoders.filter(([name]) => name !== 'identity'))(
    'keeps the first bytes of %s past the bound',
    async (encoding, encode) => {
      const { bytes, cut } = await decode({ bytes: encode(zeros), cut: false }, encoding, bound)
      expect(bytes.equals(zeros.subarray(0, bound))).toBe(true)
      expect(cut).toBe(true)
    },
  )

  it.each(encoders.filter(([name]) => !name.includes(',') && name !== 'identity'))(
    'gives what a cut %s body holds',
    async (encoding, encode) => {
      const encoded = encode(noise)
      const { bytes, cut } = await decode(
        { bytes: encoded.subarray(0, encoded.length / 2), cut: true },
        encoding,
        bound,
      )
      expect(bytes.length).toBeGreaterThan(0)
      expect(bytes.equals(noise.subarray(0, bytes.length))).toBe(true)
      expect(cut).toBe(true)
    },
  )

  it('counts exactly: a body as long as the bound is whole', async () => {
    const exact = await decode({ bytes: gzipSync(zeros.subarray(0, bound)), cut: false }, 'gzip', bound)
    expect([exact.bytes.length, exact.cut]).toEqual([bound, false])
    const tiny = await decode({ bytes: gzipSync(small), cut: false }, 'gzip', small.length - 1)
    expect([tiny.bytes.toString(), tiny.cut]).toEqual(['{"a":1', true])
  })

  it.each([
    ['a broken gzip body', 'gzip', Buffer.from('not gzip at all')],
    ['a broken brotli body', 'br', Buffer.from('not brotli at all, and rather longer')],
    ['a broken deflate body', 'deflate', Buffer.from('not deflate')],
    ['a short gzip body', 'gzip', gzipSync(small).subarray(0, -6)],
    ['a short large gzip body', 'gzip', gzipSync(noise).subarray(0, -6)],
    ['a short brotli body', 'br', brotli(noise).subarray(0, -6)],
    ['an unknown encoding', 'zstd', small],
    ['an encoding named like a property', 'constructor', small],
  ])('refuses %s', async (_what, encoding, bytes) => {
    const error = await failureOf(decode({ bytes, cut: false }, encoding, bound))
    expect(error.code).toBe('target_bad_answer')
  })

  it.each([3, 7, 1_000])('refuses %i encodings, however well they are applied', async (times) => {
    let bytes = small
    for (let n = 0; n < times; n += 1) bytes = gzipSync(bytes, { level: 0 })
    const encoding = Array.from({ length: times }, () => 'gzip').join(', ')
    const error = await failureOf(decode({ bytes, cut: false }, encoding, bound))
    expect([error.code, error.message]).toEqual(['target_bad_answer', expect.stringContaining('too many')])
  })

  it('takes a small body that unfolds past the inline bound aside and still gives all of it', async () => {
    const large = zeros.subarray(0, limits.decodeInlineOutputBytes + 1)
    const encoded = gzipSync(large)
    expect(encoded.length).toBeLessThan(limits.decodeInlineBytes)
    const { bytes, cut } = await decode({ bytes: encoded, cut: false }, 'gzip', bound)
    expect([bytes.length, cut]).toEqual([large.length, false])
  })
})

describe('Gathering', () => {
  it('keeps one piece as it came', () => {
    const gathering = new Gathering(10)
    expect(gathering.add(small)).toBe(true)
    expect(gathering.bytes().buffer).toBe(small.buffer)
  })

  it.each([
    ['single bytes', 1],
    ['odd pieces', 777],
    ['large pieces', 65_536],
  ])('joins %s in order and never writes into a piece it was given', (_what, size) => {
    const gathering = new Gathering(noise.length)
    const copy = Buffer.from(noise)
    let refusals = 0
    for (let at = 0; at < copy.length; at += size) if (!gathering.add(copy.subarray(at, at + size))) refusals += 1
    expect(refusals).toBe(0)
    expect(gathering.bytes().equals(noise)).toBe(true)
    expect(copy.equals(noise)).toBe(true)
  })

  it.each([
    [['abc', 'def'], 'abcde', [true, false]],
    [['abcdef'], 'abcde', [false]],
    [['abcde', ''], 'abcde', [true, true]],
    [['abcde', 'f', 'g'], 'abcde', [true, false, false]],
    [[], '', []],
  ])('keeps at most its bound of %j', (pieces, kept, fitted) => {
    const gathering = new Gathering(5)
    expect(pieces.map((piece) => gathering.add(Buffer.from(piece)))).toEqual(fitted)
    expect(gathering.bytes().toString()).toBe(kept)
  })
})
