/** The one clock: wall time for records, monotonic time for durations, timers for waits. Tests replace it. */

export interface Clock {
  /** Milliseconds since the Unix epoch. May jump; use it for records only. */
  now(): number
  /** Milliseconds on a monotonic scale with an arbitrary zero; use it for durations and deadlines. */
  monotonic(): number
  /** Runs `act` once after `ms`; the answer cancels it. The timer never keeps the process alive. */
  after(ms: number, act: () => void): () => void
  /** Runs `act` every `ms` until cancelled. The timer never keeps the process alive. */
  every(ms: number, act: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms).unref()
    return () => clearTimeout(timer)
  },
  every(ms, act) {
    const timer = setInterval(act, ms).unref()
    return () => clearInterval(timer)
  },
}

/** Resolves after `ms` milliseconds. */
export const sleep = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, resolve)
  })
