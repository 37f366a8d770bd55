/** Tools of an MCP server → operations. A bad tool costs only itself. */
import { toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Effect, Json, Operation } from '../../core/model.ts'
import type { ImportOptions } from '../adapter.ts'
import { prose } from '../openapi/keywords.ts'
import { at, isNode, member, type Node, nodeAt, textAt } from '../openapi/tree.ts'
import type { Tell } from './issues.ts'
import { legalSchema, type Lost, outputOf } from './schema.ts'

/** What a call needs of a tool. */
export interface Binding {
  /** The server's own name. */
  readonly tool: string
  /** Arguments that are sent as headers besides (MCP 2026-07-28, `x-mcp-header`): argument, header. */
  readonly headers?: readonly (readonly [argument: string, header: string])[]
}

/** Printable, short enough, and well-formed: whatever else a name has is the server's business. */
export const isName = (value: unknown): value is string =>
  typeof value === 'string' &&
  value !== '' &&
  Buffer.byteLength(value) <= limits.toolNameBytes &&
  value.isWellFormed() &&
  !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value)

export function readTools(tools: readonly unknown[], options: ImportOptions, issue: Tell): Operation[] {
  const operations = new Map<string, Operation>()
  tools.forEach((tool, index) => {
    const pointer = at('/tools', index)
    const name = member(tool, 'name')
    if (!isNode(tool) || !isName(name) || operations.has(name)) {
      const reason = isName(name) ? 'Another tool has this name.' : 'Its name is not a short line of printable text.'
      issue('error', 'tool_name', pointer, `${reason} It is left out.`)
      return
    }
    if (textAt(nodeAt(tool, 'execution'), 'taskSupport') === 'required') {
      issue('error', 'task_required', pointer, `${name} runs as a task only. It is left out.`)
      return
    }
    try {
      operations.set(name, readTool(tool, name, pointer, options, issue))
    } catch (thrown) {
      issue('error', 'tool_schema', pointer, `${name}: ${toGatewayError(thrown).message} It is left out.`)
    }
  })
  return [...operations.values()]
}

function readTool(tool: Node, name: string, pointer: string, options: ImportOptions, issue: Tell): Operation {
  const lost =
    (place: string): Lost =>
    (code, message) =>
      issue('warning', code, at(pointer, place), `${name}: ${message}`)
  const input = legalSchema(member(tool, 'inputSchema') ?? {}, lost('inputSchema'))
  const output = outputOf(tool, lost('outputSchema'), (message) =>
    issue('warning', 'output_schema', at(pointer, 'outputSchema'), `${name}: ${message}`),
  )
  const title = prose(member(tool, 'title') ?? member(nodeAt(tool, 'annotations'), 'title'), limits.titleChars)
  const headers = headersIn(nodeAt(tool, 'inputSchema'))
  return {
    id: name,
    label: `tool ${name}`,
    ...(title === undefined ? {} : { title }),
    description: prose(member(tool, 'description'), options.descriptionChars ?? limits.descriptionChars) ?? '',
    input,
    ...(output === undefined ? {} : { output }),
    ...hintsOf(nodeAt(tool, 'annotations')),
    binding: { tool: name, ...(headers.length === 0 ? {} : { headers: headers.map((pair): Json[] => [...pair]) }) },
  }
}

/** The hints are the server's own words, with the defaults that MCP gives them: where it says nothing, it may destroy. */
function hintsOf(annotations: Node | undefined): { readonly effect: Effect; readonly idempotent: boolean } {
  if (member(annotations, 'readOnlyHint') === true) return { effect: 'read', idempotent: true }
  const effect = member(annotations, 'destructiveHint') === false ? 'write' : 'delete'
  return { effect, idempotent: member(annotations, 'idempotentHint') === true }
}

const headerName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/

/** Only arguments at the top, and of simple types, can be headers. */
function headersIn(schema: Node | undefined): [string, string][] {
  return Object.entries(nodeAt(schema, 'properties') ?? {}).flatMap(([argument, part]): [string, string][] => {
    const header = textAt(part, 'x-mcp-header')
    return header !== undefined && headerName.test(header) ? [[argument, header]] : []
  })
}
