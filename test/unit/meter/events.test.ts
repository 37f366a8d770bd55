/** Reading events: each of them once, in an order that never changes, from any place on. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { eventsBetween, type LedgerEvent, type Position, readEvents, wholeSegment } from '../../../src/meter/events.ts'
import { createIds } from '../../../src/meter/id.ts'
import { againLine, beginLine, carriedLine, endLine, namesText, segmentLine } from '../../../src/meter/line.ts'
import { createMeter } from '../../../src/meter/meter.ts'
import { ann, begun, call, calls, fine, getPet, type ManualClock, manualClock, segmentsIn } from './parts.ts'

let dir = ''
let clock: ManualClock
beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'events-')), 'usage')
  mkdirSync(dir)
  clock = manualClock()
})
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }))

const nobody = 4_194_305 + 1
const start = manualClock().now()
const nextId = createIds(manualClock())
const names = namesText(ann, getPet)
const begin = (id: string, at = start) => beginLine(id, at, names)
const end = (id: string, at = start) => endLine(id, at, names, { ...fine, ms: 3 })
const leave = (text: string, pid = nobody, hidden = '') => {
  const name = `${nextId()}-${pid}.ndjson`
  writeFileSync(join(dir, name + hidden), text)
  return name
}
const read = (from: Position | undefined, max = 1_000) => readEvents({ dir, clock }, from, max)

/** Everything from a place on, `max` at a time. */
const readAll = (from: Position | undefined, max: number): { events: LedgerEvent[]; next: Position | undefined } => {
  const events: LedgerEvent[] = []
  for (let next = from; ; ) {
    const some = read(next, max)
    events.push(...some.events)
    if (some.events.length === 0 && some.next?.segment === next?.segment && some.next?.offset === next?.offset)
      return { events, next }
    next = some.next
  }
}
const idsOf = ({ events }: { events: readonly LedgerEvent[] }) => events.map(({ id, outcome }) => `${id} ${outcome}`)

describe('reading on', () => {
  test('nothing is there: no event, and the place stays', () => {
    expect(read(undefined)).toEqual({ events: [], next: undefined })
    rmSync(dir, { recursive: true })
    expect(read(undefined)).toEqual({ events: [], next: undefined })
  })

  test('an event has everything that is known of it', async () => {
    const meter = createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
    const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
    const entry = await meter.begin(ann, getPet, { snapshot: 7, trace })
    clock.pass(30)
    await entry.end({ ...fine, waitMs: 20 })
    expect(read(undefined).events).toEqual([
      {
        ...{ id: entry.id, at: start, tenant: 'local', subject: 'ann', client: 'editor', target: 'pets' },
        ...{ tool: 'pets___get', meter: 'call', outcome: 'ok', units: 1, status: 200, ms: 30, waitMs: 20 },
        ...{ bytesIn: 10, bytesOut: 20, snapshot: 7, trace },
      },
    ])
    await meter.close()
  })

  test.each([1, 2, 3, 7, 1_000])('%d at a time gives the same events in the same order, from every place', (max) => {
    leave(segmentLine(start, undefined) + begin('a') + begin('b') + end('b') + begin('c') + 'torn')
    leave(begin('d') + end('d') + end('e') + begin('f'))
    leave('')
    leave(begin('g') + end('g'))
    const all = readAll(undefined, max)
    expect(idsOf(all)).toEqual(['b ok', 'a unknown', 'c unknown', 'd ok', 'e ok', 'f unknown', 'g ok'])
    expect(all.next).toEqual({ segment: segmentsIn(dir).at(-1), offset: wholeSegment })
    let next: Position | undefined
    for (let index = 0; index < all.events.length; index += 1) {
      expect(idsOf(readAll(next, max))).toEqual(idsOf({ events: all.events.slice(index) }))
      const one = read(next, 1)
      expect(read(next, 1)).toEqual(one)
      next = one.next
    }
  })

  test('of a live segment comes what is whole, and later what was added', () => {
    const name = leave(begin('a') + end('a') + end('b').slice(0, 40), process.pid)
    const first = read(undefined)
    expect(idsOf(first)).toEqual(['a ok'])
    expect(read(first.next)).toEqual({ events: [], next: first.next })
    appendFileSync(join(dir, name), end('b').slice(40))
    expect(idsOf(read(first.next))).toEqual(['b ok'])
  })

  test('a live segment holds up those behind it, so that nothing is passed over', () => {
    const live = leave(begin('a') + end('a'), process.pid)
    leave(begin('b') + end('b'))
    const first = readAll(undefined, 10)
    expect(idsOf(first)).toEqual(['a ok'])
    appendFileSync(join(dir, live), end('c'))
    leave(segmentLine(start, live), process.pid)
    expect(idsOf(readAll(first.next, 10))).toEqual(['c ok', 'b ok'])
  })

  test('a segment that is about to be shown holds them up, too, unless its owner is gone', () => {
    leave(begin('a') + end('a'))
    leave('', process.pid, '.tmp')
    leave('', nobody, '.tmp')
    leave(begin('b') + end('b'))
    expect(idsOf(readAll(undefined, 10))).toEqual(['a ok'])
    for (const name of segmentsIn(dir).filter((one) => one.includes(`-${process.pid}.`))) rmSync(join(dir, name))
    expect(idsOf(readAll(undefined, 10))).toEqual(['a ok', 'b ok'])
  })

  test('calls that a segment has taken over are told where they end, and once', () => {
    const first = leave(begin('a') + begin('lost'), process.pid)
    leave(segmentLine(start, first) + carriedLine(begin('a')) + end('a'), process.pid)
    expect(idsOf(readAll(undefined, 1))).toEqual(['lost unknown', 'a ok'])
  })

  test.each([
    ['has it', true],
    ['has it not', false],
  ])('an end that was written again comes once when the segment before %s', (_, there) => {
    const first = leave(begin('a') + (there ? end('a') : ''), process.pid)
    leave(segmentLine(start, first) + carriedLine(begin('a')) + againLine(end('a')), process.pid)
    expect(idsOf(readAll(undefined, 10))).toEqual(['a ok'])
  })

  test('a place in a segment that has gone is followed by the next one', () => {
    const [first, second] = [leave(begin('a') + end('a')), leave(begin('b') + end('b'))]
    rmSync(join(dir, first))
    expect(idsOf(read({ segment: first, offset: 10 }))).toEqual(['b ok'])
    expect(segmentsIn(dir)).toEqual([second])
  })

  test('segments of several readings, and lines longer than one', () => {
    const long = namesText({ ...ann, subject: 's'.repeat(3_500) }, getPet)
    const ids = Array.from({ length: 500 }, (_, at) => `${at}`)
    leave(
      `${ids.map((id) => endLine(id, start, long, { ...fine, ms: 1 })).join('')}${'x'.repeat(100_000)}\n${end('last')}`,
    )
    for (const max of [1, 100, 1_000])
      expect(readAll(undefined, max).events.map(({ id }) => id)).toEqual([...ids, 'last'])
  })
})

describe('a spool that is read while it is written', () => {
  test('each event comes once, however the clock steps', async () => {
    const meter = createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
    const long = await meter.begin(ann, getPet)
    const made: string[] = []
    const seen: string[] = []
    let next: Position | undefined
    const look = () => {
      const some = readAll(next, 3)
      seen.push(...some.events.map(({ id }) => id))
      next = some.next
    }
    for (let round = 0; round < 60; round += 1) {
      made.push((await call(meter)).id)
      if (round % 7 === 0) clock.set(start - round * 10_000_000)
      if (round % 5 === 0) clock.live(limits.spoolAgeMs)
      look()
    }
    await long.end(fine)
    made.push(long.id)
    await meter.close()
    look()
    expect(seen).toHaveLength(61)
    expect(new Set(seen)).toEqual(new Set(made))
  })

  test('an idle spool gives up its segment, and one with an open call goes on in another', async () => {
    const meter = createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
    await call(meter)
    clock.live(limits.spoolAgeMs)
    expect(segmentsIn(dir)).toHaveLength(1)
    expect(readAll(undefined, 10).next?.offset).toBe(wholeSegment)
    clock.live(limits.spoolAgeMs)
    const [open] = await begun(meter, 1)
    expect(segmentsIn(dir)).toHaveLength(2)
    clock.live(limits.spoolAgeMs)
    expect(segmentsIn(dir)).toHaveLength(3)
    await open?.end(fine)
    expect(idsOf(readAll(undefined, 10))).toEqual([expect.stringMatching(/ ok$/), `${open?.id} ok`])
    await meter.close()
  })

  test('a segment is named behind all others, though the clock was set back', async () => {
    const first = createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
    await call(first)
    await first.close()
    clock.set(start - 86_400_000)
    const second = createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
    const { id } = await call(second)
    expect(readFileSync(join(dir, segmentsIn(dir).at(-1) ?? ''), 'utf8')).toContain(id)
    await second.close()
  })
})

describe('events of a time', () => {
  const hour = 3_600_000
  const between = (from: number, to: number) => idsOf({ events: [...eventsBetween({ dir, clock }, from, to)] })

  test('are those that began in it, wherever they are', () => {
    const at = (hours: number) => start + hours * hour
    const first = leave(
      segmentLine(at(0), undefined) + begin('long', at(0)) + end('a', at(0)) + end('b', at(1)),
      process.pid,
    )
    leave(
      segmentLine(at(2), first) + carriedLine(begin('long', at(0))) + end('c', at(2)) + end('long', at(0)),
      process.pid,
    )
    leave(segmentLine(at(3), undefined) + end('d', at(3)) + begin('lost', at(3)))
    for (const name of segmentsIn(dir)) utimesSync(join(dir, name), at(3) / 1_000, at(3) / 1_000)
    expect(between(at(0), at(1))).toEqual(['a ok', 'long ok'])
    expect(between(at(1), at(3))).toEqual(['b ok', 'c ok'])
    expect(between(at(3), at(9))).toEqual(['d ok', 'lost unknown'])
    expect(between(at(4), at(9))).toEqual([])
  })

  test('are not looked for where they cannot be', () => {
    const old = leave(segmentLine(start, undefined) + end('a'))
    utimesSync(join(dir, old), start / 1_000, start / 1_000)
    expect(between(start + 1, start + hour)).toEqual([])
    expect(between(start, start + hour)).toEqual(['a ok'])
  })

  test('come from a meter as well', async () => {
    const meter = createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
    await calls(meter, 3)
    expect(between(start, start + 1)).toHaveLength(3)
    expect(between(start + 1, start + hour)).toEqual([])
    await meter.close()
  })
})
