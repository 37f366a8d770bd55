/** Users' grants, as they and the operator see them: listed without a token, ended here and at the vendor. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { OAuthClient } from './client.ts'
import {
  type OpenTokens,
  openTokens,
  ownerPrefix,
  readHeld,
  type Seat,
  connectionSeat,
  tenantPrefix,
  toHeld,
} from './record.ts'
import type { OAuthRoom, Owner } from './room.ts'

/** What the web and the operator need of a credential of users. */
export interface OAuthCredential {
  readonly client: OAuthClient
  /** The tokens kept in this process for this user are looked up anew. */
  forget(owner: Owner): void
}

/** By the credential's name in the configuration in force. */
export type CredentialsByName = (name: string) => OAuthCredential | undefined

export interface Connection {
  /** For `DELETE /api/connections/{id}`. */
  readonly id: string
  readonly tenant: string
  readonly subject: string
  readonly credential: string
  /** `reconnect`: the vendor has ended it, and the next call asks the user to sign in again. */
  readonly state: 'active' | 'reconnect'
  readonly scopes: readonly string[]
  /** The account at the vendor, when the vendor said; as a name, not as a key. */
  readonly account: string | undefined
  /** Milliseconds since the Unix epoch, like those below. */
  readonly createdAt: number
  readonly updatedAt: number
  /** When its access token ends; undefined when the vendor does not say. */
  readonly expiresAt: number | undefined
  /** Whether it goes on after that without the user. */
  readonly refreshable: boolean
}

interface ConnectionsPage {
  readonly connections: readonly Connection[]
  /** Give it as `after` for the next page; undefined on the last. */
  readonly next: string | undefined
}

export interface Connections {
  /** A page of a tenant's connections, by the hash of their owners. */
  list(tenant: string, after?: string): Promise<ConnectionsPage>
  /** All of one user's, up to `limits.connectionsPage`. */
  listOf(owner: Owner): Promise<readonly Connection[]>
  /** The user's own. `false` when there was none. */
  disconnect(owner: Owner, credential: string): Promise<boolean>
  /** By id, within a tenant: another tenant's is as good as absent. */
  disconnectById(tenant: string, id: string): Promise<boolean>
}

export function createConnections(room: OAuthRoom, credentials: CredentialsByName): Connections {
  const page = async (prefix: string, after: string | undefined): Promise<ConnectionsPage> => {
    const limit = limits.connectionsPage
    const rows = await room.records.list(prefix, after === undefined ? { limit } : { after: keyOf(after), limit })
    const connections = rows.map(({ key, value, version }) => toConnection(key, value, version))
    return { connections, next: rows.length < limit ? undefined : connections.at(-1)?.id }
  }
  return {
    list: (tenant, after) => page(tenantPrefix(tenant), after),
    listOf: async (owner) => (await page(ownerPrefix(owner), undefined)).connections,
    disconnect: (owner, credential) => end(room, credentials, connectionSeat(owner, credential)),
    async disconnectById(tenant, id) {
      const key = keyOf(id)
      if (!key.startsWith(tenantPrefix(tenant))) return false
      const found = await room.records.get(key)
      if (found === undefined) return false
      const { record } = toHeld(found.value, found.version)
      return end(room, credentials, connectionSeat(record, record.credential))
    },
  }
}

const idOf = (key: string): string => Buffer.from(key).toString('base64url')

/** An id from outside, as a key that can at least be looked for. */
function keyOf(id: string): string {
  const key = Buffer.from(id.slice(0, limits.recordKeyBytes * 2), 'base64url').toString('latin1')
  return /^[ -~]+$/.test(key) && key.length <= limits.recordKeyBytes ? key : '-'
}

function toConnection(key: string, value: string, version: number): Connection {
  const { record } = toHeld(value, version)
  return {
    id: idOf(key),
    tenant: record.tenant,
    subject: record.subject,
    credential: record.credential,
    state: record.state,
    scopes: record.scopes,
    account: record.account,
    createdAt: record.createdAt,
    updatedAt: record.updatedAt,
    expiresAt: record.lifetimeMs === undefined ? undefined : record.obtainedAt + record.lifetimeMs,
    refreshable: record.refreshable,
  }
}

/** Deleted here first, so that nothing uses it any more; then the vendor is told, which may fail. */
async function end(room: OAuthRoom, credentials: CredentialsByName, seat: Seat): Promise<boolean> {
  for (;;) {
    const held = await readHeld(room, seat)
    if (held === undefined) return false
    const { record, version } = held
    const tokens = await openTokens(room, seat, record).catch(() => undefined)
    // a refresh may have come in between: then it is the new tokens that have to be revoked
    if (!(await room.records.delete(seat.key, version))) continue
    const credential = credentials(record.credential)
    credential?.forget(record)
    const isSame = credential?.client.options.clientId === record.client
    const detail =
      tokens === undefined || !isSame ? 'not_revoked' : await revoke(credential.client, record.issuer, tokens)
    room.audit({
      at: room.clock.now(),
      act: 'disconnect',
      tenant: record.tenant,
      subject: record.subject,
      credential: record.credential,
      outcome: 'ok',
      detail,
    })
    return true
  }
}

/** RFC 7009 §2.1: with the refresh token the server ends the whole grant. */
async function revoke(client: OAuthClient, issuer: string, { access, refresh }: OpenTokens): Promise<string> {
  try {
    if ((await client.servers.current()).as.issuer !== issuer) return 'not_revoked'
    const told = await (refresh === undefined
      ? client.revoke(access, 'access_token')
      : client.revoke(refresh, 'refresh_token'))
    return told ? 'revoked' : 'no_endpoint'
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'internal') throw error
    return 'not_revoked'
  }
}
