/** The root of an input schema without alternatives and conditions, which clients and providers do not take there. Pure. */
import type { Schema } from '../openapi/keywords.ts'
import { isSchema, same } from '../openapi/merge.ts'

const dropped = ['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas', '$ref'] as const

type NameIn = (schema: Schema) => string | undefined
type Definitions = ReadonlyMap<string, { readonly schema: Schema }>

const depthMax = 8

/**
 * Members of all branches side by side, required where every branch requires them: what the schema allows is allowed
 * still, and the server itself checks the rest. `told` is called when there was something to flatten.
 */
export function flatRoot(root: Schema, definitions: Definitions, nameIn: NameIn, told: () => void): Schema {
  if (!dropped.some((keyword) => keyword in root)) return root
  told()
  const { properties, required, isOpen } = flatten(root, definitions, nameIn, 0)
  const out: Schema = { ...root }
  for (const keyword of dropped) delete out[keyword]
  delete out['unevaluatedProperties']
  if (isOpen) delete out['additionalProperties']
  out['properties'] = Object.fromEntries(properties)
  delete out['required']
  if (required.size > 0) out['required'] = [...required]
  return out
}

interface Flat {
  readonly properties: ReadonlyMap<string, Schema>
  readonly required: ReadonlySet<string>
  /** Members besides these may be there. */
  readonly isOpen: boolean
}

function flatten(schema: Schema, definitions: Definitions, nameIn: NameIn, depth: number): Flat {
  const properties = new Map<string, Schema>()
  const required = new Set<string>()
  const own = schema['properties']
  if (isSchema(own)) for (const [name, part] of Object.entries(own)) if (isSchema(part)) add(properties, name, part)
  if (Array.isArray(schema['required'])) for (const name of schema['required']) required.add(String(name))
  let isOpen = schema['additionalProperties'] !== false
  if (depth >= depthMax) return { properties, required, isOpen: true }
  const flat = (part: unknown): Flat => flatten(isSchema(part) ? part : {}, definitions, nameIn, depth + 1)
  const named = definitions.get(nameIn(schema) ?? '')?.schema
  const all = [...(named === undefined ? [] : [named]), ...listOf(schema, 'allOf')].map(flat)
  for (const part of all) {
    for (const [name, value] of part.properties) add(properties, name, value)
    for (const name of part.required) required.add(name)
    isOpen &&= part.isOpen
  }
  for (const keyword of ['anyOf', 'oneOf']) {
    const choices = listOf(schema, keyword).map(flat)
    for (const choice of choices) for (const [name, value] of choice.properties) add(properties, name, value)
    const [first, ...others] = choices
    for (const name of first?.required ?? [])
      if (others.every((choice) => choice.required.has(name))) required.add(name)
  }
  for (const keyword of ['then', 'else']) {
    const branch = flat(schema[keyword])
    for (const [name, value] of branch.properties) add(properties, name, value)
  }
  return { properties, required, isOpen }
}

const listOf = (schema: Schema, keyword: string): readonly unknown[] =>
  Array.isArray(schema[keyword]) ? schema[keyword] : []

/** A member that branches tell apart is one of what they say. */
function add(properties: Map<string, Schema>, name: string, schema: Schema): void {
  const present = properties.get(name)
  if (present === undefined) properties.set(name, schema)
  else if (!same(present, schema)) {
    const known = Array.isArray(present['anyOf']) && Object.keys(present).length === 1 ? present['anyOf'] : [present]
    if (!known.some((one) => same(one, schema))) properties.set(name, { anyOf: [...known, schema] })
  }
}
