/** Reading the spool: which segments there are, whose they are, and the complete lines in them. Reading never changes one. */
import { closeSync, fstatSync, openSync, readdirSync, readSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { limits } from '../core/limits.ts'
import { isSealAt } from './chain.ts'
import { type CallRecord, type LedgerEvent, type Line, parseLine, type Seal } from './line.ts'
import { isAlive, ownMachine } from './machine.ts'

/** A process, of which there is only one at a time. */
interface Owner {
  /** `ownMachine` there; of this machine in the names of former versions, which have none. */
  readonly machine: string
  readonly pid: number
}

export interface SegmentFile {
  /** `<uuidv7>-<machine>-<pid>.ndjson`; in order of names they are in order of time. */
  readonly name: string
  readonly path: string
  /** The process that writes it. */
  readonly owner: Owner
  /** Length when it was listed. */
  readonly bytes: number
  /** Last write, milliseconds since the Unix epoch. */
  readonly writtenAt: number
}

export interface Batch {
  /** Whole lines, up to `next`. */
  readonly bytes: Buffer
  readonly lines: readonly Line[]
  /** Lines that could not be read. */
  readonly torn: number
  /** Offset behind the last complete line; equal to the offset asked for when there was none. */
  readonly next: number
}

const nameSyntax =
  /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}-(?:([0-9a-f]{8})-)?(\d{1,10})\.ndjson(\.tmp)?$/
const newline = 0x0a

/** Whether a file of this name is a segment that is shown. */
export const isSegmentName = (name: string): boolean =>
  nameSyntax.exec(name)?.[3] === undefined && nameSyntax.test(name)

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

/** The end of a last seal (chain.ts): nothing follows it. */
const lastWords = Buffer.from(',"end":true}\n')

const hasEnded = ({ path, bytes }: SegmentFile): boolean =>
  bytes >= lastWords.length && readBytes(path, bytes - lastWords.length, lastWords.length)?.equals(lastWords) === true

/**
 * A file unwritten for so long has lost its owner, whatever process has the number now. On another machine, and in
 * another container, numbers are of other processes: from there an owner shows that it lives by the file’s time.
 */
const isAbandoned = ({ owner, writtenAt }: SegmentFile, now: number): boolean =>
  owner.machine === ownMachine
    ? now - writtenAt > limits.spoolStaleMs || !isAlive(owner.pid)
    : now - writtenAt > limits.spoolSilentMs

/** Two segments of one owner are of one process, or of one after the other. */
const isSameOwner = (one: SegmentFile, other: SegmentFile): boolean => ownerOf(one) === ownerOf(other)

/** Tells the owner of a segment from any other. */
export const ownerOf = ({ owner }: SegmentFile): string => `${owner.machine}-${owner.pid}`

/** All segments, oldest first. Heads that a dead process left unfinished are removed; they hold nothing acknowledged. */
export const listSegments = (dir: string, now: number): SegmentFile[] => {
  const found: SegmentFile[] = []
  for (const name of (unlessAbsent(() => readdirSync(dir)) ?? []).toSorted()) {
    const [, machine = ownMachine, pid, hidden] = nameSyntax.exec(name) ?? []
    const path = join(dir, name)
    const stat = pid === undefined ? undefined : unlessAbsent(() => statSync(path))
    if (stat === undefined) continue
    const owner = { machine, pid: Number(pid) }
    const file = { name, path, owner, bytes: stat.size, writtenAt: stat.mtimeMs }
    if (hidden === undefined) found.push(file)
    else if (isAbandoned(file, now)) rmSync(path, { force: true })
  }
  return found
}

/**
 * Segments from the name `from` on, oldest first, and those that are about to be shown (`hidden`). A segment that is not
 * here can only be shown behind all that are: what `createFile` in segment-writer.ts does sees to that, together with the
 * three looks, as one look alone may miss a file that is given its name during it.
 */
export const scanSegments = (
  dir: string,
  from: string,
  now: number,
): (SegmentFile & { readonly hidden: boolean })[] => {
  const names = new Set([1, 2, 3].flatMap(() => unlessAbsent(() => readdirSync(dir)) ?? []))
  const shown = new Set([...names].map((name) => name.replace(/\.tmp$/, '')))
  return [...shown]
    .filter((name) => name >= from && isSegmentName(name))
    .toSorted()
    .flatMap((name) => {
      const [, machine = ownMachine, pid] = nameSyntax.exec(name) ?? []
      const owner = { machine, pid: Number(pid) }
      for (const hidden of [false, true]) {
        const path = join(dir, hidden ? `${name}.tmp` : name)
        const stat = unlessAbsent(() => statSync(path))
        if (stat === undefined) continue
        const file = { name, path, owner, bytes: stat.size, writtenAt: stat.mtimeMs, hidden }
        return hidden && isAbandoned(file, now) ? [] : [file]
      }
      return []
    })
}

/** Nothing more will be written to it: its owner has said so, has begun a newer one, or is gone. */
export const isFinished = (file: SegmentFile, all: readonly SegmentFile[], now: number): boolean =>
  all.some((other) => isSameOwner(other, file) && other.name > file.name) || isAbandoned(file, now) || hasEnded(file)

/** At most `length` bytes from `offset`; undefined when the file is gone. */
export const readBytes = (path: string, offset: number, length: number): Buffer | undefined =>
  unlessAbsent(() => {
    const fd = openSync(path, 'r')
    try {
      const left = Math.max(0, fstatSync(fd).size - offset)
      const buffer = Buffer.allocUnsafe(Math.min(left, length))
      return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, offset))
    } finally {
      closeSync(fd)
    }
  })

/**
 * The complete lines from `offset`, as many as fit `length` bytes, as bytes. Empty when there is none. What is longer
 * than a batch of the roll-up and has no newline is longer than every line we write: it is passed over.
 */
export const readWhole = (path: string, offset: number, length: number = limits.rollupBatchBytes): Buffer => {
  const bytes = readBytes(path, offset, length) ?? Buffer.alloc(0)
  const end = bytes.lastIndexOf(newline) + 1
  if (end > 0) return bytes.subarray(0, end)
  if (bytes.length < length) return bytes.subarray(0, 0)
  return length < limits.rollupBatchBytes ? readWhole(path, offset) : bytes
}

/** The complete lines from `offset`, as many as fit a batch. A last line without its newline is left for later. */
export const readBatch = (path: string, offset: number): Batch => {
  const bytes = readWhole(path, offset)
  if (bytes.length === 0) return { bytes, lines: [], torn: 0, next: offset }
  const next = offset + bytes.length
  if (bytes.at(-1) !== newline) return { bytes, lines: [], torn: 1, next }
  const texts = bytes.toString('utf8', 0, bytes.length - 1).split('\n')
  const lines = texts.map(parseLine).filter((line) => line !== undefined)
  return { bytes, lines, torn: texts.length - lines.length, next }
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
  for (const other of all.filter((one) => isSameOwner(one, file) && one.name > file.name)) {
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

/** The head line; undefined for what has none. */
export const headOf = (file: SegmentFile): Extract<Line, { kind: 'segment' }> | undefined => {
  const bytes = readWhole(file.path, 0, limits.spoolLineBytes)
  const line = parseLine(bytes.toString('utf8', 0, Math.max(0, bytes.indexOf(newline))))
  return line?.kind === 'segment' ? line : undefined
}

/**
 * Ends that count. One that is written again does not when the segment before has it: the disk had taken it although it
 * gave an error.
 */
export const endsThatCount = (lines: readonly Line[], file: SegmentFile): LedgerEvent[] => {
  const ends = lines.filter((line) => line.kind === 'end')
  const again = new Set(ends.filter((line) => line.again).map(({ call }) => call.id))
  const after = again.size === 0 ? undefined : headOf(file)?.after
  if (after !== undefined && isSegmentName(after)) {
    const known = new Set<string>()
    for (const line of linesUntil(join(dirname(file.path), after), Number.MAX_SAFE_INTEGER))
      if (line.kind === 'end' && again.has(line.call.id)) known.add(line.call.id)
    return ends.filter(({ call, again: second }) => second !== true || !known.has(call.id)).map(({ call }) => call)
  }
  return ends.map(({ call }) => call)
}

/** The last seal that is whole among the last `limits.spoolSealBytes` of a segment. */
export const lastSeal = (path: string, segment: string): Seal | undefined => {
  const size = unlessAbsent(() => statSync(path).size) ?? 0
  const start = Math.max(0, size - limits.spoolSealBytes)
  const bytes = readBytes(path, start, size - start) ?? Buffer.alloc(0)
  for (let end = bytes.lastIndexOf(newline); end > 0; ) {
    const before = bytes.lastIndexOf(newline, end - 1)
    const line = isSealAt(bytes, before + 1) ? parseLine(bytes.toString('utf8', before + 1, end)) : undefined
    if (line?.kind === 'seal' && (before >= 0 || start === 0))
      return { segment, offset: start + end + 1, hash: line.hash }
    end = before
  }
  return undefined
}

/** Removes a segment’s file. */
export const removeSegment = (file: SegmentFile): void => rmSync(file.path, { force: true })
