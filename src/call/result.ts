/** Outcome → the JSON text of an MCP `CallToolResult`, with the target's own JSON verbatim in it. */
import { GatewayError } from '../core/errors.ts'
import type { Outcome } from '../core/model.ts'

/** The result without `_meta` and its closing brace, which the wire adds: `{"content":[…],"structuredContent":{…}`. */
export function resultText(outcome: Outcome): string {
  const content = JSON.stringify(outcome.content)
  const structured =
    outcome.structured === undefined || outcome.isError ? '' : `,"structuredContent":${outcome.structured}`
  return `{"content":${content}${structured}${outcome.isError ? ',"isError":true' : ''}`
}

const said = (words: string): Outcome => ({ isError: true, content: [{ type: 'text', text: words }] })

/** A caller's wrong arguments: every fault with its path, so that a model can mend them. */
export const wrongArguments = (faults: readonly string[]): Outcome =>
  said(`The arguments do not fit the tool’s input schema:\n${faults.map((line) => `- ${line}`).join('\n')}`)

const asResult = new Set([
  'egress_refused',
  'target_unresolved',
  'target_unreachable',
  'target_tls',
  'target_refused',
  'target_busy',
  'target_timeout',
  'target_broke_off',
  'target_bad_answer',
  'target_redirect',
  'request_unbuildable',
  'token_refused',
  'token_unavailable',
  'sign_in_failed',
])

/** A fault on the way to the target is a result that the model may act on; the gateway's own faults are thrown on. */
export function faultOutcome(error: unknown): Outcome | undefined {
  return error instanceof GatewayError && asResult.has(error.code) ? said(error.message) : undefined
}
