/** What the gateway keeps, opened beside it or in its place: a running one sees a change within a second. */
import { loadSettings, type Settings } from '../config/load.ts'
import { systemClock } from '../core/clock.ts'
import { createEgress } from '../egress/fetch.ts'
import { keyringOf, recordsFile } from '../gateway/state.ts'
import { type AuditTrail, openAudit } from '../store/audit.ts'
import { privateDir } from '../store/files.ts'
import type { Records } from '../store/records.ts'
import { openRecords } from '../store/sqlite-records.ts'
import { createVault, type Vault } from '../vault/vault.ts'

export interface Opened {
  readonly settings: Settings
  readonly records: Records
  readonly vault: Vault
  readonly audit: AuditTrail
}

export async function withState<T>(config: string | undefined, act: (opened: Opened) => Promise<T>): Promise<T> {
  const settings = loadSettings(config, 'own')
  privateDir(settings.dataDir)
  const records = openRecords(recordsFile(settings.dataDir), systemClock)
  const egress = createEgress({ allow: settings.egress.allow, clock: systemClock })
  const log = { warn: (_fields: object, words: string) => void process.stderr.write(`${words}\n`) }
  const audit = openAudit(settings.dataDir, 'command line', systemClock, (error) => log.warn({}, String(error)))
  const vault = createVault(keyringOf(settings, { egress, clock: systemClock, log }))
  try {
    return await act({ settings, records, vault, audit })
  } finally {
    await egress.close()
    await records.close()
  }
}
