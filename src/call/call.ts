/** `tools/call`, from the client's words to the client's answer. Read it downward. */
import { principalKey } from '../auth/authenticate.ts'
import { applyPresets } from '../catalogue/shape.ts'
import { checkArguments, outputCheck } from '../catalogue/validate.ts'
import { type ErrorCode, GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { CancelSignal } from '../core/cancel.ts'
import type { Clock } from '../core/clock.ts'
import type { InboundResponse, InputAnswers, Json, Outcome, OutcomeKind, Principal, Tool } from '../core/model.ts'
import { scrubBytes, scrubOutcome } from '../credentials/scrub.ts'
import type { Meter } from '../meter/meter.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { ClientCapability, Notice, Phase } from '../transports/transport.ts'
import { faultOutcome, resultText, wrongArguments } from './result.ts'
import type { Route, Snapshot } from './snapshot.ts'

/** What a call needs of the gateway besides the snapshot. */
export interface CallRoom {
  readonly meter: Meter
  readonly metrics: Metrics
  readonly clock: Clock
  readonly load: Load
}

/** Calls under way in this process. */
interface Load {
  inFlight: number
  /** Calls that wait for a user to sign in, by caller. */
  readonly waiting: Map<string, number>
}

export interface CallRequest {
  readonly name: string
  readonly view: string
  /** As parsed: an object, or whatever the client sent in its place. */
  readonly arguments: Json
  /** Bytes of the request that carried the call. */
  readonly bytesIn: number
  /** The caller’s own header, by lower-case name. */
  readonly header: (name: string) => string | undefined
  readonly answers?: InputAnswers
  /** The sign-in that the user was sent to before: it is waited for, within `limits.connectWaitMs`. */
  readonly connect?: string
  /** The user is to sign in even where there is a grant. */
  readonly force?: boolean
  /** Id of the JSON-RPC request. */
  readonly messageId: string | number
  /** What the client can be asked. */
  readonly capabilities: readonly ClientCapability[]
  readonly onPhase?: (phase: Phase, bytes: number) => void
  /** What the target tells on the way. */
  readonly onNotice?: (notice: Notice) => void
}

export interface CallAnswer {
  readonly tool: Tool
  readonly outcome: Outcome
  /** The result’s JSON without its closing brace (`resultText`). */
  readonly text: string
  readonly usageId: string
  /** Arguments in which JSON inside a string was taken for what it says, as JSON Pointers. */
  readonly healed: readonly string[]
}

/**
 * Makes one call. Throws `unknown_tool`, `overloaded`, `rate_limited`, `not_recorded`, `connection_required`,
 * `cancelled` or `internal`; everything that the target or the arguments are to blame for comes back as an outcome with
 * `isError`.
 */
export async function callTool(
  room: CallRoom,
  snapshot: Snapshot,
  caller: Principal,
  ask: CallRequest,
  signal: CancelSignal,
): Promise<CallAnswer> {
  const tool = snapshot.find(ask.view, caller, ask.name)
  if (tool === undefined) throw new GatewayError('unknown_tool')
  if (ask.connect !== undefined) await waitForUser(room, snapshot.route(tool.target), caller, ask.connect, signal)
  if (room.load.inFlight >= limits.callsInFlight) throw new GatewayError('overloaded')
  room.load.inFlight++
  try {
    return await enter(room, snapshot, tool, caller, ask, signal)
  } finally {
    room.load.inFlight--
  }
}

/** A client that came back before its user is waited for a while; no caller can have more than a few waits. */
async function waitForUser(
  { load }: CallRoom,
  { credential }: Route,
  caller: Principal,
  pendingId: string,
  signal: CancelSignal,
): Promise<void> {
  const key = principalKey(caller)
  const waiting = load.waiting.get(key) ?? 0
  if (credential?.awaitConnection === undefined || waiting >= limits.connectWaits) return
  load.waiting.set(key, waiting + 1)
  try {
    await credential.awaitConnection(caller, pendingId, limits.connectWaitMs, signal)
  } finally {
    const left = (load.waiting.get(key) ?? 1) - 1
    if (left === 0) load.waiting.delete(key)
    else load.waiting.set(key, left)
  }
}

/** Within the caller's limits. */
async function enter(
  room: CallRoom,
  snapshot: Snapshot,
  tool: Tool,
  caller: Principal,
  ask: CallRequest,
  signal: CancelSignal,
): Promise<CallAnswer> {
  const entered = snapshot.throttle.enter(caller, { name: tool.name, target: tool.target.name })
  const leave = entered instanceof Promise ? await entered : entered
  try {
    return await record(room, snapshot, tool, caller, ask, signal)
  } finally {
    leave()
  }
}

/** On file before anything is done, and again before the answer leaves. */
async function record(
  room: CallRoom,
  snapshot: Snapshot,
  tool: Tool,
  caller: Principal,
  ask: CallRequest,
  signal: CancelSignal,
): Promise<CallAnswer> {
  const began = room.clock.monotonic()
  const entry = await room.meter.begin(caller, { name: tool.name, target: tool.target.name })
  let kind: OutcomeKind = 'failed'
  let outcome: Outcome | undefined
  let text = ''
  let healed: readonly string[] = []
  try {
    const checked = checkArguments(tool, ask.arguments)
    healed = checked.healed
    if (checked.faults.length > 0) {
      kind = 'invalid_arguments'
      outcome = wrongArguments(checked.faults)
    } else {
      outcome = await reach(snapshot.route(tool.target), tool, caller, ask, entry.id, asObject(checked.args), signal)
      kind = outcome.ask !== undefined ? 'input_required' : outcome.isError ? 'target_error' : 'ok'
    }
  } catch (error) {
    outcome = faultOutcome(error)
    if (outcome === undefined) {
      const known = toGatewayError(error)
      kind = endings.get(known.code) ?? 'failed'
      throw known
    }
  } finally {
    if (outcome !== undefined) text = resultText(outcome)
    await entry.end({ outcome: kind, status: outcome?.status, bytesIn: ask.bytesIn, bytesOut: Buffer.byteLength(text) })
    room.metrics.call(tool.target.name, kind, room.clock.monotonic() - began)
  }
  return { tool, outcome, text, usageId: entry.id, healed }
}

const endings: ReadonlyMap<ErrorCode, OutcomeKind> = new Map([
  ['cancelled', 'cancelled'],
  ['connection_required', 'input_required'],
])

/** prepare → send → interpret. */
async function reach(
  { target, adapter, credential, transport }: Route,
  tool: Tool,
  caller: Principal,
  ask: CallRequest,
  usageId: string,
  args: Arguments,
  signal: CancelSignal,
): Promise<Outcome> {
  const { presets } = tool.operation
  const request = adapter.prepare(
    tool.operation,
    presets === undefined ? args : applyPresets(args, presets),
    target,
    ask.answers,
  )
  for (const name of target.headers.forwardRequest) {
    const value = ask.header(name)
    if (value !== undefined) request.headers.set(name, value)
  }
  if (ask.connect !== undefined) await credential?.awaitConnection?.(caller, ask.connect, limits.connectWaitMs, signal)
  if (ask.force === true && credential?.connect !== undefined) throw await credential.connect(caller, target, [])
  const { response, secrets } = await transport.send(request, {
    caller,
    name: tool.name,
    usageId,
    messageId: ask.messageId,
    idempotent: tool.operation.idempotent,
    capabilities: ask.capabilities,
    signal,
    ...(ask.answers === undefined ? {} : { answers: ask.answers }),
    ...(ask.onPhase === undefined ? {} : { onPhase: ask.onPhase }),
    ...(ask.onNotice === undefined ? {} : { onNotice: ask.onNotice }),
  })
  const plain = adapter.interpret(tool.operation, scrubBytes(response, secrets), outputCheck(tool))
  const names = target.headers.forwardResponse
  const outcome = names.length === 0 ? plain : withHeaders(plain, response, names)
  return scrubOutcome(outcome, secrets)
}

interface Arguments {
  readonly [name: string]: Json
}

const asObject = (value: Json): Arguments =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}

function withHeaders(outcome: Outcome, response: InboundResponse, names: readonly string[]): Outcome {
  const headers: { [name: string]: Json } = {}
  for (const name of names) {
    const value = response.headers.get(name)
    if (value !== undefined) headers[name] = value
  }
  return { ...outcome, meta: { ...outcome.meta, 'toolgate/headers': headers } }
}
