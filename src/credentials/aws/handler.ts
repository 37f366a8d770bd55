/**
 * How AWS's own clients reach AWS: they build and sign the request, and it leaves through the gateway's one way out,
 * with its rules for addresses, its deadlines and its bounds. No client of theirs opens a connection.
 */
import { Readable } from 'node:stream'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse, OutboundRequest } from '../../core/model.ts'
import type { Egress } from '../../egress/fetch.ts'

/** The part of the SDK's `HttpRequest` that is used. */
export interface SdkRequest {
  readonly method: string
  /** With its colon. */
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query?: SdkQuery
  readonly headers: { readonly [name: string]: string }
  readonly body?: unknown
}

interface SdkQuery {
  readonly [name: string]: string | readonly string[] | null
}

/** The part of the SDK's `HttpResponse` that it reads. */
interface SdkResponse {
  readonly statusCode: number
  readonly headers: { [name: string]: string }
  readonly body: Readable
}

/** The SDK's `HttpHandler`. */
export interface AwsHandler {
  handle(request: SdkRequest): Promise<{ response: SdkResponse }>
  updateHttpClientConfig(): void
  httpHandlerConfigs(): object
  destroy(): void
}

const ownBounds: { readonly timeoutMs: number; readonly bodyBytes: number } = {
  timeoutMs: limits.awsRequestMs,
  bodyBytes: limits.awsResponseBytes,
}

/** Fit for requests that may be made twice, as all that this gateway asks of AWS may be. */
export function egressHandler(egress: Egress, bounds = ownBounds): AwsHandler {
  return {
    async handle(request) {
      const { origin, outbound } = outboundOf(request)
      const answer = await egress.channel(origin).send(outbound, { ...bounds, repeatable: true })
      if (answer.cut) throw new GatewayError('target_bad_answer')
      return { response: sdkResponse(answer) }
    },
    // what the SDK would set concerns sockets of its own
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
    destroy: () => undefined,
  }
}

/** A request of the SDK's as this gateway sends one. */
export function outboundOf(request: SdkRequest): { readonly origin: string; readonly outbound: OutboundRequest } {
  const origin = originOf(request)
  const body = bodyOf(request.body)
  const outbound = {
    method: request.method,
    url: `${origin}${request.path}${queryOf(request.query)}`,
    headers: new Map(Object.entries(request.headers)),
    ...(body === undefined ? {} : { body }),
  }
  return { origin, outbound }
}

const sdkResponse = ({ status, headers, body }: InboundResponse): SdkResponse => ({
  statusCode: status,
  headers: Object.fromEntries(headers),
  body: Readable.from([body]),
})

const originOf = ({ protocol, hostname, port }: SdkRequest): string =>
  // through a URL, so that a default port is left out and the name is written as everywhere
  new URL(`${protocol}//${hostname}${port === undefined ? '' : `:${port}`}`).origin

function bodyOf(body: unknown): string | Uint8Array | undefined {
  if (body === undefined || typeof body === 'string' || body instanceof Uint8Array) return body
  throw new GatewayError('internal', { cause: new TypeError('the body of an AWS request is not at hand') })
}

function queryOf(query: SdkQuery = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === null ? [encode(name)] : [value].flat().map((one) => `${encode(name)}=${encode(one)}`),
  )
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** Encodes all but the unreserved characters of RFC 3986 §2.3. */
export const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
