/** Verifying the ledger: whatever is done to it is found, with its place, and what a crash leaves is no offence. */
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { firstHash, nextHash, sealLine, tagOfLine } from '../../../src/meter/chain.ts'
import { createMeter } from '../../../src/meter/meter.ts'
import { rollUp } from '../../../src/meter/rollup.ts'
import { verifyLedger } from '../../../src/meter/verify.ts'
import { headOf } from '../../../src/store/link.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store } from '../../../src/store/store.ts'
import { ann, begun, calls, fine, getPet, manualClock, type ManualClock, segmentsIn } from './parts.ts'

let parent = ''
let dir = ''
let store: Store
let clock: ManualClock
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'verify-'))
  dir = join(parent, 'usage')
  store = openSqliteStore(join(parent, 'toolgate.db'))
  clock = manualClock()
})
afterEach(async () => {
  await store.close()
  rmSync(parent, { recursive: true, force: true })
})

const meterHere = () => createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
const roll = (more = {}) => rollUp({ dir, store, clock, retentionDays: 30, ...more })
const verify = (head?: string) => verifyLedger({ dir, store, clock, head })
const read = (name = '') => readFileSync(join(dir, name), 'utf8')
const write = (name: string | undefined, text: string) => writeFileSync(join(dir, name ?? ''), text)
const kinds = async (head?: string) => (await verify(head)).faults.map(({ kind }) => kind)

/** Three segments: the first two of several groups, the second with a call that the third takes over, the last live. */
const fill = async () => {
  const meter = meterHere()
  for (let group = 0; group < 4; group += 1) {
    await calls(meter, 3)
    clock.pass(limits.spoolSyncMs)
  }
  clock.live(limits.spoolAgeMs)
  const [open] = await begun(meter, 1)
  await calls(meter, 2)
  clock.pass(limits.spoolSyncMs)
  clock.live(limits.spoolAgeMs)
  await open?.end(fine)
  await calls(meter, 1)
  clock.pass(limits.spoolSyncMs)
  return meter
}

/** The lines of the first segment, as `change` leaves them. */
const change = (edit: (lines: string[]) => string[]) => {
  const [first] = segmentsIn(dir)
  const lines = read(first).split(/(?<=\n)/)
  write(first, edit(lines).join(''))
}

/** Writes a segment anew, seals and all, as somebody who knows how would. */
const sealAnew = (name: string, edit: (line: string) => string) => {
  let hash = firstHash(name)
  let lines: string[] = []
  const made: string[] = []
  for (const line of read(name).split(/(?<=\n)/)) {
    if (!line.startsWith('{"h"')) {
      lines.push(edit(line))
      continue
    }
    const last = line.includes('"end":true')
    hash = nextHash(hash, lines.join(''), last)
    made.push(...lines, sealLine(hash, lines.map(tagOfLine).join(''), last))
    lines = []
  }
  write(name, made.join(''))
  return hash
}

const database = () => new DatabaseSync(join(parent, 'toolgate.db'))

describe('a ledger that nobody touched', () => {
  test('is right, before and after the roll-up, while it is written and when it is closed', async () => {
    expect(await verify()).toMatchObject({ ok: true, segments: 0, events: 0, head: '0'.repeat(64), faults: [] })
    const meter = await fill()
    expect(await verify()).toMatchObject({ ok: true, segments: 3, events: 16, faults: [] })
    await roll()
    const { head, ...report } = await verify()
    expect(report).toEqual({ ok: true, segments: 3, events: 16, faults: [] })
    await meter.close()
    await roll()
    expect(await verify(head)).toMatchObject({ ok: true, segments: 3, events: 16 })
  })

  test('has a head that stays the same while nothing is added, and leads to every later one', async () => {
    const meter = await fill()
    await roll()
    const heads = [(await verify()).head]
    expect((await verify()).head).toBe(heads[0])
    for (let hour = 0; hour < 3; hour += 1) {
      await calls(meter, 2)
      clock.live(limits.spoolAgeMs)
      await roll()
      heads.push((await verify()).head)
    }
    expect(new Set(heads).size).toBe(4)
    for (const head of heads) expect(await kinds(head)).toEqual([])
    expect(await kinds('f'.repeat(64))).toEqual(['head_unknown'])
    await meter.close()
  })

  test('chains each segment to the one before it, of another process, too', async () => {
    const one = await fill()
    const other = meterHere()
    const names = segmentsIn(dir)
    const priors = names.map((name) => JSON.parse(read(name).split('\n')[0] ?? '').s.prior?.segment)
    expect(priors).toEqual([undefined, ...names.slice(0, -1)])
    await one.close()
    await other.close()
    await roll()
    expect(await verify()).toMatchObject({ ok: true, segments: 4 })
  })

  test('is right at every moment, while others write, roll up and clear away', async () => {
    const meter = meterHere()
    const writing = { busy: true }
    const write = async () => {
      for (let round = 0; round < 60; round += 1) {
        await calls(meter, 2)
        clock.live(round % 9 === 0 ? limits.spoolAgeMs : limits.spoolSyncMs)
      }
      writing.busy = false
    }
    const rollOn = async () => {
      for (let round = 0; writing.busy; round += 1) {
        await rollUp({ dir, store, clock, retentionDays: round % 10 === 9 ? -1_000 : 30 })
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const found: unknown[] = []
    const look = async () => {
      while (writing.busy) {
        found.push(...(await verify()).faults)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    await Promise.all([write(), rollOn(), look()])
    expect(found).toEqual([])
    await meter.close()
  })

  test('with the torn end of a process that was killed is right, and tells of it', async () => {
    const meter = await fill()
    const [, , last = ''] = segmentsIn(dir)
    appendFileSync(join(dir, last), '{"b":{"id":"0')
    utimesSync(join(dir, last), 0, (clock.now() - limits.spoolStaleMs) / 1000 - 1)
    await roll()
    const report = await verify()
    const lines = read(last).split('\n')
    expect(report).toMatchObject({ ok: true, faults: [{ kind: 'torn', segment: last, line: lines.length }] })
    await meter.close()
  })

  test('of a former version, without seals, is right when the database knows it', async () => {
    const meter = await fill()
    const names = segmentsIn(dir)
    for (const name of names)
      write(
        name,
        read(name)
          .replaceAll(/^\{"h".*\n/gm, '')
          .replaceAll(/,"prior":\{[^}]*\}/g, ''),
      )
    await roll()
    expect(await verify()).toMatchObject({ ok: true, segments: 3, events: 16 })
    write(names[0], read(names[0]).replace('"bytesIn":10', '"bytesIn":11'))
    expect(await kinds()).toEqual(['rewritten'])
    await meter.close()
  })

  test('whose segments have reached the end of their retention is right', async () => {
    const meter = await fill()
    await meter.close()
    await roll()
    const { head } = await verify()
    for (const name of segmentsIn(dir)) utimesSync(join(dir, name), 0, (clock.now() - 31 * 86_400_000) / 1000)
    await roll()
    expect(segmentsIn(dir)).toEqual([])
    expect(await verify(head)).toEqual({ ok: true, segments: 0, events: 0, head, faults: [] })
  })
})

describe('what was done to a segment', () => {
  // lines of the first segment: 1 head, 2 seal, then groups of 6 lines and a seal: 3 to 8 and 9, 10 to 15 and 16, …
  test.each<[string, (lines: string[]) => string[], object]>([
    [
      'a figure, in one of a group’s lines',
      (lines) => lines.with(12, lines[12]?.replace('"bytesIn":10', '"bytesIn":11') ?? ''),
      { kind: 'altered', line: 10, words: 'A line from 10 to 15 was altered.' },
    ],
    [
      'a figure of other length',
      (lines) => lines.with(12, lines[12]?.replace('"bytesIn":10', '"bytesIn":9') ?? ''),
      { kind: 'altered', line: 13, words: 'Line 13 was altered.' },
    ],
    [
      'a byte that makes it no line',
      (lines) => lines.with(14, lines[14]?.replace('"units"', '"unitz"') ?? ''),
      { kind: 'altered', line: 15 },
    ],
    [
      'a line taken out',
      (lines) => lines.toSpliced(13, 1),
      { kind: 'removed', line: 14, words: 'A line before line 14 was removed.' },
    ],
    ['the first line of a group taken out', (lines) => lines.toSpliced(9, 1), { kind: 'removed', line: 10 }],
    ['the head taken out', (lines) => lines.slice(1), { kind: 'removed', line: 1 }],
    [
      'a line put in',
      (lines) => lines.toSpliced(13, 0, lines[20] ?? ''),
      { kind: 'inserted', line: 14, words: 'Line 14 was inserted.' },
    ],
    ['a line twice', (lines) => lines.toSpliced(13, 0, lines[13] ?? ''), { kind: 'inserted' }],
    [
      'two lines that changed places',
      (lines) => lines.with(12, lines[13] ?? '').with(13, lines[12] ?? ''),
      { kind: 'swapped', line: 13, words: 'A line from 13 to 14 changed places.' },
    ],
    [
      'a seal taken out',
      (lines) => lines.toSpliced(15, 1),
      { kind: 'removed', line: 16, words: 'A seal before line 16 was removed.' },
    ],
    [
      'a seal’s list',
      (lines) => lines.with(15, lines[15]?.replace(/"l":"..../, '"l":"ffff') ?? ''),
      { kind: 'altered', line: 16 },
    ],
    [
      'a seal’s hash',
      (lines) => lines.with(15, lines[15]?.replace(/"h":"../, '"h":"zz') ?? ''),
      { kind: 'altered', line: 16 },
    ],
    [
      'the last seal said not to be the last',
      (lines) => lines.with(-1, lines.at(-1)?.replace(',"end":true', '') ?? ''),
      {},
    ],
    [
      'a line put behind the end',
      (lines) => [...lines, lines[3] ?? ''],
      { kind: 'inserted', words: 'A line was inserted behind the segment’s end.' },
    ],
    ['its end taken off', (lines) => lines.slice(0, 16), { kind: 'cut_off', line: 17 }],
    ['all of it taken out', () => [], { kind: 'cut_off', line: 1 }],
  ])('is told: %s', async (_, edit, expected) => {
    const meter = await fill()
    await roll()
    change(edit)
    const { ok, faults } = await verify()
    const [segment = ''] = segmentsIn(dir)
    expect(ok).toBe(false)
    expect(faults[0]).toMatchObject({ segment, ...expected })
    const { line = 0, offset } = { line: undefined, ...faults[0] }
    const lines = read(segment).split(/(?<=\n)/)
    if (line > 0) expect(offset).toBe(lines.slice(0, line - 1).join('').length)
    // and is still told after the next roll-up
    await roll()
    expect((await verify()).ok).toBe(false)
    await meter.close()
  })

  test('is told wherever one byte was changed', async () => {
    const meter = await fill()
    await meter.close()
    await roll()
    const names = segmentsIn(dir)
    for (const name of names) {
      const bytes = readFileSync(join(dir, name))
      for (let at = 0; at < bytes.length; at += 23) {
        const changed = Buffer.from(bytes)
        changed[at] = (bytes[at] ?? 0) ^ 1
        writeFileSync(join(dir, name), changed)
        expect({ name, at, ok: (await verify()).ok }).toEqual({ name, at, ok: false })
      }
      writeFileSync(join(dir, name), bytes)
    }
    expect(await kinds()).toEqual([])
  })

  test('in two groups is told twice', async () => {
    const meter = await fill()
    await roll()
    change((lines) => lines.toSpliced(20, 1).toSpliced(4, 1))
    expect((await verify()).faults).toMatchObject([
      { kind: 'removed', line: 5 },
      { kind: 'removed', line: 20 },
    ])
    await meter.close()
  })

  test('is told when it was cut off in the middle of a line, or behind its last seal', async () => {
    const meter = await fill()
    await calls(meter, 2)
    await roll()
    const [, , last = ''] = segmentsIn(dir)
    const size = read(last).length
    for (const less of [5, 400]) {
      truncateSync(join(dir, last), size - less)
      expect(await kinds()).toEqual(['cut_off'])
    }
    await meter.close()
  })
})

describe('what was done to segments', () => {
  test('one that is missing is told, though its neighbours are right', async () => {
    const meter = await fill()
    const names = segmentsIn(dir)
    await roll()
    for (const name of names) {
      const text = read(name)
      rmSync(join(dir, name))
      expect((await verify()).faults).toMatchObject([{ kind: 'segment_removed', segment: name }])
      write(name, text)
    }
    await meter.close()
  })

  test('one that is missing before the database knew it is told by the one behind it', async () => {
    const meter = await fill()
    const [, second = '', third = ''] = segmentsIn(dir)
    rmSync(join(dir, second))
    expect((await verify()).faults).toMatchObject([
      { kind: 'segment_removed', segment: second, words: `It is missing; ${third} followed it.` },
    ])
    await meter.close()
  })

  test('two that changed places are told', async () => {
    const meter = await fill()
    await roll()
    const [first = '', second = ''] = segmentsIn(dir)
    renameSync(join(dir, first), join(dir, 'kept'))
    renameSync(join(dir, second), join(dir, first))
    renameSync(join(dir, 'kept'), join(dir, second))
    const { faults } = await verify()
    expect(faults.filter(({ kind }) => kind === 'swapped').map(({ segment }) => segment)).toEqual([first, second])
    await meter.close()
  })

  test('one that was written anew, with right seals, does not fit what is known of it', async () => {
    const meter = await fill()
    const [first = '', second = ''] = segmentsIn(dir)
    sealAnew(first, (line) => line.replace('"bytesOut":20', '"bytesOut":21'))
    // the segment behind it knew its hash, whether the database did or not
    expect((await verify()).faults).toMatchObject([
      { kind: 'rewritten', segment: first, words: `Up to here it was something else, segment ${second} says.` },
    ])
    await meter.close()
  })

  test('one that was written anew, and the database with it, does not lead to a head kept elsewhere', async () => {
    const meter = await fill()
    await meter.close()
    await roll()
    const { head } = await verify()
    const last = segmentsIn(dir).at(-1) ?? ''
    const hash = sealAnew(last, (line) => line.replace('"bytesOut":20', '"bytesOut":21'))
    const raw = database()
    raw.prepare('UPDATE usage_segment SET sealed = ?, hash = ? WHERE segment = ?').run(hash, hash, last)
    expect(await kinds(head)).toEqual(['rewritten'])
    raw.prepare('UPDATE usage_link SET hash = ? WHERE segment = ?').run(hash, last)
    expect(await kinds(head)).toContain('chain_altered')
    // all links made anew, as somebody would who knows how
    let before = '0'.repeat(64)
    for (const { number, ...link } of await store.links(0, 100)) {
      before = headOf(before, link)
      raw.prepare('UPDATE usage_link SET head = ? WHERE number = ?').run(before, number)
    }
    raw.close()
    expect(await kinds()).toEqual([])
    expect(await kinds(head)).toEqual(['head_unknown'])
  })

  test('links that were cut off at the end of the chain are told', async () => {
    const meter = await fill()
    await meter.close()
    await roll()
    const raw = database()
    raw.exec('DELETE FROM usage_link WHERE number = (SELECT max(number) FROM usage_link)')
    expect(await kinds()).toEqual(['chain_altered'])
    raw.exec('DELETE FROM usage_link')
    raw.close()
    expect(new Set(await kinds())).toEqual(new Set(['chain_altered']))
  })

  test('a link that was taken out is told', async () => {
    const meter = await fill()
    await meter.close()
    await roll()
    const raw = database()
    raw.exec('DELETE FROM usage_link WHERE number = 2')
    raw.close()
    expect(await kinds()).toEqual(['chain_altered'])
  })
})

test('a group of lines that is larger than what is kept of it is checked all the same', async () => {
  const meter = meterHere()
  const big = { ...ann, subject: 's'.repeat(3_500) }
  await Promise.all(Array.from({ length: 1_400 }, () => meter.begin(big, getPet)))
  await meter.close()
  await roll()
  expect(await verify()).toMatchObject({ ok: true })
  change((lines) => lines.toSpliced(700, 1))
  expect((await verify()).faults[0]).toMatchObject({ kind: 'removed', line: 701 })
})
