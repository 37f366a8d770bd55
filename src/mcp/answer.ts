/** From a request to its answer: made in rounds while the target asks the client, failures in the table's words. */
import { randomUUID } from 'node:crypto'
import { Cancellation } from '../core/cancel.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InputAnswers, InputRequest } from '../core/model.ts'
import { ConnectionRequired } from '../credentials/provider.ts'
import { connectAnswer } from './connect.ts'
import type { McpContext } from './context.ts'
import type { Era, ToolCall } from './era.ts'
import type { Exchange, Headers } from './exchange.ts'
import { errorMessage, resultMessage } from './message.ts'
import { type Progress, watch } from './progress.ts'
import { Reply } from './reply.ts'
import { type Resumed, sealState } from './resume.ts'

/** What one asking of the target came to. */
interface Round {
  readonly ask: InputRequest | undefined
  /** The result as JSON text, when the target asks nothing more. */
  text(): string
}

/** Asks the target once; throws what `callTool` throws. */
type Once = (
  answers: InputAnswers | undefined,
  connect: string | undefined,
  signal: Cancellation,
  progress: Progress,
) => Promise<Round>

/** Answers a request of the client by what `once` makes of it; a failure is answered too, so this never throws. */
export async function answer(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  call: ToolCall,
  era: Era,
  first: Resumed | undefined,
  once: Once,
): Promise<void> {
  const reply = new Reply(exchange, headers)
  const signal = new Cancellation()
  exchange.onHangUp(() => signal.abort())
  let isWithdrawn = false
  const ended = era.begun?.(call.id, () => {
    isWithdrawn = true
    signal.abort()
  })
  const progress = watch(context, call, era, reply)
  try {
    const message = await rounds(context, call, era, reply, signal, first, progress, once)
    progress.end()
    reply.finish(200, message)
  } catch (thrown) {
    progress.end()
    const error = toGatewayError(thrown)
    if (isWithdrawn && reply.streams && error.code === 'cancelled') return reply.leave()
    const shown = error.code === 'internal' ? logged(context, error, call.name) : error
    reply.finish(era.modern ? shown.http : 200, errorMessage(call.id, shown, era.modern), shown.headers)
  } finally {
    ended?.()
  }
}

/** Calls, and calls again with the client's answers while the target asks for more. */
async function rounds(
  context: McpContext,
  call: ToolCall,
  era: Era,
  reply: Reply,
  signal: Cancellation,
  first: Resumed | undefined,
  progress: Progress,
  once: Once,
): Promise<string> {
  let answers = first?.answers
  for (let round = 0; round < limits.askRounds; round++) {
    let made: Round
    try {
      made = await once(answers, first?.connect, signal, progress)
    } catch (thrown) {
      if (!(thrown instanceof ConnectionRequired)) throw thrown
      const sealed = (): string => sealState(context, call, { connect: thrown.pendingId })
      const asked = connectAnswer(context, thrown, call.caller, era.links, sealed)
      if (asked.kind === 'error') throw asked.error
      return resultMessage(call.id, asked.text)
    }
    if (made.ask === undefined) return resultMessage(call.id, made.text())
    const asked = await era.ask(made.ask, call, reply, signal)
    if (asked.kind === 'result') return resultMessage(call.id, asked.text)
    answers = asked.answers
  }
  throw new GatewayError('target_bad_answer', { words: 'The target asked for input more often than is allowed.' })
}

/** An internal failure is told by a request id only; the log has the rest. */
export function logged(context: McpContext, error: GatewayError, where: string): GatewayError {
  const requestId = randomUUID()
  context.log.error({ requestId, where, error: error.cause ?? error }, 'internal failure')
  return new GatewayError('internal', { data: { requestId }, cause: error.cause })
}
