/** What is told of a quota: its state, warnings, refusals. */
import { GatewayError } from '../../core/errors.ts'
import { formatCost } from '../money.ts'
import type { Counter, UsedUp } from './counter.ts'
import type { CounterNames, QuotaRule } from './rule.ts'
import type { QuotaWarning } from './warnings.ts'

export interface QuotaState {
  readonly quota: string
  readonly per: QuotaRule['per']
  readonly unit: QuotaRule['unit']
  /** Whose calls are counted, where the quota has a counter for each. */
  readonly of: CounterNames
  /** `2026-11-24` or `2026-11`, UTC. */
  readonly window: string
  /** Invocations, or 10⁻¹² of the currency unit. */
  readonly used: bigint
  readonly limit: bigint
  /** When it starts anew, milliseconds since the Unix epoch. */
  readonly resetAt: number
}

/** An amount as people and tools read it: a number of invocations, or a decimal string. */
const shownAmount = (unit: QuotaRule['unit'], amount: bigint): number | string =>
  unit === 'cost' ? formatCost(amount) : Number(amount)

const iso = (ms: number): string => new Date(ms).toISOString()

export const stateOf = ({ rule, window, names }: Counter, used: bigint): QuotaState => {
  const { name, per, unit, limit } = rule.spec
  return { quota: name, per, unit, of: names, window: window.name, used, limit, resetAt: window.to }
}

/** A row of `GET /api/quotas`. */
export const shownState = (
  { used, limit, resetAt, unit, ...rest }: QuotaState,
  currency: string,
): QuotaWarning['state'] => ({
  ...rest,
  unit,
  ...(unit === 'cost' ? { currency } : {}),
  used: shownAmount(unit, used),
  limit: shownAmount(unit, limit),
  resetAt: iso(resetAt),
})

/** A limit that is changed is another one to be warned of. */
export const warningOf = (counter: Counter, fraction: number, currency: string): QuotaWarning => {
  const { quota, limit, ...state } = stateOf(counter, counter.used)
  return {
    id: `${counter.record.slice('quota/count/'.length)}/${limit}/${fraction}`,
    quota,
    fraction,
    until: counter.window.to,
    state: shownState({ quota, limit, ...state }, currency),
  }
}

/** `now`: milliseconds since the Unix epoch. */
export const refusalOf = (cause: UsedUp, currency: string, now: number): GatewayError => {
  const { rule, window } = cause.counter
  const { name: quota, per, unit, limit } = rule.spec
  const retryAfter = Math.max(1, Math.ceil((window.to - now) / 1_000))
  const resetAt = iso(window.to)
  const amount = unit === 'cost' ? `${formatCost(limit, 2)} ${currency}` : `${limit} invocations`
  return new GatewayError('quota_exceeded', {
    words: `The quota "${quota}" of ${amount} a ${per} is used up. It starts anew at ${resetAt}.`,
    data: { quota, limit: shownAmount(unit, limit), per, resetAt, retryAfter },
    headers: { 'retry-after': String(retryAfter) },
    cause,
  })
}
