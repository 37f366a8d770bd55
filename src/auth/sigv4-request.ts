/**
 * What a request signed with AWS Signature Version 4 claims, and the text that was signed ("Create a signed AWS API
 * request", IAM User Guide). Pure: knows no key, no clock and no policy.
 */
import { hash } from 'node:crypto'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Inbound } from './authenticate.ts'

export type Signed = Pick<Inbound, 'method' | 'url' | 'header' | 'times'>

export interface Scope {
  /** `YYYYMMDD`. */
  readonly date: string
  readonly region: string
  readonly service: string
}

export interface Claim {
  readonly accessKeyId: string
  readonly scope: Scope
  /** `YYYYMMDDTHHMMSSZ`, of the day of the scope. */
  readonly at: string
  /** Seconds from `at`; only in the query form, and not always there. */
  readonly expires?: number
  /** Lower case, sorted, each once. */
  readonly signedHeaders: readonly string[]
  /** 64 hexadecimal digits. */
  readonly signature: string
}

const algorithm = 'AWS4-HMAC-SHA256'

export const refusal = (words: string): GatewayError =>
  new GatewayError('unauthenticated', { words, headers: { 'www-authenticate': algorithm } })

const malformed = (): GatewayError => refusal('The signature is not written as AWS Signature Version 4 is.')

/** Encodes all but the unreserved characters of RFC 3986 §2.3. */
const encode = (text: string): string => {
  try {
    return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
  } catch {
    throw malformed()
  }
}

/** `+` is a space in a query, as it is for those who read it. */
const decode = (text: string): string => {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw malformed()
  }
}

type Pair = readonly [name: string, value: string]

const parts = (url: string): { path: string; query: readonly Pair[] } => {
  if (!url.startsWith('/')) throw malformed()
  const mark = url.indexOf('?')
  const pairs = mark < 0 ? [] : url.slice(mark + 1).split('&')
  return {
    path: mark < 0 ? url : url.slice(0, mark),
    query: pairs
      .filter((pair) => pair !== '')
      .map((pair) => {
        const equals = pair.indexOf('=')
        return equals < 0 ? [decode(pair), ''] : [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]
      }),
  }
}

const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)

/**
 * The path with its dots and empty segments resolved, then encoded once more, percent signs included: what signers do
 * for every service but S3.
 */
const canonicalPath = (path: string): string => {
  const kept: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  return `/${kept.map(encode).join('/')}${kept.length > 0 && path.endsWith('/') ? '/' : ''}`
}

const canonicalQuery = (query: readonly Pair[]): string =>
  query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): Pair => [encode(name), encode(value)])
    .toSorted(([name, value], [otherName, otherValue]) => compare(name, otherName) || compare(value, otherValue))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')

const canonicalHeaders = (request: Signed, names: readonly string[]): string =>
  names
    .map((name) => {
      const value = request.header(name)
      // of a field that came twice nobody knows which one counts
      if (value === undefined || request.times(name) !== 1) throw refusal('A signed header is missing or came twice.')
      return `${name}:${value.trim().replace(/[ \t]+/g, ' ')}\n`
    })
    .join('')

/** The text under the signature. `bodyHash`: SHA-256 of the body in lower-case hexadecimal digits. */
export function stringToSign(request: Signed, claim: Claim, bodyHash: string): string {
  const { path, query } = parts(request.url)
  const canonical = [
    request.method,
    canonicalPath(path),
    canonicalQuery(query),
    canonicalHeaders(request, claim.signedHeaders),
    claim.signedHeaders.join(';'),
    bodyHash,
  ].join('\n')
  const { date, region, service } = claim.scope
  const scope = `${date}/${region}/${service}/aws4_request`
  return [algorithm, claim.at, scope, hash('sha256', canonical, 'hex')].join('\n')
}

const scopeForm = /^([A-Z0-9]{1,128})\/(\d{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/
const headersForm = /^[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*$/

interface Written {
  readonly credential: string
  readonly at: string
  readonly signedHeaders: string
  readonly signature: string
}

const toClaim = ({ credential, at, signedHeaders, signature }: Written): Claim => {
  const [, accessKeyId = '', date = '', region = '', service = ''] = scopeForm.exec(credential) ?? []
  const names = signedHeaders.split(';')
  const ordered = names.every((name, index) => index === 0 || (names[index - 1] ?? '') < name)
  const good =
    accessKeyId !== '' &&
    /^\d{8}T\d{6}Z$/.test(at) &&
    at.startsWith(date) &&
    headersForm.test(signedHeaders) &&
    names.length <= limits.signedHeaders &&
    ordered &&
    /^[0-9a-f]{64}$/.test(signature)
  if (!good) throw malformed()
  return { accessKeyId, scope: { date, region, service }, at, signedHeaders: names, signature }
}

const headerForm = /^AWS4-HMAC-SHA256 +Credential=([^\s,]+) *, *SignedHeaders=([^\s,]+) *, *Signature=([^\s,]+)$/

const fromHeader = (request: Signed): Claim => {
  const [, credential = '', signedHeaders = '', signature = ''] =
    headerForm.exec(request.header('authorization') ?? '') ?? []
  // of two fields Node keeps the first; a proxy before it may have looked at the other
  if (request.times('authorization') !== 1) throw malformed()
  return toClaim({ credential, at: request.header('x-amz-date') ?? '', signedHeaders, signature })
}

const fromQuery = (query: readonly Pair[]): Claim => {
  const atMostOne = (name: string): string | undefined => {
    const [value, ...more] = query.filter(([key]) => key === name).map(([, value]) => value)
    if (more.length > 0) throw malformed()
    return value
  }
  const only = (name: string): string => {
    const value = atMostOne(name)
    if (value === undefined) throw malformed()
    return value
  }
  const expires = atMostOne('X-Amz-Expires')
  if (only('X-Amz-Algorithm') !== algorithm || (expires !== undefined && !/^[1-9]\d{0,5}$/.test(expires)))
    throw malformed()
  const claim = toClaim({
    credential: only('X-Amz-Credential'),
    at: only('X-Amz-Date'),
    signedHeaders: only('X-Amz-SignedHeaders'),
    signature: only('X-Amz-Signature'),
  })
  return { ...claim, ...(expires === undefined ? {} : { expires: Number(expires) }) }
}

/** Whether the request bears a signature of this kind at all, in either form. */
export const isSigned = (request: Signed): boolean =>
  (request.header('authorization') ?? '').startsWith(algorithm) || /[?&]X-Amz-/i.test(request.url)

/** Throws `unauthenticated` when there is no claim, more than one, or one that is not well written. */
export function readClaim(request: Signed): Claim {
  const { query } = parts(request.url)
  const inQuery = query.some(([name]) => /^x-amz-(?:algorithm|credential|signature)$/i.test(name))
  if (!inQuery) return fromHeader(request)
  if (request.times('authorization') > 0) throw refusal('Sign in the header or in the query, not in both.')
  return fromQuery(query)
}
