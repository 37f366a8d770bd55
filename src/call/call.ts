/** `tools/call`, from the client's words to the client's answer. Read it downward. */
import { principalKey } from '../auth/authenticate.ts'
import { applyPresets } from '../catalogue/shape.ts'
import { checkArguments, outputCheck } from '../catalogue/validate.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { CancelSignal } from '../core/cancel.ts'
import type { InboundResponse, InputAnswers, Json, Outcome, OutcomeKind, Principal, Tool } from '../core/model.ts'
import { scrubBytes, scrubOutcome } from '../credentials/scrub.ts'
import type { ClientCapability, Delivery, Notice, Phase } from '../transports/transport.ts'
import { type Act, type CallRoom, endingOf, metered, waiting } from './metered.ts'
import { faultOutcome, resultText, wrongArguments } from './result.ts'
import type { Route, Snapshot } from './snapshot.ts'

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
  /** Of the caller's trace: 32 hexadecimal digits (W3C Trace Context). */
  readonly trace?: string | undefined
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
  /** How it ended, for the record. */
  readonly kind: OutcomeKind
  /** Milliseconds spent waiting on the target. */
  readonly waitMs: number
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
  const tool =
    snapshot.find(ask.view, caller, ask.name) ??
    (await snapshot.live?.known(ask.view, caller))?.catalogue.find(ask.name)
  if (tool === undefined) throw new GatewayError('unknown_tool')
  if (ask.connect !== undefined) await waitForUser(room, snapshot.route(tool.target), caller, ask.connect, signal)
  const deed = { name: tool.name, target: tool.target.name, bytesIn: ask.bytesIn, trace: ask.trace }
  return metered(room, snapshot, caller, deed, async (under) => {
    const { args, healed, faults } = checkArguments(tool, ask.arguments)
    const made = await make(room, snapshot.route(tool.target), tool, caller, ask, under, asObject(args), faults, signal)
    const text = resultText(made.outcome)
    return {
      kind: made.kind,
      status: made.outcome.status,
      bytesOut: Buffer.byteLength(text),
      value: { tool, ...made, text, ...under, healed },
    }
  })
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

/** What came of it: a fault on the way to the target is a result, too, that the model may act on. */
async function make(
  room: CallRoom,
  route: Route,
  tool: Tool,
  caller: Principal,
  ask: CallRequest,
  under: Act,
  args: Arguments,
  faults: readonly string[],
  signal: CancelSignal,
): Promise<{ readonly kind: OutcomeKind; readonly outcome: Outcome }> {
  if (faults.length > 0) return { kind: 'invalid_arguments', outcome: wrongArguments(faults) }
  try {
    const outcome = await reach(room, route, tool, caller, ask, under, args, signal)
    const kind = outcome.ask !== undefined ? 'input_required' : outcome.isError ? 'target_error' : 'ok'
    return { kind, outcome }
  } catch (thrown) {
    const error = toGatewayError(thrown)
    const outcome = faultOutcome(error)
    if (outcome === undefined) throw error
    return { kind: endingOf(error), outcome }
  }
}

/** prepare → send → interpret. */
async function reach(
  room: CallRoom,
  { target, adapter, credential, transport }: Route,
  tool: Tool,
  caller: Principal,
  ask: CallRequest,
  under: Act,
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
  const delivery: Delivery = {
    caller,
    name: tool.name,
    operation: tool.operation,
    usageId: under.usageId,
    messageId: ask.messageId,
    idempotent: tool.operation.idempotent,
    capabilities: ask.capabilities,
    signal,
    ...(ask.answers === undefined ? {} : { answers: ask.answers }),
    ...(ask.onPhase === undefined ? {} : { onPhase: ask.onPhase }),
    ...(ask.onNotice === undefined ? {} : { onNotice: ask.onNotice }),
  }
  const { response, secrets } = await waiting(room, under, () => transport.send(request, delivery))
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
