/** Resources that callers want to hear of: one connection a caller and server, as long as it watches anything. */
import { principalKey } from '../../auth/authenticate.ts'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Principal } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import { type Connection, connect, type ConnectOptions, type Ear } from './connection.ts'
import { HttpRefusal, RpcRefusal } from './fault.ts'

interface Watch {
  readonly connection: Connection
  /** How many streams or sessions want to hear of each. */
  readonly uris: Map<string, number>
  /** The stream of MCP 2026-07-28 that tells of these resources. */
  stream: { close(): Promise<void> } | undefined
}

interface Entry {
  readonly target: string
  readonly owner: string
  readonly opening: Promise<Watch>
  /** Ends what nobody has asked for again in a session's time: its session may have gone without a word. */
  stopTimer: () => void
}

interface WatchRoom {
  readonly clock: Clock
  readonly onUpdated: (target: string, uri: string, caller: Principal) => void
}

/** What a server refused, with what it was asked by: its words may hold it. */
export class Refused extends Error {
  readonly refusal: RpcRefusal | HttpRefusal
  readonly secrets: readonly Secret[]

  constructor(refusal: RpcRefusal | HttpRefusal, watch: Watch | undefined) {
    super(refusal.message)
    this.refusal = refusal
    this.secrets = watch?.connection.secrets ?? []
  }
}

export class Watches {
  readonly #room: WatchRoom
  readonly #watches = new Map<string, Entry>()

  constructor(room: WatchRoom) {
    this.#room = room
  }

  /** Throws `overloaded`, and what the server and the way to it throw. Gives what the server was asked with. */
  async subscribe(
    key: string,
    uri: string,
    signal: AbortSignal,
    options: Omit<ConnectOptions, 'ear'>,
  ): Promise<readonly Secret[]> {
    const { opening } = await this.#entry(key, options)
    try {
      const watch = await opening
      const count = watch.uris.get(uri) ?? 0
      if (count === 0 && watch.uris.size >= limits.mcpWatchedUris) throw new GatewayError('overloaded')
      if (count === 0) await change(watch, [...watch.uris.keys(), uri], 'resources/subscribe', uri, signal)
      watch.uris.set(uri, count + 1)
      return watch.connection.secrets
    } catch (error) {
      const watch = await opening.catch(() => undefined)
      if (watch === undefined || watch.uris.size === 0) await this.#end(key)
      throw error instanceof RpcRefusal || error instanceof HttpRefusal ? new Refused(error, watch) : error
    }
  }

  async unsubscribe(key: string, uri: string, signal: AbortSignal): Promise<readonly Secret[]> {
    const watch = await this.#watches.get(key)?.opening.catch(() => undefined)
    const count = watch?.uris.get(uri)
    if (watch === undefined || count === undefined) return []
    if (count > 1) watch.uris.set(uri, count - 1)
    else {
      watch.uris.delete(uri)
      if (watch.uris.size === 0) await this.#end(key)
      else await change(watch, [...watch.uris.keys()], 'resources/unsubscribe', uri, signal)
    }
    return watch.connection.secrets
  }

  /** Ends what is watched of all targets but these. */
  keep(targets: ReadonlySet<string>): void {
    for (const [key, { target }] of this.#watches) if (!targets.has(target)) void this.#end(key)
  }

  /** The entry of this key, opened where there is none that lives. Throws `overloaded`. */
  async #entry(key: string, options: Omit<ConnectOptions, 'ear'>): Promise<Entry> {
    const known = this.#watches.get(key)
    if (known !== undefined && (await known.opening.catch(() => undefined))?.connection.dead !== false)
      await this.#end(key)
    const { target, caller } = options.way
    const owner = principalKey(caller)
    let entry = this.#watches.get(key)
    if (entry === undefined) {
      const own = [...this.#watches.values()].filter((other) => other.owner === owner).length
      if (this.#watches.size >= limits.mcpWatches || own >= limits.mcpWatchesPerCaller)
        throw new GatewayError('overloaded')
      entry = { target: target.name, owner, opening: this.#open(options), stopTimer: () => undefined }
      this.#watches.set(key, entry)
    }
    entry.stopTimer()
    entry.stopTimer = this.#room.clock.after(limits.sessionMs, () => void this.#end(key))
    return entry
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches.keys()].map((key) => this.#end(key)))
  }

  async #open(options: Omit<ConnectOptions, 'ear'>): Promise<Watch> {
    const { target, caller } = options.way
    const uris = new Map<string, number>()
    const ear: Ear = {
      ask: () => Promise.reject(new RpcRefusal(-32601, 'Nobody can be asked here.', undefined)),
      told: (method, { uri }) => {
        // a server may say so of a part of what is watched (MCP 2025-11-25, resources)
        if (method !== 'notifications/resources/updated' || typeof uri !== 'string' || uri.length > limits.mcpUriChars)
          return
        if ([...uris.keys()].some((one) => uri.startsWith(one))) this.#room.onUpdated(target.name, uri, caller)
      },
    }
    return { connection: await connect({ ...options, ear }), uris, stream: undefined }
  }

  async #end(key: string): Promise<void> {
    const entry = this.#watches.get(key)
    this.#watches.delete(key)
    entry?.stopTimer()
    await (await entry?.opening.catch(() => undefined))?.connection.close()
  }
}

/** By a request of its own in the older revisions, by a new stream in the newer one. */
async function change(
  watch: Watch,
  uris: readonly string[],
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
