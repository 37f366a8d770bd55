/** Arguments → the request that the description promises. Pure; no secret is in sight here. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json, OutboundRequest, Target } from '../../core/model.ts'
import { type Binding, bodyArgument, type ParameterBinding } from './binding.ts'
import { encodeBody, formBody } from './bodies.ts'
import {
  encode,
  encodeCookie,
  encodeReserved,
  encodeReservedCookie,
  encodeReservedPath,
  utf8Triples,
} from './encode.ts'
import { writeBack } from './renames.ts'
import { pathStyle, queryStyle, scalar } from './styles.ts'
import { isJsonType } from './tree.ts'

export interface Arguments {
  readonly [name: string]: Json
}

const unbuildable = (words: string): GatewayError => new GatewayError('request_unbuildable', { words })

/** Builds the request. Throws `request_unbuildable` naming the argument, never its value. */
export function buildRequest(binding: Binding, given: Arguments, target: Target): OutboundRequest {
  const args = binding.renames === undefined ? given : writeBack(given, binding.renames)
  const query: string[] = []
  const cookies: string[] = []
  const headers = new Map<string, string>([['accept', binding.accept]])
  const pathValues = new Map<string, string>()
  for (const parameter of binding.parameters) {
    const value = Object.hasOwn(args, parameter.argument) ? args[parameter.argument] : undefined
    if (value === undefined || value === null) continue
    place(parameter, value, { query, cookies, headers, pathValues })
  }
  if (cookies.length > 0) headers.set('cookie', cookies.join('; '))
  for (const [name, value] of target.headers.set) headers.set(name, value)
  const url = buildUrl(binding, pathValues, query, chosenServer(binding, args) ?? binding.server ?? target)
  const value = binding.body !== undefined && Object.hasOwn(args, bodyArgument) ? args[bodyArgument] : undefined
  if (binding.body === undefined || value === undefined) return { method: binding.method, url, headers }
  const body = encodeBody(value, binding.body)
  headers.set('content-type', body.contentType)
  return { method: binding.method, url, headers, body: body.bytes }
}

/** The server that the arguments choose; one that is left out has its preset. */
function chosenServer({ servers }: Binding, args: Arguments): { origin: string; basePath: string } | undefined {
  if (servers === undefined) return undefined
  const values = servers.arguments.map(({ argument, preset }) =>
    Object.hasOwn(args, argument) ? args[argument] : preset,
  )
  const found = servers.choices.find((choice) => choice.values.every((value, index) => value === values[index]))
  if (found === undefined) throw unbuildable('No server of the description is of these arguments.')
  return found
}

interface Parts {
  readonly query: string[]
  readonly cookies: string[]
  readonly headers: Map<string, string>
  readonly pathValues: Map<string, string>
}

function place(parameter: ParameterBinding, value: Json, parts: Parts): void {
  switch (parameter.in) {
    case 'path':
      parts.pathValues.set(parameter.argument, pathText(parameter, value))
      return
    case 'query':
      for (const [name, text] of queryPairs(parameter, value)) parts.query.push(`${name}=${text}`)
      return
    case 'querystring':
      parts.query.push(wholeQuery(parameter, value))
      return
    case 'header':
      if (parameter.content === undefined && isUndefined(value)) return
      parts.headers.set(parameter.name.toLowerCase(), headerText(parameter, value))
      return
    case 'cookie':
      for (const [name, text] of cookiePairs(parameter, value)) parts.cookies.push(`${name}=${text}`)
  }
}

/** `content`: the media type's own form (OAS 3.1.1 §4.8.12.2.3). */
const contentText = (type: string, value: Json): string => (isJsonType(type) ? JSON.stringify(value) : scalar(value))

/** An empty list or object is undefined (RFC 6570 §2.3). */
const isUndefined = (value: Json): boolean =>
  typeof value === 'object' && (value === null || Object.values(value).every((item) => item === null))

function pathText(parameter: ParameterBinding, value: Json): string {
  const encodeValue = parameter.reserved === true ? encodeReservedPath : encode
  const text =
    parameter.content === undefined
      ? pathStyle(parameter.name, value, parameter.style, parameter.explode, encodeValue, parameter.inner)
      : encode(contentText(parameter.content, value))
  if (text === '' || (parameter.content === undefined && isUndefined(value)))
    throw unbuildable(`The argument \`${parameter.argument}\` is part of the path and must not be empty.`)
  return text
}

function queryPairs(parameter: ParameterBinding, value: Json): readonly (readonly [string, string])[] {
  const encodeValue = parameter.reserved === true ? encodeReserved : encode
  if (parameter.content !== undefined)
    return [[encode(parameter.name), encodeValue(contentText(parameter.content, value))]]
  return queryStyle(parameter.name, value, parameter.style, parameter.explode, encodeValue, encode, parameter.inner)
}

/** `in: querystring` of OAS 3.2: the whole query by its media type. */
function wholeQuery(parameter: ParameterBinding, value: Json): string {
  if (parameter.content === 'application/x-www-form-urlencoded' && typeof value === 'object' && value !== null)
    return formBody(
      Object.entries(value).filter(([, item]) => item !== null),
      parameter,
    )
  return encode(contentText(parameter.content ?? 'text/plain', value))
}

const plain = (text: string): string => text

/** JSON in ASCII: its own escapes say the same (RFC 8259 §7), and a reader of JSON knows no percent triples. */
const asciiJson = (value: Json): string =>
  JSON.stringify(value).replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** Visible ASCII goes as it is; other characters as percent triples of their UTF-8; control characters are refused. */
function headerText(parameter: ParameterBinding, value: Json): string {
  const text =
    parameter.content === undefined
      ? pathStyle(parameter.name, value, parameter.style, parameter.explode, plain, parameter.inner)
      : isJsonType(parameter.content)
        ? asciiJson(value)
        : contentText(parameter.content, value)
  if (/[^\P{Cc}\t\x80-\x9f]/u.test(text))
    throw unbuildable(`The argument \`${parameter.argument}\` becomes a header and must not hold control characters.`)
  return text.replace(/[^\x20-\x7e\t]+|^[ \t]+|[ \t]+$/gu, utf8Triples)
}

function cookiePairs(parameter: ParameterBinding, value: Json): readonly (readonly [string, string])[] {
  // The style of that name takes a cookie as it is, its name too (OAS 3.2.0 §4.12.6).
  const [encodeValue, encodeName] =
    parameter.style === 'cookie'
      ? [encodeCookie, encodeCookie]
      : [parameter.reserved === true ? encodeReservedCookie : encode, encode]
  if (parameter.content !== undefined)
    return [[encodeName(parameter.name), encodeValue(contentText(parameter.content, value))]]
  return queryStyle(parameter.name, value, parameter.style, parameter.explode, encodeValue, encodeName)
}

function missing(argument: string): never {
  throw unbuildable(`The argument \`${argument}\` is part of the path and must be given.`)
}

function buildUrl(
  binding: Binding,
  pathValues: ReadonlyMap<string, string>,
  query: readonly string[],
  server: { readonly origin: string; readonly basePath: string },
): string {
  let path = ''
  binding.path.forEach((part, index) => {
    if (index % 2 === 0) path += part
    else path += pathValues.get(part) ?? missing(part)
  })
  const mark = path.indexOf('?')
  const pathOnly = mark < 0 ? path : path.slice(0, mark)
  for (const segment of pathOnly.split('/')) {
    // A server would fold it away and answer for another path (RFC 3986 §5.2.4); encoding it changes nothing (F1).
    if (/^(?:\.|%2e){1,2}$/i.test(segment)) throw unbuildable('A path argument must not be `.` or `..`.')
  }
  const all = mark < 0 || mark === path.length - 1 ? query : [path.slice(mark + 1), ...query]
  const url = `${server.origin}${server.basePath}${pathOnly}${all.length === 0 ? '' : `?${all.join('&')}`}`
  if (url.length > limits.urlBytes)
    throw unbuildable(`The request’s URL would be longer than ${limits.urlBytes} bytes.`)
  return url
}
