/** The batch: the lines of one turn are one write, and of a write that the disk took in part every line is accounted for. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { createMeter, type Entry } from '../../../src/meter/meter.ts'
import { rollUp } from '../../../src/meter/rollup.ts'
import type { Durability, SpoolFault } from '../../../src/meter/spool.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import { ann, begun, call, faultyDisk, fine, getPet, idsOf, linesIn, manualClock, segmentsIn } from './parts.ts'

let parent = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'batch-'))
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

const setUp = (durability: Durability = 'group', name = 'usage') => {
  const dir = join(parent, name)
  const clock = manualClock()
  const disk = faultyDisk()
  const faults: SpoolFault[] = []
  const meter = createMeter({ dir, durability, clock, disk, onFault: (fault) => void faults.push(fault) })
  return { dir, clock, disk, faults, meter, kinds: () => faults.map((fault) => fault.kind) }
}

/** Two bytes a character here and there, so that a short write may end within one. */
const jürgen = { ...ann, subject: 'jürgen' }

/** Calls in the store by tool and outcome. Every call of a test that asks this has a tool of its own. */
const counted = async (dir: string): Promise<Record<string, number>> => {
  const store = openSqliteStore(join(parent, 'toolgate.db'))
  await rollUp({ dir, store, clock: manualClock(), retentionDays: 30 })
  const rows = await store.usage({ from: 0, to: 8.64e15, by: ['tool', 'outcome'], rows: 1_000 })
  await store.close()
  return Object.fromEntries(rows.map((row) => [`${row.tool} ${row.outcome}`, row.events]))
}

/** mulberry32: small, seeded, the same faults on every run. */
const random = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const codeOf = (settled: PromiseSettledResult<Entry>): string =>
  settled.status === 'fulfilled' ? 'begun' : String(Object(settled.reason).code)

/** How often each id has a line of the kind. */
const timesOf = (dir: string, kind: 'begin' | 'end'): Map<string, number> => {
  const times = new Map<string, number>()
  for (const id of idsOf(linesIn(dir), kind)) times.set(id, (times.get(id) ?? 0) + 1)
  return times
}

describe('one turn', () => {
  test('many begins and ends are one write, in the order in which they were asked for', async () => {
    const { dir, disk, meter } = setUp()
    const [one, two] = await begun(meter, 2)
    const before = disk.writes
    const [, three, , four] = await Promise.all([
      one?.end(fine),
      meter.begin(ann, getPet),
      two?.end(fine),
      meter.begin(ann, getPet),
    ])
    expect(disk.writes).toBe(before + 1)
    expect(linesIn(dir).slice(-4)).toMatchObject([
      { kind: 'end', call: { id: one?.id } },
      { kind: 'begin', call: { id: three.id } },
      { kind: 'end', call: { id: two?.id } },
      { kind: 'begin', call: { id: four.id } },
    ])
    await meter.close()
  })

  test('turns after one another are a write each, and a turn without lines is none', async () => {
    const { disk, meter } = setUp()
    const before = disk.writes
    await call(meter)
    expect(disk.writes).toBe(before + 2)
    await new Promise((resolve) => setImmediate(resolve))
    expect(disk.writes).toBe(before + 2)
    await meter.close()
    // the last seal
    expect(disk.writes).toBe(before + 3)
  })

  test('nothing has resolved before its line is on file', async () => {
    const { dir, meter } = setUp()
    const beginnings = Array.from({ length: 3 }, async () => {
      const entry = await meter.begin(ann, getPet)
      expect(idsOf(linesIn(dir), 'begin')).toContain(entry.id)
      await entry.end(fine)
      expect(idsOf(linesIn(dir), 'end')).toContain(entry.id)
    })
    expect(idsOf(linesIn(dir), 'begin')).toEqual([])
    await Promise.all(beginnings)
    await meter.close()
  })

  test('begins, ends and a new segment in one turn: the call is carried, then ended, once each', async () => {
    const { dir, clock, meter } = setUp()
    const entry = await meter.begin(ann, getPet)
    clock.pass(limits.spoolIdleMs + 1)
    const [other] = await Promise.all([meter.begin(ann, getPet), entry.end(fine)])
    const lines = linesIn(dir)
    expect(segmentsIn(dir)).toHaveLength(2)
    expect([idsOf(lines, 'carried'), idsOf(lines, 'begin'), idsOf(lines, 'end')]).toEqual([
      [entry.id],
      [entry.id, other.id],
      [entry.id],
    ])
    await meter.close()
  })
})

describe('a short write in the middle of a batch', () => {
  const toolOf = (name: string) => ({ ...getPet, name })

  /** Ends `a` and `c` and begins `b` and `d` in one turn, with room for `left` bytes; `open` is under way throughout. */
  const oneTurn = async (left: number | undefined, durability: Durability = 'group', name = 'usage') => {
    const all = setUp(durability, name)
    const { disk, meter } = all
    const [open, a, c] = await Promise.all(['open', 'a', 'c'].map((tool) => meter.begin(jürgen, toolOf(tool))))
    disk.left = left
    const before = disk.writes
    const [endOfA, b, endOfC, d] = await Promise.allSettled([
      a?.end(fine),
      meter.begin(jürgen, toolOf('b')),
      c?.end(fine),
      meter.begin(jürgen, toolOf('d')),
    ])
    expect([endOfA.status, endOfC.status, disk.writes - before]).toEqual(['fulfilled', 'fulfilled', 1])
    return { ...all, open, a, c, b, d }
  }

  /** The bytes of that turn’s four lines, from a disk that takes them all. */
  const wholeLines = async (): Promise<Buffer[]> => {
    const { dir, meter } = await oneTurn(undefined, 'async', 'measured')
    await meter.close()
    const [name = ''] = segmentsIn(dir)
    const texts = readFileSync(join(dir, name), 'utf8').split('\n').slice(-6, -2)
    return texts.map((text) => Buffer.from(`${text}\n`))
  }

  test('settles exactly the lines that were written whole; each is on file once, and counted once', async () => {
    const lines = await wholeLines()
    expect(lines).toHaveLength(4)
    let start = 0
    for (const [whole, line] of lines.entries()) {
      const inCharacter = line.indexOf(Buffer.from('ü')) + 1
      expect(inCharacter).toBeGreaterThan(1)
      for (const part of [0, 1, inCharacter, line.length - 1]) {
        const left = start + part
        const { dir, disk, faults, kinds, meter, open, a, c, b, d } = await oneTurn(left, 'group', `left ${left}`)
        const is = { left, whole, begins: [codeOf(b), codeOf(d)], ends: idsOf(linesIn(dir), 'end') }
        expect(is).toEqual({
          left,
          whole,
          begins: [whole > 1 ? 'begun' : 'not_recorded', 'not_recorded'],
          ends: [a?.id, c?.id].slice(0, whole > 2 ? 2 : Math.min(whole, 1)),
        })
        const waiting = 2 - is.ends.length
        expect(kinds()).toEqual(['write_failed', ...Array.from({ length: waiting }, () => 'end_waits')])
        expect(meter.healthy).toBe(false)
        // the store has seen the segment with its torn end before there is another
        const early = await counted(dir)
        expect(Object.keys(early)).toHaveLength(is.ends.length)

        disk.left = undefined
        const after = await meter.begin(jürgen, toolOf('after'))
        expect(faults.at(-1)).toEqual({ kind: 'recovered', ends: 0 })
        await after.end(fine)
        if (b.status === 'fulfilled') await b.value.end(fine)
        const ended = [a, c, after, ...(b.status === 'fulfilled' ? [b.value] : [])].map((entry) => entry?.id)
        const begins = [...ended, open?.id]
        expect(timesOf(dir, 'end')).toEqual(new Map(ended.map((id) => [id, 1])))
        expect(timesOf(dir, 'begin')).toEqual(new Map(begins.map((id) => [id, 1])))
        expect(linesIn(dir).filter((one) => one === 'torn')).toHaveLength(part === 0 ? 0 : 1)
        const once = { 'a ok': 1, 'c ok': 1, 'after ok': 1, ...(whole > 1 ? { 'b ok': 1 } : {}) }
        expect(await counted(dir)).toEqual(once)
        await open?.end(fine)
        await meter.close()
        expect(await counted(dir)).toEqual({ ...once, 'open ok': 1 })
        rmSync(join(parent, 'toolgate.db'))
      }
      start += line.length
    }
  })

  test('exactly enough room is no fault', async () => {
    const bytes = (await wholeLines()).reduce((sum, line) => sum + line.length, 0)
    const { disk, kinds, meter, b, d } = await oneTurn(bytes)
    expect([disk.left, codeOf(b), codeOf(d), kinds()]).toEqual([0, 'begun', 'begun', []])
    await meter.close()
  })

  test('sync: the ends that were written whole are fsynced before they resolve', async () => {
    const [first] = await wholeLines()
    const { disk, meter } = setUp('sync')
    const entries = await Promise.all(['a', 'c'].map((tool) => meter.begin(jürgen, toolOf(tool))))
    const before = disk.syncs
    disk.left = (first?.length ?? 0) + 20
    const seen = await Promise.all(entries.map((entry) => entry.end(fine).then(() => disk.syncs)))
    expect(seen).toEqual([before + 1, before + 1])
    await meter.close()
  })

  test('group: whole lines of a batch whose rest failed are fsynced in time, though no new segment has come', async () => {
    const [first] = await wholeLines()
    const { clock, disk, meter } = setUp('group')
    let synced = 0
    disk.syncLater = (_, done) => {
      synced += 1
      done(null)
    }
    const entries = await Promise.all(['a', 'c'].map((tool) => meter.begin(jürgen, toolOf(tool))))
    clock.pass(limits.spoolSyncMs)
    expect(synced).toBe(1)
    disk.left = (first?.length ?? 0) + 20
    await Promise.all(entries.map((entry) => entry.end(fine)))
    expect(meter.healthy).toBe(false)
    clock.pass(limits.spoolSyncMs)
    expect(synced).toBe(2)
    await meter.close()
  })

  test('faults of all sizes over many turns: what resolved is on file once, what was refused is not', async () => {
    const { dir, disk, meter } = setUp('async')
    const draw = random(7)
    const refused: unknown[] = []
    const begunIds = new Set<string>()
    const endedIds = new Set<string>()
    let open: Entry[] = []
    let last = 0
    for (let turn = 0; turn < 300; turn += 1) {
      disk.left = draw() < 0.4 ? undefined : Math.trunc(draw() * draw() * 6_000)
      const ending = open.filter(() => draw() < 0.5)
      open = open.filter((entry) => !ending.includes(entry))
      const beginning = Array.from({ length: Math.trunc(draw() * 8) }, () => {
        last += 1
        return meter.begin(jürgen, toolOf(`t${last}`))
      })
      const [begins] = await Promise.all([Promise.allSettled(beginning), ...ending.map((entry) => entry.end(fine))])
      for (const { id } of ending) endedIds.add(id)
      for (const one of begins) {
        if (one.status === 'rejected') refused.push(one.reason)
        else {
          begunIds.add(one.value.id)
          open.push(one.value)
        }
      }
      // each is on file once at most, at every moment
      expect(Math.max(0, ...timesOf(dir, 'end').values())).toBeLessThanOrEqual(1)
      if (turn % 50 === 0) await counted(dir)
    }
    disk.left = undefined
    await Promise.all(open.map((entry) => entry.end(fine)))
    for (const { id } of open) endedIds.add(id)
    await meter.close()
    expect(refused.length).toBeGreaterThan(50)
    expect(refused).toEqual(refused.map(() => expect.objectContaining({ code: 'not_recorded' })))
    expect(endedIds).toEqual(begunIds)
    expect(begunIds.size).toBeGreaterThan(100)
    expect(timesOf(dir, 'begin')).toEqual(new Map([...begunIds].toSorted().map((id) => [id, 1])))
    expect(timesOf(dir, 'end')).toEqual(new Map([...endedIds].map((id) => [id, 1])))
    const inStore = await counted(dir)
    expect(Object.keys(inStore)).toHaveLength(begunIds.size)
    expect(Object.entries(inStore).filter(([name, events]) => !name.endsWith(' ok') || events !== 1)).toEqual([])
  })
})

describe('closing in the turn of begins and ends', () => {
  test('writes them, at once', async () => {
    const { dir, disk, kinds, meter } = setUp()
    const entry = await meter.begin(ann, getPet)
    const before = disk.writes
    const [begins, ending] = [begun(meter, 2), entry.end(fine)]
    const closing = meter.close()
    // and the last seal
    expect(disk.writes).toBe(before + 2)
    const [begunThen] = await Promise.all([begins, ending, closing])
    expect(idsOf(linesIn(dir), 'begin')).toEqual([entry.id, ...begunThen.map(({ id }) => id)])
    expect(idsOf(linesIn(dir), 'end')).toEqual([entry.id])
    expect(kinds()).toEqual([])
    await expect(meter.begin(ann, getPet)).rejects.toMatchObject({ code: 'not_recorded' })
  })

  test('on a full disk refuses the begins and reports the ends', async () => {
    const { disk, faults, meter } = setUp()
    const entry = await meter.begin(ann, getPet)
    disk.left = 0
    const begins = Promise.allSettled([meter.begin(ann, getPet), meter.begin(ann, getPet)])
    const ending = entry.end(fine)
    await meter.close()
    await ending
    expect((await begins).map(codeOf)).toEqual(['not_recorded', 'not_recorded'])
    expect(faults.at(-1)).toMatchObject({ kind: 'ends_lost', ends: 1 })
  })

  test('after a short write puts what is left of the ends into a segment of their own', async () => {
    const { dir, disk, kinds, meter } = setUp()
    const entries = await begun(meter, 3)
    const write = disk.write.bind(disk)
    disk.write = (fd, text) => {
      disk.write = write
      return write(fd, text.slice(0, Math.trunc(text.length / 2)))
    }
    const endings = entries.map((entry) => entry.end(fine))
    await meter.close()
    await Promise.all(endings)
    expect(timesOf(dir, 'end')).toEqual(new Map(entries.map(({ id }) => [id, 1])))
    expect(kinds()).toEqual(['write_failed', 'end_waits', 'end_waits', 'recovered'])
  })
})
