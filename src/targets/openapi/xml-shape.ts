/**
 * `xml` hints of a schema → how its values become XML (OAS 3.1.1 §4.8.26, 3.2.0 §4.24.3): made at import, read at each
 * call. Only what differs from the default (an element named like the member) is written down.
 */
import { limits } from '../../core/limits.ts'
import type { References } from './refs.ts'
import { isNode, listAt, type Node, nodeAt, textAt } from './tree.ts'

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
  readonly members?: { readonly [name: string]: XmlShape }
  /** Of members that are not named. */
  readonly others?: XmlShape
  /** Another shape, by its name in `XmlBinding.shapes`; what stands beside it wins. */
  readonly ref?: string
}

export interface XmlBinding {
  /** The root element's name where no hint gives one. */
  readonly root: string
  readonly shape: XmlShape
  readonly shapes?: { readonly [pointer: string]: XmlShape }
}

export function xmlBinding(schema: unknown, refs: References): XmlBinding {
  const shapes = new Map<string, XmlShape>()
  const shape = shapeOf(schema, refs, shapes, 0)
  const ref = textAt(schema, '$ref')
  const component = ref === undefined ? undefined : decodeURIComponentSafe(ref.slice(ref.lastIndexOf('/') + 1))
  return {
    root: component !== undefined && isXmlName(component) ? component : 'root',
    shape,
    ...(shapes.size === 0 ? {} : { shapes: Object.fromEntries(shapes) }),
  }
}

function shapeOf(schema: unknown, refs: References, shapes: Map<string, XmlShape>, depth: number): XmlShape {
  if (!isNode(schema) || depth > limits.schemaDepth) return {}
  const ref = textAt(schema, '$ref')
  if (ref === undefined) return ownShape(schema, refs, shapes, depth)
  const found = refs.follow(schema)
  if (!found.ok || !isNode(found.node)) return {}
  const name = found.pointer
  if (!shapes.has(name)) {
    shapes.set(name, {})
    shapes.set(name, ownShape(found.node, refs, shapes, depth + 1))
  }
  return { ...hints(schema), ref: name }
}

function ownShape(node: Node, refs: References, shapes: Map<string, XmlShape>, depth: number): XmlShape {
  const members = new Map<string, XmlShape>()
  let own: XmlShape = hints(node)
  for (const [name, member] of Object.entries(nodeAt(node, 'properties') ?? {}))
    keep(members, name, shapeOf(member, refs, shapes, depth + 1))
  let items = filled(shapeOf(node['items'], refs, shapes, depth + 1))
  let others = filled(shapeOf(node['additionalProperties'], refs, shapes, depth + 1))
  for (const branch of ['allOf', 'oneOf', 'anyOf'].flatMap((keyword) => listAt(node, keyword))) {
    const part = spelled(shapeOf(branch, refs, shapes, depth + 1), shapes)
    own = { ...hintsOf(part), ...own }
    for (const [name, member] of Object.entries(part.members ?? {})) if (!members.has(name)) members.set(name, member)
    items ??= part.items
    others ??= part.others
  }
  return {
    ...own,
    ...(members.size === 0 ? {} : { members: Object.fromEntries(members) }),
    ...(items === undefined ? {} : { items }),
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
  const isList = schema['type'] === 'array' || schema['items'] !== undefined
  return {
    ...(name !== undefined && isXmlName(name) ? { name } : {}),
    ...(prefix !== undefined && isXmlName(prefix) ? { prefix } : {}),
    ...(namespace === undefined || namespace === '' ? {} : { namespace }),
    ...(node === 'attribute' || node === 'text' || node === 'cdata' || (node === 'none' && !isList) ? { node } : {}),
    ...(isList && (xml['wrapped'] === true || type === 'element') ? { wrapped: true as const } : {}),
  }
}

/** An NCName, or two with a colon between (Namespaces in XML 1.0 §4), of the characters that every parser knows. */
export const isXmlName = (name: string): boolean =>
  name.length <= 256 && /^[\p{L}_][\p{L}\p{N}\p{M}_.·-]*(?::[\p{L}_][\p{L}\p{N}\p{M}_.·-]*)?$/u.test(name)

const decodeURIComponentSafe = (token: string): string => {
  try {
    return decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return token
  }
}
