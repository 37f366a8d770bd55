/**
 * What changed from one schema to another, and whether less or more fits it. Each keyword is held against its own
 * counterpart; since a schema is the conjunction of its keywords, one that narrows nowhere lets everything through
 * that the older one did. What is not understood counts as both narrower and wider.
 */
import { limits } from '../core/limits.ts'
import { items, members } from './schema-members.ts'
import { alternatives, conjuncts, wrapped } from './schema-branches.ts'
import { type Comparing, type Effect, effectOn, joined, type Mode, nameAt, type SchemaChange } from './schema-change.ts'
import {
  annotations,
  below,
  bothPass,
  boundOf,
  bounds,
  closure,
  follow,
  isNever,
  passingTypes,
  type Place,
  type Root,
  tighter,
  typesOf,
  valuesOf,
  within,
} from './schema-facts.ts'
import { canonical, pointerTo, type SchemaNode } from './schema-walk.ts'

/** Compares two whole schemas, with the pointers at which they stand in their definitions. */
export function schemaDifference(before: Root, after: Root): SchemaChange[] {
  const comparison = new Comparison(before, after)
  comparison.compare(before, after, { flipped: false, entangled: false, alone: true })
  const changes = new Map<string, SchemaChange>()
  for (const change of comparison.changes) {
    const key = `${change.pointer} ${change.kind} ${change.message}`
    changes.set(key, { ...change, effect: joined(change.effect, changes.get(key)?.effect ?? 'none') })
  }
  return [...changes.values()]
}

/** Keywords that are compared one by one below; every other one is opaque. */
const understood = new Set([
  ...annotations,
  ...'$ref type enum const minimum exclusiveMinimum maximum exclusiveMaximum minLength maxLength minItems maxItems minProperties maxProperties multipleOf uniqueItems properties required additionalProperties patternProperties items prefixItems propertyNames allOf anyOf oneOf not contains minContains maxContains'.split(
    ' ',
  ),
])

/** Opaque keywords that are about one type only. */
const aboutType = new Map([
  ['pattern', 'string'],
  ['contentEncoding', 'string'],
  ['contentMediaType', 'string'],
  ['contentSchema', 'string'],
  ['uniqueItems', 'array'],
  ['contains', 'array'],
  ['dependentRequired', 'object'],
  ['dependentSchemas', 'object'],
])

/** What these mean depends on the whole schema, or on drafts before 2020-12; a `$ref` is left when it leads nowhere. */
const contextual = ['unevaluatedProperties', 'unevaluatedItems', '$dynamicRef', '$ref', 'additionalItems', 'items']

/** Beside these, a schema is not alone in speaking about its object's members or its list's items. */
const company = 'allOf anyOf oneOf not if dependentSchemas patternProperties propertyNames contains'.split(' ')

class Comparison implements Comparing {
  readonly changes: SchemaChange[] = []
  readonly before: Root
  readonly after: Root
  readonly #seen = new Map<SchemaNode, Map<SchemaNode, Set<string>>>()
  #steps = 0
  #depth = 0
  #isCut = false

  constructor(before: Root, after: Root) {
    this.before = before
    this.after = after
  }

  report(mode: Mode, pointer: string, kind: string, effect: Effect, message: string): void {
    this.changes.push({ pointer, kind, effect: effectOn(mode, effect), message })
  }

  /** Recursion ends where a pair comes again: what it changes is said where it came first. */
  compare(before: Place, after: Place, mode: Mode): void {
    if (this.#wasSeen(before.schema, after.schema, mode)) return
    if (++this.#steps > limits.schemaNodes || this.#depth >= limits.schemaChain) {
      if (!this.#isCut)
        this.report(mode, after.pointer, 'schema', 'both', 'The schemas are too large to be compared whole.')
      this.#isCut = true
      return
    }
    this.#depth++
    this.#pair(before, after, mode)
    this.#depth--
  }

  #pair(before: Place, after: Place, mode: Mode): void {
    const [b, a] = [follow(before, this.before), follow(after, this.after)]
    this.#annotations({ ...b.schema, ...before.schema }, { ...a.schema, ...after.schema }, after.pointer, mode)
    if (b.schema !== before.schema || a.schema !== after.schema) {
      if (this.#wasSeen(b.schema, a.schema, mode)) return
      if (b.schema !== before.schema && a.schema !== after.schema)
        this.#annotations(b.schema, a.schema, a.pointer, mode)
    }
    if (isNever(b.schema) || isNever(a.schema)) {
      if (!isNever(b.schema))
        this.report(mode, a.pointer, 'closed', 'narrows', `${nameAt(a.pointer)} takes nothing now.`)
      if (!isNever(a.schema))
        this.report(mode, a.pointer, 'opened', 'widens', `${nameAt(a.pointer)} took nothing before.`)
      return
    }
    if (this.#isContextual(b.schema, a.schema)) {
      if (closure(b.schema, this.before) !== closure(a.schema, this.after))
        this.report(mode, a.pointer, 'schema', 'both', `${nameAt(a.pointer)} changed in a way that is not compared.`)
      return
    }
    if (wrapped(this, b, a, mode)) return
    this.#types(b, a, mode)
    this.#values(b, a, mode)
    this.#bounds(b, a, mode)
    this.#opaque(b, a, mode)
    const alone =
      mode.alone && !company.some((keyword) => Object.hasOwn(b.schema, keyword) || Object.hasOwn(a.schema, keyword))
    if (bothPass(b.schema, a.schema, 'object')) members(this, b, a, { ...mode, alone })
    if (bothPass(b.schema, a.schema, 'array')) items(this, b, a, { ...mode, alone })
    conjuncts(this, b, a, { ...mode, alone: false })
    alternatives(this, b, a, mode)
    this.#not(b, a, mode)
  }

  #wasSeen(before: SchemaNode, after: SchemaNode, { flipped, entangled, alone }: Mode): boolean {
    const key = `${flipped}${entangled}${alone}`
    const others = this.#seen.get(before) ?? new Map<SchemaNode, Set<string>>()
    const modes = others.get(after) ?? new Set()
    if (modes.has(key)) return true
    this.#seen.set(before, others.set(after, modes.add(key)))
    return false
  }

  #isContextual(...schemas: readonly SchemaNode[]): boolean {
    return schemas.some((schema) =>
      contextual.some(
        (keyword) => Object.hasOwn(schema, keyword) && !(keyword === 'items' && !Array.isArray(schema[keyword])),
      ),
    )
  }

  /** What stands beside a `$ref` counts before what it names. */
  #annotations(b: SchemaNode, a: SchemaNode, pointer: string, mode: Mode): void {
    for (const [keyword, word] of [
      ['description', 'description'],
      ['title', 'title'],
      ['default', 'default'],
      ['deprecated', 'mark of deprecation'],
    ] as const)
      if (canonical(b[keyword]) !== canonical(a[keyword]))
        this.report(mode, pointerTo(pointer, keyword), keyword, 'none', `${nameAt(pointer)}: its ${word} changed.`)
  }

  #types({ schema: b }: Place, { schema: a, pointer }: Place, mode: Mode): void {
    const narrows = !within(passingTypes(b), typesOf(a))
    const widens = !within(passingTypes(a), typesOf(b))
    if (!narrows && !widens) return
    const effect = narrows && widens ? 'both' : narrows ? 'narrows' : 'widens'
    const words = (schema: SchemaNode): string =>
      Object.hasOwn(schema, 'type') || Object.hasOwn(schema, 'enum')
        ? [...passingTypes(schema)].join(' or ')
        : 'of any type'
    this.report(mode, pointer, 'type', effect, `${nameAt(pointer)} is ${words(a)}, was ${words(b)}.`)
  }

  #values({ schema: b }: Place, { schema: a, pointer }: Place, mode: Mode): void {
    const [old, now] = [valuesOf(b), valuesOf(a)]
    const report = (effect: Effect, words: string): void =>
      this.report(mode, pointer, 'enum', effect, `${nameAt(pointer)} ${words}.`)
    if (![b, a].some((schema) => Object.hasOwn(schema, 'enum') || Object.hasOwn(schema, 'const'))) return
    if (old === undefined && now === undefined) return
    if (old === undefined) return report('narrows', `is one of ${listed(now)} now`)
    if (now === undefined) return report('widens', `is no longer one of ${listed(old)} only`)
    const gone = new Map([...old].filter(([text]) => !now.has(text)))
    const more = new Map([...now].filter(([text]) => !old.has(text)))
    if (gone.size > 0) report('narrows', `is no longer ${listed(gone)}`)
    if (more.size > 0) report('widens', `may also be ${listed(more)}`)
  }

  #bounds({ schema: b }: Place, { schema: a, pointer }: Place, mode: Mode): void {
    for (const { type, soft, hard, of, from, sign, words } of bounds) {
      if (!bothPass(b, a, type)) continue
      const [old, now] = [boundOf(b, soft, hard, from, sign), boundOf(a, soft, hard, from, sign)]
      const change = tighter(now, old, sign)
      if (change === 0) continue
      const told = ({ value, exclusive }: typeof now): string =>
        Math.abs(value) === Infinity
          ? words[2]
          : `${words[exclusive ? 1 : 0]} ${value}${value === 1 ? of.replace(/s$/, '') : of}`
      const message = `${nameAt(pointer)} is ${told(now)}, was ${told(old)}.`
      this.report(mode, pointer, 'bound', change > 0 ? 'narrows' : 'widens', message)
    }
    const [old, now] = [b['multipleOf'], a['multipleOf']]
    if (old === now || !bothPass(b, a, 'number')) return
    const effect =
      old === undefined
        ? 'narrows'
        : now === undefined || isMultiple(old, now)
          ? 'widens'
          : isMultiple(now, old)
            ? 'narrows'
            : 'both'
    this.report(
      mode,
      pointer,
      'bound',
      effect,
      `${nameAt(pointer)} is a multiple of ${multiple(now)}, was of ${multiple(old)}.`,
    )
  }

  /** Keywords that are taken whole: added they narrow, gone they widen, changed they may do both. */
  #opaque(before: Place, after: Place, mode: Mode): void {
    const group = ({ schema }: Place): SchemaNode => ({
      ...Object.fromEntries(Object.entries(schema).filter(([keyword]) => !understood.has(keyword))),
      ...(schema['uniqueItems'] === true ? { uniqueItems: true } : {}),
      ...(schema['contains'] === undefined
        ? {}
        : { contains: [schema['contains'], schema['minContains'] ?? 1, schema['maxContains'] ?? null] }),
    })
    const [b, a] = [group(before), group(after)]
    for (const keyword of new Set([...Object.keys(b), ...Object.keys(a)])) {
      const [was, is] = [Object.hasOwn(b, keyword), Object.hasOwn(a, keyword)]
      if (was && is && closure(b[keyword], this.before) === closure(a[keyword], this.after)) continue
      const type = aboutType.get(keyword)
      if (type !== undefined && !bothPass(before.schema, after.schema, type)) continue
      const effect = was && is ? 'both' : is ? 'narrows' : 'widens'
      const words = was && is ? 'changed' : is ? 'is new' : 'is gone'
      const message = `${nameAt(after.pointer)}: \`${keyword}\` ${words}${is && typeof a[keyword] === 'string' ? ` (${short(a[keyword])})` : ''}.`
      this.report(
        mode,
        after.pointer,
        keyword === 'pattern' || keyword === 'format' ? keyword : 'schema',
        effect,
        message,
      )
    }
  }

  #not(before: Place, after: Place, mode: Mode): void {
    const [was, is] = [before, after].map(({ schema }) => schema['not'] !== undefined)
    const { pointer } = after
    if (was && is)
      this.compare(below(before, 'not'), below(after, 'not'), { ...mode, flipped: !mode.flipped, alone: false })
    else if (is) this.report(mode, pointer, 'schema', 'narrows', `${nameAt(pointer)}: \`not\` is new.`)
    else if (was) this.report(mode, pointer, 'schema', 'widens', `${nameAt(pointer)}: \`not\` is gone.`)
  }
}

const multiple = (of: unknown): string => (typeof of === 'number' ? String(of) : 'anything')

const isMultiple = (of: unknown, unit: unknown): boolean =>
  Number.isInteger(of) && Number.isInteger(unit) && Number(of) % Number(unit) === 0

const short = (value: unknown): string => {
  const text = JSON.stringify(value) ?? ''
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

const listed = (values: ReadonlyMap<string, unknown> | undefined): string => {
  const texts = [...(values ?? new Map()).values()].map(short)
  return texts.length > 5
    ? `${texts.slice(0, 5).join(', ')} and ${texts.length - 5} more`
    : texts.join(', ') || 'nothing'
}
