/**
 * A process to be killed. `meter DIR DURABILITY CONNECTIONS`: records calls for ever, so many at once, and prints each id
 * after its end has resolved. `rollup DIR DATABASE KILL_AT MOMENT`: rolls up and kills itself before or after the commit
 * of the KILL_AT-th transaction. `rollups DIR DATABASE`: rolls up for ever.
 */
import { writeSync } from 'node:fs'
import { systemClock } from '../../src/core/clock.ts'
import type { Principal } from '../../src/core/model.ts'
import { createMeter } from '../../src/meter/meter.ts'
import { rollUp } from '../../src/meter/rollup.ts'
import { openSqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'

const [, , act, dir = '', ...rest] = process.argv
const who: Principal = { tenant: 'local', subject: 'ann', client: 'editor', scopes: new Set() }
const tool = { name: 'pets___get', target: 'pets' }

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Half of the calls take a turn longer, so that begins and ends meet in one write; with many, each takes a while. */
const record = async (durability: string | undefined, connections: number): Promise<void> => {
  const known = durability === 'sync' || durability === 'async' ? durability : 'group'
  const meter = createMeter({ dir, durability: known, clock: systemClock, onFault: () => process.exit(3) })
  const callForEver = async (lane: number): Promise<never> => {
    for (;;) {
      const entry = await meter.begin(who, tool, { snapshot: lane })
      if (connections > 8) await wait(Math.random() * 20)
      else if (lane % 2 === 1) await turn()
      await entry.end({ outcome: lane % 4 === 3 ? 'failed' : 'ok', status: 200, bytesIn: 1, bytesOut: 2 })
      // straight to the pipe: what the parent reads was acknowledged, and nothing acknowledged stays in a buffer
      writeSync(1, `${entry.id}\n`)
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, lane) => callForEver(lane)))
}

const rollUpForEver = async (database = ''): Promise<never> => {
  const store = openSqliteStore(database)
  for (let first = true; ; first = false) {
    await rollUp({ dir, store, clock: systemClock, retentionDays: 30 })
    if (first) writeSync(1, 'rolling\n')
    await turn()
  }
}

const rollUpAndDie = async (database = '', killAt = '0', moment = ''): Promise<void> => {
  const store = openSqliteStore(database)
  let transactions = 0
  const deadly: Store = {
    ...store,
    addUsage: async (...all) => {
      transactions += 1
      const due = transactions === Number(killAt)
      if (due && moment === 'before') process.kill(process.pid, 'SIGKILL')
      const added = await store.addUsage(...all)
      if (due) process.kill(process.pid, 'SIGKILL')
      return added
    },
  }
  await rollUp({ dir, store: deadly, clock: systemClock, retentionDays: 30 })
  await store.close()
}

if (act === 'meter') await record(rest[0], Number(rest[1] ?? 8))
else if (act === 'rollups') await rollUpForEver(rest[0])
else await rollUpAndDie(...rest)
