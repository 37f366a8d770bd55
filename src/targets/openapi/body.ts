/** The request body of every version → the one argument `body` with a schema and a way onto the wire. */
import { limits } from '../../core/limits.ts'
import type { BodyBinding, BodyKind, FieldBinding } from './binding.ts'
import type { Dialect } from './document.ts'
import { prose, type Schema } from './keywords.ts'
import { type RawParameter, styleOf } from './parameters.ts'
import type { References } from './refs.ts'
import type { Schemas, Warn } from './schema.ts'
import { at, essence, isJsonType, isNode, isSequence, listAt, type Node, nodeAt, textAt } from './tree.ts'
import { xmlBinding } from './xml-shape.ts'

export interface Body {
  readonly schema: Schema
  readonly required: boolean
  readonly binding: BodyBinding
}

export interface BodyContext {
  readonly dialect: Dialect
  readonly refs: References
  readonly schemas: Schemas
  readonly warn: Warn
  /** The media type that the configuration asks for, where there are several. */
  readonly contentType: string | undefined
}

/** A file of a form: its bytes in base64 (RFC 4648 §4) with what its part says of them, or the bytes alone. */
const fileSchema: Schema = {
  type: ['object', 'string'],
  contentEncoding: 'base64',
  properties: {
    filename: { type: 'string' },
    contentType: { type: 'string' },
    data: { type: 'string', contentEncoding: 'base64' },
  },
  required: ['data'],
}

/** `requestBody` of OpenAPI 3. */
export function requestBody(operation: Node, pointer: string, context: BodyContext): Body | undefined {
  if (operation['requestBody'] === undefined) return undefined
  const found = context.refs.follow(operation['requestBody'])
  const place = found.ok && found.pointer !== '' ? found.pointer : at(pointer, 'requestBody')
  if (!found.ok || !isNode(found.node)) {
    context.warn('invalid_body', place, 'The request body is behind a broken reference; any JSON is taken.')
    return { schema: {}, required: false, binding: { kind: 'json', contentType: 'application/json' } }
  }
  const content = nodeAt(found.node, 'content') ?? {}
  const type = chooseType(Object.keys(content), context, at(place, 'content'))
  if (type === undefined) return undefined
  const media = nodeAt(content, type) ?? {}
  const schema =
    media['schema'] ?? (nodeAt(media, 'itemSchema') === undefined ? {} : { type: 'array', items: media['itemSchema'] })
  const described = prose(found.node['description'], limits.propertyDescriptionChars)
  const body = build(type, schema, nodeAt(media, 'encoding') ?? {}, at(place, 'content', type, 'schema'), context)
  return {
    ...body,
    schema:
      described === undefined || body.schema['description'] !== undefined
        ? body.schema
        : { ...body.schema, description: described },
    required: found.node['required'] === true,
  }
}

/** `body` and `formData` parameters of Swagger 2.0. */
export function swaggerBody(
  raw: readonly RawParameter[],
  consumes: readonly string[],
  context: BodyContext,
): Body | undefined {
  const fields = raw.filter((parameter) => parameter.in === 'formData')
  if (fields.length > 0) return swaggerForm(fields, consumes, context)
  const parameter = raw.find(({ in: where }) => where === 'body')
  if (parameter === undefined) return undefined
  const schema = parameter.node['schema'] ?? {}
  const type = chooseType(consumes, context, parameter.pointer) ?? 'application/json'
  const body = build(type, schema, {}, at(parameter.pointer, 'schema'), context)
  const described = prose(parameter.node['description'], limits.propertyDescriptionChars)
  return {
    ...body,
    schema: described === undefined ? body.schema : { ...body.schema, description: described },
    required: parameter.node['required'] === true,
  }
}

function swaggerForm(raw: readonly RawParameter[], consumes: readonly string[], context: BodyContext): Body {
  const properties = new Map<string, unknown>()
  const fields: { [name: string]: FieldBinding } = {}
  const required: string[] = []
  let files = false
  for (const { node, name } of raw) {
    const { name: _name, in: _in, required: needed, collectionFormat: _format, ...schema } = node
    properties.set(name, schema)
    if (node['type'] === 'file') files = true
    if (needed === true) required.push(name)
    if (node['type'] === 'array') fields[name] = styleOf(node, 'query', '2.0')
  }
  const multipart = files || consumes.some((type) => essence(type) === 'multipart/form-data')
  const pointer = raw[0]?.pointer ?? ''
  const type = multipart ? 'multipart/form-data' : 'application/x-www-form-urlencoded'
  const { schema, binding } = build(
    type,
    { type: 'object', properties: Object.fromEntries(properties), required },
    {},
    pointer,
    context,
  )
  const merged = { ...binding.fields, ...fields }
  for (const [name, field] of Object.entries(binding.fields ?? {})) merged[name] = { ...field, ...fields[name] }
  return { schema, required: required.length > 0, binding: { ...binding, fields: merged } }
}

/** What the configuration asks for; JSON first otherwise, since it says most; then the description's own first choice. */
function chooseType(types: readonly string[], { contentType, warn }: BodyContext, pointer: string): string | undefined {
  const asked = contentType === undefined ? undefined : essence(contentType)
  const found = types.find((type) => essence(type) === asked)
  if (asked !== undefined && found === undefined && types.length > 0)
    warn(
      'content_type',
      pointer,
      `The body is not described as ${asked}; ${types.map(essence).join(', ')} can be chosen.`,
    )
  return (
    found ??
    types.find((type) => essence(type) === 'application/json') ??
    types.find((type) => isJsonType(essence(type))) ??
    types.find((type) => kindOf(essence(type)) !== 'binary') ??
    types[0]
  )
}

function kindOf(type: string): BodyKind {
  if (isSequence(type)) return 'lines'
  if (isJsonType(type) || type === '*/*' || type === 'application/*') return 'json'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  if (type.startsWith('multipart/')) return 'multipart'
  if (type === 'application/xml' || type === 'text/xml' || type.endsWith('+xml')) return 'xml'
  return type.startsWith('text/') || /[/+](?:x-)?yaml$/.test(type) ? 'text' : 'binary'
}

/** What is sent for a range of media types, and for what is no media type at all. */
function concrete(type: string, schema: unknown, context: BodyContext): string {
  const plain = essence(type)
  if (!/^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+(?: *; *[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"\\\r\n]*"))*$/.test(type.trim()))
    return 'application/octet-stream'
  if (!plain.includes('*')) return type.trim()
  if (kindOf(plain) === 'text') return 'text/plain'
  return kindOf(plain) === 'json' && !isBinary(schema, context) ? 'application/json' : 'application/octet-stream'
}

function build(
  type: string,
  schema: unknown,
  encoding: Node,
  pointer: string,
  context: BodyContext,
): Omit<Body, 'required'> {
  const contentType = concrete(type, schema, context)
  const kind = kindOf(essence(contentType))
  if (kind === 'binary') return { schema: base64(contentType), binding: { kind, contentType } }
  if (kind === 'text') return { schema: textSchema(schema, pointer, context), binding: { kind, contentType } }
  const converted = context.schemas.convert(schema, 'input', pointer)
  if (kind === 'json' || kind === 'lines') return { schema: converted, binding: { kind, contentType } }
  if (kind === 'xml') {
    // Without a structure to go by, the caller writes the XML itself.
    return isStructure(context.schemas.spelled(converted, 'input'))
      ? { schema: converted, binding: { kind, contentType, xml: xmlBinding(schema, context.refs) } }
      : { schema: textSchema(schema, pointer, context), binding: { kind: 'text', contentType } }
  }
  // OAS 3.0.4 §4.7.15.1: style says nothing of multipart there.
  const fields = fieldBindings(encoding, kind === 'form' || context.dialect !== '3.0')
  const object = context.schemas.spelled(converted, 'input')
  const members = memberSchemas(schema, context, 0)
  withXml(members, fields, context)
  const shown = kind === 'multipart' ? withFiles(members, object, encoding, fields, context) : object
  return {
    schema: { type: 'object', ...shown },
    binding: { kind, contentType, ...(Object.keys(fields).length === 0 ? {} : { fields }) },
  }
}

const isStructure = (schema: Schema): boolean =>
  [schema['type']].flat().some((type) => type === 'object' || type === 'array') ||
  ['properties', 'allOf', 'oneOf', 'anyOf'].some((keyword) => schema[keyword] !== undefined)

const base64 = (contentType: string): Schema => ({
  type: 'string',
  contentEncoding: 'base64',
  contentMediaType: essence(contentType),
})

/** Text goes as it is; an enumeration or a length of the description still binds. */
function textSchema(schema: unknown, pointer: string, context: BodyContext): Schema {
  const converted = context.schemas.spelled(context.schemas.convert(schema, 'input', pointer), 'input')
  return converted['type'] === 'string' ? converted : { type: 'string' }
}

function isBinary(schema: unknown, { refs }: BodyContext): boolean {
  const found = refs.follow(schema)
  return found.ok && textAt(found.node, 'format') === 'binary'
}

/** OAS 3.1.1 §4.8.15: `encoding` by property, style only where it is given. */
function fieldBindings(encoding: Node, styles: boolean): { [name: string]: FieldBinding } {
  const fields: { [name: string]: FieldBinding } = {}
  for (const [name, entry] of Object.entries(encoding)) {
    if (!isNode(entry)) continue
    const contentType = textAt(entry, 'contentType')
    const styled =
      styles && (entry['style'] !== undefined || entry['explode'] !== undefined || entry['allowReserved'] !== undefined)
    fields[name] = {
      ...(contentType === undefined ? {} : { contentType }),
      ...(styled ? styleOf(entry, 'query', '3.1') : {}),
      ...(entry['allowReserved'] === true ? { reserved: true as const } : {}),
    }
  }
  return fields
}

/** Members whose own media type is XML are built by their schema’s hints. */
function withXml(
  members: ReadonlyMap<string, unknown>,
  fields: { [name: string]: FieldBinding },
  { refs }: BodyContext,
): void {
  for (const [name, field] of Object.entries(fields))
    if (field.contentType !== undefined && kindOf(essence(field.contentType)) === 'xml' && members.has(name))
      fields[name] = { ...field, xml: xmlBinding(members.get(name), refs) }
}

/** The members of a multipart body that are files, shown as such. */
function withFiles(
  members: ReadonlyMap<string, unknown>,
  shown: Schema,
  encoding: Node,
  fields: { [name: string]: FieldBinding },
  context: BodyContext,
): Schema {
  const properties = nodeAt(shown, 'properties')
  if (properties === undefined) return shown
  const out: { [name: string]: unknown } = { ...properties }
  for (const [name, member] of members) {
    const key = context.schemas.key(name)
    const kind = fileKind(member, nodeAt(encoding, name), context)
    const present = out[key]
    if (kind === undefined || present === undefined) continue
    const description =
      textAt(present, 'description') ??
      (isNode(present) ? textAt(context.schemas.spelled(present, 'input'), 'description') : undefined)
    const prosed = description === undefined ? {} : { description }
    fields[name] = { ...fields[name], file: true }
    out[key] = kind === 'one' ? { ...fileSchema, ...prosed } : { type: 'array', items: fileSchema, ...prosed }
  }
  return { ...shown, properties: out }
}

/** Raw members of an object schema, through references and `allOf`. */
function memberSchemas(schema: unknown, context: BodyContext, depth: number): Map<string, unknown> {
  const found = context.refs.follow(schema)
  const members = new Map<string, unknown>()
  if (!found.ok || depth > 10) return members
  for (const [name, member] of Object.entries(nodeAt(found.node, 'properties') ?? {})) members.set(name, member)
  for (const part of listAt(found.node, 'allOf'))
    for (const [name, member] of memberSchemas(part, context, depth + 1)) members.set(name, member)
  return members
}

function fileKind(schema: unknown, encoding: Node | undefined, context: BodyContext): 'one' | 'many' | undefined {
  const found = context.refs.follow(schema)
  if (!found.ok) return undefined
  const node = found.node
  if (textAt(node, 'type') === 'array') {
    const items = context.refs.follow(isNode(node) ? node['items'] : undefined)
    return items.ok && isFile(items.node, encoding) ? 'many' : undefined
  }
  return isFile(node, encoding) ? 'one' : undefined
}

/** `format: binary` (3.0), `type: file` (2.0), a binary media type without an encoding (3.1 §4.8.15.3). */
function isFile(node: unknown, encoding: Node | undefined): boolean {
  const type = isNode(node) ? node['type'] : undefined
  if (type === 'file' || textAt(node, 'format') === 'binary') return true
  if (type !== undefined && type !== 'string') return false
  if (textAt(node, 'contentEncoding') !== undefined) return false
  const declared =
    textAt(node, 'contentMediaType') ?? (type === undefined ? textAt(encoding, 'contentType') : undefined)
  if (declared === undefined) return false
  return kindOf(essence(declared.split(',', 1)[0] ?? '')) === 'binary'
}
