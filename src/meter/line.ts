/**
 * The spool’s line format, both ways. One JSON object a line (NDJSON):
 * `s` opens a segment, `b` begins a call, `c` repeats the begin of a call that was open when its segment was replaced,
 * `e` ends a call, or tells the whole of what has no begin; `r` is an end whose first writing failed, so that it may
 * stand in the segment before, too; `h` seals what is before it (chain.ts).
 * A line without its newline was never acknowledged and does not count.
 */
import type { OutcomeKind, Principal } from '../core/model.ts'
import type { MeterKind } from '../store/store.ts'

/** Which call: everything a bill needs before the call is made. */
export interface CallRecord {
  /** UUIDv7. */
  readonly id: string
  /** When the call began, milliseconds since the Unix epoch. */
  readonly at: number
  readonly tenant: string
  readonly subject: string
  readonly client: string
  /** Empty for what concerns no target. */
  readonly target: string
  readonly tool: string
  readonly meter: MeterKind
  /** Number of the snapshot that was in force; missing in the lines of former versions. */
  readonly snapshot?: number
  /** W3C trace id, 32 hexadecimal digits. */
  readonly trace?: string
}

/** A line that ends a call: an event of the ledger. */
export interface LedgerEvent extends CallRecord {
  readonly outcome: OutcomeKind
  /** Billable invocations. */
  readonly units: number
  /** The target’s own status, when it answered. */
  readonly status?: number
  readonly ms: number
  /** What of it was spent waiting on the target. */
  readonly waitMs: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** A place in another segment, and the hash of that segment up to there (chain.ts). */
export interface Seal {
  readonly segment: string
  readonly offset: number
  readonly hash: string
}

export type Line =
  | { readonly kind: 'segment'; readonly at: number; readonly after: string | undefined; readonly prior?: Seal }
  | { readonly kind: 'begin' | 'carried'; readonly call: CallRecord }
  | { readonly kind: 'end'; readonly call: LedgerEvent; readonly again?: true }
  | { readonly kind: 'seal'; readonly hash: string; readonly last: boolean }

/** What `end` is told. */
export interface EndFigures {
  readonly outcome: OutcomeKind
  readonly status?: number | undefined
  readonly ms: number
  readonly waitMs?: number | undefined
  readonly bytesIn: number
  readonly bytesOut: number
  /** By `billedByDefault` when left out. */
  readonly units?: number
}

/** What a call is recorded with besides its names. */
export interface CallContext {
  /** Number of the snapshot in force. */
  readonly snapshot: number
  /** W3C trace id (Trace Context §3.2.2.3): 32 hexadecimal digits, lower case. Anything else is left out. */
  readonly trace?: string | undefined
}

/** The longest that a line can be beside its names, in bytes: id, figures, keys and punctuation. */
export const lineOverheadBytes = 384

/** The names of a line, serialised once for each pair of principal and tool. */
export const namesText = (
  who: Principal,
  tool: { readonly name: string; readonly target: string },
  meter: MeterKind = 'call',
): string =>
  `"tenant":${JSON.stringify(who.tenant)},"subject":${JSON.stringify(who.subject)},` +
  `"client":${JSON.stringify(who.client)},"target":${JSON.stringify(tool.target)},"tool":${JSON.stringify(tool.name)}` +
  (meter === 'call' ? '' : `,"meter":"${meter}"`)

/** A count as it may stand in a line; what is no count (negative, fraction, NaN) becomes the nearest one. */
const count = (value: number): number => (value > 0 ? Math.min(Math.round(value), Number.MAX_SAFE_INTEGER) : 0)

const traceSyntax = /^[0-9a-f]{32}$/

/** To stand behind the names. */
export const contextText = (context: CallContext | undefined): string => {
  if (context === undefined) return ''
  const { snapshot, trace } = context
  return trace === undefined || !traceSyntax.test(trace)
    ? `,"snapshot":${count(snapshot)}`
    : `,"snapshot":${count(snapshot)},"trace":"${trace}"`
}

/** `after` names the segment whose calls this one takes over, `prior` what it is chained to. */
export const segmentLine = (at: number, after: string | undefined, prior?: Seal): string =>
  `${JSON.stringify({ s: { v: 1, at, after: after ?? null, ...(prior === undefined ? {} : { prior }) } })}\n`

export const beginLine = (id: string, at: number, names: string): string => `{"b":{"id":"${id}","at":${at},${names}}}\n`

/** The begin line as it is repeated at the head of the segment that replaces its own. */
export const carriedLine = (begin: string): string => `{"c"${begin.slice('{"b"'.length)}`

export const endLine = (id: string, at: number, names: string, end: EndFigures): string => {
  const { outcome, ms, bytesIn, bytesOut, units = unitsOf(outcome) } = end
  const status = end.status === undefined ? '' : `,"status":${count(end.status)}`
  const waited = end.waitMs === undefined ? '' : `,"waitMs":${count(end.waitMs)}`
  const figures = `,"ms":${count(ms)}${waited},"bytesIn":${count(bytesIn)},"bytesOut":${count(bytesOut)}`
  return `{"e":{"id":"${id}","at":${at},${names},"outcome":"${outcome}"${status}${figures},"units":${units}}}\n`
}

/** The end line as it is written into the next segment when it is not certain that this one has none of it. */
export const againLine = (end: string): string => `{"r"${end.slice('{"e"'.length)}`

/** Outcomes that are one unit: those of calls that have reached the target. Of an `unknown` one that is not known. */
export const billedByDefault: ReadonlySet<OutcomeKind> = new Set<OutcomeKind>([
  'ok',
  'target_error',
  'cancelled',
  'failed',
])

/** Billable invocations of one call. */
export const unitsOf = (outcome: OutcomeKind, billed = billedByDefault): number => (billed.has(outcome) ? 1 : 0)

/** How a call ended whose end was never written. */
export const unknownEnd = (call: CallRecord, billed = billedByDefault): LedgerEvent => ({
  ...{ ...call, outcome: 'unknown', units: unitsOf('unknown', billed), ms: 0, waitMs: 0, bytesIn: 0, bytesOut: 0 },
})

const outcomes = {
  ok: true,
  target_error: true,
  invalid_arguments: true,
  failed: true,
  unreached: true,
  cancelled: true,
  input_required: true,
  unknown: true,
} satisfies Record<OutcomeKind, true>

const isOutcome = (value: unknown): value is OutcomeKind => typeof value === 'string' && Object.hasOwn(outcomes, value)
const isMeter = (value: unknown): value is MeterKind => value === 'call' || value === 'search' || value === 'list'

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** The last moment that a calendar date can name (ECMA-262 §21.4.1.1), in milliseconds. */
const latestMs = 8.64e15

const readCall = (value: unknown): CallRecord | undefined => {
  if (!isRecord(value)) return undefined
  const { id, at, tenant, subject, client, target, tool, meter = 'call', snapshot, trace } = value
  if (typeof id !== 'string' || !isCount(at) || at > latestMs) return undefined
  if (typeof tenant !== 'string' || typeof subject !== 'string' || typeof client !== 'string') return undefined
  if (typeof target !== 'string' || typeof tool !== 'string' || !isMeter(meter)) return undefined
  if (!(snapshot === undefined || isCount(snapshot)) || !(trace === undefined || typeof trace === 'string'))
    return undefined
  return {
    ...{ id, at, tenant, subject, client, target, tool, meter },
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(trace === undefined ? {} : { trace }),
  }
}

const readEnd = (value: unknown): LedgerEvent | undefined => {
  const call = readCall(value)
  if (call === undefined || !isRecord(value)) return undefined
  const { outcome, status, ms, waitMs = 0, bytesIn, bytesOut, units } = value
  if (!isOutcome(outcome) || !(status === undefined || isCount(status))) return undefined
  if (!isCount(ms) || !isCount(waitMs) || !isCount(bytesIn) || !isCount(bytesOut) || !isCount(units)) return undefined
  return { ...call, outcome, units, ...(status === undefined ? {} : { status }), ms, waitMs, bytesIn, bytesOut }
}

const readSegment = (value: unknown): Line | undefined => {
  if (!isRecord(value) || value['v'] !== 1) return undefined
  const { at, after, prior } = value
  const seal = isRecord(prior) ? prior : {}
  const { segment, offset, hash } = seal
  const chained = typeof segment === 'string' && isCount(offset) && typeof hash === 'string'
  return {
    kind: 'segment',
    at: isCount(at) && at <= latestMs ? at : 0,
    after: typeof after === 'string' ? after : undefined,
    ...(chained ? { prior: { segment, offset, hash } } : {}),
  }
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
  const { e, r, b, c, h, s } = value
  if (e !== undefined || r !== undefined) {
    const call = readEnd(e ?? r)
    return call && { kind: 'end', call, ...(e === undefined ? { again: true } : {}) }
  }
  if (b !== undefined || c !== undefined) {
    const call = readCall(b ?? c)
    return call && { kind: b === undefined ? 'carried' : 'begin', call }
  }
  if (h !== undefined) return typeof h === 'string' ? { kind: 'seal', hash: h, last: value['end'] === true } : undefined
  return readSegment(s)
}
