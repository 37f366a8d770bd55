/** A client of one server, made by the SDK: connected in whichever revision both speak, asked, and listened to. */
import type * as Module from '@modelcontextprotocol/client'
import type { Client, ClientCapabilities, McpSubscription, StandardSchemaV1 } from '@modelcontextprotocol/client'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import type { ClientCapability } from '../transport.ts'
import { isDeep } from './bounds.ts'
import { HttpRefusal, RpcRefusal } from './fault.ts'
import { Guard } from './guard.ts'
import { type Way, Wire } from './wire.ts'

export type Era = 'modern' | 'legacy'
type Sdk = typeof Module
type Members = { readonly [name: string]: Json }

/** Who listens to what a server says of itself. */
export interface Ear {
  /** A request of the server (only of an older revision); what is thrown is its answer too. */
  ask(method: string, params: Members): Promise<Members>
  told(method: string, params: Members): void
}

export interface ConnectOptions {
  readonly way: Way
  /** What the server may ask of the client. */
  readonly capabilities: readonly ClientCapability[]
  /** The era that the server is known to speak; found out when left out. */
  readonly era: Era | undefined
  readonly version: string
  readonly ear: Ear
  readonly signal?: AbortSignal
}

export interface Progress {
  readonly progress: number
  readonly total?: number | undefined
  readonly message?: string | undefined
}

export interface Ask {
  readonly signal: AbortSignal
  /** Header fields of this request only. */
  readonly headers?: ReadonlyMap<string, string>
  readonly onProgress?: (progress: Progress) => void
}

/** Longest that a timer can wait; calls have deadlines of their own. */
const never = 2 ** 31 - 1

/** Loaded where the first MCP server is a target: others need not have it. */
const loadSdk = (): Promise<Sdk> => import('@modelcontextprotocol/client')

const asItIs: StandardSchemaV1<unknown, { [name: string]: unknown }> = {
  '~standard': {
    version: 1,
    vendor: 'toolgate',
    validate: (value) => ({ value: value as { [name: string]: unknown } }),
  },
}

const capabilitiesOf = (names: readonly ClientCapability[]): ClientCapabilities => ({
  ...(names.some((name) => name.startsWith('elicitation'))
    ? {
        elicitation: {
          ...(names.includes('elicitation') ? { form: {} } : {}),
          ...(names.includes('elicitation.url') ? { url: {} } : {}),
        },
      }
    : {}),
  ...(names.includes('sampling') ? { sampling: {} } : {}),
  ...(names.includes('roots') ? { roots: {} } : {}),
})

/** Throws the `target_…` errors, `connection_required`, `cancelled`, the `token_…` errors, and `HttpRefusal`. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const first = new Connection(await loadSdk(), options)
  try {
    await first.open(options.era)
    return first
  } catch (error) {
    await first.close()
    // a server whose answer to the newer handshake makes no sense may still know the older one
    const isOdd =
      (error instanceof GatewayError && error.code === 'target_bad_answer') ||
      (error instanceof HttpRefusal && error.status >= 500)
    if (!isOdd || options.era !== undefined || options.signal?.aborted === true) throw error
  }
  const second = new Connection(await loadSdk(), options)
  try {
    await second.open('legacy')
    return second
  } catch (error) {
    await second.close()
    throw error
  }
}

export class Connection {
  readonly #sdk: Sdk
  readonly #client: Client
  readonly #guard: Guard
  readonly #wire: Wire
  readonly #terminate: () => Promise<void>
  readonly #signal: AbortSignal | undefined
  ear: Ear
  /** It is closed, or its session is lost. */
  dead = false

  constructor(sdk: Sdk, options: ConnectOptions) {
    const { way, version, ear } = options
    this.#sdk = sdk
    this.ear = ear
    this.#signal = options.signal
    this.#wire = new Wire(way)
    let reopened = 0
    const transport = new sdk.StreamableHTTPClientTransport(new URL(this.#wire.url), {
      fetch: this.#wire.carry,
      // a redirect never gets this far
      redirectPolicy: 'follow',
      reconnectionScheduler: (reconnect, delay) => {
        const floor = Math.min(limits.mcpReconnectMs * 2 ** Math.min(reopened++, 10), limits.mcpReconnectMsMax)
        return way.clock.after(Math.max(floor, Math.min(delay, limits.mcpReconnectMsMax)), reconnect)
      },
    })
    this.#terminate = () => transport.terminateSession()
    this.#guard = new Guard(transport, this.#wire)
    this.#client = new sdk.Client(
      { name: 'toolgate', version },
      {
        capabilities: capabilitiesOf(options.capabilities),
        versionNegotiation: { mode: 'auto' },
        inputRequired: { autoFulfill: false },
        // results are checked against the catalogue's own schemas
        jsonSchemaValidator: {
          getValidator: () => (data) => ({ valid: true, data: data as never, errorMessage: undefined }),
        },
      },
    )
    this.#client.fallbackRequestHandler = async ({ method, params }) => this.ear.ask(method, membersOf(params))
    this.#client.fallbackNotificationHandler = async ({ method, params }) => this.ear.told(method, membersOf(params))
    this.#client.onclose = () => {
      this.dead = true
    }
  }

  /** Called once, by `connect`. */
  async open(era: Era | undefined): Promise<void> {
    const aborted = this.#signal === undefined ? {} : { signal: this.#signal }
    const close = (): void => void this.#guard.close()
    this.#signal?.addEventListener('abort', close, { once: true })
    try {
      await this.#client.connect(this.#guard, {
        timeout: limits.mcpConnectMs,
        ...aborted,
        ...(era === 'legacy' ? { prior: { kind: 'legacy' } } : {}),
        ...(era === 'modern' ? { prior: { kind: 'modern', discover: modern } } : {}),
      })
    } catch (error) {
      throw this.#wire.fault ?? this.#faultOf(error)
    } finally {
      this.#signal?.removeEventListener('abort', close)
    }
  }

  get era(): Era {
    return this.#client.getProtocolEra() ?? 'legacy'
  }

  get capabilities(): Members {
    return membersOf(this.#client.getServerCapabilities())
  }

  get instructions(): string | undefined {
    return this.#client.getInstructions()
  }

  get hasSession(): boolean {
    return this.#guard.sessionId !== undefined
  }

  get secrets(): readonly Secret[] {
    return this.#wire.secrets
  }

  /** The result as it came. Throws `RpcRefusal`, `HttpRefusal` and what `connect` throws. */
  async request(method: string, params: Members, { signal, headers, onProgress }: Ask): Promise<Members> {
    let id: string | number = ''
    try {
      const answer = this.#client.request({ method, params: { ...params } }, asItIs, {
        signal,
        timeout: never,
        allowInputRequired: true,
        ...(headers === undefined || headers.size === 0 ? {} : { headers: Object.fromEntries(headers) }),
        ...(onProgress === undefined ? {} : { onprogress: onProgress }),
      })
      id = this.#guard.lastId
      return shallow(method, membersOf(await answer))
    } catch (error) {
      const raw = this.#guard.takeResult(id)
      // one bad item is no reason to lose the rest: what is read is checked where it is read
      if (this.#isInvalidResult(error) && isMembers(raw) && (raw['resultType'] ?? 'complete') === 'complete')
        return shallow(method, raw)
      if (signal.aborted) throw new GatewayError('cancelled')
      throw this.#faultOf(error)
    } finally {
      this.#guard.takeResult(id)
    }
  }

  /** A stream of notifications (MCP 2026-07-28, `subscriptions/listen`). */
  async listen(filter: Parameters<Client['listen']>[0]): Promise<McpSubscription> {
    try {
      return await this.#client.listen(filter, { timeout: limits.mcpConnectMs })
    } catch (error) {
      throw this.#faultOf(error)
    }
  }

  /** Ends the session at the server as far as it can be reached. */
  async close(): Promise<void> {
    this.dead = true
    try {
      if (this.hasSession) await this.#terminate()
    } catch {
      // it ends by itself there
    }
    await this.#client.close().catch(() => undefined)
  }

  #isInvalidResult(error: unknown): boolean {
    return this.#sdk.SdkError.isInstance(error) && error.code === this.#sdk.SdkErrorCode.InvalidResult
  }

  #faultOf(error: unknown): Error {
    if (error instanceof GatewayError) return error
    if (error instanceof Error && error.cause instanceof GatewayError) return error.cause
    if (this.#sdk.ProtocolError.isInstance(error)) return new RpcRefusal(error.code, error.message, error.data as Json)
    if (this.#sdk.SdkHttpError.isInstance(error)) {
      const { text } = error.data
      return refusalOf(error.status, typeof text === 'string' ? text : '', this.era)
    }
    if (!this.#sdk.SdkError.isInstance(error)) return new GatewayError('target_bad_answer', { cause: error })
    const { RequestTimeout, ConnectionClosed, NotConnected, MethodNotSupportedByProtocolVersion } =
      this.#sdk.SdkErrorCode
    if (error.code === RequestTimeout)
      return new GatewayError(this.#signal?.aborted === true ? 'cancelled' : 'target_timeout', { cause: error })
    if (error.code === ConnectionClosed || error.code === NotConnected)
      return this.#guard.fault ?? new GatewayError('target_broke_off', { cause: error })
    if (error.code === MethodNotSupportedByProtocolVersion)
      return new RpcRefusal(-32601, 'Its revision of MCP does not have this method.', undefined)
    return new GatewayError('target_bad_answer', { cause: error })
  }
}

const isMembers = (value: unknown): value is { readonly [name: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const membersOf = (value: unknown): Members => (isMembers(value) ? value : {})

/** Lists are looked at item by item. */
function shallow(method: string, result: Members): Members {
  if (method.endsWith('/list') || !isDeep(result)) return result
  throw new GatewayError('target_bad_answer', { words: 'The target’s answer is nested too deeply.' })
}

/** What a server that speaks the newer revision said, as far as the client needs it again. */
const modern = {
  supportedVersions: ['2026-07-28'],
  capabilities: {},
  resultType: 'complete' as const,
  ttlMs: 0,
  cacheScope: 'private' as const,
}

/** MCP 2026-07-28 gives some errors another status; the JSON-RPC error in the body says more than it. */
function refusalOf(status: number, text: string, era: Era): Error {
  if (era === 'modern')
    try {
      const { error } = membersOf(JSON.parse(text))
      const { code, message, data } = membersOf(error)
      if (typeof code === 'number' && typeof message === 'string') return new RpcRefusal(code, message, data)
    } catch {
      // no JSON, so the status is all there is
    }
  return new HttpRefusal(status, text)
}
