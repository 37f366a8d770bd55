/** When each key was last used: noted in memory as calls come, written behind them, at most once in `limits.keyUsedMs`. */
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import type { Records } from '../store/records.ts'

export interface LastUse {
  note(id: string): void
  /** Milliseconds since the Unix epoch by the key’s id, those included that are not written yet. */
  all(): Promise<ReadonlyMap<string, number>>
  /** Writes what is not written. */
  close(): Promise<void>
}

/** A record of its own, so that using a key never stands in the way of changing it. */
const prefix = 'keyused/'

export function createLastUse(records: Records, clock: Clock): LastUse {
  const noted = new Map<string, number>()

  const write = async (): Promise<void> => {
    for (const [id, at] of noted) {
      const there = await records.get(prefix + id)
      const options = { expect: there?.version ?? 'absent', expiresAt: at + limits.keyUsedKeptMs } as const
      // another replica that wrote in between wrote the same minute
      if (Number(there?.value ?? 0) < at) await records.put(prefix + id, String(at), options)
      if (noted.get(id) === at) noted.delete(id)
    }
  }
  // what cannot be written now stays noted
  const flush = (): Promise<void> => write().catch(() => undefined)
  const stop = clock.every(limits.keyUsedMs, () => void flush())

  return {
    note: (id) => void noted.set(id, clock.now()),
    async all() {
      const found = new Map<string, number>()
      for (let after = ''; found.size < limits.keysListed; ) {
        const page = await records.list(prefix, { after, limit: limits.recordsListed })
        for (const { key, value } of page) found.set(key.slice(prefix.length), Number(value))
        const last = page.at(-1)
        if (last === undefined) break
        after = last.key
      }
      for (const [id, at] of noted) found.set(id, Math.max(at, found.get(id) ?? 0))
      return found
    },
    async close() {
      stop()
      await flush()
    },
  }
}
