/** `toolgate vault rotate`: everything sealed comes under the current key; killed anywhere, it goes on when run again. */
import { limits } from '../core/limits.ts'
import { GatewayError } from '../core/errors.ts'
import { addFolderKey, dropRetiredFolderKeys } from '../vault/keyring.ts'
import { rotate } from '../vault/rotate.ts'
import { withState } from './open-state.ts'

export interface RotateOptions {
  readonly config?: string
  readonly keepKeys?: boolean
}

export async function rotateVault(options: RotateOptions): Promise<void> {
  await withState(options.config, async ({ settings, records, vault, audit }) => {
    const own = settings.vaultKeys.length === 0
    if (own) addFolderKey(settings.dataDir)
    let total = 0
    for (let round = 0; round < limits.rotationRounds; round++) {
      const { resealed, left, unreadable } = await rotate(records, vault)
      total += resealed
      if (unreadable > 0)
        throw new GatewayError('vault_unreadable', {
          words: `${unreadable} sealed texts cannot be opened by any key that is there. Give the missing key as one of vault.retiredKeys, then rotate again.`,
        })
      if (resealed + left > 0) continue
      // A process that had not seen the new key yet may have sealed with the old one meanwhile: only a quiet round ends it.
      const dropped = own && options.keepKeys !== true ? await dropRetiredFolderKeys(settings.dataDir) : 0
      audit.note({ act: 'vault rotate', outcome: 'ok', records: total })
      process.stdout.write(
        `${total} records resealed under the current key${dropped > 0 ? `, ${dropped} old keys removed` : ''}\n`,
      )
      if (!own && settings.vaultKeys.length > 1)
        process.stdout.write('vault.retiredKeys are not needed any more, once every replica has the current key\n')
      return
    }
    throw new GatewayError('conflict', { words: 'Records keep changing; run it again.' })
  })
}
