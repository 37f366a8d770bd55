/** Reading the spool: which segments there are, whose they are, and the complete lines in them. Reading never changes one. */
import { closeSync, fstatSync, openSync, readdirSync, readSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { type CallRecord, type Line, parseLine } from './line.ts'

export interface SegmentFile {
  /** `<uuidv7>-<pid>.ndjson`; in order of names they are in order of time. */
  readonly name: string
  readonly path: string
  /** The process that writes it. */
  readonly pid: number
  /** Length when it was listed. */
  readonly bytes: number
  /** Last write, milliseconds since the Unix epoch. */
  readonly writtenAt: number
}

export interface Batch {
  readonly lines: readonly Line[]
  /** Lines that could not be read. */
  readonly torn: number
  /** Offset behind the last complete line; equal to the offset asked for when there was none. */
  readonly next: number
}

const nameSyntax = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-(\d{1,10})\.ndjson(\.tmp)?$/
const newline = 0x0a

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

/** `undefined` where the file or directory does not exist (any more). */
const unlessAbsent = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

const isAlive = (pid: number): boolean => {
  try {
    // signal 0 asks only whether the process exists (POSIX kill())
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** A file unwritten for so long has lost its owner, whatever process has the number now. */
const isAbandoned = (file: SegmentFile, now: number): boolean =>
  now - file.writtenAt > limits.spoolStaleMs || !isAlive(file.pid)

/** All segments, oldest first. Heads that a dead process left unfinished are removed; they hold nothing acknowledged. */
export const listSegments = (dir: string, now: number): SegmentFile[] => {
  const found: SegmentFile[] = []
  for (const name of (unlessAbsent(() => readdirSync(dir)) ?? []).toSorted()) {
    const [, pid, hidden] = nameSyntax.exec(name) ?? []
    const path = join(dir, name)
    const stat = pid === undefined ? undefined : unlessAbsent(() => statSync(path))
    if (stat === undefined) continue
    const file = { name, path, pid: Number(pid), bytes: stat.size, writtenAt: stat.mtimeMs }
    if (hidden === undefined) found.push(file)
    else if (isAbandoned(file, now)) rmSync(path, { force: true })
  }
  return found
}

/** Nothing more will be written to it: its owner has begun a newer one, or is gone. */
export const isFinished = (file: SegmentFile, all: readonly SegmentFile[], now: number): boolean =>
  all.some((other) => other.pid === file.pid && other.name > file.name) || isAbandoned(file, now)

/** At most `limits.rollupBatchBytes` from `offset`; undefined when the file is gone. */
const readBytes = (path: string, offset: number): Buffer | undefined =>
  unlessAbsent(() => {
    const fd = openSync(path, 'r')
    try {
      const left = Math.max(0, fstatSync(fd).size - offset)
      const buffer = Buffer.allocUnsafe(Math.min(left, limits.rollupBatchBytes))
      return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, offset))
    } finally {
      closeSync(fd)
    }
  })

/**
 * The complete lines from `offset`, as many as fit a batch. A last line without its newline is left for later. A batch
 * without any newline is longer than every line we write: it is passed over as one torn line.
 */
export const readBatch = (path: string, offset: number): Batch => {
  const bytes = readBytes(path, offset)
  if (bytes === undefined) return { lines: [], torn: 0, next: offset }
  const end = bytes.lastIndexOf(newline) + 1
  if (end === 0) {
    const passed = bytes.length === limits.rollupBatchBytes ? bytes.length : 0
    return { lines: [], torn: passed === 0 ? 0 : 1, next: offset + passed }
  }
  const texts = bytes.toString('utf8', 0, end - 1).split('\n')
  const lines = texts.map(parseLine).filter((line) => line !== undefined)
  return { lines, torn: texts.length - lines.length, next: offset + end }
}

/** All lines up to `until`, batch by batch. */
function* linesUntil(path: string, until: number): Generator<Line> {
  for (let offset = 0; offset < until; ) {
    const batch = readBatch(path, offset)
    if (batch.next === offset) return
    yield* batch.lines
    offset = batch.next
  }
}

/** The calls that `file`’s successor has taken over: the `c` lines at the head of the segment that names it. */
const carriedOn = (file: SegmentFile, all: readonly SegmentFile[]): Set<string> => {
  const carried = new Set<string>()
  for (const other of all.filter(({ pid, name }) => pid === file.pid && name > file.name)) {
    const lines = linesUntil(other.path, other.bytes)
    const head = lines.next().value
    if (head?.kind !== 'segment' || head.after !== file.name) continue
    for (const line of lines) {
      if (line.kind !== 'carried') break
      carried.add(line.call.id)
    }
    break
  }
  return carried
}

/** The calls of a finished segment that have no end, here or in a segment that took them over. */
export const openCalls = (file: SegmentFile, all: readonly SegmentFile[], until: number): CallRecord[] => {
  const open = new Map<string, CallRecord>()
  for (const line of linesUntil(file.path, until)) {
    if (line.kind === 'begin' || line.kind === 'carried') open.set(line.call.id, line.call)
    else if (line.kind === 'end') open.delete(line.call.id)
  }
  if (open.size > 0) for (const id of carriedOn(file, all)) open.delete(id)
  return [...open.values()]
}

/** The segment as it is now; one that is gone is empty. */
export const lookAgain = (file: SegmentFile): SegmentFile => ({
  ...file,
  bytes: unlessAbsent(() => statSync(file.path).size) ?? 0,
})

/** Removes a segment’s file. */
export const removeSegment = (file: SegmentFile): void => rmSync(file.path, { force: true })
