/** serverless-offline, an independent implementation of the Lambda Invoke API, with the functions of `test/lambda`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../lambda')
const program = join(folder, 'node_modules/serverless/bin/serverless.js')

/** Whether `.ci/serverless` has put it there. */
export const hasEmulator = existsSync(program)
export const whyNot = 'serverless-offline is not installed, run .ci/serverless'

export interface LambdaEmulator {
  readonly origin: string
  /** `host:port`, for `egress.allow`. */
  readonly address: string
  log(): string
  close(): Promise<void>
}

export async function startLambdaEmulator(): Promise<LambdaEmulator> {
  const [lambdaPort, httpPort] = [await freePort(), await freePort()]
  const ports = ['--lambdaPort', String(lambdaPort), '--httpPort', String(httpPort)]
  const child = spawn(process.execPath, [program, 'offline', 'start', '--host', '127.0.0.1', ...ports], {
    cwd: folder,
    env: { ...process.env, SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // its interpreters of Python are ended with it, as one group
    detached: true,
  })
  let log = ''
  await new Promise<void>((resolve, reject) => {
    const hear = (text: string): void => {
      log += text
      if (log.includes('Function names exposed')) resolve()
    }
    child.stdout.setEncoding('utf8').on('data', hear)
    child.stderr.setEncoding('utf8').on('data', hear)
    child.once('exit', () => reject(new Error(`serverless-offline ended:\n${log}`)))
  })
  return {
    origin: `http://127.0.0.1:${lambdaPort}`,
    address: `127.0.0.1:${lambdaPort}`,
    log: () => log,
    async close() {
      if (child.exitCode !== null || child.pid === undefined) return
      const ended = once(child, 'exit')
      process.kill(-child.pid, 'SIGKILL')
      await ended
    },
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
