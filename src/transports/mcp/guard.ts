/**
 * Stands between the SDK's client and its transport: counts what a server sends unasked, sees to it that a request whose
 * stream ends without an answer ends too, and keeps results as they came.
 */
import type { JSONRPCMessage, MessageExtraInfo, Transport, TransportSendOptions } from '@modelcontextprotocol/client'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { isDeep } from './bounds.ts'
import { exchangeHeader, type Wire } from './wire.ts'

interface Pending {
  readonly resolve: () => void
  readonly reject: (error: GatewayError) => void
}

export class Guard implements Transport {
  onclose?: (() => void) | undefined
  onerror?: ((error: Error) => void) | undefined
  onmessage?: ((message: JSONRPCMessage, extra?: MessageExtraInfo) => void) | undefined
  readonly hasPerRequestStream = true
  readonly #inner: Transport
  readonly #wire: Wire
  readonly #pending = new Map<string | number, Pending>()
  readonly #results = new Map<string | number, unknown>()
  #exchanges = 0
  #asked = 0
  #told = 0
  /** Id of the request that was sent last. */
  lastId: string | number = ''
  /** Why the server was left. */
  fault: GatewayError | undefined

  constructor(inner: Transport, wire: Wire) {
    this.#inner = inner
    this.#wire = wire
  }

  get sessionId(): string | undefined {
    return this.#inner.sessionId
  }

  setProtocolVersion(version: string): void {
    this.#inner.setProtocolVersion?.(version)
  }

  start(): Promise<void> {
    this.#inner.onmessage = (message, extra) => this.#receive(message, extra)
    this.#inner.onerror = (error) => this.onerror?.(error)
    this.#inner.onclose = () => {
      for (const id of [...this.#pending.keys()]) this.#fail(id, this.fault ?? new GatewayError('target_broke_off'))
      this.onclose?.()
    }
    return this.#inner.start()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  /** For a request this lasts until it is answered, and fails when it will not be. */
  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    if (!('method' in message) || !('id' in message)) {
      this.#withdrawn(message)
      return this.#inner.send(message, options)
    }
    const { id } = message
    this.lastId = id
    this.#asked = 0
    this.#told = 0
    const key = String(++this.#exchanges)
    const exchange = this.#wire.begin(key)
    let wasAnswered = false
    try {
      await new Promise<void>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject })
        const ended = (): void => {
          options?.onRequestStreamEnd?.()
          this.#fail(id, exchange.fault ?? new GatewayError('target_broke_off'))
        }
        this.#inner
          .send(message, {
            ...options,
            headers: { ...options?.headers, [exchangeHeader]: key },
            onRequestStreamEnd: ended,
          })
          .then(() => {
            if (exchange.kind === 'json') this.#fail(id, exchange.fault ?? strange())
          })
          .catch((error: unknown) => {
            this.#pending.delete(id)
            reject(exchange.fault ?? error)
          })
      })
      wasAnswered = true
    } finally {
      this.#wire.end(key, wasAnswered)
      this.#pending.delete(id)
    }
  }

  /** The result of a request as it came, once. */
  takeResult(id: string | number): unknown {
    const result = this.#results.get(id)
    this.#results.delete(id)
    return result
  }

  #receive(message: JSONRPCMessage, extra: MessageExtraInfo | undefined): void {
    if ('method' in message) {
      if ('id' in message ? this.#tooManyRequests() : ++this.#told > limits.mcpNotices) return
      if (isDeep(message.params)) return
    } else {
      const { id } = message
      const pending = id === undefined ? undefined : this.#pending.get(id)
      // whoever answers what was not asked is not listened to
      if (id === undefined || pending === undefined) return
      if ('result' in message) this.#results.set(id, message.result)
      pending.resolve()
    }
    this.onmessage?.(message, extra)
  }

  /** What is given up is not read any further, whatever the server makes of that. */
  #withdrawn(message: JSONRPCMessage): void {
    if (!('method' in message) || message.method !== 'notifications/cancelled') return
    const { requestId } = message.params ?? {}
    if (typeof requestId === 'string' || typeof requestId === 'number')
      this.#fail(requestId, new GatewayError('cancelled'))
  }

  /** A server that asks without end is left. */
  #tooManyRequests(): boolean {
    this.#asked++
    if (this.#asked <= limits.mcpServerRequests) return false
    this.fault ??= new GatewayError('target_bad_answer', { words: 'The target sends requests without end.' })
    void this.close()
    return true
  }

  #fail(id: string | number, error: GatewayError): void {
    this.#pending.get(id)?.reject(error)
    this.#pending.delete(id)
  }
}

const strange = (): GatewayError =>
  new GatewayError('target_bad_answer', { words: 'The target answered something else than was asked.' })
