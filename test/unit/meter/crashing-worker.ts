/** A usage worker that crashes at its first job, as often as the file `crashes` says, and is the real one from then on. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'

const { dataDir }: { dataDir: string } = workerData
const file = join(dataDir, 'crashes')
const left = Number(readFileSync(file, 'utf8'))
writeFileSync(file, String(left - 1))

if (left <= 0) await import('../../../src/meter/usage-worker.ts')
else
  parentPort?.once('message', () => {
    throw new Error('This worker crashes.')
  })
