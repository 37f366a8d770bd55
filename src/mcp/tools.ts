/** `tools/list` and `tools/call`, the same for every revision but for what each wraps round the result. */
import { type CallAnswer, callTool } from '../call/call.ts'
import { noted } from '../call/metered.ts'
import { chunks } from '../catalogue/listing.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Json, Principal } from '../core/model.ts'
import { answer } from './answer.ts'
import type { McpContext } from './context.ts'
import type { Era, ToolCall } from './era.ts'
import type { Exchange, Headers } from './exchange.ts'
import { type Id, objectParam, type Params, param } from './message.ts'
import type { Resumed } from './resume.ts'
import { traceOf } from './trace.ts'

export async function listTools(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
  modern: boolean,
  id: Id,
  params: Params,
  bytesIn: number,
): Promise<void> {
  const cursor = param(params, 'cursor')
  if (cursor !== undefined && (typeof cursor !== 'string' || cursor.length > limits.cursorBytes)) throw badCursor()
  const gzip = takesGzip(exchange.header('accept-encoding') ?? '')
  const snapshot = context.current()
  const trace = traceOf(params, exchange.header('traceparent'))
  const looking = { meter: 'list' as const, name: 'tools/list', bytesIn, trace }
  const parts = await noted(context.room, snapshot, caller, looking, async () => {
    const listed =
      snapshot.live === undefined
        ? snapshot.listed(view, caller)
        : (await (cursor === undefined ? snapshot.live.fresh : snapshot.live.known)(view, caller)).catalogue
    const page = listed?.page(cursor)
    if (page === undefined) throw badCursor()
    const value = chunks(modern ? page.modern : page.legacy, `${JSON.stringify(id)}}`, gzip)
    return { bytesOut: value[0].byteLength + value[1].byteLength, value }
  })
  exchange.send(
    200,
    {
      ...headers,
      'content-type': 'application/json',
      vary: headers['vary'] === undefined ? 'Accept-Encoding' : `${headers['vary']}, Accept-Encoding`,
      ...(gzip ? { 'content-encoding': 'gzip' } : {}),
    },
    ...parts,
  )
}

const badCursor = (): GatewayError =>
  new GatewayError('invalid_params', { words: 'The cursor is none that this list gave.' })

/** RFC 9110 §12.5.3: listed, and not with a weight of zero. */
const takesGzip = (accepted: string): boolean =>
  accepted.split(',').some((entry) => /^\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(entry))

/** Reads `params` of `tools/call`. Throws `invalid_params`. */
export function readCall(id: Id, params: Params, view: string, caller: Principal, bytesIn: number): ToolCall {
  const name = param(params, 'name')
  if (typeof name !== 'string')
    throw new GatewayError('invalid_params', { words: 'tools/call needs `name`, a string.' })
  checkToken(params)
  const given = param(params, 'arguments')
  if (name.length === 0 || name.length > limits.toolNameBytes) throw new GatewayError('unknown_tool')
  return { id, name, arguments: given === undefined ? {} : given, params, view, caller, bytesIn }
}

/** Throws `invalid_params` for a progress token that is none. */
export function checkToken(params: Params): void {
  const token = objectParam(params, '_meta')?.['progressToken']
  if (token !== undefined && !isToken(token))
    throw new GatewayError('invalid_params', { words: 'A progress token is a short string or an integer.' })
}

const isToken = (token: Json): boolean =>
  typeof token === 'string' ? token.length <= limits.requestIdBytes : Number.isSafeInteger(token)

/** Asks for a new grant even where there is one; a member of `_meta`. */
const forceMeta = 'toolgate/forceAuthentication'

/** Asks what the call comes to on a bill; a member of `_meta`, of the request and then of the result. */
const usageMeta = 'toolgate/usage'

/** Makes the call and answers it; never throws. */
export function answerCall(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  call: ToolCall,
  era: Era,
  first: Resumed | undefined,
): Promise<void> {
  const meta = objectParam(call.params, '_meta')
  const force = first?.connect === undefined && meta?.[forceMeta] === true
  return answer(context, exchange, headers, call, era, first, async (answers, connect, signal, { phase, notice }) => {
    const began = context.clock.monotonic()
    const made = await callTool(
      context.room,
      context.current(),
      call.caller,
      {
        name: call.name,
        view: call.view,
        arguments: call.arguments,
        bytesIn: call.bytesIn,
        header: (name) => exchange.header(name),
        trace: traceOf(call.params, exchange.header('traceparent')),
        messageId: call.id,
        capabilities: era.capabilities,
        ...(answers === undefined ? {} : { answers }),
        ...(connect === undefined ? {} : { connect }),
        ...(force ? { force } : {}),
        ...(phase === undefined ? {} : { onPhase: phase }),
        ...(notice === undefined ? {} : { onNotice: notice }),
      },
      signal,
    )
    if (made.healed.length > 0)
      context.log.info(
        { tool: call.name, usageId: made.usageId, places: made.healed },
        'JSON in strings was taken for what it says',
      )
    if (context.log.debugs) logCall(context, call, exchange, made)
    const usage = meta?.[usageMeta] === true ? usageOf(context, call, made, began) : undefined
    return { ask: made.outcome.ask, text: () => complete(made, era, usage) }
  })
}

/** What was recorded of the call; its cost where no volume changes the price. */
function usageOf(context: McpContext, { bytesIn }: ToolCall, made: CallAnswer, began: number): Json {
  const { tool, kind, usageId, waitMs, text } = made
  const units = context.room.billed.has(kind) ? 1 : 0
  const cost = units === 0 ? undefined : context.costOf(tool.target.name, tool.name)
  return {
    id: usageId,
    outcome: kind,
    units,
    ...(cost === undefined ? {} : { cost }),
    durationMs: Math.round(context.clock.monotonic() - began),
    waitMs: Math.round(waitMs),
    bytesIn,
    bytesOut: Buffer.byteLength(text),
  }
}

function complete({ text, outcome }: CallAnswer, era: Era, usage: Json | undefined): string {
  const members = usage === undefined ? outcome.meta : { ...outcome.meta, [usageMeta]: usage }
  const own = members === undefined ? '' : JSON.stringify(members).slice(1, -1)
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
      trace: traceOf(call.params, exchange.header('traceparent')),
      subject: call.caller.subject,
      tool: tool.name,
      target: tool.target.name,
      status: outcome.status,
      isError: outcome.isError,
    },
    'tool called',
  )
}
