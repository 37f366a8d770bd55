/** Writes rewritten property keys back, where the schema declares them and nowhere else. */
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Binding } from './binding.ts'
import { isNode, listAt, type Node, nodeAt, textAt } from './tree.ts'

type Renames = NonNullable<Binding['renames']>

/** The arguments with the keys of the wire in the body; top-level names are the parameters' own affair. */
export function writeBack(
  args: { readonly [name: string]: Json },
  renames: Renames,
): { readonly [name: string]: Json } {
  const root: Node = renames.schema
  return Object.fromEntries(
    Object.entries(args).map(([name, value]) => {
      const schema = nodeAt(nodeAt(root, 'properties'), name)
      return [name, schema === undefined ? value : rewrite(value, [schema], renames, root, 0)]
    }),
  )
}

function rewrite(value: Json, schemas: readonly Node[], renames: Renames, root: Node, depth: number): Json {
  if (typeof value !== 'object' || value === null || depth > limits.jsonDepth) return value
  const spread = schemas.flatMap((schema) => alternatives(schema, root, 0))
  if (Array.isArray(value))
    return value.map((item, index) => rewrite(item, itemSchemas(spread, index), renames, root, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      const declared = spread.map((schema) => nodeAt(nodeAt(schema, 'properties'), key)).filter(isNode)
      const wire = declared.length > 0 && Object.hasOwn(renames.keys, key) ? renames.keys[key] : undefined
      return [wire ?? key, rewrite(item, [...declared, ...otherSchemas(spread)], renames, root, depth + 1)]
    }),
  )
}

const itemSchemas = (schemas: readonly Node[], index: number): Node[] =>
  schemas.flatMap((schema) => {
    const tuple = listAt(schema, 'prefixItems')
    const item = index < tuple.length ? tuple[index] : schema['items']
    return isNode(item) ? [item] : []
  })

const otherSchemas = (schemas: readonly Node[]): Node[] =>
  schemas.flatMap((schema) => [
    ...[schema['additionalProperties'], ...Object.values(nodeAt(schema, 'patternProperties') ?? {})].filter(isNode),
  ])

/** A schema and everything that applies in the same place through `$ref` and combinators. */
function alternatives(schema: Node, root: Node, depth: number): Node[] {
  if (depth > 20) return []
  const found: Node[] = [schema]
  const ref = textAt(schema, '$ref')
  const target = ref === undefined ? undefined : nodeAt(nodeAt(root, '$defs'), ref.slice('#/$defs/'.length))
  if (target !== undefined) found.push(...alternatives(target, root, depth + 1))
  const branches: unknown[] = [
    ...['allOf', 'anyOf', 'oneOf'].flatMap((keyword) => listAt(schema, keyword)),
    ...['if', 'then', 'else', 'not'].map((keyword) => schema[keyword]),
    ...Object.values(nodeAt(schema, 'dependentSchemas') ?? {}),
  ]
  for (const branch of branches) if (isNode(branch)) found.push(...alternatives(branch, root, depth + 1))
  return found
}
