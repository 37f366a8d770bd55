/** A gateway as its users run it: a process of its own, on free ports, in a folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const main = join(import.meta.dirname, '../../src/main.ts')

export interface GatewayProcess {
  /** Of the public listener, for example `http://127.0.0.1:40123`. */
  readonly url: string
  readonly adminUrl: string
  readonly adminToken: string
  /** Its folder: `gateway.config.json`, `specs/`, `.toolgate/`. */
  readonly dir: string
  readonly child: ChildProcess
  /** Everything that it logged so far. */
  log(): string
  /** SIGTERM, and the exit status. */
  stop(): Promise<number | null>
  /** SIGKILL. */
  kill(): Promise<void>
  /** Stops it if it still runs, and removes the folder. */
  remove(): Promise<void>
}

export interface GatewaySetup {
  /** Members of the configuration besides ports. */
  readonly config?: object
  /** Files by path in the folder, such as `specs/pets.json`; objects are written as JSON. */
  readonly files?: { readonly [path: string]: string | Uint8Array | object }
  readonly env?: { readonly [name: string]: string }
  /** A folder to start in again. */
  readonly dir?: string
}

export async function startGatewayProcess(setup: GatewaySetup = {}): Promise<GatewayProcess> {
  const dir = setup.dir ?? mkdtempSync(join(tmpdir(), 'toolgate-test-'))
  for (const [path, content] of Object.entries(setup.files ?? {})) writeIn(dir, path, content)
  if (setup.dir === undefined || setup.config !== undefined)
    writeIn(dir, 'gateway.config.json', { listen: { port: 0 }, admin: { port: 0 }, ...setup.config })
  const child = spawn(process.execPath, [main, 'serve', '--config', join(dir, 'gateway.config.json')], {
    cwd: dir,
    env: { ...process.env, ...setup.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text
  })
  const { url, adminUrl } = await ready(child, () => log)
  return {
    url,
    adminUrl,
    adminToken: readFileSync(join(dir, '.toolgate/admin-token'), 'utf8').trim(),
    dir,
    child,
    log: () => log,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      return child.exitCode
    },
    async kill() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
    async remove() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

export function writeIn(dir: string, path: string, content: string | Uint8Array | object): void {
  const file = join(dir, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
}

/** The line that says where it listens. Rejects with the log when the process ends first. */
function ready(child: ChildProcess, log: () => string): Promise<{ url: string; adminUrl: string }> {
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const line = log()
        .split('\n')
        .find((text) => text.includes('"msg":"ready"'))
      if (line === undefined) return
      const { url, adminUrl } = JSON.parse(line) as { url: string; adminUrl: string }
      child.off('exit', failed)
      resolve({ url, adminUrl })
    }
    const failed = (status: number | null): void => reject(new Error(`the gateway ended with ${status}:\n${log()}`))
    child.stderr?.on('data', look)
    child.once('exit', failed)
  })
}

/** Waits until a condition holds; rejects after `ms` with what was waited for. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${ms} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
