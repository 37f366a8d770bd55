/** Days and months of UTC, in which quotas are counted. */
import { monthEnd, monthOf, monthStart } from '../months.ts'

export interface Window {
  /** `2026-11-24` or `2026-11`. */
  readonly name: string
  /** First moment, milliseconds since the Unix epoch. */
  readonly from: number
  /** First moment after it: when the quota starts anew. */
  readonly to: number
}

const dayMs = 24 * 60 * 60_000

const dayAt = (ms: number): Window => {
  const from = Math.floor(ms / dayMs) * dayMs
  return { name: new Date(from).toISOString().slice(0, -14), from, to: from + dayMs }
}

const monthAt = (ms: number): Window => {
  const name = monthOf(ms)
  return { name, from: monthStart(name), to: monthEnd(name) }
}

/** Answers which window a moment lies in; the last one is remembered, since it is mostly the same. */
export const createWindows = (): ((per: 'day' | 'month', ms: number) => Window) => {
  const last = { day: dayAt(0), month: monthAt(0) }
  return (per, ms) => {
    const { from, to } = last[per]
    if (ms < from || ms >= to) last[per] = per === 'day' ? dayAt(ms) : monthAt(ms)
    return last[per]
  }
}
