/** Windows: what goes out when, and that nothing is counted twice or left out, whatever the order and whoever crashes. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { eachEvent, type EventItem, eventsBy, type SumItem, sumsBy } from '../../../src/meter/export/item.ts'
import { isBefore } from '../../../src/meter/export/source.ts'
import { type Cursor, firstCursor, gather, type Window } from '../../../src/meter/export/window.ts'
import { event, hour, ledger, type ListedLedger, start } from './export-parts.ts'

const byTenant = sumsBy(['tenant', 'meter'], () => true)
const grace = limits.exportGraceMs

const windowOf = async (source: ListedLedger, cursor: Cursor, now: number): Promise<Window<SumItem> | number> => {
  const gathered = await gather(source, cursor, byTenant, now)
  return gathered.kind === 'wait' ? gathered.ms : gathered.window
}

const sumsOf = (window: Window<SumItem> | number): (string | number)[][] =>
  typeof window === 'number'
    ? []
    : window.items.map(({ sum }) => [sum.hour - start, sum.of.get('tenant') ?? '', sum.events, sum.units])

const next = async (window: Window<SumItem> | number): Promise<Cursor> => {
  if (typeof window === 'number') throw new Error('there is no window')
  return window.after()
}

/** Numbers that look like chance and are the same every time (mulberry32). */
const chance = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

describe('an hour', () => {
  it('waits for its end and a grace, then goes out, and the beginning of the next stays', async () => {
    const source = ledger([event(start + 1), event(start + 2), event(start + hour + 5, { tenant: 'beta' })])
    expect(await windowOf(source, firstCursor, start + hour + 10)).toBe(grace - 10)
    const window = await windowOf(source, firstCursor, start + hour + grace)
    expect(sumsOf(window)).toEqual([[0, 'acme', 2, 2]])
    const cursor = await next(window)
    source.events.push(event(start + hour + 6, { tenant: 'beta', units: 0 }))
    expect(await windowOf(source, cursor, start + hour + grace)).toBe(hour)
    expect(sumsOf(await windowOf(source, cursor, start + 2 * hour + grace))).toEqual([[hour, 'beta', 2, 1]])
  })

  it('is closed by an event well behind it, so that a long past goes out hour by hour', async () => {
    const source = ledger([0, 1, 2, 3].map((index) => event(start + index * hour)))
    const now = start + 100 * hour
    const seen: (string | number)[][] = []
    let cursor = firstCursor
    for (let window = await windowOf(source, cursor, now); typeof window !== 'number'; ) {
      expect(window.items).toHaveLength(1)
      seen.push(...sumsOf(window))
      cursor = await window.after()
      window = await windowOf(source, cursor, now)
    }
    expect(seen.map(([at]) => at)).toEqual([0, hour, 2 * hour, 3 * hour])
  })

  it('that gets a late event sends it as a further sum with a key of its own', async () => {
    const source = ledger([event(start + 1), event(start + hour + 1)])
    const first = await windowOf(source, firstCursor, start + hour + grace)
    source.events.push(event(start + 2))
    const second = await windowOf(source, await next(first), start + 2 * hour + grace)
    expect(sumsOf(second)).toEqual([
      [0, 'acme', 1, 1],
      [hour, 'acme', 1, 1],
    ])
    const keys = [first, second].flatMap((window) =>
      typeof window === 'number' ? [] : window.items.map(({ key }) => key),
    )
    expect(new Set(keys).size).toBe(3)
  })

  it('is not held up by an event of a clock that ran ahead', async () => {
    const source = ledger([event(start + 999 * hour), event(start + 1)])
    const window = await windowOf(source, firstCursor, start + 5)
    expect(sumsOf(window)).toEqual([
      [0, 'acme', 1, 1],
      [999 * hour, 'acme', 1, 1],
    ])
    source.events.push(event(start + 3))
    expect(sumsOf(await windowOf(source, await next(window), start + hour + grace))).toEqual([[0, 'acme', 1, 1]])
  })

  it('of more sums than are held in memory goes out in parts', async () => {
    const many = limits.exportSums + 5
    const source = ledger(
      Array.from({ length: many }, (_, index) => event(start + 1, { tenant: `t${index}` })),
      500,
      1_000_000,
    )
    const first = await windowOf(source, firstCursor, start + 1)
    expect(sumsOf(first)).toHaveLength(limits.exportSums)
    expect(sumsOf(await windowOf(source, await next(first), start + hour + grace))).toHaveLength(5)
  })
})

describe('events', () => {
  it('go out at once, at most a batch of them', async () => {
    const source = ledger(Array.from({ length: limits.exportBatchItems + 3 }, (_, index) => event(start + index)))
    const gathered = await gather(source, firstCursor, eachEvent, start)
    if (gathered.kind === 'wait') throw new Error('they wait')
    expect(gathered.window.items.map(({ key }) => key)).toEqual(
      source.events.slice(0, limits.exportBatchItems).map(({ id }) => id),
    )
    const rest = await gather(source, await gathered.window.after(), eachEvent, start)
    expect(rest.kind === 'window' && rest.window.items.length).toBe(3)
  })
})

describe('a window that was begun', () => {
  it('has the same items under the same keys, however the ledger has grown', async () => {
    const source = ledger([event(start + 1), event(start + 2, { tenant: 'beta' }), event(start + hour + 1)])
    const window = await windowOf(source, firstCursor, start + hour + grace)
    if (typeof window === 'number') throw new Error('there is no window')
    source.events.push(event(start + 3), event(start + 4, { tenant: 'gamma' }))
    const again = await windowOf(source, { ...firstCursor, window: window.cut }, start + 50 * hour)
    expect(again).toMatchObject({ items: window.items, cut: window.cut })
    expect(await next(again)).toEqual(await window.after())
  })

  it('whose events are gone from the ledger is left behind', async () => {
    const gathered = await gather(
      ledger([]),
      { ...firstCursor, window: { events: 5, below: start + hour } },
      byTenant,
      start,
    )
    expect(gathered).toMatchObject({ kind: 'window', window: { items: [] } })
  })
})

describe.each([1, 2, 3, 4, 5, 6])(
  'a simulation of days with late events, steps of the clock and crashes, seed %i',
  (seed) => {
    it('sums to what a naive count gives, with one content for each key', async () => {
      const random = chance(seed)
      const source = ledger([], 1 + Math.floor(random() * 9), 1 + Math.floor(random() * 20))
      const contents = new Map<string, string>()
      let cursor = firstCursor
      let now = start
      let over = false
      const send = async (): Promise<boolean> => {
        const window = await windowOf(source, cursor, now)
        if (typeof window === 'number') return false
        // a crash behind the receiver's back: the window is made again from its cut, from a ledger that has grown
        cursor = { ...cursor, window: window.cut }
        if (random() < 0.3 && !over) source.events.push(event(now))
        const again = random() < 0.5 ? await windowOf(source, cursor, now) : window
        if (typeof again === 'number') throw new Error('the window is gone')
        for (const { key, sum } of [...window.items, ...again.items]) {
          const content = JSON.stringify([sum.hour, sum.of.get('tenant'), sum.events, sum.units])
          expect(contents.get(key) ?? content).toBe(content)
          contents.set(key, content)
        }
        const before = cursor.from
        cursor = await again.after()
        if (before !== undefined && cursor.from !== undefined) expect(isBefore(cursor.from, before)).toBe(false)
        return true
      }
      for (let step = 0; step < 600; step += 1) {
        now += Math.floor(random() * 20 * 60_000)
        if (random() < 0.01) now += (random() < 0.5 ? -3 : 7) * hour
        const late = random() < 0.1 ? Math.floor(random() * 5 * hour) : 0
        const ahead = random() < 0.01 ? 50 * hour : 0
        const tenant = `t${Math.floor(random() * 3)}`
        source.events.push(event(Math.max(0, now - late + ahead), { tenant, units: Math.floor(random() * 3) }))
        if (random() < 0.3) await send()
      }
      over = true
      now = start + 1_000 * hour
      while (await send());
      const naive = new Map<string, number[]>()
      const sent = new Map<string, number[]>()
      const add = (sums: Map<string, number[]>, place: string, events: number, units: number): void => {
        const [sum = 0, unitSum = 0] = sums.get(place) ?? []
        sums.set(place, [sum + events, unitSum + units])
      }
      for (const { at, tenant, units } of source.events)
        add(naive, `${Math.floor(at / hour) * hour} ${tenant}`, 1, units)
      for (const content of contents.values()) {
        const [at, tenant, events, units]: [number, string, number, number] = JSON.parse(content)
        add(sent, `${at} ${tenant}`, events, units)
      }
      expect(sent).toEqual(naive)
    })
  },
)

describe('files of a period', () => {
  it('have the events of earlier periods first', async () => {
    const day = 24 * hour
    const source = ledger([event(start + day), event(start), event(start + day + 1)])
    const gathered = await gather<EventItem>(source, firstCursor, eventsBy(day), start + 3 * day)
    expect(gathered.kind === 'window' && gathered.window.items.map((item) => item.event.at - start)).toEqual([
      0,
      day,
      day + 1,
    ])
  })
})
