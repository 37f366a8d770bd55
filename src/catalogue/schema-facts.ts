/** What single keywords of a schema come to: its types, its values, its bounds; and which keywords assert nothing. */
import { limits } from '../core/limits.ts'
import { canonical, isSchemaNode, pointerTo, resolveRef, type SchemaNode } from './schema-walk.ts'

/** JSON Schema 2020-12 §9 and §8.3, and what OpenAPI adds: said to people, never checked. */
export const annotations = new Set(
  'title description default examples example deprecated readOnly writeOnly $comment $schema $id $anchor $defs definitions discriminator xml externalDocs'.split(
    ' ',
  ),
)

/** The schema that nothing fits, and the one that everything does. */
const never: SchemaNode = { not: {} }
const anything: SchemaNode = {}

export const isOpen = (schema: SchemaNode): boolean => Object.keys(schema).every((keyword) => annotations.has(keyword))

export const isNever = ({ not }: SchemaNode): boolean => not === true || (isSchemaNode(not) && isOpen(not))

/** A value where a schema is expected; left out, everything fits. */
export function toNode(value: unknown): SchemaNode {
  if (value === false) return never
  return isSchemaNode(value) ? value : anything
}

export interface Place {
  readonly schema: SchemaNode
  /** JSON Pointer into the tool's definition. */
  readonly pointer: string
}

/** The schema under a keyword, or under a name in it; one that is left out lets everything through. */
export function below({ schema, pointer }: Place, keyword: string, name?: string): Place {
  const value = schema[keyword]
  if (name === undefined) return { schema: toNode(value), pointer: pointerTo(pointer, keyword) }
  const named = isSchemaNode(value) && Object.hasOwn(value, name) ? value[name] : undefined
  return { schema: toNode(named), pointer: pointerTo(pointer, keyword, name) }
}

/** A whole schema, with the pointer at which it stands in the tool's definition. */
export interface Root {
  readonly schema: SchemaNode
  readonly pointer: string
}

const joints = new WeakMap<SchemaNode, SchemaNode>()

/** The place itself, or what its `$ref` names; a `$ref` beside assertions becomes one more of `allOf` (§8.2.3.1). */
export function follow(place: Place, root: Root): Place {
  let { schema, pointer } = place
  for (let hop = 0; hop < limits.refHops && Object.hasOwn(schema, '$ref'); hop++) {
    const { $ref, ...rest } = schema
    const all: unknown[] = Array.isArray(rest['allOf']) ? rest['allOf'] : []
    if (!isOpen(rest)) {
      // the same object each time, so that a recursion through it is seen to come round
      const joint = joints.get(schema) ?? { ...rest, allOf: [...all, { $ref }] }
      joints.set(schema, joint)
      return { schema: joint, pointer }
    }
    const target = resolveRef(root.schema, $ref)
    if (target === undefined) return { schema, pointer }
    schema = toNode(target.schema)
    pointer = `${root.pointer}${target.path}`
  }
  return { schema, pointer }
}

const everyType: ReadonlySet<string> = new Set(['null', 'boolean', 'object', 'array', 'number', 'string'])

/** The types that `type` lets through. */
export function typesOf({ type }: SchemaNode): ReadonlySet<string> {
  if (typeof type === 'string') return new Set([type])
  return Array.isArray(type) ? new Set(type.filter((one) => typeof one === 'string')) : everyType
}

function typeOfValue(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value
}

const lets = (types: ReadonlySet<string>, type: string): boolean =>
  types.has(type) || (type === 'integer' && types.has('number'))

export const within = (inner: ReadonlySet<string>, outer: ReadonlySet<string>): boolean =>
  [...inner].every((type) => lets(outer, type))

const passing = new WeakMap<SchemaNode, ReadonlySet<string>>()

/** The types of what can pass, `enum` and `const` counted. */
export function passingTypes(schema: SchemaNode): ReadonlySet<string> {
  let types = passing.get(schema)
  if (types === undefined) {
    const values = valuesOf(schema)
    types = values === undefined ? typesOf(schema) : new Set([...values.values()].map(typeOfValue))
    passing.set(schema, types)
  }
  return types
}

/** Whether values of the type can pass in both: a keyword about a type that does not pass says nothing there. */
export const bothPass = (a: SchemaNode, b: SchemaNode, type: string): boolean =>
  [a, b].every((schema) => {
    const types = passingTypes(schema)
    return types.has(type) || (type === 'number' && types.has('integer'))
  })

/** The values that can pass, by their canonical text, when `enum`, `const` or the type make them few. */
export function valuesOf(schema: SchemaNode): ReadonlyMap<string, unknown> | undefined {
  const types = typesOf(schema)
  const lists = [
    ...(Array.isArray(schema['enum']) ? [schema['enum'] as unknown[]] : []),
    ...(Object.hasOwn(schema, 'const') ? [[schema['const']]] : []),
    ...(within(types, new Set(['null', 'boolean'])) ? [[null, true, false]] : []),
  ]
  const [first, ...others] = lists.map(
    (list) =>
      new Map(list.filter((value) => lets(types, typeOfValue(value))).map((value) => [canonical(value), value])),
  )
  if (first === undefined) return undefined
  return new Map([...first].filter(([text]) => others.every((other) => other.has(text))))
}

interface BoundRule {
  /** The type that it is about; it says nothing of others. */
  readonly type: string
  readonly soft: string
  /** The exclusive kin of the keyword, if it has one. */
  readonly hard: string | undefined
  /** What it counts. */
  readonly of: string
  /** The bound that always holds. */
  readonly from: number
  /** 1 for a lower bound, −1 for an upper one. */
  readonly sign: 1 | -1
  readonly words: readonly [inclusive: string, exclusive: string, none: string]
}

const lower = ['at least', 'more than', 'unbounded below'] as const
const upper = ['at most', 'less than', 'unbounded above'] as const

export const bounds: readonly BoundRule[] = [
  { type: 'number', soft: 'minimum', hard: 'exclusiveMinimum', of: '', from: -Infinity, sign: 1, words: lower },
  { type: 'number', soft: 'maximum', hard: 'exclusiveMaximum', of: '', from: Infinity, sign: -1, words: upper },
  ...(
    [
      ['Length', 'string', ' characters'],
      ['Items', 'array', ' items'],
      ['Properties', 'object', ' members'],
    ] as const
  ).flatMap(([what, type, of]): BoundRule[] => {
    return [
      { type, soft: `min${what}`, hard: undefined, of, from: 0, sign: 1, words: lower },
      { type, soft: `max${what}`, hard: undefined, of, from: Infinity, sign: -1, words: upper },
    ]
  }),
]

export interface Bound {
  readonly value: number
  readonly exclusive: boolean
}

/** The stricter of an inclusive and an exclusive bound; `sign` is 1 for a lower, −1 for an upper one. */
export function boundOf(
  schema: SchemaNode,
  inclusive: string,
  exclusive: string | undefined,
  from: number,
  sign: 1 | -1,
): Bound {
  const at = (keyword: string | undefined): number => {
    const value = keyword === undefined ? undefined : schema[keyword]
    return typeof value === 'number' ? value : from
  }
  const [soft, hard] = [at(inclusive), exclusive === undefined ? from : at(exclusive)]
  const isHard = Math.abs(hard) !== Infinity && exclusive !== undefined && sign * hard >= sign * soft
  return isHard ? { value: hard, exclusive: true } : { value: soft, exclusive: false }
}

/** Above zero when `a` lets less through than `b`, below when more; `sign` as above. */
export const tighter = (a: Bound, b: Bound, sign: 1 | -1): number =>
  a.value === b.value ? Number(a.exclusive) - Number(b.exclusive) : sign * (a.value > b.value ? 1 : -1)

/** The value and all that it refers to, as one text: equal texts mean the same in both schemas. */
export function closure(value: unknown, root: Root): string {
  const texts = new Map<string, string>()
  const visit = (text: string): string => {
    for (const [, quoted = ''] of text.matchAll(/"\$ref":("(?:[^"\\]|\\.)*")/g)) {
      if (texts.has(quoted)) continue
      texts.set(quoted, '')
      texts.set(quoted, visit(canonical(resolveRef(root.schema, JSON.parse(quoted))?.schema)))
    }
    return text
  }
  const own = visit(canonical(value))
  return [own, ...[...texts].map(([ref, text]) => `${ref}${text}`).sort()].join('\n')
}
