/** What a server refuses, and how it is told to a caller. */
import { type ErrorCode, GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse, Json } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import { scrubOutcome } from '../../credentials/scrub.ts'
import type { ClientCapability } from '../transport.ts'
import { isPage } from './questions.ts'

type Members = { readonly [name: string]: Json }

/** The server answered with a JSON-RPC error; as an answer to the server, it is one from here. */
export class RpcRefusal extends Error {
  readonly code: number
  readonly data: Json | undefined

  constructor(code: number, message: string, data: Json | undefined) {
    super(bounded(message.replace(/^MCP error -?\d+: /, '')))
    this.name = 'RpcRefusal'
    this.code = code
    this.data = data
  }
}

/** The server answered with a status that is no success. */
export class HttpRefusal extends Error {
  readonly status: number
  readonly text: string

  constructor(status: number, text: string) {
    super(`The target answered ${status}.`)
    this.name = 'HttpRefusal'
    this.status = status
    this.text = text
  }

  /** MCP 2025-11-25, streamable HTTP: 404 says that the session is over, and nothing was begun; some servers say 400. */
  get isLostSession(): boolean {
    return this.status === 404 || (this.status === 400 && /session/i.test(this.text))
  }

  /** The server may speak another revision than it did. */
  get isOfAnotherEra(): boolean {
    return this.status === 400 || this.status === 404 || this.status === 405
  }
}

const bounded = (text: string): string =>
  text
    .toWellFormed()
    .replace(/[^\P{Cc}\n\t]/gu, '')
    .slice(0, limits.mcpErrorChars)

/** A refusal of anything but a tool, as an error of the table: words and data are the server's, bounded and scrubbed. */
export function refused(method: string, error: RpcRefusal | HttpRefusal, secrets: readonly Secret[]): GatewayError {
  if (error instanceof HttpRefusal)
    return new GatewayError('target_bad_answer', { words: error.message, cause: new Error(error.message) })
  const { text, data } = scrubbed(error, secrets)
  return new GatewayError(codeOf(method, error.code), {
    words: `The target: ${text === '' ? `error ${error.code}` : text}`,
    ...(data === undefined ? {} : { data }),
  })
}

/** MCP's own code for a resource that is not there, up to 2025-11-25. */
const resourceNotFound = -32002

/** MCP 2026-07-28 `MissingRequiredClientCapabilityError`: only the caller's client can help. */
export const missingCapability = -32021

function codeOf(method: string, code: number): ErrorCode {
  const isResource = method.startsWith('resources/')
  if (isResource && (code === resourceNotFound || code === -32602)) return 'unknown_resource'
  if (code === -32602) return 'invalid_params'
  if (code === missingCapability) return 'missing_capability'
  return code === -32601 ? 'unknown_method' : 'target_bad_answer'
}

function scrubbed(
  { message, data }: RpcRefusal,
  secrets: readonly Secret[],
): { readonly text: string; readonly data: Members | undefined } {
  const isKept = isMembers(data) && JSON.stringify(data).length <= limits.mcpErrorChars
  const outcome = scrubOutcome(
    { isError: true, content: [{ type: 'text', text: message }], ...(isKept ? { meta: data } : {}) },
    secrets,
  )
  const [block] = outcome.content
  return { text: block?.type === 'text' ? block.text : '', data: outcome.meta }
}

const isMembers = (value: Json | undefined): value is { [name: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A refusal of a tool is an answer: the model may choose another way. */
export function toolFault(error: RpcRefusal | HttpRefusal, resultType: string): InboundResponse {
  if (error instanceof HttpRefusal)
    return {
      status: error.status,
      headers: new Map([['content-type', 'text/plain']]),
      body: Buffer.from(error.text),
      cut: false,
    }
  const pages = pagesOf(error).map(({ url }) => `\n${url}`)
  const text = `The target refused the call (${error.code}): ${error.message}${pages.join('')}`
  return {
    status: 200,
    headers: new Map([['content-type', resultType]]),
    body: Buffer.from(JSON.stringify({ content: [{ type: 'text', text }], isError: true })),
    cut: false,
  }
}

/** MCP 2025-11-25 `URLElicitationRequiredError`. */
const urlRequired = -32042

interface Page {
  readonly url: string
  readonly message: string
  readonly elicitationId: string
}

function pagesOf({ code, data }: RpcRefusal): Page[] {
  const list = code === urlRequired && isMembers(data) ? data['elicitations'] : undefined
  return (Array.isArray(list) ? list : []).slice(0, limits.mcpQuestions).flatMap((item) => {
    const { url, message, elicitationId } = isMembers(item) ? item : {}
    if (!isPage(url)) return []
    const words = typeof message === 'string' ? bounded(message) : ''
    return [{ url, message: words, elicitationId: typeof elicitationId === 'string' ? elicitationId : url }]
  })
}

/** The pages that the server wants its user to open first, as a question, where the client can be asked it. */
export function askToOpen(
  error: RpcRefusal | HttpRefusal,
  capabilities: readonly ClientCapability[],
): { [name: string]: Json } | undefined {
  const pages = error instanceof RpcRefusal && capabilities.includes('elicitation.url') ? pagesOf(error) : []
  if (pages.length === 0) return undefined
  const requests = pages.map(({ url, message, elicitationId }, index): [string, Json] => [
    `page${index}`,
    { method: 'elicitation/create', params: { mode: 'url', url, message, elicitationId } },
  ])
  return { resultType: 'input_required', inputRequests: Object.fromEntries(requests) }
}
