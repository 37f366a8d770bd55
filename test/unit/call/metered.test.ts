/** How an act that threw has ended: what never reached its target is recorded so, and is not billed. */
import { describe, expect, it } from 'vitest'
import { endingOf } from '../../../src/call/metered.ts'
import { type ErrorCode, GatewayError } from '../../../src/core/errors.ts'
import { billedByDefault } from '../../../src/meter/line.ts'

describe('an act that threw', () => {
  it.each<[ErrorCode, string, boolean]>([
    ['request_unbuildable', 'unreached', false],
    ['egress_refused', 'unreached', false],
    ['target_unreachable', 'unreached', false],
    ['target_busy', 'unreached', false],
    ['token_refused', 'unreached', false],
    ['connection_required', 'unreached', false],
    ['target_timeout', 'failed', true],
    ['target_broke_off', 'failed', true],
    ['target_bad_answer', 'failed', true],
    ['cancelled', 'cancelled', true],
  ])('by %s has ended as %s; billed by default: %s', (code, ending, billed) => {
    const outcome = endingOf(new GatewayError(code))
    expect([outcome, billedByDefault.has(outcome)]).toEqual([ending, billed])
  })
})
