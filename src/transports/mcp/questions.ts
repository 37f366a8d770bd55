/** What a server may ask the caller's client, by its kind, and how much. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { ClientCapability } from '../transport.ts'

type Members = { readonly [name: string]: Json }

/** The capability that a client must have declared to be asked this; none for what no client is asked. */
export function capabilityFor(method: string, { mode }: Members): ClientCapability | undefined {
  switch (method) {
    case 'elicitation/create':
      return mode === 'url' ? 'elicitation.url' : 'elicitation'
    case 'sampling/createMessage':
      return 'sampling'
    case 'roots/list':
      return 'roots'
    default:
      return undefined
  }
}

/** A page that a user is sent to is one of the web, whatever else a client would open. */
export const isPage = (url: Json | undefined): url is string =>
  typeof url === 'string' && url.length <= limits.mcpUriChars && /^https?:$/.test(URL.parse(url)?.protocol ?? '')

/** Whether a question is short, and asks for nothing but what it says that it asks for. */
export const isFair = (method: string, params: Members): boolean =>
  JSON.stringify(params).length <= limits.mcpQuestionBytes &&
  (capabilityFor(method, params) !== 'elicitation.url' || isPage(params['url']))

/** The questions of an `input_required` result (MCP 2026-07-28). Throws `target_bad_answer`. */
export function checkQuestions(result: Members): void {
  const questions = Object.values(isMembers(result['inputRequests']) ? result['inputRequests'] : {})
  const areFair = questions.every((question) => {
    const { method, params } = isMembers(question) ? question : {}
    return typeof method === 'string' && isFair(method, isMembers(params) ? params : {})
  })
  if (questions.length > limits.mcpQuestions || !areFair)
    throw new GatewayError('target_bad_answer', { words: 'The target asks for more than a client is asked.' })
}

const isMembers = (value: Json | undefined): value is { [name: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
