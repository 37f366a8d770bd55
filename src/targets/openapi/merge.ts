/** `allOf` as one schema, where nothing is lost by it. */
import type { Schema } from './keywords.ts'

const annotation = new Set(['title', 'description', 'default', 'examples', 'deprecated', 'format', 'xml'])
const lowest = new Set(['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'])
const highest = new Set(['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'])

export const same = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)

/** The conjunction of schemas as a single one, or `undefined` where only `allOf` can say it. The first one's prose wins. */
export function mergeAll(parts: readonly Schema[]): Schema | undefined {
  const merged: Schema = {}
  // `if` belongs with its own `then` and `else`: two of them stay apart.
  const conditional = parts.filter((part) => 'if' in part || 'then' in part || 'else' in part)
  if (conditional.length > 1) return undefined
  for (const part of parts) {
    for (const [keyword, value] of Object.entries(part)) {
      const present = merged[keyword]
      const joined = present === undefined ? value : join(keyword, present, value)
      if (joined === undefined) return undefined
      merged[keyword] = joined
    }
  }
  return merged
}

function join(keyword: string, a: unknown, b: unknown): unknown {
  if (same(a, b) || annotation.has(keyword)) return a
  if (lowest.has(keyword)) return Math.min(Number(a), Number(b))
  if (highest.has(keyword)) return Math.max(Number(a), Number(b))
  switch (keyword) {
    case 'type':
      return joinTypes(a, b)
    case 'required':
      return Array.isArray(a) && Array.isArray(b) ? [...new Set([...a, ...b])] : undefined
    case 'enum':
      return joinEnums(a, b)
    case 'properties':
      return joinProperties(a, b)
    default:
      return undefined
  }
}

function joinTypes(a: unknown, b: unknown): unknown {
  const left = Array.isArray(a) ? a : [a]
  const right = Array.isArray(b) ? b : [b]
  const both = left.flatMap((type) => {
    if (right.includes(type)) return [type]
    if (type === 'number' && right.includes('integer')) return ['integer']
    return type === 'integer' && right.includes('number') ? ['integer'] : []
  })
  if (both.length === 0) return undefined
  return both.length === 1 ? both[0] : both
}

function joinEnums(a: unknown, b: unknown): unknown {
  if (!Array.isArray(a) || !Array.isArray(b)) return undefined
  const both = a.filter((value) => b.some((other) => same(value, other)))
  return both.length === 0 ? undefined : both
}

function joinProperties(a: unknown, b: unknown): unknown {
  if (!isSchema(a) || !isSchema(b)) return undefined
  const joined: Schema = { ...a }
  for (const [name, schema] of Object.entries(b)) {
    const present = Object.hasOwn(joined, name) ? joined[name] : undefined
    if (present === undefined || !isSchema(present) || !isSchema(schema)) joined[name] = present ?? schema
    else joined[name] = mergeAll([present, schema]) ?? { allOf: [present, schema] }
  }
  return joined
}

export const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
