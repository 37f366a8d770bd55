/** The usage thread’s entry: roll-ups and questions on a thread of their own, where SQLite may block. */
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../core/clock.ts'
import { toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { openSqliteStore } from '../store/sqlite.ts'
import type { Store } from '../store/store.ts'
import { type Position, readEvents } from './events.ts'
import { spoolDir } from './spool.ts'
import { createUsage, type Usage } from './usage.ts'
import type { UsageThreadJob, UsageThreadReport, UsageThreadStart } from './usage-thread.ts'

const start: UsageThreadStart = workerData
const clock = systemClock
const eventOptions = {
  dir: spoolDir(start.dataDir),
  clock,
  ...(start.billed === undefined ? {} : { billed: start.billed }),
}
let opened: { readonly store: Store; readonly usage: Usage } | undefined
let rolling = false

/** The place that segments are kept from; all of them until it is told, where it will be. */
let held: Position | undefined = start.isHeld === true ? { segment: '', offset: 0 } : undefined

const report = (message: UsageThreadReport): void => parentPort?.postMessage(message)

/** The store is opened when first needed, and again after it failed: a database that comes back is used again. */
const usage = (): Usage => {
  if (opened === undefined) {
    const store = openSqliteStore(join(start.dataDir, 'toolgate.db'))
    const holdFrom = (): Promise<Position | undefined> => Promise.resolve(held)
    const options = { ...start, dir: spoolDir(start.dataDir), store, clock, keepsPrices: true, holdFrom }
    opened = { store, usage: createUsage(options) }
  }
  return opened.usage
}

const closeStore = async (): Promise<void> => {
  const closing = opened
  opened = undefined
  await closing?.store.close()
}

const perform = async (job: UsageThreadJob): Promise<UsageThreadReport> => {
  const { id } = job
  switch (job.kind) {
    case 'answer':
      return { kind: 'answered', id, answer: await usage().answer(job.query) }
    case 'invoice':
      return { kind: 'stated', id, statement: await usage().invoice(job.query) }
    case 'recount':
      return { kind: 'counted', id, rows: await usage().recount(job.question) }
    case 'events':
      return { kind: 'events', id, read: readEvents(eventOptions, job.from, job.max) }
    case 'hold':
      held = job.position
      return { kind: 'held', id }
    case 'rollUp':
      return { kind: 'rolledUp', id, result: await usage().rollUp() }
    case 'close':
      await usage().rollUp()
      await closeStore()
      return { kind: 'closed', id }
  }
}

/** Does a job and reports on it; an error crosses as plain data, what caused it as text for the log. */
const work = async (job: UsageThreadJob): Promise<void> => {
  try {
    report(await perform(job))
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (error.code === 'store_unavailable') await closeStore().catch(() => undefined)
    const cause = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : ''
    report({ kind: 'failed', id: job.id, code: error.code, words: error.message, cause })
  }
}

parentPort?.on('message', (job: UsageThreadJob) => void work(job))

clock.every(limits.rollupMs, () => {
  if (rolling) return
  rolling = true
  void work({ kind: 'rollUp', id: 0 }).finally(() => {
    rolling = false
  })
})
