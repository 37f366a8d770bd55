/**
 * Targets that know MCP may answer with a whole tool result, as `application/vnd.toolgate.result+json`: the body is then
 * a `CallToolResult` or an `InputRequiredResult` of MCP 2026-07-28. The client's answers come back in two headers.
 */
import type { Content, InboundResponse, InputAnswers, InputRequest, Json, Outcome } from '../../core/model.ts'
import { isNode, listAt, type Node, nodeAt, textAt } from './tree.ts'

export const resultType = 'application/vnd.toolgate.result+json'

/** The result, or nothing when the body is not one: it is then shown as the JSON that it is. */
export function readResult(response: InboundResponse): Outcome | undefined {
  let body: unknown
  try {
    body = JSON.parse(response.body.toString('utf8'))
  } catch {
    return undefined
  }
  if (!isNode(body)) return undefined
  if (body['resultType'] === 'input_required') {
    const ask = readAsk(body)
    return ask === undefined ? undefined : { isError: false, content: [], ask }
  }
  const content = listAt(body, 'content').map(readContent)
  if (!Array.isArray(body['content']) || content.some((block) => block === undefined)) return undefined
  const structured = nodeAt(body, 'structuredContent')
  return {
    isError: body['isError'] === true,
    content: content.filter((block) => block !== undefined),
    ...(structured === undefined ? {} : { structured: JSON.stringify(structured) }),
  }
}

function readContent(value: unknown): Content | undefined {
  const type = textAt(value, 'type')
  const mimeType = textAt(value, 'mimeType')
  if (type === 'text') {
    const text = textAt(value, 'text')
    return text === undefined ? undefined : { type, text }
  }
  if (type === 'image' || type === 'audio') {
    const data = textAt(value, 'data')
    return data === undefined || mimeType === undefined ? undefined : { type, data, mimeType }
  }
  return type === 'resource' ? readResource(nodeAt(value, 'resource')) : undefined
}

function readResource(resource: Node | undefined): Content | undefined {
  const uri = textAt(resource, 'uri')
  if (uri === undefined || !URL.canParse(uri)) return undefined
  const mimeType = textAt(resource, 'mimeType')
  const named = { uri, ...(mimeType === undefined ? {} : { mimeType }) }
  const text = textAt(resource, 'text')
  const blob = textAt(resource, 'blob')
  if (text !== undefined) return { type: 'resource', resource: { ...named, text } }
  return blob === undefined ? undefined : { type: 'resource', resource: { ...named, blob } }
}

/** The client's answers, as base64url of JSON, and the state that the target gave with its question. */
export function addAnswers(headers: Map<string, string>, answers: InputAnswers): void {
  headers.set('toolgate-input-responses', Buffer.from(JSON.stringify(answers.responses)).toString('base64url'))
  if (answers.state !== undefined)
    headers.set('toolgate-request-state', Buffer.from(answers.state).toString('base64url'))
}

const askable = new Set(['elicitation/create', 'sampling/createMessage', 'roots/list'])

export function readAsk(body: Node): InputRequest | undefined {
  const requests: { [key: string]: { method: string; params: { [key: string]: Json } } } = {}
  for (const [key, request] of Object.entries(nodeAt(body, 'inputRequests') ?? {})) {
    const method = textAt(request, 'method')
    if (method === undefined || !askable.has(method) || !/^[\w.-]{1,64}$/.test(key)) return undefined
    requests[key] = { method, params: (nodeAt(request, 'params') ?? {}) as { [key: string]: Json } }
  }
  const state = textAt(body, 'requestState')
  if (Object.keys(requests).length === 0) return undefined
  return { requests, ...(state === undefined ? {} : { state }) }
}
