/**
 * One export: reads the ledger from its cursor on, sends what it finds, and moves the cursor when the receiver has it.
 * At least once and in order: the cursor says what is being sent before it is sent, so that a repeat after a crash has
 * the same items under the same keys. One process at a time exports, by a lease.
 */
import { Cancellation } from '../../core/cancel.ts'
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { Log } from '../../core/log.ts'
import type { Lease, Records } from '../../store/records.ts'
import { type KeptCursor, loadCursor, saveCursor } from './cursor.ts'
import { Delivery, Later, type Settled } from './delivery.ts'
import type { Destination } from './destination.ts'
import { type Item, keyOf } from './item.ts'
import type { EventSource, Position } from './source.ts'
import { type Cursor, gather, type Window } from './window.ts'

/** What an export tells of itself; counts are of items since the last time. */
export interface ExportProgress {
  readonly export: string
  readonly sent: number
  /** Put aside, since the receiver does not want them. */
  readonly refused: number
  /** Left out, since the configuration names nobody to bill. */
  readonly unassigned: number
  /** How long the oldest that should have been sent has been waiting. */
  readonly lagMs: number
}

/** Where refused items are put aside. */
interface Aside {
  /** False, and nothing written, when there is no room left. */
  add(lines: readonly string[]): Promise<boolean>
}

export interface ExporterOptions<I extends Item> {
  readonly name: string
  readonly destination: Destination<I>
  readonly source: EventSource
  readonly records: Records
  readonly aside: Aside
  /** Tells this process from the others. */
  readonly owner: string
  readonly clock: Clock
  readonly log: Log
  /** From 0 to below 1. */
  readonly random: () => number
  readonly onProgress: (progress: ExportProgress) => void
}

export interface Exporter {
  /** Begins; what goes wrong is tried again for as long as the exporter runs. */
  start(): void
  /** Everything before it has been sent; `undefined` when nothing was yet. Rejects with `store_unavailable`. */
  position(): Promise<Position | undefined>
  /** A batch under way is waited for, `limits.exportCloseMs` at most; what it did not send, the next start does. */
  close(): Promise<void>
}

/** The cursor or the lease is someone else’s now. */
class Overtaken extends Error {}

class LoopingExporter<I extends Item> implements Exporter {
  readonly #options: ExporterOptions<I>
  readonly #key: string
  readonly #delivery: Delivery<I>
  readonly #cancellation = new Cancellation()
  #lease: Lease | undefined
  #running: Promise<void> | undefined
  #wake: (() => void) | undefined
  #closed = false
  #failures = 0
  #trouble: string | undefined
  #lagMs = 0
  #lagTold = false

  constructor(options: ExporterOptions<I>) {
    this.#options = options
    this.#key = `export/${options.name}/${keyOf([options.destination.place])}`
    this.#delivery = new Delivery(options.destination)
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async position(): Promise<Position | undefined> {
    return (await loadCursor(this.#options.records, this.#key)).cursor.from
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#wake?.()
    const stop = this.#options.clock.after(limits.exportCloseMs, () => this.#cancellation.abort())
    await this.#running
    stop()
    const { records } = this.#options
    // a lease that cannot be given back ends by itself
    if (this.#lease !== undefined) await records.release(this.#key, this.#lease.fence).catch(() => undefined)
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const ms = await this.#round().catch((error: unknown) => this.#failed(error))
      if (ms > 0) await this.#rest(ms)
    }
  }

  /** Sends the next window, if there is one; answers how long to wait then, in milliseconds. */
  async #round(): Promise<number> {
    const { source, destination, clock, records } = this.#options
    if (!(await this.#mayExport())) return limits.exportPollMs
    let kept = await loadCursor(records, this.#key)
    const gathered = await gather(source, kept.cursor, destination.shape, clock.now())
    if (gathered.kind === 'wait') {
      this.#lag(0)
      this.#recovered()
      return gathered.ms
    }
    const { window, lagMs } = gathered
    this.#lag(lagMs)
    if (window.items.length > 0 && kept.cursor.window === undefined)
      kept = await this.#save({ ...kept.cursor, window: window.cut }, kept)
    kept = await this.#deliver(window, kept)
    if (kept.cursor.taken >= window.items.length) await this.#save(await window.after(), kept)
    return 0
  }

  async #deliver(window: Window<I>, start: KeptCursor): Promise<KeptCursor> {
    let kept = start
    const tenants = new Map<string, number>()
    const { cursor } = kept
    for await (const settled of this.#delivery.send(window.items, cursor.taken, this.#cancellation, () =>
      this.#stillMay(),
    )) {
      await this.#settle(settled, tenants)
      kept = await this.#save({ ...kept.cursor, taken: kept.cursor.taken + settled.items.length }, kept)
      this.#recovered()
      if (this.#closed) break
    }
    if (tenants.size > 0) this.#tellUnassigned(tenants)
    return kept
  }

  async #settle(settled: Settled<I>, tenants: Map<string, number>): Promise<void> {
    const { name, log, aside, clock } = this.#options
    const items = settled.items.length
    switch (settled.kind) {
      case 'taken': {
        const refused = settled.but?.items ?? 0
        if (settled.but !== undefined)
          log.error({ export: name, items: refused, reason: settled.but.reason }, 'an export was taken in part')
        return this.#progress({ sent: items - refused, refused })
      }
      case 'refused': {
        const at = new Date(clock.now()).toISOString()
        const lines = settled.items.map((item) => JSON.stringify({ at, reason: settled.reason, ...plain(item) }))
        if (!(await aside.add(lines)))
          throw new Later('what the receiver refuses fills its file: see what is wrong and move the file away')
        log.error({ export: name, key: settled.items[0]?.key, reason: settled.reason }, 'an export was refused')
        return this.#progress({ refused: items })
      }
      case 'unassigned':
        tenants.set(settled.tenant, (tenants.get(settled.tenant) ?? 0) + items)
        return this.#progress({ unassigned: items })
    }
  }

  #tellUnassigned(tenants: ReadonlyMap<string, number>): void {
    this.#options.log.warn(
      {
        export: this.#options.name,
        tenants: tenants.size,
        first: [...tenants.keys()].slice(0, limits.exportTenantsTold),
      },
      'usage of tenants without a customer was not exported',
    )
  }

  /** Throws `Overtaken` when the cursor has been moved by someone else: what was sent is sent again by them at most. */
  async #save(cursor: Cursor, kept: KeptCursor): Promise<KeptCursor> {
    const saved = await saveCursor(this.#options.records, this.#key, cursor, kept.version)
    if (saved === undefined) throw new Overtaken('the cursor of this export was moved by another process')
    return saved
  }

  /** Takes the lease, or renews it when half of it is over. */
  async #mayExport(): Promise<boolean> {
    const { records, owner, clock } = this.#options
    const left = (this.#lease?.until ?? 0) - clock.now()
    if (left > limits.exportLeaseMs / 2 && left <= limits.exportLeaseMs) return true
    this.#lease = await records.lease(this.#key, owner, limits.exportLeaseMs)
    return this.#lease !== undefined
  }

  async #stillMay(): Promise<void> {
    const fence = this.#lease?.fence
    if (!(await this.#mayExport()) || this.#lease?.fence !== fence)
      throw new Overtaken('another process exports in place of this one')
  }

  /** Answers for how long to back off, in milliseconds. */
  #failed(error: unknown): number {
    if (this.#closed) return 0
    if (error instanceof Overtaken) return limits.exportPollMs
    const { name, log, random } = this.#options
    this.#failures += 1
    const trouble = error instanceof Error ? error.message : String(error)
    if (trouble !== this.#trouble)
      log.warn(error instanceof Later ? { export: name, reason: trouble } : { export: name, error }, 'an export waits')
    this.#trouble = trouble
    const asked = error instanceof Later ? error.ms : undefined
    if (asked !== undefined) return Math.min(Math.max(asked, limits.exportBackOffMs), limits.exportRetryAfterMsMax)
    const most = Math.min(limits.exportBackOffMs * 2 ** (this.#failures - 1), limits.exportBackOffMsMax)
    // half of it at random, so that many gateways do not come back to a receiver in step
    return most / 2 + (random() * most) / 2
  }

  #recovered(): void {
    if (this.#trouble !== undefined) this.#options.log.info({ export: this.#options.name }, 'an export goes on')
    this.#trouble = undefined
    this.#failures = 0
  }

  #lag(ms: number): void {
    const isLate = ms >= limits.exportLagMs
    if (isLate && !this.#lagTold)
      this.#options.log.warn({ export: this.#options.name, seconds: Math.round(ms / 1000) }, 'an export is late')
    this.#lagTold = isLate
    this.#lagMs = ms
    this.#progress({})
  }

  #progress(counts: Partial<Pick<ExportProgress, 'sent' | 'refused' | 'unassigned'>>): void {
    const { name, onProgress } = this.#options
    onProgress({ export: name, sent: 0, refused: 0, unassigned: 0, lagMs: this.#lagMs, ...counts })
  }

  #rest(ms: number): Promise<void> {
    if (this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const stop = this.#options.clock.after(ms, resolve)
      this.#wake = () => {
        stop()
        resolve()
      }
    })
  }
}

/** An item as it can be read again: maps do not show in JSON. */
const plain = (item: Item): object =>
  JSON.parse(JSON.stringify(item, (_key, value: unknown) => (value instanceof Map ? Object.fromEntries(value) : value)))

/** An exporter that has not begun. */
export const createExporter = <I extends Item>(options: ExporterOptions<I>): Exporter => new LoopingExporter(options)
