/**
 * A process to be killed: `DIR LIMIT`. Calls under a quota for ever, several at once, each written to a ledger of its own
 * before it is settled, and ends by itself once it is refused.
 */
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/core/clock.ts'
import { GatewayError } from '../../src/core/errors.ts'
import { createQuotas, type Recount } from '../../src/meter/quota.ts'
import { openRecords } from '../../src/store/sqlite-records.ts'

const [, , dir = '', limit = '0'] = process.argv
const caller = { tenant: 't', subject: 's' }
const call = { meter: 'call', target: 'pets', tool: 'pets___get' } as const
const ledger = join(dir, `${process.pid}.ledger`)

const recount: Recount = async () => {
  const units = readdirSync(dir)
    .filter((name) => name.endsWith('.ledger'))
    .reduce((sum, name) => sum + readFileSync(join(dir, name)).length, 0)
  return [{ ...call, ...caller, units, cost: 0n }]
}

const quotas = createQuotas({
  records: openRecords(join(dir, 'records.db'), systemClock),
  clock: systemClock,
  recount,
  prices: { volumeOf: () => undefined, priceOf: () => 0n },
  currency: 'USD',
  hook: () => undefined,
  onWarn: () => undefined,
  onRefuse: () => undefined,
  onFault: (error) => {
    throw error
  },
})
quotas.apply([{ name: 'q', per: 'month', unit: 'invocations', limit: BigInt(limit), warnAt: [], match: {} }])

const callUntilRefused = async (): Promise<void> => {
  for (;;) {
    try {
      const reservation = await quotas.enter(caller, call)
      await new Promise((resolve) => setImmediate(resolve))
      appendFileSync(ledger, '.')
      reservation?.settle(1)
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'quota_exceeded') return
      throw error
    }
  }
}

await Promise.all(Array.from({ length: 8 }, callUntilRefused))
// killed, not closed: nothing is given back
process.exit(0)
