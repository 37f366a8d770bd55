/** Limits per caller: what is let in, what is refused and until when, and that refusing takes nothing. */
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type Called,
  createThrottle,
  type LimitRule,
  type MakeWindow,
  type Throttle,
} from '../../../src/call/throttle.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Principal } from '../../../src/core/model.ts'

// the library reads the time for itself
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'], now: 1_000_000 }))
afterEach(() => void vi.useRealTimers())
const clock: Clock = { ...systemClock, monotonic: () => Date.now() }
const pass = (ms: number): void => void vi.advanceTimersByTime(ms)

const caller = (subject: string, change: Partial<Principal> = {}): Principal => ({
  ...{ tenant: 't', subject, client: 'c', scopes: new Set<string>() },
  ...change,
})
const [ann, bob] = [caller('https://idp/a|ann'), caller('https://idp/a|bob')]
const get: Called = { name: 'pets___get', target: 'pets' }
const del: Called = { name: 'pets___del', target: 'pets' }
const list: Called = { name: 'orders___list', target: 'orders' }

/** `ok`, or the limit that refused and for how long. */
const enter = async (throttle: Throttle, who: Principal, tool: Called): Promise<string> => {
  try {
    await throttle.enter(who, tool)
    return 'ok'
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    expect(error).toMatchObject({ code: 'rate_limited', http: 429, retry: true })
    const { limit, retryAfter } = error.data as { limit: string; retryAfter: number }
    expect(error.headers).toEqual({ 'retry-after': String(retryAfter) })
    return `${limit} ${retryAfter}`
  }
}
const enterAll = async (throttle: Throttle, ...calls: readonly (readonly [Principal, Called])[]): Promise<string[]> => {
  const answers: string[] = []
  for (const [who, tool] of calls) answers.push(await enter(throttle, who, tool))
  return answers
}
const make = (...rules: LimitRule[]): Throttle => createThrottle(rules, clock)

describe('a limit', () => {
  test('that there is none of costs nothing and refuses nobody', () => {
    const throttle = make()
    const leave = throttle.enter(ann, get)
    expect(leave).toBeTypeOf('function')
    expect(throttle.enter(bob, del)).toBe(leave)
  })

  test('per second is there again with the next window, in whole seconds', async () => {
    const throttle = make({ by: ['principal'], perSecond: 2 })
    expect(await enterAll(throttle, [ann, get], [ann, del], [ann, get])).toEqual(['ok', 'ok', 'perSecond 1'])
    pass(999)
    expect(await enter(throttle, ann, get)).toBe('perSecond 1')
    pass(1)
    expect(await enter(throttle, ann, get)).toBe('ok')
  })

  test('per minute says how long', async () => {
    const throttle = make({ by: ['principal'], perMinute: 1 })
    expect(await enterAll(throttle, [ann, get], [ann, get])).toEqual(['ok', 'perMinute 60'])
    pass(58_500)
    expect(await enter(throttle, ann, get)).toBe('perMinute 2')
    pass(1_500)
    expect(await enter(throttle, ann, get)).toBe('ok')
  })

  test.each<[string, LimitRule['by'], readonly (readonly [Principal, Called])[], string[]]>([
    [
      'a principal',
      ['principal'],
      [
        [ann, get],
        [bob, get],
        [ann, list],
      ],
      ['ok', 'ok', 'perMinute 60'],
    ],
    [
      'a target',
      ['target'],
      [
        [ann, get],
        [bob, del],
        [ann, list],
      ],
      ['ok', 'perMinute 60', 'ok'],
    ],
    [
      'a tool',
      ['tool'],
      [
        [ann, get],
        [ann, del],
        [bob, get],
      ],
      ['ok', 'ok', 'perMinute 60'],
    ],
    [
      'a principal’s tool',
      ['principal', 'tool'],
      [
        [ann, get],
        [bob, get],
        [ann, del],
        [ann, get],
      ],
      ['ok', 'ok', 'ok', 'perMinute 60'],
    ],
    [
      'all together',
      [],
      [
        [ann, get],
        [bob, list],
      ],
      ['ok', 'perMinute 60'],
    ],
  ])('by %s counts what belongs together', async (_what, by, calls, expected) => {
    expect(await enterAll(make({ by, perMinute: 1 }), ...calls)).toEqual(expected)
  })

  test('by principal is one for all its clients and objects, and one for each tenant', async () => {
    const throttle = make({ by: ['principal'], perMinute: 1 })
    const calls = [{}, { client: 'other' }, { scopes: new Set(['x']) }, { tenant: 'u' }].map(
      (change) => [caller('ann', change), get] as const,
    )
    expect(await enterAll(throttle, ...calls)).toEqual(['ok', 'perMinute 60', 'perMinute 60', 'ok'])
    // no part can imitate the border between two
    const twin = caller('x"],["y', { tenant: 't' })
    expect(await enterAll(throttle, [twin, get], [caller('y', { tenant: 't"],["x' }), get])).toEqual(['ok', 'ok'])
  })

  test.each<[string, LimitRule['match'], Principal, Called, boolean]>([
    ['its principals', { principals: ['https:*|ann'] }, ann, get, true],
    ['its principals', { principals: ['https:*|ann'] }, bob, get, false],
    ['its targets', { targets: ['or*', 'pets'] }, ann, get, true],
    ['its targets', { targets: ['or*'] }, ann, get, false],
    ['its tools', { tools: ['*___get'] }, ann, get, true],
    ['its tools', { tools: ['*___get'] }, ann, del, false],
    ['all it names', { tools: ['*___get'], principals: ['*|bob'] }, ann, get, false],
  ])('is about %s only: %j', async (_what, match, who, tool, about) => {
    const throttle = make({ by: [], perMinute: 1, ...(match === undefined ? {} : { match }) })
    expect(await enterAll(throttle, [who, tool], [who, tool])).toEqual(['ok', about ? 'perMinute 60' : 'ok'])
  })
})

describe('calls at once', () => {
  test('are as many as there may be, and one more when one is over', async () => {
    const throttle = make({ by: ['principal'], concurrent: 2 })
    const leave = throttle.enter(ann, get)
    expect(await enterAll(throttle, [ann, del], [ann, get], [bob, get])).toEqual(['ok', 'concurrent 1', 'ok'])
    if (leave instanceof Promise) throw new Error('without rates nothing has to be waited for')
    leave()
    leave()
    expect(await enterAll(throttle, [ann, get], [ann, get])).toEqual(['ok', 'concurrent 1'])
  })

  test('give their place back when a rate refuses', async () => {
    const throttle = make({ by: ['principal'], concurrent: 1 }, { by: ['tool'], perSecond: 1 })
    const leave = await throttle.enter(bob, get)
    leave()
    for (let count = 0; count < 3; count++) expect(await enter(throttle, ann, get)).toBe('perSecond 1')
    expect(await enter(throttle, ann, del)).toBe('ok')
  })

  test('take no point when they refuse', async () => {
    const throttle = make({ by: ['principal'], concurrent: 1 }, { by: ['principal'], perMinute: 2 })
    const leave = await throttle.enter(ann, get)
    for (let count = 0; count < 5; count++) expect(await enter(throttle, ann, get)).toBe('concurrent 1')
    leave()
    const second = await throttle.enter(ann, get)
    second()
    expect(await enter(throttle, ann, get)).toBe('perMinute 60')
  })
})

describe('several limits', () => {
  test('take nothing from the others when one refuses, in whatever order', async () => {
    for (const order of [0, 1]) {
      const rules: LimitRule[] = [
        { by: ['principal'], perMinute: 3 },
        { by: ['tool'], perSecond: 1 },
      ]
      const throttle = make(...(order === 0 ? rules : rules.toReversed()))
      expect(await enter(throttle, bob, get)).toBe('ok')
      for (let count = 0; count < 5; count++) expect(await enter(throttle, ann, get)).toBe('perSecond 1')
      expect(await enterAll(throttle, [ann, del], [ann, list])).toEqual(['ok', 'ok'])
      pass(1_000)
      expect(await enterAll(throttle, [ann, del], [ann, list])).toEqual(['ok', 'perMinute 59'])
    }
  })

  test('take no more together than one after the other when calls come at once', async () => {
    const throttle = make({ by: ['principal'], perMinute: 10 }, { by: ['principal', 'tool'], perSecond: 7 })
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => enter(throttle, ann, index % 2 === 0 ? get : del)),
    )
    expect(answers.filter((answer) => answer === 'ok')).toHaveLength(10)
  })

  test('let in exactly what a plain count lets in', async () => {
    const call = fc.record({ who: fc.constantFrom(ann, bob), tool: fc.constantFrom(get, del, list) })
    const rule = fc.record({
      by: fc.uniqueArray(fc.constantFrom('principal' as const, 'target' as const, 'tool' as const)),
      perMinute: fc.integer({ min: 1, max: 4 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(rule, { maxLength: 3 }), fc.array(call, { maxLength: 15 }), async (rules, calls) => {
        const throttle = make(...rules)
        const counts = rules.map(() => new Map<string, number>())
        for (const { who, tool } of calls) {
          const keys = rules.map(({ by }) =>
            by.map((part) => ({ principal: who.subject, target: tool.target, tool: tool.name })[part]).join(' '),
          )
          const free = rules.every(({ perMinute }, place) => (counts[place]?.get(keys[place] ?? '') ?? 0) < perMinute)
          if (free)
            for (const [place, key] of keys.entries()) counts[place]?.set(key, (counts[place].get(key) ?? 0) + 1)
          expect((await enter(throttle, who, tool)) === 'ok').toBe(free)
        }
      }),
      { numRuns: 200 },
    )
  })
})

describe('memory', () => {
  test('is bounded: beyond so many callers in a window, new ones are refused and known ones are not', async () => {
    const throttle = make({ by: ['principal'], perSecond: 2 })
    for (let count = 0; count < limits.throttleKeys; count++) await throttle.enter(caller(`s${count}`), get)
    expect(await enter(throttle, caller('stranger'), get)).toBe('perSecond 1')
    expect(await enter(throttle, caller('s7'), get)).toBe('ok')
    pass(2_000)
    expect(await enter(throttle, caller('stranger'), get)).toBe('ok')
    expect(vi.getTimerCount()).toBe(1)
  })
})

describe('a shared form', () => {
  test('has a window for each limit of each rule, and is heard when it fails', async () => {
    const names: string[] = []
    const down = new GatewayError('store_unavailable')
    let fails = false
    const given: string[] = []
    const makeWindow: MakeWindow = (name, points, seconds) => {
      names.push(`${name} ${points}/${seconds}`)
      return {
        take: async () => {
          if (fails && name === '1.perMinute') throw down
          return undefined
        },
        giveBack: async (key) => void given.push(`${name} ${key}`),
      }
    }
    const rules: LimitRule[] = [
      { by: ['tool'], perSecond: 5, perMinute: 100, concurrent: 1 },
      { by: ['target'], perMinute: 50 },
    ]
    const throttle = createThrottle(rules, clock, makeWindow)
    expect(names).toEqual(['0.perSecond 5/1', '0.perMinute 100/60', '1.perMinute 50/60'])
    fails = true
    await expect((async () => throttle.enter(ann, get))()).rejects.toBe(down)
    expect(given).toEqual(['0.perSecond ["pets___get"]', '0.perMinute ["pets___get"]'])
    fails = false
    expect(await enter(throttle, ann, get)).toBe('ok')
  })
})
