/** Where an authorization code may be sent: redirect URIs as clients register them and as they ask for them later. */
import { limits } from '../core/limits.ts'

/** RFC 3986 without `#` (RFC 6749 §3.1.2) and without `*`, which someone might take for a wildcard. */
const plain = /^[A-Za-z0-9\-._~:/?[\]@!$&'()+,;=%]+$/

/** RFC 8252 §7.3, and `localhost`, which §8.3 advises against and most clients use. */
const loopback = /^(http:\/\/(?:127\.0\.0\.1|\[::1\]|localhost))(?::\d{1,5})?(?=[/?]|$)/

/** RFC 8252 §7.1: a domain in reverse order. Without a dot, any name that a system knows would do. */
const privateScheme = /^[a-z][a-z0-9+-]*(?:\.[a-z0-9+-]+)+$/

/** Schemes that run or show something by themselves, and those that have a rule of their own. */
const neverSchemes: ReadonlySet<string> = new Set([
  'about',
  'blob',
  'data',
  'file',
  'filesystem',
  'ftp',
  'http',
  'https',
  'javascript',
  'vbscript',
  'view-source',
  'ws',
  'wss',
])

/** Whether the operator may let clients use it as a scheme of their own, beside those that are a domain in reverse. */
export const isOwnScheme = (scheme: string): boolean =>
  /^[a-z][a-z0-9+.-]{0,63}$/.test(scheme) && !neverSchemes.has(scheme)

/**
 * Https, plain http on loopback, or a scheme of the client’s own (a domain in reverse, or one of `schemes`). It is
 * written as a URL parser writes it, so that this gateway, the browser and the client read the same in it.
 */
export function isRedirectUri(text: string, schemes: ReadonlySet<string>): boolean {
  if (text.length > limits.facadeRedirectChars || !plain.test(text)) return false
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '') return false
  if (url.href !== text && url.href !== `${text}/`) return false
  if (url.protocol === 'https:') return true
  if (url.protocol === 'http:') return loopback.test(text)
  const scheme = url.protocol.slice(0, -1)
  return isOwnScheme(scheme) && (privateScheme.test(scheme) || schemes.has(scheme))
}

const withoutPort = (uri: string): string | undefined => {
  const found = loopback.exec(uri)
  return found === null ? undefined : `${found[1] ?? ''}${uri.slice(found[0].length)}`
}

/** The same text as one that was registered; on loopback the port may be another one (RFC 8252 §7.3). */
export function isRegistered(asked: string, registered: readonly string[], schemes: ReadonlySet<string>): boolean {
  if (!isRedirectUri(asked, schemes)) return false
  const open = withoutPort(asked)
  return registered.some((uri) => uri === asked || (open !== undefined && withoutPort(uri) === open))
}

/** The redirect URI with an answer in its query (RFC 6749 §4.1.2); the rest stays as it was registered. */
export function answerAt(redirectUri: string, answer: URLSearchParams): string {
  return `${redirectUri}${redirectUri.includes('?') ? '&' : '?'}${answer.toString()}`
}

/** Who gets the answer, as a person can judge it. */
export function placeOf(redirectUri: string): string {
  const url = new URL(redirectUri)
  if (url.protocol === 'https:') return url.host
  return url.protocol === 'http:' ? `this computer (${url.host})` : `an app on this device (${url.protocol}//)`
}
