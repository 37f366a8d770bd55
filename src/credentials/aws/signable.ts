/** A request of ours in the form in which AWS's signer takes it, so that what is signed is what goes over the wire. */
import { hash } from 'node:crypto'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { OutboundRequest } from '../../core/model.ts'
import { encode } from './handler.ts'

/** The part of the SDK's `HttpRequest` that is signed. */
export interface Signable {
  readonly method: string
  readonly protocol: string
  readonly hostname: string
  readonly path: string
  /** Decoded. */
  readonly query: { [name: string]: string | string[] }
  readonly headers: { [name: string]: string }
}

const s3: ReadonlySet<string> = new Set(['s3', 's3-object-lambda', 's3-outposts', 's3express'])

/** S3 encodes the path once; for all other services, its dots are resolved and it is encoded once more. */
export const encodesPathOnce = (service: string): boolean => s3.has(service)

/** Header fields that are the credential's alone; what an argument put there is left out. */
const own: ReadonlySet<string> = new Set([
  'authorization',
  'x-amz-date',
  'x-amz-security-token',
  'x-amz-content-sha256',
  // the signer's own rule: two dates in one request contradict each other
  'date',
])

export const bodyHashField = 'x-amz-content-sha256'

/**
 * Every field of the request with the host and the body's hash; the signer chooses what it covers: all but those that
 * proxies change. Throws `request_unbuildable` for a query or path that cannot be read, or that is signed already.
 */
export function toSignable({ method, url, headers, body }: OutboundRequest, service: string): Signable {
  const begin = url.indexOf('//') + 2
  const bare = url.split('#', 1)[0] ?? ''
  const slash = bare.indexOf('/', begin)
  const host = slash < 0 ? bare.slice(begin) : bare.slice(begin, slash)
  const target = slash < 0 ? '/' : bare.slice(slash)
  const mark = target.indexOf('?')
  const path = mark < 0 ? target : target.slice(0, mark)
  const fields: [string, string][] = []
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    if (lower !== 'host' && !own.has(lower)) fields.push([lower, value])
  }
  return {
    method,
    protocol: url.slice(0, begin - 2),
    hostname: host,
    path: encodesPathOnce(service) ? encodedOnce(path) : path,
    query: mark < 0 ? {} : queryOf(target.slice(mark + 1), encodesPathOnce(service)),
    headers: Object.fromEntries([...fields, ['host', host], [bodyHashField, hash('sha256', body ?? '', 'hex')]]),
  }
}

const unbuildable = (words: string): GatewayError => new GatewayError('request_unbuildable', { words })

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch (cause) {
    throw new GatewayError('request_unbuildable', { words: 'The URL has a percent sign that encodes nothing.', cause })
  }
}

/** A path may be encoded in several ways; S3 takes it for the key that it names (a `+` is a space) and encodes that. */
const encodedOnce = (path: string): string => encode(decode(path.replaceAll('+', ' '))).replaceAll('%2F', '/')

/** A `+` is a space, as it is for those who check. Of a member that comes again, S3 knows the first value only. */
function queryOf(text: string, firstOnly: boolean): { [name: string]: string | string[] } {
  const query = new Map<string, string | string[]>()
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decode((equals < 0 ? pair : pair.slice(0, equals)).replaceAll('+', ' '))
    const value = equals < 0 ? '' : decode(pair.slice(equals + 1).replaceAll('+', ' '))
    const present = query.get(name)
    if (present === undefined) query.set(name, value)
    else if (firstOnly) continue
    else if (typeof present === 'string') query.set(name, [present, value])
    else present.push(value)
    if (query.size > limits.awsQueryNames) throw unbuildable('The query has too many members to be signed.')
    if (/^x-amz-(?:algorithm|credential|date|expires|security-token|signature|signedheaders)$/i.test(name))
      throw unbuildable(`An argument has a member called ${name}, and that place is the credential’s.`)
  }
  return Object.fromEntries(query)
}
