/**
 * What was read of a key, until any record changes anywhere. Whether one has is asked at most every `limits.keyStaleMs`
 * (one question for all keys), so what is revoked on one replica is refused on all of them within that time.
 */
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import type { Records, Versioned } from '../store/records.ts'

export interface HeldKeysParts<T> {
  readonly records: Records
  readonly clock: Clock
  /** The key of the record behind a name; the answer may be kept for ever. */
  readonly find: (name: string) => Promise<string | undefined>
  /** What is to be held of the record; `undefined` when it does not count. */
  readonly open: (record: Versioned, name: string) => Promise<T | undefined>
}

export interface HeldKeys<T> {
  /** No promise where nothing has to be asked. */
  get(name: string): T | undefined | Promise<T | undefined>
}

interface Entry<T> {
  readonly record: string
  readonly version: number
  readonly held: T
  /** The number of changes at which this was known to be so. */
  readonly change: number
}

export function createHeldKeys<T>({ records, clock, find, open }: HeldKeysParts<T>): HeldKeys<T> {
  const entries = new Map<string, Entry<T>>()
  let change = -1
  let askedAt = -Infinity
  let asking: Promise<void> | undefined

  const isFresh = (): boolean => clock.monotonic() - askedAt < limits.keyStaleMs

  const ask = async (): Promise<void> => {
    // what is answered was so at the time of the question or later
    const at = clock.monotonic()
    change = await records.changes()
    askedAt = at
  }

  const keep = (name: string, entry: Entry<T>): void => {
    entries.delete(name)
    entries.set(name, entry)
    if (entries.size <= limits.keysRemembered) return
    const [oldest] = entries.keys()
    if (oldest !== undefined) entries.delete(oldest)
  }

  const look = async (name: string): Promise<T | undefined> => {
    if (!isFresh()) {
      asking ??= ask().finally(() => {
        asking = undefined
      })
      await asking
    }
    // the number from before the reading: what changes meanwhile is read again
    const at = change
    const known = entries.get(name)
    if (known?.change === at) return known.held
    const key = known?.record ?? (await find(name))
    const record = key === undefined ? undefined : await records.get(key)
    // the same version is the same caller, down to the object: others remember things of it
    const held =
      record === undefined ? undefined : record.version === known?.version ? known.held : await open(record, name)
    if (key === undefined || record === undefined || held === undefined) entries.delete(name)
    else keep(name, { record: key, version: record.version, held, change: at })
    return held
  }

  return {
    get(name) {
      const known = entries.get(name)
      return known?.change === change && isFresh() ? known.held : look(name)
    },
  }
}
