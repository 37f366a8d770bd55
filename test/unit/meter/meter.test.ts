/** The meter on its spool: what is on file, when, and what happens when the disk does not take it. */
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { ownMachine } from '../../../src/meter/machine.ts'
import { createMeter } from '../../../src/meter/meter.ts'
import { type Durability, type SpoolFault, systemDisk } from '../../../src/meter/spool.ts'
import {
  ann,
  begun,
  call,
  calls,
  faultyDisk,
  fine,
  getPet,
  idsOf,
  linesIn,
  manualClock,
  segmentsIn,
  settle,
} from './parts.ts'

let parent = ''
let dir = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'meter-'))
  dir = join(parent, 'usage')
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

const setUp = (durability: Durability = 'group') => {
  const clock = manualClock()
  const disk = faultyDisk()
  const faults: SpoolFault[] = []
  const meter = createMeter({ dir, durability, clock, disk, onFault: (fault) => void faults.push(fault) })
  return { clock, disk, faults, meter, kinds: () => faults.map((fault) => fault.kind) }
}

const notRecorded = expect.objectContaining({ code: 'not_recorded', retry: true })

describe('recording', () => {
  test('a call is on file when it begins, and its end when end resolves', async () => {
    const { meter, clock, kinds } = setUp()
    const entry = await meter.begin(ann, getPet)
    expect(linesIn(dir).at(-1)).toEqual({
      kind: 'begin',
      call: {
        ...{ id: entry.id, at: clock.now(), tenant: 'local', subject: 'ann', client: 'editor' },
        ...{ target: 'pets', tool: 'pets___get', meter: 'call' },
      },
    })
    clock.pass(12)
    await entry.end(fine)
    expect(linesIn(dir).at(-1)).toMatchObject({
      kind: 'end',
      call: {
        id: entry.id,
        at: clock.now() - 12,
        outcome: 'ok',
        status: 200,
        ms: 12,
        bytesIn: 10,
        bytesOut: 20,
        units: 1,
      },
    })
    await meter.close()
    expect(kinds()).toEqual([])
  })

  test('a second end does nothing', async () => {
    const { meter } = setUp()
    const entry = await meter.begin(ann, getPet)
    await entry.end(fine)
    await entry.end({ ...fine, outcome: 'failed' })
    expect(idsOf(linesIn(dir), 'end')).toEqual([entry.id])
    await meter.close()
  })

  test.each([
    ['ok', 1],
    ['target_error', 1],
    ['input_required', 0],
    ['cancelled', 1],
    ['failed', 1],
    ['invalid_arguments', 0],
    ['unreached', 0],
  ] as const)('a call that ends as %s is %d units', async (outcome, units) => {
    const { meter } = setUp()
    await call(meter, ann, { outcome, bytesIn: 0, bytesOut: 0 })
    expect(linesIn(dir).at(-1)).toMatchObject({ call: { outcome, units } })
    await meter.close()
  })

  test('the files are for the owner only, and their names tell the process', async () => {
    const { meter } = setUp()
    expect(segmentsIn(dir)).toEqual([
      expect.stringMatching(new RegExp(`^[0-9a-f-]{36}-${ownMachine}-${process.pid}\\.ndjson$`)),
    ])
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, segmentsIn(dir)[0] ?? '')).mode & 0o777).toBe(0o600)
    await meter.close()
  })

  test('principals whose names run together differently are told apart', async () => {
    const { meter } = setUp()
    const pairs = [
      ['ab', 'c'],
      ['a', 'bc'],
      ['a,b', 'c'],
    ] as const
    for (const [tenant, subject] of pairs) await call(meter, { ...ann, tenant, subject })
    const seen = linesIn(dir).flatMap((line) => (line !== 'torn' && line.kind === 'end' ? [line.call] : []))
    expect(seen.map(({ tenant, subject }) => [tenant, subject])).toEqual(pairs)
    await meter.close()
  })

  test('more pairs of principal and tool than are remembered are recorded all the same', async () => {
    const { meter } = setUp('async')
    const subjects = Array.from({ length: limits.meterNames + 2 }, (_, at) => `user ${at}`)
    await Promise.all([...subjects, 'user 0'].map((subject) => call(meter, { ...ann, subject })))
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(limits.meterNames + 3)
    await meter.close()
  })

  test('names too long for a line are refused, never cut, and the meter stays healthy', async () => {
    const { meter } = setUp()
    const subject = 'x'.repeat(limits.spoolLineBytes)
    await expect(meter.begin({ ...ann, subject }, getPet)).rejects.toEqual(notRecorded)
    expect(meter.healthy).toBe(true)
    await call(meter)
    await meter.close()
  })

  test('more open calls than the bound are refused', async () => {
    const { meter } = setUp('async')
    const overloaded = expect.objectContaining({ code: 'overloaded' })
    const beginning = begun(meter, limits.spoolOpenCalls)
    // over the bound already while those before are on their way
    await expect(meter.begin(ann, getPet)).rejects.toEqual(overloaded)
    const entries = await beginning
    await expect(meter.begin(ann, getPet)).rejects.toEqual(overloaded)
    await entries[0]?.end(fine)
    await call(meter)
    // ends on their way take no places
    const ending = entries.slice(1, 11).map((entry) => entry.end(fine))
    const last = await meter.begin(ann, getPet)
    await Promise.all([...ending, last.end(fine)])
    await meter.close()
  })
})

describe('what is told of a call', () => {
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'

  test('snapshot, trace and the time spent waiting are in its lines', async () => {
    const { meter } = setUp()
    const entry = await meter.begin(ann, getPet, { snapshot: 12, trace })
    expect(linesIn(dir).at(-1)).toMatchObject({ kind: 'begin', call: { snapshot: 12, trace } })
    await entry.end({ ...fine, waitMs: 7.6 })
    expect(linesIn(dir).at(-1)).toMatchObject({ kind: 'end', call: { snapshot: 12, trace, waitMs: 8 } })
    await meter.close()
  })

  test.each(['', 'x'.repeat(32), `${trace}"`, trace.toUpperCase()])(
    'a trace id that is none, %j, is left out',
    async (odd) => {
      const { meter } = setUp()
      await meter.begin(ann, getPet, { snapshot: 1, trace: odd })
      const line = linesIn(dir).at(-1)
      expect(line).toMatchObject({ kind: 'begin', call: { snapshot: 1 } })
      expect(line).not.toHaveProperty('call.trace')
      await meter.close()
    },
  )

  test('what is billed is decided by a rule', async () => {
    const billed = new Set(['unreached'] as const)
    const meter = createMeter({ dir, durability: 'async', clock: manualClock(), onFault: () => undefined, billed })
    for (const [outcome, units] of [
      ['unreached', 1],
      ['ok', 0],
    ] as const) {
      await call(meter, ann, { ...fine, outcome })
      expect(linesIn(dir).at(-1)).toMatchObject({ call: { outcome, units } })
    }
    await meter.close()
  })
})

describe('a search or a listing', () => {
  const search = { meter: 'search', name: '', target: '' } as const
  const found = { outcome: 'ok', bytesIn: 1, bytesOut: 2, snapshot: 3 } as const

  test('is one line, on file when it resolves', async () => {
    const { meter, clock, disk } = setUp()
    const before = disk.writes
    await Promise.all([
      meter.note(ann, search, { ...found, ms: 4 }),
      meter.note(ann, { meter: 'list', name: '', target: 'pets' }, { ...found, outcome: 'failed' }),
    ])
    expect(disk.writes).toBe(before + 1)
    expect(linesIn(dir).slice(-2)).toMatchObject([
      { kind: 'end', call: { at: clock.now() - 4, meter: 'search', target: '', units: 1, ms: 4, snapshot: 3 } },
      { kind: 'end', call: { at: clock.now(), meter: 'list', target: 'pets', outcome: 'failed', ms: 0 } },
    ])
    await meter.close()
  })

  test('that cannot be recorded is refused, and on file when it is not', async () => {
    const { meter, disk } = setUp()
    disk.left = 0
    await expect(meter.note(ann, search, found)).rejects.toEqual(notRecorded)
    disk.left = undefined
    await meter.note(ann, search, found)
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(1)
    await meter.close()
    await expect(meter.note(ann, search, found)).rejects.toEqual(notRecorded)
  })

  test('sync: is fsynced before it resolves', async () => {
    const { meter, disk } = setUp('sync')
    const before = disk.syncs
    await meter.note(ann, search, found)
    expect(disk.syncs).toBe(before + 1)
    await meter.close()
  })
})

describe('seals', () => {
  const seals = () => linesIn(dir).filter((line) => line !== 'torn' && line.kind === 'seal')

  test.each(['group', 'async'] as const)('%s: one for all that was written in a window', async (durability) => {
    const { meter, clock } = setUp(durability)
    await calls(meter, 30)
    expect(seals()).toHaveLength(1)
    clock.pass(limits.spoolSyncMs)
    clock.pass(limits.spoolSyncMs)
    expect(seals()).toHaveLength(2)
    await meter.close()
    expect(seals().at(-1)).toMatchObject({ last: true })
  })

  test('sync: the answer’s lines are sealed in the same write', async () => {
    const { meter, disk } = setUp('sync')
    const entry = await meter.begin(ann, getPet)
    const before = disk.writes
    await entry.end(fine)
    expect([disk.writes - before, seals().length]).toEqual([1, 2])
    await meter.close()
  })

  test('one that cannot be written is a fault like any other', async () => {
    const { meter, clock, disk, kinds } = setUp()
    await call(meter)
    disk.left = 10
    clock.pass(limits.spoolSyncMs)
    expect([meter.healthy, kinds()]).toEqual([false, ['write_failed']])
    disk.left = undefined
    await call(meter)
    expect(kinds()).toEqual(['write_failed', 'recovered'])
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(2)
    await meter.close()
  })
})

describe('durability', () => {
  test('group: many calls within the window share one fsync, and an idle spool asks for none', async () => {
    const { meter, clock, disk } = setUp('group')
    const before = disk.syncs
    for (let count = 0; count < 100; count += 1) await call(meter)
    expect(disk.syncs).toBe(before)
    clock.pass(limits.spoolSyncMs)
    clock.pass(limits.spoolSyncMs)
    expect(disk.syncs).toBe(before + 1)
    await meter.close()
    // the last seal
    expect(disk.syncs).toBe(before + 2)
  })

  test('group: what was written while an fsync was under way gets its own', async () => {
    const { meter, clock, disk } = setUp('group')
    let finish = (): void => undefined
    const later = vi.fn<typeof systemDisk.syncLater>((_, done) => {
      finish = () => done(null)
    })
    disk.syncLater = later
    await call(meter)
    clock.pass(limits.spoolSyncMs)
    await call(meter)
    clock.pass(limits.spoolSyncMs)
    expect(later).toHaveBeenCalledTimes(1)
    finish()
    clock.pass(limits.spoolSyncMs)
    expect(later).toHaveBeenCalledTimes(2)
    finish()
    const closing = meter.close()
    finish()
    await closing
  })

  test('sync: every end is fsynced before it resolves, and the ends of one turn together', async () => {
    const { meter, disk } = setUp('sync')
    const before = disk.syncs
    for (let count = 0; count < 3; count += 1) await call(meter)
    expect(disk.syncs).toBe(before + 3)
    const entries = await begun(meter, 5)
    const seen = entries.map((entry) => entry.end(fine).then(() => disk.syncs))
    expect(await Promise.all(seen)).toEqual(entries.map(() => before + 4))
    await meter.close()
  })

  test('async: nothing is fsynced', async () => {
    const { meter, clock, disk } = setUp('async')
    await call(meter)
    clock.pass(limits.spoolSyncMs)
    await meter.close()
    expect(disk.syncs).toBe(0)
  })
})

describe('segments', () => {
  test('a full segment is replaced, and calls that are still open are carried into the next', async () => {
    const { meter } = setUp('async')
    const long = await meter.begin(ann, getPet)
    const line = { ...ann, subject: 's'.repeat(3_000) }
    let made = 0
    while (segmentsIn(dir).length === 1) {
      await calls(meter, 20, line)
      made += 20
    }
    const [first = '', second = ''] = segmentsIn(dir)
    expect(statSync(join(dir, first)).size).toBeGreaterThanOrEqual(limits.spoolSegmentBytes)
    const head = readFileSync(join(dir, second), 'utf8').split('\n')
    expect(JSON.parse(head[0] ?? '')).toMatchObject({ s: { after: first } })
    await long.end(fine)
    const lines = linesIn(dir)
    expect(idsOf(lines, 'carried')).toEqual([long.id])
    expect(idsOf(lines, 'end')).toHaveLength(made + 1)
    await meter.close()
  })

  test('an idle segment is replaced before others may take its owner for dead', async () => {
    const { meter, clock } = setUp()
    await call(meter)
    clock.pass(limits.spoolIdleMs + 1)
    await call(meter)
    expect(segmentsIn(dir)).toHaveLength(2)
    expect(limits.spoolBeatMs).toBeLessThan(limits.spoolIdleMs)
    expect(limits.spoolIdleMs).toBeLessThan(limits.spoolSilentMs)
    await meter.close()
  })

  test('shows in its time that its owner lives, until a sleep was too long for others to wait', async () => {
    const { meter, clock } = setUp()
    await call(meter)
    const [name = ''] = segmentsIn(dir)
    const shown = () => Math.round(statSync(join(dir, name)).mtimeMs)
    clock.live(3 * limits.spoolBeatMs)
    const last = clock.now()
    expect(shown()).toBe(last)
    const before = readFileSync(join(dir, name), 'utf8')
    clock.pass(limits.spoolIdleMs + 1)
    expect(segmentsIn(dir)).toHaveLength(2)
    expect(shown()).toBe(last)
    await call(meter)
    await meter.close()
    expect(readFileSync(join(dir, name), 'utf8')).toBe(before)
  })
})

describe('a full disk (C04)', () => {
  test('calls are refused before they are made, from the first byte that does not fit, until there is space', async () => {
    const { meter, disk, faults, kinds } = setUp()
    await call(meter)
    disk.left = 0
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    expect(meter.healthy).toBe(false)
    for (let count = 0; count < 50; count += 1) await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    expect(kinds()).toEqual(['write_failed'])
    expect(faults[0]?.error).toMatchObject({ code: 'ENOSPC' })
    expect(segmentsIn(dir)).toHaveLength(1)
    disk.left = undefined
    await call(meter)
    expect(meter.healthy).toBe(true)
    expect(kinds()).toEqual(['write_failed', 'recovered'])
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(2)
    await meter.close()
  })

  test('it recovers without a call, too', async () => {
    const { meter, disk, clock } = setUp()
    disk.left = 0
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    clock.pass(limits.spoolRecoverMs)
    expect(meter.healthy).toBe(false)
    disk.left = undefined
    clock.pass(limits.spoolRecoverMs)
    expect(meter.healthy).toBe(true)
    await meter.close()
  })

  test.each([1, 40, 150])('%d bytes of a begin that fitted never run into the next line', async (left) => {
    const { meter, disk } = setUp()
    disk.left = left
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    disk.left = undefined
    const entry = await meter.begin(ann, getPet)
    await entry.end(fine)
    const lines = linesIn(dir)
    expect(lines.filter((line) => line === 'torn')).toHaveLength(1)
    expect(idsOf(lines, 'begin')).toEqual([entry.id])
    expect(idsOf(lines, 'end')).toEqual([entry.id])
    await meter.close()
  })

  test.each(
    [0, 1, 100, 200].flatMap((left) => [{ left, turns: 'one turn' } as const, { left, turns: 'many' } as const]),
  )(
    'ends in $turns that found no room beyond $left bytes are reported, kept and written once',
    async ({ left, turns }) => {
      const { meter, disk, faults, kinds } = setUp()
      const entries = await begun(meter, 5)
      disk.left = left
      if (turns === 'many') for (const entry of entries) await entry.end(fine)
      else await Promise.all(entries.map((entry) => entry.end(fine)))
      expect(kinds()).toEqual(['write_failed', ...entries.map(() => 'end_waits')])
      expect(faults.at(-1)?.ends).toBe(5)
      expect(idsOf(linesIn(dir), 'end')).toEqual([])
      disk.left = undefined
      await call(meter)
      expect(idsOf(linesIn(dir), 'end')).toHaveLength(6)
      expect(new Set(idsOf(linesIn(dir), 'end')).size).toBe(6)
      expect(faults.at(-1)).toMatchObject({ kind: 'recovered', ends: 0 })
      await meter.close()
    },
  )

  test('a call whose end waited is carried no further, and its first end is the one that counts', async () => {
    const { meter, disk, clock } = setUp()
    const entry = await meter.begin(ann, getPet)
    disk.left = 0
    await entry.end(fine)
    await entry.end({ ...fine, outcome: 'failed' })
    disk.left = undefined
    for (let rotation = 0; rotation < 2; rotation += 1) {
      clock.pass(limits.spoolIdleMs + 1)
      await call(meter)
    }
    const lines = linesIn(dir)
    expect(idsOf(lines, 'carried')).toEqual([entry.id])
    expect(lines).toContainEqual(
      expect.objectContaining({ call: expect.objectContaining({ id: entry.id, outcome: 'ok' }) }),
    )
    await meter.close()
  })

  test('a disk that fills again while the kept ends are written loses none and doubles none', async () => {
    const { meter, disk } = setUp()
    const entries = await begun(meter, 20)
    disk.left = 0
    await Promise.all(entries.map((entry) => entry.end(fine)))
    for (let attempt = 0; attempt < 40; attempt += 1) {
      disk.left = 4_000 + attempt * 100
      // some of them find room for the head, and then for themselves or not
      await meter.begin(ann, getPet).catch(() => undefined)
    }
    disk.left = undefined
    await call(meter)
    const ends = idsOf(linesIn(dir), 'end')
    for (const entry of entries) expect(ends.filter((id) => id === entry.id)).toHaveLength(1)
    await meter.close()
  })

  test('a real full device refuses, and is left for a real file when there is one', async () => {
    const full = openSync('/dev/full', 'a')
    let isFull = true
    const disk = { ...systemDisk, write: (fd: number, text: string) => writeSync(isFull ? full : fd, text) }
    const faults: SpoolFault[] = []
    const meter = createMeter({
      dir,
      durability: 'group',
      clock: manualClock(),
      disk,
      onFault: (f) => void faults.push(f),
    })
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    expect(faults[0]?.error).toMatchObject({ code: 'ENOSPC' })
    expect(segmentsIn(dir)).toEqual([])
    isFull = false
    await call(meter)
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(1)
    await meter.close()
  })

  test('ends that could never be written are reported when the meter closes, and so is one that comes after', async () => {
    const { meter, disk, faults } = setUp()
    const [one, two] = [await meter.begin(ann, getPet), await meter.begin(ann, getPet)]
    disk.left = 0
    await one.end(fine)
    await meter.close()
    expect(faults.at(-1)).toMatchObject({ kind: 'ends_lost', ends: 1 })
    await two.end(fine)
    expect(faults.at(-1)).toMatchObject({ kind: 'ends_lost', ends: 2 })
    expect(meter.healthy).toBe(false)
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
  })
})

describe('a directory that cannot be written and an fsync that fails (C05)', () => {
  test('a meter whose directory cannot be made starts unhealthy, refuses, and recovers by itself', async () => {
    writeFileSync(dir, 'a file where the directory should be')
    const { meter, clock, kinds } = setUp()
    expect(meter.healthy).toBe(false)
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    rmSync(dir)
    clock.pass(limits.spoolRecoverMs)
    expect(meter.healthy).toBe(true)
    expect(kinds()).toEqual(['write_failed', 'recovered'])
    await meter.close()
  })

  test('group: a failed fsync refuses calls, is never repeated on its file, and needs a new file that syncs', async () => {
    const { meter, clock, disk, kinds } = setUp('group')
    await call(meter)
    const files = new Set<number>()
    disk.onSync = (fd) => void files.add(fd)
    disk.syncFails = true
    clock.pass(limits.spoolSyncMs)
    await settle(() => !meter.healthy)
    await expect(meter.begin(ann, getPet)).rejects.toEqual(notRecorded)
    clock.pass(limits.spoolRecoverMs)
    expect(meter.healthy).toBe(false)
    expect(kinds()[0]).toBe('sync_failed')
    expect(segmentsIn(dir)).toHaveLength(1)
    disk.syncFails = false
    await call(meter)
    expect(segmentsIn(dir)).toHaveLength(2)
    expect(files.size).toBe(1)
    expect(kinds().at(-1)).toBe('recovered')
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(2)
    await meter.close()
  })

  test('sync: an end whose fsync failed is on file once, and the next call waits for a new file', async () => {
    const { meter, disk, kinds } = setUp('sync')
    const entry = await meter.begin(ann, getPet)
    disk.syncFails = true
    await entry.end(fine)
    expect(kinds()).toEqual(['sync_failed'])
    expect(meter.healthy).toBe(false)
    disk.syncFails = false
    await call(meter)
    expect(idsOf(linesIn(dir), 'end').filter((id) => id === entry.id)).toHaveLength(1)
    await meter.close()
  })

  test('a spool directory that is taken away is made again with the next segment', async () => {
    const { meter, clock } = setUp()
    await call(meter)
    rmSync(dir, { recursive: true })
    clock.pass(limits.spoolIdleMs + 1)
    await call(meter)
    expect(idsOf(linesIn(dir), 'end')).toHaveLength(1)
    mkdirSync(dir, { recursive: true })
    await meter.close()
  })
})
