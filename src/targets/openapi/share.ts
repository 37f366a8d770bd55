/** Subtrees that stand in a schema more than once, moved into `$defs`: each is paid for once. */
import type { Schema } from './keywords.ts'
import { isSchema } from './merge.ts'
import { mapSubschemas } from './subschemas.ts'

/** A subtree this short costs about as much as two references to it and its place in `$defs`. */
const worthChars = 160

interface Shared {
  readonly id: number
  /** The schema with its own children replaced by the one object that stands for each of them. */
  readonly schema: Schema
  readonly chars: number
  /** Places in other subtrees that it stands in; a subtree that stands twice counts its children once. */
  uses: number
  /** The member that it was first met under. */
  readonly wish: string
}

/** The same schema, smaller where that is worth it. Definitions that are there already keep their names. */
export function shareSubtrees(root: Schema): Schema {
  const chars = JSON.stringify(root).length
  if (chars < 2 * worthChars) return root
  const known = new Map<string, Shared>()
  const byObject = new Map<Schema, Shared>()
  const fold = (schema: Schema, wish: string): Schema => {
    const children: Shared[] = []
    const folded = mapSubschemas(schema, (child, name) => {
      const one = fold(child, name ?? wish)
      const shared = byObject.get(one)
      if (shared !== undefined) children.push(shared)
      return one
    })
    const key = keyOf(folded, (child) => (child === folded ? undefined : byObject.get(child)?.id))
    let shared = known.get(key)
    if (shared === undefined) {
      const chars = key.length + children.reduce((sum, child) => sum + child.chars, 0)
      shared = { id: known.size, schema: folded, chars, uses: 0, wish }
      known.set(key, shared)
      byObject.set(folded, shared)
      for (const child of children) child.uses++
    }
    return shared.schema
  }
  const { $defs, ...top } = root
  const given = Object.entries(isSchema($defs) ? $defs : {}).map(
    ([name, schema]) => [name, fold(isSchema(schema) ? schema : {}, name)] as const,
  )
  const folded = fold(top, '')
  const names = namesOf(
    [...known.values()].filter(({ uses, chars }) => uses > 1 && chars >= worthChars),
    given,
  )
  const there = new Set(given.map(([, schema]) => schema))
  const isWorth = [...names.keys()].some((schema) => (byObject.get(schema)?.uses ?? 0) > (there.has(schema) ? 0 : 1))
  if (!isWorth) return root
  const write = (schema: Schema): Schema => {
    const name = names.get(schema)
    return name === undefined ? mapSubschemas(schema, write) : { $ref: `#/$defs/${name}` }
  }
  const added = [...names].map(([schema, name]) => [name, schema] as const)
  const definitions = [...given, ...added.filter(([name]) => !given.some(([known]) => known === name))].map(
    ([name, schema]) => [name, mapSubschemas(schema, write)] as const,
  )
  return {
    ...mapSubschemas(folded, write),
    $defs: Object.fromEntries(definitions.sort(([a], [b]) => (a < b ? -1 : 1))),
  }
}

/** Equal for equal schemas. Children are told apart by number, so a key is as long as the schema without what lies below. */
function keyOf(value: unknown, idOf: (schema: Schema) => number | undefined): string {
  if (typeof value === 'string') return `${value.length}"${value}`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return `[${value.map((item) => keyOf(item, idOf)).join()}]`
  const id = idOf(value as Schema)
  if (id !== undefined) return `#${id}`
  let key = '{'
  for (const [name, item] of Object.entries(value)) key += `${name.length}:${name}${keyOf(item, idOf)},`
  return `${key}}`
}

/** Definitions that are there already keep theirs; others are called like the member that they were first met under. */
function namesOf(shared: readonly Shared[], given: readonly (readonly [string, Schema])[]): Map<Schema, string> {
  const names = new Map(given.map(([name, schema]) => [schema, name]))
  const taken = new Set(given.map(([name]) => name))
  for (const { schema, wish } of shared) {
    if (names.has(schema)) continue
    const plain = wish.replace(/[^A-Za-z0-9_.-]+/g, '_') || 'shared'
    let name = plain
    for (let count = 2; taken.has(name); count++) name = `${plain}_${count}`
    taken.add(name)
    names.set(schema, name)
  }
  return names
}
