/** The result of `tools/call` as its server gave it → outcome: blocks verbatim as far as MCP knows them, the rest as text. */
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { Content, InboundResponse, Json, OperationRef, Outcome } from '../../core/model.ts'
import { statusLine } from '../../egress/status.ts'
import type { OutputCheck } from '../adapter.ts'
import { boundedContent, charsIn } from '../openapi/cut.ts'
import { readAsk } from '../openapi/result.ts'
import { selectFrom } from '../openapi/select.ts'
import { isNode, listAt, member, type Node, nodeAt, textAt } from '../openapi/tree.ts'

const said = (text: string, status?: number): Outcome => ({
  isError: true,
  content: [{ type: 'text', text }],
  ...(status === undefined ? {} : { status }),
})

export function interpretResult(operation: OperationRef, response: InboundResponse, output?: OutputCheck): Outcome {
  const { status, cut } = response
  const text = response.body.toString('utf8')
  if (status >= 300)
    return said(
      [`The target answered ${statusLine(status)}.`, ...bounded(operation, text)].join('\n\n').trimEnd(),
      status,
    )
  const body = cut || nestsDeeper(text, limits.answerDepth) ? undefined : parse(text)
  if (body === undefined)
    return said('The target’s answer could not be read: it is cut, no JSON, or nested too deeply.')
  if (body['resultType'] === 'input_required') {
    const ask = readAsk(body)
    return ask === undefined
      ? said('The target asks for something that cannot be asked of a client.')
      : { isError: false, content: [], ask }
  }
  return resultOf(operation, body, output)
}

/** A whole `CallToolResult` (MCP 2026-07-28, tools). */
export function resultOf(operation: OperationRef, body: Node, output: OutputCheck | undefined): Outcome {
  const isError = member(body, 'isError') === true
  const structured = member(body, 'structuredContent')
  if (operation.response?.select !== undefined && !isError) return selection(operation, body, structured)
  const content = listAt(body, 'content').flatMap(
    (block) => blockOf(operation, block) ?? boundedContent(JSON.stringify(block), false, limits.resultTextChars, true),
  )
  // whatever only clients of one revision take as structured content is given in words
  if (content.length === 0 && structured !== undefined)
    content.push(...boundedContent(JSON.stringify(structured), false, limits.resultTextChars, true))
  return { isError, content, ...structuredOf(structured, isError, output), ...metaOf(body) }
}

function parse(text: string): Node | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isNode(value) ? value : undefined
  } catch {
    return undefined
  }
}

const bounded = ({ response }: OperationRef, text: string): string[] => {
  const chars = response?.maxBytes === undefined ? limits.resultTextChars : charsIn(text, response.maxBytes)
  return boundedContent(text, false, chars, false).map((block) => (block.type === 'text' ? block.text : ''))
}

/** The part that the operator wants passed on, of the structured content or of the JSON that a single text is; or nothing. */
function selection(operation: OperationRef, body: Node, structured: unknown): Outcome {
  const texts = listAt(body, 'content').map((block) => textAt(block, 'text'))
  let found: Json | undefined
  try {
    const source = structured ?? (texts.length === 1 && texts[0] !== undefined ? JSON.parse(texts[0]) : undefined)
    const select = operation.response?.select
    found = source === undefined || select === undefined ? undefined : selectFrom(source as Json, select)
  } catch {
    found = undefined
  }
  if (found === undefined)
    return said(
      'The target answered, but not with what the operator’s selection can be taken from, so nothing of it is passed on.',
    )
  const text = JSON.stringify(found)
  const chars =
    operation.response?.maxBytes === undefined ? limits.resultTextChars : charsIn(text, operation.response.maxBytes)
  return { isError: false, content: boundedContent(text, false, chars, true) }
}

/** A tool with an output schema owes structured content that fits it (MCP 2026-07-28, tools); others may have any object. */
function structuredOf(value: unknown, isError: boolean, output: OutputCheck | undefined): Partial<Outcome> {
  if (isError) return {}
  if (output === undefined) return isNode(value) ? { structured: JSON.stringify(value) } : {}
  if (!isNode(value))
    return {
      structured: '{}',
      meta: flag('The target gave no structured content, though its tool has a schema for it.'),
    }
  const { value: fit, whole } = output.conform(value as Json)
  if (whole) return { structured: JSON.stringify(value) }
  return { structured: JSON.stringify(fit), meta: flag('Members that contradict the description are left out here.') }
}

const flag = (words: string): { readonly [key: string]: Json } => ({ 'toolgate/output': words })

function metaOf(body: Node): Partial<Outcome> {
  const meta = ownMeta(nodeAt(body, '_meta'))
  return meta === undefined ? {} : { meta }
}

/** A server's own `_meta`, bounded, without the keys that MCP, and this gateway, keep for the one who answers. */
export function ownMeta(source: Node | undefined): { [key: string]: Json } | undefined {
  const meta = Object.entries(source ?? {}).filter(([key]) => !/^(?:io\.modelcontextprotocol|toolgate)\//.test(key))
  return boundedNode(meta.length === 0 ? undefined : Object.fromEntries(meta))
}

/** One block; nothing for what MCP 2026-07-28 does not know, which is told as the JSON that it is. */
export function blockOf(operation: OperationRef, block: unknown): Content[] | undefined {
  const facts = factsOf(block)
  const type = textAt(block, 'type')
  const text = textAt(block, 'text')
  if (type === 'text' && text !== undefined) {
    const [first, ...notes] = bounded(operation, text)
    return [{ type, text: first ?? '', ...facts }, ...notes.map((note): Content => ({ type: 'text', text: note }))]
  }
  const data = textAt(block, 'data')
  const mimeType = textAt(block, 'mimeType')
  if ((type === 'image' || type === 'audio') && data !== undefined && mimeType !== undefined)
    return [{ type, data, mimeType, ...facts }]
  const resource = type === 'resource' ? readResource(nodeAt(block, 'resource')) : undefined
  if (resource !== undefined) return [{ type: 'resource', resource, ...facts }]
  const name = textAt(block, 'name')
  const uri = textAt(block, 'uri')
  if (type === 'resource_link' && isNode(block) && name !== undefined && uri !== undefined)
    return [{ ...(block as { [member: string]: Json }), ...facts, type, name, uri }]
  return undefined
}

type Embedded = Extract<Content, { type: 'resource' }>['resource']

function readResource(resource: Node | undefined): Embedded | undefined {
  const uri = textAt(resource, 'uri')
  if (uri === undefined) return undefined
  const mimeType = textAt(resource, 'mimeType')
  const named = { uri, ...(mimeType === undefined ? {} : { mimeType }) }
  const text = textAt(resource, 'text')
  const blob = textAt(resource, 'blob')
  if (text !== undefined) return { ...named, text }
  return blob === undefined ? undefined : { ...named, blob }
}

function factsOf(block: unknown): Pick<Content, 'annotations' | '_meta'> {
  const annotations = boundedNode(nodeAt(block, 'annotations'))
  const meta = boundedNode(nodeAt(block, '_meta'))
  return { ...(annotations === undefined ? {} : { annotations }), ...(meta === undefined ? {} : { _meta: meta }) }
}

const boundedNode = (node: Node | undefined): { [name: string]: Json } | undefined =>
  node === undefined || JSON.stringify(node).length > limits.mcpMetaChars
    ? undefined
    : (node as { [name: string]: Json })
