/** What the gateway keeps besides usage: keys of callers, connections, secrets, sealed and in one file of records. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { createKeys, type Keys } from '../auth/keys.ts'
import type { Settings } from '../config/load.ts'
import { createProviders, type Providers } from '../config/providers.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import { type Connections, createConnections } from '../credentials/oauth/connections.ts'
import { kmsKey } from '../credentials/aws/kms.ts'
import type { AwsRoom } from '../credentials/aws/room.ts'
import { secretsManager } from '../credentials/aws/secrets-manager.ts'
import { followSecret } from '../credentials/managed.ts'
import type { SecretSource } from '../credentials/rotating.ts'
import { createSignIns, type SignIns } from '../credentials/oauth/flow.ts'
import type { AuditEvent, OAuthRoom } from '../credentials/oauth/room.ts'
import type { OAuthProvider } from '../credentials/oauth2.ts'
import { Secret } from '../core/secret.ts'
import { createEgress, type Egress } from '../egress/fetch.ts'
import { randomToken } from '../store/files.ts'
import type { Records } from '../store/records.ts'
import { openRecords } from '../store/sqlite-records.ts'
import { createKeyring, folderKeyring, type Keyring, localKey } from '../vault/keyring.ts'
import { createSecrets } from '../vault/secrets.ts'
import { createVault, type Vault } from '../vault/vault.ts'

export interface State {
  readonly records: Records
  readonly vault: Vault
  readonly keys: Keys
  /** What signs, for these settings: the same while they say the same of credentials. Throws `bad_config`. */
  providers(settings: Settings): Providers
  /** Users' grants and their sign-ins, by the credentials of the settings in force. */
  credential(this: void, name: string): OAuthProvider | undefined
  connections(): Connections
  /** With the way out of the settings in force. */
  oauthRoom(): OAuthRoom
  signIns(): SignIns
  close(): Promise<void>
}

export const recordsFile = (dataDir: string): string => join(dataDir, 'records.db')

/** The keys that the configuration names, or those of the data folder. */
export function keyringOf({ vaultKeys, dataDir }: Pick<Settings, 'vaultKeys' | 'dataDir'>, room: AwsRoom): Keyring {
  const [current, ...retired] = vaultKeys.map((key) => (key instanceof Secret ? localKey(key) : kmsKey(key, room)))
  return current === undefined ? folderKeyring(dataDir) : createKeyring(current, retired)
}

interface StateOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Log
  readonly publicUrl: string
}

export function openState({ settings, clock, log, publicUrl }: StateOptions): State {
  const records = openRecords(recordsFile(settings.dataDir), clock)
  const ownEgress = createEgress({ allow: settings.egress.allow, clock })
  const vault = createVault(keyringOf(settings, { egress: ownEgress, clock, log }))
  const keys = createKeys({ records, vault, clock })
  const owner = randomUUID()
  const audit = (event: AuditEvent): void => log.info({ audit: event }, `${event.act}: ${event.outcome}`)
  const roomWith = (egress: Egress): OAuthRoom => ({
    records,
    vault,
    egress,
    clock,
    random: randomToken,
    audit,
    owner,
    callbackUrl: `${publicUrl}/connect/callback`,
  })
  const secrets = createSecrets(records, vault, clock)
  const managed = (name: string): SecretSource => followSecret(name, secrets, clock)
  const named = (name: string): OAuthProvider | undefined => last?.made.oauth.get(name)
  /** These go out through the providers' own way, which changes with the settings. */
  const shared = (): OAuthRoom => {
    if (last === undefined) throw new GatewayError('draining')
    return last.room
  }
  let last: { readonly key: string; readonly made: Providers; readonly room: OAuthRoom } | undefined

  return {
    records,
    vault,
    keys,
    credential: named,
    oauthRoom: shared,
    connections: () => createConnections(shared(), named),
    signIns: () => createSignIns(shared(), named),
    providers(now) {
      const key = JSON.stringify([now.credentials, now.secretsVersion, now.egress.allow])
      if (last?.key === key) return last.made
      const room = roomWith(createEgress({ allow: now.egress.allow, clock }))
      const before = last
      last = {
        key,
        made: createProviders(now.credentials, now.secretsFound, {
          ...room,
          log,
          managed,
          manager: secretsManager({ egress: room.egress, clock, log }),
        }),
        room,
      }
      // Calls that began on the settings before may still have tokens to renew.
      if (before !== undefined) void sleep(clock, limits.targetTimeoutMsMax).then(() => before.room.egress.close())
      return last.made
    },
    async close() {
      await last?.room.egress.close()
      await keys.close()
      await records.close()
      await ownEgress.close()
    },
  }
}
