/** What the ledger says: counters that are not known are counted from it, all of a quota’s in one question. */
import type { Clock } from '../../core/clock.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { MeterKind } from '../../store/store.ts'
import type { CompiledRule, Dimension } from './rule.ts'
import type { Window } from './window.ts'

export interface RecountQuestion {
  /** First moment, milliseconds since the Unix epoch; a full hour. */
  readonly from: number
  /** First moment that is not asked for any more. */
  readonly to: number
  /** What rows tell calls apart by, besides the meter. Other names may be left out. */
  readonly by: readonly Dimension[]
}

/** Billed calls that are alike in what was asked for. */
export interface Counted {
  readonly meter: MeterKind
  readonly tenant?: string | undefined
  readonly subject?: string | undefined
  readonly target?: string | undefined
  readonly tool?: string | undefined
  /** Billed units. */
  readonly units: number
  /** What they cost, 10⁻¹² of the currency unit. */
  readonly cost: bigint
}

/** Asks the ledger, with every call in it that has ended by now, whatever process made it. */
export type Recount = (question: RecountQuestion) => Promise<Iterable<Counted>>

export interface Recounts {
  /**
   * What a counter of the rule stands at by the ledger, asked no earlier than `notBefore` (monotonic milliseconds).
   * Rejects with `store_unavailable`.
   */
  of(rule: CompiledRule, window: Window, key: string, notBefore: number): Promise<bigint>
}

interface Answer {
  readonly askedAt: number
  readonly window: Window
  readonly sums: Promise<ReadonlyMap<string, bigint>>
}

export const createRecounts = (recount: Recount, clock: Pick<Clock, 'monotonic'>): Recounts => {
  /** The last answer for each rule. */
  const answers = new Map<string, Answer>()

  const ask = async (rule: CompiledRule, { from, to }: Window): Promise<ReadonlyMap<string, bigint>> => {
    const sums = new Map<string, bigint>()
    for (const row of await recount({ from, to, by: rule.by })) {
      const { tenant = '', subject = '', target = '', tool = '', meter, units, cost } = row
      const caller = { tenant, subject }
      // the ledger names a listing by its method; as it is counted, it has no names
      const call = meter === 'call' ? { meter, target, tool } : { meter, target: '', tool: '' }
      if (!rule.about(caller, call)) continue
      const key = rule.keyOf(caller, call)
      sums.set(key, (sums.get(key) ?? 0n) + (rule.spec.unit === 'cost' ? cost : BigInt(units)))
      if (sums.size > limits.quotaCounters)
        throw new GatewayError('over_limit', { cause: new Error('A quota has too many counters.') })
    }
    return sums
  }

  const sumsOf = (rule: CompiledRule, window: Window, notBefore: number): Answer['sums'] => {
    const known = answers.get(rule.id)
    if (known !== undefined && known.window.from === window.from && known.askedAt >= notBefore) return known.sums
    const sums = ask(rule, window)
    const answer = { askedAt: clock.monotonic(), window, sums }
    answers.set(rule.id, answer)
    if (answers.size > 2 * limits.quotaRules) for (const oldest of answers.keys().take(1)) answers.delete(oldest)
    sums.catch(() => {
      if (answers.get(rule.id) === answer) answers.delete(rule.id)
    })
    return sums
  }

  return {
    async of(rule, window, key, notBefore) {
      try {
        return (await sumsOf(rule, window, notBefore)).get(key) ?? 0n
      } catch (cause) {
        throw new GatewayError('store_unavailable', {
          words: 'A quota could not be counted. Tell the operator.',
          cause,
        })
      }
    },
  }
}
