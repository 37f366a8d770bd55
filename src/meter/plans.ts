/**
 * Which prices a month has. While it runs they are those of the configuration; the serving process keeps them in the
 * store, and when the month is over the last ones kept are its prices for good, whatever the configuration says later.
 */
import type { Clock } from '../core/clock.ts'
import type { Store } from '../store/store.ts'
import { monthEnd, monthOf } from './months.ts'
import { type Plan, planOf, readPlan } from './prices.ts'
import type { PriceList } from './price-schema.ts'

export interface Plans {
  /** The prices of a month. For one that is over and has none kept, those of the configuration are kept from now on. */
  of(month: string): Promise<Plan>
  /** Keeps the prices of the month that runs. */
  keep(): Promise<void>
  /** What to tell of a month whose prices the configuration would now have otherwise. */
  notes(plan: Plan): readonly string[]
  /** The currency of the configuration. */
  readonly currency: string
}

/** Rejects with `store_unavailable`. */
export const createPlans = (
  store: Pick<Store, 'plan' | 'keepPlan'>,
  list: PriceList,
  clock: Pick<Clock, 'now'>,
): Plans => {
  let kept = ''
  return {
    currency: list.currency,
    async of(month) {
      const configured = planOf(list, month)
      if (clock.now() < monthEnd(month)) return configured
      const text = (await store.plan(month)) ?? (await store.keepPlan(month, configured.text, false))
      return text === configured.text ? configured : readPlan(text)
    },
    async keep() {
      const { month, text } = planOf(list, monthOf(clock.now()))
      if (kept === month) return
      await store.keepPlan(month, text, true)
      kept = month
    },
    notes: ({ month, text }) =>
      planOf(list, month).text === text
        ? []
        : [`${month} is over and keeps its prices; those that the configuration has for it are others.`],
  }
}
