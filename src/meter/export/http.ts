/** Sending a batch over HTTP, and what an answer says of it. The only place here that sees a secret’s value. */
import type { CancelSignal } from '../../core/cancel.ts'
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import type { Egress } from '../../egress/fetch.ts'
import { statusLine } from '../../egress/status.ts'
import type { Verdict } from './destination.ts'

export interface HttpRoom {
  readonly egress: Egress
  readonly clock: Clock
}

export interface HttpPlace {
  readonly url: string
  readonly headers: ReadonlyMap<string, string | Secret>
  /** Sent as `Authorization: Bearer`. */
  readonly token?: Secret
}

interface Message {
  readonly contentType: string
  readonly body: string
  readonly headers?: ReadonlyMap<string, string>
  readonly signal: CancelSignal
}

/** An answer, with what it says in words that may be logged; or why there is none. */
type Posted =
  | { readonly response: InboundResponse; readonly said: string }
  | { readonly response: undefined; readonly later: Verdict }

export type Post = (message: Message) => Promise<Posted>

/**
 * These speak of the door, not of what was brought: a wrong token or address refuses every event alike, so nothing is
 * put aside for it. 408, 425 and 429 ask to come again (RFC 9110, RFC 8470, RFC 6585).
 */
const comeAgain: ReadonlySet<number> = new Set([401, 402, 403, 404, 405, 407, 408, 421, 423, 425, 426, 429, 451, 511])

const revealed = (value: string | Secret): string => (typeof value === 'string' ? value : value.reveal())

/** Posts to one place. Never rejects; a secret that the receiver repeats does not stand in `said`. */
export const postTo = ({ url, headers, token }: HttpPlace, { egress }: HttpRoom): Post => {
  const fixed = new Map([...headers].map(([name, value]) => [name.toLowerCase(), revealed(value)]))
  if (token !== undefined) fixed.set('authorization', `Bearer ${token.reveal()}`)
  const secrets = [...headers.values(), token].flatMap((value) =>
    value === undefined || typeof value === 'string' ? [] : [value.reveal()],
  )
  const sayable = (body: Buffer): string =>
    secrets
      .reduce((text, secret) => text.replaceAll(secret, '[secret]'), body.toString('utf8'))
      .replace(/\s+/g, ' ')
      .slice(0, limits.exportReasonChars)
      .trim()
  return async ({ contentType, body, headers: further = new Map(), signal }) => {
    try {
      const response = await egress.channel(egress.check(url).origin).send(
        { method: 'POST', url, headers: new Map([...fixed, ...further, ['content-type', contentType]]), body },
        {
          timeoutMs: limits.exportSendMs,
          bodyBytes: limits.exportAnswerBytes,
          // every receiver can tell a repeat by its key
          repeatable: true,
          signal,
        },
      )
      return { response, said: `${statusLine(response.status)} ${sayable(response.body)}`.trim() }
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      return { response: undefined, later: { kind: 'later', reason: `${error.code}: ${error.message}` } }
    }
  }
}

/** `Retry-After` in milliseconds from now (RFC 9110 §10.2.3): seconds or a date. */
const retryAfter = (response: InboundResponse, now: number): number | undefined => {
  const text = response.headers.get('retry-after')?.trim()
  if (text === undefined || text === '') return undefined
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

/** What an answer means for the batch. */
export const judge = (response: InboundResponse, said: string, now: number): Verdict => {
  const { status } = response
  if (status >= 200 && status < 300) return { kind: 'taken' }
  if (status >= 400 && status < 500 && !comeAgain.has(status))
    return { kind: 'refused', reason: said, tooLarge: status === 413 }
  const ms = retryAfter(response, now)
  return { kind: 'later', reason: said, ...(ms === undefined ? {} : { ms }) }
}
