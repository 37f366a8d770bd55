/** Writes rewritten property keys back, where the schema declares them and nowhere else. */
import type { Json } from '../../core/model.ts'
import type { Binding } from './binding.ts'
import { isNode, type Node, nodeAt, textAt } from './tree.ts'

type Renames = NonNullable<Binding['renames']>

/** The arguments with the keys of the wire in the body; top-level names are the parameters' own affair. */
export function writeBack(
  args: { readonly [name: string]: Json },
  renames: Renames,
): { readonly [name: string]: Json } {
  const root: Node = renames.schema
  const out: { [name: string]: Json } = {}
  for (const [name, value] of Object.entries(args)) {
    const schema = nodeAt(nodeAt(root, 'properties'), name)
    out[name] = schema === undefined ? value : rewrite(value, [schema], renames, root, 0)
  }
  return out
}

function rewrite(value: Json, schemas: readonly Node[], renames: Renames, root: Node, depth: number): Json {
  if (typeof value !== 'object' || value === null || depth > 64) return value
  const spread = schemas.flatMap((schema) => alternatives(schema, root, 0))
  if (Array.isArray(value)) {
    const inner = spread.flatMap((schema) => (isNode(schema['items']) ? [schema['items']] : []))
    return value.map((item) => rewrite(item, inner, renames, root, depth + 1))
  }
  const out: { [key: string]: Json } = {}
  for (const [key, item] of Object.entries(value)) {
    const declared = spread.flatMap((schema) => {
      const property = nodeAt(nodeAt(schema, 'properties'), key)
      return property === undefined ? [] : [property]
    })
    const others = spread.flatMap((schema) =>
      isNode(schema['additionalProperties']) ? [schema['additionalProperties']] : [],
    )
    const wire = declared.length > 0 && Object.hasOwn(renames.keys, key) ? renames.keys[key] : undefined
    out[wire ?? key] = rewrite(item, declared.length > 0 ? declared : others, renames, root, depth + 1)
  }
  return out
}

/** A schema and everything that applies in the same place through `$ref` and combinators. */
function alternatives(schema: Node, root: Node, depth: number): Node[] {
  if (depth > 20) return []
  const found: Node[] = [schema]
  const ref = textAt(schema, '$ref')
  const target = ref === undefined ? undefined : nodeAt(nodeAt(root, '$defs'), ref.slice('#/$defs/'.length))
  if (target !== undefined) found.push(...alternatives(target, root, depth + 1))
  for (const keyword of ['allOf', 'anyOf', 'oneOf']) {
    const branches = schema[keyword]
    if (!Array.isArray(branches)) continue
    for (const branch of branches) if (isNode(branch)) found.push(...alternatives(branch, root, depth + 1))
  }
  return found
}
