/** What a schema says to a reader and not to a checker; and null as one more value. */
import { limits } from '../../core/limits.ts'
import { prose, type Schema } from './keywords.ts'
import type { Node } from './tree.ts'

const proseKeywords = new Set(['title', 'description', 'deprecated', 'default'])

export const onlyProse = (schema: Schema): boolean => Object.keys(schema).every((keyword) => proseKeywords.has(keyword))

export function proseOf(source: Node): Schema {
  const description = prose(source['description'], limits.propertyDescriptionChars)
  const out: Schema = {}
  if (description !== undefined) out['description'] = description
  if (source['deprecated'] === true) out['deprecated'] = true
  return out
}

/** `nullable` of OpenAPI 3.0: null is one more value, whatever else is said. */
export function orNull(schema: Schema): Schema {
  const type = schema['type']
  if (type === undefined) {
    if (onlyProse(schema)) return schema
    const { description, ...rest } = schema
    return { anyOf: [rest, { type: 'null' }], ...(description === undefined ? {} : { description }) }
  }
  const types = Array.isArray(type) ? type : [type]
  return types.includes('null') ? schema : { ...schema, type: [...types, 'null'] }
}
