/** Ids and lines: what is written is what is read, and nothing else is taken for a line. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { createIds } from '../../../src/meter/id.ts'
import { sealLine } from '../../../src/meter/chain.ts'
import {
  againLine,
  beginLine,
  carriedLine,
  contextText,
  endLine,
  lineOverheadBytes,
  namesText,
  parseLine,
  segmentLine,
} from '../../../src/meter/line.ts'
import { ann, getPet, manualClock } from './parts.ts'

const uuid7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('ids', () => {
  test('are UUIDs of version 7 that carry the time', () => {
    const clock = manualClock(0x0123_4567_89ab)
    expect(createIds(clock)()).toMatch(uuid7)
    expect(createIds(clock)().slice(0, 13)).toBe('01234567-89ab')
  })

  test('grow without a repetition, however many in a millisecond and wherever the clock jumps', () => {
    const clock = manualClock()
    const nextId = createIds(clock)
    const made: string[] = []
    for (const jump of [0, 1, -5_000, 3, 86_400_000, -86_400_000, 0]) {
      clock.set(clock.now() + jump)
      for (let count = 0; count < 10_000; count += 1) made.push(nextId())
    }
    expect(made.every((id) => uuid7.test(id))).toBe(true)
    expect(made.every((id, at) => at === 0 || id > (made[at - 1] ?? ''))).toBe(true)
  })

  test('of two makers at the same moment differ', () => {
    const clock = manualClock()
    const [one, two] = [createIds(clock), createIds(clock)]
    const made = Array.from({ length: 2_000 }, () => [one(), two()]).flat()
    expect(new Set(made).size).toBe(made.length)
  })
})

describe('lines', () => {
  const names = namesText(ann, getPet)
  const call = {
    id: 'id',
    at: 7,
    tenant: 'local',
    subject: 'ann',
    client: 'editor',
    target: 'pets',
    tool: 'pets___get',
    meter: 'call',
  }

  test('have the published form', () => {
    const named = '"tenant":"local","subject":"ann","client":"editor","target":"pets","tool":"pets___get"'
    expect(beginLine('id', 7, names)).toBe(`{"b":{"id":"id","at":7,${named}}}\n`)
    expect(carriedLine(beginLine('id', 7, names))).toBe(`{"c":{"id":"id","at":7,${named}}}\n`)
    expect(endLine('id', 7, names, { outcome: 'ok', status: 200, ms: 1.6, bytesIn: 3, bytesOut: 4 })).toBe(
      `{"e":{"id":"id","at":7,${named},"outcome":"ok","status":200,"ms":2,"bytesIn":3,"bytesOut":4,"units":1}}\n`,
    )
  })

  test('are read as they were written', () => {
    const end = { outcome: 'target_error', ms: 1, bytesIn: 3, bytesOut: 4 } as const
    expect(parseLine(segmentLine(7, undefined))).toEqual({ kind: 'segment', at: 7, after: undefined })
    expect(parseLine(segmentLine(7, 'x.ndjson'))).toEqual({ kind: 'segment', at: 7, after: 'x.ndjson' })
    expect(parseLine(beginLine('id', 7, names))).toEqual({ kind: 'begin', call })
    expect(parseLine(carriedLine(beginLine('id', 7, names)))).toEqual({ kind: 'carried', call })
    expect(parseLine(endLine('id', 7, names, end))).toEqual({
      kind: 'end',
      call: { ...call, ...end, waitMs: 0, units: 1 },
    })
  })

  test('of the former version are still read', () => {
    const named = '"tenant":"local","subject":"ann","client":"editor","target":"pets","tool":"pets___get"'
    const figures = '"outcome":"ok","status":200,"ms":2,"bytesIn":3,"bytesOut":4,"units":1'
    expect(parseLine('{"s":{"v":1,"at":7,"after":null}}')).toEqual({ kind: 'segment', at: 7, after: undefined })
    expect(parseLine(`{"b":{"id":"id","at":7,${named}}}`)).toEqual({ kind: 'begin', call })
    expect(parseLine(`{"c":{"id":"id","at":7,${named}}}`)).toEqual({ kind: 'carried', call })
    expect(parseLine(`{"e":{"id":"id","at":7,${named},${figures}}}`)).toEqual({
      kind: 'end',
      call: { ...call, outcome: 'ok', status: 200, ms: 2, waitMs: 0, bytesIn: 3, bytesOut: 4, units: 1 },
    })
  })

  test('that are more than a call’s begin and end are read as they were written', () => {
    const prior = { segment: 'x.ndjson', offset: 8, hash: 'f' }
    const trace = '0123456789abcdef0123456789abcdef'
    const told = namesText(ann, getPet, 'search') + contextText({ snapshot: 3, trace })
    const end = { outcome: 'ok', ms: 1, waitMs: 1, bytesIn: 3, bytesOut: 4, units: 0 } as const
    expect(parseLine(segmentLine(7, undefined, prior))).toEqual({ kind: 'segment', at: 7, after: undefined, prior })
    const event = { ...call, meter: 'search', snapshot: 3, trace, ...end }
    expect(parseLine(endLine('id', 7, told, end))).toEqual({ kind: 'end', call: event })
    expect(parseLine(againLine(endLine('id', 7, told, end)))).toEqual({ kind: 'end', call: event, again: true })
    expect(parseLine(sealLine('ab', 'tags', false))).toEqual({ kind: 'seal', hash: 'ab', last: false })
    expect(parseLine(sealLine('ab', 'tags', true))).toEqual({ kind: 'seal', hash: 'ab', last: true })
  })

  test('names of any characters stay one line and come back', () => {
    const name = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(fc.tuple(name, name, name, name, name), ([tenant, subject, client, target, tool]) => {
        const text = beginLine('id', 7, namesText({ ...ann, tenant, subject, client }, { name: tool, target }))
        expect(text.indexOf('\n')).toBe(text.length - 1)
        expect(parseLine(Buffer.from(text).toString())).toMatchObject({
          call: { tenant, subject, client, target, tool },
        })
      }),
    )
  })

  test('figures that are no counts become the nearest count, and the line keeps its bound', () => {
    const huge = Number.MAX_VALUE
    const told = names + contextText({ snapshot: huge, trace: 'f'.repeat(32) })
    const line = endLine('0'.repeat(36), Number.MAX_SAFE_INTEGER, told, {
      ...{ outcome: 'invalid_arguments', status: huge, ms: huge, bytesIn: Number.POSITIVE_INFINITY, bytesOut: huge },
      waitMs: huge,
    })
    expect(parseLine(line)).toBeUndefined() // no calendar reaches that far
    expect(line.length - names.length).toBeLessThanOrEqual(lineOverheadBytes)
    expect(lineOverheadBytes).toBeLessThan(limits.spoolLineBytes)
    const odd = endLine('id', 7, names, { outcome: 'ok', ms: Number.NaN, bytesIn: -1, bytesOut: 0.4 })
    expect(parseLine(odd)).toMatchObject({ call: { ms: 0, bytesIn: 0, bytesOut: 0 } })
  })

  const whole = endLine('id', 7, names, { outcome: 'ok', status: 200, ms: 1, bytesIn: 3, bytesOut: 4 }).trim()
  test.each([
    '',
    'null',
    '7',
    '"e"',
    '[]',
    '{}',
    '{"e":null}',
    '{"s":{"v":2}}',
    '\u0000\u0000\u0000',
    whole.replace('"ok"', '"constructor"'),
    whole.replace('"at":7', '"at":-7'),
    whole.replace('"at":7', '"at":8640000000000001'),
    whole.replace('"units":1', '"units":1.5'),
    whole.replace('"units":1', '"units":"1"'),
    whole.replace('"status":200', '"status":"200"'),
    whole.replace('"tenant":"local"', '"tenant":null'),
    whole.replace('"tool":"pets___get",', ''),
    whole.replace('"id":"id",', ''),
  ])('%j is not a line', (text) => {
    expect(parseLine(text)).toBeUndefined()
  })

  test('no part of a line is a line', () => {
    for (let length = 0; length < whole.length; length += 1) expect(parseLine(whole.slice(0, length))).toBeUndefined()
    expect(parseLine(whole)).toBeDefined()
  })
})
