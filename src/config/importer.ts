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
  let tail: Promise<unknown> = Promise.resolve()

  const start = (): Worker => {
    worker ??= new Worker(entry, { resourceLimits: { maxOldGenerationSizeMb: limits.importHeapMiB }, stdout: false })
    worker.unref()
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
      thread.ref()
      const settle = (): void => {
        cancel()
        thread.removeAllListeners()
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
      thread.once('message', (message: ImportMessage) => {
        settle()
        if (message.ok) resolve(message.reply)
        else reject(new GatewayError(message.code, { words: message.words, cause: new Error(message.cause) }))
      })
      thread.once('error', (cause) =>
        fail(
          isHeapEnd(cause)
            ? new GatewayError('over_limit', {
                words: `The import needed more than ${limits.importHeapMiB} MiB.`,
                cause,
              })
            : new GatewayError('internal', { cause }),
        ),
      )
      thread.postMessage(job)
    })

  return {
    run(job) {
      waiting++
      const result = tail.then(() => once(job))
      tail = result
        .catch(() => undefined)
        .then(() => {
          waiting--
          if (waiting === 0) stop()
        })
      return result
    },
  }
}

const isHeapEnd = (cause: Error): boolean => 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY'
