/** What the AWS half needs of the gateway, for tests: the real way out, and a clock that can jump. */
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { AwsRoom } from '../../src/credentials/aws/room.ts'
import { createEgress } from '../../src/egress/fetch.ts'

export interface TestAwsRoom extends AwsRoom {
  /** Both clocks go forward by so many milliseconds. */
  pass(ms: number): void
  readonly warnings: string[]
  close(): Promise<void>
}

export function awsRoom(allow: readonly string[]): TestAwsRoom {
  let ahead = 0
  const clock: Clock = {
    ...systemClock,
    now: () => systemClock.now() + ahead,
    monotonic: () => systemClock.monotonic() + ahead,
  }
  const egress = createEgress({ allow, clock: systemClock })
  const warnings: string[] = []
  return {
    egress,
    clock,
    log: { warn: (_fields, message) => void warnings.push(message) },
    warnings,
    pass: (ms) => {
      ahead += ms
    },
    close: () => egress.close(),
  }
}
