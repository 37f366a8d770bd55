/**
 * A call under way at a server that may ask before it answers: the server's questions and notices on one side, the caller
 * who waits, or comes back with answers, on the other.
 */
import type { CancelSignal } from '../../core/cancel.ts'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { InputAnswers, Json } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import type { ClientCapability, Delivery, Notice } from '../transport.ts'
import type { Connection, Ear, Progress } from './connection.ts'
import { RpcRefusal } from './fault.ts'
import { logNotice, progressNotice, scrubNotice } from './notices.ts'
import { capabilityFor, isFair } from './questions.ts'

export type Members = { readonly [name: string]: Json }

interface Question {
  readonly method: string
  readonly params: Members
  readonly resolve: (answer: Members) => void
  readonly reject: (error: Error) => void
  /** The caller has been asked. */
  isShown: boolean
}

/** What a wait came to: the result, or questions for the client by key. */
export type Step =
  | { readonly kind: 'result'; readonly result: Members }
  | { readonly kind: 'questions'; readonly inputRequests: { [key: string]: Json } }

export class Call implements Ear {
  readonly #capabilities: readonly ClientCapability[]
  readonly #questions = new Map<string, Question>()
  readonly #abort = new AbortController()
  #connection: Connection | undefined
  #secrets: readonly Secret[] = []
  #onNotice: Delivery['onNotice']
  /** What the server told while the call was held, the last of it. */
  readonly #missed: Notice[] = []
  #asked = 0
  #outcome: { readonly result: Members } | { readonly error: unknown } | undefined
  #wake: () => void = () => undefined

  constructor(capabilities: readonly ClientCapability[]) {
    this.#capabilities = capabilities
  }

  /** Aborted when nobody waits for the call any more. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** What the server was asked with. */
  get secrets(): readonly Secret[] {
    return [...this.#secrets, ...(this.#connection?.secrets ?? [])]
  }

  run(work: Promise<Members>): void {
    work.then(
      (result) => this.#settle({ result }),
      (error: unknown) => this.#settle({ error }),
    )
  }

  /** From here on the call is made over this connection. */
  over(connection: Connection): void {
    this.#secrets = this.secrets
    this.#connection = connection
    connection.ear = this
  }

  /** Who is told what the server tells on the way; nobody while the call is held, and then what was missed first. */
  tell(onNotice: Delivery['onNotice']): void {
    this.#onNotice = onNotice
    if (onNotice !== undefined) for (const notice of this.#missed.splice(0)) onNotice(notice)
  }

  readonly progressed = (progress: Progress): void => this.#notice(progressNotice(progress))

  told(method: string, params: Members): void {
    const notice = method === 'notifications/message' ? logNotice(params) : undefined
    if (notice !== undefined) this.#notice(notice)
  }

  #notice(plain: Notice): void {
    if (this.#outcome !== undefined) return
    const notice = scrubNotice(plain, this.secrets)
    if (this.#onNotice !== undefined) return this.#onNotice(notice)
    this.#missed.push(notice)
    if (this.#missed.length > limits.mcpNoticesHeld) this.#missed.shift()
  }

  /** A question of the server. Rejects with the error that it is answered with when nobody can be asked. */
  ask(method: string, params: Members): Promise<Members> {
    if (this.#outcome !== undefined || !this.#canAsk(method, params))
      return Promise.reject(new RpcRefusal(-32601, 'The client cannot be asked this.', undefined))
    if (++this.#asked > limits.mcpQuestions || !isFair(method, params))
      return Promise.reject(new RpcRefusal(-32600, 'Too much is asked.', undefined))
    return new Promise((resolve, reject) => {
      this.#questions.set(`q${this.#asked}`, { method, params, resolve, reject, isShown: false })
      this.#wake()
    })
  }

  /** Gives the client's answers to the server; a question that was shown and has none is turned down. */
  answer({ responses }: InputAnswers): void {
    for (const [key, question] of this.#questions) {
      if (!question.isShown) continue
      this.#questions.delete(key)
      const answer = answerTo(question.method, Object.hasOwn(responses, key) ? responses[key] : undefined)
      if (answer === undefined) question.reject(new RpcRefusal(-1, 'The user did not answer.', undefined))
      else question.resolve(answer)
    }
  }

  /** Waits for the end or for a question. Throws what the call throws, `cancelled` and `target_timeout`. */
  async next(clock: Clock, timeoutMs: number, signal: CancelSignal): Promise<Step> {
    const ended = await this.#wait(clock, timeoutMs, signal)
    if (this.#outcome === undefined && ended !== undefined) {
      this.cancel()
      throw new GatewayError(ended)
    }
    if (this.#outcome === undefined) return { kind: 'questions', inputRequests: this.#show() }
    if ('error' in this.#outcome) throw this.#outcome.error
    return { kind: 'result', result: this.#outcome.result }
  }

  /** Nobody waits any more: the server is told so. */
  cancel(): void {
    this.#settle({ error: new GatewayError('cancelled') })
    this.#abort.abort()
    for (const { reject } of this.#questions.values()) reject(new RpcRefusal(-1, 'The call was cancelled.', undefined))
    this.#questions.clear()
  }

  /** Why the wait ended, where it was not the call itself. */
  #wait(
    clock: Clock,
    timeoutMs: number,
    signal: CancelSignal,
  ): Promise<'cancelled' | 'target_timeout' | undefined> | undefined {
    if (this.#outcome !== undefined || this.#questions.size > 0) return undefined
    return new Promise((resolve) => {
      const end = (why: 'cancelled' | 'target_timeout' | undefined): void => {
        stopTimer()
        signal.removeEventListener('abort', cancelled)
        this.#wake = () => undefined
        resolve(why)
      }
      const cancelled = (): void => end('cancelled')
      const stopTimer = clock.after(timeoutMs, () => end('target_timeout'))
      signal.addEventListener('abort', cancelled, { once: true })
      this.#wake = () => end(undefined)
      if (signal.aborted) cancelled()
    })
  }

  #settle(outcome: { readonly result: Members } | { readonly error: unknown }): void {
    this.#outcome ??= outcome
    this.#wake()
  }

  #canAsk(method: string, params: Members): boolean {
    const needed = capabilityFor(method, params)
    return needed !== undefined && this.#capabilities.includes(needed)
  }

  #show(): { [key: string]: Json } {
    const shown = [...this.#questions].map(([key, question]): [string, Json] => {
      question.isShown = true
      return [key, { method: question.method, params: { ...question.params } }]
    })
    return Object.fromEntries(shown)
  }
}

const isMembers = (value: Json | undefined): value is { [name: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** An answer of the shape that the question wants; a form that was turned down is an answer, too. */
function answerTo(method: string, given: Json | undefined): Members | undefined {
  const answer = isMembers(given) ? given : {}
  switch (method) {
    case 'elicitation/create':
      return typeof answer['action'] === 'string' ? answer : { action: 'cancel' }
    case 'roots/list':
      return Array.isArray(answer['roots']) ? answer : undefined
    default:
      return answer['content'] === undefined ? undefined : answer
  }
}
