/**
 * HTTP as the SDK's client sees it: every request goes to the server's own URL and nowhere else, signed with the target's
 * credential, through the way out; every answer is bounded before the SDK reads it.
 */
import type { Clock } from '../../core/clock.ts'
import { GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse, OutboundRequest, Principal, Target } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import { type CredentialProvider, sign } from '../../credentials/provider.ts'
import type { Egress, Opened } from '../../egress/fetch.ts'
import { isRenewed, missingScopes } from '../rejection.ts'
import { boundedEvents, boundedJson, gather } from './bounds.ts'

/** One caller's way to one server. */
export interface Way {
  readonly target: Target
  readonly credential: CredentialProvider | undefined
  readonly egress: Egress
  readonly caller: Principal
  /** The caller's own headers that go on to the target. */
  readonly headers: ReadonlyMap<string, string>
  readonly clock: Clock
}

/** What is known of the HTTP request that carries a JSON-RPC request. */
export interface Exchange {
  /** How its answer comes. */
  kind?: 'json' | 'stream' | 'accepted'
  /** Why its answer broke off. */
  fault?: GatewayError
  /** Its answer has come to its end. */
  isOver?: boolean
  readonly abort: AbortController
}

/** Names the exchange on its way through the SDK; it never leaves. */
export const exchangeHeader = 'x-toolgate-exchange'

/** Header fields of an answer that the SDK has a use for. */
const readFields = ['content-type', 'mcp-session-id'] as const

export class Wire {
  readonly url: string
  readonly #exchanges = new Map<string, Exchange>()
  /** Why the last POST could not be made. */
  fault: GatewayError | undefined
  readonly #way: Way
  readonly #secrets: Secret[] = []

  constructor(way: Way) {
    this.#way = way
    this.url = `${way.target.origin}${way.target.basePath}`
  }

  /** What the last requests were signed with. */
  get secrets(): readonly Secret[] {
    return [...this.#secrets]
  }

  /** An exchange, by the name that goes through the SDK as `exchangeHeader`. */
  begin(name: string): Exchange {
    const exchange: Exchange = { abort: new AbortController() }
    this.#exchanges.set(name, exchange)
    return exchange
  }

  /** Nobody waits for its answer any more: a stream that goes on all the same is left, after a while where it was answered. */
  end(name: string, wasAnswered: boolean): void {
    const exchange = this.#exchanges.get(name)
    this.#exchanges.delete(name)
    if (exchange === undefined || exchange.isOver === true) return
    if (!wasAnswered) return exchange.abort.abort()
    const stopTimer = this.#way.clock.after(limits.mcpStreamTailMs, () => exchange.abort.abort())
    exchange.abort.signal.addEventListener('abort', stopTimer, { once: true })
  }

  /** In the place of the global function of the same shape. */
  readonly carry = async (url: string | URL, init: RequestInit = {}): Promise<Response> => {
    const method = init.method ?? 'GET'
    const headers = new Map([...this.#way.target.headers.set].map(([name, value]) => [name.toLowerCase(), value]))
    for (const [name, value] of this.#way.headers) headers.set(name, value)
    new Headers(init.headers).forEach((value, name) => headers.set(name, value))
    const exchange = this.#exchanges.get(headers.get(exchangeHeader) ?? '') ?? { abort: new AbortController() }
    headers.delete(exchangeHeader)
    const body = typeof init.body === 'string' ? init.body : undefined
    try {
      if (String(url) !== this.url) throw new GatewayError('target_redirect')
      const request = { method, url: this.url, headers, ...(body === undefined ? {} : { body }) }
      const { signal } = exchange.abort
      return await this.#exchange(request, exchange, init.signal ? AbortSignal.any([init.signal, signal]) : signal)
    } catch (thrown) {
      const error = toGatewayError(thrown)
      exchange.fault = error
      if (method === 'POST') this.fault = error
      throw error
    }
  }

  async #exchange(request: OutboundRequest, exchange: Exchange, signal: AbortSignal): Promise<Response> {
    const { credential, caller, target } = this.#way
    const signed = await sign(request, credential, caller, target)
    this.#remember(signed.secrets)
    const opened = await this.#open(signed.request, signal)
    if (opened.status < 300) return answerOf(opened, opened.status, exchange)
    const refusal = await read(opened)
    if (await isRenewed(credential, signed, refusal, caller, target)) {
      const again = await sign(request, credential, caller, target)
      this.#remember(again.secrets)
      const second = await this.#open(again.request, signal)
      return second.status < 300 ? answerOf(second, second.status, exchange) : this.#refused(await read(second))
    }
    return this.#refused(refusal)
  }

  #open(request: OutboundRequest, signal: AbortSignal): Promise<Opened> {
    const { egress, target } = this.#way
    return egress.channel(target.origin).open(request, {
      // the call has its own deadline, and a question to a person may take longer than any answer
      timeoutMs: request.method === 'DELETE' ? limits.mcpListMs : limits.targetTimeoutMsMax,
      idleMs: request.method === 'GET' ? limits.mcpStreamIdleMs : limits.mcpStreamMs,
      totalMs: limits.mcpStreamMs,
      bodyBytes: limits.mcpStreamBytes,
      signal,
    })
  }

  async #refused(refusal: InboundResponse): Promise<Response> {
    const { credential, caller, target } = this.#way
    if (refusal.status < 400) throw new GatewayError('target_redirect')
    const scopes = credential?.stepUp === undefined ? [] : missingScopes(refusal)
    const more = scopes.length === 0 ? undefined : await credential?.stepUp?.(caller, target, scopes)
    if (more !== undefined) throw more
    return new Response(new Uint8Array(refusal.body), { status: refusal.status, headers: fieldsOf(refusal.headers) })
  }

  #remember(secrets: readonly Secret[]): void {
    for (const secret of secrets) if (!this.#secrets.some((known) => known === secret)) this.#secrets.push(secret)
    this.#secrets.splice(0, Math.max(0, this.#secrets.length - limits.mcpSessionSecrets))
  }
}

const bodiless = new Set([204, 205])

function answerOf({ headers, body }: Opened, status: number, exchange: Exchange): Response {
  const fields = fieldsOf(headers)
  if (bodiless.has(status)) {
    void body.cancel()
    return new Response(null, { status, headers: fields })
  }
  const isStream = /^text\/event-stream\b/i.test(fields.get('content-type') ?? '')
  exchange.kind = status === 202 ? 'accepted' : isStream ? 'stream' : 'json'
  const ended = (fault?: GatewayError): void => {
    exchange.isOver = true
    if (fault !== undefined) exchange.fault = fault
    // whoever waits to leave it need not
    exchange.abort.abort()
  }
  return new Response(isStream ? boundedEvents(body, ended) : boundedJson(body, ended), { status, headers: fields })
}

/** Throws `target_bad_answer` for a session id that cannot be sent back as it is (MCP: visible ASCII). */
function fieldsOf(headers: ReadonlyMap<string, string>): Headers {
  const fields = new Headers()
  for (const name of readFields) {
    const value = headers.get(name)
    if (value === undefined) continue
    if (!/^[\x20-\x7e]{1,2048}$/.test(value) || (name === 'mcp-session-id' && value.includes(' ')))
      throw new GatewayError('target_bad_answer', { words: 'The target’s header fields cannot be read.' })
    fields.set(name, value)
  }
  return fields
}

/** A refusal, read whole as far as it matters. */
async function read({ status, headers, body }: Opened): Promise<InboundResponse> {
  const { bytes, cut } = await gather(body, limits.mcpRefusalBytes)
  return { status, headers, body: bytes, cut }
}
