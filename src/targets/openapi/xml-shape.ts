/**
 * `xml` hints of a schema → how its values become XML (OAS 3.1.1 §4.8.26, 3.2.0 §4.24.3): made at import, read at each
 * call. Only what differs from the default (an element named like the member) is written down.
 */
import { limits } from '../../core/limits.ts'
import type { Dialect } from './document.ts'
import type { References } from './refs.ts'
import { decodeToken, isNode, listAt, type Node, nodeAt, textAt } from './tree.ts'

/** How one schema's value stands in its parent. */
export interface XmlShape {
  readonly name?: string
  readonly prefix?: string
  readonly namespace?: string
  /** What it becomes, where that is not an element: 3.2's `nodeType`, of which `attribute` and `wrapped` are older forms. */
  readonly node?: 'attribute' | 'text' | 'cdata' | 'none'
  /** A list with an element of its own around its items. */
  readonly wrapped?: true
  readonly items?: XmlShape
  /** Of a list's first items, each by its place; the others are `items`. */
  readonly tuple?: readonly XmlShape[]
  readonly members?: { readonly [name: string]: XmlShape }
  /** Of members that are not named. */
  readonly others?: XmlShape
  /** Another shape, by its name in `XmlBinding.shapes`; what stands beside it wins. */
  readonly ref?: string
  /** An element of its own around what `ref` names. */
  readonly around?: true
}

export interface XmlBinding {
  /** The root element's name where no hint gives one. */
  readonly root: string
  readonly shape: XmlShape
  readonly shapes?: { readonly [pointer: string]: XmlShape }
}

export function xmlBinding(schema: unknown, refs: References, dialect: Dialect): XmlBinding {
  const shapes = new Map<string, XmlShape>()
  const shape = shapeOf(schema, { refs, byComponent: dialect === '3.2' }, shapes, 0)
  const ref = textAt(schema, '$ref')
  const component = ref === undefined ? undefined : decodeToken(ref.slice(ref.lastIndexOf('/') + 1))
  return {
    root: component !== undefined && isXmlName(component) ? component : 'root',
    shape,
    ...(shapes.size === 0 ? {} : { shapes: Object.fromEntries(shapes) }),
  }
}

interface Context {
  readonly refs: References
  /** From 3.2 on, a reference is no node of its own: what it names is, called after its component (§4.24.2). */
  readonly byComponent: boolean
}

function shapeOf(schema: unknown, context: Context, shapes: Map<string, XmlShape>, depth: number): XmlShape {
  if (!isNode(schema) || depth > limits.schemaDepth) return {}
  const ref = textAt(schema, '$ref')
  if (ref === undefined) return ownShape(schema, context, shapes, depth)
  const found = context.refs.follow(schema)
  if (!found.ok || !isNode(found.node)) return {}
  const name = found.pointer
  if (!shapes.has(name)) {
    shapes.set(name, {})
    const own = ownShape(found.node, context, shapes, depth + 1)
    shapes.set(name, context.byComponent ? { ...inferred(name, found.node), ...own } : own)
  }
  const around = context.byComponent && textAt(nodeAt(schema, 'xml'), 'nodeType') === 'element'
  return { ...hints(schema), ref: name, ...(around ? { around: true as const } : {}) }
}

/** A component's name, unless it is a list, which is no node of its own. */
function inferred(pointer: string, node: Node): XmlShape {
  const name = decodeToken(/^\/components\/schemas\/([^/]+)$/.exec(pointer)?.[1] ?? '')
  return isList(node) || !isXmlName(name) ? {} : { name }
}

const isList = (schema: Node): boolean =>
  [schema['type']].flat().includes('array') || schema['items'] !== undefined || schema['prefixItems'] !== undefined

function ownShape(node: Node, context: Context, shapes: Map<string, XmlShape>, depth: number): XmlShape {
  const members = new Map<string, XmlShape>()
  let own: XmlShape = hints(node)
  for (const [name, member] of Object.entries(nodeAt(node, 'properties') ?? {}))
    keep(members, name, shapeOf(member, context, shapes, depth + 1))
  let items = filled(shapeOf(node['items'], context, shapes, depth + 1))
  let others = filled(shapeOf(node['additionalProperties'], context, shapes, depth + 1))
  const tuple = listAt(node, 'prefixItems').map((item) => shapeOf(item, context, shapes, depth + 1))
  for (const branch of ['allOf', 'oneOf', 'anyOf'].flatMap((keyword) => listAt(node, keyword))) {
    const part = spelled(shapeOf(branch, context, shapes, depth + 1), shapes)
    own = { ...hintsOf(part), ...own }
    for (const [name, member] of Object.entries(part.members ?? {})) if (!members.has(name)) members.set(name, member)
    items ??= part.items
    others ??= part.others
  }
  return {
    ...own,
    ...(members.size === 0 ? {} : { members: Object.fromEntries(members) }),
    ...(items === undefined ? {} : { items }),
    ...(tuple.length === 0 ? {} : { tuple }),
    ...(others === undefined ? {} : { others }),
  }
}

const keep = (members: Map<string, XmlShape>, name: string, shape: XmlShape): void => {
  if (filled(shape) !== undefined && name !== '__proto__') members.set(name, shape)
}

const filled = (shape: XmlShape): XmlShape | undefined => (Object.keys(shape).length === 0 ? undefined : shape)

const spelled = (shape: XmlShape, shapes: ReadonlyMap<string, XmlShape>): XmlShape =>
  shape.ref === undefined ? shape : { ...shapes.get(shape.ref), ...hintsOf(shape) }

const hintsOf = ({ name, prefix, namespace, node, wrapped }: XmlShape): XmlShape => ({
  ...(name === undefined ? {} : { name }),
  ...(prefix === undefined ? {} : { prefix }),
  ...(namespace === undefined ? {} : { namespace }),
  ...(node === undefined ? {} : { node }),
  ...(wrapped === undefined ? {} : { wrapped }),
})

/** What is no XML name, or no namespace, is left out: the element is then named like the member. */
function hints(schema: Node): XmlShape {
  const xml = nodeAt(schema, 'xml')
  if (xml === undefined) return {}
  const name = textAt(xml, 'name')
  const prefix = textAt(xml, 'prefix')
  const namespace = textAt(xml, 'namespace')
  const type = textAt(xml, 'nodeType')
  const node = type ?? (xml['attribute'] === true ? 'attribute' : undefined)
  const list = isList(schema)
  return {
    ...(name !== undefined && isXmlName(name) ? { name } : {}),
    ...(prefix !== undefined && isXmlName(prefix) ? { prefix } : {}),
    ...(namespace === undefined || namespace === '' ? {} : { namespace }),
    ...(node === 'attribute' || node === 'text' || node === 'cdata' || (node === 'none' && !list) ? { node } : {}),
    ...(list && (xml['wrapped'] === true || type === 'element') ? { wrapped: true as const } : {}),
  }
}

/** An NCName, or two with a colon between (Namespaces in XML 1.0 §4), of the characters that every parser knows. */
export const isXmlName = (name: string): boolean =>
  name.length <= 256 && /^[\p{L}_][\p{L}\p{N}\p{M}_.·-]*(?::[\p{L}_][\p{L}\p{N}\p{M}_.·-]*)?$/u.test(name)
