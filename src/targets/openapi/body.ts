/** The request body of every version → the one argument `body` with a schema and a way onto the wire. */
import { limits } from '../../core/limits.ts'
import type { BodyBinding, FieldBinding } from './binding.ts'
import type { Dialect } from './document.ts'
import { readFields, readParts } from './files.ts'
import { prose, type Schema } from './keywords.ts'
import { chooseType, concrete, isApplicationText, isMediaType, kindOf } from './media.ts'
import { type RawParameter, swaggerSchema } from './parameters.ts'
import type { References } from './refs.ts'
import type { Schemas, Warn } from './schema.ts'
import { styleOf } from './style-of.ts'
import { at, essence, isNode, type Node, nodeAt, textAt } from './tree.ts'
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
  const chosen = chooseType(Object.keys(content), context.contentType, context.warn, at(place, 'content'))
  if (chosen === undefined) return undefined
  const { key, type } = chosen
  const entry = context.refs.follow(nodeAt(content, key))
  const media = entry.ok && isNode(entry.node) ? entry.node : {}
  const schema =
    media['schema'] ?? (nodeAt(media, 'itemSchema') === undefined ? {} : { type: 'array', items: media['itemSchema'] })
  const described = prose(found.node['description'], limits.propertyDescriptionChars)
  const pointerTo = at(place, 'content', key, 'schema')
  const body =
    sequenceBody(type, schema, media, pointerTo, context) ??
    build(type, schema, nodeAt(media, 'encoding') ?? {}, pointerTo, context)
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
  const schema = parameter.node['schema'] ?? swaggerSchema(parameter.node)
  const type = chooseType(consumes, context.contentType, context.warn, parameter.pointer)?.type ?? 'application/json'
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

function build(
  type: string,
  schema: unknown,
  encoding: Node,
  pointer: string,
  context: BodyContext,
): Omit<Body, 'required'> {
  const contentType = concrete(type, () => isBinary(schema, context))
  const kind = kindOf(essence(contentType))
  if (kind === 'form' || kind === 'multipart') return formBody(kind, contentType, schema, encoding, pointer, context)
  if (kind === 'json' || kind === 'lines')
    return { schema: context.schemas.convert(schema, 'input', pointer), binding: { kind, contentType } }
  if (kind === 'xml') return xmlBody(contentType, schema, pointer, context)
  const text = (): Omit<Body, 'required'> => textBody(contentType, schema, pointer, context)
  if (kind === 'text' && !isApplicationText(essence(contentType))) return text()
  if (hasMembers(schema, context)) {
    context.warn(
      'json_assumed',
      pointer,
      `Nothing says how ${essence(contentType)} writes an object of members; it is sent as JSON.`,
    )
    return {
      schema: context.schemas.convert(schema, 'input', pointer),
      binding: { kind: 'json', contentType: isMediaType(type) ? contentType : 'application/json' },
    }
  }
  if (kind === 'text' || isEncodedText(schema, context)) return text()
  return { schema: base64(contentType), binding: { kind, contentType } }
}

function textBody(contentType: string, schema: unknown, pointer: string, context: BodyContext): Omit<Body, 'required'> {
  return { schema: textSchema(schema, pointer, context), binding: { kind: 'text', contentType } }
}

function xmlBody(contentType: string, schema: unknown, pointer: string, context: BodyContext): Omit<Body, 'required'> {
  const converted = context.schemas.convert(schema, 'input', pointer)
  const spelled = context.schemas.spelled(converted, 'input')
  const found = context.refs.follow(schema)
  const named = isScalar(spelled) && textAt(nodeAt(found.ok ? found.node : undefined, 'xml'), 'name') !== undefined
  // Without a structure to go by, nor a name for the element, the caller writes the XML itself.
  return isStructure(spelled) || named
    ? {
        schema: converted,
        binding: { kind: 'xml', contentType, xml: xmlBinding(schema, context.refs, context.dialect) },
      }
    : textBody(contentType, schema, pointer, context)
}

function formBody(
  kind: 'form' | 'multipart',
  contentType: string,
  schema: unknown,
  encoding: Node,
  pointer: string,
  context: BodyContext,
): Omit<Body, 'required'> {
  const { dialect, refs, schemas } = context
  const { fields, others, schema: shown } = readFields(schema, encoding, { dialect, refs, kind })
  return {
    schema: { type: 'object', ...schemas.spelled(schemas.convert(shown, 'input', pointer), 'input') },
    binding: {
      kind,
      contentType,
      ...(Object.keys(fields).length === 0 ? {} : { fields }),
      ...(others === undefined ? {} : { others }),
    },
  }
}

/** From 3.2 on, a multipart body may be a list of parts without names (OAS 3.2.0 §4.14.3.2). */
function sequenceBody(
  type: string,
  schema: unknown,
  media: Node,
  pointer: string,
  { dialect, refs, schemas }: BodyContext,
): Omit<Body, 'required'> | undefined {
  const plain = essence(type)
  if (dialect !== '3.2' || !plain.startsWith('multipart/') || plain === 'multipart/form-data') return undefined
  const parts = readParts(schema, media, { dialect, refs, kind: 'multipart' })
  if (parts === undefined) return undefined
  const { schema: shown, ...positions } = parts
  return {
    schema: schemas.convert(shown, 'input', pointer),
    binding: { kind: 'multipart', contentType: concrete(type, () => false), positions },
  }
}

const isStructure = (schema: Schema): boolean =>
  [schema['type']].flat().some((type) => type === 'object' || type === 'array') ||
  ['properties', 'allOf', 'oneOf', 'anyOf'].some((keyword) => schema[keyword] !== undefined)

const scalars = new Set(['string', 'integer', 'number', 'boolean'])

const isScalar = (schema: Schema): boolean => {
  const types = [schema['type']].flat()
  return types.every((type) => scalars.has(String(type)))
}

const base64 = (contentType: string): Schema => ({
  type: 'string',
  contentEncoding: 'base64',
  contentMediaType: essence(contentType),
})

/** Text goes as it is; an enumeration, a length or a number's type of the description still binds. */
function textSchema(schema: unknown, pointer: string, context: BodyContext): Schema {
  const converted = context.schemas.spelled(context.schemas.convert(schema, 'input', pointer), 'input')
  return isScalar(converted) ? converted : { type: 'string' }
}

function isBinary(schema: unknown, { refs }: BodyContext): boolean {
  const found = refs.follow(schema)
  return found.ok && textAt(found.node, 'format') === 'binary'
}

/** An object whose members are described, which bytes have not. */
function hasMembers(schema: unknown, { refs }: BodyContext): boolean {
  const found = refs.follow(schema)
  return found.ok && Object.keys(nodeAt(found.node, 'properties') ?? {}).length > 0
}

/** `contentEncoding`, from 3.1 on: the encoded text itself is the body (OAS 3.1.1 §4.8.14.1). */
function isEncodedText(schema: unknown, { refs, dialect }: BodyContext): boolean {
  const found = refs.follow(schema)
  return (dialect === '3.1' || dialect === '3.2') && found.ok && textAt(found.node, 'contentEncoding') !== undefined
}
