/** The state that a client brings back when it retries a call with what it was asked for (MCP 2026-07-28, multi round-trip). */
import { principalKey } from '../auth/authenticate.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InputAnswers, Json } from '../core/model.ts'
import { connectKey } from './connect.ts'
import type { McpContext } from './context.ts'
import type { ToolCall } from './era.ts'
import { isObject, param } from './message.ts'

/** What a retried call comes back with. */
export interface Resumed {
  readonly answers?: InputAnswers
  /** The sign-in that its user was sent to. */
  readonly connect?: string
}

/** `inputResponses` and `requestState` of a retried call (MCP 2026-07-28, multi round-trip requests). */
export function readAnswers(context: McpContext, call: ToolCall): Resumed | undefined {
  const responses = param(call.params, 'inputResponses')
  const sealed = param(call.params, 'requestState')
  if (responses === undefined && sealed === undefined) return undefined
  const bad = (): GatewayError =>
    new GatewayError('invalid_params', {
      words: 'The request state is not one that was given for this call, or it has expired.',
    })
  let state: string | undefined
  if (sealed !== undefined) {
    if (typeof sealed !== 'string' || sealed.length > limits.requestStateBytes) throw bad()
    const opened = context.seal.open(sealed, 'ask', ownerOf(call))
    if (!isObject(opened) || typeof opened['until'] !== 'number' || opened['until'] < context.clock.now()) throw bad()
    if (typeof opened['connect'] === 'string') return resumedConnect(opened['connect'], responses)
    state = typeof opened['state'] === 'string' ? opened['state'] : undefined
  }
  const kept = Object.entries(isObject(responses) ? responses : {}).filter(([, value]) => isObject(value))
  return { answers: { responses: Object.fromEntries(kept), ...(state === undefined ? {} : { state }) } }
}

/** A user who did not want to go to the page is not waited for. */
function resumedConnect(pendingId: string, responses: Json | undefined): Resumed {
  const answer = isObject(responses) ? responses[connectKey] : undefined
  const action = isObject(answer) ? answer['action'] : 'accept'
  if (action === 'decline' || action === 'cancel')
    throw new GatewayError('sign_in_failed', { words: 'The user did not connect the account.' })
  return { connect: pendingId }
}

/** The state to come back, bound to the caller, the tool and the arguments. Throws `target_bad_answer` for a long one. */
export function sealState(
  context: McpContext,
  call: ToolCall,
  held: { readonly state?: string | undefined; readonly connect?: string },
): string {
  const until = context.clock.now() + limits.askMs
  const kept = Object.entries(held).filter(([, value]) => value !== undefined)
  const sealed = context.seal.close({ until, ...Object.fromEntries(kept) }, 'ask', ownerOf(call))
  if (sealed.length > limits.requestStateBytes)
    throw new GatewayError('target_bad_answer', { words: 'The target’s request state is longer than is kept here.' })
  return sealed
}

const ownerOf = (call: ToolCall): string => JSON.stringify([principalKey(call.caller), call.name, call.arguments])
