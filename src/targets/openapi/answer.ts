/**
 * An HTTP answer → MCP content: JSON as text and as structured content, text as text, images and audio as themselves,
 * anything else as an embedded resource. A refusal (3xx, 4xx, 5xx) is an error result with the status and the body.
 */
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { Content, InboundResponse, Json, OperationRef, Outcome } from '../../core/model.ts'
import { statusLine } from '../../egress/status.ts'
import type { OutputCheck } from '../adapter.ts'
import { boundedContent, charsIn } from './cut.ts'
import { problemLines } from './problem.ts'
import { readResult, resultType } from './result.ts'
import { selectFrom } from './select.ts'
import { essence, isJsonType } from './tree.ts'

export function interpretAnswer(operation: OperationRef, response: InboundResponse, output?: OutputCheck): Outcome {
  const { status } = response
  if (status >= 300) return { isError: true, status, content: refusal(operation, response) }
  const type = essence(response.headers.get('content-type') ?? '')
  if (type === resultType && speaksMcp(operation)) {
    const result = readResult(response)
    if (result !== undefined) return { ...owing(result, output), status }
  }
  const text = asText(response, type)
  // A tool with an output schema owes structured content (MCP 2026-07-28, tools); an answer without JSON owes none of it.
  const empty = output === undefined ? {} : { structured: '{}' }
  if (response.body.length === 0) {
    const words = `The target answered ${statusLine(status)}, without a body.`
    return { isError: false, status, content: [{ type: 'text', text: words }], ...empty }
  }
  const json = isJsonType(type)
  const chosen = json && text !== undefined && !response.cut ? selected(operation, text) : undefined
  // What the operator wants passed on is a part: where it cannot be told, nothing is.
  if (operation.response?.select !== undefined && chosen === undefined)
    return { isError: true, status, content: [{ type: 'text', text: unselected }] }
  if (text === undefined) return { isError: false, status, content: [binary(operation, response, type)], ...empty }
  const content = bounded(operation, chosen ?? text, response.cut, json)
  // Structured content that is longer than the operator wants is as good as none.
  const { maxBytes } = operation.response ?? {}
  const tooLong = maxBytes !== undefined && charsIn(text, maxBytes) < text.length
  if (output === undefined || response.cut || tooLong) return { isError: false, status, content, ...empty }
  const structured = conforming(text, output)
  if (structured.flag === undefined) return { isError: false, status, content, structured: structured.text }
  return { isError: false, status, content, structured: structured.text, meta: { 'toolgate/output': structured.flag } }
}

/** A target's own result, held against the output schema and the bound for texts like any other answer. */
function owing(result: Outcome, output: OutputCheck | undefined): Outcome {
  if (result.ask !== undefined) return result
  const content = result.content.flatMap((block) =>
    block.type === 'text' ? boundedContent(block.text, false, limits.resultTextChars, false) : [block],
  )
  if (output === undefined || result.isError) return { ...result, content }
  return { ...result, content, structured: conforming(result.structured ?? '{}', output).text }
}

/** Only a target whose description says so may answer for MCP, and ask the client through it. */
const speaksMcp = ({ binding }: OperationRef): boolean =>
  typeof binding === 'object' && binding !== null && !Array.isArray(binding) && binding['speaksMcp'] === true

const unselected =
  'The target answered, but not with what the operator’s selection can be taken from (too long, cut, or not JSON), so nothing of it is passed on.'

/** The part of the answer that the operator wants passed on, as JSON text; nothing where all of it is. */
function selected(operation: OperationRef, text: string): string | undefined {
  const select = operation.response?.select
  if (select === undefined || text.length > limits.selectChars || nestsDeeper(text, limits.answerDepth))
    return undefined
  try {
    const found = selectFrom(JSON.parse(text) as Json, select)
    return found === undefined ? undefined : JSON.stringify(found)
  } catch {
    return undefined
  }
}

function bounded(operation: OperationRef, text: string, cut: boolean, isJson: boolean): Content[] {
  const bytes = operation.response?.maxBytes
  const chars = bytes === undefined ? limits.resultTextChars : charsIn(text, bytes)
  return boundedContent(text, cut, chars, isJson)
}

/** The status, what the body says in short where it is JSON that names a fault, and the body. */
function refusal(operation: OperationRef, response: InboundResponse): Content[] {
  const { status } = response
  const head =
    status < 400
      ? `The target answered ${statusLine(status)}: a redirect, and redirects are not followed.`
      : `The target answered ${statusLine(status)}.`
  const retry = response.headers.get('retry-after')
  const wait = retry !== undefined && /^[\w ,:+-]{1,64}$/.test(retry) ? ` Retry after: ${retry}.` : ''
  const type = essence(response.headers.get('content-type') ?? '')
  const text = asText(response, type)
  if (text === undefined || text === '') return [{ type: 'text', text: `${head}${wait}` }]
  const short = isJsonType(type) && !response.cut ? problemLines(text) : ''
  const [body, ...notes] = bounded(operation, text, response.cut, false)
  const words = [`${head}${wait}`, short, body?.type === 'text' ? body.text : ''].filter((part) => part !== '')
  return [{ type: 'text', text: words.join('\n\n') }, ...notes]
}

/** The body as text, if it is any: by its media type, or by its bytes where none is named. */
function asText(response: InboundResponse, type: string): string | undefined {
  const textual =
    type === '' ||
    type.startsWith('text/') ||
    isJsonType(type) ||
    /[/+](?:x-)?(?:xml|javascript|yaml|ndjson|graphql|www-form-urlencoded|jwt|sql|toml|csv)$/.test(type)
  if (!textual) return undefined
  const charset = /charset="?([\w-]+)/i.exec(response.headers.get('content-type') ?? '')?.[1] ?? 'utf-8'
  try {
    return new TextDecoder(charset, { fatal: type === '' && !response.cut }).decode(response.body)
  } catch {
    return type === '' ? undefined : new TextDecoder('utf-8').decode(response.body)
  }
}

function binary(operation: OperationRef, { body }: InboundResponse, type: string): Content {
  const data = body.toString('base64')
  if (type.startsWith('image/')) return { type: 'image', data, mimeType: type }
  if (type.startsWith('audio/')) return { type: 'audio', data, mimeType: type }
  const uri = `toolgate:answer/${encodeURIComponent(operation.id)}`
  return { type: 'resource', resource: { uri, mimeType: type === '' ? 'application/octet-stream' : type, blob: data } }
}

/** The structured part, verbatim where it conforms: its JSON text keeps digits that a JavaScript number would lose. */
function conforming(text: string, output: OutputCheck): { text: string; flag?: Json } {
  // Clients of another make would end on it.
  if (nestsDeeper(text, limits.answerDepth))
    return { text: '{}', flag: 'The answer is nested too deeply to be given as structured content.' }
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch {
    return { text: '{}', flag: 'The answer is not JSON, though its description says so.' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { text: '{}', flag: 'The answer is not a JSON object, though its description says so.' }
  const { value: fit, whole } = output.conform(value)
  if (whole) return { text }
  return {
    text: JSON.stringify(fit),
    flag: 'Members that contradict the description are left out here; the text has them.',
  }
}
