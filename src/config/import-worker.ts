/** The import thread: takes one job at a time, answers with its result or with an error of the table. */
import { parentPort } from 'node:worker_threads'
import { toGatewayError } from '../core/errors.ts'
import { type ImportJob, runImport } from './import-job.ts'
import type { ImportMessage } from './importer.ts'

parentPort?.on('message', (job: ImportJob) => {
  runImport(job).then(
    (reply) => {
      const message: ImportMessage = { ok: true, reply }
      parentPort?.postMessage(message, [reply.tools.bytes.buffer as ArrayBuffer])
    },
    (thrown: unknown) => {
      const { code, message: words, cause } = toGatewayError(thrown)
      const message: ImportMessage = {
        ok: false,
        code,
        words,
        cause: cause instanceof Error ? (cause.stack ?? cause.message) : '',
      }
      parentPort?.postMessage(message)
    },
  )
})
