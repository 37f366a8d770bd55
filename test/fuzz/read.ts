/**
 * A reader of requests that knows the description and nothing of how the gateway makes them: it undoes each style as
 * OAS 3.1.1 §4.8.12.3 and RFC 6570 print it, Swagger 2.0's collection formats, and each body by its media type.
 */
import { type Part, readMultipart } from '../support/read-request.ts'

/** Parts by the names of their fields: a quotation mark in one is written as browsers do (WHATWG HTML §4.10.21.8). */
const partsOf = ({ headers, body }: Sent): Part[] =>
  readMultipart(Buffer.from(body ?? ''), headers.get('content-type')).map((part) => ({
    ...part,
    name: part.name.replaceAll('%22', '"'),
  }))

/** A request as it goes out. */
export interface Sent {
  readonly url: string
  readonly headers: ReadonlyMap<string, string>
  readonly body?: Uint8Array | string
}

export type Value = string | number | boolean | null | Value[] | { [key: string]: Value }

export interface Schema {
  readonly type?: string
  readonly format?: string
  readonly items?: Schema
  readonly properties?: { readonly [name: string]: Schema }
  readonly additionalProperties?: Schema | boolean
}

/** A Parameter Object of either line, or what an Encoding Object says of a field. */
export interface Parameter extends Schema {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly style?: string
  readonly explode?: boolean
  readonly allowReserved?: boolean
  readonly schema?: Schema
  readonly content?: { readonly [type: string]: { readonly schema: Schema } }
  readonly collectionFormat?: string
}

export interface Encoding {
  readonly contentType?: string
  readonly style?: string
  readonly explode?: boolean
}

const decode = (text: string): string => decodeURIComponent(text)

function typed(text: string, { type }: Schema): Value {
  if (type === 'integer' || type === 'number') return Number(text)
  return type === 'boolean' ? text === 'true' : text
}

const itemsOf = (schema: Schema): Schema => schema.items ?? {}

const memberOf = (schema: Schema, key: string): Schema => {
  const declared = Object.entries(schema.properties ?? {}).find(([name]) => name === key)?.[1]
  return declared ?? (typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {})
}

/** `k,v,k,v` */
function alternating(parts: readonly string[], schema: Schema): Value {
  const pairs: [string, string][] = []
  for (let index = 0; index < parts.length; index += 2) pairs.push([parts[index] ?? '', parts[index + 1] ?? ''])
  return members(pairs, schema)
}

const members = (pairs: readonly (readonly [string, string])[], schema: Schema): Value =>
  Object.fromEntries(pairs.map(([key, value]) => [decode(key), typed(decode(value), memberOf(schema, decode(key)))]))

/** `k=v`, an empty value without `=` as `matrix` has it. */
const equation = (part: string): [string, string] => {
  const equals = part.indexOf('=')
  return equals === -1 ? [part, ''] : [part.slice(0, equals), part.slice(equals + 1)]
}

const list = (parts: readonly string[], schema: Schema): Value =>
  parts.map((part) => typed(decode(part), itemsOf(schema)))

/** A value in one piece whose delimiter is known. */
function piece(text: string, schema: Schema, delimiter: string, equations: boolean): Value {
  if (schema.type === 'array') return list(text.split(delimiter), schema)
  if (schema.type !== 'object') return typed(decode(text), schema)
  const parts = text.split(delimiter)
  return equations ? members(parts.map(equation), schema) : alternating(parts, schema)
}

function fromSegment({ name, style = 'simple', explode = false }: Parameter, schema: Schema, raw: string): Value {
  if (style === 'label') return piece(raw.slice(1), schema, explode ? '.' : ',', explode)
  if (style === 'simple') return piece(raw, schema, ',', explode)
  const pairs = raw.slice(1).split(';').map(equation)
  if (schema.type === 'object' && explode) return members(pairs, schema)
  if (pairs.some(([key]) => decode(key) !== name)) throw new Error(`${raw} is not of ${name}`)
  const values = pairs.map(([, value]) => value)
  return schema.type === 'array' && explode ? list(values, schema) : piece(values.join(), schema, ',', false)
}

const styleDelimiter: { readonly [style: string]: string } = {
  form: ',',
  // encoded with its values, see `readParameter`
  cookie: '%2C',
  spaceDelimited: '%20',
  pipeDelimited: '%7C',
}

/** A parameter among the pairs of a query, a cookie header or a form; undefined when none of them is its own. */
function fromPairs(
  parameter: Parameter,
  schema: Schema,
  pairs: readonly (readonly [string, string])[],
): Value | undefined {
  const { name, style = 'form', explode = style === 'form' || style === 'cookie' } = parameter
  if (schema.type === 'object' && (style === 'deepObject' || explode)) {
    const inner = (key: string): string =>
      style === 'deepObject' && key.startsWith(`${name}[`) ? key.slice(name.length + 1, -1) : key
    const own = pairs.filter(([key]) =>
      style === 'deepObject' ? decode(key).startsWith(`${name}[`) : Object.hasOwn(schema.properties ?? {}, decode(key)),
    )
    return own.length === 0
      ? undefined
      : members(
          own.map(([key, value]) => [encodeURIComponent(inner(decode(key))), value]),
          schema,
        )
  }
  const own = pairs.filter(([key]) => decode(key) === name).map(([, value]) => value)
  const [first] = own
  if (first === undefined) return undefined
  if (schema.type === 'array' && explode) return list(own, schema)
  if (own.length > 1) throw new Error(`${name} stands there ${own.length} times`)
  return piece(first, schema, styleDelimiter[style] ?? ',', false)
}

const collection: { readonly [format: string]: string } = { csv: ',', ssv: '%20', tsv: '%09', pipes: '%7C' }
const bare: { readonly [format: string]: string } = { csv: ',', ssv: ' ', tsv: '\t', pipes: '|' }

/** The pairs of a query (raw), or of a cookie header. */
const rawPairs = (text: string, separator: string): [string, string][] =>
  text === '' ? [] : text.split(separator).map(equation)

const queryOf = (url: string): [string, string][] => rawPairs(/\?([^#]*)/.exec(url)?.[1] ?? '', '&')

/** What stands for a parameter in the path that its template makes. */
function segmentOf(template: string, name: string, url: string): string {
  const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const pattern = template
    .split(/(\{[^}]*\})/)
    .map((part) => (part === `{${name}}` ? '([^/?#]*)' : part.startsWith('{') ? '[^/?#]*' : escaped(part)))
    .join('')
  const path = /^[^:]+:\/\/[^/]*([^?#]*)/.exec(url)?.[1] ?? ''
  const found = new RegExp(`${pattern}$`).exec(path)?.[1]
  if (found === undefined) throw new Error(`${path} is not of ${template}`)
  return found
}

function fromContent(parameter: Parameter, text: string): Value {
  return Object.keys(parameter.content ?? {})[0] === 'application/json' ? (JSON.parse(text) as Value) : text
}

/** The value of a parameter of OpenAPI 3; undefined when it was not sent. */
export function readParameter(parameter: Parameter, template: string, { url, headers }: Sent): Value | undefined {
  const { name, in: place, content, schema = {}, style } = parameter
  if (place === 'path') {
    const raw = segmentOf(template, name, url)
    return content === undefined ? fromSegment(parameter, schema, raw) : fromContent(parameter, decode(raw))
  }
  if (place === 'header') {
    const text = headers.get(name.toLowerCase())
    if (text === undefined) return undefined
    return content === undefined ? piece(text, schema, ',', parameter.explode === true) : fromContent(parameter, text)
  }
  if (place === 'querystring') {
    const [first] = Object.entries(content ?? {})
    const query = /\?([^#]*)/.exec(url)?.[1] ?? ''
    return first?.[0] === 'application/x-www-form-urlencoded'
      ? readFormBody(first[1].schema, {}, { url, headers, body: query })
      : fromContent(parameter, decode(query))
  }
  const pairs = place === 'query' ? queryOf(url) : rawPairs(headers.get('cookie') ?? '', '; ')
  if (content !== undefined) {
    const text = pairs.find(([key]) => decode(key) === name)?.[1]
    return text === undefined ? undefined : fromContent(parameter, decode(text))
  }
  // OAS 3.2.0 §4.12.6: the style `cookie` escapes nothing
  if (style === 'cookie')
    return fromPairs(
      parameter,
      schema,
      pairs.map(([key, text]) => [key, encodeURIComponent(text)]),
    )
  return fromPairs(parameter, schema, pairs)
}

/** The value of a parameter of Swagger 2.0 that is no part of a body. */
export function readSwaggerParameter(
  parameter: Parameter,
  template: string,
  { url, headers }: Sent,
): Value | undefined {
  const { name, in: place, collectionFormat = 'csv' } = parameter
  if (place === 'path')
    return piece(segmentOf(template, name, url), parameter, collection[collectionFormat] ?? ',', false)
  if (place === 'header') {
    const text = headers.get(name.toLowerCase())
    return text === undefined ? undefined : piece(text, parameter, bare[collectionFormat] ?? ',', false)
  }
  const own = queryOf(url).filter(([key]) => decode(key) === name)
  return fromCollection(
    parameter,
    own.map(([, value]) => value),
    collection,
  )
}

function fromCollection(
  parameter: Parameter,
  own: readonly string[],
  delimiters: { readonly [format: string]: string },
): Value | undefined {
  const [first] = own
  if (first === undefined) return undefined
  if (parameter.type === 'array' && parameter.collectionFormat === 'multi') return list(own, parameter)
  if (own.length > 1) throw new Error(`${parameter.name} stands there ${own.length} times`)
  return piece(first, parameter, delimiters[parameter.collectionFormat ?? 'csv'] ?? ',', false)
}

const bytesOf = (body: Uint8Array | string | undefined): Buffer => Buffer.from(body ?? '')

export const readJson = ({ body }: Sent): Value => JSON.parse(bytesOf(body).toString('utf8')) as Value

export const readText = ({ body }: Sent): string => bytesOf(body).toString('utf8')

export const readBase64 = ({ body }: Sent): string => bytesOf(body).toString('base64')

export const readLines = ({ body }: Sent): Value =>
  bytesOf(body)
    .toString('utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Value)

const structured = ({ type }: Schema): boolean => type === 'object' || type === undefined

/** The pairs of a form, `+` written as the triple that it stands for (WHATWG URL §5.1). */
const formPairs = ({ body }: Sent): [string, string][] =>
  rawPairs(bytesOf(body).toString('utf8').replaceAll('+', '%20'), '&')

/** OAS 3.1.1 §4.8.15: a field by its style, else by its content type; without either, JSON for objects, else text. */
export function readFormBody(schema: Schema, encoding: { readonly [name: string]: Encoding }, request: Sent): Value {
  const pairs = formPairs(request)
  const entries = Object.entries(schema.properties ?? {}).flatMap(([name, field]): [string, Value][] => {
    const { contentType, ...styled } = encoding[name] ?? {}
    if (styled.style !== undefined || styled.explode !== undefined) {
      const value = fromPairs({ name, in: 'form', ...styled }, field, pairs)
      return value === undefined ? [] : [[name, value]]
    }
    const values = pairs.filter(([key]) => decode(key) === name).map(([, value]) => decode(value))
    if (values.length === 0) return []
    const json = contentType === 'application/json'
    const read = (text: string, of: Schema): Value =>
      json || structured(of) ? (JSON.parse(text) as Value) : typed(text, of)
    const repeated = field.type === 'array'
    return [[name, repeated ? values.map((text) => read(text, itemsOf(field))) : read(values.join(), field)]]
  })
  return Object.fromEntries(entries)
}

/** The fields of a Swagger 2.0 form. */
export function readSwaggerForm(fields: readonly Parameter[], request: Sent): Value {
  const type = request.headers.get('content-type')
  const multipart = type?.startsWith('multipart/') === true
  const pairs = multipart
    ? partsOf(request).map(({ name, bytes }): [string, string] => [
        encodeURIComponent(name),
        encodeURIComponent(bytes.toString('utf8')),
      ])
    : formPairs(request)
  const entries = fields
    .filter((field) => field.type !== 'file')
    .flatMap((field): [string, Value][] => {
      const own = pairs.filter(([key]) => decode(key) === field.name).map(([, value]) => value)
      const value = fromCollection(field, own, multipart ? { ...collection, csv: '%2C' } : collection)
      return value === undefined ? [] : [[field.name, value]]
    })
  const files = fields.filter((field) => field.type === 'file').map(({ name }) => name)
  return Object.fromEntries([...entries, ...filesOf(files, request)])
}

function filesOf(names: readonly string[], request: Sent): [string, Value][] {
  if (names.length === 0 || request.headers.get('content-type')?.startsWith('multipart/') !== true) return []
  return partsOf(request)
    .filter(({ name }) => names.includes(name))
    .map((part) => [part.name, fileOf(part)])
}

const fileOf = ({ filename, contentType, bytes }: Part): Value => ({
  filename: filename ?? null,
  contentType: contentType ?? null,
  data: bytes.toString('base64'),
})

const isFile = ({ type, format }: Schema): boolean => type === 'string' && format === 'binary'

/** RFC 7578: a part a field, an element of a list a part of the same name (§4.3). */
export function readMultipartBody(
  schema: Schema,
  encoding: { readonly [name: string]: Encoding },
  request: Sent,
): Value {
  const parts = partsOf(request)
  const entries = Object.entries(schema.properties ?? {}).flatMap(([name, field]): [string, Value][] => {
    const json = encoding[name]?.contentType === 'application/json'
    const read = (of: Schema, part: Part): Value => {
      if (isFile(of)) return fileOf(part)
      if (part.filename !== undefined) throw new Error(`${name} is no file`)
      const text = part.bytes.toString('utf8')
      return json || structured(of) ? (JSON.parse(text) as Value) : typed(text, of)
    }
    const own = parts.filter((part) => part.name === name)
    const [first] = own
    if (first === undefined) return []
    const repeated = field.type === 'array'
    return [[name, repeated ? own.map((part) => read(itemsOf(field), part)) : read(field, first)]]
  })
  return Object.fromEntries(entries)
}
