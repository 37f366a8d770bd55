/** Keyword by keyword: what a schema object of any OpenAPI version says, as JSON Schema 2020-12 or not at all. */
import { limits } from '../../core/limits.ts'
import { bound, clean } from './words.ts'

export type Schema = { [keyword: string]: unknown }

const jsonTypes = new Set(['string', 'number', 'integer', 'boolean', 'array', 'object', 'null'])

/** The valid JSON types that `type` names, whether it is a string, an array or nonsense. */
export function typesOf(type: unknown): string[] {
  const named = (Array.isArray(type) ? type : [type]).filter((name): name is string => typeof name === 'string')
  const valid = named
    .map((name) => (jsonTypes.has(name) ? name : name.toLowerCase()))
    .filter((name) => jsonTypes.has(name))
  return [...new Set(valid)]
}

const finite = (value: unknown): number | undefined => {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

const count = (value: unknown): number | undefined => {
  const number = finite(value)
  return number !== undefined && Number.isInteger(number) && number >= 0 ? number : undefined
}

const positive = (value: unknown): number | undefined => {
  const number = finite(value)
  return number !== undefined && number > 0 ? number : undefined
}

const truth = (value: unknown): true | undefined => (value === true || value === 'true' ? true : undefined)

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length <= 256 ? value : undefined

/** Keywords that hold no schema, with the check that makes them valid; what fails it is left out. */
const plain: ReadonlyMap<string, (value: unknown) => unknown> = new Map<string, (value: unknown) => unknown>([
  ['minimum', finite],
  ['maximum', finite],
  ['multipleOf', positive],
  ['minLength', count],
  ['maxLength', count],
  ['minItems', count],
  ['maxItems', count],
  ['minContains', count],
  ['maxContains', count],
  ['minProperties', count],
  ['maxProperties', count],
  ['uniqueItems', truth],
  ['format', text],
  ['contentEncoding', text],
  ['contentMediaType', text],
  ['pattern', regularExpression],
])

/** Zero as a lower bound on a count says nothing. */
const idle = new Set(['minLength', 'minItems', 'minProperties'])

export function plainKeywords(source: { readonly [key: string]: unknown }, into: Schema): void {
  for (const [keyword, check] of plain) {
    if (!Object.hasOwn(source, keyword)) continue
    const value = check(source[keyword])
    if (value !== undefined && !(value === 0 && idle.has(keyword))) into[keyword] = value
  }
  exclusive(source, into, 'exclusiveMinimum', 'minimum')
  exclusive(source, into, 'exclusiveMaximum', 'maximum')
}

/** A boolean up to OpenAPI 3.0 (JSON Schema draft 4), a number from 3.1 on. */
function exclusive(
  source: { readonly [key: string]: unknown },
  into: Schema,
  keyword: string,
  inclusive: string,
): void {
  const value = source[keyword]
  if (value === true || value === 'true') {
    if (into[inclusive] === undefined) return
    into[keyword] = into[inclusive]
    delete into[inclusive]
    return
  }
  const number = typeof value === 'boolean' ? undefined : finite(value)
  if (number !== undefined) into[keyword] = number
}

/**
 * ECMA-262 with the `u` flag, as JSON Schema 2020-12 §6.4 asks; an escape that only the flag forbids is taken out. The
 * expression is compiled here and never run: what checks arguments runs it under a linear engine or not at all.
 */
export function regularExpression(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '' || value.length > 1_024) return undefined
  for (const candidate of [value, withoutIdleEscapes(value)]) {
    try {
      return new RegExp(candidate, 'u') instanceof RegExp ? candidate : undefined
    } catch {
      // the next candidate, or none
    }
  }
  return undefined
}

/** `\-`, `\_`, `\@` and their like mean the character itself; with `u` they are errors (outside a class, `\-` too). */
function withoutIdleEscapes(pattern: string): string {
  let out = ''
  let inClass = false
  for (let index = 0; index < pattern.length; index++) {
    const char = pattern.charAt(index)
    if (char !== '\\') {
      if (char === '[') inClass = true
      else if (char === ']') inClass = false
      out += char
      continue
    }
    const next = pattern.charAt(++index)
    const needed = /[\^$\\.*+?()[\]{}|/a-zA-Z0-9]/.test(next) || (inClass && next === '-')
    out += needed ? `\\${next}` : next
  }
  return out
}

/** Enumerated values in the declared types, without repeats; `undefined` when none is left or there are too many. */
export function enumeration(value: unknown, types: readonly string[]): unknown[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > limits.enumValues) return undefined
  const seen = new Map<string, unknown>()
  for (const item of value) {
    const typed = coerce(item, types)
    if (typed !== undefined) seen.set(JSON.stringify(typed), typed)
  }
  return seen.size === 0 ? undefined : [...seen.values()]
}

/** The value as the first of the types that it can be read as: YAML's unquoted `no`, `1.10` and dates lose theirs. */
export function coerce(value: unknown, types: readonly string[]): unknown {
  if (value === undefined) return undefined
  if (types.length === 0 || types.some((type) => isOf(value, type))) return value
  for (const type of types) {
    if (type === 'string' && (typeof value === 'number' || typeof value === 'boolean')) return String(value)
    if ((type === 'integer' || type === 'number') && typeof value === 'string') {
      const number = finite(value)
      if (number !== undefined && isOf(number, type)) return number
    }
    if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
  }
  return undefined
}

const isOf = (value: unknown, type: string): boolean => {
  switch (type) {
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

/** A default that fits the type and is short enough to be worth its tokens. */
export function shortDefault(value: unknown, types: readonly string[]): unknown {
  const typed = coerce(value, types)
  if (typed === undefined || (typed === null && !types.includes('null'))) return undefined
  return JSON.stringify(typed).length <= 128 ? typed : undefined
}

export function prose(value: unknown, chars: number): string | undefined {
  if (typeof value !== 'string') return undefined
  const cleaned = bound(clean(value), chars)
  return cleaned === '' ? undefined : cleaned
}

/** An example that fits the type and costs less than the words that it saves: a short text or number. */
export function shortExample(source: { readonly [key: string]: unknown }, types: readonly string[]): unknown {
  const listed = source['examples']
  const value = coerce(source['example'] ?? (Array.isArray(listed) ? listed[0] : undefined), types)
  const isShort = typeof value === 'number' || (typeof value === 'string' && value !== '' && value.length <= 32)
  return isShort && !/[\p{Cc}]/u.test(String(value)) ? value : undefined
}
