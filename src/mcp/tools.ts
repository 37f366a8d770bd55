/** `tools/list` and `tools/call`, the same for every revision but for what each wraps round the result. */
import { randomUUID } from 'node:crypto'
import { principalKey } from '../auth/authenticate.ts'
import { type CallAnswer, type CallRequest, callTool } from '../call/call.ts'
import { chunks } from '../catalogue/listing.ts'
import { type CancelSignal, Cancellation } from '../core/cancel.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InputAnswers, InputRequest, Json, Principal } from '../core/model.ts'
import { ConnectionRequired } from '../credentials/provider.ts'
import type { ClientCapability, Notice, Phase } from '../transports/transport.ts'
import { connectAnswer, connectKey, type LinkWay } from './connect.ts'
import type { McpContext } from './context.ts'
import type { Exchange, Headers } from './exchange.ts'
import {
  errorMessage,
  type Id,
  isObject,
  notificationMessage,
  objectParam,
  type Params,
  param,
  resultMessage,
} from './message.ts'
import { Reply } from './reply.ts'

/** What a revision makes of a call. */
export interface Era {
  readonly modern: boolean
  /** Members that go into every result’s `_meta`, as JSON text without braces; empty for none. */
  readonly resultMeta: string
  /** Closes the result besides `_meta`, for example `,"resultType":"complete"`. */
  readonly resultEnd: string
  /** Whether the caller wants log notifications of this weight. */
  readonly logs: (level: string) => boolean
  /** What this client can be asked. */
  readonly capabilities: readonly ClientCapability[]
  /** How this client can be sent to a page where its user connects an account. */
  readonly links: LinkWay
  /** What to do when the target asks the client: an answer for the wire, or the client’s answers to go on with. */
  readonly ask: (input: InputRequest, call: ToolCall, reply: Reply, signal: CancelSignal) => Promise<Asked>
}

export type Asked =
  | { readonly kind: 'answers'; readonly answers: InputAnswers }
  | { readonly kind: 'result'; readonly text: string }

export interface ToolCall {
  readonly id: Id
  readonly name: string
  readonly arguments: Json
  readonly params: Params
  readonly view: string
  readonly caller: Principal
  readonly bytesIn: number
}

export function listTools(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
  modern: boolean,
  id: Id,
  params: Params,
): void {
  const cursor = param(params, 'cursor')
  if (cursor !== undefined && (typeof cursor !== 'string' || cursor.length > limits.cursorBytes))
    throw new GatewayError('invalid_params', { words: 'The cursor is none that this list gave.' })
  const page = context.current().listed(view, caller)?.page(cursor)
  if (page === undefined) throw new GatewayError('invalid_params', { words: 'The cursor is none that this list gave.' })
  const gzip = takesGzip(exchange.header('accept-encoding') ?? '')
  exchange.send(
    200,
    {
      ...headers,
      'content-type': 'application/json',
      vary: headers['vary'] === undefined ? 'Accept-Encoding' : `${headers['vary']}, Accept-Encoding`,
      ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    },
    ...chunks(modern ? page.modern : page.legacy, `${JSON.stringify(id)}}`, gzip),
  )
}

/** RFC 9110 §12.5.3: listed, and not with a weight of zero. */
const takesGzip = (accepted: string): boolean =>
  accepted.split(',').some((entry) => /^\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(entry))

/** Reads `params` of `tools/call`. Throws `invalid_params`. */
export function readCall(id: Id, params: Params, view: string, caller: Principal, bytesIn: number): ToolCall {
  const name = param(params, 'name')
  if (typeof name !== 'string')
    throw new GatewayError('invalid_params', { words: 'tools/call needs `name`, a string.' })
  const token = objectParam(params, '_meta')?.['progressToken']
  if (token !== undefined && !isToken(token))
    throw new GatewayError('invalid_params', { words: 'A progress token is a short string or an integer.' })
  const given = param(params, 'arguments')
  if (name.length === 0 || name.length > limits.toolNameBytes) throw new GatewayError('unknown_tool')
  return { id, name, arguments: given === undefined ? {} : given, params, view, caller, bytesIn }
}

const isToken = (token: Json): boolean =>
  typeof token === 'string' ? token.length <= limits.requestIdBytes : Number.isSafeInteger(token)

/** Makes the call and answers it; a failure is answered too, so this never throws. */
export async function answerCall(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  call: ToolCall,
  era: Era,
  first: Resumed | undefined,
): Promise<void> {
  const reply = new Reply(exchange, headers)
  const abort = new Cancellation()
  exchange.onHangUp(() => abort.abort())
  const progress = watch(context, call, era, reply)
  try {
    const message = await rounds(context, exchange, call, era, reply, abort, first, progress)
    progress.end()
    reply.finish(200, message)
  } catch (thrown) {
    progress.end()
    const error = toGatewayError(thrown)
    const shown = error.code === 'internal' ? logged(context, error, call.name) : error
    reply.finish(era.modern ? shown.http : 200, errorMessage(call.id, shown), shown.headers)
  }
}

/** Calls, and calls again with the client's answers while the target asks for more. */
async function rounds(
  context: McpContext,
  exchange: Exchange,
  call: ToolCall,
  era: Era,
  reply: Reply,
  signal: CancelSignal,
  first: Resumed | undefined,
  { phase, notice }: Progress,
): Promise<string> {
  let answers = first?.answers
  const connect = first?.connect
  const force = connect === undefined && objectParam(call.params, '_meta')?.[forceMeta] === true
  for (let round = 0; round < limits.askRounds; round++) {
    const ask: CallRequest = {
      name: call.name,
      view: call.view,
      arguments: call.arguments,
      bytesIn: call.bytesIn,
      header: (name) => exchange.header(name),
      ...(answers === undefined ? {} : { answers }),
      ...(connect === undefined ? {} : { connect }),
      ...(force ? { force } : {}),
      messageId: call.id,
      capabilities: era.capabilities,
      ...(phase === undefined ? {} : { onPhase: phase }),
      ...(notice === undefined ? {} : { onNotice: notice }),
    }
    let answer: CallAnswer
    try {
      answer = await callTool(context.room, context.current(), call.caller, ask, signal)
    } catch (thrown) {
      if (!(thrown instanceof ConnectionRequired)) throw thrown
      const sealed = (): string => sealState(context, call, { connect: thrown.pendingId })
      const asked = connectAnswer(context, thrown, call.caller, era.links, sealed)
      if (asked.kind === 'error') throw asked.error
      return resultMessage(call.id, asked.text)
    }
    if (answer.healed.length > 0)
      context.log.info(
        { tool: call.name, usageId: answer.usageId, places: answer.healed },
        'JSON in strings was taken for what it says',
      )
    if (context.log.debugs) logCall(context, call, exchange, answer)
    const input = answer.outcome.ask
    if (input === undefined) return resultMessage(call.id, complete(answer, era))
    const asked = await era.ask(input, call, reply, signal)
    if (asked.kind === 'result') return resultMessage(call.id, asked.text)
    answers = asked.answers
  }
  throw new GatewayError('target_bad_answer', { words: 'The target asked for input more often than is allowed.' })
}

function complete({ text, outcome }: CallAnswer, era: Era): string {
  const own = outcome.meta === undefined ? '' : JSON.stringify(outcome.meta).slice(1, -1)
  const meta = own === '' || era.resultMeta === '' ? own + era.resultMeta : `${own},${era.resultMeta}`
  return `${text}${era.resultEnd}${meta === '' ? '' : `,"_meta":{${meta}}`}}`
}

/** Principal, tool and outcome with the caller's trace (W3C Trace Context); never an argument. */
function logCall(
  context: McpContext,
  call: ToolCall,
  exchange: Exchange,
  { outcome, usageId, tool }: CallAnswer,
): void {
  context.log.debug(
    {
      requestId: usageId,
      trace: traceOf(call.params, exchange),
      subject: call.caller.subject,
      tool: tool.name,
      target: tool.target.name,
      status: outcome.status,
      isError: outcome.isError,
    },
    'tool called',
  )
}

/** `traceparent` from `_meta` or the header, when it is one (W3C Trace Context §3.2). */
function traceOf(params: Params, exchange: Exchange): string | undefined {
  const inMeta = objectParam(params, '_meta')?.['traceparent']
  const value = typeof inMeta === 'string' ? inMeta : exchange.header('traceparent')
  return value !== undefined && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value) ? value : undefined
}

/** An internal failure is told by a request id only; the log has the rest. */
export function logged(context: McpContext, error: GatewayError, where: string): GatewayError {
  const requestId = randomUUID()
  context.log.error({ requestId, where, error: error.cause ?? error }, 'internal failure')
  return new GatewayError('internal', { data: { requestId }, cause: error.cause })
}

interface Progress {
  readonly phase: ((phase: Phase, bytes: number) => void) | undefined
  /** Passes on what the target itself tells. */
  readonly notice: ((notice: Notice) => void) | undefined
  end(): void
}

const steps: Record<Phase, number> = { sent: 1, headers: 2, body: 3 }
const words: Record<Phase, string> = {
  sent: 'The request was sent to the target.',
  headers: 'The target has begun to answer.',
  body: 'The answer is arriving.',
}

/**
 * Tells a client that asked for it how its call gets on, as progress and as log messages: at each phase, and in between
 * at least every `limits.progressMs`, so that a client which gives up on silent calls does not give up on this one. A
 * target that tells its own progress is let speak for itself.
 */
function watch(context: McpContext, call: ToolCall, era: Era, reply: Reply): Progress {
  const token = objectParam(call.params, '_meta')?.['progressToken']
  const wanted = token !== undefined
  const debug = era.logs('debug')
  const info = era.logs('info')
  if (!reply.streams || !(wanted || era.logs('emergency')))
    return { phase: undefined, notice: undefined, end: () => undefined }
  let reached = 0
  let ticks = 0
  /** How far the target itself says that it is; below zero while it has said nothing. */
  let told = -1
  const progressed = (params: { readonly [name: string]: Json }): void => {
    if (token !== undefined)
      reply.ahead(notificationMessage('notifications/progress', { progressToken: token, ...params }))
  }
  const tell = (progress: number, message: string): void => {
    if (told < 0) progressed({ progress, total: 3, message })
    if (debug) reply.ahead(logMessage('debug', call.name, message))
  }
  const stop = context.clock.every(limits.progressMs, () => {
    ticks++
    tell(reached + Math.min(ticks / 1_000, 0.9), 'The target is still at work.')
  })
  return {
    phase: (phase) => {
      if (steps[phase] <= reached) return
      reached = steps[phase]
      ticks = 0
      tell(reached, words[phase])
    },
    notice: (notice) => {
      if (notice.kind === 'log') {
        const { kind: _, ...params } = notice
        if (era.logs(notice.level)) reply.ahead(notificationMessage('notifications/message', params))
        return
      }
      const { progress, total, message } = notice
      // MCP 2026-07-28, progress: it grows with each notification; what went out before the target spoke does not count
      const base = told < 0 ? reached : 0
      if (progress + base <= told) return
      told = progress + base
      progressed({
        progress: told,
        ...(total === undefined ? {} : { total: total + base }),
        ...(message === undefined ? {} : { message }),
      })
    },
    end: () => {
      stop()
      if (reached > 0 && reached < 3) tell(3, 'The answer is complete.')
      if (info) reply.ahead(logMessage('info', call.name, 'The call has ended.'))
    },
  }
}

const logMessage = (level: 'debug' | 'info', tool: string, text: string): string =>
  notificationMessage('notifications/message', { level, logger: 'toolgate', data: { tool, message: text } })

/** What a retried call comes back with. */
export interface Resumed {
  readonly answers?: InputAnswers
  /** The sign-in that its user was sent to. */
  readonly connect?: string
}

/** Asks for a new grant even where there is one; a member of `_meta`. */
const forceMeta = 'toolgate/forceAuthentication'

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

/** The state to come back, bound to the caller, the tool and the arguments. */
export function sealState(
  context: McpContext,
  call: ToolCall,
  held: { readonly state?: string | undefined; readonly connect?: string },
): string {
  const until = context.clock.now() + limits.askMs
  const kept = Object.entries(held).filter(([, value]) => value !== undefined)
  return context.seal.close({ until, ...Object.fromEntries(kept) }, 'ask', ownerOf(call))
}

const ownerOf = (call: ToolCall): string => JSON.stringify([principalKey(call.caller), call.name, call.arguments])

/** The capability that a client must declare to be asked this way. */
export const capabilityFor: ReadonlyMap<string, string> = new Map([
  ['elicitation/create', 'elicitation'],
  ['sampling/createMessage', 'sampling'],
  ['roots/list', 'roots'],
])
