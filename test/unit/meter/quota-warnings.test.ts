/** Warnings of quotas: once each, whatever fails in between; webhooks that are down hold nobody up and miss nothing. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import type { SendWebhook } from '../../../src/meter/quota.ts'
import { ann, bob, flat, openWorld, type Replica, rule, turns, type World } from './quota-parts.ts'

let world: World
beforeEach(() => {
  world = openWorld()
})
afterEach(() => world.close())

/** A second passes, and what the tick began ends. */
const tick = async (seconds = 1): Promise<void> => {
  for (let second = 0; second < seconds; second++) {
    world.clock.pass(1_000)
    await turns(8)
  }
}

const told = ({ warnings }: Replica): string[] => warnings.map(({ quota, fraction }) => `${quota} ${fraction}`)

interface Hook {
  readonly send: SendWebhook
  readonly got: { readonly id: string; readonly body: unknown }[]
  tries: number
  isDown: boolean
}

const hookOf = (): Hook => {
  const hook: Hook = {
    got: [],
    tries: 0,
    isDown: false,
    async send(body, id) {
      hook.tries++
      if (hook.isDown) throw new GatewayError('target_unreachable')
      hook.got.push({ id, body: JSON.parse(body) as unknown })
    },
  }
  return hook
}

describe('a warning', () => {
  test('goes out once for each fraction, in their order', async () => {
    const replica = world.start([rule({ limit: 10n, warnAt: [1, 0.5, 0.8] })])
    const heard: string[][] = []
    for (let calls = 0; calls < 12; calls++) {
      await replica.call()
      await tick()
      heard.push(told(replica))
    }
    expect(heard.map(({ length }) => length)).toEqual([0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
    expect(told(replica)).toEqual(['q 0.5', 'q 0.8', 'q 1'])
    expect(replica.warnings[0]?.state).toEqual({
      ...{ quota: 'q', per: 'day', unit: 'invocations', of: {}, window: '2026-11-24', used: 5, limit: 10 },
      resetAt: '2026-11-25T00:00:00.000Z',
    })
  })

  test('does not go out for what is given back', async () => {
    const replica = world.start([rule({ limit: 2n, warnAt: [0.5] })])
    await replica.call(ann, undefined, 0)
    await tick()
    expect(told(replica)).toEqual([])
  })

  test('goes out for each counter, and again in the next window', async () => {
    const replica = world.start([rule({ limit: 1n, each: 'principal', warnAt: [1] })])
    await replica.call(ann)
    await replica.call(bob)
    await tick()
    expect(replica.warnings.map(({ state }) => state['of'])).toEqual([
      { tenant: 'acme', principal: ann.subject },
      { tenant: 'acme', principal: bob.subject },
    ])
    world.clock.set(Date.UTC(2026, 10, 25))
    await replica.call(ann)
    await tick()
    expect(told(replica)).toHaveLength(3)
  })

  test('does not go out again after a restart, or from another process', async () => {
    const rules = [rule({ limit: 10n, warnAt: [0.5] })]
    const replica = world.start(rules)
    const other = world.start(rules)
    for (let calls = 0; calls < 6; calls++) await replica.call()
    await tick()
    await other.call()
    await tick()
    replica.kill()
    const next = world.start(rules)
    await next.call()
    await tick()
    expect([replica, other, next].map(told)).toEqual([['q 0.5'], [], []])
  })

  test('goes out again where the limit was raised', async () => {
    const replica = world.start([rule({ limit: 2n, warnAt: [0.5] })])
    await replica.call()
    await tick()
    replica.quotas.apply([rule({ limit: 4n, warnAt: [0.5] })])
    await replica.call()
    await tick()
    expect(told(replica)).toEqual(['q 0.5', 'q 0.5'])
  })

  test('of the whole goes out when a call is refused, though money is left', async () => {
    const replica = world.start([rule({ unit: 'cost', limit: 10n, warnAt: [0.9, 1] })], { prices: flat(6n) })
    await replica.calls(2)
    await tick()
    expect(told(replica)).toEqual(['q 0.9', 'q 1'])
  })

  test('that cannot be marked goes out when it can', async () => {
    let isBroken = true
    const replica = world.start([rule({ limit: 1n, warnAt: [1] })], {
      records: {
        ...world.records,
        put: (key, ...all) =>
          isBroken && key.startsWith('quota/warned')
            ? Promise.reject(new GatewayError('store_unavailable'))
            : world.records.put(key, ...all),
      },
    })
    await replica.call()
    await tick(3)
    expect(told(replica)).toEqual([])
    isBroken = false
    await tick(1)
    expect(told(replica)).toEqual(['q 1'])
  })
})

describe('a webhook', () => {
  const quota = rule({ limit: 2n, warnAt: [0.5] })

  test('gets the warning as a CloudEvent with an id of its own', async () => {
    const hook = hookOf()
    const replica = world.start([quota], { hook: () => hook.send })
    await replica.calls(2)
    await tick(120)
    expect(hook.got).toHaveLength(1)
    expect(hook.got[0]?.body).toEqual({
      specversion: '1.0',
      id: hook.got[0]?.id,
      source: 'toolgate',
      type: 'toolgate.quota.reached',
      subject: 'q',
      time: '2026-11-24T10:00:01.000Z',
      datacontenttype: 'application/json',
      data: {
        ...{ quota: 'q', fraction: 0.5, per: 'day', unit: 'invocations', of: {}, window: '2026-11-24' },
        ...{ used: 2, limit: 2, resetAt: '2026-11-25T00:00:00.000Z' },
      },
    })
  })

  test('that is down is tried again, less and less often, and gets it in the end', async () => {
    const hook = hookOf()
    hook.isDown = true
    const replica = world.start([quota], { hook: () => hook.send })
    expect(await replica.calls(2)).toEqual({ ok: 2, refused: 0 })
    await tick(60)
    const early = hook.tries
    expect(early).toBeGreaterThan(1)
    await tick(60)
    expect(hook.tries - early).toBeLessThan(early)
    hook.isDown = false
    await tick(600)
    expect(hook.got).toHaveLength(1)
    expect(replica.faults.length).toBe(hook.tries - 1)
  })

  test('gets it from the next process, when the first was killed before it could', async () => {
    const hook = hookOf()
    hook.isDown = true
    const replica = world.start([quota], { hook: () => hook.send })
    await replica.calls(2)
    await tick(1)
    replica.kill()
    hook.isDown = false
    const next = world.start([quota], { hook: () => hook.send })
    await tick(120)
    expect(hook.got).toHaveLength(1)
    expect(told(next)).toEqual([])
  })

  test('of a quota that is gone gets nothing', async () => {
    const hook = hookOf()
    hook.isDown = true
    let send: SendWebhook | undefined = hook.send
    const replica = world.start([quota], { hook: () => send })
    await replica.calls(2)
    await tick(2)
    send = undefined
    hook.isDown = false
    await tick(300)
    expect(hook.got).toEqual([])
    expect(await world.records.list('quota/hook/', { limit: 10 })).toEqual([])
  })
})

test('a fleet of callers warns in bounds', async () => {
  const before = limits.quotaWarnings
  Object.assign(limits, { quotaWarnings: 5 })
  try {
    const replica = world.start([rule({ limit: 1n, each: 'principal', warnAt: [1] })])
    for (let at = 0; at < 20; at++) await replica.call({ tenant: 't', subject: `s${at}` })
    await tick()
    expect(told(replica)).toHaveLength(5)
  } finally {
    Object.assign(limits, { quotaWarnings: before })
  }
})
