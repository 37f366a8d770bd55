/** What went wrong with an authorization server, and what that means for a token that may be given only once. */
import * as oauth from 'oauth4webapi'
import { type ErrorCode, GatewayError } from '../../core/errors.ts'
import { graveErrors } from './vendors.ts'

/**
 * `refused`: the server said no. `unsent`: it was never asked. `busy`: it said that it did nothing (429, 500, 503).
 * `unknown`: it may have acted, and what it answered is lost.
 */
export type Fate = 'refused' | 'unsent' | 'busy' | 'unknown'

/** Never carries what was sent or received: it ends in the log. */
export class TokenFault extends Error {
  readonly fate: Fate
  /** The `error` of RFC 6749 §5.2, or a word of ours. */
  readonly reason: string

  constructor(fate: Fate, reason: string, cause?: unknown) {
    super(`${reason} (${fate})`, cause === undefined ? undefined : { cause })
    this.name = 'TokenFault'
    this.fate = fate
    this.reason = reason
  }
}

/** Errors of the way out that are given before a byte of the request has left. */
const unsent: ReadonlySet<ErrorCode> = new Set([
  'egress_refused',
  'target_unresolved',
  'target_unreachable',
  'target_tls',
  'overloaded',
  'draining',
  'request_unbuildable',
])

/** The registered ones (IANA, OAuth Extensions Error Registry), and vendors’ own that mean something here. */
const knownCodes: ReadonlySet<string> = new Set([
  'access_denied',
  'account_selection_required',
  'consent_required',
  'incorrect_client_credentials',
  'insufficient_scope',
  'interaction_required',
  'invalid_client',
  'invalid_grant',
  'invalid_request',
  'invalid_resource',
  'invalid_scope',
  'invalid_target',
  'login_required',
  'redirect_uri_mismatch',
  'server_error',
  'slow_down',
  'temporarily_unavailable',
  'unauthorized_client',
  'unsupported_grant_type',
  'unsupported_response_type',
  'unsupported_token_type',
  ...graveErrors,
])

/** An `error` as it may be shown and logged. A server may put anything there, what it was sent among it. */
export const safeCode = (code: unknown): string =>
  typeof code === 'string' && knownCodes.has(code) ? code : 'unknown_error'

/**
 * Whatever `oauth4webapi` or the way out threw, as a fault. The library's errors hold the whole answer, tokens
 * included, so only their code is kept.
 */
export function toFault(thrown: unknown, status: number | undefined): TokenFault {
  if (thrown instanceof TokenFault) return thrown
  if (thrown instanceof GatewayError) {
    if (unsent.has(thrown.code)) return new TokenFault('unsent', thrown.code, thrown)
    // what caused it may hold a piece of the answer
    return new TokenFault('unknown', thrown.code, new GatewayError(thrown.code, { words: thrown.message }))
  }
  if (thrown instanceof oauth.ResponseBodyError) return new TokenFault('refused', safeCode(thrown.error))
  const code = codeOf(thrown)
  if (status === undefined) return new TokenFault('unsent', code)
  if (status === 429 || status === 500 || status === 503) return new TokenFault('busy', `http_${status}`)
  if (status >= 300 && status < 500)
    return new TokenFault('refused', status === 401 ? 'invalid_client' : `http_${status}`)
  return new TokenFault('unknown', status === 200 ? code : `http_${status}`)
}

const codeOf = (thrown: unknown): string =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unreadable_answer'

const words: ReadonlyMap<string, string> = new Map([
  ['invalid_client', 'The authorization server does not accept the client id or its secret or key.'],
  ['unauthorized_client', 'The authorization server does not let this client use this grant.'],
  ['unsupported_grant_type', 'The authorization server does not know this grant.'],
  ['invalid_scope', 'The authorization server does not know or give one of the scopes.'],
  ['invalid_target', 'The authorization server does not know the resource or audience.'],
  ['invalid_grant', 'The authorization server does not accept what the token was asked for with.'],
])

/** A fault as an error of the table, in words for the caller and the operator. */
export function toTokenError(fault: TokenFault, credential: string): GatewayError {
  if (fault.cause instanceof GatewayError && fault.cause.code === 'egress_refused')
    return new GatewayError('token_refused', {
      words: `An address of the authorization server is refused: ${fault.cause.message} Credential ${credential}.`,
      cause: fault,
    })
  if (fault.fate === 'unsent' || fault.fate === 'busy' || fault.fate === 'unknown')
    return new GatewayError('token_unavailable', { cause: fault })
  const said = words.get(fault.reason) ?? `The authorization server answered ${fault.reason}.`
  return new GatewayError('token_refused', {
    words: `${said} Tell the operator: credential ${credential}.`,
    cause: fault,
  })
}

/** Whatever getting a token threw, as an error of the table. */
export const asTokenError = (error: unknown, credential: string): GatewayError =>
  error instanceof GatewayError && error.code !== 'egress_refused'
    ? error
    : toTokenError(toFault(error, undefined), credential)
