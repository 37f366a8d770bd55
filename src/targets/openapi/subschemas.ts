/** Where a JSON Schema 2020-12 holds schemas; data such as `enum`, `const` and `default` is never taken for one. */
import type { Schema } from './keywords.ts'
import { isSchema } from './merge.ts'

const single = new Set([
  'items',
  'additionalProperties',
  'not',
  'if',
  'then',
  'else',
  'contains',
  'propertyNames',
  'unevaluatedItems',
  'unevaluatedProperties',
])
const lists = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems'])
const maps = new Set(['properties', 'patternProperties', 'dependentSchemas'])

/**
 * The schema with each sub-schema replaced by what `change` makes of it, which is told the member's name where it has
 * one; data such as `enum` and `default` is left alone, and `$defs` is.
 */
export function mapSubschemas(schema: Schema, change: (part: Schema, name?: string) => Schema): Schema {
  const out: Schema = {}
  const changed = (value: unknown, name?: string): unknown => (isSchema(value) ? change(value, name) : value)
  for (const [keyword, value] of Object.entries(schema)) {
    if (single.has(keyword)) out[keyword] = changed(value)
    else if (lists.has(keyword) && Array.isArray(value)) out[keyword] = value.map((part) => changed(part))
    else if (maps.has(keyword) && isSchema(value)) {
      const map: Schema = {}
      for (const [name, part] of Object.entries(value))
        map[name] = changed(part, keyword === 'properties' ? name : undefined)
      out[keyword] = map
    } else out[keyword] = value
  }
  return out
}

/** Calls `visit` with each direct sub-schema. */
export function eachSubschema(schema: Schema, visit: (part: Schema) => void): void {
  const seen = (value: unknown): void => {
    if (isSchema(value)) visit(value)
  }
  for (const [keyword, value] of Object.entries(schema)) {
    if (single.has(keyword)) seen(value)
    else if (lists.has(keyword) && Array.isArray(value)) value.forEach(seen)
    else if (maps.has(keyword) && isSchema(value)) Object.values(value).forEach(seen)
  }
}
