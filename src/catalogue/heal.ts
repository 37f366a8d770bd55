/**
 * Arguments that a model sent as JSON inside a string, taken as what the schema says. Only a string that the schema
 * refuses for its type is looked at, and only JSON of a type that the schema wants there is taken.
 */
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import { nestsDeeper } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { Json } from '../core/model.ts'

export interface Healed {
  readonly value: Json
  /** Where something was taken for what it says, as JSON Pointers. */
  readonly places: readonly string[]
}

/** The value healed so far that it fits, or nothing. `check.errors` are those of `value` when it begins. */
export function heal(check: ValidateFunction, value: Json, fits: (value: Json) => boolean): Healed | undefined {
  let current = value
  const places = new Set<string>()
  for (let round = 0; round < limits.healRounds; round++) {
    let changed = false
    for (const error of check.errors ?? []) {
      if (error.keyword !== 'type' || places.has(error.instancePath) || places.size >= limits.healPlaces) continue
      const next = replaced(current, tokensOf(error.instancePath), (text) => parsed(text, typesOf(error)))
      if (next === undefined) continue
      current = next
      places.add(error.instancePath)
      changed = true
    }
    if (!changed) return undefined
    if (fits(current)) return { value: current, places: [...places] }
  }
  return undefined
}

const typesOf = (error: ErrorObject): readonly string[] => [error.params['type']].flat().map(String)

const tokensOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))

/** A copy with the string at the place replaced; nothing when there is none, or it cannot be. */
function replaced(root: Json, tokens: readonly string[], by: (text: string) => Json | undefined): Json | undefined {
  const [token, ...rest] = tokens
  if (token === undefined) return typeof root === 'string' ? by(root) : undefined
  if (typeof root !== 'object' || root === null) return undefined
  if (Array.isArray(root)) {
    const item = root[Number(token)]
    const next = item === undefined ? undefined : replaced(item, rest, by)
    return next === undefined ? undefined : root.with(Number(token), next)
  }
  const item = Object.hasOwn(root, token) ? root[token] : undefined
  const next = item === undefined ? undefined : replaced(item, rest, by)
  return next === undefined ? undefined : { ...root, [token]: next }
}

function parsed(text: string, types: readonly string[]): Json | undefined {
  if (text.length > limits.healChars || nestsDeeper(text, limits.jsonDepth)) return undefined
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    return undefined
  }
  return types.includes(typeOf(value)) || (types.includes('number') && typeOf(value) === 'integer') ? value : undefined
}

const typeOf = (value: Json): string => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  // A number that loses digits would be another one.
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? 'integer' : Number.isInteger(value) ? '' : 'number'
  return typeof value
}
