/** Segments whose retention is over: removed, or put away compressed. */
import { createReadStream, createWriteStream, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { syncDirectory } from './segment-writer.ts'
import type { SegmentFile } from './segments.ts'

/** Where an archived segment is. */
const archivePath = (dir: string, segment: string): string => join(dir, `${segment}.gz`)

/**
 * Writes a segment compressed (gzip) into `dir` (mode 0700), streaming; it is there whole and durable when this
 * resolves. The segment itself stays.
 */
export const archiveSegment = async (file: SegmentFile, dir: string): Promise<void> => {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const path = archivePath(dir, file.name)
  const beside = `${path}.tmp`
  try {
    // flush: fsync before it closes
    await pipeline(createReadStream(file.path), createGzip(), createWriteStream(beside, { mode: 0o600, flush: true }))
    renameSync(beside, path)
    syncDirectory(dir)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}
