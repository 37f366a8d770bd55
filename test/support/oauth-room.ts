/** What the OAuth half needs of the gateway, for tests: the real store, vault and way out, and a clock that can jump. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { OutboundRequest, Principal, Target } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import type { AuditEvent, OAuthOptions, OAuthRoom } from '../../src/credentials/oauth/room.ts'
import { createEgress } from '../../src/egress/fetch.ts'
import { openRecords } from '../../src/store/sqlite-records.ts'
import { createKeyring, localKey } from '../../src/vault/keyring.ts'
import { createVault } from '../../src/vault/vault.ts'

export const callbackUrl = 'https://tools.example.com/connect/callback'

export interface TestRoom extends OAuthRoom {
  readonly events: AuditEvent[]
  /** Milliseconds by which both clocks are ahead of the system's. */
  readonly ahead: { wall: number; monotonic: number }
  readonly file: string
  readonly vaultKey: string
  close(): Promise<void>
}

export interface RoomOptions {
  readonly allow: readonly string[]
  /** The same file and key as another room's: another process on the same store. */
  readonly beside?: Pick<TestRoom, 'file' | 'vaultKey'>
  readonly owner?: string
  readonly clock?: Clock
}

export function createRoom({ allow, beside, owner = 'process-1', clock: base = systemClock }: RoomOptions): TestRoom {
  const ahead = { wall: 0, monotonic: 0 }
  const clock: Clock = {
    ...base,
    now: () => base.now() + ahead.wall,
    monotonic: () => base.monotonic() + ahead.monotonic,
  }
  const dir = beside === undefined ? mkdtempSync(join(tmpdir(), 'toolgate-oauth-')) : undefined
  const file = beside?.file ?? join(dir ?? '', 'records.db')
  const vaultKey = beside?.vaultKey ?? randomBytes(32).toString('base64')
  const records = openRecords(file, clock)
  const egress = createEgress({ allow, clock })
  const events: AuditEvent[] = []
  return {
    records,
    egress,
    clock,
    ahead,
    file,
    vaultKey,
    events,
    vault: createVault(createKeyring(localKey(new Secret(vaultKey)))),
    random: () => randomBytes(32).toString('base64url'),
    audit: (event) => void events.push(event),
    owner,
    callbackUrl,
    async close() {
      await egress.close()
      await records.close()
      if (dir !== undefined) rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** Time that runs `factor` times as fast, the same in every process that is given the same `origin`. */
export const fastClock = (origin: number, factor: number): Clock => ({
  now: () => origin + (systemClock.now() - origin) * factor,
  monotonic: () => systemClock.monotonic() * factor,
  after: (ms, act) => systemClock.after(ms / factor, act),
  every: (ms, act) => systemClock.every(ms / factor, act),
})

export const target: Target = {
  name: 'api',
  kind: 'openapi',
  origin: 'https://api.example.com',
  basePath: '',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
}

export const outbound = (): OutboundRequest => ({ method: 'GET', url: 'https://api.example.com/x', headers: new Map() })

export const principal = (subject: string, tenant = 'default'): Principal => ({
  tenant,
  subject,
  client: 'c',
  scopes: new Set(),
})

export const optionsFor = (given: Partial<OAuthOptions> & Pick<OAuthOptions, 'grant'>): OAuthOptions => ({
  name: 'cred',
  vendorParameters: new Map(),
  clientId: 'gateway',
  scopes: [],
  parameters: { authorization: new Map(), token: new Map() },
  ...given,
})
