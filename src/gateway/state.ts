/** What the gateway keeps besides usage: keys of callers, connections, secrets, sealed and in one file of records. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { createKeys, type Keys } from '../auth/keys.ts'
import type { Settings } from '../config/load.ts'
import { createProviders, type Providers } from '../config/providers.ts'
import type { Clock } from '../core/clock.ts'
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
import { type AuditEntry, openAudit } from '../store/audit.ts'
import { randomToken } from '../store/files.ts'
import type { Records } from '../store/records.ts'
import { openRecords } from '../store/sqlite-records.ts'
import { createKeyring, folderKeyring, type Keyring, localKey } from '../vault/keyring.ts'
import { createSecrets } from '../vault/secrets.ts'
import { createVault, type Vault } from '../vault/vault.ts'

/** What signs, with the users' grants that belong to it. */
export interface Broker {
  /** Tells it from one of other settings. */
  readonly key: string
  readonly providers: Providers
  readonly connections: Connections
  readonly signIns: SignIns
  credential(this: void, name: string): OAuthProvider | undefined
  readonly room: OAuthRoom
  /** After the calls that began with it. */
  close(): Promise<void>
}

export interface State {
  readonly records: Records
  readonly vault: Vault
  readonly keys: Keys
  /** Into the audit trail, and the log. */
  audit(this: void, entry: AuditEntry): void
  /** What signs by these settings; `before` itself where it is the same. Throws `bad_config`. */
  broker(settings: Settings, before: Broker | undefined): Broker
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
  const trail = openAudit(settings.dataDir, 'gateway', clock, (error) => log.error({ error }, 'the audit trail'))
  const audit = ({ at: _at, ...event }: AuditEvent | (AuditEntry & { at?: number })): void => {
    log.info({ audit: event }, `${event.act}: ${event.outcome}`)
    trail.note({ ...event })
  }
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

  return {
    records,
    vault,
    keys,
    audit,
    broker(now, before) {
      const key = JSON.stringify([now.credentials, now.secretsVersion, now.egress.allow])
      if (before?.key === key) return before
      const room = roomWith(createEgress({ allow: now.egress.allow, clock }))
      const manager = secretsManager({ egress: room.egress, clock, log })
      const providers = createProviders(now.credentials, now.secretsFound, { ...room, log, managed, manager })
      const credential = (name: string): OAuthProvider | undefined => providers.oauth.get(name)
      return {
        key,
        providers,
        connections: createConnections(room, credential),
        signIns: createSignIns(room, credential),
        credential,
        room,
        close: () => room.egress.close(),
      }
    },
    async close() {
      await keys.close()
      await records.close()
      await ownEgress.close()
    },
  }
}
