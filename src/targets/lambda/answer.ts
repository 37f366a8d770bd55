/**
 * What a function answered → outcome. Its JSON is text and structured content; an MCP tool result is taken as one, a
 * proxy’s answer as the HTTP answer that it stands for; an error of the function is told by its type and message.
 */
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse, OperationRef, Outcome } from '../../core/model.ts'
import type { OutputCheck } from '../adapter.ts'
import { blockOf, resultOf } from '../mcp/result.ts'
import { interpretAnswer } from '../openapi/answer.ts'
import { isNode, listAt, member, type Node, textAt } from '../openapi/tree.ts'
import { isProxyShaped, isRefusal, statusOf, toHttp } from './proxy.ts'
import type { Binding } from './tools.ts'

/** Header fields of the Invoke API (botocore lambda/2015-03-31), by which the way to a function tells of it. */
export const functionError = 'x-amz-function-error'

export function interpretInvocation(operation: OperationRef, response: InboundResponse, output?: OutputCheck): Outcome {
  if (response.headers.has(functionError))
    return { isError: true, content: [{ type: 'text', text: faultOf(response) }] }
  const text = response.body.toString('utf8')
  const { own = [] } = operation.binding as unknown as Binding
  const value = response.cut || !/"(?:statusCode|content)"/.test(text) ? undefined : parse(text)
  if (!own.includes('content') && isToolResult(operation, value))
    return { ...resultOf(operation, value, output), status: response.status }
  return interpretAnswer(operation, unwrapped(value, own) ?? typed(response, text), output)
}

/** What a proxy’s answer stands for; nothing where it is none. */
function unwrapped(value: unknown, own: readonly string[]): InboundResponse | undefined {
  if (!isProxyShaped(value) && !isRefusal(value)) return undefined
  const status = statusOf(value) ?? 200
  // where the envelope is what the tool promises, only its status is news
  return status >= 300 || !own.includes('statusCode') ? toHttp(value, status) : undefined
}

const typed = (response: InboundResponse, text: string): InboundResponse => ({
  ...response,
  headers: new Map([...response.headers, ['content-type', isJson(text) ? 'application/json' : '']]),
})

/** Whatever a function returns is JSON; a runtime of somebody’s own may send anything. */
const isJson = (text: string): boolean => /^\s*(?:[[{"]|-?\d|true\b|false\b|null\b)/.test(text)

const resultMembers = new Set(['content', 'isError', 'structuredContent', '_meta', 'resultType'])

/**
 * Only with blocks that MCP knows, or none and its flag, and without members of its own: a page of something may have a
 * list called `content`, too.
 */
function isToolResult(operation: OperationRef, value: unknown): value is Node {
  if (!isNode(value) || !Array.isArray(value['content'])) return false
  const content = listAt(value, 'content')
  const type = member(value, 'resultType')
  return (
    (content.length > 0 || member(value, 'isError') === true) &&
    (type === undefined || type === 'complete') &&
    Object.keys(value).every((name) => resultMembers.has(name)) &&
    content.every((block) => blockOf(operation, block) !== undefined)
  )
}

function parse(text: string): unknown {
  if (nestsDeeper(text, limits.answerDepth)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** In words: the kind of error, its type, its message; never its stack, which tells of the function’s code. */
function faultOf(response: InboundResponse): string {
  const { type, message } = errorOf(response)
  const said = [type, message].filter((part) => part !== '').join(': ')
  if (isTimeout(type, message))
    return `The function did not end within its own time limit. Whether it acted is not known.\n\n${said}`
  const kind = response.headers.get(functionError) === 'Handled' ? 'Handled' : 'Unhandled'
  return `The function failed (${kind}).${said === '' ? '' : `\n\n${said}`}`
}

const isTimeout = (type: string, message: string): boolean =>
  type === 'Sandbox.Timedout' || /\btimed? ?out after \d/i.test(message)

/** `errorType` and `errorMessage` of a function’s error, bounded, and without the stack that some put into the message. */
export function errorOf({ body }: InboundResponse): { readonly type: string; readonly message: string } {
  const value = parse(body.toString('utf8'))
  if (!isNode(value)) return { type: '', message: '' }
  const type = textAt(value, 'errorType') ?? ''
  const message = textAt(value, 'errorMessage') ?? ''
  return {
    type: /^[\w.$: <>[\]`-]{1,200}$/.test(type) ? type : '',
    message: withoutStack(message).slice(0, limits.lambdaErrorChars).toWellFormed(),
  }
}

const stackLine =
  /^\s*(?:at .*[:(]|File ".*", line \d+|Traceback \(most recent call last\)|from \S+:\d+:in |goroutine \d+ \[)/

function withoutStack(message: string): string {
  const lines = message.slice(0, 16 * limits.lambdaErrorChars).split('\n')
  const end = lines.findIndex((line) => stackLine.test(line))
  return (end < 0 ? lines : lines.slice(0, end)).join('\n').trim()
}
