/**
 * The spool: where calls are recorded before they are made. Lines are appended with synchronous writes, one for all the
 * lines of a turn of the event loop, so that what was acknowledged is with the operating system and survives `kill -9`;
 * against power cuts it is fsynced in groups.
 *
 * A fault never leaves a half line before a whole one: after any failed or short write, and after any failed fsync, the
 * segment is given up and a new one is begun. A failed fsync is not repeated on the same file, since the kernel may
 * report success for pages that it has dropped.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { createIds } from './id.ts'
import { carriedLine, segmentLine } from './line.ts'

/** `group`: fsync at most every `limits.spoolSyncMs`. `sync`: fsync before `end` resolves. `async`: the kernel’s own time. */
export type Durability = 'group' | 'sync' | 'async'

/**
 * What went wrong, for the log and the counters. Calls are refused from the first `write_failed` or `sync_failed` until
 * `recovered`. `end_waits` is one call’s end that will be written later; `ends_lost` are ends that were not written
 * before the spool closed, so that their calls will show as `unknown`.
 */
export interface SpoolFault {
  readonly kind: 'write_failed' | 'sync_failed' | 'end_waits' | 'ends_lost' | 'recovered'
  /** Ends waiting to be written at this moment. */
  readonly ends: number
  readonly error?: unknown
}

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

export interface SpoolOptions {
  readonly dir: string
  readonly durability: Durability
  readonly clock: Clock
  readonly onFault: (fault: SpoolFault) => void
  readonly disk?: Disk
}

export interface Spool {
  /** False from a fault until a new segment could be begun. */
  readonly healthy: boolean
  /**
   * Appends a begin line, together with what else is appended in the same turn of the event loop. Rejects with
   * `not_recorded` when it is not on file, `overloaded` over `limits.spoolOpenCalls`.
   */
  begin(id: string, line: string): Promise<void>
  /**
   * Appends an end line likewise; to be called once, after `begin` has resolved. One that cannot be written is reported,
   * kept, and written when the spool has recovered; this resolves all the same, since the call has been made.
   */
  end(id: string, line: string): Promise<void>
  /** Writes what waits, fsyncs and closes. */
  close(): Promise<void>
}

/** Where the spool of a data directory is. */
export const spoolDir = (dataDir: string): string => join(dataDir, 'usage')

interface Segment {
  readonly fd: number
  readonly name: string
  bytes: number
  /** There is something that no fsync has covered. */
  dirty: boolean
  syncing: boolean
  /** No more lines go here; it is closed once it is synced. */
  retired: boolean
}

/** A line that is written at the end of this turn. */
interface Pending {
  readonly kind: 'begin' | 'end'
  readonly id: string
  readonly line: string
  readonly resolve: () => void
  readonly reject: (error: GatewayError) => void
}

/** What came of a write: the bytes that the disk took, and what went wrong. */
interface Written {
  readonly written: number
  readonly error?: unknown
}

const syncDirectory = (path: string): void => {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

const nothingWritten: Written = { written: 0 }

const notRecorded = (cause?: unknown): GatewayError => new GatewayError('not_recorded', { cause })

/**
 * Begins the file of a segment under a temporary name, and shows it when its whole head is written. So whoever sees the
 * new segment knows that nothing more goes into the one before it; and a head that fails leaves nothing behind.
 */
const beginSegment = (dir: string, name: string, head: string, durable: boolean, disk: Disk): Segment => {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  const hidden = join(dir, `${name}.tmp`)
  const fd = disk.create(hidden)
  try {
    const bytes = disk.write(fd, head)
    if (bytes !== Buffer.byteLength(head)) throw new Error('Short write at the head of a spool segment.')
    if (durable) disk.sync(fd)
    renameSync(hidden, join(dir, name))
    return { fd, name, bytes, dirty: false, syncing: false, retired: false }
  } catch (error) {
    closeSync(fd)
    rmSync(hidden, { force: true })
    throw error
  }
}

class FileSpool implements Spool {
  readonly #options: SpoolOptions
  readonly #disk: Disk
  readonly #nextId: () => string
  /** Begin lines of calls without an end on file, by id; carried along when a segment is replaced. */
  readonly #open = new Map<string, string>()
  /** End lines that could not be written, by id. Their calls are in `#open`, which bounds them. */
  readonly #waiting = new Map<string, string>()
  /** fsyncs under way, of this and of retired segments. */
  readonly #syncs = new Set<Promise<void>>()
  /** Lines of this turn of the event loop. */
  #batch: Pending[] = []
  /** Begin lines in `#batch`. */
  #beginning = 0
  #segment: Segment | undefined
  #failed = false
  #closed = false
  #lastWriteAt = 0
  #cancelSync: (() => void) | undefined
  #cancelRecovery: (() => void) | undefined

  constructor(options: SpoolOptions) {
    this.#options = options
    this.#disk = options.disk ?? systemDisk
    this.#nextId = createIds(options.clock)
    this.#rotate()
  }

  get healthy(): boolean {
    return !this.#failed && !this.#closed
  }

  begin(id: string, line: string): Promise<void> {
    if (this.#closed) return Promise.reject(notRecorded())
    // ends are not counted: their calls are in #open
    if (this.#open.size + this.#beginning >= limits.spoolOpenCalls)
      return Promise.reject(new GatewayError('overloaded'))
    this.#beginning += 1
    return new Promise((resolve, reject) => this.#add({ kind: 'begin', id, line, resolve, reject }))
  }

  end(id: string, line: string): Promise<void> {
    if (!this.#open.has(id)) return Promise.resolve()
    if (this.#closed) {
      this.#wait(id, line)
      return Promise.resolve()
    }
    return new Promise((resolve) => this.#add({ kind: 'end', id, line, resolve, reject: () => resolve() }))
  }

  #add(line: Pending): void {
    this.#batch.push(line)
    if (this.#batch.length === 1) setImmediate(this.#flush)
  }

  /** Writes the lines of this turn at once; what the disk took whole is settled, the rest has failed. */
  readonly #flush = (): void => {
    const batch = this.#batch
    this.#batch = []
    this.#beginning = 0
    if (batch.length === 0) return
    const mayWrite = !this.#closed && this.#ready()
    const { written, error } = mayWrite ? this.#append(batch.map(({ line }) => line).join('')) : nothingWritten
    let end = 0
    let ends = false
    for (const { kind, id, line, resolve, reject } of batch) {
      end += Buffer.byteLength(line)
      const onFile = end <= written
      if (kind === 'begin') {
        if (onFile) this.#open.set(id, line)
        else {
          reject(notRecorded(error))
          continue
        }
      } else if (onFile) {
        ends = true
        this.#open.delete(id)
      } else this.#wait(id, line)
      resolve()
    }
    if (ends && this.#options.durability === 'sync') this.#syncNow()
    else if (written > 0) this.#syncSoon()
  }

  #wait(id: string, line: string): void {
    this.#waiting.set(id, line)
    this.#report(this.#closed ? 'ends_lost' : 'end_waits')
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#shut()
    while (this.#syncs.size > 0) await Promise.all(this.#syncs)
  }

  #shut(): void {
    this.#flush()
    if (this.#waiting.size > 0) this.#ready()
    this.#closed = true
    this.#cancelSync?.()
    this.#cancelRecovery?.()
    if (this.#waiting.size > 0) this.#report('ends_lost')
    this.#retire()
  }

  /** True when a line may be appended now; tries to begin a new segment where one is needed. */
  #ready(): boolean {
    const segment = this.#segment
    const now = this.#options.clock.now()
    const full = segment !== undefined && segment.bytes >= limits.spoolSegmentBytes
    // an idle segment is replaced before others may take its owner for dead (limits.spoolStaleMs)
    const idle = Math.abs(now - this.#lastWriteAt) > limits.spoolIdleMs
    if (this.#failed || segment === undefined || full || idle) return this.#rotate()
    this.#lastWriteAt = now
    return true
  }

  /** Appends to the segment in use: the bytes that it took, and what went wrong; then nothing more goes into it. */
  #append(text: string): Written {
    const segment = this.#segment
    if (segment === undefined) return { ...nothingWritten, error: new Error('There is no spool segment.') }
    let written = 0
    try {
      written = this.#disk.write(segment.fd, text)
      segment.bytes += written
      segment.dirty = true
      if (written !== Buffer.byteLength(text)) throw new Error('Short write to the spool.')
      return { written }
    } catch (error) {
      this.#fail('write_failed', error)
      return { written, error }
    }
  }

  /**
   * Replaces the segment by a new one, whose head carries the calls that are open and the ends that wait: all of them
   * are on file, or none is and the old segment stays.
   */
  #rotate(): boolean {
    const { dir, clock, durability } = this.#options
    const wasFailed = this.#failed
    const durable = durability !== 'async'
    const carried = Array.from(this.#open.values(), carriedLine)
    const head = [segmentLine(clock.now(), this.#segment?.name), ...carried, ...this.#waiting.values()].join('')
    try {
      const next = beginSegment(dir, `${this.#nextId()}-${process.pid}.ndjson`, head, durable, this.#disk)
      this.#retire()
      this.#segment = next
    } catch (error) {
      this.#fail('write_failed', error)
      return false
    }
    for (const id of this.#waiting.keys()) this.#open.delete(id)
    this.#waiting.clear()
    try {
      if (durable) syncDirectory(dir)
    } catch (error) {
      this.#fail('sync_failed', error)
      return false
    }
    this.#failed = false
    this.#lastWriteAt = clock.now()
    if (wasFailed) this.#report('recovered')
    return true
  }

  #fail(kind: 'write_failed' | 'sync_failed', error: unknown): void {
    // an attempt to recover that fails is no news; an fsync that fails always is
    if (!this.#failed || kind === 'sync_failed') this.#report(kind, error)
    this.#failed = true
    if (this.#closed) return
    this.#cancelRecovery?.()
    this.#cancelRecovery = this.#options.clock.after(limits.spoolRecoverMs, () => {
      if (this.#failed && !this.#closed) this.#rotate()
    })
  }

  #report(kind: SpoolFault['kind'], error?: unknown): void {
    this.#options.onFault({ kind, ends: this.#waiting.size, ...(error === undefined ? {} : { error }) })
  }

  /** The fsync of durability `sync`. The line stays where it is: it is on file, and writing it again would count it twice. */
  #syncNow(): void {
    const segment = this.#segment
    if (segment === undefined) return
    try {
      segment.dirty = false
      this.#disk.sync(segment.fd)
    } catch (error) {
      this.#fail('sync_failed', error)
    }
  }

  #syncSoon(): void {
    if (this.#options.durability !== 'group' || this.#cancelSync !== undefined) return
    this.#cancelSync = this.#options.clock.after(limits.spoolSyncMs, () => {
      this.#cancelSync = undefined
      const segment = this.#segment
      // one fsync of a file at a time: the next is asked for when this one is back
      if (segment?.dirty === true && !segment.syncing) this.#syncInBackground(segment)
    })
  }

  #syncInBackground(segment: Segment): void {
    segment.dirty = false
    segment.syncing = true
    const sync = new Promise<void>((resolve) => {
      this.#disk.syncLater(segment.fd, (error) => {
        segment.syncing = false
        if (error) this.#syncFailed(segment, error)
        if (segment.retired) this.#retireSegment(segment)
        else if (segment.dirty) this.#syncSoon()
        resolve()
      })
    })
    this.#syncs.add(sync)
    void sync.then(() => this.#syncs.delete(sync))
  }

  #syncFailed(segment: Segment, error: unknown): void {
    // what it holds is beyond help; only a segment still in use must be given up
    segment.dirty = false
    if (segment.retired) this.#report('sync_failed', error)
    else this.#fail('sync_failed', error)
  }

  #retire(): void {
    const segment = this.#segment
    this.#segment = undefined
    if (segment === undefined) return
    segment.retired = true
    if (!segment.syncing) this.#retireSegment(segment)
  }

  /** Syncs a segment that gets no more lines, then closes its file. */
  #retireSegment(segment: Segment): void {
    if (segment.dirty && this.#options.durability !== 'async') return this.#syncInBackground(segment)
    try {
      closeSync(segment.fd)
    } catch (error) {
      this.#report('sync_failed', error)
    }
  }
}

/**
 * Opens the spool in `dir` (mode 0700) with a segment of its own, `<uuidv7>-<pid>.ndjson`. A directory that cannot be
 * written does not throw: the spool starts unhealthy, refuses calls, and recovers by itself.
 */
export const openSpool = (options: SpoolOptions): Spool => new FileSpool(options)
