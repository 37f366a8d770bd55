/** The answer to one request: JSON, or a stream of events as soon as there is something to say before the result. */
import type { Events, Exchange, Headers } from './exchange.ts'

const jsonHeaders: Headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }

export class Reply {
  readonly #exchange: Exchange
  readonly #headers: Headers
  #events: Events | undefined
  /** Whether the client reads event streams. */
  readonly streams: boolean
  readonly #onlyStreams: boolean

  constructor(exchange: Exchange, headers: Headers) {
    this.#exchange = exchange
    this.#headers = headers
    const accept = exchange.header('accept') ?? '*/*'
    this.streams = accept.includes('text/event-stream')
    this.#onlyStreams = this.streams && !/application\/(?:json|\*)|\*\/\*/.test(accept)
  }

  /** Sends a message ahead of the result; nothing where the client reads no streams. */
  ahead(message: string): void {
    if (!this.streams) return
    this.#events ??= this.#exchange.events(this.#headers)
    this.#events.send(message)
  }

  /** Ends without a result, for a client that wants none any more; it must read streams. */
  leave(): void {
    this.#events ??= this.#exchange.events(this.#headers)
    this.#events.end()
  }

  /** The last message. `status` counts only while nothing was sent ahead. */
  finish(status: number, message: string, more: Headers = {}): void {
    if (this.#onlyStreams && status === 200) this.#events ??= this.#exchange.events(this.#headers)
    if (this.#events === undefined) {
      this.#exchange.send(status, { ...this.#headers, ...jsonHeaders, ...more }, message)
      return
    }
    this.#events.send(message)
    this.#events.end()
  }
}
