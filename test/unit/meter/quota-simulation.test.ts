/**
 * Several processes on one store, their steps interleaved at random, killed and restarted, a clock that jumps: what was
 * let through, held against the ledger. A seed that failed is given again by QUOTA_SEED.
 */
import { afterEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { QuotaRule } from '../../../src/meter/quota.ts'
import type { Records } from '../../../src/store/records.ts'
import { ann, bob, getPet, openWorld, type Replica, rule, turns, type World } from './quota-parts.ts'

const seed = Number(process.env['QUOTA_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Mulberry32: the same seed gives the same run. */
const randomOf = (state: number): (() => number) => {
  let now = state
  return () => {
    now = (now + 0x6d2b79f5) | 0
    let mixed = Math.imul(now ^ (now >>> 15), now | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Every step at the store is put off by some turns, so that processes come between each other’s reads and writes. */
const slowed = (records: Records, random: () => number, isDead: () => boolean): Records => {
  const wait = async (): Promise<void> => {
    await turns(Math.floor(random() * 4))
    if (isDead()) throw new Error('killed')
  }
  return {
    ...records,
    get: async (key) => (await wait(), records.get(key)),
    put: async (...all) => (await wait(), records.put(...all)),
  }
}

let world: World
afterEach(() => world.close())

const usedOn = (day: string): number =>
  world.ledger.sum('units', ({ at }) => new Date(at).toISOString().startsWith(day))

interface Run {
  readonly replicas: number
  readonly limit: bigint
  readonly kills: boolean
  readonly steps: number
}

/** Many calls in processes chosen by chance, some of which are killed with calls under way. */
const run = async (quota: QuotaRule, { replicas, kills, steps }: Run, random: () => number): Promise<void> => {
  const start = (): Replica => {
    const replica: Replica = world.start([quota], { records: slowed(world.records, random, () => replica.isDead) })
    return replica
  }
  const running = Array.from({ length: replicas }, start)
  const under: Promise<void>[] = []
  for (let step = 0; step < steps; step++) {
    const at = Math.floor(random() * replicas)
    const replica = running[at]
    if (replica === undefined) continue
    const dice = random()
    if (kills && dice < 0.01) {
      replica.kill()
      running[at] = start()
      continue
    }
    under.push(oneCall(replica, random))
    if (dice > 0.7) await turns(Math.floor(random() * 3))
    if (dice > 0.97) world.clock.pass(Math.floor(random() * 2_000))
  }
  await Promise.all(under)
  // what is left is there for whoever asks, once leases were given back
  await Promise.all(running.map(({ quotas }) => quotas.close()))
}

const oneCall = async (replica: Replica, random: () => number): Promise<void> => {
  try {
    const end = await replica.begin(random() < 0.5 ? ann : bob, getPet)
    await turns(Math.floor(random() * 4))
    end(random() < 0.1 ? 0 : 1)
  } catch {
    // refused
  }
}

const plans: readonly (readonly [string, Run])[] = [
  ['one process', { replicas: 1, limit: 300n, kills: false, steps: 500 }],
  ['one process that is killed', { replicas: 1, limit: 300n, kills: true, steps: 500 }],
  ['three processes', { replicas: 3, limit: 1_000n, kills: false, steps: 1_500 }],
  ['four processes that are killed', { replicas: 4, limit: 1_000n, kills: true, steps: 1_500 }],
  ['five processes and a small quota', { replicas: 5, limit: 7n, kills: true, steps: 200 }],
]

describe(`seed ${seed}`, () => {
  test.each(plans)(
    '%s: never over the limit by more than a lease each, and all of it is to be had',
    async (name, plan) => {
      world = openWorld()
      const random = randomOf(seed + name.length)
      const quota = rule({ limit: plan.limit })
      await run(quota, plan, random)
      const limit = Number(plan.limit)
      const lease = plan.replicas > 1 && plan.kills ? limit / limits.quotaLeaseParts : 0
      expect(usedOn('2026-11-24')).toBeLessThanOrEqual(limit + lease * plan.replicas)

      // one process alone then uses up what is left, to the last unit
      world.clock.pass(limits.quotaOwnerMs)
      const last = world.start([quota])
      const before = usedOn('2026-11-24')
      const { ok } = await last.calls(limit + 10)
      expect(ok).toBeGreaterThanOrEqual(limit - before - lease * plan.replicas)
      expect(before + ok).toBeLessThanOrEqual(limit + lease * plan.replicas)
      if (plan.replicas === 1) expect(before + ok).toBe(limit)
    },
  )

  test('days and months change under calls, the clock steps back, and every window stays within its limit', async () => {
    world = openWorld(Date.UTC(2026, 10, 29, 22))
    const random = randomOf(seed)
    const rules = [rule({ name: 'd', limit: 40n }), rule({ name: 'm', per: 'month', limit: 90n, each: 'principal' })]
    let replica = world.start(rules)
    for (let step = 0; step < 600; step++) {
      const dice = random()
      if (dice < 0.01) world.clock.set(world.clock.now() - 3 * 3_600_000)
      if (dice > 0.99) {
        replica.kill()
        replica = world.start(rules)
      }
      if (dice > 0.5) world.clock.pass(Math.floor(random() * 1_200_000))
      await replica.call(random() < 0.5 ? ann : bob, getPet, random() < 0.1 ? 0 : 1)
    }
    const days = new Map<string, number>()
    const months = new Map<string, number>()
    for (const { at, caller, units } of world.ledger.entries) {
      const day = new Date(at).toISOString().slice(0, 10)
      const month = `${day.slice(0, 7)} ${caller.subject}`
      days.set(day, (days.get(day) ?? 0) + units)
      months.set(month, (months.get(month) ?? 0) + units)
    }
    expect(days.size).toBeGreaterThan(1)
    expect(Math.max(...days.values())).toBeLessThanOrEqual(40)
    expect(Math.max(...months.values())).toBeLessThanOrEqual(90)
    for (const { quota, used, of, window } of await replica.quotas.state()) {
      const counted = quota === 'd' ? days.get(window) : months.get(`${window} ${of.principal}`)
      expect(Number(used)).toBe(counted ?? 0)
    }
  })
})
