/** Quotas in one process: what is counted where, what is refused and until when, and what is there again after a crash. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import type { QuotaCall, QuotaCaller, QuotaRule } from '../../../src/meter/quota.ts'
import type { Records } from '../../../src/store/records.ts'
import { ann, bob, eve, flat, getPet, listOrders, openWorld, rule, turns, type World } from './quota-parts.ts'

let world: World
beforeEach(() => {
  world = openWorld()
})
afterEach(() => world.close())

const broken = (): Records => {
  const fail = (): Promise<never> => Promise.reject(new GatewayError('store_unavailable'))
  return { ...world.records, get: fail, put: fail, list: fail }
}

describe('a quota', () => {
  test('that there is none of costs nothing', () => {
    expect(world.start([]).quotas.enter(ann, getPet)).toBeUndefined()
  })

  test('lets exactly as many through as it says, however many come at once', async () => {
    const replica = world.start([rule({ limit: 1_234n })])
    expect(await replica.calls(700)).toEqual({ ok: 700, refused: 0 })
    expect(await replica.calls(900)).toEqual({ ok: 534, refused: 366 })
    expect(await replica.call()).toBe('quota_exceeded')
  })

  test.each([1n, 2n, 99n, 100n, 101n, 5_000n])('of %d is exact, one call after the other', async (limit) => {
    const replica = world.start([rule({ limit })])
    for (let calls = 0n; calls < limit; calls++) expect(await replica.call()).toBe('ok')
    expect(await replica.call()).toBe('quota_exceeded')
  })

  test('answers without a promise while a lease is in hand', async () => {
    const replica = world.start([rule({ limit: 1_000n }), rule({ name: 'r', limit: 1_000n, each: 'tool' })])
    expect(replica.quotas.enter(ann, getPet)).toBeInstanceOf(Promise)
    await turns()
    expect(replica.quotas.enter(ann, getPet)).not.toBeInstanceOf(Promise)
  })

  test('refuses with the time at which it starts anew', async () => {
    const replica = world.start([rule({ name: 'daily', limit: 1n })])
    await replica.call()
    const refusal: unknown = await Promise.resolve(replica.quotas.enter(ann, getPet)).catch((error: unknown) => error)
    expect(refusal).toMatchObject({
      code: 'quota_exceeded',
      http: 429,
      rpc: -32_003,
      message: 'The quota "daily" of 1 invocations a day is used up. It starts anew at 2026-11-25T00:00:00.000Z.',
      data: { quota: 'daily', limit: 1, per: 'day', resetAt: '2026-11-25T00:00:00.000Z', retryAfter: 14 * 3_600 },
      headers: { 'retry-after': String(14 * 3_600) },
    })
    expect(replica.refused).toEqual(['daily'])
  })

  test('gives back what is not billed, at once', async () => {
    const replica = world.start([rule({ limit: 2n })])
    for (let calls = 0; calls < 5; calls++) expect(await replica.call(ann, getPet, 0)).toBe('ok')
    const end = await replica.begin()
    expect(await replica.call()).toBe('ok')
    expect(await replica.call()).toBe('quota_exceeded')
    end(0)
    end(0)
    expect(await replica.call()).toBe('ok')
    expect(await replica.call()).toBe('quota_exceeded')
  })

  test('takes nothing from other quotas when it refuses', async () => {
    const replica = world.start([rule({ name: 'wide', limit: 3n }), rule({ name: 'tight', limit: 1n, each: 'target' })])
    expect(await replica.call()).toBe('ok')
    expect(await replica.calls(5)).toEqual({ ok: 0, refused: 5 })
    expect(await replica.call(ann, listOrders)).toBe('ok')
    expect(await replica.quotas.state('wide')).toMatchObject([{ used: 2n }])
  })
})

describe('a counter', () => {
  const cases: readonly [string, Partial<QuotaRule>, readonly (readonly [QuotaCaller, QuotaCall, string])[]][] = [
    [
      'is one for all',
      {},
      [
        [ann, getPet, 'ok'],
        [eve, listOrders, 'quota_exceeded'],
      ],
    ],
    [
      'of each tenant',
      { each: 'tenant' },
      [
        [ann, getPet, 'ok'],
        [bob, getPet, 'quota_exceeded'],
        [eve, getPet, 'ok'],
      ],
    ],
    [
      'of each principal',
      { each: 'principal' },
      [
        [ann, getPet, 'ok'],
        [bob, getPet, 'ok'],
        [ann, listOrders, 'quota_exceeded'],
      ],
    ],
    [
      'of each target',
      { each: 'target' },
      [
        [ann, getPet, 'ok'],
        [ann, listOrders, 'ok'],
        [eve, getPet, 'quota_exceeded'],
      ],
    ],
    [
      'of each tool',
      { each: 'tool' },
      [
        [ann, getPet, 'ok'],
        [ann, { ...getPet, tool: 'pets___del' }, 'ok'],
        [bob, getPet, 'quota_exceeded'],
      ],
    ],
    [
      'counts the tenants it names',
      { match: { tenants: ['acm*'] } },
      [
        [eve, getPet, 'ok'],
        [eve, getPet, 'ok'],
        [ann, getPet, 'ok'],
        [bob, getPet, 'quota_exceeded'],
      ],
    ],
    [
      'counts the principals it names',
      { match: { principals: ['https://idp/a|*nn'] } },
      [
        [bob, getPet, 'ok'],
        [ann, getPet, 'ok'],
        [ann, getPet, 'quota_exceeded'],
        [bob, getPet, 'ok'],
      ],
    ],
    [
      'counts the targets it names',
      { match: { targets: ['orders', 'mail'] } },
      [
        [ann, getPet, 'ok'],
        [ann, listOrders, 'ok'],
        [ann, listOrders, 'quota_exceeded'],
        [ann, getPet, 'ok'],
      ],
    ],
    [
      'counts the tools it names',
      { match: { tools: ['pets___*'] } },
      [
        [ann, listOrders, 'ok'],
        [ann, getPet, 'ok'],
        [ann, getPet, 'quota_exceeded'],
        [ann, listOrders, 'ok'],
      ],
    ],
    [
      'of tools leaves listings alone',
      { each: 'tool' },
      [
        [ann, { meter: 'list', target: '', tool: '' }, 'ok'],
        [ann, { meter: 'list', target: '', tool: '' }, 'ok'],
      ],
    ],
  ]
  test.each(cases)('%s', async (_name, change, calls) => {
    const replica = world.start([rule({ limit: 1n, ...change })])
    for (const [caller, call, answer] of calls) expect(await replica.call(caller, call)).toBe(answer)
  })

  test('tells tenants apart whose names run together with subjects', async () => {
    const replica = world.start([rule({ limit: 1n, each: 'principal' })])
    expect(await replica.call({ tenant: 'a', subject: 'bc' })).toBe('ok')
    expect(await replica.call({ tenant: 'ab', subject: 'c' })).toBe('ok')
  })
})

describe('a window', () => {
  const moments: readonly [string, 'day' | 'month', string, string, string][] = [
    [
      'a day ends at midnight UTC',
      'day',
      '2026-11-24T23:59:59.999Z',
      '2026-11-25T00:00:00.000Z',
      '2026-11-25T00:00:00.000Z',
    ],
    [
      'a month ends with its last day',
      'month',
      '2026-11-30T23:59:59.999Z',
      '2026-12-01T00:00:00.000Z',
      '2026-12-01T00:00:00.000Z',
    ],
    ['a year ends, too', 'month', '2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z'],
    [
      'February has 29 days in 2028',
      'month',
      '2028-02-29T23:59:59.999Z',
      '2028-03-01T00:00:00.000Z',
      '2028-03-01T00:00:00.000Z',
    ],
  ]
  test.each(moments)('%s', async (_name, per, before, after, resetAt) => {
    world.clock.set(Date.parse(before))
    const replica = world.start([rule({ per, limit: 1n })])
    expect(await replica.call()).toBe('ok')
    expect(await replica.call()).toBe('quota_exceeded')
    expect((await replica.quotas.state())[0]?.resetAt).toBe(Date.parse(resetAt))
    world.clock.set(Date.parse(after))
    expect(await replica.call()).toBe('ok')
    expect(await replica.call()).toBe('quota_exceeded')
  })

  test('is the old one again when the clock steps back', async () => {
    world.clock.set(Date.parse('2026-11-24T23:00:00Z'))
    const replica = world.start([rule({ limit: 2n })])
    expect(await replica.call()).toBe('ok')
    world.clock.set(Date.parse('2026-11-25T00:30:00Z'))
    expect(await replica.calls(3)).toEqual({ ok: 2, refused: 1 })
    world.clock.set(Date.parse('2026-11-24T23:30:00Z'))
    expect(await replica.calls(3)).toEqual({ ok: 1, refused: 2 })
  })

  test('keeps what began in it, though it ends in the next', async () => {
    world.clock.set(Date.parse('2026-11-24T23:59:59Z'))
    const replica = world.start([rule({ limit: 1n })])
    const end = await replica.begin()
    world.clock.set(Date.parse('2026-11-25T00:00:01Z'))
    end()
    expect(await replica.call()).toBe('ok')
  })
})

describe('money', () => {
  test('is spent by the prices of the calls', async () => {
    const prices = { ...flat(), priceOf: ({ tool }: QuotaCall) => (tool === getPet.tool ? 3n : 5n) }
    const replica = world.start([rule({ unit: 'cost', limit: 10n })], { prices })
    expect(await replica.call()).toBe('ok')
    expect(await replica.call(ann, listOrders)).toBe('ok')
    expect(await replica.call()).toBe('quota_exceeded')
    expect(await replica.quotas.state()).toMatchObject([{ used: 8n, unit: 'cost' }])
  })

  test('that a call does not cost is not asked for', async () => {
    const replica = world.start([rule({ unit: 'cost', limit: 1n })], { prices: flat(0n) })
    expect(await replica.calls(50)).toEqual({ ok: 50, refused: 0 })
  })

  test('follows the tiers of a tenant’s volume', async () => {
    // 5 free ones, then 1 each
    const prices = { volumeOf: () => 'call', priceOf: (_: QuotaCall, _at: number, at: bigint) => (at < 5n ? 0n : 1n) }
    const replica = world.start([rule({ unit: 'cost', limit: 3n, each: 'tenant' })], { prices })
    expect(await replica.calls(20)).toEqual({ ok: 8, refused: 12 })
    expect(await replica.calls(20, eve)).toEqual({ ok: 8, refused: 12 })
    replica.kill()
    const next = world.start([rule({ unit: 'cost', limit: 4n, each: 'tenant' })], { prices })
    await next.call()
    expect((await next.quotas.state()).map(({ of, used }) => [of.tenant, used])).toContainEqual(['acme', 4n])
  })

  test('is settled at what it came to', async () => {
    const replica = world.start([rule({ unit: 'cost', limit: 10n })], { prices: flat(4n) })
    const reservation = await replica.quotas.enter(ann, getPet)
    reservation?.settle(1, 6n)
    expect(await replica.calls(3)).toEqual({ ok: 1, refused: 2 })
  })
})

describe('after a restart', () => {
  const quota = rule({ limit: 500n })

  test('in good order a counter goes on where it was, without a recount', async () => {
    const first = world.start([quota])
    await first.calls(123)
    const asked = world.ledger.asked
    await first.quotas.close()
    expect(await world.start([quota]).calls(500)).toEqual({ ok: 377, refused: 123 })
    expect(world.ledger.asked).toBe(asked)
  })

  test('after kill -9 it is counted anew from the ledger', async () => {
    for (const [calls, open] of [
      [100, 3],
      [57, 0],
      [9, 64],
    ] as const) {
      const replica = world.start([quota])
      await replica.calls(calls)
      await Promise.all(Array.from({ length: open }, () => replica.begin()))
      replica.kill()
    }
    expect(await world.start([quota]).calls(500)).toEqual({ ok: 334, refused: 166 })
  })

  test('on a machine that cannot tell, the dead are known when they have been silent for a while', async () => {
    const first = world.start([quota], { self: { machine: 'there', pid: 1, lives: () => true } })
    await first.calls(100)
    first.kill()
    const next = world.start([quota])
    const { ok } = await next.calls(500)
    expect(ok).toBeGreaterThanOrEqual(395)
    world.clock.pass(limits.quotaOwnerMs + limits.quotaRecheckMs)
    await turns()
    expect(ok + (await next.calls(500)).ok).toBe(400)
  })

  test('a quota that is new counts what was called before it', async () => {
    const without = world.start([])
    await without.calls(30)
    without.quotas.apply([rule({ limit: 40n, each: 'tenant' })])
    expect(await without.calls(20)).toEqual({ ok: 10, refused: 10 })
    expect(await without.calls(20, eve)).toEqual({ ok: 20, refused: 0 })
    expect(world.ledger.asked).toBe(1)
  })

  test('a listing, which has no tool while it is counted, has none when it is counted anew', async () => {
    const first = world.start([])
    const call = { meter: 'list' as const, target: '', tool: 'tools/list' }
    world.ledger.entries.push({ at: world.clock.now(), caller: ann, call, units: 1, cost: 0n })
    first.quotas.apply([rule({ limit: 2n, match: { tools: ['*'] } })])
    expect(await first.calls(3)).toEqual({ ok: 2, refused: 1 })
  })

  test('a counter that was lost is counted anew', async () => {
    const first = world.start([quota])
    await first.calls(100)
    await first.quotas.close()
    for (const { key } of await world.records.list('quota/count/', { limit: 10 })) await world.records.delete(key)
    expect(await world.start([quota]).calls(500)).toEqual({ ok: 400, refused: 100 })
  })
})

describe('a changed limit', () => {
  test('takes effect at once, with what was counted so far', async () => {
    const replica = world.start([rule({ limit: 10n })])
    expect(await replica.calls(20)).toEqual({ ok: 10, refused: 10 })
    replica.quotas.apply([rule({ limit: 15n })])
    expect(await replica.calls(20)).toEqual({ ok: 5, refused: 15 })
    replica.quotas.apply([rule({ limit: 12n })])
    expect(await replica.call()).toBe('quota_exceeded')
    replica.quotas.apply([])
    expect(await replica.calls(5)).toEqual({ ok: 5, refused: 0 })
    replica.quotas.apply([rule({ limit: 1_000n })])
    expect((await replica.quotas.state())[0]?.used).toBe(15n)
  })
})

test('a limit that is lowered while a lease is asked for leaves nothing of that lease', async () => {
  const written = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const records: Records = {
    ...world.records,
    put: async (key, ...rest) => {
      if (key.startsWith('quota/count/')) {
        written.resolve()
        await released.promise
      }
      return world.records.put(key, ...rest)
    },
  }
  const replica = world.start([rule({ limit: 100_000n })], { records })
  const first = replica.call()
  await written.promise
  replica.quotas.apply([rule({ limit: 10n })])
  released.resolve()
  expect(await first).toBe('ok')
  expect(await replica.calls(50)).toEqual({ ok: 9, refused: 41 })
})

describe('when counters cannot be kept', () => {
  test('calls under a quota are refused, others go on, and all do when it is over', async () => {
    const failing = broken()
    const through: Records = { ...world.records, get: (key) => now.get(key), put: (...all) => now.put(...all) }
    let now = failing
    const replica = world.start([rule({ match: { targets: ['pets'] } })], { records: through })
    expect(await replica.call()).toBe('store_unavailable')
    expect(await replica.call(ann, listOrders)).toBe('ok')
    now = world.records
    expect(await replica.call()).toBe('store_unavailable')
    world.clock.pass(limits.quotaRetryMs)
    expect(await replica.call()).toBe('ok')
  })

  test('a ledger that cannot be asked refuses, too', async () => {
    world.ledger.failure = new Error('no ledger')
    const replica = world.start([rule({})])
    expect(await replica.call()).toBe('store_unavailable')
    world.ledger.failure = undefined
    world.clock.pass(limits.quotaRetryMs)
    expect(await replica.call()).toBe('ok')
  })

  test('what cannot be read is not taken for nothing', async () => {
    const first = world.start([rule({})])
    await first.call()
    await first.quotas.close()
    const [row] = await world.records.list('quota/count/', { limit: 1 })
    await world.records.put(row?.key ?? '', '{"v":1,"base":"-"}', { expect: row?.version ?? 'absent' })
    expect(await world.start([rule({})]).call()).toBe('store_unavailable')
  })

  test('a store that hangs is not waited for long', async () => {
    const hanging: Records = { ...world.records, get: () => new Promise(() => undefined) }
    const replica = world.start([rule({})], { records: hanging })
    const call = replica.call()
    await turns()
    world.clock.pass(limits.quotaWaitMs)
    expect(await call).toBe('store_unavailable')
    expect(await replica.call()).toBe('store_unavailable')
  })

  test('a write that seemed to fail is not counted twice', async () => {
    let fails = 0
    const lying: Records = {
      ...world.records,
      async put(...all) {
        const version = await world.records.put(...all)
        if (all[0].startsWith('quota/count/') && ++fails % 3 === 0) throw new GatewayError('store_unavailable')
        return version
      },
    }
    const replica = world.start([rule({ limit: 50n })], { records: lying })
    let ok = 0
    for (let calls = 0; calls < 200; calls++) {
      if ((await replica.call()) === 'ok') ok++
      world.clock.pass(limits.quotaRetryMs)
    }
    expect(ok).toBe(50)
  })
})

describe('counters', () => {
  test('that lie idle are given back and let go', async () => {
    const replica = world.start([rule({ each: 'principal', limit: 1_000n })])
    for (let at = 0; at < 50; at++) await replica.call({ tenant: 't', subject: `s${at}` })
    for (let second = 0; second < 100; second++) {
      world.clock.pass(1_000)
      await turns(3)
    }
    const values = (await world.records.list('quota/count/', { limit: 100 })).map(({ value }) => value)
    expect(values).toHaveLength(50)
    for (const value of values) expect(JSON.parse(value)).toMatchObject({ base: '1', shares: {} })
    expect(replica.faults).toEqual([])
    expect(await replica.calls(1_001, { tenant: 't', subject: 's7' })).toEqual({ ok: 999, refused: 2 })
  })

  test('are bounded, and calls of more callers are refused', async () => {
    const counters = limits.quotaCounters
    Object.assign(limits, { quotaCounters: 20 })
    try {
      const replica = world.start([rule({ each: 'principal' })])
      const answers: string[] = []
      for (let at = 0; at < 25; at++) answers.push(await replica.call({ tenant: 't', subject: `s${at}` }))
      expect(answers.filter((answer) => answer === 'overloaded')).toHaveLength(5)
      expect(await replica.call({ tenant: 't', subject: 's3' })).toBe('ok')
    } finally {
      Object.assign(limits, { quotaCounters: counters })
    }
  })

  test('are told without a look at each, where there are more than are told', async () => {
    const first = world.start([rule({ each: 'principal' })])
    for (let n = 0; n < limits.quotaRowsShown + 100; n += 1) await first.call({ tenant: 'acme', subject: `s${n}` })
    const look = vi.spyOn(world.records, 'get')
    expect(await first.quotas.state()).toHaveLength(limits.quotaRowsShown)
    expect(look.mock.calls.length).toBeLessThanOrEqual(limits.quotaRowsShown)
    look.mockRestore()
  })

  test('are told, those of other processes among them', async () => {
    const rules = [rule({ name: 'all', limit: 9n }), rule({ name: 'each', each: 'principal', per: 'month' })]
    const one = world.start(rules)
    const two = world.start(rules)
    await one.calls(2, ann)
    await two.calls(3, bob)
    await two.quotas.close()
    expect(await one.quotas.state()).toMatchObject([
      { quota: 'all', of: {}, window: '2026-11-24' },
      { quota: 'each', of: { tenant: 'acme', principal: ann.subject }, window: '2026-11', used: 2n },
      { quota: 'each', of: { tenant: 'acme', principal: bob.subject }, used: 3n },
    ])
    expect(one.quotas.ratios().get('each')).toBeCloseTo(0.2)
  })
})
