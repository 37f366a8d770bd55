/** The answer of a function behind API Gateway as the HTTP answer that API Gateway would give (payload format 2.0). */
import { GatewayError } from '../../core/errors.ts'
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { InboundResponse } from '../../core/model.ts'
import { errorOf, functionError } from '../../targets/lambda/answer.ts'
import { badGateway, statusOf, toHttp } from '../../targets/lambda/proxy.ts'
import { isNode, member } from '../../targets/openapi/tree.ts'

/** Throws `target_bad_answer` for one that was cut: what is not whole cannot be unwrapped. */
export function proxyAnswer(answer: InboundResponse): InboundResponse {
  if (answer.cut)
    throw new GatewayError('target_bad_answer', { words: 'The function’s answer is longer than is read here.' })
  if (answer.headers.has(functionError)) return failed(answer)
  const text = answer.body.toString('utf8')
  let value: unknown
  try {
    if (nestsDeeper(text, limits.answerDepth)) throw new RangeError('it is nested too deeply')
    value = text === '' ? '' : JSON.parse(text)
  } catch {
    return broken(answer, 'The function’s answer is not JSON, or nested too deeply.')
  }
  if (!isNode(value) || member(value, 'statusCode') === undefined) return inferred(answer, value)
  const status = statusOf(value)
  if (status === undefined) return broken(answer, 'The function’s answer has a statusCode that HTTP has not.')
  return withFacts(answer, toHttp(value, status))
}

/** Without a status, it is the body itself. */
const inferred = (answer: InboundResponse, value: unknown): InboundResponse =>
  withFacts(answer, {
    status: 200,
    headers: new Map([['content-type', 'application/json']]),
    body: typeof value === 'string' ? Buffer.from(value) : answer.body,
    cut: false,
  })

/** The error’s type and message, never its stack. */
function failed(answer: InboundResponse): InboundResponse {
  const { type, message } = errorOf(answer)
  const body = JSON.stringify({ message: 'The function failed.', errorType: type, errorMessage: message })
  return withFacts(answer, badGateway('application/json', body))
}

const broken = (answer: InboundResponse, words: string): InboundResponse =>
  withFacts(answer, badGateway('text/plain', words))

/** What the Lambda API says of the invocation goes on where the function says nothing under the same name. */
const withFacts = (answer: InboundResponse, http: InboundResponse): InboundResponse => ({
  ...http,
  headers: new Map([...[...answer.headers].filter(([name]) => name.startsWith('x-amz')), ...http.headers]),
})
