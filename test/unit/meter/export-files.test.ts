/** Files of usage: whole or not there, named so that a repeat overwrites itself, and read back as they were written. */
import { mkdirSync, readdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { describe, expect, it, onTestFinished } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { files } from '../../../src/meter/export/file.ts'
import type { LedgerEvent } from '../../../src/meter/export/source.ts'
import { refusedFile, writeExport } from '../../../src/store/export-files.ts'
import type { Records } from '../../../src/store/records.ts'
import { event, hour, ledger, recordsIn, restingClock, run, start, tempDir, toldLog, until } from './export-parts.ts'

const bare = (at: number, facts: Partial<LedgerEvent>): LedgerEvent => {
  const { status: _status, ...rest } = event(at, facts)
  return rest
}

const sample = (): LedgerEvent[] => [
  event(start + 1, { tool: 'pêche 🐟', snapshot: 3, trace: '4bf92f3577b34da6a3ce929d0e0e4736' }),
  bare(start + 2, { outcome: 'unknown', units: 0, tenant: '' }),
  event(start + hour + 3, { bytesOut: 2 ** 40, meter: 'search' }),
]

const pause = (): Promise<void> => Promise.resolve()

const setting = (format: 'ndjson' | 'parquet', every: 'hour' | 'day' = 'hour') => {
  const dir = tempDir()
  const clock = restingClock(start + 30 * hour)
  const folder = join(dir, 'out', 'usage')
  return {
    dir,
    folder,
    clock,
    records: recordsIn(dir, clock),
    destination: files({ folder, format, every, write: writeExport, pause }),
    names: () => readdirSync(folder).toSorted(),
  }
}

const rows = (events: readonly LedgerEvent[], of: (value: number) => unknown) =>
  events.map(({ at, status, snapshot, units, ms, waitMs, bytesIn, bytesOut, trace, ...names }) => ({
    ...names,
    time: new Date(at),
    status: status ?? null,
    snapshot: snapshot === undefined ? null : of(snapshot),
    trace: trace ?? null,
    units: of(units),
    ms: of(ms),
    waitMs: of(waitMs),
    bytesIn: of(bytesIn),
    bytesOut: of(bytesOut),
  }))

describe('NDJSON', () => {
  it('has a file for each hour, named after it and its first event, a line for each event', async () => {
    const { folder, names, ...parts } = setting('ndjson')
    const source = ledger(sample())
    const { sum } = run({ ...parts, source })
    await until(parts.clock, () => sum('sent') === 3)
    const [first, second, third] = source.events
    expect(names()).toEqual([`usage-2026-11-24T10-${first?.id}.ndjson`, `usage-2026-11-24T11-${third?.id}.ndjson`])
    expect(readFileSync(join(folder, names()[0] ?? ''), 'utf8')).toBe(
      `{"id":"${first?.id}","time":"2026-11-24T10:00:00.001Z","tenant":"acme","subject":"ann","client":"desk",` +
        `"target":"pets","tool":"pêche 🐟","meter":"call","outcome":"ok","units":1,"status":200,"ms":12,"waitMs":9,` +
        `"bytesIn":20,"bytesOut":300,"snapshot":3,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}\n` +
        `{"id":"${second?.id}","time":"2026-11-24T10:00:00.002Z","tenant":"","subject":"ann","client":"desk",` +
        `"target":"pets","tool":"pets___get","meter":"call","outcome":"unknown","units":0,"ms":12,"waitMs":9,` +
        `"bytesIn":20,"bytesOut":300}\n`,
    )
    expect(statSync(join(folder, names()[0] ?? '')).mode & 0o777).toBe(0o640)
  })

  it('has one for each day where so configured', async () => {
    const { names, ...parts } = setting('ndjson', 'day')
    const source = ledger([...sample(), event(start + 20 * hour)])
    parts.clock.set(start + 100 * hour)
    const { sum } = run({ ...parts, source })
    await until(parts.clock, () => sum('sent') === 4)
    expect(names().map((name) => name.slice(0, 17))).toEqual(['usage-2026-11-24-', 'usage-2026-11-25-'])
  })

  it('has a further file for what came late, and none of an hour that is not over', async () => {
    const { names, ...parts } = setting('ndjson')
    parts.clock.set(start + hour + limits.exportGraceMs)
    const source = ledger(sample())
    const { sum } = run({ ...parts, source })
    await until(parts.clock, () => sum('sent') === 2)
    source.events.push(event(start + 5))
    await until(parts.clock, () => sum('sent') === 4)
    expect(names().map((name) => name.slice(0, 19))).toEqual([
      'usage-2026-11-24T10',
      'usage-2026-11-24T10',
      'usage-2026-11-24T11',
    ])
  })

  it('is overwritten by itself when the writer was killed before it knew, and never seen in part', async () => {
    const { names, folder, ...parts } = setting('ndjson')
    mkdirSync(folder, { recursive: true })
    const seen = new Set<string>()
    const watcher = watch(folder, (_kind, name) => {
      if (name?.startsWith('usage-') === true && statSync(join(folder, name)).size === 0) seen.add(name)
    })
    onTestFinished(() => watcher.close())
    let puts = 0
    const failing: Records = {
      ...parts.records,
      put: async (...args) => {
        puts += 1
        if (puts === 2) throw new GatewayError('store_unavailable')
        return parts.records.put(...args)
      },
    }
    const source = ledger(sample())
    let writes = 0
    const destination = files({
      folder,
      format: 'ndjson',
      every: 'hour',
      pause,
      write: (path, bytes) => {
        writes += 1
        if (writes <= 2) source.events.push(event(start + 9))
        return writeExport(path, bytes)
      },
    })
    const { exporter } = run({ ...parts, destination, records: failing, source })
    await until(parts.clock, () => parts.clock.waits.includes(limits.exportPollMs))
    await exporter.close()
    const lines = names().flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'))
    const ids = lines.map((line) => JSON.parse(line).id)
    expect([writes, source.events.length]).toEqual([4, 5])
    expect(ids).toHaveLength(5)
    expect(new Set(ids)).toEqual(new Set(source.events.map(({ id }) => id)))
    expect([...seen]).toEqual([])
  })

  it('waits when the folder cannot be written, and says why', async () => {
    const { dir, clock, ...parts } = setting('ndjson')
    writeFileSync(join(dir, 'out'), '')
    const log = toldLog()
    run({ ...parts, clock, source: ledger(sample()), log })
    await until(clock, () => log.told.some(({ message }) => message === 'an export waits'))
    expect(JSON.stringify(log.told)).toContain('the file cannot be written (')
  })
})

describe('Parquet', () => {
  it('reads back as it was written, and is the same bytes for the same events', async () => {
    const { names, folder, ...parts } = setting('parquet', 'day')
    const source = ledger(sample())
    parts.clock.set(start + 100 * hour)
    const { sum } = run({ ...parts, source })
    await until(parts.clock, () => sum('sent') === 3)
    const [name = ''] = names()
    expect(name).toBe(`usage-2026-11-24-${source.events[0]?.id}.parquet`)
    const bytes = readFileSync(join(folder, name))
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)
    expect(await parquetReadObjects({ file })).toEqual(rows(source.events, BigInt))
    const { parquet } = await import('../../../src/meter/export/parquet.ts')
    expect(Buffer.from(await parquet(source.events, pause)).equals(bytes)).toBe(true)
  })
})

it('Parquet of many events is written in row groups, with a pause behind each', async () => {
  const { parquet } = await import('../../../src/meter/export/parquet.ts')
  const events = Array.from({ length: limits.exportRowGroup * 2 + 1 }, (_, index) => event(start + index))
  let pauses = 0
  const bytes = await parquet(events, async () => {
    pauses += 1
  })
  expect(pauses).toBe(3)
  const read = await parquetReadObjects({ file: new Uint8Array(bytes).buffer, columns: ['id', 'time'] })
  expect(read).toEqual(events.map(({ id, at }) => ({ id, time: new Date(at) })))
})

describe('what is refused', () => {
  it('is appended, for the gateway alone, until the file is full, and then nothing of it is dropped', async () => {
    const dir = tempDir()
    const refused = refusedFile(dir, 'billing')
    const path = join(dir, 'exports', 'billing.refused.ndjson')
    expect(await refused.add(['{"a":1}', '{"b":2}'])).toBe(true)
    expect(await refused.add(['{"c":3}'])).toBe(true)
    expect(readFileSync(path, 'utf8')).toBe('{"a":1}\n{"b":2}\n{"c":3}\n')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(await refused.add(['x'.repeat(limits.exportRefusedBytes)])).toBe(false)
    expect(readFileSync(path, 'utf8')).toHaveLength(24)
  })
})
