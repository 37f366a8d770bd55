/** The bridge from `oauth4webapi` to the gateway's one way out: bounded, timed, no redirects, never repeated by itself. */
import type { CustomFetchOptions } from 'oauth4webapi'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Egress } from '../../egress/fetch.ts'
import { TokenFault } from './fault.ts'
import type { Mended } from './vendor.ts'

export interface WireOptions {
  readonly bodyBytes: number
  /** Called last before the request leaves; what it throws keeps the request here. */
  readonly guard?: () => void
  /** The form goes as a JSON object: some vendors read nothing else. */
  readonly json?: boolean
  /** Fields that the vendor wants besides. */
  readonly headers?: ReadonlyMap<string, string>
  /** Turns a vendor's answer into the one that RFC 6749 §5 describes. */
  readonly mend?: (status: number, body: { [name: string]: Json }) => Mended
}

export interface Wire {
  readonly fetch: <Method extends string>(
    url: string,
    options: CustomFetchOptions<Method, URLSearchParams | undefined>,
  ) => Promise<Response>
  /** The status of the answer, once there is one. */
  status(): number | undefined
}

/** For one request. */
export function createWire(egress: Egress, options: WireOptions): Wire {
  let status: number | undefined
  return {
    status: () => status,
    async fetch(url, { method, headers, body }) {
      const to = egress.check(url)
      const fields = new Map([...Object.entries(headers), ...(options.headers ?? [])])
      if (options.json === true && body !== undefined) fields.set('content-type', 'application/json')
      options.guard?.()
      const response = await egress.channel(to.origin).send(
        {
          method,
          url: to.href,
          headers: fields,
          ...(body === undefined ? {} : { body: options.json === true ? asJson(body) : body.toString() }),
        },
        { timeoutMs: limits.tokenRequestMs, bodyBytes: options.bodyBytes, repeatable: method === 'GET' },
      )
      status = response.status
      if (response.cut) throw new TokenFault('unknown', 'answer_too_large')
      const mended =
        options.mend === undefined ? undefined : mend(status, response.headers, response.body, options.mend)
      if (mended !== undefined) {
        status = mended.status
        // without its fields: the error in the body says more than a challenge
        return Response.json(mended.body, { status: mended.status })
      }
      const isNull = status === 204 || status === 205 || status === 304
      return new Response(isNull ? null : new Uint8Array(response.body), { status, headers: [...response.headers] })
    },
  }
}

const asJson = (form: URLSearchParams): string => JSON.stringify(Object.fromEntries(form))

/** `undefined` when the body is neither a JSON object nor a form: such an answer is left as it is, and refused. */
function mend(
  status: number,
  headers: ReadonlyMap<string, string>,
  bytes: Buffer,
  change: (status: number, body: { [name: string]: Json }) => Mended,
): Mended | undefined {
  const type = headers.get('content-type') ?? ''
  const body = /^(?:application|text)\/(?:x-www-form-urlencoded|plain)\b/i.test(type)
    ? (readObject(bytes) ?? readForm(bytes))
    : readObject(bytes)
  return body === undefined ? undefined : change(status, body)
}

function readObject(bytes: Buffer): { [name: string]: Json } | undefined {
  try {
    const value: Json = JSON.parse(bytes.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

function readForm(bytes: Buffer): { [name: string]: Json } | undefined {
  const form = new URLSearchParams(bytes.toString('utf8'))
  return form.has('access_token') || form.has('error') ? Object.fromEntries(form) : undefined
}
