/**
 * One request and its answer. undici calls the `on…` methods as the bytes come; there is no stream in between. The
 * caller is answered once, at the first of: the whole answer, the bound on its bytes, a deadline, an abort, a failure.
 */
import type { CancelSignal } from '../core/cancel.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InboundResponse } from '../core/model.ts'
import { decode } from './decode.ts'
import { brokeOff, exchangeFailure } from './failure.ts'
import { Gathering } from './gather.ts'

export interface SendOptions {
  /** From the call of `send` to the last byte of the answer, milliseconds; past it `target_timeout`, or `target_busy` where nothing was sent. */
  readonly timeoutMs: number
  /** The most bytes of the answer’s body that are read, and the most that decoding may give. */
  readonly bodyBytes: number
  /** Sending it twice does no harm: it is, once, when the connection breaks before any byte of an answer. */
  readonly repeatable: boolean
  /** Aborting gives `cancelled` and closes the connection to the target at once. */
  readonly signal?: CancelSignal
  /** `bytes` of the request’s body sent, 0 at the headers, and of the answer’s body received so far. */
  readonly onProgress?: (phase: 'sent' | 'headers' | 'body', bytes: number) => void
}

/** How an exchange speaks to the channel that carries it. */
export interface Carrier {
  resolve(response: InboundResponse | Promise<InboundResponse>): void
  reject(error: GatewayError): void
  /** Dispatches the same request once more. */
  repeat(): void
  /** The dispatcher has let go of the request; its place is free. */
  release(): void
}

/** The part of undici’s controller that is used. */
export interface Controller {
  abort(reason: Error): void
}

export type Fields = Readonly<Record<string, string | string[] | undefined>>

/** Set-Cookie is dropped: a gateway that kept a target’s cookies would mix its callers’ sessions. */
export const headersOf = (fields: Fields): Map<string, string> => {
  const headers = new Map<string, string>()
  for (const name of Object.keys(fields)) {
    const value = fields[name]
    if (value === undefined || name === 'set-cookie') continue
    headers.set(name, typeof value === 'string' ? value : value.join(', '))
  }
  return headers
}

const decoded = async (response: InboundResponse, encoding: string, limit: number): Promise<InboundResponse> => {
  const { bytes, cut } = await decode({ bytes: response.body, cut: response.cut }, encoding, limit)
  const headers = new Map(response.headers)
  headers.delete('content-encoding')
  headers.delete('content-length')
  return { status: response.status, headers, body: bytes, cut }
}

const cancelled = (): GatewayError => new GatewayError('cancelled')

/** The reason undici hears for a connection that is no longer wanted; the caller has been answered by then. */
export const unwanted = new Error('the caller has been answered')

export class Exchange {
  readonly #options: SendOptions
  readonly #clock: Clock
  readonly #carrier: Carrier
  readonly #sentBytes: number
  readonly #deadline: number
  readonly #body: Gathering
  #stopTimer: () => void
  #controller: Controller | undefined
  #settled = false
  #sent = false
  #repeated = false
  /** When the last byte of the answer came, on the monotonic clock; undefined before its headers. */
  #heardAt: number | undefined
  #answerBegun = false
  #informational = 0
  #status = 0
  #headers: Map<string, string> = new Map()
  #receivedBytes = 0

  constructor(options: SendOptions, sentBytes: number, clock: Clock, carrier: Carrier) {
    this.#options = options
    this.#sentBytes = sentBytes
    this.#clock = clock
    this.#carrier = carrier
    this.#body = new Gathering(options.bodyBytes)
    this.#deadline = clock.monotonic() + options.timeoutMs
    this.#stopTimer = clock.after(Math.min(options.timeoutMs, limits.responseIdleMs), this.#watch)
    options.signal?.addEventListener('abort', this.#cancel, { once: true })
  }

  /** Called when the request is about to be written. Throwing withdraws it and leaves the connection to others. */
  onRequestStart(controller: Controller): void {
    if (this.#settled) throw unwanted
    this.#controller = controller
    this.#sent = true
  }

  onRequestSent(): void {
    this.#options.onProgress?.('sent', this.#sentBytes)
  }

  /** The first byte of an answer was read: from here on the request is never repeated. */
  onResponseStarted(): void {
    this.#answerBegun = true
  }

  onResponseStart(_controller: Controller, status: number, fields: Fields): void {
    if (this.#settled) return
    if (status < 200) {
      // RFC 9110 §15.2: any number of interim answers may come first, but nobody has a use for many
      this.#informational += 1
      if (this.#informational > limits.informationalResponses) {
        this.#fail(new GatewayError('target_bad_answer', { words: 'The target sends interim answers without end.' }))
      }
      return
    }
    this.#heardAt = this.#clock.monotonic()
    this.#status = status
    this.#headers = headersOf(fields)
    this.#options.onProgress?.('headers', 0)
  }

  onResponseData(_controller: Controller, piece: Buffer): void {
    if (this.#settled) return
    this.#heardAt = this.#clock.monotonic()
    this.#receivedBytes += piece.length
    const fits = this.#body.add(piece)
    this.#options.onProgress?.('body', this.#receivedBytes)
    if (!fits) {
      this.#answer(true)
      this.#controller?.abort(unwanted)
    }
  }

  onResponseEnd(): void {
    this.#carrier.release()
    if (!this.#settled) this.#answer(false)
  }

  /** Ends every request that does not end well, whoever ended it. */
  onResponseError(_controller: Controller | null, error: Error): void {
    this.#controller = undefined
    if (!this.#settled && this.#options.repeatable && !this.#repeated && !this.#answerBegun && brokeOff(error)) {
      this.#repeated = true
      // not from within the dispatcher’s own clean-up of the broken connection
      queueMicrotask(this.#repeat)
      return
    }
    this.#carrier.release()
    if (!this.#settled) this.#fail(exchangeFailure(error, this.#heardAt !== undefined))
  }

  readonly #repeat = (): void => {
    if (this.#settled) this.#carrier.release()
    else this.#carrier.repeat()
  }

  /** One timer serves both deadlines: it looks what is due and sets itself again. */
  readonly #watch = (): void => {
    const now = this.#clock.monotonic()
    const idleEnd = this.#heardAt === undefined ? Infinity : this.#heardAt + limits.responseIdleMs
    if (now >= this.#deadline) {
      this.#fail(new GatewayError(this.#sent ? 'target_timeout' : 'target_busy'))
    } else if (now >= idleEnd) {
      this.#fail(new GatewayError('target_timeout', { words: 'The target stopped in the middle of its answer.' }))
    } else {
      const next = Math.min(this.#deadline, idleEnd, now + limits.responseIdleMs)
      this.#stopTimer = this.#clock.after(next - now, this.#watch)
    }
  }

  readonly #cancel = (): void => this.#fail(cancelled())

  #settle(): void {
    this.#settled = true
    this.#stopTimer()
    this.#options.signal?.removeEventListener('abort', this.#cancel)
  }

  #fail(error: GatewayError): void {
    this.#settle()
    this.#carrier.reject(error)
    this.#controller?.abort(error)
  }

  #answer(cut: boolean): void {
    this.#settle()
    const response = { status: this.#status, headers: this.#headers, body: this.#body.bytes(), cut }
    const encoding = this.#headers.get('content-encoding')
    const isEncoded = encoding !== undefined && response.body.length > 0
    this.#carrier.resolve(isEncoded ? decoded(response, encoding, this.#options.bodyBytes) : response)
  }
}
