/** Compares lists of schemas: all of which hold (`allOf`), or of which one is enough (`anyOf`, `oneOf`). */
import { type Comparing, type Mode, nameAt } from './schema-change.ts'
import {
  annotations,
  follow,
  isOpen,
  passingTypes,
  type Place,
  type Root,
  toNode,
  valuesOf,
  within,
} from './schema-facts.ts'
import { canonical, isSchemaNode, pointerTo, type SchemaNode } from './schema-walk.ts'

const listAt = ({ schema, pointer }: Place, keyword: string): Place[] => {
  const list: unknown[] = Array.isArray(schema[keyword]) ? schema[keyword] : []
  return list.map((part, index) => ({ schema: toNode(part), pointer: pointerTo(pointer, keyword, index) }))
}

/** `allOf`: one more of them narrows, one less widens. */
export function conjuncts(comparing: Comparing, before: Place, after: Place, mode: Mode): void {
  const [old, now] = [listAt(before, 'allOf'), listAt(after, 'allOf')]
  const { pairs, gone, more } = pair(old, now, () => 1)
  for (const [b, a] of pairs) comparing.compare(b, a, mode)
  const name = nameAt(after.pointer)
  for (const { pointer } of more)
    comparing.report(mode, pointer, 'schema', 'narrows', `${name} has one more condition.`)
  for (const { pointer } of gone) comparing.report(mode, pointer, 'schema', 'widens', `${name} has one condition less.`)
}

interface Alternatives {
  readonly keyword: 'anyOf' | 'oneOf'
  readonly list: readonly Place[]
  /** The alternatives are all that the schema says, its type aside. */
  readonly isAll: boolean
}

/** The one list of alternatives that a schema has. Both lists at once are left to be compared each by itself. */
function alternativesOf(place: Place): Alternatives | undefined {
  const { anyOf, oneOf, ...rest } = place.schema
  if ((anyOf === undefined) === (oneOf === undefined)) return undefined
  const keyword = anyOf === undefined ? 'oneOf' : 'anyOf'
  const isAll = Object.keys(rest).every((word) => annotations.has(word) || word === 'type')
  return { keyword, list: listAt(place, keyword), isAll }
}

/**
 * A schema against one of which it is an alternative, such as a text that may be null now: compared as lists, the one
 * of a single item. Tells whether that was the case.
 */
export function wrapped(comparing: Comparing, before: Place, after: Place, mode: Mode): boolean {
  const single = (place: Place, other: Place): Alternatives | undefined => {
    if (alternativesOf(place) !== undefined || place.schema['anyOf'] !== undefined) return undefined
    const { anyOf: _any, oneOf: _one, ...rest } = other.schema
    return alternativesOf(other) !== undefined && isOpen(rest) && !isOpen(place.schema)
      ? { keyword: 'anyOf', list: [place], isAll: true }
      : undefined
  }
  const old = alternativesOf(before) ?? single(before, after)
  const now = alternativesOf(after) ?? single(after, before)
  if (old === undefined || now === undefined) return false
  if (alternativesOf(before) !== undefined && alternativesOf(after) !== undefined) return false
  branches(comparing, old, now, after.pointer, mode)
  return true
}

/** `anyOf` and `oneOf`: one less of them narrows, one more widens; where exactly one may fit, each concerns the others. */
export function alternatives(comparing: Comparing, before: Place, after: Place, mode: Mode): void {
  const [old, now] = [alternativesOf(before), alternativesOf(after)]
  if (old !== undefined && now !== undefined) return branches(comparing, old, now, after.pointer, mode)
  for (const keyword of ['anyOf', 'oneOf'] as const) {
    const [b, a] = [before, after].map(({ schema }) => schema[keyword] !== undefined)
    const report = (effect: 'narrows' | 'widens', words: string): void =>
      comparing.report(mode, after.pointer, 'alternative', effect, `${nameAt(after.pointer)} ${words}.`)
    if (b && a) {
      const [was, is] = [before, after].map((place) => ({ keyword, list: listAt(place, keyword), isAll: false }))
      if (was !== undefined && is !== undefined) branches(comparing, was, is, after.pointer, mode)
    } else if (a) report('narrows', `has alternatives now (\`${keyword}\`)`)
    else if (b) report('widens', `is no longer bound to alternatives (\`${keyword}\`)`)
  }
}

function branches(comparing: Comparing, old: Alternatives, now: Alternatives, pointer: string, mode: Mode): void {
  const sides = [
    { ...old, root: comparing.before },
    { ...now, root: comparing.after },
  ] as const
  const exclusive = sides.some(({ keyword, list, root }) => keyword === 'oneOf' && !areDisjoint(list, root))
  const alone = mode.alone && sides.every(({ isAll, list, root }) => isAll && holders(list, root) <= 1)
  const inner = { ...mode, alone, entangled: mode.entangled || exclusive }
  if (exclusive && old.keyword !== now.keyword)
    comparing.report(
      mode,
      pointer,
      'alternative',
      'both',
      `${nameAt(pointer)}: \`${old.keyword}\` became \`${now.keyword}\`.`,
    )
  const { pairs, gone, more } = pair(old.list, now.list, (b, a) =>
    likeness(follow(b, comparing.before).schema, follow(a, comparing.after).schema),
  )
  for (const [b, a] of pairs) comparing.compare(b, a, inner)
  const what = (place: Place, root: Root): string => describe(place, follow(place, root).schema)
  for (const place of gone)
    comparing.report(
      inner,
      place.pointer,
      'alternative',
      'narrows',
      `${nameAt(pointer)} is no longer ${what(place, comparing.before)}.`,
    )
  for (const place of more)
    comparing.report(
      inner,
      place.pointer,
      'alternative',
      'widens',
      `${nameAt(pointer)} may also be ${what(place, comparing.after)}.`,
    )
}

/** How many of the alternatives may be objects or lists. */
const holders = (list: readonly Place[], root: Root): number =>
  list.filter((place) => {
    const types = passingTypes(follow(place, root).schema)
    return types.has('object') || types.has('array')
  }).length

/** No value can fit two of them: their types differ, or a required member that each has with other values. */
function areDisjoint(list: readonly Place[], root: Root): boolean {
  const schemas = list.map((place) => follow(place, root).schema)
  return schemas.every((a, index) => schemas.slice(index + 1).every((b) => areApart(a, b)))
}

function areApart(a: SchemaNode, b: SchemaNode): boolean {
  const [types, others] = [passingTypes(a), passingTypes(b)].map(
    (set) => new Set([...set].map((type) => (type === 'integer' ? 'number' : type))),
  )
  if (types === undefined || others === undefined) return false
  const shared = new Set([...types].filter((type) => others.has(type)))
  if (shared.size === 0) return true
  const [values, more] = [valuesOf(a), valuesOf(b)]
  if (values !== undefined && more !== undefined) return ![...values.keys()].some((text) => more.has(text))
  if (shared.size > 1 || !shared.has('object')) return false
  return marks(a).some(([name, choices]) =>
    marks(b).some(([other, chosen]) => name === other && ![...choices].some((text) => chosen.has(text))),
  )
}

/** Required members that take few values, with the texts of these. */
function marks({ properties, required }: SchemaNode): [name: string, values: ReadonlySet<string>][] {
  if (!isSchemaNode(properties) || !Array.isArray(required)) return []
  return Object.entries(properties).flatMap(([name, schema]) => {
    const values = required.includes(name) && isSchemaNode(schema) ? valuesOf(schema) : undefined
    return values === undefined ? [] : [[name, new Set(values.keys())]]
  })
}

/** How much speaks for two alternatives being one and the same, changed; nothing when their types differ. */
function likeness(before: SchemaNode, after: SchemaNode): number {
  const [old, now] = [passingTypes(before), passingTypes(after)]
  if (!within(old, now) && !within(now, old)) return 0
  const names = ({ properties }: SchemaNode): Set<string> =>
    new Set(isSchemaNode(properties) ? Object.keys(properties) : [])
  const isNamed = typeof before['title'] === 'string' && before['title'] === after['title']
  return (
    1 +
    Number(old.size === now.size) +
    [...names(before)].filter((name) => names(after).has(name)).length +
    (isNamed ? 100 : 0)
  )
}

/** Pairs what is equal, then what is most alike, in order. */
function pair(
  before: readonly Place[],
  after: readonly Place[],
  like: (before: Place, after: Place) => number,
): { pairs: [Place, Place][]; gone: Place[]; more: Place[] } {
  const pairs: [Place, Place][] = []
  let more = [...after]
  const take = (b: Place, a: Place | undefined): boolean => {
    if (a === undefined) return false
    pairs.push([b, a])
    more = more.filter((other) => other !== a)
    return true
  }
  const texts = new Map(after.map((place) => [place, canonical(place.schema)]))
  const unequal = before.filter((b) => {
    const text = canonical(b.schema)
    return !take(
      b,
      more.find((a) => texts.get(a) === text),
    )
  })
  const gone = unequal.filter((b) => {
    const scored = more.map((a) => ({ a, score: like(b, a) })).filter(({ score }) => score > 0)
    return !take(b, scored.toSorted((one, two) => two.score - one.score)[0]?.a)
  })
  return { pairs, gone, more }
}

function describe({ schema }: Place, resolved: SchemaNode): string {
  const ref = typeof schema['$ref'] === 'string' ? schema['$ref'].split('/').at(-1) : undefined
  const title = resolved['title']
  const name = ref ?? (typeof title === 'string' ? title : undefined)
  return name === undefined ? [...passingTypes(resolved)].join(' or ') : `\`${name}\``
}
