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
import { coerce, enumeration, plainKeywords, type Schema, shortDefault, typesOf } from './keywords.ts'
import { hintAt, tellBranches } from './hints.ts'
import { isSchema, mergeAll, same } from './merge.ts'
import { onlyProse, orNull, proseOf } from './prose.ts'
import type { References } from './refs.ts'
import { cutRings } from './rings.ts'
import { type Direction, flagOf, flagged, hiddenMembers } from './visibility.ts'
import { at, decodeToken, isNode, listAt, member, type Node, nodeAt, textAt } from './tree.ts'

/** Definitions by name; a definition under conversion is there but not yet `done`. */
interface Definition {
  readonly schema: Schema
  done: boolean
}

export type Definitions = Map<string, Definition>

export type Warn = (code: string, pointer: string, message: string) => void

const refTo = (name: string): string => `#/$defs/${name}`

/** The definition that a schema’s `$ref` names. */
export const nameIn = (schema: Schema): string | undefined => {
  const ref = schema['$ref']
  return typeof ref === 'string' && ref.startsWith(refTo('')) ? ref.slice(refTo('').length) : undefined
}

export class Schemas {
  readonly #refs: References
  readonly #dialect: Dialect
  readonly #keys: Keys
  readonly #definitions: Record<Direction, Definitions> = { input: new Map(), output: new Map() }
  readonly #names = new Map<string, string>()
  readonly #owners = new Map<string, string>()
  #budget = 0
  /** Definitions begun by the operation at hand, and how deep it is in them. */
  #begun: { readonly direction: Direction; readonly name: string }[] = []
  #chain = 0
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
    this.#begun = []
    this.#chain = 0
    this.#warn = warn
  }

  /** Forgets what an operation that failed began: it may be cut, and others would take it for whole. */
  rollBack(): void {
    for (const { direction, name } of this.#begun) this.#definitions[direction].delete(name)
  }

  /** Converts one schema. Throws `over_limit` past `limits.schemaNodes` or `limits.schemaDepth`. */
  convert(schema: unknown, direction: Direction, pointer: string, depth = 0): Schema {
    if (schema === false) return { not: {} }
    if (!isNode(schema)) return {}
    if (--this.#budget < 0 || depth > limits.schemaDepth || this.#chain > limits.schemaChain)
      throw new GatewayError('over_limit', {
        words: `Its schema has more than ${limits.schemaNodes} nodes or ${limits.schemaDepth} levels.`,
      })
    const ref = textAt(schema, '$ref') ?? textAt(schema, '$dynamicRef')
    return ref === undefined
      ? this.#keywords(schema, direction, pointer, depth)
      : this.#reference(schema, ref, direction, pointer, depth)
  }

  #reference(schema: Node, ref: string, direction: Direction, pointer: string, depth: number): Schema {
    const found = this.#refs.resolve(ref, 'schema', pointer)
    if (!found.ok) {
      this.#warn(`${found.reason}_ref`, pointer, `${brokenRef[found.reason]} Anything is taken in its place.`)
      return this.#siblings(schema, {}, direction, pointer, depth)
    }
    const name = this.#nameOf(found.pointer)
    const definitions = this.#definitions[direction]
    if (!definitions.has(name)) {
      const definition: Definition = { schema: {}, done: false }
      definitions.set(name, definition)
      this.#begun.push({ direction, name })
      this.#chain++
      const converted =
        found.node === true || isNode(found.node) || found.node === false
          ? this.convert(found.node, direction, found.pointer)
          : {}
      Object.assign(definition.schema, converted)
      definition.done = true
      this.#chain--
      if (cutRings(name, definition.schema, nameIn, definitions))
        this.#warn('ring_ref', pointer, `${brokenRef.ring} Anything is taken in its place.`)
    }
    return this.#siblings(schema, { $ref: refTo(name) }, direction, pointer, depth)
  }

  /** Beside a `$ref`, prose counts in every version; constraints count from 3.1 on (2.0 and 3.0 ignore them). */
  #siblings(schema: Node, target: Schema, direction: Direction, pointer: string, depth: number): Schema {
    const modern = this.#dialect === '3.1' || this.#dialect === '3.2'
    const { $ref: _ref, $dynamicRef: _dynamic, nullable: _nullable, ...rest } = schema
    const beside = modern ? this.#keywords(rest, direction, pointer, depth) : proseOf(rest)
    const whole = { ...target, ...beside }
    return schema['nullable'] === true && target['$ref'] !== undefined ? orNull(whole) : whole
  }

  #keywords(source: Node, direction: Direction, pointer: string, depth: number): Schema {
    const out: Schema = {}
    const types = this.#types(source)
    const nullable = source['nullable'] === true || source['x-nullable'] === true
    if (types.length === 1) out['type'] = types[0]
    else if (types.length > 1) out['type'] = types
    Object.assign(out, proseOf(source))
    this.#values(source, types, nullable, out)
    if (listAt(source, 'enum').length > limits.enumValues)
      this.#warn('enum_dropped', at(pointer, 'enum'), `More than ${limits.enumValues} values; any is taken.`)
    if (direction === 'input') hintAt(source, types, out)
    plainKeywords(source, out)
    if (source['pattern'] !== undefined && out['pattern'] === undefined)
      this.#warn(
        'pattern_dropped',
        at(pointer, 'pattern'),
        'The pattern is not an ECMA-262 expression and is left out.',
      )
    // A schema without a type may still say what an object or an array must be, if the value is one.
    if (types.length === 0 || types.includes('object')) this.#object(source, out, direction, pointer, depth)
    if (types.length === 0 || types.includes('array')) this.#array(source, out, direction, pointer, depth)
    this.#applicators(source, out, direction, pointer, depth)
    const merged = this.#allOf(source, out, direction, pointer, depth)
    return nullable ? orNull(merged) : merged
  }

  /** Declared types; an object or array by its members where the description forgot to say so. */
  #types(source: Node): string[] {
    const types = typesOf(source['type'])
    if (types.length > 0 || source['type'] === 'file') return source['type'] === 'file' ? ['string'] : types
    if (isNode(source['properties']) || isNode(source['additionalProperties'])) return ['object']
    if (source['items'] !== undefined || Array.isArray(source['prefixItems'])) return ['array']
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
    const preset = shortDefault(source['default'], kinds)
    const listed = out['enum']
    if (preset !== undefined && (!Array.isArray(listed) || listed.some((value) => same(value, preset))))
      out['default'] = preset
  }

  #object(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    const hidden = flagOf(direction)
    const properties: Schema = {}
    const required = new Set(listAt(source, 'required').filter((name): name is string => typeof name === 'string'))
    const place = at(pointer, 'properties')
    for (const [name, schema] of Object.entries(nodeAt(source, 'properties') ?? {})) {
      if (flagged(this.#refs, schema, hidden)) {
        required.delete(name)
        continue
      }
      properties[this.#shown(name, direction)] = this.convert(schema, direction, at(place, name), depth + 1)
      if (member(schema, 'required') === true) required.add(name)
    }
    if (Object.keys(properties).length > 0) out['properties'] = properties
    if (required.size > 0) out['required'] = [...required].map((name) => this.#shown(name, direction))
    const others = source['additionalProperties']
    if (others === false) out['additionalProperties'] = false
    else if (isNode(others) && Object.keys(others).length > 0)
      out['additionalProperties'] = this.convert(others, direction, at(pointer, 'additionalProperties'), depth + 1)
    this.#schemaMap('patternProperties', source, out, direction, pointer, depth)
    this.#dependentRequired(source, out, direction)
  }

  #dependentRequired(source: Node, out: Schema, direction: Direction): void {
    const map = Object.entries(nodeAt(source, 'dependentRequired') ?? {}).flatMap(([name, needed]) =>
      Array.isArray(needed)
        ? [
            [
              this.#shown(name, direction),
              needed.filter((each) => typeof each === 'string').map((each) => this.#shown(each, direction)),
            ] as const,
          ]
        : [],
    )
    if (map.length > 0) out['dependentRequired'] = Object.fromEntries(map)
  }

  /** Keys are rewritten in what a model writes; an answer has them as they are. */
  #shown(name: string, direction: Direction): string {
    return direction === 'input' ? this.#keys.safe(name) : name
  }

  #array(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    const items = itemsOf(source)
    const tuple = Array.isArray(items) ? items : listAt(source, 'prefixItems')
    if (tuple.length > 0)
      out['prefixItems'] = tuple.map((item, index) =>
        this.convert(item, direction, at(pointer, 'prefixItems', index), depth + 1),
      )
    // Some model providers refuse an array that does not say what it holds.
    if (Array.isArray(items)) out['items'] = {}
    else if (items !== undefined || out['type'] !== undefined)
      out['items'] = this.convert(items, direction, at(pointer, 'items'), depth + 1)
  }

  /** The applicators that hold schemas, except those of objects and arrays, and `allOf`. */
  #applicators(source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    for (const keyword of ['oneOf', 'anyOf'] as const) {
      const branches = listAt(source, keyword).filter((branch) => isNode(branch) || typeof branch === 'boolean')
      // With a discriminator a value says itself which branch it is of; that another one would fit as well is no fault.
      const told = keyword === 'oneOf' && source['discriminator'] !== undefined && source['anyOf'] === undefined
      const shown = told && direction === 'input' ? 'anyOf' : keyword
      if (branches.length > 0)
        out[shown] = branches.map((branch, index) =>
          this.convert(branch, direction, at(pointer, keyword, index), depth + 1),
        )
    }
    if (direction === 'input') tellBranches(source, out)
    const single = this.#dialect === '3.1' || this.#dialect === '3.2' ? modernApplicators : ['not']
    for (const keyword of single) {
      if (isNode(source[keyword]))
        out[keyword] = this.convert(source[keyword], direction, at(pointer, keyword), depth + 1)
      else if (source[keyword] === false && keyword.startsWith('unevaluated')) out[keyword] = false
    }
    if (single.length > 1) this.#schemaMap('dependentSchemas', source, out, direction, pointer, depth)
  }

  #schemaMap(keyword: string, source: Node, out: Schema, direction: Direction, pointer: string, depth: number): void {
    const map = nodeAt(source, keyword)
    if (map === undefined) return
    const converted: Schema = {}
    for (const [key, schema] of Object.entries(map)) {
      const name = keyword === 'patternProperties' ? patternKey(key) : this.#shown(key, direction)
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
    const whole = merged ?? { ...out, allOf: converted }
    return this.#withoutHidden(whole, source, direction)
  }

  /** A member that is not to be sent, or not to come back, is not required either, whichever branch says so. */
  #withoutHidden(schema: Schema, source: Node, direction: Direction): Schema {
    const hidden = hiddenMembers(this.#refs, source, direction, this.#keys, 0)
    if (hidden.size === 0) return schema
    const strip = (part: Schema): Schema => {
      const { required, ...rest } = part
      const left = Array.isArray(required) ? required.filter((name) => !hidden.has(String(name))) : []
      return left.length === 0 ? rest : { ...rest, required: left }
    }
    const branches = schema['allOf']
    const stripped = strip(schema)
    return Array.isArray(branches)
      ? { ...stripped, allOf: branches.map((part) => (isSchema(part) ? strip(part) : part)) }
      : stripped
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
      decodeToken(last)
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

/** An enumeration of scalars on a list is one of its items: no list could ever be such a value. */
const itemsOf = (source: Node): unknown => {
  const items = source['items']
  const listed = listAt(source, 'enum')
  if (listed.length === 0 || listed.some((value) => typeof value === 'object')) return items
  return isNode(items) && items['enum'] === undefined && items['$ref'] === undefined
    ? { ...items, enum: listed }
    : items
}

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

const patternKey = (pattern: string): string | undefined => {
  if (pattern === '__proto__') return undefined
  try {
    return new RegExp(pattern, 'u') instanceof RegExp ? pattern : undefined
  } catch {
    return undefined
  }
}
