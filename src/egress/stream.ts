/**
 * One request whose answer is read as it comes: its headers are given at once, its body is a stream that holds the target
 * back when the reader is slow. The same deadlines, bounds and cancellation as for an answer that is gathered.
 */
import type { CancelSignal } from '../core/cancel.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { type Controller, type Fields, headersOf, unwanted } from './exchange.ts'
import { exchangeFailure } from './failure.ts'

export interface OpenOptions {
  /** From the call of `open` to the headers of the answer, milliseconds; past it `target_timeout`. */
  readonly timeoutMs: number
  /** Between two pieces of the body, as long as the reader wants one; past it the body ends in `target_timeout`. */
  readonly idleMs: number
  /** From the headers to the end of the body, milliseconds; past it the body ends in `target_timeout`. */
  readonly totalMs: number
  /** The most bytes of the body; past them it ends in `target_bad_answer`. */
  readonly bodyBytes: number
  /** Aborting gives `cancelled`, here or as the end of the body, and closes the connection at once. */
  readonly signal?: CancelSignal
}

export interface Opened {
  readonly status: number
  /** Lower-case names; repeated fields joined by `, ` (RFC 9110 §5.3). */
  readonly headers: ReadonlyMap<string, string>
  /** Errors are of the table. Cancelling it closes the connection. */
  readonly body: ReadableStream<Uint8Array>
}

/** How a stream speaks to the channel that carries it. */
export interface StreamCarrier {
  resolve(opened: Opened): void
  reject(error: GatewayError): void
  /** The dispatcher has let go of the request; its place is free. */
  release(): void
}

/** The part of undici's controller that is used. */
interface StreamController extends Controller {
  pause(): void
  resume(): void
}

export class StreamExchange {
  readonly #options: OpenOptions
  readonly #clock: Clock
  readonly #carrier: StreamCarrier
  #stopTimer: () => void
  #controller: StreamController | undefined
  #sink: ReadableStreamDefaultController<Uint8Array> | undefined
  #over = false
  #paused = false
  #informational = 0
  #receivedBytes = 0
  /** On the monotonic clock: when the headers came, and when the last piece did or was asked for. */
  #openedAt = 0
  #heardAt = 0

  constructor(options: OpenOptions, clock: Clock, carrier: StreamCarrier) {
    this.#options = options
    this.#clock = clock
    this.#carrier = carrier
    this.#stopTimer = clock.after(options.timeoutMs, () => this.#fail(new GatewayError('target_timeout')))
    options.signal?.addEventListener('abort', this.#cancel, { once: true })
  }

  /** Called when the request is about to be written. Throwing withdraws it and leaves the connection to others. */
  onRequestStart(controller: StreamController): void {
    if (this.#over) throw unwanted
    this.#controller = controller
  }

  onResponseStart(controller: StreamController, status: number, fields: Fields): void {
    if (this.#over) return
    if (status < 200) {
      // RFC 9110 §15.2: any number of interim answers may come first, but nobody has a use for many
      this.#informational += 1
      if (this.#informational > limits.informationalResponses)
        this.#fail(new GatewayError('target_bad_answer', { words: 'The target sends interim answers without end.' }))
      return
    }
    const headers = headersOf(fields)
    const encoding = headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
    if (encoding !== 'identity') {
      this.#fail(
        new GatewayError('target_bad_answer', {
          words: 'The target’s answer is in a content encoding, though it was asked for none.',
        }),
      )
      return
    }
    this.#stopTimer()
    this.#openedAt = this.#heardAt = this.#clock.monotonic()
    this.#stopTimer = this.#clock.after(Math.min(this.#options.idleMs, this.#options.totalMs), this.#watch)
    const body = new ReadableStream<Uint8Array>(
      {
        start: (sink) => {
          this.#sink = sink
        },
        pull: () => {
          if (!this.#paused) return
          this.#paused = false
          this.#heardAt = this.#clock.monotonic()
          controller.resume()
        },
        cancel: () => this.#leave(),
      },
      { highWaterMark: limits.streamAheadBytes, size: (piece) => piece.byteLength },
    )
    this.#carrier.resolve({ status, headers, body })
  }

  onResponseData(controller: StreamController, piece: Buffer): void {
    const sink = this.#sink
    if (this.#over || sink === undefined) return
    this.#heardAt = this.#clock.monotonic()
    this.#receivedBytes += piece.length
    if (this.#receivedBytes > this.#options.bodyBytes) {
      this.#fail(new GatewayError('target_bad_answer', { words: 'The target’s answer is longer than is read here.' }))
      return
    }
    sink.enqueue(piece)
    if ((sink.desiredSize ?? 0) > 0) return
    this.#paused = true
    controller.pause()
  }

  onResponseEnd(): void {
    this.#carrier.release()
    if (this.#over) return
    this.#settle()
    this.#sink?.close()
  }

  /** Ends every request that does not end well, whoever ended it. */
  onResponseError(_controller: StreamController | null, error: Error): void {
    this.#controller = undefined
    this.#carrier.release()
    if (!this.#over) this.#fail(exchangeFailure(error, this.#sink !== undefined))
  }

  /** One timer serves both deadlines of the body: it looks what is due and sets itself again. */
  readonly #watch = (): void => {
    const now = this.#clock.monotonic()
    const end = this.#openedAt + this.#options.totalMs
    const idleEnd = this.#paused ? Infinity : this.#heardAt + this.#options.idleMs
    if (now >= end || now >= idleEnd) {
      this.#fail(new GatewayError('target_timeout', { words: 'The target stopped in the middle of its answer.' }))
      return
    }
    this.#stopTimer = this.#clock.after(Math.min(end, idleEnd, now + this.#options.idleMs) - now, this.#watch)
  }

  readonly #cancel = (): void => this.#fail(new GatewayError('cancelled'))

  /** The reader wants no more. */
  #leave(): void {
    if (this.#over) return
    this.#settle()
    this.#controller?.abort(unwanted)
  }

  #settle(): void {
    this.#over = true
    this.#stopTimer()
    this.#options.signal?.removeEventListener('abort', this.#cancel)
  }

  #fail(error: GatewayError): void {
    this.#settle()
    if (this.#sink === undefined) this.#carrier.reject(error)
    else this.#sink.error(error)
    this.#controller?.abort(error)
  }
}
