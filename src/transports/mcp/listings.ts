/**
 * What MCP servers list, kept and refreshed: on an interval, when the server says that it changed, and after a failure
 * with growing pauses. A server that is down keeps its last good listing.
 */
import type { Clock } from '../../core/clock.ts'
import { GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Log } from '../../core/log.ts'
import type { Principal, Target } from '../../core/model.ts'
import type { CredentialProvider } from '../../credentials/provider.ts'
import type { Egress } from '../../egress/fetch.ts'
import { type Connection, connect, type Ear, type Era } from './connection.ts'
import { HttpRefusal, RpcRefusal } from './fault.ts'
import { gatherListing } from './gather.ts'
import type { Way } from './wire.ts'

export interface ListingOptions {
  readonly target: Target
  readonly credential: CredentialProvider | undefined
  readonly egress: Egress
  readonly refreshMs: number
}

export interface ListingRoom {
  readonly clock: Clock
  readonly log: Log
  readonly version: string
  /** The target's listing is another than the one that was given last. */
  readonly onChanged: (target: string) => void
  /** The server was found to speak this. */
  readonly onEra: (target: Target, era: Era) => void
}

/** All capabilities are declared: some servers list only what the client can be asked for. */
const everything = ['elicitation', 'elicitation.url', 'sampling', 'roots'] as const

/** Nobody's own: lists are asked for by the gateway itself. */
const nobody: Principal = { tenant: '', subject: '', client: 'toolgate', scopes: new Set() }

/** The lists of a server as a caller sees them, or as the gateway itself does. */
export async function listOnce(
  room: Pick<ListingRoom, 'clock' | 'version' | 'onEra'>,
  options: Omit<ListingOptions, 'refreshMs'>,
  caller: Principal | undefined,
): Promise<Uint8Array> {
  const abort = new AbortController()
  const stopTimer = room.clock.after(limits.mcpListMs, () => abort.abort())
  let connection: Connection | undefined
  try {
    connection = await connect(connectOptions(room, options, caller, deaf, abort.signal))
    room.onEra(options.target, connection.era)
    return await gatherListing(connection, abort.signal)
  } catch (error) {
    throw abort.signal.aborted ? new GatewayError('target_timeout') : toListingFault(error)
  } finally {
    stopTimer()
    void connection?.close()
  }
}

function connectOptions(
  { clock, version }: Pick<ListingRoom, 'clock' | 'version'>,
  { target, credential, egress }: Omit<ListingOptions, 'refreshMs'>,
  caller: Principal | undefined,
  ear: Ear,
  signal: AbortSignal,
): Parameters<typeof connect>[0] {
  // without a user there is nobody to sign in: such lists are asked for unsigned
  const own = caller === undefined && credential?.connect !== undefined ? undefined : credential
  const way: Way = { target, credential: own, egress, caller: caller ?? nobody, headers: new Map(), clock }
  return { way, capabilities: everything, era: undefined, version, ear, signal }
}

/** Answers what every client can, and listens to nothing. */
const deaf: Ear = {
  ask: (method) =>
    method === 'roots/list'
      ? Promise.resolve({ roots: [] })
      : Promise.reject(new RpcRefusal(-32601, 'Nobody can be asked here.', undefined)),
  told: () => undefined,
}

const needsUser = new Set(['connection_required', 'token_refused'])

function toListingFault(error: unknown): GatewayError {
  const isRefused = error instanceof HttpRefusal && (error.status === 401 || error.status === 403)
  if (isRefused || (error instanceof GatewayError && needsUser.has(error.code)))
    return new GatewayError('bad_description', {
      words: `The gateway itself is not shown its tools. ${error.message} If only users are, give \`mcp.tools\`, a file with the server’s tools/list answer, or \`mode: "live"\`.`,
      cause: error,
    })
  if (error instanceof HttpRefusal || error instanceof RpcRefusal)
    return new GatewayError('target_bad_answer', {
      words: `The server does not list its tools. ${error.message}`,
      cause: error,
    })
  return toGatewayError(error)
}

/** One server that is asked again and again. */
export class KeptListing {
  readonly #room: ListingRoom
  #options: ListingOptions
  #bytes: Uint8Array | undefined
  /** Why there is no listing yet. */
  #failure: GatewayError | undefined
  #connection: Connection | undefined
  #running: Promise<Uint8Array> | undefined
  #abort: AbortController | undefined
  #stopTimer: () => void = () => undefined
  #pauseMs: number = limits.mcpRetryMs
  #askedAt = -Infinity
  #isTold = false
  /** A listing that nobody was given yet. */
  #fresh = false
  #closed = false

  constructor(room: ListingRoom, options: ListingOptions) {
    this.#room = room
    this.#options = options
  }

  /** Whether the options are of the same server, asked in the same words. */
  isOf({ target }: ListingOptions): boolean {
    const known = this.#options.target
    return (
      known.origin === target.origin &&
      known.basePath === target.basePath &&
      JSON.stringify([...known.headers.set]) === JSON.stringify([...target.headers.set])
    )
  }

  /** The last good listing, or the first. Throws the `target_…` errors, `bad_description` and `over_limit`. */
  async get(options: ListingOptions): Promise<Uint8Array> {
    const isSame = this.#options.credential === options.credential && this.#options.egress === options.egress
    this.#options = options
    if (this.#bytes === undefined) {
      // whoever comes back meanwhile is not held up again by a server that is down
      if (isSame && this.#failure !== undefined) throw this.#failure
      return this.#refresh()
    }
    if (!isSame) {
      this.#leave()
      this.#schedule(0)
    }
    return this.#bytes
  }

  close(): void {
    this.#closed = true
    this.#stopTimer()
    this.#abort?.abort()
    this.#leave()
  }

  #refresh(): Promise<Uint8Array> {
    this.#running ??= this.#ask().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #ask(): Promise<Uint8Array> {
    this.#stopTimer()
    this.#isTold = false
    this.#askedAt = this.#room.clock.monotonic()
    const abort = new AbortController()
    this.#abort = abort
    const stopDeadline = this.#room.clock.after(limits.mcpListMs, () => abort.abort())
    try {
      const connection = await this.#connected(abort.signal)
      const bytes = await gatherListing(connection, abort.signal)
      this.#pauseMs = limits.mcpRetryMs
      this.#schedule(this.#options.refreshMs)
      const isNew = this.#bytes === undefined || !Buffer.from(this.#bytes).equals(bytes)
      this.#bytes = bytes
      this.#failure = undefined
      if (isNew) this.#fresh = true
      return bytes
    } catch (error) {
      this.#leave()
      this.#schedule(this.#pauseMs)
      this.#pauseMs = Math.min(this.#pauseMs * 2, Math.max(this.#options.refreshMs, limits.mcpRetryMs))
      this.#failure = abort.signal.aborted ? new GatewayError('target_timeout') : toListingFault(error)
      throw this.#failure
    } finally {
      stopDeadline()
    }
  }

  #schedule(ms: number): void {
    this.#stopTimer()
    if (this.#closed) return
    this.#stopTimer = this.#room.clock.after(ms, () => void this.#again())
  }

  async #again(): Promise<void> {
    const { log, onChanged } = this.#room
    const { name } = this.#options.target
    this.#fresh = false
    try {
      await this.#refresh()
      if (this.#fresh && !this.#closed) onChanged(name)
    } catch (error) {
      log.warn({ target: name, error: toGatewayError(error) }, 'an MCP server could not be asked for its lists')
    }
  }

  /** The connection that is kept to hear of changes. */
  async #connected(signal: AbortSignal): Promise<Connection> {
    if (this.#connection?.dead === false) return this.#connection
    this.#leave()
    const ear: Ear = { ...deaf, told: (method) => this.#told(method) }
    const connection = await connect(connectOptions(this.#room, this.#options, undefined, ear, signal))
    this.#connection = connection
    this.#room.onEra(this.#options.target, connection.era)
    if (connection.era === 'modern') void this.#listen(connection)
    return connection
  }

  /** MCP 2026-07-28 tells of changes only to those who listen; where that fails, the interval does. */
  async #listen(connection: Connection): Promise<void> {
    try {
      const { closed } = await connection.listen({
        toolsListChanged: true,
        promptsListChanged: true,
        resourcesListChanged: true,
      })
      await closed
    } catch {
      return
    }
    if (this.#connection !== connection) return
    // Connected anew at the next refresh, which listens again; what is being asked over this one is let end.
    this.#connection = undefined
    await this.#running?.catch(() => undefined)
    await connection.close()
  }

  /** However often it says so, it is asked at most every `limits.mcpListGapMs`. */
  #told(method: string): void {
    if (this.#isTold || !/^notifications\/(?:tools|prompts|resources)\/list_changed$/.test(method)) return
    this.#isTold = true
    const since = this.#room.clock.monotonic() - this.#askedAt
    this.#schedule(Math.max(limits.mcpListSettleMs, limits.mcpListGapMs - since))
  }

  #leave(): void {
    const connection = this.#connection
    this.#connection = undefined
    void connection?.close()
  }
}
