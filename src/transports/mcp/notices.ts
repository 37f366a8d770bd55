/** What a server tells while it is at work, bounded and without what it was asked with. */
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Secret } from '../../core/secret.ts'
import { scrubOutcome } from '../../credentials/scrub.ts'
import type { Notice } from '../transport.ts'
import type { Progress } from './connection.ts'

export const progressNotice = ({ progress, total, message }: Progress): Notice => ({
  kind: 'progress',
  progress,
  ...(total === undefined ? {} : { total }),
  ...(message === undefined ? {} : { message: message.toWellFormed().slice(0, limits.mcpErrorChars) }),
})

/** RFC 5424 severities, as MCP names them. */
const levels = new Set<unknown>(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'])

export function logNotice({ level, logger, data }: { readonly [name: string]: Json }): Notice | undefined {
  if (typeof level !== 'string' || !levels.has(level) || data === undefined) return undefined
  if (JSON.stringify(data).length > limits.mcpMetaChars) return undefined
  return {
    kind: 'log',
    level,
    ...(typeof logger === 'string' ? { logger: logger.toWellFormed().slice(0, limits.toolNameBytes) } : {}),
    data,
  }
}

export function scrubNotice(notice: Notice, secrets: readonly Secret[]): Notice {
  if (secrets.length === 0) return notice
  const text = JSON.stringify(notice)
  const { structured = text } = scrubOutcome({ isError: false, content: [], structured: text }, secrets)
  return structured === text ? notice : (JSON.parse(structured) as Notice)
}
