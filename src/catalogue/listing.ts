/**
 * The answer to `tools/list`, made once a snapshot and view: all of it but the request's id, which comes last so that
 * everything before it stays the same bytes — also when compressed: one gzip member, its last block the id (RFC 1951
 * §3.2.4 stored), its checksum carried on from the shared part.
 */
import { constants, crc32, deflateRawSync } from 'node:zlib'

export interface Listing {
  /** The JSON text up to and without the id’s value. */
  readonly plain: Buffer
  readonly compressed: Compressed
}

interface Compressed {
  readonly head: Buffer
  readonly crc: number
  readonly bytes: number
}

const gzipHeader = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0, 0xff])

/** `plain` is the beginning of a JSON document that `tail` completes. */
export function toListing(plain: Buffer): Listing {
  const deflated = deflateRawSync(plain, { level: 6, finishFlush: constants.Z_SYNC_FLUSH })
  return {
    plain,
    compressed: { head: Buffer.concat([gzipHeader, deflated]), crc: crc32(plain), bytes: plain.byteLength },
  }
}

/** The two chunks that make the whole answer, and nothing of the size of the list is copied. */
export function chunks(listing: Listing, tail: string, gzip: boolean): readonly [Buffer, Buffer] {
  const end = Buffer.from(tail)
  if (!gzip) return [listing.plain, end]
  const { head, crc, bytes } = listing.compressed
  const close = Buffer.alloc(5 + end.byteLength + 8)
  close[0] = 1 // final block, stored
  close.writeUInt16LE(end.byteLength, 1)
  close.writeUInt16LE(~end.byteLength & 0xffff, 3)
  end.copy(close, 5)
  close.writeUInt32LE(crc32(end, crc), 5 + end.byteLength)
  close.writeUInt32LE((bytes + end.byteLength) % 2 ** 32, 9 + end.byteLength)
  return [head, close]
}
