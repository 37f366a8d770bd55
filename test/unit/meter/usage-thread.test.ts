/** The usage thread: the same answers from another thread, through crashes of it and of its database. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { configSchema } from '../../../src/config/schema.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { createMeter } from '../../../src/meter/meter.ts'
import type { RollUpResult } from '../../../src/meter/rollup.ts'
import { spoolDir } from '../../../src/meter/spool.ts'
import { startUsageThread } from '../../../src/meter/usage-thread.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import { calls, manualClock, settle } from './parts.ts'

let dataDir = ''
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'thread-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

const crashing = new URL('./crashing-worker.ts', import.meta.url)

const setUp = (crashes = 0) => {
  writeFileSync(join(dataDir, 'crashes'), String(crashes))
  const clock = manualClock()
  const faults: GatewayError[] = []
  const rolled: RollUpResult[] = []
  const thread = startUsageThread({
    ...{ dataDir, prices: configSchema.parse({}).metering, retentionDays: 30, clock },
    onFault: (error) => void faults.push(error),
    onRollUp: (result) => void rolled.push(result),
    ...(crashes === 0 ? {} : { entry: crashing }),
  })
  return { clock, faults, rolled, thread }
}

const record = async (count: number) => {
  const meter = createMeter({
    dir: spoolDir(dataDir),
    durability: 'group',
    clock: systemClock,
    onFault: () => undefined,
  })
  await calls(meter, count)
  await meter.close()
}

const stored = async () => {
  const store = openSqliteStore(join(dataDir, 'toolgate.db'))
  const [row] = await store.usage({ from: 0, to: 8.64e15, by: [], rows: 1 })
  await store.close()
  return row?.units
}

describe('asking', () => {
  test('rolls up and answers as on one thread, errors with their codes and words', async () => {
    const { thread, faults } = setUp()
    await record(3)
    expect(await thread.rollUp()).toEqual({ events: 3, torn: 0 })
    expect(await thread.answer({ by: ['tool'] })).toMatchObject({
      ...{ currency: 'USD', total: { invocations: 3, cost: '0.000015000' } },
      rows: [{ tool: 'pets___get', invocations: 3, cost: '0.000015000' }],
    })
    const month = new Date().toISOString().slice(0, 7)
    expect(await thread.invoice({ month, tenant: 'local' })).toMatchObject({
      ...{ currency: 'USD', state: 'preliminary', total: { units: 3, amount: '0.000015000', rounded: '0.00' } },
    })
    await expect(thread.answer({ from: 'x', by: [] })).rejects.toMatchObject({
      code: 'invalid_params',
      message: expect.stringContaining('"from" is a date'),
    })
    await thread.close()
    expect(faults).toEqual([])
  })

  test('more questions at once than the bound are refused', async () => {
    const { thread } = setUp()
    const asked = Array.from({ length: limits.usageAsks + 1 }, () => thread.rollUp())
    await expect(asked.pop()).rejects.toMatchObject({ code: 'overloaded' })
    await Promise.all(asked)
    await thread.close()
  })
})

describe('closing', () => {
  test('rolls up what is there; then questions are refused and closing again is nothing', async () => {
    const { thread, faults } = setUp()
    await record(5)
    await thread.close()
    await thread.close()
    expect(await stored()).toBe(5)
    await expect(thread.answer({ by: [] })).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(faults).toEqual([])
  })

  test('a database that cannot be opened does not hold it up, and is reported', async () => {
    mkdirSync(join(dataDir, 'toolgate.db'))
    const { thread, faults } = setUp()
    await thread.close()
    expect(faults.map(({ code }) => code)).toEqual(['store_unavailable'])
  })
})

describe('trouble', () => {
  test('a database that comes back is used again', async () => {
    mkdirSync(join(dataDir, 'toolgate.db'))
    const { thread } = setUp()
    await record(2)
    await expect(thread.rollUp()).rejects.toMatchObject({ code: 'store_unavailable' })
    rmSync(join(dataDir, 'toolgate.db'), { recursive: true })
    expect(await thread.rollUp()).toEqual({ events: 2, torn: 0 })
    await thread.close()
  })

  test('a thread that crashes tells those who wait, and the next one does the work', async () => {
    const { thread, faults, clock } = setUp(2)
    await record(4)
    await expect(thread.rollUp()).rejects.toMatchObject({ code: 'store_unavailable', retry: true })
    await settle(() => faults.length === 1)
    await expect(thread.rollUp()).rejects.toMatchObject({ code: 'store_unavailable' })
    clock.pass(limits.usageRestartMs)
    await expect(thread.answer({ by: [] })).rejects.toMatchObject({ code: 'store_unavailable' })
    await settle(() => faults.length === 2)
    clock.pass(2 * limits.usageRestartMs)
    expect(await thread.rollUp()).toEqual({ events: 4, torn: 0 })
    await thread.close()
    expect(faults).toHaveLength(2)
  })

  test('a thread that crashes again and again is given up in the end', async () => {
    const { thread, faults, clock } = setUp(1_000)
    for (let start = 0; start <= limits.usageRestarts; start += 1) {
      await thread.rollUp().catch(() => undefined)
      await settle(() => faults.length === start + 1)
      clock.pass(limits.usageRestartMs * 2 ** start)
    }
    clock.pass(1_000_000_000)
    await expect(thread.rollUp()).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(faults).toHaveLength(limits.usageRestarts + 1)
    await thread.close()
  })
})
