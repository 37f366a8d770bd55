/** Usage from the serving thread’s side: the same questions, answered by a worker thread, so that no fsync holds up a call. */
import { Worker } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import { type ErrorCode, GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { EventsRead, Position } from './events.ts'
import type { Counted, RecountQuestion } from './quota/recount.ts'
import type { RollUpOptions, RollUpResult } from './rollup.ts'
import type { InvoiceQuery, Statement } from './invoice.ts'
import type { PriceList } from './price-schema.ts'
import type { Usage, UsageAnswer, UsageQuery } from './usage.ts'

/** What the worker is started with. */
export interface UsageThreadStart extends Pick<RollUpOptions, 'retentionDays' | 'archiveDir' | 'billed'> {
  /** Holds `toolgate.db` and the spool’s directory. */
  readonly dataDir: string
  readonly prices: PriceList
  /** Segments are kept until `hold` says up to where they are needed no more. */
  readonly isHeld?: boolean
}

export interface UsageThreadOptions extends UsageThreadStart {
  readonly clock: Clock
  /** A roll-up failed, or the thread did. The spool keeps what was not rolled up. */
  readonly onFault: (error: GatewayError) => void
  /** The thread has rolled up by itself, as it does every `limits.rollupMs`. */
  readonly onRollUp: (result: RollUpResult) => void
  /** The worker’s file; tests put another in its place. */
  readonly entry?: URL
}

export interface UsageThread extends Usage {
  /** The next events of the ledger, see `readEvents`. */
  events(from: Position | undefined, max: number): Promise<EventsRead>
  /** What lies behind this place must be kept. */
  hold(position: Position | undefined): void
  /** Rolls up a last time, closes the store and ends the thread, within `limits.usageCloseMs`. Never rejects. */
  close(): Promise<void>
}

/** Jobs for the worker. Id 0 is its own. */
export type UsageThreadJob =
  | { readonly kind: 'rollUp' | 'close'; readonly id: number }
  | { readonly kind: 'answer'; readonly id: number; readonly query: UsageQuery }
  | { readonly kind: 'invoice'; readonly id: number; readonly query: InvoiceQuery }
  | { readonly kind: 'recount'; readonly id: number; readonly question: RecountQuestion }
  | { readonly kind: 'events'; readonly id: number; readonly from: Position | undefined; readonly max: number }
  | { readonly kind: 'hold'; readonly id: number; readonly position: Position | undefined }

type Unnumbered = UsageThreadJob extends infer Job ? (Job extends unknown ? Omit<Job, 'id'> : never) : never

export type UsageThreadReport =
  | { readonly kind: 'rolledUp'; readonly id: number; readonly result: RollUpResult }
  | { readonly kind: 'answered'; readonly id: number; readonly answer: UsageAnswer }
  | { readonly kind: 'stated'; readonly id: number; readonly statement: Statement }
  | { readonly kind: 'counted'; readonly id: number; readonly rows: Counted[] }
  | { readonly kind: 'events'; readonly id: number; readonly read: EventsRead }
  | { readonly kind: 'held' | 'closed'; readonly id: number }
  | {
      readonly kind: 'failed'
      readonly id: number
      readonly code: ErrorCode
      readonly words: string
      readonly cause: string
    }

interface Waiting {
  readonly resolve: (report: UsageThreadReport) => void
  readonly reject: (error: GatewayError) => void
}

const entryUrl = new URL(import.meta.url.endsWith('.ts') ? './usage-worker.ts' : './usage-worker.js', import.meta.url)

const down = (cause: unknown): GatewayError =>
  new GatewayError('store_unavailable', { words: 'Usage cannot be answered just now. Try again.', cause })

class WorkerUsage implements UsageThread {
  readonly #options: UsageThreadOptions
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #lastId = 0
  /** Restarts since the worker last did its work. */
  #restarts = 0
  #cancelRestart: (() => void) | undefined
  #closing: Promise<void> | undefined

  constructor(options: UsageThreadOptions) {
    this.#options = options
    this.#start()
  }

  async rollUp(): Promise<RollUpResult> {
    const report = await this.#ask({ kind: 'rollUp' })
    if (report.kind !== 'rolledUp') throw new GatewayError('internal')
    return report.result
  }

  async answer(query: UsageQuery): Promise<UsageAnswer> {
    const report = await this.#ask({ kind: 'answer', query })
    if (report.kind !== 'answered') throw new GatewayError('internal')
    return report.answer
  }

  async invoice(query: InvoiceQuery): Promise<Statement> {
    const report = await this.#ask({ kind: 'invoice', query })
    if (report.kind !== 'stated') throw new GatewayError('internal')
    return report.statement
  }

  async recount(question: RecountQuestion): Promise<Counted[]> {
    const report = await this.#ask({ kind: 'recount', question })
    if (report.kind !== 'counted') throw new GatewayError('internal')
    return report.rows
  }

  async events(from: Position | undefined, max: number): Promise<EventsRead> {
    const report = await this.#ask({ kind: 'events', from, max })
    if (report.kind !== 'events') throw new GatewayError('internal')
    return report.read
  }

  hold(position: Position | undefined): void {
    // A thread that is down keeps everything, and is told anew when it was started again.
    this.#ask({ kind: 'hold', position }).catch(() => undefined)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #start(): void {
    const { dataDir, prices, retentionDays, archiveDir, billed, isHeld = false, entry } = this.#options
    const workerData: UsageThreadStart = {
      ...{ dataDir, prices, retentionDays, isHeld },
      ...(archiveDir === undefined ? {} : { archiveDir }),
      ...(billed === undefined ? {} : { billed }),
    }
    const resourceLimits = {
      maxOldGenerationSizeMb: limits.usageHeapMiB,
      maxYoungGenerationSizeMb: limits.usageYoungHeapMiB,
    }
    const worker = new Worker(entry ?? entryUrl, { name: 'usage', workerData, resourceLimits })
    let fault: unknown
    worker.on('message', (report: UsageThreadReport) => this.#receive(report))
    worker.on('error', (error) => {
      fault = error
    })
    worker.on('exit', (code) => this.#ended(fault ?? new Error(`The usage thread ended with code ${code}.`)))
    worker.unref()
    this.#worker = worker
  }

  #ask(job: Unnumbered): Promise<UsageThreadReport> {
    const worker = this.#worker
    if (worker === undefined || (this.#closing !== undefined && job.kind !== 'close'))
      return Promise.reject(down(new Error('The usage thread is not running.')))
    if (this.#waiting.size >= limits.usageAsks) return Promise.reject(new GatewayError('overloaded'))
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      // the thread keeps the process alive only while someone waits for it
      worker.ref()
      worker.postMessage({ ...job, id })
    })
  }

  #receive(report: UsageThreadReport): void {
    this.#restarts = 0
    const waiting = this.#waiting.get(report.id)
    this.#waiting.delete(report.id)
    if (this.#waiting.size === 0) this.#worker?.unref()
    if (report.kind === 'failed') {
      const { code, words, cause } = report
      const error = new GatewayError(code, cause === '' ? { words } : { words, cause })
      if (waiting === undefined) this.#options.onFault(error)
      else waiting.reject(error)
    } else if (waiting !== undefined) waiting.resolve(report)
    else if (report.kind === 'rolledUp') this.#options.onRollUp(report.result)
  }

  /** The worker is gone. Who waits is told so; a new one is started, later each time, until there were too many. */
  #ended(cause: unknown): void {
    this.#worker = undefined
    const error = down(cause)
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
    if (this.#closing !== undefined) return
    this.#options.onFault(error)
    if (this.#restarts >= limits.usageRestarts) return
    const delayMs = limits.usageRestartMs * 2 ** this.#restarts
    this.#restarts += 1
    this.#cancelRestart = this.#options.clock.after(delayMs, () => this.#start())
  }

  async #close(): Promise<void> {
    this.#cancelRestart?.()
    const worker = this.#worker
    if (worker === undefined) return
    let cancel = (): void => undefined
    const late = new Promise<never>((_, reject) => {
      cancel = this.#options.clock.after(limits.usageCloseMs, () =>
        reject(down(new Error('The last roll-up took too long.'))),
      )
    })
    try {
      await Promise.race([this.#ask({ kind: 'close' }), late])
    } catch (error) {
      this.#options.onFault(error instanceof GatewayError ? error : down(error))
    }
    cancel()
    await worker.terminate()
  }
}

/** Starts the usage thread. It rolls up every `limits.rollupMs` by itself, and is started again when it crashes. */
export const startUsageThread = (options: UsageThreadOptions): UsageThread => new WorkerUsage(options)
