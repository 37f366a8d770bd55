/**
 * An HTTP request → the event that API Gateway’s HTTP APIs make of one (payload format 2.0; API Gateway developer guide,
 * Lambda proxy integrations), for functions that were written behind one, a function URL or the Lambda Web Adapter.
 */
import type { Json, OutboundRequest } from '../../core/model.ts'

export interface EventFacts {
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  readonly requestId: string
  /** In place of the API’s id. */
  readonly apiId: string
  /** What the function takes for its own host. */
  readonly domainName: string
  /** The operation as its description names it, `GET /pets/{id}`; its path begins after `basePath`. */
  readonly label: string | undefined
  readonly basePath: string
}

export function proxyEvent(request: OutboundRequest, facts: EventFacts): { readonly [member: string]: Json } {
  const { now, requestId, apiId, domainName } = facts
  const { path, query } = placeOf(request.url)
  const fields = new Map([...request.headers].map(([name, value]) => [name.toLowerCase(), value]))
  const cookies = fields.get('cookie')?.split(/; */) ?? []
  fields.delete('cookie')
  const { body, encoded } = bodyOf(request, fields.get('content-type') ?? '')
  if (body !== undefined) fields.set('content-length', String(Buffer.byteLength(request.body ?? '')))
  const headers = {
    ...Object.fromEntries(fields),
    host: domainName,
    'x-forwarded-port': '443',
    'x-forwarded-proto': 'https',
  }
  const parameters = pathParametersOf(path, facts)
  const routeKey = parameters === undefined ? '$default' : (facts.label ?? '$default')
  return {
    version: '2.0',
    routeKey,
    rawPath: path,
    rawQueryString: query,
    ...(cookies.length === 0 ? {} : { cookies }),
    headers,
    ...(query === '' ? {} : { queryStringParameters: queryOf(query) }),
    ...(parameters === undefined || Object.keys(parameters).length === 0 ? {} : { pathParameters: parameters }),
    requestContext: {
      accountId: 'anonymous',
      apiId,
      domainName,
      domainPrefix: domainName.split('.', 1)[0] ?? '',
      http: {
        method: request.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: '127.0.0.1',
        userAgent: fields.get('user-agent') ?? 'toolgate',
      },
      requestId,
      routeKey,
      stage: '$default',
      time: logTime(now),
      timeEpoch: now,
    },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded: encoded,
  }
}

/** As written: nothing is normalised. */
function placeOf(url: string): { readonly path: string; readonly query: string } {
  const rest = url.slice(url.indexOf('//') + 2).split('#', 1)[0] ?? ''
  const slash = rest.search(/[/?]/)
  const [path = '', ...query] = (slash < 0 ? '' : rest.slice(slash)).split('?')
  return { path: path === '' ? '/' : path, query: query.join('?') }
}

/** Names and values decoded, those of a name that comes again joined by commas. */
function queryOf(query: string): { [name: string]: string } {
  const found = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    const present = found.get(name)
    found.set(name, present === undefined ? value : `${present},${value}`)
  }
  return Object.fromEntries(found)
}

/** The values in the path by the names in the label’s; nothing where the path is not of the label. */
function pathParametersOf(path: string, { label, basePath }: EventFacts): { [name: string]: string } | undefined {
  const [, template] = /^[A-Z]+ (\/.*)$/.exec(label ?? '') ?? []
  if (template === undefined || !path.startsWith(basePath)) return undefined
  const wanted = template.split('/')
  const given = path.slice(basePath.length).split('/')
  if (wanted.length !== given.length) return undefined
  const values = new Map<string, string>()
  for (const [place, part] of wanted.entries()) {
    const [, before = '', name, after = ''] = /^([^{}]*)\{([^{}]+)\}([^{}]*)$/.exec(part) ?? []
    const text = given[place] ?? ''
    if (name === undefined) {
      if (text !== part) return undefined
    } else if (text.startsWith(before) && text.endsWith(after) && text.length >= before.length + after.length)
      values.set(name, decoded(text.slice(before.length, text.length - after.length)))
    else return undefined
  }
  return Object.fromEntries(values)
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** What API Gateway passes on as text; all else is base64. */
const textual = /^(?:text\/[\w.+-]+|application\/(?:json|xml|javascript|[\w.-]+\+(?:json|xml)))$/

function bodyOf({ body }: OutboundRequest, type: string): { readonly body?: string; readonly encoded: boolean } {
  if (body === undefined) return { encoded: false }
  if (typeof body === 'string') return { body, encoded: false }
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const text = textual.test((type.split(';', 1)[0] ?? '').trim().toLowerCase()) ? bytes.toString('utf8') : undefined
  if (text !== undefined && Buffer.byteLength(text) === bytes.length && !text.includes('\ufffd'))
    return { body: text, encoded: false }
  return { body: bytes.toString('base64'), encoded: true }
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** The common log format, `12/Mar/2020:19:03:58 +0000`. */
function logTime(now: number): string {
  const [date = '', time = ''] = new Date(now).toISOString().split(/[T.]/)
  const [year, month, day] = date.split('-')
  return `${day}/${months[Number(month) - 1]}/${year}:${time} +0000`
}
