/** Walks a JSON Schema 2020-12: every schema in it once, with the JSON Pointer where it stands. */

export type SchemaNode = { readonly [keyword: string]: unknown }

export const isSchemaNode = (value: unknown): value is SchemaNode =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Keywords whose value is a schema, a list of schemas, or schemas by name (JSON Schema 2020-12 §10, §11). */
const schemaKeywords = new Map<string, 'one' | 'list' | 'map'>([
  ['items', 'one'],
  ['additionalProperties', 'one'],
  ['not', 'one'],
  ['if', 'one'],
  ['then', 'one'],
  ['else', 'one'],
  ['contains', 'one'],
  ['propertyNames', 'one'],
  ['unevaluatedItems', 'one'],
  ['unevaluatedProperties', 'one'],
  ['contentSchema', 'one'],
  ['allOf', 'list'],
  ['anyOf', 'list'],
  ['oneOf', 'list'],
  ['prefixItems', 'list'],
  ['properties', 'map'],
  ['patternProperties', 'map'],
  ['dependentSchemas', 'map'],
  ['$defs', 'map'],
  ['definitions', 'map'],
])

/** RFC 6901 §3. */
export const pointerTo = (pointer: string, ...tokens: readonly (string | number)[]): string =>
  tokens.reduce<string>(
    (path, token) => `${path}/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`,
    pointer,
  )

/** Each schema directly below this one. */
function* childrenOf(schema: SchemaNode, pointer: string): Generator<[child: SchemaNode, pointer: string]> {
  for (const [keyword, value] of Object.entries(schema)) {
    const kind = schemaKeywords.get(keyword)
    const place = pointerTo(pointer, keyword)
    if (kind === 'one' && isSchemaNode(value)) yield [value, place]
    else if (kind === 'list' && Array.isArray(value)) {
      for (const [index, item] of value.entries()) if (isSchemaNode(item)) yield [item, pointerTo(place, index)]
    } else if (kind === 'map' && isSchemaNode(value)) {
      for (const [name, item] of Object.entries(value)) if (isSchemaNode(item)) yield [item, pointerTo(place, name)]
    }
  }
}

/** The schema and all below it, a parent before its children; `depth` counts the steps from the first. */
export function* walk(schema: SchemaNode, pointer: string): Generator<[schema: SchemaNode, pointer: string]> {
  const stack: [SchemaNode, string][] = [[schema, pointer]]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    yield next
    stack.push(...[...childrenOf(...next)].reverse())
  }
}

/** The schema that a local `$ref` of this root names (RFC 6901 in a fragment), if there is one. */
export function resolveRef(root: SchemaNode, ref: unknown): { schema: unknown; path: string } | undefined {
  if (typeof ref !== 'string' || !/^#(?:\/|$)/.test(ref)) return undefined
  let schema: unknown = root
  for (const token of ref.slice(2).split('/')) {
    if (ref.length < 3) break
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
    const plain = /%[0-9A-Fa-f]{2}/.test(key) ? decoded(key) : key
    if (Array.isArray(schema)) schema = schema[Number(plain)]
    else if (isSchemaNode(schema) && Object.hasOwn(schema, plain)) schema = schema[plain]
    else return undefined
  }
  return schema === undefined ? undefined : { schema, path: ref.slice(1) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Same text for the same value, whatever the order of its members. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isSchemaNode(value)) return JSON.stringify(value) ?? 'null'
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  members.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`
}
