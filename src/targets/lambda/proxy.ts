/**
 * The answer of a function behind API Gateway: `{statusCode, headers, multiValueHeaders, cookies, body, isBase64Encoded}`
 * → an HTTP answer (API Gateway developer guide, Lambda proxy integrations, response formats 1.0 and 2.0). Pure.
 */
import { toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse } from '../../core/model.ts'
import { decodeNow } from '../../egress/decode.ts'
import { isNode, member, type Node, nodeAt } from '../openapi/tree.ts'

const members = new Set([
  'statusCode',
  'statusDescription',
  'headers',
  'multiValueHeaders',
  'cookies',
  'body',
  'isBase64Encoded',
])

/** The answer has a status and nothing else that a proxy’s has not. */
export const isProxyShaped = (value: unknown): value is Node =>
  isNode(value) && statusOf(value) !== undefined && Object.keys(value).every((name) => members.has(name))

/** A refusal with what else its author had to say, such as a `requestId`: a status alone may be data of any kind. */
export function isRefusal(value: unknown): value is Node {
  if (!isNode(value) || (statusOf(value) ?? 0) < 400) return false
  return member(value, 'body') !== undefined || nodeAt(value, 'headers') !== undefined
}

/** A status that HTTP has (RFC 9110 §15), as a number or as its digits. */
export function statusOf(value: Node): number | undefined {
  const status = member(value, 'statusCode')
  const number = typeof status === 'string' && /^\d{3}$/.test(status) ? Number(status) : status
  return typeof number === 'number' && Number.isInteger(number) && number >= 200 && number <= 599 ? number : undefined
}

/** A body in a content coding is decoded; one that cannot be is 502, as any answer is that makes no sense. */
export function toHttp(value: Node, status: number): InboundResponse {
  const headers = headersOf(value)
  const encoding = headers.get('content-encoding')
  headers.delete('content-encoding')
  let body = bodyOf(value)
  if (encoding !== undefined && isBase64(value)) {
    headers.delete('content-length')
    try {
      body = decodeNow(body, encoding, limits.responseBodyBytes)
    } catch (thrown) {
      return badGateway('text/plain', toGatewayError(thrown).message)
    }
  }
  if (!headers.has('content-type') && body.length > 0) headers.set('content-type', guessType(body))
  return { status, headers, body, cut: false }
}

/** What API Gateway answers in the place of a function whose answer makes no sense. */
export const badGateway = (type: string, body: string): InboundResponse => ({
  status: 502,
  headers: new Map([['content-type', type]]),
  body: Buffer.from(body),
  cut: false,
})

/** Cookies are dropped: a gateway that kept a target’s would mix its callers’ sessions. */
function headersOf(value: Node): Map<string, string> {
  const headers = new Map<string, string>()
  for (const [name, field] of Object.entries(nodeAt(value, 'headers') ?? {})) set(headers, name, [field])
  for (const [name, fields] of Object.entries(nodeAt(value, 'multiValueHeaders') ?? {}))
    if (Array.isArray(fields)) set(headers, name, fields)
  return headers
}

function set(headers: Map<string, string>, name: string, fields: readonly unknown[]): void {
  const lower = name.toLowerCase()
  if (lower === 'set-cookie' || !/^[!#$%&'*+\-.^_`|~0-9a-z]{1,256}$/.test(lower)) return
  const texts = fields.filter((field) => ['string', 'number', 'boolean'].includes(typeof field)).map(String)
  if (texts.length > 0) headers.set(lower, texts.join(', '))
}

function bodyOf(value: Node): Buffer {
  const body = member(value, 'body')
  if (body === undefined || body === null) return Buffer.alloc(0)
  // API Gateway wants text; many a function gives what it means
  if (typeof body !== 'string') return Buffer.from(JSON.stringify(body))
  return Buffer.from(body, isBase64(value) ? 'base64' : 'utf8')
}

const isBase64 = (value: Node): boolean => member(value, 'isBase64Encoded') === true

function guessType(body: Buffer): string {
  try {
    JSON.parse(body.toString('utf8'))
    return 'application/json'
  } catch {
    return 'text/plain'
  }
}
