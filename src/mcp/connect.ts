/**
 * “Connect your account”: how a call that needs a grant of its user is answered. By URL elicitation where the client
 * knows it (2026-07-28 with the state to come back, 2025-11-25 as error −32042), otherwise as a result with the link.
 */
import { GatewayError } from '../core/errors.ts'
import type { Json, Principal } from '../core/model.ts'
import type { ConnectionRequired } from '../credentials/provider.ts'
import type { McpContext } from './context.ts'

/** How a client can be sent to a page. */
export type LinkWay = 'input_required' | 'error' | 'result'

export type ConnectAnswer =
  | { readonly kind: 'result'; readonly text: string }
  | { readonly kind: 'error'; readonly error: GatewayError }

/** The key of the one request in `inputRequests`. */
export const connectKey = 'connect'

export function connectAnswer(
  context: McpContext,
  needed: ConnectionRequired,
  caller: Principal,
  way: LinkWay,
  sealed: () => string,
): ConnectAnswer {
  const { url, code } = context.connectLink(needed.pendingId, caller)
  const words = `${needed.target} needs your own account (${needed.credential}). Open the page, ${code === undefined ? '' : `enter the code ${code} there, `}sign in, and call again.`
  switch (way) {
    case 'input_required': {
      const request = { method: 'elicitation/create', params: { mode: 'url', url, message: words } }
      const result = {
        resultType: 'input_required',
        inputRequests: { [connectKey]: request },
        requestState: sealed(),
      }
      return { kind: 'result', text: JSON.stringify(result) }
    }
    case 'error': {
      const elicitation: Json = { mode: 'url', elicitationId: needed.pendingId, url, message: words }
      return {
        kind: 'error',
        error: new GatewayError('connection_required', { words, data: { elicitations: [elicitation] } }),
      }
    }
    case 'result': {
      const text = `${words}\n\n${url}\n\nShow this link to the user as it is; it is of no use to anyone else.`
      return { kind: 'result', text: JSON.stringify({ content: [{ type: 'text', text }], isError: true }) }
    }
  }
}
