/**
 * The spool’s line format, both ways. One JSON object a line (NDJSON), of four kinds:
 * `s` opens a segment, `b` begins a call, `c` repeats the begin of a call that was open when its segment was replaced,
 * `e` ends a call. A line without its newline was never acknowledged and does not count.
 */
import type { OutcomeKind, Principal } from '../core/model.ts'

/** Which call: everything a bill needs before the call is made. */
export interface CallRecord {
  /** UUIDv7. */
  readonly id: string
  /** When the call began, milliseconds since the Unix epoch. */
  readonly at: number
  readonly tenant: string
  readonly subject: string
  readonly client: string
  readonly target: string
  readonly tool: string
}

/** How the call ended. */
export interface EndRecord extends CallRecord {
  readonly outcome: OutcomeKind
  /** The target’s own status, when it answered. */
  readonly status?: number
  readonly ms: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Billable invocations. */
  readonly units: number
}

export type Line =
  | { readonly kind: 'segment'; readonly after: string | undefined }
  | { readonly kind: 'begin' | 'carried'; readonly call: CallRecord }
  | { readonly kind: 'end'; readonly call: EndRecord }

/** What `end` is told. */
export interface EndFigures {
  readonly outcome: OutcomeKind
  readonly status?: number | undefined
  readonly ms: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** The longest that a line can be beside its names, in bytes: id, figures, keys and punctuation. */
export const lineOverheadBytes = 384

/** The names of a line, serialised once for each pair of principal and tool. */
export const namesText = (who: Principal, tool: { readonly name: string; readonly target: string }): string =>
  `"tenant":${JSON.stringify(who.tenant)},"subject":${JSON.stringify(who.subject)},` +
  `"client":${JSON.stringify(who.client)},"target":${JSON.stringify(tool.target)},"tool":${JSON.stringify(tool.name)}`

/** A count as it may stand in a line; what is no count (negative, fraction, NaN) becomes the nearest one. */
const count = (value: number): number => (value > 0 ? Math.min(Math.round(value), Number.MAX_SAFE_INTEGER) : 0)

export const segmentLine = (at: number, after: string | undefined): string =>
  `${JSON.stringify({ s: { v: 1, at, after: after ?? null } })}\n`

export const beginLine = (id: string, at: number, names: string): string => `{"b":{"id":"${id}","at":${at},${names}}}\n`

/** The begin line as it is repeated at the head of the segment that replaces its own. */
export const carriedLine = (begin: string): string => `{"c"${begin.slice('{"b"'.length)}`

export const endLine = (id: string, at: number, names: string, end: EndFigures): string => {
  const status = end.status === undefined ? '' : `,"status":${count(end.status)}`
  const figures = `,"ms":${count(end.ms)},"bytesIn":${count(end.bytesIn)},"bytesOut":${count(end.bytesOut)}`
  return `{"e":{"id":"${id}","at":${at},${names},"outcome":"${end.outcome}"${status}${figures},"units":${unitsOf(end.outcome)}}}\n`
}

/** Every call that was made counts once; of one whose end was never written it is not known whether it was made. */
export const unitsOf = (outcome: OutcomeKind): number => (outcome === 'unknown' ? 0 : 1)

const outcomes = {
  ok: true,
  target_error: true,
  invalid_arguments: true,
  failed: true,
  cancelled: true,
  input_required: true,
  unknown: true,
} satisfies Record<OutcomeKind, true>

const isOutcome = (value: unknown): value is OutcomeKind => typeof value === 'string' && Object.hasOwn(outcomes, value)

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** The last moment that a calendar date can name (ECMA-262 §21.4.1.1), in milliseconds. */
const latestMs = 8.64e15

const readCall = (value: unknown): CallRecord | undefined => {
  if (!isRecord(value)) return undefined
  const { id, at, tenant, subject, client, target, tool } = value
  if (typeof id !== 'string' || !isCount(at) || at > latestMs) return undefined
  if (typeof tenant !== 'string' || typeof subject !== 'string' || typeof client !== 'string') return undefined
  if (typeof target !== 'string' || typeof tool !== 'string') return undefined
  return { id, at, tenant, subject, client, target, tool }
}

const readEnd = (value: unknown): EndRecord | undefined => {
  const call = readCall(value)
  if (call === undefined || !isRecord(value)) return undefined
  const { outcome, status, ms, bytesIn, bytesOut, units } = value
  if (!isOutcome(outcome) || !(status === undefined || isCount(status))) return undefined
  if (!isCount(ms) || !isCount(bytesIn) || !isCount(bytesOut) || !isCount(units)) return undefined
  return { ...call, outcome, ...(status === undefined ? {} : { status }), ms, bytesIn, bytesOut, units }
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** A line without its newline, checked; `undefined` for what is not one of ours (a torn or damaged line). */
export const parseLine = (text: string): Line | undefined => {
  const value = parseJson(text)
  if (!isRecord(value)) return undefined
  if (value['e'] !== undefined) {
    const call = readEnd(value['e'])
    return call && { kind: 'end', call }
  }
  if (value['b'] !== undefined || value['c'] !== undefined) {
    const call = readCall(value['b'] ?? value['c'])
    return call && { kind: value['b'] === undefined ? 'carried' : 'begin', call }
  }
  const segment = value['s']
  if (!isRecord(segment) || segment['v'] !== 1) return undefined
  return { kind: 'segment', after: typeof segment['after'] === 'string' ? segment['after'] : undefined }
}
