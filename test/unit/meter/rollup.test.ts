/** Roll-up: every line once, torn tails tolerated, segments kept until they are accounted for. */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { wholeSegment } from '../../../src/meter/events.ts'
import { createIds } from '../../../src/meter/id.ts'
import { againLine, beginLine, carriedLine, endLine, namesText, segmentLine } from '../../../src/meter/line.ts'
import { ownMachine } from '../../../src/meter/machine.ts'
import { createMeter, type Meter } from '../../../src/meter/meter.ts'
import { type RollUpOptions, rollUp } from '../../../src/meter/rollup.ts'
import { systemDisk } from '../../../src/meter/spool.ts'
import { percentile } from '../../../src/store/latency.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store } from '../../../src/store/store.ts'
import { ann, begun, calls, faultyDisk, fine, getPet, idsOf, linesIn, manualClock, segmentsIn } from './parts.ts'

let parent = ''
let dir = ''
let store: Store
const clock = manualClock()
const start = clock.now()
beforeEach(() => {
  clock.set(start)
  parent = mkdtempSync(join(tmpdir(), 'rollup-'))
  dir = join(parent, 'usage')
  mkdirSync(dir)
  store = openSqliteStore(join(parent, 'toolgate.db'))
})
afterEach(async () => {
  await store.close()
  rmSync(parent, { recursive: true, force: true })
})

const roll = (over: Store = store, more: Partial<RollUpOptions> = {}) =>
  rollUp({ dir, store: over, clock, retentionDays: 30, ...more })
const meterHere = (): Meter => createMeter({ dir, durability: 'async', clock, onFault: () => undefined })
const counts = async () => {
  const rows = await store.usage({ from: 0, to: 8.64e15, by: ['outcome'], rows: 100 })
  return Object.fromEntries(rows.map((row) => [row.outcome, [row.events, row.units]]))
}

/** A process number that is nobody’s: above every pid_max. */
const nobody = 4_194_305 + 1
const nextId = createIds(clock)
const names = namesText(ann, getPet)
const begin = (id: string, at = start) => beginLine(id, at, names)
const end = (id: string, at = start) => endLine(id, at, names, { ...fine, ms: 3 })
/** Writes a segment as a process `pid` would have left it. */
const leave = (text: string, pid = nobody, name = `${nextId()}-${pid}.ndjson`) => {
  writeFileSync(join(dir, name), text)
  return name
}

describe('roll-up', () => {
  test('an empty or absent directory is nothing', async () => {
    expect(await roll()).toEqual({ events: 0, torn: 0 })
    rmSync(dir, { recursive: true })
    expect(await roll()).toEqual({ events: 0, torn: 0 })
  })

  test('a live segment is added as it grows, each line once', async () => {
    const meter = meterHere()
    for (const count of [1, 0, 3]) {
      await calls(meter, count)
      expect(await roll()).toEqual({ events: count, torn: 0 })
    }
    expect(await counts()).toEqual({ ok: [4, 4] })
    await meter.close()
  })

  test('the torn tail of a live segment waits until it is whole', async () => {
    const whole = begin('a') + end('a')
    const name = leave(whole + end('b').slice(0, 50), process.pid)
    expect(await roll()).toEqual({ events: 1, torn: 0 })
    appendFileSync(join(dir, name), end('b').slice(50))
    expect(await roll()).toEqual({ events: 1, torn: 0 })
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test.each([1, 60, 'all but the newline'] as const)(
    'a dead process’s tail torn after %s is warned of once',
    async (at) => {
      const tail = end('b').slice(0, at === 'all but the newline' ? -1 : at)
      leave(segmentLine(start, undefined) + begin('a') + end('a') + begin('b') + tail)
      expect(await roll()).toEqual({ events: 1, torn: 1 })
      expect(await roll()).toEqual({ events: 0, torn: 0 })
      expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
    },
  )

  test('garbage between lines is warned of and passed over', async () => {
    leave(`${begin('a')}\u0000\u0000\n{"e":{}}\n\n${end('a')}`)
    expect(await roll()).toEqual({ events: 1, torn: 3 })
  })

  test('garbage longer than a batch, without a newline, does not stop what follows', async () => {
    leave(`${'x'.repeat(2 * limits.rollupBatchBytes + 10)}\n${begin('a')}${end('a')}`)
    const { events, torn } = await roll()
    expect({ events, torn: torn > 0 }).toEqual({ events: 1, torn: true })
  })

  test('a segment of several batches is added whole', async () => {
    const long = namesText({ ...ann, subject: 's'.repeat(3_000) }, getPet)
    const one = Array.from({ length: 3_000 }, (_, at) => endLine(`${at}`, start, long, { ...fine, ms: 1 })).join('')
    expect(one.length).toBeGreaterThan(2 * limits.rollupBatchBytes)
    leave(one)
    expect(await roll()).toEqual({ events: 3_000, torn: 0 })
    expect(await roll()).toEqual({ events: 0, torn: 0 })
    expect(await counts()).toEqual({ ok: [3_000, 3_000] })
  })

  test('calls without an end are unknown and cost nothing, once, when their process is gone', async () => {
    leave(begin('a') + begin('b') + end('b'))
    await roll()
    await roll()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
  })

  test('calls under way in a live process are not unknown', async () => {
    leave(begin('a'), process.pid)
    await roll()
    expect(await counts()).toEqual({})
  })

  test('a call that its process carried into the next segment is counted there', async () => {
    const first = leave(begin('a') + begin('lost'), process.pid)
    leave(segmentLine(start, first) + carriedLine(begin('a')) + end('a'), process.pid)
    await roll()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
  })

  test('a segment of an earlier process with the same number, in between by its name, hides nothing', async () => {
    const first = leave(begin('a'), process.pid)
    leave(segmentLine(start, undefined) + begin('other'), process.pid)
    leave(segmentLine(start, first) + carriedLine(begin('a')) + end('a'), process.pid)
    await roll()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
  })

  test('what a process wrote between the listing and its death counts', async () => {
    const [first, second] = [leave(''), leave(begin('a'))]
    await roll({ ...store, addUsage: async (...all) => !all[4] && store.addUsage(...all) })
    const late: Store = {
      ...store,
      usageMark: async (name) => {
        if (name === first) appendFileSync(join(dir, second), end('a'))
        return store.usageMark(name)
      },
    }
    expect(await roll(late)).toEqual({ events: 1, torn: 0 })
    expect(await counts()).toEqual({ ok: [1, 1] })
  })

  test('a later process with the same number (as in a container) takes over no call', async () => {
    leave(begin('a'), process.pid)
    const meter = meterHere()
    const entry = await meter.begin(ann, getPet)
    await roll()
    expect(await counts()).toEqual({ unknown: [1, 0] })
    await entry.end(fine)
    await roll()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
    await meter.close()
  })

  test('a process taken for dead that writes on has its calls counted all the same', async () => {
    const name = leave(begin('a') + end('a'))
    await roll()
    expect(await store.usageMark(name)).toMatchObject({ closed: true })
    appendFileSync(join(dir, name), begin('b') + end('b'))
    expect(await roll()).toEqual({ events: 1, torn: 0 })
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test('a segment unwritten for a day is finished, whoever has its number now', async () => {
    const name = leave(begin('a'), process.pid)
    utimesSync(join(dir, name), start / 1000, start / 1000 - limits.spoolStaleMs / 1000 - 1)
    await roll()
    expect(await counts()).toEqual({ unknown: [1, 0] })
  })

  test('a segment of another machine or container is live while its time is new, whatever its number is here', async () => {
    const theirs = leave(begin('a'), nobody, `${nextId()}-0badcafe-1.ndjson`)
    const restarted = leave(begin('b'), nobody, `${nextId()}-0badcafe-2.ndjson`)
    leave(segmentLine(start, undefined), nobody, `${nextId()}-0badcafe-2.ndjson`)
    leave(segmentLine(start, undefined), nobody, `${nextId()}-${ownMachine}-1.ndjson`)
    await roll()
    expect(await store.usageMark(theirs)).toMatchObject({ closed: false })
    expect(await store.usageMark(restarted)).toMatchObject({ closed: true })
    utimesSync(join(dir, theirs), start / 1000, (start - limits.spoolSilentMs) / 1000 - 1)
    await roll()
    expect(await store.usageMark(theirs)).toMatchObject({ closed: true })
    expect(await counts()).toEqual({ unknown: [2, 0] })
  })

  test('a segment is removed after its retention, and only when all of it is in the store', async () => {
    const name = leave(begin('a') + end('a'))
    const other = leave(begin('b') + end('b'))
    for (const file of [name, other]) utimesSync(join(dir, file), start / 1000, start / 1000)
    const failing: Store = { ...store, addUsage: async (...all) => all[0] === name && store.addUsage(...all) }
    await roll(failing)
    clock.set(start + 29 * 86_400_000)
    await roll(failing)
    expect(segmentsIn(dir)).toEqual([name, other])
    clock.set(start + 31 * 86_400_000)
    await roll(failing)
    expect(segmentsIn(dir)).toEqual([other])
    await roll()
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test('a segment that could not be closed is not removed', async () => {
    const name = leave(begin('a'))
    utimesSync(join(dir, name), start / 1000, start / 1000 - 31 * 86_400)
    await roll({ ...store, addUsage: async (...all) => !all[4] && store.addUsage(...all) })
    expect(segmentsIn(dir)).toEqual([name])
  })

  test('unfinished heads of dead processes are cleared away, and strangers’ files are left alone', async () => {
    const name = `${nextId()}-${nobody}.ndjson`
    leave('{"s":', nobody, `${name}.tmp`)
    leave('{"s":', process.pid, `${nextId()}-${process.pid}.ndjson.tmp`)
    leave('notes', nobody, 'README')
    leave(end('a'), nobody, 'not-an-id-7.ndjson')
    expect(await roll()).toEqual({ events: 0, torn: 0 })
    expect(segmentsIn(dir)).toHaveLength(3)
  })

  test('several roll-ups at once, over one database, count each line once', async () => {
    leave(Array.from({ length: 500 }, (_, at) => begin(`${at}`) + end(`${at}`)).join(''))
    leave(begin('open'))
    const stores = Array.from({ length: 4 }, () => openSqliteStore(join(parent, 'toolgate.db')))
    const added = await Promise.all(stores.map((one) => roll(one)))
    expect(added.reduce((sum, { events }) => sum + events, 0)).toBe(500)
    expect(await counts()).toEqual({ ok: [500, 500], unknown: [1, 0] })
    await Promise.all(stores.map((one) => one.close()))
  })

  test('a store that fails now and then is asked again, and nothing is lost or doubled (C06)', async () => {
    let asked = 0
    const flaky: Store = {
      ...store,
      addUsage: async (...all) => {
        asked += 1
        if (asked % 3 === 1) throw new Error('away')
        const added = await store.addUsage(...all)
        // the answer of a commit that was made is lost on the way
        if (asked % 3 === 2) throw new Error('gone')
        return added
      },
    }
    for (let segment = 0; segment < 5; segment += 1)
      leave(begin(`${segment}`) + end(`${segment}`) + begin(`open ${segment}`))
    for (let attempt = 0; attempt < 40; attempt += 1) await roll(flaky).catch(() => undefined)
    expect(await counts()).toEqual({ ok: [5, 5], unknown: [5, 0] })
  })

  test('a power cut leaves the fsynced prefix, of which every whole line counts (C03)', async () => {
    const meter = meterHere()
    await calls(meter, 20)
    const [live = ''] = segmentsIn(dir)
    const bytes = readFileSync(join(dir, live))
    const kept = join(parent, 'kept')
    copyFileSync(join(dir, live), kept)
    await meter.close()
    rmSync(join(dir, live))
    for (let size = 0; size <= bytes.length; size += 97) {
      const name = `${nextId()}-${nobody}.ndjson`
      copyFileSync(kept, join(dir, name))
      truncateSync(join(dir, name), size)
      const whole = linesIn(dir).filter((line) => line !== 'torn' && line.kind === 'end').length
      const { events, torn } = await roll()
      expect({ size, events }).toEqual({ size, events: whole })
      expect(torn).toBeLessThanOrEqual(1)
      rmSync(join(dir, name))
    }
  })
})

describe('retention', () => {
  const day = 86_400_000
  const old = (name: string) => utimesSync(join(dir, name), start / 1000, start / 1000)
  const fill = (count: number, pid = nobody) =>
    Array.from({ length: count }, (_, at) => {
      const name = leave(segmentLine(start, undefined) + begin(`${at}`) + end(`${at}`), pid)
      old(name)
      return name
    })

  test('segments are put away compressed where that is asked for, whole, and remembered', async () => {
    const archiveDir = join(parent, 'archive')
    const [name = ''] = fill(1)
    const bytes = readFileSync(join(dir, name))
    clock.set(start + 31 * day)
    await roll(store, { archiveDir })
    await roll(store, { archiveDir })
    expect(segmentsIn(dir)).toEqual([])
    expect(readdirSync(archiveDir)).toEqual([`${name}.gz`])
    expect(gunzipSync(readFileSync(join(archiveDir, `${name}.gz`)))).toEqual(bytes)
    expect(await store.usageMark(name)).toMatchObject({ closed: true, gone: 'archived' })
    expect(await roll(store, { archiveDir })).toEqual({ events: 0, torn: 0 })
  })

  test('an archive that cannot be written keeps the segment, and holds up no other', async () => {
    writeFileSync(join(parent, 'archive'), 'a file where the directory should be')
    const names = fill(2)
    clock.set(start + 31 * day)
    await roll(store)
    for (const _ of names)
      await expect(roll(store, { archiveDir: join(parent, 'archive') })).rejects.toMatchObject({ code: 'internal' })
    expect(segmentsIn(dir)).toEqual(names)
    rmSync(join(parent, 'archive'))
    await roll(store, { archiveDir: join(parent, 'archive') })
    expect(segmentsIn(dir)).toEqual([])
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test('no segment goes that holds events which are still to be read', async () => {
    const [one = '', two = '', three = ''] = fill(3)
    clock.set(start + 31 * day)
    const holding = (segment: string, offset: number) => roll(store, { holdFrom: async () => ({ segment, offset }) })
    await holding('', 0)
    await holding('', 0)
    expect(segmentsIn(dir)).toEqual([one, two, three])
    await holding(two, 10)
    expect(segmentsIn(dir)).toEqual([two, three])
    await holding(two, wholeSegment)
    expect(segmentsIn(dir)).toEqual([three])
    await roll(store, { holdFrom: async () => undefined })
    expect(segmentsIn(dir)).toEqual([])
  })

  test('a segment that tells what became of the calls of one before it stays as long as that one', async () => {
    const first = leave(begin('a'))
    const second = leave(segmentLine(start, first) + carriedLine(begin('a')) + end('a'))
    for (const name of [first, second]) old(name)
    const failing: Store = { ...store, addUsage: async (...all) => all[0] !== first && store.addUsage(...all) }
    clock.set(start + 31 * day)
    await roll(failing)
    await roll(failing)
    expect(await store.usageMark(second)).toMatchObject({ closed: true })
    expect(segmentsIn(dir)).toEqual([first, second])
    for (let round = 0; round < 3; round += 1) await roll()
    expect(segmentsIn(dir)).toEqual([])
    expect(await counts()).toEqual({ ok: [1, 1] })
  })
})

describe('a line that is there twice', () => {
  test('within a batch counts once', async () => {
    leave(begin('a') + end('a') + begin('b') + end('a') + end('b'))
    await roll()
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test.each([
    ['has it', true],
    ['has it not', false],
  ])('because its first writing failed counts once when the segment before %s', async (_, there) => {
    const first = leave(begin('a') + (there ? end('a') : ''))
    leave(segmentLine(start, first) + carriedLine(begin('a')) + againLine(end('a')))
    await roll()
    expect(await counts()).toEqual({ ok: [1, 1] })
  })

  test('on a disk that takes lines and gives an error for them all the same', async () => {
    const disk = faultyDisk()
    const meter = createMeter({ dir, durability: 'async', clock, disk, onFault: () => undefined })
    const entries = await begun(meter, 3)
    let isFirst = true
    disk.write = (fd, text) => {
      const bytes = systemDisk.write(fd, text)
      if (!isFirst) return bytes
      isFirst = false
      throw new Error('EIO')
    }
    await Promise.all(entries.map((entry) => entry.end(fine)))
    await roll()
    expect(await counts()).toEqual({ ok: [3, 3] })
    await calls(meter, 1)
    await meter.close()
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(7)
    await roll()
    expect(await counts()).toEqual({ ok: [4, 4] })
  })
})

describe('figures', () => {
  test('are summed by client and meter, too, with the time spent waiting', async () => {
    const meter = meterHere()
    for (const client of ['editor', 'bot', 'bot']) {
      const entry = await meter.begin({ ...ann, client }, getPet, { snapshot: 3 })
      clock.pass(100)
      await entry.end({ ...fine, waitMs: 60 })
    }
    await meter.note(
      ann,
      { meter: 'search', name: '', target: '' },
      { outcome: 'ok', bytesIn: 1, bytesOut: 2, snapshot: 3 },
    )
    await roll()
    const everything = { from: 0, to: 8.64e15, rows: 10 }
    expect(await store.usage({ ...everything, by: ['meter', 'client'] })).toMatchObject([
      { meter: 'call', client: 'bot', events: 2, ms: 200, waitMs: 120 },
      { meter: 'call', client: 'editor', events: 1, ms: 100, waitMs: 60 },
      { meter: 'search', client: 'editor', events: 1, units: 1, bytesOut: 2 },
    ])
    const [row] = await store.latency({ ...everything, by: [] })
    expect([percentile(row?.buckets ?? [], 50), row?.buckets.reduce((sum, [, count]) => sum + count, 0)]).toEqual([
      101, 3,
    ])
    await meter.close()
  })

  test('of calls without an end follow the rule for what is billed', async () => {
    leave(begin('a'))
    await roll(store, { billed: new Set(['unknown'] as const) })
    expect(await counts()).toEqual({ unknown: [1, 1] })
  })
})
