/**
 * Imports off the serving thread, bounded in time and heap: a hostile description ends its thread, not the gateway. The
 * thread goes when there is nothing left to import, and its memory with it.
 */
import { Worker } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import { type ErrorCode, GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { ImportJob, ImportReply } from './import-job.ts'

export type ImportMessage =
  | { readonly ok: true; readonly reply: ImportReply }
  | { readonly ok: false; readonly code: ErrorCode; readonly words: string; readonly cause: string }

export interface Importer {
  /** Rejects with `bad_description` or `over_limit`. Jobs wait for each other. */
  run(job: ImportJob): Promise<ImportReply>
}

const entry = new URL(import.meta.url.endsWith('.ts') ? './import-worker.ts' : './import-worker.js', import.meta.url)

export function createImporter(clock: Clock): Importer {
  let worker: Worker | undefined
  let waiting = 0
  let cancelStop = (): void => undefined
  let tail: Promise<unknown> = Promise.resolve()

  const start = (): Worker => {
    worker ??= new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: limits.importHeapMiB } })
    return worker
  }
  const stop = (): void => {
    const old = worker
    worker = undefined
    void old?.terminate()
  }
  const once = (job: ImportJob): Promise<ImportReply> =>
    new Promise((resolve, reject) => {
      const thread = start()
      const settle = (): void => {
        cancel()
        thread.off('message', answered)
        thread.off('error', crashed)
        thread.unref()
      }
      const fail = (error: GatewayError): void => {
        settle()
        stop()
        reject(error)
      }
      const cancel = clock.after(limits.importMs, () =>
        fail(
          new GatewayError('over_limit', { words: `The import took longer than ${limits.importMs / 1_000} seconds.` }),
        ),
      )
      const answered = (message: ImportMessage): void => {
        settle()
        if (message.ok) resolve(message.reply)
        else reject(new GatewayError(message.code, { words: message.words, cause: new Error(message.cause) }))
      }
      const crashed = (cause: Error): void =>
        fail(
          isHeapEnd(cause)
            ? new GatewayError('over_limit', {
                words: `The import needed more than ${limits.importHeapMiB} MiB.`,
                cause,
              })
            : new GatewayError('internal', { cause }),
        )
      thread.ref()
      thread.on('message', answered)
      thread.on('error', crashed)
      thread.postMessage(job)
    })

  return {
    run(job) {
      waiting++
      cancelStop()
      const result = tail.then(() => once(job))
      tail = result
        .catch(() => undefined)
        .then(() => {
          waiting--
          // Descriptions come in batches, one after the other; starting a thread for each would cost more than importing.
          if (waiting === 0) cancelStop = clock.after(limits.importIdleMs, stop)
        })
      return result
    },
  }
}

const isHeapEnd = (cause: Error): boolean => 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
