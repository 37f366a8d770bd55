/** As whom the gateway speaks to AWS: with a key that is given, with what AWS's default chain finds, or in a role. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import { awsFault } from './fault.ts'
import { egressHandler } from './handler.ts'
import { Kept, type Source } from './kept.ts'
import type { AwsIdentity, AwsRoom, IdentitySource } from './room.ts'

/** A key that is what it is. */
export const fixedIdentity = (identity: AwsIdentity): IdentitySource => ({
  current: () => identity,
  renew: async () => false,
})

/**
 * What AWS's default chain finds: the environment, the shared files (whose `credential_process` may run a program), a
 * web identity, a container's or an instance's metadata service. The chain's own clients of STS and SSO go out as
 * everything does. Its look-ups at metadata services do not: those are plain http at link-local addresses that nobody
 * configures, known to the chain alone, and no caller can name one. `chain: false` forbids the chain altogether.
 */
export function chainIdentity(room: AwsRoom, region?: string): IdentitySource {
  if (room.chain === false)
    throw new GatewayError('bad_config', {
      words: 'An AWS credential without a key of its own needs AWS’s default chain, and that is switched off.',
    })
  let chain: (() => Promise<SdkIdentity>) | undefined
  return keptIdentity(room, {
    async read(again) {
      try {
        if (chain === undefined || again) chain = await newChain(room, region)
        const identity = fromSdk(await chain())
        const remainingMs = remainingOf(identity, room)
        // the chain keeps it, too, and renews it; it is asked now and then
        return { value: identity, freshMs: Math.min(limits.awsChainMs, remainingMs), goodMs: remainingMs }
      } catch (error) {
        throw awsFault(error, 'looking for the gateway’s own AWS identity')
      }
    },
  })
}

/** Milliseconds; what carries no end stays good. */
const remainingOf = ({ expiresAt }: AwsIdentity, { clock }: AwsRoom): number =>
  expiresAt === undefined ? Infinity : Math.max(0, expiresAt - clock.now() - limits.awsLeewayMs)

async function newChain(room: AwsRoom, region: string | undefined): Promise<() => Promise<SdkIdentity>> {
  const { fromNodeProviderChain } = await import('@aws-sdk/credential-providers')
  return fromNodeProviderChain({
    ignoreCache: true,
    logger: silent,
    clientConfig: {
      requestHandler: egressHandler(room.egress),
      logger: silent,
      ...(region === undefined ? {} : { region }),
    },
  })
}

const nothing = (): undefined => undefined

/** The SDK has no say in what goes to the log. */
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

export interface RoleOptions {
  readonly roleArn: string
  /** Shows in AWS's own records of what was done. */
  readonly sessionName: string
  readonly region: string
  /** In place of AWS's own address for the region. */
  readonly endpoint?: string
}

/** A session in a role (STS AssumeRole), renewed before it ends. */
export function roleIdentity(role: RoleOptions, base: IdentitySource, room: AwsRoom): IdentitySource {
  let assume: (() => Promise<AwsIdentity>) | undefined
  return keptIdentity(room, {
    async read() {
      try {
        assume ??= await newAssume(role, base, room)
        const identity = await assume()
        // what was asked for is what was given, so a clock that is off does no harm
        const goodMs = limits.awsSessionMs - limits.awsLeewayMs
        return { value: identity, freshMs: goodMs - limits.awsEarlyMs, goodMs }
      } catch (error) {
        throw awsFault(error, 'assuming the role')
      }
    },
  })
}

async function newAssume(
  { roleArn, sessionName, region, endpoint }: RoleOptions,
  base: IdentitySource,
  room: AwsRoom,
): Promise<() => Promise<AwsIdentity>> {
  const { AssumeRoleCommand, STSClient } = await import('@aws-sdk/client-sts')
  const client = new STSClient({
    ...clientConfig(room, base),
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
  })
  const command = { RoleArn: roleArn, RoleSessionName: sessionName, DurationSeconds: limits.awsSessionMs / 1_000 }
  return async () => {
    const { Credentials: got } = await client.send(new AssumeRoleCommand(command))
    return fromSdk({
      accessKeyId: got?.AccessKeyId ?? '',
      secretAccessKey: got?.SecretAccessKey ?? '',
      ...(got?.SessionToken === undefined ? {} : { sessionToken: got.SessionToken }),
    })
  }
}

/** What AWS's clients are all made with. */
export const clientConfig = (room: AwsRoom, identity: IdentitySource) => ({
  requestHandler: egressHandler(room.egress),
  credentials: async (): Promise<SdkIdentity> => toSdk(await identity.current(), room),
  maxAttempts: limits.awsAttempts,
  logger: silent,
})

/** The SDK's `AwsCredentialIdentity`. */
interface SdkIdentity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly expiration?: Date
}

/** The SDK asks again when it is over, so it is over soon: whoever is asked is the one who keeps it. */
const toSdk = ({ accessKeyId, secretAccessKey, sessionToken }: AwsIdentity, { clock }: AwsRoom): SdkIdentity => ({
  accessKeyId,
  secretAccessKey: secretAccessKey.reveal(),
  ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
  expiration: new Date(clock.now()),
})

function fromSdk({ accessKeyId, secretAccessKey, sessionToken, expiration }: SdkIdentity): AwsIdentity {
  if (accessKeyId === '' || secretAccessKey === '') throw new GatewayError('token_unavailable')
  return {
    accessKeyId,
    secretAccessKey: new Secret(secretAccessKey),
    ...(sessionToken === undefined || sessionToken === '' ? {} : { sessionToken: new Secret(sessionToken) }),
    ...(expiration === undefined ? {} : { expiresAt: expiration.getTime() }),
  }
}

function keptIdentity({ clock, log }: AwsRoom, source: Pick<Source<AwsIdentity>, 'read'>): IdentitySource {
  const kept = new Kept<AwsIdentity>(clock, {
    ...source,
    // whoever gets the same key again goes on with what was made of it
    same: (one, other) =>
      one.accessKeyId === other.accessKeyId &&
      one.secretAccessKey.equals(other.secretAccessKey.reveal()) &&
      one.sessionToken?.reveal() === other.sessionToken?.reveal(),
    onStale: (error) => log.warn({ error }, 'the AWS identity could not be renewed; the old one is used'),
  })
  return {
    current: () => kept.get(),
    renew: (rejected) => kept.renew(({ accessKeyId }) => accessKeyId === rejected),
  }
}
