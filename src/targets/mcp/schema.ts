/**
 * A server's schema → JSON Schema 2020-12 that this gateway can list and check: known keywords only, `$ref` only into its
 * own `$defs`, nothing fetched, no ring, bounded. What is not understood lets anything through, and never less.
 */
import { shortHash } from '../../core/hash.ts'
import { GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { plainKeywords, prose, regularExpression, type Schema, typesOf } from '../openapi/keywords.ts'
import { cutRings } from '../openapi/rings.ts'
import { decodeToken, isNode, member, type Node, textAt } from '../openapi/tree.ts'
import { flatRoot } from './root.ts'

/** Told of each thing that could not be kept. */
export type Lost = (code: 'external_ref' | 'dangling_ref' | 'ring_ref' | 'root_combinator', message: string) => void

/** Throws `over_limit` past `limits.schemaNodes` or `limits.schemaDepth`, `bad_description` when it is no object schema. */
export function legalSchema(source: unknown, lost: Lost): Schema {
  const types = isNode(source) ? typesOf(source['type']) : []
  if (!isNode(source) || (types.length > 0 && !types.includes('object')))
    throw new GatewayError('bad_description', { words: 'Its schema is not one of an object.' })
  return new Legaliser(source, lost).run()
}

const refTo = (name: string): string => `#/$defs/${name}`
const nameIn = (schema: Schema): string | undefined => {
  const ref = schema['$ref']
  return typeof ref === 'string' ? ref.slice(refTo('').length) : undefined
}

const single = ['not', 'if', 'then', 'else', 'contains', 'propertyNames', 'additionalProperties', 'unevaluatedItems']
const lists = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const maps = ['properties', 'dependentSchemas']

class Legaliser {
  readonly #root: Node
  readonly #lost: Lost
  readonly #definitions = new Map<string, { readonly schema: Schema }>()
  #nodes = 0
  #chain = 0

  constructor(root: Node, lost: Lost) {
    this.#root = root
    this.#lost = lost
  }

  run(): Schema {
    const converted = this.#schema(this.#root, 0)
    const root = flatRoot({ ...converted, type: 'object' }, this.#definitions, nameIn, () =>
      this.#lost('root_combinator', 'At the root, alternatives and conditions are told as one flat list of members.'),
    )
    const isDialect = this.#root['$schema'] === 'https://json-schema.org/draft/2020-12/schema'
    const used = this.#used(root)
    return {
      ...(isDialect ? { $schema: this.#root['$schema'] } : {}),
      ...root,
      ...(used.length === 0 ? {} : { $defs: Object.fromEntries(used) }),
    }
  }

  #schema(source: unknown, depth: number): Schema {
    if (source === false) return { not: {} }
    if (!isNode(source)) return {}
    this.#nodes++
    if (this.#nodes > limits.schemaNodes || depth > limits.schemaDepth || this.#chain > limits.schemaChain)
      throw new GatewayError('over_limit', {
        words: `Its schema has more than ${limits.schemaNodes} nodes or ${limits.schemaDepth} levels.`,
      })
    const out: Schema = {}
    const ref = member(source, '$ref') ?? member(source, '$dynamicRef')
    if (typeof ref === 'string') this.#reference(ref, out)
    const types = typesOf(source['type'])
    if (types.length > 0) out['type'] = types.length === 1 ? types[0] : types
    facts(source, out)
    plainKeywords(source, out)
    for (const keyword of single) this.#part(source, keyword, out, depth)
    for (const keyword of lists) this.#list(source, keyword, out, depth)
    for (const keyword of maps) this.#map(source, keyword, out, depth)
    this.#items(source, out, depth)
    this.#patterns(source, out, depth)
    return out
  }

  #part(source: Node, keyword: string, out: Schema, depth: number): void {
    const value = member(source, keyword)
    if (typeof value === 'boolean') {
      if (keyword === 'additionalProperties' || keyword === 'unevaluatedItems') out[keyword] = value
      else out[keyword] = this.#schema(value, depth + 1)
    } else if (isNode(value)) out[keyword] = this.#schema(value, depth + 1)
  }

  #list(source: Node, keyword: string, out: Schema, depth: number): void {
    const value = member(source, keyword)
    if (!Array.isArray(value) || value.length === 0) return
    out[keyword] = value.map((part) => this.#schema(part, depth + 1))
  }

  #map(source: Node, keyword: string, out: Schema, depth: number): void {
    const value = member(source, keyword)
    if (!isNode(value)) return
    const entries = Object.entries(value).map(([name, part]) => [name, this.#schema(part, depth + 1)] as const)
    out[keyword] = Object.fromEntries(entries)
  }

  /** A list of schemas under `items` is `prefixItems` by an older name (JSON Schema draft 7). */
  #items(source: Node, out: Schema, depth: number): void {
    const items = member(source, 'items')
    if (Array.isArray(items)) {
      if (items.length > 0) out['prefixItems'] = items.map((part) => this.#schema(part, depth + 1))
      const more = member(source, 'additionalItems')
      if (more !== undefined) out['items'] = this.#schema(more, depth + 1)
    } else if (items !== undefined) out['items'] = this.#schema(items, depth + 1)
  }

  #patterns(source: Node, out: Schema, depth: number): void {
    const value = member(source, 'patternProperties')
    if (!isNode(value)) return
    const kept = Object.entries(value).filter(([pattern]) => regularExpression(pattern) !== undefined)
    // with a pattern lost, what it allowed must not be what is forbidden
    if (kept.length < Object.keys(value).length && out['additionalProperties'] !== undefined)
      out['additionalProperties'] = true
    if (kept.length > 0)
      out['patternProperties'] = Object.fromEntries(
        kept.map(([pattern, part]) => [regularExpression(pattern) ?? pattern, this.#schema(part, depth + 1)]),
      )
  }

  /** Whatever a reference names inside the schema becomes a definition; one that leads out of it is never followed. */
  #reference(ref: string, out: Schema): void {
    if (!ref.startsWith('#')) return this.#lost('external_ref', `It refers to ${ref.slice(0, 200)}, outside of itself.`)
    const pointer = ref.slice(1)
    const found = resolve(this.#root, pointer)
    if (found === undefined) return this.#lost('dangling_ref', `It refers to ${ref.slice(0, 200)}, which is not there.`)
    const named = /^\/(?:\$defs|definitions)\/([\w.-]{1,64})$/.exec(pointer)?.[1]
    const name = named ?? `part_${shortHash(pointer)}`
    if (!this.#definitions.has(name)) {
      const schema: Schema = {}
      this.#definitions.set(name, { schema })
      this.#chain++
      Object.assign(schema, this.#schema(found, 0))
      this.#chain--
      if (cutRings(name, schema, nameIn, this.#definitions))
        this.#lost('ring_ref', `The definition ${name} refers to itself in place.`)
    }
    out['$ref'] = refTo(name)
  }

  /** The definitions that the schema still leads to. */
  #used(root: Schema): [string, Schema][] {
    const used = new Map<string, Schema>()
    const stack: unknown[] = [root]
    for (let part = stack.pop(); part !== undefined; part = stack.pop()) {
      if (Array.isArray(part)) stack.push(...part)
      if (!isNode(part)) continue
      const ref = part['$ref']
      const name = typeof ref === 'string' ? ref.slice(refTo('').length) : ''
      const schema = this.#definitions.get(name)?.schema
      if (schema !== undefined && !used.has(name)) {
        used.set(name, schema)
        stack.push(schema)
      }
      stack.push(...Object.values(part))
    }
    return [...used].toSorted(([a], [b]) => (a < b ? -1 : 1))
  }
}

/** Keywords whose values are data. */
function facts(source: Node, out: Schema): void {
  const title = prose(member(source, 'title'), limits.titleChars)
  const description = prose(member(source, 'description'), limits.propertyDescriptionChars)
  if (title !== undefined) out['title'] = title
  if (description !== undefined) out['description'] = description
  const choices = member(source, 'enum')
  if (Array.isArray(choices) && choices.length > 0 && choices.length <= limits.enumValues) out['enum'] = choices
  for (const keyword of ['const', 'default', 'examples', 'deprecated'])
    if (member(source, keyword) !== undefined) out[keyword] = source[keyword]
  const required = member(source, 'required')
  if (Array.isArray(required)) {
    const names = [...new Set(required.filter((name): name is string => typeof name === 'string'))]
    if (names.length > 0) out['required'] = names
  }
  const dependent = member(source, 'dependentRequired')
  if (isNode(dependent) && Object.values(dependent).every((names) => Array.isArray(names) && names.every(isText)))
    out['dependentRequired'] = dependent
}

const isText = (value: unknown): boolean => typeof value === 'string'

/** RFC 6901, own members only. */
function resolve(root: Node, pointer: string): unknown {
  if (pointer === '' || pointer === '/') return root
  if (!pointer.startsWith('/')) return undefined
  let node: unknown = root
  for (const token of pointer.slice(1).split('/')) {
    const key = decodeToken(token)
    node = Array.isArray(node) ? node[/^\d{1,9}$/.test(key) ? Number(key) : -1] : member(node, key)
    if (node === undefined) return undefined
  }
  return node
}

/** A tool's output schema. Left out where clients would refuse it; the answers come through without. */
export function outputOf(tool: Node, lost: Lost, told: (message: string) => void): Schema | undefined {
  const source = member(tool, 'outputSchema')
  if (source === undefined || source === null) return undefined
  try {
    if (textAt(source, 'type') !== 'object')
      throw new GatewayError('bad_description', { words: 'Its output is not described as an object.' })
    const schema = legalSchema(source, lost)
    if (JSON.stringify(schema).length <= limits.outputSchemaChars) return schema
    told('Its output schema is too long to be shown.')
  } catch (thrown) {
    told(`${toGatewayError(thrown).message} Its output schema is not shown.`)
  }
  return undefined
}
