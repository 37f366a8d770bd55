/** What every act at a target goes through: the process's bound, the caller's limits, the record before and after it. */
import { type ErrorCode, GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Clock } from '../core/clock.ts'
import type { OutcomeKind, Principal } from '../core/model.ts'
import type { Meter } from '../meter/meter.ts'
import type { Quotas, Reservation } from '../meter/quota.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Snapshot } from './snapshot.ts'

/** What a call needs of the gateway besides the snapshot. */
export interface CallRoom {
  readonly meter: Meter
  readonly metrics: Metrics
  readonly clock: Clock
  readonly load: Load
  readonly quotas: Pick<Quotas, 'enter'>
  /** How an act has to end to be billed. */
  readonly billed: ReadonlySet<OutcomeKind>
}

/** Calls under way in this process. */
interface Load {
  inFlight: number
  /** Calls that wait for a user to sign in, by caller. */
  readonly waiting: Map<string, number>
}

/** What is done, as limits and the record name it. */
export interface Deed {
  readonly name: string
  /** The target's name. */
  readonly target: string
  /** Bytes of the request that asked for it. */
  readonly bytesIn: number
  /** Of the caller's trace (W3C Trace Context). */
  readonly trace: string | undefined
}

/** An act under way. */
export interface Act {
  readonly usageId: string
  /** Milliseconds spent waiting on the target so far; whoever waits adds to it. */
  waitMs: number
}

/** How it ended, for the record, with what the caller gets. */
export interface Done<T> {
  readonly kind: OutcomeKind
  readonly status: number | undefined
  readonly bytesOut: number
  readonly value: T
}

/**
 * On file before `act` is begun, and again before its value is given. Throws `overloaded`, `rate_limited`,
 * `not_recorded`, and what `act` throws.
 */
export async function metered<T>(
  room: CallRoom,
  snapshot: Snapshot,
  caller: Principal,
  deed: Deed,
  act: (under: Act) => Promise<Done<T>>,
): Promise<T> {
  if (room.load.inFlight >= limits.callsInFlight) throw new GatewayError('overloaded')
  room.load.inFlight++
  try {
    const entered = snapshot.throttle.enter(caller, deed)
    const leave = entered instanceof Promise ? await entered : entered
    try {
      const counted = room.quotas.enter(caller, { meter: 'call', target: deed.target, tool: deed.name })
      const reservation = counted instanceof Promise ? await counted : counted
      try {
        return await record(room, snapshot.number, caller, deed, act, reservation)
      } finally {
        reservation?.settle(0)
      }
    } finally {
      leave()
    }
  } finally {
    room.load.inFlight--
  }
}

async function record<T>(
  { clock, meter, metrics, billed }: CallRoom,
  snapshot: number,
  caller: Principal,
  { name, target, bytesIn, trace }: Deed,
  act: (under: Act) => Promise<Done<T>>,
  reservation: Reservation | undefined,
): Promise<T> {
  const began = clock.monotonic()
  const entry = await meter.begin(caller, { name, target }, trace === undefined ? { snapshot } : { snapshot, trace })
  const under: Act = { usageId: entry.id, waitMs: 0 }
  let kind: OutcomeKind = 'failed'
  let done: Done<T> | undefined
  try {
    done = await act(under)
    kind = done.kind
    return done.value
  } catch (thrown) {
    const error = toGatewayError(thrown)
    kind = endingOf(error)
    throw error
  } finally {
    const { waitMs } = under
    await entry.end({ outcome: kind, status: done?.status, bytesIn, bytesOut: done?.bytesOut ?? 0, waitMs })
    reservation?.settle(billed.has(kind) ? 1 : 0)
    metrics.call(target, kind, clock.monotonic() - began)
  }
}

/** A listing or a search, as the record names it: by its method. */
export interface Looking {
  readonly meter: 'list' | 'search'
  readonly name: string
  readonly bytesIn: number
  readonly trace: string | undefined
}

/** What changes nothing at a target: made first, on file before its answer is given. Throws as `metered` does. */
export async function noted<T>(
  { quotas, meter, clock, billed }: CallRoom,
  { number }: Snapshot,
  caller: Principal,
  { meter: kind, name, bytesIn, trace }: Looking,
  make: () => Promise<{ readonly bytesOut: number; readonly value: T }>,
): Promise<T> {
  const counted = quotas.enter(caller, { meter: kind, target: '', tool: '' })
  const reservation = counted instanceof Promise ? await counted : counted
  try {
    const began = clock.monotonic()
    const { bytesOut, value } = await make()
    const context = trace === undefined ? { snapshot: number } : { snapshot: number, trace }
    const result = { outcome: 'ok' as const, ms: clock.monotonic() - began, bytesIn, bytesOut, ...context }
    await meter.note(caller, { meter: kind, name, target: '' }, result)
    reservation?.settle(billed.has('ok') ? 1 : 0)
    return value
  } finally {
    reservation?.settle(0)
  }
}

/** Waits on the target, and notes for how long. */
export async function waiting<T>({ clock }: Pick<CallRoom, 'clock'>, under: Act, wait: () => Promise<T>): Promise<T> {
  const began = clock.monotonic()
  try {
    return await wait()
  } finally {
    under.waitMs += clock.monotonic() - began
  }
}

/** Errors after which nothing has been sent to the target. */
const unreached: readonly ErrorCode[] = [
  'connection_required',
  'egress_refused',
  'overloaded',
  'request_unbuildable',
  'target_busy',
  'target_refused',
  'target_tls',
  'target_unreachable',
  'target_unresolved',
  'token_refused',
  'token_unavailable',
]

/** How an act that threw has ended. */
export const endingOf = ({ code }: GatewayError): OutcomeKind =>
  code === 'cancelled' ? 'cancelled' : unreached.includes(code) ? 'unreached' : 'failed'
