/** The words of the AWS half: what it needs of the gateway, and as whom it speaks to AWS. */
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Secret } from '../../core/secret.ts'
import type { Egress } from '../../egress/fetch.ts'

/** What the room has of the gateway. */
export interface AwsRoom {
  readonly egress: Egress
  readonly clock: Clock
  readonly log: Pick<Log, 'warn'>
  /** Whether AWS's default chain may be asked for credentials; it may unless this is false. See `chainIdentity`. */
  readonly chain?: boolean
}

/** An access key, with the token of its session when it has one. */
export interface AwsIdentity {
  /** Not secret, and never the same for two sessions: it names the identity. */
  readonly accessKeyId: string
  readonly secretAccessKey: Secret
  readonly sessionToken?: Secret
  /** Milliseconds since the Unix epoch. */
  readonly expiresAt?: number
}

/** Where an identity comes from. */
export interface IdentitySource {
  /** Without a promise when it is at hand. Throws `token_refused` and `token_unavailable`. */
  current(): AwsIdentity | Promise<AwsIdentity>
  /** After AWS refused the identity with this access key id: whether there is another. */
  renew(rejected: string): Promise<boolean>
}
