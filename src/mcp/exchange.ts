/** One HTTP request and its answer, as far as MCP needs them: a body within bounds, JSON or a stream of events back. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../core/errors.ts'
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'

export type Headers = { readonly [name: string]: string }

/** An open stream of server-sent events. */
export interface Events {
  /** Sends one message; ends the stream when its reader is so slow that `limits.streamQueueBytes` are waiting. */
  send(message: string): void
  end(): void
}

/** How often a header was sent, whatever Node made of the repeats. `name` is lower case. */
export function timesIn(raw: readonly string[], name: string): number {
  let times = 0
  for (let index = 0; index < raw.length; index += 2) {
    const field = raw[index]
    if (field?.length === name.length && field.toLowerCase() === name) times++
  }
  return times
}

export class Exchange {
  readonly #incoming: IncomingMessage
  readonly #outgoing: ServerResponse
  readonly #clock: Clock
  #hungUp = false
  #body: Promise<Buffer> | undefined

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, clock: Clock) {
    this.#incoming = incoming
    this.#outgoing = outgoing
    this.#clock = clock
  }

  get method(): string {
    return this.#incoming.method ?? ''
  }

  /** The request target as it came: path and query. */
  get url(): string {
    return this.#incoming.url ?? ''
  }

  /** A header’s value; `undefined` when it is absent. */
  header(name: string): string | undefined {
    const value = this.#incoming.headers[name]
    return typeof value === 'string' ? value : value?.join(', ')
  }

  /** Lower-case names of all fields, each as often as it came. */
  names(): readonly string[] {
    return this.#incoming.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
  }

  times(name: string): number {
    return timesIn(this.#incoming.rawHeaders, name)
  }

  /** Calls `act` when the client goes away before the answer is complete. */
  onHangUp(act: () => void): void {
    const outgoing = this.#outgoing
    const gone = (): void => {
      if (outgoing.writableFinished) return
      this.#hungUp = true
      act()
    }
    if (outgoing.destroyed) gone()
    else outgoing.once('close', gone)
  }

  get hungUp(): boolean {
    return this.#hungUp
  }

  /**
   * The body, as sent, read once. Throws `body_too_large` as soon as it is known to pass `bytesMax`, and keeps none of
   * it. A body that does not arrive is ended by the server’s own `requestTimeout` (`limits.requestBodyMs`), with 408.
   */
  body(bytesMax: number): Promise<Buffer> {
    this.#body ??= this.#read(bytesMax)
    return this.#body
  }

  #read(bytesMax: number): Promise<Buffer> {
    const incoming = this.#incoming
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      let bytes = 0
      const refuse = (): void => {
        chunks.length = 0
        reject(new GatewayError('body_too_large'))
      }
      if (Number(incoming.headers['content-length'] ?? 0) > bytesMax) refuse()
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.byteLength
        if (bytes <= bytesMax) chunks.push(chunk)
        else refuse()
        // A client that is still sending hears the refusal if it is let finish, within bounds.
        if (bytes > limits.requestDrainBytes) incoming.destroy()
      })
      incoming.once('end', () => {
        const [first] = chunks
        resolve(chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks))
      })
      incoming.once('error', (cause) => reject(new GatewayError('cancelled', { cause })))
      incoming.once('close', () => {
        if (!incoming.complete) reject(new GatewayError('cancelled'))
      })
    })
  }

  /** A whole answer. */
  send(status: number, headers: Headers, ...chunks: readonly (string | Buffer)[]): void {
    const outgoing = this.#outgoing
    if (outgoing.headersSent || this.#hungUp) return
    let bytes = 0
    for (const chunk of chunks) bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.byteLength
    outgoing.writeHead(status, { ...headers, 'content-length': bytes })
    const [only] = chunks
    // ASCII is the same in Latin-1, which Node writes without looking at each character.
    if (chunks.length < 2) outgoing.end(only, typeof only === 'string' && only.length === bytes ? 'latin1' : 'utf8')
    else {
      outgoing.cork()
      for (const chunk of chunks) outgoing.write(chunk)
      outgoing.end()
      outgoing.uncork()
    }
  }

  /** Opens a stream of events (WHATWG HTML §9.2), with comments that keep it alive. */
  events(headers: Headers): Events {
    const outgoing = this.#outgoing
    outgoing.writeHead(200, {
      ...headers,
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    })
    outgoing.flushHeaders()
    const stop = this.#clock.every(limits.streamKeepAliveMs, () => outgoing.write(': keep-alive\n\n'))
    outgoing.once('close', stop)
    return {
      send: (message) => {
        if (outgoing.writableEnded || this.#hungUp) return
        // A target's own JSON may be spread over lines; between its tokens a space says the same.
        outgoing.write(`event: message\ndata: ${message.replace(/[\r\n]+/g, ' ')}\n\n`)
        if (outgoing.writableLength > limits.streamQueueBytes) outgoing.destroy()
      },
      end: () => {
        stop()
        outgoing.end()
      },
    }
  }
}
