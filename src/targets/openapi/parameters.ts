/** Parameters of every version → arguments with a schema and a way onto the wire. */
import { shortHash } from '../../core/hash.ts'
import type { ImportOptions } from '../adapter.ts'
import { bodyArgument, type ParameterBinding, type Place } from './binding.ts'
import type { Dialect } from './document.ts'
import { readFields } from './files.ts'
import type { Keys } from './keys.ts'
import { prose, type Schema } from './keywords.ts'
import { limits } from '../../core/limits.ts'
import type { References } from './refs.ts'
import type { Schemas, Warn } from './schema.ts'
import { styleOf } from './style-of.ts'
import { at, essence, isNode, listAt, type Node, nodeAt, textAt } from './tree.ts'

export interface Argument {
  readonly schema: Schema
  readonly required: boolean
  readonly binding: ParameterBinding
}

export interface RawParameter {
  readonly node: Node
  readonly name: string
  readonly in: string
  readonly pointer: string
}

/** Headers that the description may not set (OAS 3.1.1 §4.8.12.1), and those that belong to the connection. */
const reservedHeaders = new Set([
  'accept',
  'content-type',
  'authorization',
  'cookie',
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
])

/** The path's and the operation's parameters; the operation's win by name and place. */
export function rawParameters(
  refs: References,
  lists: readonly { readonly owner: Node; readonly pointer: string }[],
  warn: Warn,
): RawParameter[] {
  const found = new Map<string, RawParameter>()
  for (const { owner, pointer } of lists) {
    listAt(owner, 'parameters').forEach((entry, index) => {
      const place = at(pointer, 'parameters', index)
      const target = refs.follow(entry)
      const node = target.ok && isNode(target.node) ? target.node : undefined
      const name = textAt(node, 'name')
      const where = textAt(node, 'in')
      if (node === undefined || name === undefined || where === undefined)
        warn(
          'invalid_parameter',
          place,
          'A parameter without a name and a place, or behind a broken reference, is left out.',
        )
      else found.set(`${where} ${name}`, { node, name, in: where, pointer: place })
    })
  }
  return [...found.values()]
}

export interface ParameterContext {
  readonly dialect: Dialect
  readonly refs: References
  readonly schemas: Schemas
  readonly keys: Keys
  readonly options: ImportOptions
  readonly warn: Warn
}

/** Arguments of the parameters that go by themselves (not the body), named apart where one name stands in two places. */
export function toArguments(raw: readonly RawParameter[], hasBody: boolean, context: ParameterContext): Argument[] {
  const kept = raw.filter((parameter) => isPlace(parameter.in) && usable(parameter, context))
  const times = new Map<string, number>()
  for (const { name } of kept) times.set(name, (times.get(name) ?? 0) + 1)
  const clashes = ({ name }: RawParameter): boolean => (times.get(name) ?? 0) > 1 || (hasBody && name === bodyArgument)
  // Names that stand alone are kept, whatever comes first; only those that had to be told apart make way.
  const plain = kept.filter((parameter) => !clashes(parameter)).map(({ name }) => context.keys.safe(name))
  const taken = new Set<string>(hasBody ? [...plain, bodyArgument] : plain)
  return kept.map((parameter) => {
    if (!clashes(parameter)) return toArgument(parameter, context.keys.safe(parameter.name), context)
    let argument = context.keys.safe(`${parameter.name}_${parameter.in}`)
    if (taken.has(argument)) argument = `${argument.slice(0, 55)}_${shortHash(`${parameter.in} ${parameter.name}`)}`
    taken.add(argument)
    return toArgument(parameter, argument, context)
  })
}

const isPlace = (where: string): where is Place =>
  where === 'path' || where === 'query' || where === 'header' || where === 'cookie' || where === 'querystring'

function usable(parameter: RawParameter, { options, warn }: ParameterContext): boolean {
  const credential = options.credentialPlace
  const name = parameter.in === 'header' ? parameter.name.toLowerCase() : parameter.name
  const credentialName = credential?.in === 'header' ? credential.name.toLowerCase() : credential?.name
  if (credential?.in === parameter.in && credentialName === name) {
    warn('credential_parameter', parameter.pointer, 'The target’s credential fills this parameter; it is no argument.')
    return false
  }
  if (parameter.in !== 'header') return true
  if (reservedHeaders.has(name) || !/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    if (name !== 'accept' && name !== 'content-type')
      warn(
        'reserved_header',
        parameter.pointer,
        'This header is the gateway’s own or not a header name; it is left out.',
      )
    return false
  }
  return true
}

function toArgument(parameter: RawParameter, argument: string, context: ParameterContext): Argument {
  const { node, pointer } = parameter
  const place = isPlace(parameter.in) ? parameter.in : 'query'
  const content = nodeAt(node, 'content')
  const mediaType = content === undefined ? undefined : Object.keys(content)[0]
  const entry = context.refs.follow(nodeAt(content, mediaType ?? ''))
  const media = entry.ok && isNode(entry.node) ? entry.node : undefined
  const leftover = context.dialect !== '2.0' && mediaType === undefined && hasOldKeywords(node)
  if (leftover)
    context.warn('swagger_keywords', pointer, 'Keywords of Swagger 2.0 stand where `schema` belongs; they are taken.')
  const schema =
    mediaType === undefined
      ? context.dialect === '2.0' || leftover
        ? context.schemas.convert(swaggerSchema(node), 'input', pointer)
        : context.schemas.convert(node['schema'] ?? {}, 'input', at(pointer, 'schema'))
      : context.schemas.convert(media?.['schema'] ?? {}, 'input', at(pointer, 'content', mediaType, 'schema'))
  const binding: ParameterBinding = {
    argument,
    name: parameter.name,
    in: place,
    ...styleOf(node, place, context.dialect),
    ...(node['allowReserved'] === true && mayBeReserved(place, context.dialect) ? { reserved: true as const } : {}),
    ...(mediaType === undefined ? {} : { content: essence(mediaType) }),
    ...(place === 'querystring' ? queryFields(media, context) : {}),
  }
  return { schema: described(node, schema), required: place === 'path' || node['required'] === true, binding }
}

/** `allowReserved` is the query's up to 3.1; 3.2 has it in paths and cookies, too (OAS 3.2.0 §4.12.2.1). */
const mayBeReserved = (place: Place, dialect: Dialect): boolean =>
  place === 'query' || (dialect === '3.2' && (place === 'path' || place === 'cookie'))

/** The fields of a query that is written as a form. */
function queryFields(media: Node | undefined, { dialect, refs }: ParameterContext): Pick<ParameterBinding, 'fields'> {
  const encoding = nodeAt(media, 'encoding')
  if (encoding === undefined) return {}
  return { fields: readFields(media?.['schema'], encoding, { dialect, refs, kind: 'form' }).fields }
}

function described(node: Node, schema: Schema): Schema {
  const text = prose(node['description'], limits.propertyDescriptionChars)
  const description = node['deprecated'] === true ? `Deprecated. ${text ?? ''}`.trim() : text
  return description === undefined ? schema : { ...schema, description }
}

const hasOldKeywords = (node: Node): boolean =>
  node['schema'] === undefined && ['type', 'enum', 'items', 'format'].some((keyword) => node[keyword] !== undefined)

/** Swagger 2.0 puts the schema's keywords beside the parameter's own. */
export function swaggerSchema(node: Node): Node {
  const {
    name: _name,
    in: _in,
    required: _required,
    description: _description,
    deprecated: _deprecated,
    schema,
    ...keywords
  } = node
  return isNode(schema) ? schema : keywords
}
