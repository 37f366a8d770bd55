/**
 * OpenAPI schema objects → JSON Schema 2020-12, in two directions: what a caller may send (without `readOnly` members)
 * and what comes back (without `writeOnly` ones). A referenced schema is converted once a document and direction, and
 * stays a reference into `$defs`; `assemble.ts` decides which of them a tool's schema spells out.
 */
import { shortHash } from '../../core/hash.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Dialect } from './document.ts'
import type { Keys } from './keys.ts'
import { coerce, enumeration, plainKeywords, prose, type Schema, shortDefault, typesOf } from './keywords.ts'
import { isSchema, mergeAll } from './merge.ts'
import { flagged, type References } from './refs.ts'
import { at, isNode, listAt, member, type Node, nodeAt, textAt } from './tree.ts'

export type Direction = 'input' | 'output'

/** Definitions by name; a definition under conversion is there but not yet `done`. */
export interface Definition {
  readonly schema: Schema
  done: boolean
}

export type Definitions = Map<string, Definition>

export type Warn = (code: string, pointer: string, message: string) => void

export const refTo = (name: string): string => `#/$defs/${name}`

export class Schemas {
  readonly #refs: References
  readonly #dialect: Dialect
  readonly #keys: Keys
  readonly #definitions: Record<Direction, Definitions> = { input: new Map(), output: new Map() }
  readonly #names = new Map<string, string>()
  readonly #owners = new Map<string, string>()
  #budget = 0
  #warn: Warn = () => undefined

  constructor(refs: References, dialect: Dialect, keys: Keys) {
    this.#refs = refs
    this.#dialect = dialect
    this.#keys = keys
  }

  definitions(direction: Direction): Definitions {
    return this.#definitions[direction]
  }

  /** Starts an operation: its own budget of nodes, its own ear for warnings. */
  begin(warn: Warn): void {
    this.#budget = limits.schemaNodes
    this.#warn = warn
  }

  /** Converts one schema. Throws `over_limit` past `limits.schemaNodes` or `limits.schemaDepth`. */
  convert(schema: unknown, direction: Direction, pointer: string, depth = 0): Schema {
    if (schema === false) return { not: {} }
    if (!isNode(schema)) return {}
    if (--this.#budget < 0 || depth > limits.schemaDepth)
      throw new GatewayError('over_limit', {
        words: `Its schema has more than ${limits.schemaNodes} nodes or ${limits.schemaDepth} levels.`,
      })
    const ref = textAt(schema, '$ref') ?? textAt(schema, '$dynamicRef')
    return ref === undefined
      ? this.#keywords(schema, direction, pointer, depth)
      : this.#reference(schema, ref, direction, pointer, depth)
  }

  #reference(schema: Node, ref: string, direction: Direction, pointer: string, depth: number): Schema {
    const found = this.#refs.resolve(ref, 'schema')
    if (!found.ok) {
      this.#warn(`${found.reason}_ref`, pointer, `${brokenRef[found.reason]} Anything is taken in its place.`)
      return this.#siblings(schema, {}, direction, pointer, depth)
    }
    const name = this.#nameOf(found.pointer)
    const definitions = this.#definitions[direction]
    if (!definitions.has(name)) {
      const definition: Definition = { schema: {}, done: false }
      definitions.set(name, definition)
      const converted =
        found.node === true || isNode(found.node) || found.node === false
          ? this.convert(found.node, direction, found.pointer, depth + 1)
          : {}
      Object.assign(definition.schema, converted)
      definition.done = true
    }
    return this.#siblings(schema, { $ref: refTo(name) }, direction, pointer, depth)
  }

  /** Beside a `$ref`, prose counts in every version; constraints count from 3.1 on (2.0 and 3.0 ignore them). */
  #siblings(schema: Node, target: Schema, direction: Direction, pointer: string, depth: number): Schema {
    const modern = this.#dialect === '3.1' || this.#dialect === '3.2'
    const { $ref: _ref, $dynamicRef: _dynamic, ...rest } = schema
    const beside = modern ? this.#keywords(rest, direction, pointer, depth) : proseOf(rest)
    if (rest['nullable'] === true && target['$ref'] !== undefined)
      return { anyOf: [target, { type: 'null' }], ...beside }
    return { ...target, ...beside }
  }

  #keywords(source: Node, direction: Direction, pointer: string, depth: number): Schema {
    const out: Schema = {}
    const types = this.#types(source)
    const nullable = source['nullable'] === true || source['x-nullable'] === true
    if (types.length === 1) out['type'] = types[0]
    else if (types.length > 1) out['type'] = types
    Object.assign(out, proseOf(source))
    this.#values(source, types, nullable, out)
    plainKeywords(source, out)
    if (source['pattern'] !== undefined && out['pattern'] === undefined)
      this.#warn(
        'pattern_dropped',
        at(pointer, 'pattern'),
        'The pattern is not an ECMA-262 expression and is left out.',
      )
    if (types.includes('object') || (types.length === 0 && isNode(source['properties'])))
      this.#object(source, out, direction, pointer, depth)
    if (types.includes('array')) this.#array(source, out, direction, pointer, depth)
    this.#applicators(source, out, direction, pointer, depth)
    const merged = this.#allOf(source, out, direction, pointer, depth)
    return nullable ? orNull(merged) : merged
  }

  /** Declared types; an object or array by its members where the description forgot to say so. */
  #types(source: Node): string[] {
    const types = typesOf(source['type'])
    if (types.length > 0 || source['type'] === 'file') return source['type'] === 'file' ? ['string'] : types
    if (isNode(source['properties']) || isNode(source['additionalProperties'])) return ['object']
    if (source['items'] !== undefined && !isNode(source['$ref'])) return ['array']
    return []
  }

  #values(source: Node, types: readonly string[], nullable: boolean, out: Schema): void {
    const kinds = nullable ? [...types, 'null'] : types
    const values = enumeration(source['enum'], types.length === 0 ? [] : kinds)
    if (values !== undefined) out['enum'] = nullable && !values.includes(null) ? [...values, null] : values
    if (Object.hasOwn(source, 'const')) {
      const value = coerce(source['const'], types)
      if (value !== undefined) out['const'] = value
    }
    const preset = shortDefault(source['default'], types)
    if (preset !== undefined) out['default'] = preset
  }

  #object(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    const hidden = direction === 'input' ? 'readOnly' : 'writeOnly'
    const properties: Schema = {}
    const required = new Set(listAt(source, 'required').filter((name): name is string => typeof name === 'string'))
    const place = at(pointer, 'properties')
    for (const [name, schema] of Object.entries(nodeAt(source, 'properties') ?? {})) {
      if (flagged(this.#refs, schema, hidden)) {
        required.delete(name)
        continue
      }
      properties[this.#keys.safe(name)] = this.convert(schema, direction, at(place, name), depth + 1)
      if (member(schema, 'required') === true) required.add(name)
    }
    if (Object.keys(properties).length > 0) out['properties'] = properties
    if (required.size > 0) out['required'] = [...required].map((name) => this.#keys.safe(name))
    const others = source['additionalProperties']
    if (others === false) out['additionalProperties'] = false
    else if (isNode(others) && Object.keys(others).length > 0)
      out['additionalProperties'] = this.convert(others, direction, at(pointer, 'additionalProperties'), depth + 1)
    this.#schemaMap('patternProperties', source, out, direction, pointer, depth)
  }

  #array(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    const items = source['items']
    const tuple = Array.isArray(items) ? items : listAt(source, 'prefixItems')
    if (tuple.length > 0)
      out['prefixItems'] = tuple.map((item, index) =>
        this.convert(item, direction, at(pointer, 'prefixItems', index), depth + 1),
      )
    // Some model providers refuse an array that does not say what it holds.
    out['items'] = Array.isArray(items) ? {} : this.convert(items, direction, at(pointer, 'items'), depth + 1)
  }

  /** The applicators that hold schemas, except those of objects and arrays, and `allOf`. */
  #applicators(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    for (const keyword of ['oneOf', 'anyOf'] as const) {
      const branches = listAt(source, keyword).filter((branch) => isNode(branch) || typeof branch === 'boolean')
      if (branches.length > 0)
        out[keyword] = branches.map((branch, index) =>
          this.convert(branch, direction, at(pointer, keyword, index), depth + 1),
        )
    }
    const single = this.#dialect === '3.1' || this.#dialect === '3.2' ? modernApplicators : ['not']
    for (const keyword of single)
      if (isNode(source[keyword]))
        out[keyword] = this.convert(source[keyword], direction, at(pointer, keyword), depth + 1)
    if (single.length > 1) this.#schemaMap('dependentSchemas', source, out, direction, pointer, depth)
  }

  #schemaMap(keyword: string, source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    const map = nodeAt(source, keyword)
    if (map === undefined) return
    const converted: Schema = {}
    for (const [key, schema] of Object.entries(map)) {
      const name = keyword === 'patternProperties' ? patternKey(key) : this.#keys.safe(key)
      if (name !== undefined) converted[name] = this.convert(schema, direction, at(pointer, keyword, key), depth + 1)
    }
    if (Object.keys(converted).length > 0) out[keyword] = converted
  }

  /** `allOf` and single-branch unions, merged into the schema around them where that loses nothing. */
  #allOf(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): Schema {
    const branches = listAt(source, 'allOf').filter(isNode)
    for (const keyword of ['oneOf', 'anyOf'] as const) {
      const list = out[keyword]
      if (Array.isArray(list) && list.length === 1 && isSchema(list[0])) {
        const merged = this.#merge(out, list[0], keyword, direction)
        if (merged !== undefined) out = merged
      }
    }
    if (branches.length === 0) return out
    const converted = branches
      .map((branch, index) => this.convert(branch, direction, at(pointer, 'allOf', index), depth + 1))
      // Closed branches of one conjunction exclude each other's members: no value would ever fit.
      .map((branch) =>
        branches.length > 1 || out['properties'] !== undefined ? this.#opened(branch, direction) : branch,
      )
      .filter((branch) => Object.keys(branch).length > 0)
    if (converted.length === 0) return out
    if (converted.length === 1 && converted[0]?.['$ref'] !== undefined && onlyProse(out))
      return { ...converted[0], ...out }
    const parts = [out, ...converted.map((branch) => this.#spelled(branch, direction))]
    const merged = parts.every((part) => part !== undefined)
      ? mergeAll(parts.filter((part) => part !== undefined))
      : undefined
    return merged ?? { ...out, allOf: converted }
  }

  #merge(around: Schema, branch: Schema, without: string, direction: Direction): Schema | undefined {
    const { [without]: _branch, ...rest } = around
    if (branch['$ref'] !== undefined && onlyProse(rest)) return { ...branch, ...rest }
    const spelled = this.#spelled(branch, direction)
    return spelled === undefined ? undefined : mergeAll([rest, spelled])
  }

  /** The key shown for a member’s name on the wire. */
  key(raw: string): string {
    return this.#keys.safe(raw)
  }

  /** A converted schema with its own `$ref` spelled out; an empty one where that cannot be. */
  spelled(schema: Schema, direction: Direction): Schema {
    return this.#spelled(schema, direction) ?? {}
  }

  /** The schema with its `$ref` spelled out, or nothing while that is still being converted (recursion). */
  #spelled(schema: Schema, direction: Direction): Schema | undefined {
    const ref = schema['$ref']
    if (typeof ref !== 'string') return schema
    const definition = this.#definitions[direction].get(ref.slice(refTo('').length))
    if (definition?.done !== true) return undefined
    const { $ref: _ref, ...rest } = schema
    const spelled = this.#spelled(definition.schema, direction)
    return spelled === undefined ? undefined : mergeAll([rest, spelled])
  }

  #opened(branch: Schema, direction: Direction): Schema {
    const spelled = branch['additionalProperties'] === false ? branch : this.#spelled(branch, direction)
    if (spelled?.['additionalProperties'] !== false) return branch
    const { additionalProperties: _closed, ...open } = spelled
    return open
  }

  #nameOf(pointer: string): string {
    const known = this.#names.get(pointer)
    if (known !== undefined) return known
    const last = pointer.slice(pointer.lastIndexOf('/') + 1)
    const wish =
      decodeSafe(last)
        .replace(/[^A-Za-z0-9_.-]+/g, '_')
        .slice(0, 64) || 'schema'
    const name = this.#owners.has(wish) ? `${wish.slice(0, 55)}_${shortHash(pointer)}` : wish
    this.#owners.set(name, pointer)
    this.#names.set(pointer, name)
    return name
  }
}

const brokenRef = {
  external: 'The reference leaves the document, and only local references are followed.',
  dangling: 'The reference names nothing in the document.',
  ring: 'The reference leads only to itself.',
} as const

const modernApplicators = [
  'not',
  'if',
  'then',
  'else',
  'contains',
  'propertyNames',
  'unevaluatedItems',
  'unevaluatedProperties',
]

const decodeSafe = (token: string): string => {
  try {
    return decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return token
  }
}

const patternKey = (pattern: string): string | undefined => {
  try {
    return new RegExp(pattern, 'u') && pattern
  } catch {
    return undefined
  }
}

const proseKeywords = new Set(['title', 'description', 'deprecated', 'default'])

const onlyProse = (schema: Schema): boolean => Object.keys(schema).every((keyword) => proseKeywords.has(keyword))

function proseOf(source: Node): Schema {
  const description = prose(source['description'], limits.propertyDescriptionChars)
  const out: Schema = {}
  if (description !== undefined) out['description'] = description
  if (source['deprecated'] === true) out['deprecated'] = true
  return out
}

/** `nullable` of OpenAPI 3.0: null is one more value, whatever else is said. */
function orNull(schema: Schema): Schema {
  const type = schema['type']
  if (type === undefined) {
    if (onlyProse(schema)) return schema
    const { description, ...rest } = schema
    return { anyOf: [rest, { type: 'null' }], ...(description === undefined ? {} : { description }) }
  }
  const types = Array.isArray(type) ? type : [type]
  return types.includes('null') ? schema : { ...schema, type: [...types, 'null'] }
}
