/** Resources that callers want to hear of: one connection a caller and server, as long as it watches anything. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Principal } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import { type Connection, connect, type ConnectOptions, type Ear } from './connection.ts'
import { RpcRefusal } from './fault.ts'

interface Watch {
  readonly connection: Connection
  readonly uris: Set<string>
  /** The stream of MCP 2026-07-28 that tells of these resources. */
  stream: { close(): Promise<void> } | undefined
}

export class Watches {
  readonly #onUpdated: (target: string, uri: string, caller: Principal) => void
  readonly #watches = new Map<string, Promise<Watch>>()

  constructor({ onUpdated }: { readonly onUpdated: (target: string, uri: string, caller: Principal) => void }) {
    this.#onUpdated = onUpdated
  }

  /** Throws `overloaded`, and what the server and the way to it throw. Gives what the server was asked with. */
  async subscribe(
    key: string,
    uri: string,
    signal: AbortSignal,
    options: Omit<ConnectOptions, 'ear'>,
  ): Promise<readonly Secret[]> {
    const known = this.#watches.get(key)
    if (known !== undefined && (await known.catch(() => undefined))?.connection.dead !== false) await this.#end(key)
    if (!this.#watches.has(key) && this.#watches.size >= limits.mcpWatches) throw new GatewayError('overloaded')
    const opening = this.#watches.get(key) ?? this.#open(options)
    this.#watches.set(key, opening)
    try {
      const watch = await opening
      if (watch.uris.size >= limits.mcpWatchedUris) throw new GatewayError('overloaded')
      await change(watch, new Set([...watch.uris, uri]), 'resources/subscribe', uri, signal)
      watch.uris.add(uri)
      return watch.connection.secrets
    } catch (error) {
      const watch = await opening.catch(() => undefined)
      if (watch === undefined || watch.uris.size === 0) await this.#end(key)
      throw error
    }
  }

  async unsubscribe(key: string, uri: string, signal: AbortSignal): Promise<readonly Secret[]> {
    const watch = await this.#watches.get(key)?.catch(() => undefined)
    if (watch?.uris.delete(uri) !== true) return []
    if (watch.uris.size === 0) await this.#end(key)
    else await change(watch, watch.uris, 'resources/unsubscribe', uri, signal)
    return watch.connection.secrets
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches.keys()].map((key) => this.#end(key)))
  }

  async #open(options: Omit<ConnectOptions, 'ear'>): Promise<Watch> {
    const { target, caller } = options.way
    const uris = new Set<string>()
    const ear: Ear = {
      ask: () => Promise.reject(new RpcRefusal(-32601, 'Nobody can be asked here.', undefined)),
      told: (method, { uri }) => {
        // a server may say so of a part of what is watched (MCP 2025-11-25, resources)
        if (method !== 'notifications/resources/updated' || typeof uri !== 'string') return
        if ([...uris].some((one) => uri.startsWith(one))) this.#onUpdated(target.name, uri, caller)
      },
    }
    return { connection: await connect({ ...options, ear }), uris, stream: undefined }
  }

  async #end(key: string): Promise<void> {
    const opening = this.#watches.get(key)
    this.#watches.delete(key)
    await (await opening?.catch(() => undefined))?.connection.close()
  }
}

/** By a request of its own in the older revisions, by a new stream in the newer one. */
async function change(
  watch: Watch,
  uris: ReadonlySet<string>,
  method: 'resources/subscribe' | 'resources/unsubscribe',
  uri: string,
  signal: AbortSignal,
): Promise<void> {
  if (watch.connection.era === 'legacy') {
    await watch.connection.request(method, { uri }, { signal })
    return
  }
  const before = watch.stream
  watch.stream = await watch.connection.listen({ resourceSubscriptions: [...uris] })
  await before?.close()
}
