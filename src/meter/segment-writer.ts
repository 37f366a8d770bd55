/**
 * The segment that a process writes: its file, its head, and the seals behind what goes into it (chain.ts). It is
 * `<uuidv7>-<machine>-<pid>.ndjson`, and in order of names segments are in order of time.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  futimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { firstHash, nextHash, sealLine, tagOf, tagOfLine } from './chain.ts'
import { millisecondOf } from './id.ts'
import type { Seal } from './line.ts'
import { ownMachine } from './machine.ts'
import { isSegmentName, lastSeal } from './segments.ts'

/** The disk as the spool uses it; tests make it fail. Every function but `syncLater` throws what node:fs throws. */
export interface Disk {
  /** Makes a file that must not exist yet, for appending, mode 0600. */
  create(path: string): number
  /** Appends once; answers the bytes written, which may be fewer than asked. */
  write(fd: number, text: string): number
  sync(fd: number): void
  syncLater(fd: number, done: (error: Error | null) => void): void
}

export const systemDisk: Disk = {
  create: (path) => openSync(path, 'ax', 0o600),
  write: (fd, text) => writeSync(fd, text),
  sync: fdatasyncSync,
  syncLater: fdatasync,
}

/** What came of a write: the bytes that the disk took, and what went wrong. */
export interface Written {
  readonly written: number
  readonly error?: unknown
}

export const nothingWritten: Written = { written: 0 }

export const syncDirectory = (path: string): void => {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** One that gets lines. After a write that failed it gets no more, since what follows a part of a line would be lost. */
export class Segment {
  readonly fd: number
  readonly name: string
  bytes: number
  /** There is something that no fsync has covered. */
  dirty = false
  syncing = false
  /** No more lines go here; it is closed once it is synced. */
  retired = false
  /** Its last seal is on file. */
  ended = false
  readonly #disk: Disk
  #sealed: string
  #sealedAt: number
  /** What was written since the last seal, and what the next one lists of it. */
  #lines = ''
  #tags = ''

  constructor(name: string, fd: number, bytes: number, sealed: string, disk: Disk) {
    this.name = name
    this.fd = fd
    this.bytes = bytes
    this.#sealed = sealed
    this.#sealedAt = bytes
    this.#disk = disk
  }

  /** Where the last seal ends, for another segment to be chained to. */
  get place(): Seal {
    return { segment: this.name, offset: this.#sealedAt, hash: this.#sealed }
  }

  /** Appends lines in one write, with a seal behind them when that is asked for. */
  append(lines: readonly { readonly id: string; readonly line: string }[], sealed: boolean): Written {
    const text = lines.map(({ line }) => line).join('')
    this.#lines += text
    for (const { id, line } of lines) this.#tags += tagOf(id, line)
    return sealed ? this.#write(text, false) : this.#write(text)
  }

  /** Seals what was written since the last seal. The last seal of all tells readers that nothing follows. */
  seal(last: boolean): Written {
    if (this.ended || (this.#lines === '' && !last)) return nothingWritten
    return this.#write('', last)
  }

  /** Shows readers on other machines that the owner lives (segments.ts). `now`: milliseconds since the Unix epoch. */
  touch(now: number): void {
    try {
      futimesSync(this.fd, now / 1_000, now / 1_000)
    } catch {
      // a disk that does not even take this gives an error for what is written, too
    }
  }

  /** Writes `text` and, unless `last` is left out, a seal of everything up to there. */
  #write(text: string, last?: boolean): Written {
    const hash = last === undefined ? '' : nextHash(this.#sealed, this.#lines, last)
    const whole = last === undefined ? text : text + sealLine(hash, this.#tags, last)
    let written = 0
    try {
      written = this.#disk.write(this.fd, whole)
      this.bytes += written
      this.dirty = true
      if (written !== Buffer.byteLength(whole)) throw new Error('Short write to the spool.')
    } catch (error) {
      return { written, error }
    }
    if (last === undefined) return { written }
    this.#sealed = hash
    this.#sealedAt = this.bytes
    this.#lines = ''
    this.#tags = ''
    this.ended = last
    return { written }
  }
}

const newestName = (dir: string): string =>
  readdirSync(dir)
    .filter(isSegmentName)
    .reduce((newest, name) => (name > newest ? name : newest), '')

/**
 * Makes the file of a new segment, under a temporary name. Its own name is greater than that of every segment that can
 * be seen, whatever the clock says and whatever others begin at this moment: so a reader that has gone on to a segment
 * has missed none before it (events.ts).
 */
const createFile = (dir: string, nextId: (fromMs?: number) => string, disk: Disk): { name: string; fd: number } => {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  for (let tries = 0; tries < limits.spoolNameTries; tries += 1) {
    const newest = newestName(dir)
    const name = `${nextId(newest === '' ? 0 : millisecondOf(newest) + 1)}-${ownMachine}-${process.pid}.ndjson`
    const fd = disk.create(join(dir, `${name}.tmp`))
    if (newestName(dir) < name) return { name, fd }
    closeSync(fd)
    rmSync(join(dir, `${name}.tmp`), { force: true })
  }
  throw new Error('Others begin spool segments all the time.')
}

/**
 * Begins a segment with a sealed head. It is shown under its name when all of the head is written: so whoever sees the
 * new segment knows that nothing more goes into the one before it; and a head that fails leaves nothing behind.
 */
export const beginSegment = (
  dir: string,
  nextId: (fromMs?: number) => string,
  lines: readonly string[],
  durable: boolean,
  disk: Disk,
): Segment => {
  const { name, fd } = createFile(dir, nextId, disk)
  const hidden = join(dir, `${name}.tmp`)
  try {
    const sealed = nextHash(firstHash(name), lines.join(''), false)
    const head = lines.join('') + sealLine(sealed, lines.map(tagOfLine).join(''), false)
    const bytes = disk.write(fd, head)
    if (bytes !== Buffer.byteLength(head)) throw new Error('Short write at the head of a spool segment.')
    if (durable) disk.sync(fd)
    renameSync(hidden, join(dir, name))
    return new Segment(name, fd, bytes, sealed, disk)
  } catch (error) {
    closeSync(fd)
    rmSync(hidden, { force: true })
    throw error
  }
}

/** The newest segment here with its last seal, for the first one of this process to be chained to. */
export const newestSeal = (dir: string): Seal | undefined => {
  try {
    const name = newestName(dir)
    return name === '' ? undefined : lastSeal(join(dir, name), name)
  } catch {
    // a directory that cannot be read will be found out when the segment is made
    return undefined
  }
}
