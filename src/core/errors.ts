/**
 * The one error table. Each row: HTTP status, JSON-RPC code, the words for people outside, whether the same request
 * may be sent again. An error's `cause` and `detail` are for the log; outsiders see `words` and `data` only.
 */
import type { Json } from './model.ts'

interface Row {
  readonly http: number
  readonly rpc: number
  readonly words: string
  readonly retry: boolean
}

/** JSON-RPC 2.0 §5.1 codes, and those that MCP 2026-07-28 reserves (−32020 to −32099). */
const table = {
  parse_error: { http: 400, rpc: -32700, words: 'The body is not JSON in UTF-8.', retry: false },
  invalid_request: { http: 400, rpc: -32600, words: 'The body is not one JSON-RPC 2.0 request.', retry: false },
  unknown_method: { http: 404, rpc: -32601, words: 'This method does not exist here.', retry: false },
  invalid_params: { http: 400, rpc: -32602, words: 'The parameters do not fit the method.', retry: false },
  unknown_tool: { http: 200, rpc: -32602, words: 'There is no tool of this name. Ask tools/list again.', retry: false },
  unknown_resource: { http: 200, rpc: -32602, words: 'There is no resource of this URI.', retry: false },
  unknown_prompt: { http: 200, rpc: -32602, words: 'There is no prompt of this name.', retry: false },
  header_mismatch: {
    http: 400,
    rpc: -32020,
    words: 'An MCP header is missing or differs from the body.',
    retry: false,
  },
  missing_capability: {
    http: 400,
    rpc: -32021,
    words: 'This needs a client capability that was not declared.',
    retry: false,
  },
  unsupported_version: { http: 400, rpc: -32022, words: 'This protocol revision is not spoken here.', retry: false },
  unknown_session: {
    http: 404,
    rpc: -32001,
    words: 'This session does not exist or has ended. Initialize again.',
    retry: false,
  },
  body_too_large: { http: 413, rpc: -32600, words: 'The body is larger than this gateway takes.', retry: false },
  body_too_slow: { http: 408, rpc: -32600, words: 'The body did not arrive in time.', retry: true },
  unsupported_media_type: {
    http: 415,
    rpc: -32600,
    words: 'Send application/json without a content encoding.',
    retry: false,
  },
  not_acceptable: { http: 406, rpc: -32600, words: 'Accept application/json or text/event-stream.', retry: false },
  method_not_allowed: { http: 405, rpc: -32600, words: 'Use POST here.', retry: false },
  forbidden_origin: { http: 403, rpc: -32600, words: 'This Host or Origin is not allowed here.', retry: false },
  bad_host: { http: 400, rpc: -32600, words: 'The request needs one Host and a path.', retry: false },
  unauthenticated: { http: 401, rpc: -32600, words: 'Send the bearer token that this listener expects.', retry: false },
  insufficient_scope: {
    http: 403,
    rpc: -32600,
    words: 'The token does not carry the scopes that this needs. Ask for those in the challenge.',
    retry: false,
  },
  issuer_unavailable: {
    http: 503,
    rpc: -32603,
    words: 'The token cannot be checked, since its issuer does not answer. Try again shortly.',
    retry: true,
  },
  // MCP 2025-11-25 URLElicitationRequiredError; the wire adds where to go
  connection_required: {
    http: 200,
    rpc: -32042,
    words: 'An account has to be connected first. Open the link, sign in, then call again.',
    retry: true,
  },
  sign_in_invalid: {
    http: 400,
    rpc: -32600,
    words: 'This sign-in was not begun here, or it is over. Call the tool again and open its new link.',
    retry: false,
  },
  sign_in_failed: {
    http: 400,
    rpc: -32603,
    words: 'The account was not connected. Call the tool again and open its new link.',
    retry: false,
  },
  token_refused: {
    http: 502,
    rpc: -32603,
    words: 'The authorization server of this target gave no token. Tell the operator.',
    retry: false,
  },
  token_unavailable: {
    http: 502,
    rpc: -32603,
    words: 'The authorization server of this target could not be asked for a token. Try again shortly.',
    retry: true,
  },
  conflict: { http: 409, rpc: -32603, words: 'This is defined elsewhere and cannot be changed here.', retry: false },
  quota_exceeded: {
    http: 429,
    rpc: -32003,
    words: 'A quota is used up. Come back when it starts anew.',
    retry: true,
  },
  rate_limited: { http: 429, rpc: -32603, words: 'Too many of these came at once. Come back later.', retry: true },
  not_found: { http: 404, rpc: -32601, words: 'There is nothing here.', retry: false },
  overloaded: { http: 503, rpc: -32603, words: 'Too many calls are in flight. Try again shortly.', retry: true },
  draining: { http: 503, rpc: -32603, words: 'This gateway is shutting down. Try again.', retry: true },
  not_recorded: {
    http: 503,
    rpc: -32603,
    words: 'The call could not be recorded and was not made. Tell the operator.',
    retry: true,
  },
  store_unavailable: { http: 503, rpc: -32603, words: 'The database cannot be used. Tell the operator.', retry: true },
  vault_unreadable: {
    http: 500,
    rpc: -32603,
    words:
      'A stored secret cannot be read with the vault’s keys. The operator can put back the key that sealed it, or the secret can be stored anew.',
    retry: false,
  },
  cancelled: { http: 499, rpc: -32603, words: 'The caller hung up.', retry: true },
  internal: {
    http: 500,
    rpc: -32603,
    words: 'Something failed inside the gateway. The log has the request id.',
    retry: false,
  },
  // the way out; as tool results these are `isError`, since the model may choose another way
  egress_refused: {
    http: 502,
    rpc: -32603,
    words: 'The target’s address is not allowed from here. The operator can list it in egress.allow.',
    retry: false,
  },
  target_unresolved: { http: 502, rpc: -32603, words: 'The target’s name could not be resolved.', retry: true },
  target_unreachable: { http: 502, rpc: -32603, words: 'The target could not be reached.', retry: true },
  target_tls: { http: 502, rpc: -32603, words: 'The target’s certificate was refused.', retry: false },
  target_refused: {
    http: 502,
    rpc: -32603,
    words: 'The target did not begin what it was asked for. Tell the operator.',
    retry: false,
  },
  target_busy: {
    http: 503,
    rpc: -32603,
    words: 'No connection to the target came free in time. Nothing was sent.',
    retry: true,
  },
  target_timeout: {
    http: 504,
    rpc: -32603,
    words: 'The target did not answer in time. Whether it acted is not known.',
    retry: false,
  },
  target_broke_off: {
    http: 502,
    rpc: -32603,
    words: 'The target broke off its answer. Whether it acted is not known.',
    retry: false,
  },
  target_bad_answer: { http: 502, rpc: -32603, words: 'The target’s answer could not be read.', retry: false },
  target_redirect: {
    http: 502,
    rpc: -32603,
    words: 'The target answered with a redirect, and redirects are not followed.',
    retry: false,
  },
  request_unbuildable: { http: 400, rpc: -32602, words: 'No request can be built from these arguments.', retry: false },
  // configuration and descriptions
  bad_config: { http: 500, rpc: -32603, words: 'The configuration is wrong.', retry: false },
  bad_description: { http: 422, rpc: -32603, words: 'The description cannot be imported.', retry: false },
  over_limit: { http: 422, rpc: -32603, words: 'A limit was exceeded.', retry: false },
} as const satisfies Record<string, Row>

export type ErrorCode = keyof typeof table

export interface ErrorDetail {
  /** Safe to show; never input, host, stack or secret. Replaces the row’s words. */
  readonly words?: string
  /** Goes into the JSON-RPC error’s `data`. */
  readonly data?: { readonly [key: string]: Json }
  /** Fields of the HTTP refusal by lower-case name, for example `www-authenticate` or `retry-after`. */
  readonly headers?: { readonly [name: string]: string }
  readonly cause?: unknown
}

/** The only error class that leaves a room. */
export class GatewayError extends Error {
  readonly code: ErrorCode
  readonly data: { readonly [key: string]: Json } | undefined
  readonly headers: { readonly [name: string]: string } | undefined

  constructor(code: ErrorCode, detail: ErrorDetail = {}) {
    super(detail.words ?? table[code].words, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.name = 'GatewayError'
    this.code = code
    this.data = detail.data
    this.headers = detail.headers
  }

  get http(): number {
    return table[this.code].http
  }

  get rpc(): number {
    return table[this.code].rpc
  }

  get retry(): boolean {
    return table[this.code].retry
  }
}

/** Whatever was thrown, as an error of the table: strangers become `internal` with the original as cause. */
export const toGatewayError = (thrown: unknown): GatewayError =>
  thrown instanceof GatewayError ? thrown : new GatewayError('internal', { cause: thrown })
