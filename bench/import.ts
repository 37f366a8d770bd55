/** Imports one description and says what it took: `node import.ts FILE`. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { runImport } from '../src/config/import-job.ts'

const [file = ''] = process.argv.slice(2)
const bytes = readFileSync(file)
const began = performance.now()
const { operations, tools } = await runImport({
  target: 'big',
  kind: 'openapi',
  bytes,
  options: {},
  rules: { include: [], exclude: [], override: new Map() },
})
const ms = performance.now() - began
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1_024
process.stdout.write(
  `Import of ${basename(file)}: ${operations} operations, ${tools.entries.length} tools, ${tools.bytes.byteLength} bytes of definitions, ${ms.toFixed(0)} ms, peak ${peak.toFixed(0)} MiB\n`,
)
