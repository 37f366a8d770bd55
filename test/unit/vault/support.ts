/** What tests of the vault share: keys, places and records of their own. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { Records } from '../../../src/store/records.ts'
import { openRecords } from '../../../src/store/sqlite-records.ts'
import { localKey } from '../../../src/vault/keyring.ts'
import type { Place } from '../../../src/vault/vault.ts'

export const newKey = () => localKey(new Secret(randomBytes(32).toString('base64')))

export const place: Place = { kind: 'connection', tenant: 'acme', principal: 'https://idp.test|ann', name: 'github' }

export const unreadable = {
  code: 'vault_unreadable',
  message: expect.stringMatching(/^A stored secret cannot be read with the vault’s keys\./),
  data: undefined,
}

const left: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const clean of left.splice(0).toReversed()) await clean()
})

export function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'vault-'))
  left.push(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

export function newRecords(dir = newDir()): Records {
  const records = openRecords(join(dir, 'records.db'), systemClock)
  left.push(() => records.close())
  return records
}
