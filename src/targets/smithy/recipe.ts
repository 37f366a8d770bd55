/** What restJson1 asks of a request and OpenAPI has no word for: the recipe, made at import, and how a call follows it. */
import { createHash, randomUUID } from 'node:crypto'
import { GatewayError } from '../../core/errors.ts'
import type { Json, OutboundRequest, Target } from '../../core/model.ts'
import { type Binding, bodyArgument, type ParameterBinding } from '../openapi/binding.ts'
import { encode } from '../openapi/encode.ts'
import { type Arguments, buildRequest } from '../openapi/request.ts'

/** Plain JSON; every name is that of an argument, unless it says otherwise. */
export interface Recipe {
  /** Labels that take more than one segment: their slashes stay (`{key+}`). */
  readonly greedy?: readonly string[]
  /** Filled with a UUID where they are left out (`idempotencyToken`). */
  readonly tokens?: readonly string[]
  /** The same, of members of the body by their name on the wire. */
  readonly bodyTokens?: readonly string[]
  /** A body of members is there even if none of them is. */
  readonly emptyBody?: true
  /** A map whose entries are parameters of the query, but for the names that others have (`httpQueryParams`). */
  readonly query?: { readonly argument: string; readonly taken: readonly string[] }
  /** Maps whose entries are headers, but for the names that others have, in lower case (`httpPrefixHeaders`). */
  readonly headers?: readonly {
    readonly argument: string
    readonly prefix: string
    readonly taken: readonly string[]
  }[]
  /** Lists of texts in a header. */
  readonly quoted?: readonly string[]
  /** Texts with a media type in a header. */
  readonly base64?: readonly string[]
  /** The header that tells what the body is. */
  readonly contentType?: string
  /** The body's digest goes along (`httpChecksumRequired`, RFC 1864). */
  readonly digest?: true
}

export interface SmithyBinding extends Binding {
  readonly smithy: Recipe
}

const unbuildable = (words: string): GatewayError => new GatewayError('request_unbuildable', { words })

/** Builds the request. Throws `request_unbuildable` naming the argument, never its value. */
export function buildSmithyRequest(binding: SmithyBinding, given: Arguments, target: Target): OutboundRequest {
  const recipe = binding.smithy
  const args = new Map(Object.entries(given).filter(([, value]) => value !== null))
  fill(args, recipe)
  rewrite(args, recipe)
  const parameters = [...binding.parameters, ...spread(args, recipe)]
  const path = widen(binding.path, args, recipe.greedy ?? [])
  const request = buildRequest({ ...binding, parameters, path }, Object.fromEntries(args), target)
  finish(request, args, recipe, target)
  return request
}

function fill(args: Map<string, Json>, recipe: Recipe): void {
  for (const token of recipe.tokens ?? []) if (!args.has(token)) args.set(token, randomUUID())
  if (recipe.emptyBody === true && !args.has(bodyArgument)) args.set(bodyArgument, {})
  const body = args.get(bodyArgument)
  if (recipe.bodyTokens === undefined || typeof body !== 'object' || body === null || Array.isArray(body)) return
  const tokens = recipe.bodyTokens.filter((name) => !Object.hasOwn(body, name) || body[name] === null)
  if (tokens.length > 0)
    args.set(bodyArgument, Object.fromEntries([...Object.entries(body), ...tokens.map((name) => [name, randomUUID()])]))
}

function rewrite(args: Map<string, Json>, recipe: Recipe): void {
  for (const name of recipe.quoted ?? []) {
    const list = args.get(name)
    if (Array.isArray(list))
      args.set(
        name,
        list.map((item) => (typeof item === 'string' ? quote(item) : item)),
      )
  }
  for (const name of recipe.base64 ?? []) {
    const text = args.get(name)
    if (typeof text === 'string') args.set(name, Buffer.from(text, 'utf8').toString('base64'))
  }
}

const quote = (text: string): string =>
  /[",]/.test(text) ? `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : text

/** The entries of maps as parameters of their own, under names that no argument has. */
function spread(args: Map<string, Json>, recipe: Recipe): ParameterBinding[] {
  const found: ParameterBinding[] = []
  const taken = new Set(recipe.query?.taken)
  for (const [name, value] of entries(args, recipe.query?.argument)) {
    if (taken.has(name)) continue
    const argument = `query\0${name}`
    args.set(argument, value)
    found.push({ argument, name, in: 'query', style: 'form', explode: true })
  }
  for (const { argument: map, prefix, taken: others } of recipe.headers ?? []) {
    for (const [key, value] of entries(args, map)) {
      const name = `${prefix}${key}`.toLowerCase()
      if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name) || reservedHeaders.has(name) || others.includes(name))
        throw unbuildable(`A key of \`${map}\` is not the name of a header that a caller may set.`)
      const argument = `header\0${name}`
      args.set(argument, value)
      found.push({ argument, name, in: 'header', style: 'simple', explode: false })
    }
  }
  return found
}

function entries(args: ReadonlyMap<string, Json>, argument: string | undefined): [string, Json][] {
  const map = argument === undefined ? undefined : args.get(argument)
  return typeof map === 'object' && map !== null && !Array.isArray(map) ? Object.entries(map) : []
}

/** A greedy label is many segments, each of them encoded, as literal text of the path. */
function widen(path: readonly string[], args: ReadonlyMap<string, Json>, greedy: readonly string[]): readonly string[] {
  if (greedy.length === 0) return path
  const parts: string[] = [path[0] ?? '']
  for (let index = 1; index < path.length; index += 2) {
    const name = path[index] ?? ''
    const after = path[index + 1] ?? ''
    const value = args.get(name)
    if (!greedy.includes(name)) parts.push(name, after)
    else if (typeof value !== 'string' || value === '')
      throw unbuildable(`The argument \`${name}\` is part of the path and must be given and not be empty.`)
    else parts.push(`${parts.pop() ?? ''}${value.split('/').map(encode).join('/')}${after}`)
  }
  return parts
}

function finish(request: OutboundRequest, args: ReadonlyMap<string, Json>, recipe: Recipe, target: Target): void {
  const type = recipe.contentType === undefined ? undefined : args.get(recipe.contentType)
  if (typeof type === 'string' && !target.headers.set.has('content-type'))
    request.headers.set('content-type', type.trim())
  if (recipe.digest === true)
    request.headers.set(
      'content-md5',
      createHash('md5')
        .update(request.body ?? '')
        .digest('base64'),
    )
}

/** Headers that are the connection's, the credential's or the gateway's own. */
export const reservedHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
])
