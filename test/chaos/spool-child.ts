/**
 * A process to be killed. `meter DIR DURABILITY`: records calls for ever, one in eight of them overlapping, and prints each
 * id after its end has returned. `rollup DIR DATABASE KILL_AT MOMENT`: rolls up and kills itself before or after the
 * commit of the KILL_AT-th transaction.
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

const record = async (durability: string | undefined): Promise<void> => {
  const known = durability === 'sync' || durability === 'async' ? durability : 'group'
  const meter = createMeter({ dir, durability: known, clock: systemClock, onFault: () => process.exit(3) })
  for (;;) {
    for (let call = 0; call < 64; call += 1) {
      const entry = meter.begin(who, tool)
      const other = call % 8 === 0 ? meter.begin(who, tool) : undefined
      entry.end({ outcome: 'ok', status: 200, bytesIn: 1, bytesOut: 2 })
      // straight to the pipe: what the parent reads was acknowledged, and nothing acknowledged stays in a buffer
      writeSync(1, `${entry.id}\n`)
      other?.end({ outcome: 'failed', bytesIn: 1, bytesOut: 2 })
      if (other !== undefined) writeSync(1, `${other.id}\n`)
    }
    // lets the timers and the fsyncs of the spool run
    await new Promise((resolve) => setImmediate(resolve))
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

await (act === 'meter' ? record(rest[0]) : rollUpAndDie(...rest))
