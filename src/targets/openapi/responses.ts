/** What an operation answers: which media types to ask for, and the shape of success. */
import { limits } from '../../core/limits.ts'
import type { Assembler } from './assemble.ts'
import type { Document } from './document.ts'
import type { Schema } from './keywords.ts'
import type { References } from './refs.ts'
import type { Schemas, Warn } from './schema.ts'
import { at, essence, isJsonType, isNode, listAt, type Node, nodeAt } from './tree.ts'

/** Success responses, the plain 200 first. */
export function successes(operation: Node, refs: References): { status: string; node: Node; pointer: string }[] {
  const responses = nodeAt(operation, 'responses')
  return Object.entries(responses ?? {})
    .filter(([status]) => /^2(?:\d\d|XX)$/i.test(status))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([status, entry]) => {
      const found = refs.follow(entry)
      return found.ok && isNode(found.node) ? [{ status, node: found.node, pointer: found.pointer }] : []
    })
}

/** Whether a success is described as one of a media type. */
export const answersWith = (operation: Node, refs: References, type: string): boolean =>
  successes(operation, refs).some(({ node }) =>
    Object.keys(nodeAt(node, 'content') ?? {}).some((name) => essence(name) === type),
  )

/** Swagger 2.0's media types of answers: the operation's own, or the document's. */
function producesOf(operation: Node, { root, dialect }: Document): string[] {
  if (dialect !== '2.0') return []
  // An empty list of the operation clears the document's (OAS 2.0, Operation Object).
  const own = operation['produces']
  return (Array.isArray(own) ? own : listAt(root, 'produces')).filter((type) => typeof type === 'string')
}

/** From 3.2 on, a media type's object may be a reference. */
function mediaSchema(content: Node | undefined, type: string, refs: References): unknown {
  const found = refs.follow(nodeAt(content, type))
  return found.ok && isNode(found.node) ? found.node['schema'] : undefined
}

/** The `Accept` header: what the description says success looks like, JSON first, anything rather than nothing. */
export function acceptOf(operation: Node, document: Document, refs: References): string {
  const types =
    document.dialect === '2.0'
      ? producesOf(operation, document)
      : successes(operation, refs).flatMap(({ node }) => Object.keys(nodeAt(node, 'content') ?? {}))
  const valid = [...new Set(types.map((type) => type.trim()))].filter((type) =>
    /^[\w!#$&^.+*-]+\/[\w!#$&^.+*;= -]+$/.test(type),
  )
  const json = valid.filter((type) => isJsonType(essence(type)))
  const listed = [...json, ...valid.filter((type) => !json.includes(type) && type !== '*/*')].slice(0, 5)
  return listed.length === 0 ? 'application/json, */*;q=0.8' : `${listed.join(', ')}, */*;q=0.5`
}

/**
 * The output schema, when every success with a body is JSON of one object shape. Nothing is required at its root: an
 * answer that breaks its description loses the member that does, and what is left still conforms.
 */
export function outputSchema(
  operation: Node,
  document: Document,
  refs: References,
  schemas: Schemas,
  assembler: Assembler,
  pointer: string,
  warn: Warn,
): Schema | undefined {
  const produces = producesOf(operation, document)
  const json = produces.length === 0 || produces.some((type) => isJsonType(essence(type)) || essence(type) === '*/*')
  const shapes: { schema: unknown; pointer: string }[] = []
  for (const { status, node } of successes(operation, refs)) {
    const place = at(pointer, 'responses', status)
    const content = nodeAt(node, 'content')
    if (node['schema'] !== undefined && !json) return undefined
    if (node['schema'] !== undefined) shapes.push({ schema: node['schema'], pointer: at(place, 'schema') })
    const type = Object.keys(content ?? {}).find((name) => isJsonType(essence(name)))
    if (content !== undefined && type === undefined && Object.keys(content).length > 0) return undefined
    const schema = type === undefined ? undefined : mediaSchema(content, type, refs)
    if (type !== undefined && schema === undefined) return undefined
    if (type !== undefined) shapes.push({ schema, pointer: at(place, 'content', type, 'schema') })
  }
  const [first] = shapes
  if (first === undefined || shapes.some(({ schema }) => JSON.stringify(schema) !== JSON.stringify(first.schema)))
    return undefined
  const converted = schemas.spelled(schemas.convert(first.schema, 'output', first.pointer), 'output')
  if (converted['type'] !== 'object' || !isNode(converted['properties'])) return undefined
  const { required: _required, oneOf: _oneOf, anyOf: _anyOf, allOf: _allOf, not: _not, ...root } = converted
  if (converted['oneOf'] !== undefined || converted['anyOf'] !== undefined || converted['allOf'] !== undefined)
    return undefined
  const assembled = assembler.assemble(root)
  if (JSON.stringify(assembled).length > limits.outputSchemaChars) {
    warn('output_too_large', first.pointer, 'The answer’s schema is too large to be of use to a model; none is given.')
    return undefined
  }
  return assembled
}
