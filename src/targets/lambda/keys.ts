/** Property keys of a function’s schema that model providers do not take: shown under other names, written back in the event. */
import type { Json } from '../../core/model.ts'
import { Keys } from '../openapi/keys.ts'
import type { Schema } from '../openapi/keywords.ts'
import { writeBack } from '../openapi/renames.ts'
import { mapSubschemas } from '../openapi/subschemas.ts'
import { isNode } from '../openapi/tree.ts'

/** Shown key → key of the event, and the schema that tells where it applies; plain JSON. */
export interface Renames {
  readonly keys: { readonly [shown: string]: string }
  readonly schema: Schema
}

/** The arguments are one value to the writer, whose own top level is another’s affair. */
const whole = 'event'

export function legalKeys(schema: Schema): { readonly schema: Schema; readonly renames?: Renames } {
  const keys = new Keys(schema)
  const definitions = schema['$defs']
  const shown: Schema = {
    ...renamed(schema, keys),
    ...(isNode(definitions)
      ? {
          $defs: mapped(
            definitions,
            (name) => name,
            (part) => (isNode(part) ? renamed(part, keys) : part),
          ),
        }
      : {}),
  }
  const used = keys.renamesIn(shown)
  if (used === undefined) return { schema }
  const { $defs, ...root } = shown
  return {
    schema: shown,
    renames: { keys: used, schema: { properties: { [whole]: root }, ...($defs === undefined ? {} : { $defs }) } },
  }
}

export function eventOf(args: { readonly [name: string]: Json }, renames: Renames): Json {
  return writeBack({ [whole]: { ...args } }, renames)[whole] ?? {}
}

function renamed(schema: Schema, keys: Keys): Schema {
  const safe = (key: string): string => keys.safe(key)
  const list = (names: unknown): unknown =>
    Array.isArray(names) ? names.map((key) => (typeof key === 'string' ? safe(key) : key)) : names
  const own: Schema = { ...schema }
  for (const keyword of ['properties', 'dependentSchemas']) {
    const map = own[keyword]
    if (isNode(map)) own[keyword] = mapped(map, safe, (part) => part)
  }
  if (own['required'] !== undefined) own['required'] = list(own['required'])
  if (isNode(own['dependentRequired'])) own['dependentRequired'] = mapped(own['dependentRequired'], safe, list)
  return mapSubschemas(own, (part) => renamed(part, keys))
}

const mapped = (
  map: { readonly [name: string]: unknown },
  name: (key: string) => string,
  value: (part: unknown) => unknown,
): Schema => Object.fromEntries(Object.entries(map).map(([key, part]) => [name(key), value(part)]))
