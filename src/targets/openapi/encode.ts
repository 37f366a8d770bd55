/** Percent-encoding (RFC 3986 §2), in the flavours that a URL, a form and a cookie want. Half a surrogate pair is refused. */
import { GatewayError } from '../../core/errors.ts'

const sub = /[!'()*]/g
const triple = (char: string): string => `%${char.charCodeAt(0).toString(16).toUpperCase()}`

/** Throws `request_unbuildable` for text that has no UTF-8. */
export function utf8Triples(text: string): string {
  if (text.isWellFormed()) return encodeURIComponent(text)
  throw new GatewayError('request_unbuildable', { words: 'A text holds half of a surrogate pair.' })
}

/** Everything but unreserved characters. */
export const encode = (text: string): string =>
  /^[A-Za-z0-9\-._~]*$/.test(text) ? text : utf8Triples(text).replace(sub, triple)

/**
 * RFC 6570 §3.2.3 reserved expansion, less what a query component cannot hold or would take for a border (`#`, `[`,
 * `]`, `&`): an argument never becomes another parameter. Triples that are there stay.
 */
export const encodeReserved = (text: string): string =>
  text.replace(/%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:/?@!$'()*+,;=%]/gu, utf8Triples)

/** The same for a path segment, which `/` and `?` would end, too (OAS 3.2.0 §4.12.2, `allowReserved`). */
export const encodeReservedPath = (text: string): string =>
  text.replace(/%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:@!$&'()*+,;=%]/gu, utf8Triples)

/** The same for a cookie, which `;` and `,` would end (RFC 6265 §4.1.1). */
export const encodeReservedCookie = (text: string): string =>
  text.replace(/%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:/?#[\]@!$&'()*+=%]/gu, utf8Triples)

/** application/x-www-form-urlencoded (WHATWG URL §5.1). */
export const encodeForm = (text: string): string => encode(text).replaceAll('%20', '+')

/** RFC 6265 §4.1.1 cookie-octet; the rest as triples. */
export const encodeCookie = (text: string): string =>
  text.replace(/[^\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]/gu, utf8Triples)
