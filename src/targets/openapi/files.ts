/** The members of forms: which of them are files, how each is written, and what a caller is shown of them. */
import { limits } from '../../core/limits.ts'
import type { FieldBinding } from './binding.ts'
import type { Dialect } from './document.ts'
import { kindOf } from './media.ts'
import type { References } from './refs.ts'
import { styleOf } from './style-of.ts'
import { essence, isJsonType, isNode, listAt, type Node, nodeAt, textAt } from './tree.ts'
import { xmlBinding } from './xml-shape.ts'

/** A file of a form: its bytes in base64 (RFC 4648 §4) with what its part says of them, or the bytes alone. */
const fileSchema: Node = {
  type: ['object', 'string'],
  contentEncoding: 'base64',
  properties: {
    filename: { type: 'string' },
    contentType: { type: 'string' },
    data: { type: 'string', contentEncoding: 'base64' },
  },
  required: ['data'],
}

/** What may be a file and may be anything else. */
const fileHint = 'A file is given as {data: base64, filename, contentType}.'

export interface FieldContext {
  readonly dialect: Dialect
  readonly refs: References
  readonly kind: 'form' | 'multipart'
}

export interface Fields {
  readonly fields: { readonly [name: string]: FieldBinding }
  /** Of members that are not named. */
  readonly others?: FieldBinding
  /** The schema with its files as callers give them; the very same one where it has none. */
  readonly schema: unknown
}

type Bindings = { [name: string]: FieldBinding }

/** How deep members are looked for in references and branches. */
const depthMax = 10

/** What `encoding` and the schema say of a form's members. */
export function readFields(schema: unknown, encoding: Node, context: FieldContext): Fields {
  // OAS 3.0.4 §4.7.15.1: style says nothing of multipart there.
  const fields = fieldBindings(encoding, context.kind === 'form' || context.dialect !== '3.0')
  for (const [name, member] of memberSchemas(schema, context.refs, 0)) refine(fields, name, member, context)
  if (context.kind === 'form') return { fields, schema }
  const files = new Files(encoding, context)
  const shown = files.shown(schema, 0)
  for (const [name, file] of files.found) fields[name] = { ...fields[name], file }
  return { fields, schema: shown, ...(files.others === undefined ? {} : { others: { file: files.others } }) }
}

export interface Parts {
  readonly schema: Node
  readonly first: readonly FieldBinding[]
  readonly rest: FieldBinding
}

/** What `prefixEncoding`, `itemEncoding` and a list's schema say of its parts; `undefined` for anything but a list. */
export function readParts(schema: unknown, media: Node, context: FieldContext): Parts | undefined {
  const found = context.refs.follow(schema)
  if (!found.ok || !isNode(found.node)) return undefined
  const { node } = found
  const prefix = listAt(node, 'prefixItems')
  if (itemsOf(node, context.refs) === undefined && prefix.length === 0) return undefined
  const files = new Files({}, context)
  const partOf = (item: unknown, encoding: unknown): { shown: unknown; field: FieldBinding } => {
    const field = fieldBinding(isNode(encoding) ? encoding : {}, false)
    const file = files.member(item, isNode(encoding) ? encoding : undefined)
    const xml = field.contentType !== undefined && kindOf(essence(field.contentType)) === 'xml'
    return {
      shown: file?.schema ?? item,
      field: {
        ...field,
        ...(file === undefined ? {} : { file: file.file }),
        ...(xml ? { xml: xmlBinding(item, context.refs, context.dialect) } : {}),
      },
    }
  }
  const encodings = listAt(media, 'prefixEncoding')
  const count = Math.max(prefix.length, Math.min(encodings.length, limits.documentDepth))
  const first = Array.from({ length: count }, (_, index) =>
    partOf(prefix[index] ?? node['items'], encodings[index] ?? media['itemEncoding']),
  )
  const rest = partOf(node['items'] ?? {}, media['itemEncoding'])
  return {
    schema: {
      ...node,
      ...(prefix.length === 0 ? {} : { prefixItems: first.slice(0, prefix.length).map(({ shown }) => shown) }),
      ...(node['items'] === undefined ? {} : { items: rest.shown }),
    },
    first: first.map(({ field }) => field),
    rest: rest.field,
  }
}

/** OAS 3.1.1 §4.8.15: `encoding` by property, style only where it is given. */
function fieldBindings(encoding: Node, styles: boolean): Bindings {
  const fields: Bindings = {}
  for (const [name, entry] of Object.entries(encoding)) {
    if (isNode(entry)) fields[name] = fieldBinding(entry, styles)
  }
  return fields
}

function fieldBinding(entry: Node, styles: boolean): FieldBinding {
  const contentType = textAt(entry, 'contentType')
  const styled =
    styles && (entry['style'] !== undefined || entry['explode'] !== undefined || entry['allowReserved'] !== undefined)
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(styled ? styleOf(entry, 'query', '3.1') : {}),
    ...(entry['allowReserved'] === true ? { reserved: true as const } : {}),
  }
}

/** A list is written item by item (OAS 3.1.1 §4.8.15.1.1; in a form from 3.2 on), XML by the hints of what is written. */
function refine(fields: Bindings, name: string, member: unknown, { dialect, refs, kind }: FieldContext): void {
  const field = fields[name]
  const found = refs.follow(member)
  // A text that is encoded already says nothing of what it is (OAS 3.1.1 §4.8.15, `contentType`).
  const encoded = found.ok && textAt(found.node, 'contentEncoding') !== undefined
  if (encoded && kind === 'multipart' && dialect !== '2.0' && dialect !== '3.0' && field?.contentType === undefined) {
    fields[name] = { ...field, contentType: 'application/octet-stream' }
    return
  }
  const type = field?.contentType === undefined ? undefined : essence(field.contentType)
  if (field === undefined || type === undefined) return
  const items = itemsOf(member, refs)
  const each = items !== undefined && (kind === 'multipart' || dialect === '3.2')
  if (isJsonType(type)) {
    if (each) fields[name] = { ...field, each: true }
  } else if (kindOf(type) === 'xml')
    fields[name] = { ...field, xml: xmlBinding(each ? items.schema : member, refs, dialect) }
}

/** What a list holds; `undefined` for anything but a list. */
function itemsOf(schema: unknown, refs: References): { readonly schema: unknown } | undefined {
  const found = refs.follow(schema)
  if (!found.ok || !isNode(found.node)) return undefined
  const { type, items } = found.node
  const isList = type === undefined ? items !== undefined : [type].flat().includes('array')
  return isList ? { schema: items } : undefined
}

/** Raw members of an object schema, through references and branches. */
function memberSchemas(schema: unknown, refs: References, depth: number): Map<string, unknown> {
  const found = refs.follow(schema)
  const members = new Map<string, unknown>()
  if (!found.ok || depth > depthMax) return members
  for (const [name, member] of Object.entries(nodeAt(found.node, 'properties') ?? {})) members.set(name, member)
  for (const part of branches.flatMap((keyword) => listAt(found.node, keyword)))
    for (const [name, member] of memberSchemas(part, refs, depth + 1)) if (!members.has(name)) members.set(name, member)
  return members
}

const branches = ['allOf', 'oneOf', 'anyOf'] as const

type File = NonNullable<FieldBinding['file']>

/** Finds the files of a multipart body. Only what leads to one is written anew; references to the rest stay. */
class Files {
  readonly found = new Map<string, File>()
  others: File | undefined
  readonly #encoding: Node
  readonly #refs: References
  readonly #modern: boolean

  constructor(encoding: Node, { dialect, refs }: FieldContext) {
    this.#encoding = encoding
    this.#refs = refs
    this.#modern = dialect === '3.1' || dialect === '3.2'
  }

  /** The body's schema, or a branch of it. */
  shown(schema: unknown, depth: number): unknown {
    const found = this.#refs.follow(schema)
    if (!found.ok || !isNode(found.node) || depth > depthMax) return schema
    const { node } = found
    const properties = nodeAt(node, 'properties')
    const changed: { [keyword: string]: unknown } = {}
    const members = Object.entries(properties ?? {}).map(([name, member]) => {
      const file = this.member(member, nodeAt(this.#encoding, name))
      if (file !== undefined) this.#note(name, file.file)
      return [name, file?.schema ?? member] as const
    })
    if (members.some(([name, member]) => member !== properties?.[name]))
      changed['properties'] = Object.fromEntries(members)
    const additional = node['additionalProperties']
    const rest = isUntyped(additional) ? undefined : this.member(additional, undefined)
    if (rest !== undefined) {
      this.others = rest.file
      changed['additionalProperties'] = rest.schema
    }
    for (const keyword of branches) {
      const list = listAt(node, keyword)
      const parts = list.map((part) => this.shown(part, depth + 1))
      if (parts.some((part, index) => part !== list[index])) changed[keyword] = parts
    }
    return Object.keys(changed).length === 0 ? schema : { ...node, ...changed }
  }

  /** A member that is a file in one branch and something else in another is one where it looks like one. */
  #note(name: string, file: File): void {
    const before = this.found.get(name)
    this.found.set(name, before === undefined || before === file ? file : 'told')
  }

  /** `undefined` where no file is in it. */
  member(schema: unknown, encoding: Node | undefined, depth = 0): Shown | undefined {
    const found = this.#refs.follow(schema)
    if (!found.ok || depth > depthMax) return undefined
    const { node } = found
    if (this.#modern && isUntyped(node) && !isFile(node, encoding) && declaredOf(node, encoding) === undefined)
      return { schema: withHint(kept(schema, node)), file: 'told' }
    if (!isNode(node)) return undefined
    if (isFile(node, encoding)) return { schema: { ...fileOf(node), ...kept(schema, node) }, file: true }
    if (itemsOf(node, this.#refs) !== undefined) {
      const items = this.member(node['items'], encoding, depth + 1)
      return items === undefined
        ? undefined
        : { schema: { ...node, ...kept(schema, node), items: items.schema }, file: items.file }
    }
    return this.#branches(node, schema, encoding, depth)
  }

  #branches(node: Node, schema: unknown, encoding: Node | undefined, depth: number): Shown | undefined {
    for (const keyword of branches) {
      const list = listAt(node, keyword)
      const parts = list.map((part) => (isNull(part) ? undefined : this.member(part, encoding, depth + 1)))
      const files = parts.filter((part) => part !== undefined)
      if (files.length === 0) continue
      const certain =
        files.every(({ file }) => file === true) &&
        (keyword === 'allOf' || list.every((part, index) => parts[index] !== undefined || isNull(part)))
      const changed = {
        ...node,
        ...kept(schema, node),
        [keyword]: list.map((part, at) => parts[at]?.schema ?? part),
      }
      return { schema: changed, file: certain ? true : 'told' }
    }
    return undefined
  }
}

interface Shown {
  readonly schema: Node
  readonly file: File
}

/** What stays of a schema that is shown as a file; what stands beside a reference wins. */
function kept(outer: unknown, inner: unknown): Node {
  const whole = { ...(isNode(inner) ? inner : {}), ...(isNode(outer) ? outer : {}) }
  return Object.fromEntries(
    ['description', 'deprecated', 'readOnly', 'writeOnly'].flatMap((keyword) =>
      whole[keyword] === undefined ? [] : [[keyword, whole[keyword]]],
    ),
  )
}

const withHint = (node: Node): Node => {
  const description = textAt(node, 'description')
  return { ...node, description: description === undefined ? fileHint : `${description} ${fileHint}` }
}

const isNull = (schema: unknown): boolean => isNode(schema) && schema['type'] === 'null'

const fileOf = (node: Node): Node =>
  node['nullable'] === true || [node['type']].flat().includes('null')
    ? { ...fileSchema, type: ['object', 'string', 'null'] }
    : fileSchema

const annotations = /^(?:title|description|summary|deprecated|examples?|default|readOnly|writeOnly|x-.*|\$comment)$/

/** A schema that says nothing of its value: bytes by default in a form (OAS 3.1.1 §4.8.15, `contentType`). */
const isUntyped = (node: unknown): boolean =>
  node === true || (isNode(node) && Object.keys(node).every((keyword) => annotations.test(keyword)))

const typeOf = (node: unknown): unknown => {
  const types = [isNode(node) ? node['type'] : undefined].flat().filter((type) => type !== 'null')
  return types.length > 1 ? types : types[0]
}

const declaredOf = (node: unknown, encoding: Node | undefined): string | undefined =>
  textAt(node, 'contentMediaType') ?? (typeOf(node) === undefined ? textAt(encoding, 'contentType') : undefined)

/** `format: binary` (3.0), `type: file` (2.0), a binary media type without an encoding (3.1 §4.8.15.3). */
function isFile(node: unknown, encoding: Node | undefined): boolean {
  const type = typeOf(node)
  if (type === 'file' || textAt(node, 'format') === 'binary') return true
  if (type !== undefined && type !== 'string') return false
  if (textAt(node, 'contentEncoding') !== undefined) return false
  const declared = declaredOf(node, encoding)
  if (declared === undefined || (isNode(node) && node['items'] !== undefined)) return false
  return kindOf(essence(declared.split(',', 1)[0] ?? '')) === 'binary'
}
