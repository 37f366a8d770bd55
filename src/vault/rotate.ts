/**
 * Brings all that is sealed under the current key. Sealed texts are found by their form, in whatever record they stand,
 * so that no room can be forgotten. Killed anywhere and run again, it goes on with what is left.
 */
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { RecordRow, Records, Versioned } from '../store/records.ts'
import { sealedTexts, type Vault } from './vault.ts'

export interface Rotation {
  /** Records that now need the current key only. */
  readonly resealed: number
  /** Records that kept changing meanwhile and still need an older key: run it again. */
  readonly left: number
  /** Sealed texts that no key of the ring opens; the rotation leaves them as they are. */
  readonly unreadable: number
}

/** Under which a sealed text cannot be brought: damaged, or sealed with a key that is gone. */
const isUnreadable = (error: unknown): boolean => error instanceof GatewayError && error.code === 'vault_unreadable'

interface Change {
  readonly value: string
  readonly unreadable: number
}

/** The value with each of its sealed texts under the current key. */
async function rewrapAll(value: string, vault: Vault): Promise<Change> {
  let unreadable = 0
  let changed = value
  for (const [sealed] of value.matchAll(sealedTexts)) {
    try {
      if (vault.keyOf(sealed) !== vault.currentKey()) changed = changed.replace(sealed, await vault.rewrap(sealed))
    } catch (error) {
      if (!isUnreadable(error)) throw error
      unreadable++
    }
  }
  return { value: changed, unreadable }
}

type Done = { readonly outcome: 'nothing' | 'resealed' | 'left'; readonly unreadable: number }

/** Compares and sets, and looks again when someone else was faster. */
async function reseal({ key, ...row }: RecordRow, records: Records, vault: Vault): Promise<Done> {
  let found: Versioned | undefined = row
  let unreadable = 0
  for (let tries = 0; tries < limits.rotationTries && found !== undefined; tries++) {
    const change = await rewrapAll(found.value, vault)
    unreadable = change.unreadable
    if (change.value === found.value) return { outcome: 'nothing', unreadable }
    const { version, expiresAt } = found
    const options = { expect: version, ...(expiresAt === undefined ? {} : { expiresAt }) }
    if ((await records.put(key, change.value, options)) !== undefined) return { outcome: 'resealed', unreadable }
    found = await records.get(key)
  }
  return { outcome: found === undefined ? 'nothing' : 'left', unreadable }
}

/**
 * Re-wraps every sealed text in every record. When `left` is 0, and every process seals under the current key, the
 * retired keys are needed no more. A record’s version grows by it: who holds an older one reads again. Rejects with
 * `store_unavailable`; what was done until then is done.
 */
export async function rotate(records: Records, vault: Vault): Promise<Rotation> {
  const count = { nothing: 0, resealed: 0, left: 0 }
  let unreadable = 0
  let after = ''
  for (;;) {
    const page = await records.list('', { after, limit: limits.rotationPage })
    for (const row of page) {
      const done = await reseal(row, records, vault)
      count[done.outcome]++
      unreadable += done.unreadable
    }
    const last = page.at(-1)
    if (last === undefined) return { resealed: count.resealed, left: count.left, unreadable }
    after = last.key
  }
}
