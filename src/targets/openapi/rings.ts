/** Definitions that apply to a value only by way of themselves: no value could be checked against them in finite time. */
import type { Schema } from './keywords.ts'
import { isSchema } from './merge.ts'

export interface Named {
  readonly schema: Schema
}

const lists = ['allOf', 'anyOf', 'oneOf']
const singles = ['not', 'if', 'then', 'else']

/** Sub-schemas that apply to the same value as the schema itself. */
function inPlace(schema: Schema): Schema[] {
  const found: Schema[] = []
  for (const keyword of lists) {
    const list = schema[keyword]
    if (Array.isArray(list)) for (const part of list) if (isSchema(part)) found.push(part)
  }
  for (const keyword of singles) if (isSchema(schema[keyword])) found.push(schema[keyword])
  return found
}

/** Takes out the references of a finished definition that lead back to it in place. True when there were any. */
export function cutRings(
  name: string,
  schema: Schema,
  nameIn: (part: Schema) => string | undefined,
  definitions: ReadonlyMap<string, Named>,
): boolean {
  let cut = false
  const stack = [schema]
  for (let part = stack.pop(); part !== undefined; part = stack.pop()) {
    const target = nameIn(part)
    if (target !== undefined && leadsTo(name, target, nameIn, definitions)) {
      delete part['$ref']
      cut = true
    }
    stack.push(...inPlace(part))
  }
  return cut
}

function leadsTo(
  name: string,
  from: string,
  nameIn: (part: Schema) => string | undefined,
  definitions: ReadonlyMap<string, Named>,
): boolean {
  const seen = new Set<string>()
  const names = [from]
  for (let next = names.pop(); next !== undefined; next = names.pop()) {
    if (next === name) return true
    if (seen.has(next)) continue
    seen.add(next)
    const root = definitions.get(next)?.schema
    const stack = root === undefined ? [] : [root]
    for (let part = stack.pop(); part !== undefined; part = stack.pop()) {
      const target = nameIn(part)
      if (target !== undefined) names.push(target)
      stack.push(...inPlace(part))
    }
  }
  return false
}
