/** Roll-up and questions: every line once, torn tails tolerated, exact figures, clear refusals. */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { createIds } from '../../../src/meter/id.ts'
import { beginLine, carriedLine, endLine, namesText, segmentLine } from '../../../src/meter/line.ts'
import { createMeter, type Meter } from '../../../src/meter/meter.ts'
import { createUsage } from '../../../src/meter/usage.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store } from '../../../src/store/store.ts'
import { ann, calls, fine, getPet, linesIn, manualClock, segmentsIn } from './parts.ts'

let parent = ''
let dir = ''
let store: Store
const clock = manualClock()
const start = clock.now()
beforeEach(() => {
  clock.set(start)
  parent = mkdtempSync(join(tmpdir(), 'usage-'))
  dir = join(parent, 'usage')
  mkdirSync(dir)
  store = openSqliteStore(join(parent, 'toolgate.db'))
})
afterEach(async () => {
  await store.close()
  rmSync(parent, { recursive: true, force: true })
})

const price = { currency: 'USD', pricePer1000: '0.005' }
const usage = (over: Store = store) => createUsage({ dir, store: over, clock, retentionDays: 30, ...price })
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
    expect(await usage().rollUp()).toEqual({ events: 0, torn: 0 })
    rmSync(dir, { recursive: true })
    expect(await usage().rollUp()).toEqual({ events: 0, torn: 0 })
  })

  test('a live segment is added as it grows, each line once', async () => {
    const meter = meterHere()
    for (const count of [1, 0, 3]) {
      await calls(meter, count)
      expect(await usage().rollUp()).toEqual({ events: count, torn: 0 })
    }
    expect(await counts()).toEqual({ ok: [4, 4] })
    await meter.close()
  })

  test('the torn tail of a live segment waits until it is whole', async () => {
    const whole = begin('a') + end('a')
    const name = leave(whole + end('b').slice(0, 50), process.pid)
    expect(await usage().rollUp()).toEqual({ events: 1, torn: 0 })
    appendFileSync(join(dir, name), end('b').slice(50))
    expect(await usage().rollUp()).toEqual({ events: 1, torn: 0 })
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test.each([1, 60, 'all but the newline'] as const)(
    'a dead process’s tail torn after %s is warned of once',
    async (at) => {
      const tail = end('b').slice(0, at === 'all but the newline' ? -1 : at)
      leave(segmentLine(start, undefined) + begin('a') + end('a') + begin('b') + tail)
      expect(await usage().rollUp()).toEqual({ events: 1, torn: 1 })
      expect(await usage().rollUp()).toEqual({ events: 0, torn: 0 })
      expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
    },
  )

  test('garbage between lines is warned of and passed over', async () => {
    leave(`${begin('a')}\u0000\u0000\n{"e":{}}\n\n${end('a')}`)
    expect(await usage().rollUp()).toEqual({ events: 1, torn: 3 })
  })

  test('garbage longer than a batch, without a newline, does not stop what follows', async () => {
    leave(`${'x'.repeat(2 * limits.rollupBatchBytes + 10)}\n${begin('a')}${end('a')}`)
    const { events, torn } = await usage().rollUp()
    expect({ events, torn: torn > 0 }).toEqual({ events: 1, torn: true })
  })

  test('a segment of several batches is added whole', async () => {
    const long = namesText({ ...ann, subject: 's'.repeat(3_000) }, getPet)
    const one = Array.from({ length: 3_000 }, (_, at) => endLine(`${at}`, start, long, { ...fine, ms: 1 })).join('')
    expect(one.length).toBeGreaterThan(2 * limits.rollupBatchBytes)
    leave(one)
    expect(await usage().rollUp()).toEqual({ events: 3_000, torn: 0 })
    expect(await usage().rollUp()).toEqual({ events: 0, torn: 0 })
    expect(await counts()).toEqual({ ok: [3_000, 3_000] })
  })

  test('calls without an end are unknown and cost nothing, once, when their process is gone', async () => {
    leave(begin('a') + begin('b') + end('b'))
    await usage().rollUp()
    await usage().rollUp()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
  })

  test('calls under way in a live process are not unknown', async () => {
    leave(begin('a'), process.pid)
    await usage().rollUp()
    expect(await counts()).toEqual({})
  })

  test('a call that its process carried into the next segment is counted there', async () => {
    const first = leave(begin('a') + begin('lost'), process.pid)
    leave(segmentLine(start, first) + carriedLine(begin('a')) + end('a'), process.pid)
    await usage().rollUp()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
  })

  test('a segment of an earlier process with the same number, in between by its name, hides nothing', async () => {
    const first = leave(begin('a'), process.pid)
    leave(segmentLine(start, undefined) + begin('other'), process.pid)
    leave(segmentLine(start, first) + carriedLine(begin('a')) + end('a'), process.pid)
    await usage().rollUp()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
  })

  test('what a process wrote between the listing and its death counts', async () => {
    const [first, second] = [leave(''), leave(begin('a'))]
    await usage({ ...store, addUsage: async (...all) => !all[4] && store.addUsage(...all) }).rollUp()
    const late: Store = {
      ...store,
      usageMark: async (name) => {
        if (name === first) appendFileSync(join(dir, second), end('a'))
        return store.usageMark(name)
      },
    }
    expect(await usage(late).rollUp()).toEqual({ events: 1, torn: 0 })
    expect(await counts()).toEqual({ ok: [1, 1] })
  })

  test('a later process with the same number (as in a container) takes over no call', async () => {
    leave(begin('a'), process.pid)
    const meter = meterHere()
    const entry = await meter.begin(ann, getPet)
    await usage().rollUp()
    expect(await counts()).toEqual({ unknown: [1, 0] })
    await entry.end(fine)
    await usage().rollUp()
    expect(await counts()).toEqual({ ok: [1, 1], unknown: [1, 0] })
    await meter.close()
  })

  test('a process taken for dead that writes on has its calls counted all the same', async () => {
    const name = leave(begin('a') + end('a'))
    await usage().rollUp()
    expect(await store.usageMark(name)).toMatchObject({ closed: true })
    appendFileSync(join(dir, name), begin('b') + end('b'))
    expect(await usage().rollUp()).toEqual({ events: 1, torn: 0 })
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test('a segment unwritten for a day is finished, whoever has its number now', async () => {
    const name = leave(begin('a'), process.pid)
    utimesSync(join(dir, name), start / 1000, start / 1000 - limits.spoolStaleMs / 1000 - 1)
    await usage().rollUp()
    expect(await counts()).toEqual({ unknown: [1, 0] })
  })

  test('a segment is removed after its retention, and only when all of it is in the store', async () => {
    const name = leave(begin('a') + end('a'))
    const other = leave(begin('b') + end('b'))
    for (const file of [name, other]) utimesSync(join(dir, file), start / 1000, start / 1000)
    const failing: Store = { ...store, addUsage: async (...all) => all[0] === name && store.addUsage(...all) }
    await usage(failing).rollUp()
    clock.set(start + 29 * 86_400_000)
    await usage(failing).rollUp()
    expect(segmentsIn(dir)).toEqual([name, other])
    clock.set(start + 31 * 86_400_000)
    await usage(failing).rollUp()
    expect(segmentsIn(dir)).toEqual([other])
    await usage().rollUp()
    expect(await counts()).toEqual({ ok: [2, 2] })
  })

  test('a segment that could not be closed is not removed', async () => {
    const name = leave(begin('a'))
    utimesSync(join(dir, name), start / 1000, start / 1000 - 31 * 86_400)
    await usage({ ...store, addUsage: async (...all) => !all[4] && store.addUsage(...all) }).rollUp()
    expect(segmentsIn(dir)).toEqual([name])
  })

  test('unfinished heads of dead processes are cleared away, and strangers’ files are left alone', async () => {
    const name = `${nextId()}-${nobody}.ndjson`
    leave('{"s":', nobody, `${name}.tmp`)
    leave('{"s":', process.pid, `${nextId()}-${process.pid}.ndjson.tmp`)
    leave('notes', nobody, 'README')
    leave(end('a'), nobody, 'not-an-id-7.ndjson')
    expect(await usage().rollUp()).toEqual({ events: 0, torn: 0 })
    expect(segmentsIn(dir)).toHaveLength(3)
  })

  test('several roll-ups at once, over one database, count each line once', async () => {
    leave(Array.from({ length: 500 }, (_, at) => begin(`${at}`) + end(`${at}`)).join(''))
    leave(begin('open'))
    const stores = Array.from({ length: 4 }, () => openSqliteStore(join(parent, 'toolgate.db')))
    const added = await Promise.all(stores.map((one) => usage(one).rollUp()))
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
    for (let attempt = 0; attempt < 40; attempt += 1)
      await usage(flaky)
        .rollUp()
        .catch(() => undefined)
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
      const { events, torn } = await usage().rollUp()
      expect({ size, events }).toEqual({ size, events: whole })
      expect(torn).toBeLessThanOrEqual(1)
      rmSync(join(dir, name))
    }
  })
})

describe('answers', () => {
  const hour = 3_600_000
  const fill = () => {
    const bob = namesText({ ...ann, subject: 'bob' }, { name: 'orders___list', target: 'orders' })
    const figures = { ...fine, ms: 1 }
    leave(
      [
        ...Array.from({ length: 3 }, (_, at) => endLine(`a${at}`, start, names, figures)),
        endLine('b', start - 24 * hour, bob, figures),
        endLine('c', start - 24 * hour, names, { ...figures, outcome: 'failed' }),
        endLine('d', start - 31 * 24 * hour, bob, figures),
      ].join(''),
    )
  }

  test('without anything asked, this month until now, in one row', async () => {
    fill()
    expect(await usage().answer({ by: [] })).toEqual({
      from: '2026-11-01T00:00:00.000Z',
      to: '2026-11-24T10:00:00.000Z',
      ...{ currency: 'USD', total: { invocations: 2, cost: '0.000010000' } },
      rows: [{ invocations: 2, cost: '0.000010000' }],
    })
    clock.set(start + 1)
    expect(await usage().answer({ by: [] })).toMatchObject({ total: { invocations: 5, cost: '0.000025000' } })
  })

  test('grouped, in the order asked', async () => {
    fill()
    const to = '2026-11-24'
    expect((await usage().answer({ to, by: ['principal', 'day'] })).rows).toEqual([
      { principal: 'local/ann', day: '2026-11-23', invocations: 1, cost: '0.000005000' },
      { principal: 'local/ann', day: '2026-11-24', invocations: 3, cost: '0.000015000' },
      { principal: 'local/bob', day: '2026-11-23', invocations: 1, cost: '0.000005000' },
    ])
    const rows = (await usage().answer({ to, by: ['target', 'tool'] })).rows
    expect(rows.map((row) => JSON.stringify(row))).toEqual([
      '{"target":"orders","tool":"orders___list","invocations":1,"cost":"0.000005000"}',
      '{"target":"pets","tool":"pets___get","invocations":4,"cost":"0.000020000"}',
    ])
  })

  test('another price may be given with the question', async () => {
    fill()
    const answer = await usage().answer(
      { from: '2026-11-24', to: '2026-11-24', by: [] },
      { currency: 'EUR', pricePer1000: '1' },
    )
    expect(answer).toMatchObject({ currency: 'EUR', total: { invocations: 3, cost: '0.003000000' } })
  })

  test.each([
    [{ from: '2026-11-23', to: '2026-11-23' }, 2, '2026-11-23T00:00:00.000Z', '2026-11-24T00:00:00.000Z'],
    [{ from: '2026-11-23', to: '2026-11-24' }, 5, '2026-11-23T00:00:00.000Z', '2026-11-25T00:00:00.000Z'],
    [{ from: '2026-10-24', to: '2026-10-24' }, 1, '2026-10-24T00:00:00.000Z', '2026-10-25T00:00:00.000Z'],
    [
      { from: '2026-11-24T10:00:00Z', to: '2026-11-24T11:00:00Z' },
      3,
      '2026-11-24T10:00:00.000Z',
      '2026-11-24T11:00:00.000Z',
    ],
    [
      { from: '2026-11-23T10:00:00Z', to: '2026-11-24T10:00:00Z' },
      2,
      '2026-11-23T10:00:00.000Z',
      '2026-11-24T10:00:00.000Z',
    ],
    [
      { from: '2026-11-24t12:00:00.000+02:00', to: '2026-11-24T16:30:00+05:30' },
      3,
      '2026-11-24T10:00:00.000Z',
      '2026-11-24T11:00:00.000Z',
    ],
    [{ from: '2026-11-24', to: '2026-11-24T10:17:33Z' }, 3, '2026-11-24T00:00:00.000Z', '2026-11-24T10:45:00.000Z'],
    [
      { from: '2026-11-24T10:00:00Z', to: '2026-11-24T10:00:00Z' },
      0,
      '2026-11-24T10:00:00.000Z',
      '2026-11-24T10:00:00.000Z',
    ],
  ])('%j counts %d', async (period, invocations, from, to) => {
    fill()
    clock.set(start + 45 * 60_000)
    expect(await usage().answer({ ...period, by: [] })).toMatchObject({ from, to, total: { invocations } })
  })

  test.each([
    [{ from: 'yesterday' }, '"from" is a date'],
    [{ from: '' }, '"from" is a date'],
    [{ from: '2026-02-30' }, '"from" is a date'],
    [{ from: '2026-13-01' }, '"from" is a date'],
    [{ from: '2026-1-1' }, '"from" is a date'],
    [{ from: '2026-11-24T10:00:00' }, '"from" is a date'],
    [{ from: '2026-11-24 10:00:00Z' }, '"from" is a date'],
    [{ from: '2026-02-30T10:00:00Z' }, '"from" is a date'],
    [{ from: '2026-11-24T24:00:00Z' }, '"from" is a date'],
    [{ from: '1764000000000' }, '"from" is a date'],
    [{ to: '2026-11-24T10:00Z' }, '"to" is a date'],
    [{ from: '2026-11-24T10:30:00Z' }, '"from" must be on the full hour'],
    [{ to: '2026-11-24T09:59:59Z' }, '"to" must be on the full hour'],
    [{ from: '2026-11-24', to: '2026-11-22' }, '"from" is later'],
    [{ by: ['target', 'target'] }, '"by" takes'],
    [{ by: ['constructor'] }, '"by" takes'],
    [{ by: ['hour'] }, '"by" takes'],
  ])('%j is refused with words', async (query, words) => {
    const asked = usage().answer({ by: [], ...query })
    await expect(asked).rejects.toMatchObject({ code: 'invalid_params', message: expect.stringContaining(words) })
  })

  test('more rows than the bound ask for a narrower question', async () => {
    const many = Array.from({ length: limits.usageRows + 1 }, (_, at) =>
      endLine(`${at}`, start, namesText({ ...ann, subject: `${at}` }, getPet), { ...fine, ms: 1 }),
    )
    leave(many.join(''))
    await expect(usage().answer({ to: '2026-11-24', by: ['principal'] })).rejects.toMatchObject({ code: 'over_limit' })
    expect((await usage().answer({ to: '2026-11-24', by: ['tool'] })).total.invocations).toBe(limits.usageRows + 1)
  })
})
