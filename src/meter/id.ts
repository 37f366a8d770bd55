/** UUID version 7 (RFC 9562 §5.7): ids that sort by time, made without a system call for each. */
import { randomFillSync } from 'node:crypto'
import type { Clock } from '../core/clock.ts'

const poolBytes = 8_192
const idDigits = 16
const counterMax = 0xfff

/**
 * Answers a function that makes UUIDv7 strings. They grow strictly within one process, even when the clock steps back:
 * `rand_a` is a counter (RFC 9562 §6.2, method 1) that starts at a random place in its lower half every millisecond,
 * and a full counter borrows the next millisecond. The other 62 bits are random. An id may be asked to be of the
 * millisecond `fromMs` at least, so that it is greater than one made elsewhere.
 */
export const createIds = (clock: Clock): ((fromMs?: number) => string) => {
  const pool = Buffer.allocUnsafe(poolBytes)
  let digits = ''
  let used = 0
  let lastMs = -1
  let counter = 0
  let prefix = ''

  const random = (): string => {
    if (used + idDigits > digits.length) {
      digits = randomFillSync(pool).toString('hex')
      used = 0
    }
    used += idDigits
    return digits.slice(used - idDigits, used)
  }

  const startMillisecond = (ms: number): void => {
    lastMs = ms
    counter = Number.parseInt(random().slice(0, 3), 16) & 0x7ff
    const time = ms.toString(16).padStart(12, '0')
    prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`
  }

  return (fromMs = 0) => {
    const now = Math.max(clock.now(), fromMs)
    if (now > lastMs) startMillisecond(now)
    else if (counter === counterMax) startMillisecond(lastMs + 1)
    else counter += 1
    const tail = random()
    const variant = ((Number.parseInt(tail.charAt(0), 16) & 0x3) | 0x8).toString(16)
    return `${prefix}${counter.toString(16).padStart(3, '0')}-${variant}${tail.slice(1, 4)}-${tail.slice(4)}`
  }
}

/** The millisecond that an id carries. */
export const millisecondOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
