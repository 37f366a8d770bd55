/** Durations kept as counts in buckets that grow with the duration (HdrHistogram’s scheme): small, and summed like any figure. */

/** Buckets for each doubling; a bucket is at most 1/32 wide, so that its middle is off by at most 1.6 %. */
const steps = 32
/** Up to here every millisecond is a bucket of its own. */
const exact = 2 * steps

/** How many calls lasted about so long: number of the bucket, calls. */
export type LatencyBucket = readonly [bucket: number, calls: number]

/** The bucket of a duration in milliseconds, at most `Number.MAX_SAFE_INTEGER`. */
export const bucketOf = (ms: number): number => {
  if (ms < exact) return Math.max(0, Math.trunc(ms))
  // of 64 to 127 the first bucket is 64, of 128 to 255 it is 96, and so on
  const doublings = Math.floor(Math.log2(ms)) - Math.log2(steps)
  return steps * doublings + Math.floor(ms / 2 ** doublings)
}

/** The middle of a bucket, in milliseconds. */
const middleOf = (bucket: number): number => {
  if (bucket < exact) return bucket
  const doublings = Math.floor(bucket / steps) - 1
  const width = 2 ** doublings
  return Math.round((bucket - steps * doublings) * width + (width - 1) / 2)
}

/**
 * The duration, in milliseconds, that `percent` of the calls did not exceed (nearest rank), to within 1.6 %; `undefined`
 * without calls. The buckets may come in any order, and one more than once.
 */
export const percentile = (buckets: Iterable<LatencyBucket>, percent: number): number | undefined => {
  const sorted = [...buckets].toSorted(([one], [other]) => one - other)
  const calls = sorted.reduce((sum, [, count]) => sum + count, 0)
  let left = Math.max(1, Math.ceil((percent / 100) * calls))
  for (const [bucket, count] of sorted) {
    left -= count
    if (left <= 0) return middleOf(bucket)
  }
  return undefined
}
