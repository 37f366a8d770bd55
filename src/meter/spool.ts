/**
 * The spool: where calls are recorded before they are made. Lines are appended with synchronous writes, one for all the
 * lines of a turn of the event loop, so that what was acknowledged is with the operating system and survives `kill -9`;
 * against power cuts it is fsynced in groups.
 *
 * A fault never leaves a half line before a whole one: after any failed or short write, and after any failed fsync, the
 * segment is given up and a new one is begun. A failed fsync is not repeated on the same file, since the kernel may
 * report success for pages that it has dropped.
 *
 * Every group of lines is sealed (chain.ts), at most `limits.spoolSyncMs` after it was written.
 */
import { closeSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { createIds } from './id.ts'
import { againLine, carriedLine, segmentLine } from './line.ts'
import {
  beginSegment,
  type Disk,
  newestSeal,
  nothingWritten,
  type Segment,
  syncDirectory,
  systemDisk,
  type Written,
} from './segment-writer.ts'

export { type Disk, systemDisk } from './segment-writer.ts'

/**
 * `group`: fsync at most every `limits.spoolSyncMs`. `sync`: fsync before `end` and `note` resolve. `async`: the kernel’s
 * own time.
 *
 * `sync` does not fsync a begin by itself. What it promises is that no answer leaves whose call a power cut could
 * strike from the ledger, and the fsync of the end covers the begin before it in the same file. A call that was under
 * way at the power cut was not answered; with its begin on the disk it would be `unknown`, which is billed to nobody,
 * and every call would wait for the disk twice.
 */
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
  /** Appends an end line that has no begin. Rejects as `begin` does. */
  note(id: string, line: string): Promise<void>
  /** Writes what waits, fsyncs and closes. */
  close(): Promise<void>
}

/** Where the spool of a data directory is. */
export const spoolDir = (dataDir: string): string => join(dataDir, 'usage')

/** A line that is written at the end of this turn. */
interface Pending {
  readonly kind: 'begin' | 'end' | 'note'
  readonly id: string
  readonly line: string
  readonly resolve: () => void
  readonly reject: (error: GatewayError) => void
}

const notRecorded = (cause?: unknown): GatewayError => new GatewayError('not_recorded', { cause })

class FileSpool implements Spool {
  readonly #options: SpoolOptions
  readonly #disk: Disk
  readonly #nextId: (fromMs?: number) => string
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
  /** When readers were last shown that this process lives: by a write, or by the file’s time. */
  #shownAt = 0
  #cancelSeal: (() => void) | undefined
  #cancelAge: (() => void) | undefined
  #cancelRecovery: (() => void) | undefined
  readonly #cancelBeat: () => void

  constructor(options: SpoolOptions) {
    this.#options = options
    this.#disk = options.disk ?? systemDisk
    this.#nextId = createIds(options.clock)
    this.#rotate()
    this.#cancelBeat = options.clock.every(limits.spoolBeatMs, () => this.#beat())
  }

  get healthy(): boolean {
    return !this.#failed && !this.#closed
  }

  begin(id: string, line: string): Promise<void> {
    return this.#addIfRoom('begin', id, line)
  }

  note(id: string, line: string): Promise<void> {
    return this.#addIfRoom('note', id, line)
  }

  end(id: string, line: string): Promise<void> {
    if (!this.#open.has(id)) return Promise.resolve()
    if (this.#closed) {
      this.#wait(id, line)
      return Promise.resolve()
    }
    return new Promise((resolve) => this.#add({ kind: 'end', id, line, resolve, reject: () => resolve() }))
  }

  #addIfRoom(kind: 'begin' | 'note', id: string, line: string): Promise<void> {
    if (this.#closed) return Promise.reject(notRecorded())
    // ends are not counted: their calls are in #open
    if (this.#open.size + this.#beginning >= limits.spoolOpenCalls)
      return Promise.reject(new GatewayError('overloaded'))
    this.#beginning += 1
    return new Promise((resolve, reject) => this.#add({ kind, id, line, resolve, reject }))
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
    const answers = this.#options.durability === 'sync' && batch.some(({ kind }) => kind !== 'begin')
    const mayWrite = !this.#closed && this.#ready()
    const { written, error } = mayWrite ? this.#append(batch, answers) : nothingWritten
    let end = 0
    let ends = false
    const whole = mayWrite && error === undefined
    for (const { kind, id, line, resolve, reject } of batch) {
      if (!whole) end += Buffer.byteLength(line)
      const onFile = whole || end <= written
      if (!onFile && kind !== 'end') {
        reject(notRecorded(error))
        continue
      }
      if (kind === 'begin') this.#open.set(id, line)
      else if (!onFile) this.#wait(id, line)
      else {
        ends = true
        this.#open.delete(id)
      }
      resolve()
    }
    if (ends && answers) this.#syncNow()
    else if (written > 0) this.#sealSoon()
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
    this.#seal(true)
    this.#closed = true
    this.#cancelSeal?.()
    this.#cancelAge?.()
    this.#cancelBeat()
    this.#cancelRecovery?.()
    if (this.#waiting.size > 0) this.#report('ends_lost')
    this.#retire()
  }

  /** True when a line may be appended now; tries to begin a new segment where one is needed. */
  #ready(): boolean {
    const segment = this.#segment
    const now = this.#options.clock.now()
    const full = segment !== undefined && segment.bytes >= limits.spoolSegmentBytes
    if (this.#failed || segment === undefined || full || this.#overslept()) return this.#rotate()
    this.#shownAt = now
    return true
  }

  /** The process stood still, or the clock was set: others may take it for dead soon, so its segment gets no more. */
  #overslept(): boolean {
    return Math.abs(this.#options.clock.now() - this.#shownAt) > limits.spoolIdleMs
  }

  #beat(): void {
    if (this.#segment === undefined) return
    if (this.#overslept()) {
      this.#rotate()
      return
    }
    this.#shownAt = this.#options.clock.now()
    this.#segment.touch(this.#shownAt)
  }

  /** Appends to the segment in use: the bytes that it took, and what went wrong; then nothing more goes into it. */
  #append(batch: readonly Pending[], sealed: boolean): Written {
    if (this.#segment === undefined) return { ...nothingWritten, error: new Error('There is no spool segment.') }
    const result = this.#segment.append(batch, sealed)
    if (result.error !== undefined) this.#fail('write_failed', result.error)
    return result
  }

  /** Seals the segment in use, unless it takes nothing more. */
  #seal(last: boolean): void {
    if (this.#segment === undefined || this.#failed || this.#overslept()) return
    const { error } = this.#segment.seal(last)
    if (error !== undefined) this.#fail('write_failed', error)
  }

  /**
   * Replaces the segment by a new one, whose head carries the calls that are open and the ends that wait: all of them
   * are on file, or none is and the old segment stays.
   */
  #rotate(): boolean {
    const { dir, clock, durability } = this.#options
    const durable = durability !== 'async'
    const segment = this.#segment
    this.#seal(false)
    const wasFailed = this.#failed
    const carried = Array.from(this.#open.values(), carriedLine)
    // the disk may have taken an end that it gave an error for
    const waiting = Array.from(this.#waiting.values(), againLine)
    try {
      const head = [segmentLine(clock.now(), segment?.name, segment?.place ?? newestSeal(dir)), ...carried, ...waiting]
      const next = beginSegment(dir, this.#nextId, head, durable, this.#disk)
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
    this.#shownAt = clock.now()
    this.#cancelAge?.()
    this.#cancelAge = clock.after(limits.spoolAgeMs, () => this.#rest())
    if (wasFailed) this.#report('recovered')
    return true
  }

  /**
   * Gives up an old segment, since readers keep the order of segments and wait for one that may still grow: for a new one
   * when calls are open, for none when the spool is idle.
   */
  #rest(): void {
    const segment = this.#segment
    if (segment === undefined || this.#failed || this.#closed) return
    if (this.#open.size + this.#batch.length > 0 || this.#overslept()) {
      this.#rotate()
      return
    }
    this.#seal(true)
    if (segment.ended) this.#retire()
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

  /** Seals what a window’s turns have written, and fsyncs it where that is asked for. */
  #sealSoon(): void {
    if (this.#cancelSeal !== undefined) return
    this.#cancelSeal = this.#options.clock.after(limits.spoolSyncMs, () => {
      this.#cancelSeal = undefined
      const segment = this.#segment
      if (segment === undefined) return
      this.#seal(false)
      if (this.#options.durability !== 'group') return
      // one fsync of a file at a time: the next is asked for when this one is back
      if (segment.dirty && !segment.syncing) this.#syncInBackground(segment)
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
        else if (segment.dirty) this.#sealSoon()
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
 * Opens the spool in `dir` (mode 0700) with a segment of its own, `<uuidv7>-<machine>-<pid>.ndjson`. A directory that cannot be
 * written does not throw: the spool starts unhealthy, refuses calls, and recovers by itself.
 */
export const openSpool = (options: SpoolOptions): Spool => new FileSpool(options)
