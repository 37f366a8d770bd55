/** `@modelcontextprotocol/server-everything` as a process of its own: an MCP server of 2025-11-25, with sessions, that nobody here wrote. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'

const main = join(
  dirname(createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')),
  'dist/index.js',
)

export interface Everything {
  /** `http://127.0.0.1:PORT/mcp` */
  readonly url: string
  /** `127.0.0.1:PORT`, for `egress.allow`. */
  readonly address: string
  /** Starts it, anew if it runs: with other sessions, at the same place. */
  start(): Promise<void>
  /** Ends it without a word to anyone. */
  stop(): Promise<void>
}

/** A place for the server, where it does not run yet. */
export async function everythingAt(port?: number): Promise<Everything> {
  const place = port ?? (await freePort())
  let stop = (): Promise<void> => Promise.resolve()
  return {
    url: `http://127.0.0.1:${place}/mcp`,
    address: `127.0.0.1:${place}`,
    async start() {
      await stop()
      const child = spawn(process.execPath, [main, 'streamableHttp'], {
        env: { PORT: String(place) },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      stop = async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      await new Promise<void>((resolve, reject) => {
        let text = ''
        child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
          if (text.includes(`port ${place}`)) resolve()
        })
        child.once('exit', () => reject(new Error(`the server ended:\n${text}`)))
      })
    },
    stop: () => stop(),
  }
}

export async function startEverything(): Promise<Everything> {
  const everything = await everythingAt()
  await everything.start()
  return everything
}

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
