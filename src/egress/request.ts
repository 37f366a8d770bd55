/** An outbound request, checked to be exactly one HTTP request to its own origin (RFC 9110, RFC 9112). Pure. */
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { OutboundRequest } from '../core/model.ts'

/** A request as undici’s `dispatch` takes it. */
export interface Call {
  readonly method: string
  readonly path: string
  /** Name, value, name, value … */
  readonly headers: string[]
  readonly body: Uint8Array | null
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const fieldValue = /^[\t\x20-\x7e]*$/
const visible = /^[\x21-\x7e]+$/

/** They say how this connection is framed or kept, which is this room’s business alone. */
const connectionFields: ReadonlySet<string> = new Set([
  'connection',
  'expect',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const unbuildable = (words: string): GatewayError => new GatewayError('request_unbuildable', { words })

/** The request target as written: nothing is resolved or normalised on the way out. */
const pathOf = (origin: string, url: string): string => {
  if (url.length > limits.urlBytes) throw unbuildable('The URL of the request is too long.')
  const rest = url.slice(origin.length)
  // an origin is followed by a slash or by nothing; `https://a.test@b.test/` and `https://a.test.b.test/` are not of it
  if (!url.startsWith(origin) || (rest !== '' && rest[0] !== '/')) {
    throw new GatewayError('internal', { cause: new Error('a request was sent to a channel of another origin') })
  }
  const fragment = rest.indexOf('#')
  const path = fragment === -1 ? rest : rest.slice(0, fragment)
  if (path === '') return '/'
  if (!visible.test(path)) throw unbuildable('The URL of the request contains a character that must be encoded.')
  return path
}

const headersOf = (host: string, fields: ReadonlyMap<string, string>): string[] => {
  const headers: string[] = []
  let accepts = false
  for (const [name, value] of fields) {
    if (!token.test(name)) throw unbuildable('The name of a header field is not valid.')
    if (!fieldValue.test(value)) throw unbuildable('The value of a header field is not visible ASCII.')
    const lower = name.toLowerCase()
    if (connectionFields.has(lower)) throw unbuildable('A header field of the connection itself cannot be set.')
    if (lower === 'host') {
      // a signer may list it; it is sent from the origin in any case
      if (value.toLowerCase() !== host) throw unbuildable('The Host of a request is that of its target.')
      continue
    }
    if (lower === 'accept-encoding') accepts = true
    headers.push(name, value)
  }
  if (!accepts) headers.push('accept-encoding', 'gzip, br')
  return headers
}

/**
 * Throws `internal` when the URL is not of `origin`, `request_unbuildable` when method, path, a header field or the
 * body’s size cannot be sent as they are.
 */
export const buildCall = (origin: string, request: OutboundRequest): Call => {
  const { method } = request
  if (!token.test(method) || method === 'CONNECT') throw unbuildable('The method of the request cannot be sent.')
  const body = typeof request.body === 'string' ? Buffer.from(request.body) : (request.body ?? null)
  if (body !== null && body.length > limits.outboundBodyBytes)
    throw unbuildable('The body of the request is too large.')
  return {
    method,
    path: pathOf(origin, request.url),
    headers: headersOf(origin.slice(origin.indexOf('//') + 2), request.headers),
    body,
  }
}
