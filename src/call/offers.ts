/** What is asked of an MCP server besides its tools: prompts, resources, completions. Metered, limited and signed like a call. */
import type { CancelSignal } from '../core/cancel.ts'
import { GatewayError } from '../core/errors.ts'
import { nestsDeeper } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { InboundResponse, InputAnswers, InputRequest, Json, Principal, Target } from '../core/model.ts'
import { scrubBytes, scrubOutcome } from '../credentials/scrub.ts'
import { readAsk } from '../targets/openapi/result.ts'
import type { ClientCapability, Delivered, Notice } from '../transports/transport.ts'
import { type CallRoom, metered, waiting } from './metered.ts'
import type { Snapshot } from './snapshot.ts'

/** One request for the target's server. */
export interface OfferRequest {
  readonly target: Target
  /** As limits, access rules and the record name it. */
  readonly name: string
  readonly method: string
  /** In the server's own names. */
  readonly params: { readonly [name: string]: Json }
  readonly bytesIn: number
  /** Of the caller's trace. */
  readonly trace?: string | undefined
  readonly messageId: string | number
  readonly capabilities: readonly ClientCapability[]
  readonly header: (name: string) => string | undefined
  readonly answers?: InputAnswers
  /** The sign-in that the user was sent to before. */
  readonly connect?: string
  readonly onNotice?: (notice: Notice) => void
}

export interface OfferAnswer {
  readonly result: { readonly [member: string]: Json }
  /** The server asks the caller’s client before it can go on. */
  readonly ask?: InputRequest
}

/** Throws what the server answers as an error, and what every call throws; nothing of it is turned into a result. */
export async function askTarget(
  room: CallRoom,
  snapshot: Snapshot,
  caller: Principal,
  request: OfferRequest,
  signal: CancelSignal,
): Promise<OfferAnswer> {
  const { target, name, method, params, bytesIn, connect } = request
  const { transport, credential } = snapshot.route(target)
  return metered(
    room,
    snapshot,
    caller,
    { name, target: target.name, bytesIn, trace: request.trace },
    async (under) => {
      if (connect !== undefined) await credential?.awaitConnection?.(caller, connect, limits.connectWaitMs, signal)
      const headers = new Map<string, string>()
      for (const header of target.headers.forwardRequest) {
        const value = request.header(header)
        if (value !== undefined) headers.set(header, value)
      }
      const url = `${target.origin}${target.basePath}`
      const { response, secrets } = await waiting(room, under, () =>
        transport.send(
          { method: 'POST', url, headers, body: JSON.stringify({ method, params }) },
          {
            caller,
            name,
            usageId: under.usageId,
            messageId: request.messageId,
            idempotent: true,
            capabilities: request.capabilities,
            signal,
            ...(request.answers === undefined ? {} : { answers: request.answers }),
            ...(request.onNotice === undefined ? {} : { onNotice: request.onNotice }),
          },
        ),
      )
      const value = read(method, scrubBytes(response, secrets), secrets)
      const { byteLength } = response.body
      return { kind: value.ask === undefined ? 'ok' : 'input_required', status: undefined, bytesOut: byteLength, value }
    },
  )
}

function read(method: string, { body, cut }: InboundResponse, secrets: Delivered['secrets']): OfferAnswer {
  const said = body.toString('utf8')
  const { structured: text = said } = scrubOutcome({ isError: false, content: [], structured: said }, secrets)
  if (cut || nestsDeeper(text, limits.answerDepth)) throw new GatewayError('target_bad_answer')
  let result: Json
  try {
    result = JSON.parse(text) as Json
  } catch (cause) {
    throw new GatewayError('target_bad_answer', { cause })
  }
  if (typeof result !== 'object' || result === null || Array.isArray(result))
    throw new GatewayError('target_bad_answer')
  if (result['resultType'] !== 'input_required') {
    if (holds.get(method)?.(result) === false)
      throw new GatewayError('target_bad_answer', { words: 'The target answered something else than was asked.' })
    return { result }
  }
  const ask = readAsk(result)
  if (ask === undefined) throw new GatewayError('target_bad_answer')
  return { result, ask }
}

/** What a result must have, so that clients can read it at all; the rest is between them and the server. */
const holds: ReadonlyMap<string, (result: { readonly [member: string]: Json }) => boolean> = new Map([
  ['prompts/get', ({ messages }) => Array.isArray(messages)],
  ['resources/read', ({ contents }) => Array.isArray(contents)],
  [
    'completion/complete',
    ({ completion }) =>
      typeof completion === 'object' &&
      completion !== null &&
      !Array.isArray(completion) &&
      Array.isArray(completion['values']),
  ],
])
