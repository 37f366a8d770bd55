/** Tool definitions of a Lambda file → operations. A bad tool costs only itself. */
import { toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Effect, Json, Operation } from '../../core/model.ts'
import type { ImportOptions } from '../adapter.ts'
import type { Tell } from '../mcp/issues.ts'
import { legalSchema, type Lost, outputOf } from '../mcp/schema.ts'
import { isName } from '../mcp/tools.ts'
import { prose } from '../openapi/keywords.ts'
import { at, isNode, member, type Node, nodeAt } from '../openapi/tree.ts'
import { legalKeys, type Renames } from './keys.ts'

/** What a call needs of a tool. */
export interface Binding {
  readonly renames?: Renames
  /** Members that its output schema itself describes: they are data, and no envelope. */
  readonly own?: readonly string[]
}

export function readTools(tools: readonly unknown[], place: string, options: ImportOptions, issue: Tell): Operation[] {
  const operations = new Map<string, Operation>()
  tools.forEach((tool, index) => {
    const pointer = at(place, index)
    const name = member(tool, 'name')
    if (!isNode(tool) || !isName(name) || operations.has(name)) {
      const reason = isName(name) ? `There is another tool called ${name}.` : 'It has no `name` that can be used.'
      issue('error', 'lambda_tool', pointer, `${reason} It is left out.`)
      return
    }
    try {
      operations.set(name, readTool(tool, name, pointer, options, issue))
    } catch (thrown) {
      issue(
        'error',
        'lambda_schema',
        at(pointer, 'inputSchema'),
        `${name}: ${toGatewayError(thrown).message} It is left out.`,
      )
    }
  })
  return [...operations.values()]
}

function readTool(tool: Node, name: string, pointer: string, options: ImportOptions, issue: Tell): Operation {
  const lost =
    (place: string): Lost =>
    (code, message) =>
      issue('warning', code, at(pointer, place), `${name}: ${message}`)
  const { schema, renames } = legalKeys(legalSchema(member(tool, 'inputSchema') ?? {}, lost('inputSchema')))
  const output = outputOf(tool, lost('outputSchema'), (message) =>
    issue('warning', 'output_schema', at(pointer, 'outputSchema'), `${name}: ${message}`),
  )
  const annotations = nodeAt(tool, 'annotations')
  const title = prose(member(tool, 'title') ?? member(annotations, 'title'), limits.titleChars)
  const description = prose(member(tool, 'description'), options.descriptionChars ?? limits.descriptionChars)
  if (description === undefined)
    issue('warning', 'lambda_description', pointer, `${name} has no description, which models choose by.`)
  const own = envelopes.filter((key) => isNode(member(nodeAt(output, 'properties'), key)))
  const binding: Binding = {
    ...(renames === undefined ? {} : { renames }),
    ...(own.length === 0 ? {} : { own }),
  }
  return {
    id: name,
    label: `tool ${name}`,
    ...(title === undefined ? {} : { title }),
    description: description ?? title ?? '',
    input: schema,
    ...(output === undefined ? {} : { output }),
    ...hintsOf(annotations),
    binding: binding as unknown as Json,
  }
}

/** Members by which an answer is known to be a proxy’s or an MCP tool’s. */
const envelopes = ['statusCode', 'content']

/** AgentCore’s definitions have no annotations. Whoever adds MCP’s is taken at his word; all others may write. */
function hintsOf(annotations: Node | undefined): { readonly effect: Effect; readonly idempotent: boolean } {
  if (member(annotations, 'readOnlyHint') === true) return { effect: 'read', idempotent: true }
  const effect = member(annotations, 'destructiveHint') === true ? 'delete' : 'write'
  return { effect, idempotent: member(annotations, 'idempotentHint') === true }
}
