/** Imports every description of a folder and says what it took: `node corpus.ts FOLDER`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runImport } from '../src/config/import-job.ts'

const [folder = ''] = process.argv.slice(2)
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
  /\.(?:ya?ml|json)$/.test(file),
)
const perOperation: number[] = []
let imported = 0
let total = 0
const began = performance.now()
for (const file of files) {
  const start = performance.now()
  try {
    const { operations } = await runImport({
      target: 'bench',
      kind: 'openapi',
      bytes: readFileSync(join(folder, file)),
      options: {},
      rules: { include: [], exclude: [], override: new Map() },
    })
    imported++
    total += operations
    for (let count = 0; count < operations; count++) perOperation.push((performance.now() - start) / operations)
  } catch {
    // A hostile document is refused; its time counts.
  }
}
const seconds = (performance.now() - began) / 1_000
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1_024
perOperation.sort((a, b) => a - b)
const median = perOperation[Math.floor(perOperation.length / 2)] ?? 0
process.stdout.write(
  `Import of ${files.length} descriptions: ${imported} imported, ${total} operations, ${seconds.toFixed(1)} s, ${median.toFixed(2)} ms an operation (median), peak ${peak.toFixed(0)} MiB\n`,
)
