/** How a call gets on, told while it is under way: as progress and as log messages, by the gateway or by the target itself. */
import { limits } from '../core/limits.ts'
import type { Json } from '../core/model.ts'
import type { Notice, Phase } from '../transports/transport.ts'
import type { McpContext } from './context.ts'
import type { Era, ToolCall } from './era.ts'
import { notificationMessage, objectParam } from './message.ts'
import type { Reply } from './reply.ts'

export interface Progress {
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
export function watch(context: McpContext, call: ToolCall, era: Era, reply: Reply): Progress {
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
