/** Durations in buckets: small numbers for any duration, and percentiles that are nearly right. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bucketOf, percentile } from '../../../src/store/latency.ts'

describe('buckets', () => {
  test('grow with the duration and have no gap', () => {
    let last = -1
    for (let ms = 0; ms < 100_000; ms += 1) {
      const bucket = bucketOf(ms)
      expect(bucket - last === 0 || bucket - last === 1).toBe(true)
      last = bucket
    }
    expect(bucketOf(Number.MAX_SAFE_INTEGER)).toBeLessThan(1_600)
  })

  test('are told by their middle, which is off by 1.6 % at most', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (ms) => {
        const middle = percentile([[bucketOf(ms), 1]], 50) ?? Number.NaN
        expect(Math.abs(middle - ms)).toBeLessThanOrEqual(Math.max(ms / 60, 0.5))
      }),
    )
    for (let ms = 0; ms < 64; ms += 1) expect(percentile([[bucketOf(ms), 1]], 50)).toBe(ms)
  })
})

describe('percentiles', () => {
  test('are those of the durations themselves, nearly', () => {
    const durations = fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(durations, fc.integer({ min: 1, max: 100 }), (all, percent) => {
        const exact = all.toSorted((one, other) => one - other)[Math.ceil((percent / 100) * all.length) - 1] ?? 0
        const found = percentile(
          all.map((ms) => [bucketOf(ms), 1]),
          percent,
        )
        expect(Math.abs((found ?? Number.NaN) - exact)).toBeLessThanOrEqual(Math.max(exact / 60, 0.5))
      }),
    )
  })

  test('of nothing are nothing', () => expect(percentile([], 50)).toBeUndefined())
})
