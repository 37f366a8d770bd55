/** What the pages for users’ browsers need of the gateway, and the few words that they share. */
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import type { Confirmations } from '../../credentials/oauth/confirmation.ts'
import type { Connections, CredentialsByName } from '../../credentials/oauth/connections.ts'
import type { SignIns } from '../../credentials/oauth/flow.ts'
import type { AuditEvent, Owner } from '../../credentials/oauth/room.ts'
import type { Guard } from '../../mcp/guard.ts'
import type { Seal } from '../../mcp/seal.ts'
import type { Records } from '../../store/records.ts'
import type { Identity } from './identity.ts'

/** How callers are known, as far as it decides how their browsers are. */
export interface Callers {
  /** With `inbound: none`: the one principal that everyone on this machine is. */
  readonly everyone: Owner | undefined
  /** The identity providers at which the gateway is a client. Callers of none of them type a code. */
  readonly identities: readonly Identity[]
}

export interface ConnectRoom {
  /** The gateway’s name, on top of each page. */
  readonly name: string
  /** Where browsers reach the gateway: links, redirect URIs and the only origin whose forms are taken come from it. */
  readonly publicUrl: string
  readonly signIns: SignIns
  readonly connections: Pick<Connections, 'listOf' | 'disconnect'>
  readonly credentials: CredentialsByName
  readonly confirmations: Confirmations
  /** By the configuration in force. */
  readonly callers: () => Callers
  /** How a caller would be called by people, for example by the name of a key. `undefined`: by its subject. */
  readonly nameOf: (owner: Owner) => string | undefined | Promise<string | undefined>
  readonly records: Records
  /** Closes cookies and form tokens: with the same key in every replica. */
  readonly seal: Seal
  /** Which `Host` values are ours. */
  readonly guard: Guard
  readonly clock: Clock
  /** A fresh text of at least 128 random bits, letters, digits, `-` and `_` only. */
  readonly random: () => string
  readonly audit: (event: AuditEvent) => void
  readonly log: Log
}

export const isSame = (one: Owner, other: Owner): boolean =>
  one.tenant === other.tenant && one.subject === other.subject

/** What an account is at, as people call it: the vendor, or the name in the configuration. */
export const serviceOf = ({ credentials }: Pick<ConnectRoom, 'credentials'>, credential: string): string =>
  credentials(credential)?.client.servers.vendor?.title ?? credential

/** `sub at issuer` for the subject of a token, any other as it is. */
export function readable(subject: string): string {
  const [, host, name] = /^https?:\/\/([^/|]+)[^|]*\|(.+)$/.exec(subject) ?? []
  return host === undefined || name === undefined ? subject : `${name} at ${host}`
}
