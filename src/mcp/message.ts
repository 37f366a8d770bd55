/** One JSON-RPC 2.0 message from bytes that nobody vouches for, and answers as JSON text. */
import { isUtf8 } from 'node:buffer'
import { GatewayError } from '../core/errors.ts'
import { nestsDeeper } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { Json } from '../core/model.ts'

export type Id = string | number
export type Params = { readonly [name: string]: Json }

export type Message =
  | { readonly kind: 'request'; readonly id: Id; readonly method: string; readonly params: Params }
  | { readonly kind: 'notification'; readonly method: string; readonly params: Params }
  | { readonly kind: 'response'; readonly id: Id; readonly result?: Json; readonly error?: Json }

/** A message that cannot be taken; `id` where it could be read, so that the refusal can name it. */
export class Refusal extends Error {
  readonly error: GatewayError
  readonly id: Id | undefined

  constructor(error: GatewayError, id?: Id) {
    super(error.message)
    this.error = error
    this.id = id
  }
}

const tooDeep = `The message is nested deeper than ${limits.jsonDepth} levels.`

const own = (node: { readonly [key: string]: Json }, key: string): Json | undefined =>
  Object.hasOwn(node, key) ? node[key] : undefined

export const isObject = (value: Json | undefined): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** An own member of `params`. */
export const param = (params: Params, name: string): Json | undefined => own(params, name)

export const objectParam = (params: Params, name: string): { [key: string]: Json } | undefined => {
  const value = own(params, name)
  return isObject(value) ? value : undefined
}

/** Throws `Refusal`. Exactly the member names of JSON-RPC count, in their exact case; batches are not taken. */
export function parseMessage(body: Buffer): Message {
  if (!isUtf8(body)) throw new Refusal(new GatewayError('parse_error'))
  const text = body.toString('utf8')
  if (nestsDeeper(text, limits.jsonDepth)) throw new Refusal(new GatewayError('invalid_request', { words: tooDeep }))
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch (cause) {
    throw new Refusal(new GatewayError('parse_error', { cause }))
  }
  if (!isObject(value)) throw new Refusal(new GatewayError('invalid_request'))
  const id = idOf(own(value, 'id'))
  const refuse = (words?: string): Refusal =>
    new Refusal(new GatewayError('invalid_request', words === undefined ? {} : { words }), id)
  const fault = faultIn(value)
  if (fault !== undefined) throw refuse(fault)
  if (own(value, 'jsonrpc') !== '2.0') throw refuse()
  if (Object.hasOwn(value, 'id') && id === undefined) throw refuse('The id must be a short string or an integer.')
  const method = own(value, 'method')
  if (method === undefined) return response(value, id, refuse)
  const params = own(value, 'params') ?? {}
  if (typeof method !== 'string') throw refuse()
  if (!isObject(params)) throw new Refusal(new GatewayError('invalid_params'), id)
  return id === undefined ? { kind: 'notification', method, params } : { kind: 'request', id, method, params }
}

function response(value: { [key: string]: Json }, id: Id | undefined, refuse: () => Refusal): Message {
  const result = own(value, 'result')
  const error = own(value, 'error')
  if (id === undefined || (result === undefined) === (error === undefined)) throw refuse()
  return result === undefined ? { kind: 'response', id, error: error ?? null } : { kind: 'response', id, result }
}

function idOf(value: Json | undefined): Id | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? value : undefined
  return typeof value === 'string' && value.length <= limits.requestIdBytes && value.isWellFormed() ? value : undefined
}

/** What makes a parsed value unfit to be passed on: size, numbers and text that JSON cannot carry, `__proto__`. */
function faultIn(root: Json): string | undefined {
  let nodes = 0
  const stack: Json[] = [root]
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (typeof value === 'string') {
      if (!value.isWellFormed()) return 'A text holds half of a surrogate pair.'
    } else if (typeof value === 'number') {
      if (!Number.isFinite(value) || Object.is(value, -0)) return 'A number cannot be passed on as it was sent.'
    } else if (typeof value === 'object' && value !== null) {
      const keys = Array.isArray(value) ? undefined : Object.keys(value)
      nodes += keys === undefined ? (value as Json[]).length : keys.length
      if (nodes > limits.jsonNodes) return `The message has more than ${limits.jsonNodes} values.`
      if (keys?.includes('__proto__') === true) return 'A member is called __proto__.'
      if (Array.isArray(value)) for (const item of value) stack.push(item)
      else for (const key of keys ?? []) stack.push(value[key] ?? null)
    }
  }
  return undefined
}

const head = (id: Id | undefined): string => (id === undefined ? '' : `"id":${JSON.stringify(id)},`)

/** A success whose result is JSON text already. */
export const resultMessage = (id: Id, result: string): string => `{"jsonrpc":"2.0",${head(id)}"result":${result}}`

/** MCP 2025-11-25 and before, resources: the code of one that is not there. */
const olderUnknownResource = -32_002

/** A failure in the table's words; a refusal without a readable id carries none. */
export function errorMessage(id: Id | undefined, error: GatewayError, modern = true): string {
  const data = error.data === undefined ? '' : `,"data":${JSON.stringify(error.data)}`
  const code = error.code === 'unknown_resource' && !modern ? olderUnknownResource : error.rpc
  return `{"jsonrpc":"2.0",${head(id)}"error":{"code":${code},"message":${JSON.stringify(error.message)}${data}}}`
}

export const notificationMessage = (method: string, params: Params): string =>
  JSON.stringify({ jsonrpc: '2.0', method, params })

export const requestMessage = (id: Id, method: string, params: Params): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method, params })
