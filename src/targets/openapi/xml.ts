/** A value → XML 1.0 by the shapes that its schema's `xml` hints made (`xml-shape.ts`). */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import { scalar } from './styles.ts'
import { isXmlName, type XmlBinding, type XmlShape } from './xml-shape.ts'

const unbuildable = (words: string): GatewayError => new GatewayError('request_unbuildable', { words })

/** Prefix (`''` for the default one) → namespace, as declared by the elements around. */
type Scope = ReadonlyMap<string, string>

/** The document, without an XML declaration: UTF-8 is the default (XML 1.0 §4.3.3). Throws `request_unbuildable`. */
export function encodeXml(value: Json, binding: XmlBinding): string {
  const writer = new Writer(binding)
  return writer.root(value)
}

class Writer {
  readonly #binding: XmlBinding

  constructor(binding: XmlBinding) {
    this.#binding = binding
  }

  root(value: Json): string {
    const shape = this.#whole(this.#binding.shape)
    const name = shape.name ?? this.#binding.root
    return this.#element(value, name, shape.wrapped === true ? shape : { ...shape, wrapped: true }, new Map(), 0)
  }

  /** A shape with what it refers to; what stands beside the reference wins. */
  #whole(shape: XmlShape | undefined): XmlShape {
    let whole: XmlShape = shape ?? {}
    for (let hops = 0; whole.ref !== undefined && whole.around !== true && hops < limits.refHops; hops++) {
      const { ref, ...beside } = whole
      const shapes = this.#binding.shapes ?? {}
      whole = { ...(ref !== undefined && Object.hasOwn(shapes, ref) ? shapes[ref] : {}), ...beside }
    }
    return whole
  }

  /** Everything that a member becomes: one element, one an item, or the items without an element around. */
  #member(key: string, value: Json, given: XmlShape | undefined, scope: Scope, depth: number, inTuple = false): string {
    const shape = this.#whole(given)
    if (depth > limits.jsonDepth) throw unbuildable('The argument `body` is nested too deeply.')
    if (value === null && !inTuple) return ''
    if (shape.node === 'text') return escapeText(scalar(value))
    if (shape.node === 'cdata') return cdata(scalar(value))
    if (shape.around === true) return this.#element(value, shape.name ?? key, shape, scope, depth)
    if (Array.isArray(value) && shape.wrapped !== true) return this.#items(key, value, shape, scope, depth)
    if (shape.node === 'none') return this.#inside(value, key, shape, scope, depth)
    return this.#element(value, shape.name ?? key, shape, scope, depth)
  }

  /** Items are named by their own hint; without one, like the list (OAS 3.1.1 §4.8.26.2, XML arrays). */
  #items(name: string, values: readonly Json[], list: XmlShape, scope: Scope, depth: number): string {
    const rest = this.#whole(list.items)
    return values
      .map((value, index) => {
        const own = list.tuple?.[index]
        const item = own === undefined ? rest : this.#whole(own)
        return this.#member(item.name ?? name, value, item, scope, depth + 1, list.tuple !== undefined)
      })
      .join('')
  }

  #element(value: Json, local: string, shape: XmlShape, outer: Scope, depth: number): string {
    const name = shape.prefix === undefined || local.includes(':') ? local : `${shape.prefix}:${local}`
    if (!isXmlName(name)) throw unbuildable(`A member of \`body\` cannot be the name of an XML element.`)
    const declared = new Map<string, string>()
    const declare = (prefix: string, namespace: string | undefined): void => {
      if (namespace !== undefined && outer.get(prefix) !== namespace) declared.set(prefix, namespace)
    }
    declare(shape.prefix ?? '', shape.namespace)
    const attributes: string[] = []
    let rest: Json = value
    // A place in a list is kept (OAS 3.2.0 §4.24.4); a member that is null is left out.
    if (value === null && depth > 0) {
      declare('xsi', 'http://www.w3.org/2001/XMLSchema-instance')
      attributes.push(' xsi:nil="true"')
    }
    if (isObject(value) && shape.around !== true) {
      rest = {}
      for (const [key, item] of Object.entries(value)) {
        const member = this.#whole(this.#of(shape, key))
        if (member.node === 'attribute' && item !== null) {
          if (member.prefix !== undefined) declare(member.prefix, member.namespace)
          attributes.push(attribute(key, item, member))
        } else rest[key] = item
      }
    }
    const namespaces = [...declared].map(
      ([prefix, namespace]) => ` xmlns${prefix === '' ? '' : `:${prefix}`}="${escapeAttribute(namespace)}"`,
    )
    const scope = declared.size === 0 ? outer : new Map([...outer, ...declared])
    const inside =
      shape.around === true && shape.ref !== undefined
        ? this.#member(local, value, { ref: shape.ref }, scope, depth + 1)
        : this.#inside(rest, local, shape, scope, depth)
    const head = `${name}${namespaces.join('')}${attributes.join('')}`
    return inside === '' ? `<${head}/>` : `<${head}>${inside}</${name}>`
  }

  #inside(value: Json, name: string, shape: XmlShape, scope: Scope, depth: number): string {
    if (value === null) return ''
    if (Array.isArray(value)) return this.#items(name, value, shape, scope, depth)
    if (!isObject(value)) return escapeText(scalar(value))
    return Object.entries(value)
      .map(([key, item]) => this.#member(key, item, this.#of(shape, key), scope, depth + 1))
      .join('')
  }

  #of(shape: XmlShape, key: string): XmlShape | undefined {
    const members = shape.members
    return members !== undefined && Object.hasOwn(members, key) ? members[key] : shape.others
  }
}

const isObject = (value: Json): value is { [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function attribute(key: string, value: Json, shape: XmlShape): string {
  const local = shape.name ?? key
  const name = shape.prefix === undefined || local.includes(':') ? local : `${shape.prefix}:${local}`
  if (!isXmlName(name)) throw unbuildable(`A member of \`body\` cannot be the name of an XML attribute.`)
  return ` ${name}="${escapeAttribute(Array.isArray(value) ? value.map(scalar).join(' ') : scalar(value))}"`
}

/** Characters that no XML 1.0 document may hold, not even as references (§2.2). */
function legal(text: string): string {
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(text) || !text.isWellFormed())
    throw unbuildable('A text of `body` holds a character that XML cannot carry.')
  return text
}

/** A carriage return would be read as a line feed (§2.11) if it stood there as itself. */
const escapeText = (text: string): string =>
  legal(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('\r', '&#xD;')

const escapeAttribute = (text: string): string =>
  escapeText(text).replaceAll('"', '&quot;').replaceAll('\n', '&#xA;').replaceAll('\t', '&#x9;')

const cdata = (text: string): string => `<![CDATA[${legal(text).replaceAll(']]>', ']]]]><![CDATA[>')}]]>`
