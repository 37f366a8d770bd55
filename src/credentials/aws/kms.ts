/**
 * A vault key that AWS KMS holds and never gives away: data keys go there to be wrapped and unwrapped. What is opened
 * often (tokens, secrets in use) is kept in the process, so KMS is asked when something is first used or written.
 */
import type { KMSClient } from '@aws-sdk/client-kms'
import { GatewayError } from '../../core/errors.ts'
import type { KeyWrapper } from '../../vault/keyring.ts'
import { awsFault } from './fault.ts'
import { chainIdentity, clientConfig } from './identity.ts'
import type { AwsRoom, IdentitySource } from './room.ts'

export interface KmsRef {
  /** Id or ARN of a symmetric key; an alias would open nothing any more once it points elsewhere. */
  readonly keyId: string
  readonly region?: string | undefined
  /** In place of AWS's own address. */
  readonly endpoint?: string | undefined
}

/** Bound to each wrapping; part of what KMS logs. */
const context = { purpose: 'toolgate vault' }

/** Throws `bad_config` for a name that is no key's; nothing is asked before the first use. */
export function kmsKey(ref: KmsRef, room: AwsRoom, identity: IdentitySource = chainIdentity(room)): KeyWrapper {
  if (!/^[\x21-\x7e]{1,190}$/.test(ref.keyId) || /(?:^|:)alias\//.test(ref.keyId))
    throw new GatewayError('bad_config', { words: 'vault: a KMS key is named by its id or ARN, not by an alias.' })
  let made: Promise<KMSClient> | undefined
  const client = (): Promise<KMSClient> => {
    made ??= newClient(ref, room, identity)
    return made
  }
  return {
    id: `kms:${ref.keyId}`,
    async wrap(dataKey) {
      try {
        const { EncryptCommand } = await import('@aws-sdk/client-kms')
        const input = { KeyId: ref.keyId, Plaintext: dataKey, EncryptionContext: context }
        const { CiphertextBlob } = await (await client()).send(new EncryptCommand(input))
        return present(CiphertextBlob)
      } catch (error) {
        throw awsFault(error, 'using the vault’s key in KMS')
      }
    },
    async unwrap(wrapped) {
      try {
        const { DecryptCommand } = await import('@aws-sdk/client-kms')
        const input = { KeyId: ref.keyId, CiphertextBlob: wrapped, EncryptionContext: context }
        const { Plaintext } = await (await client()).send(new DecryptCommand(input))
        return present(Plaintext)
      } catch (error) {
        throw awsFault(error, 'using the vault’s key in KMS')
      }
    },
  }
}

const present = (bytes: Uint8Array | undefined): Uint8Array => {
  if (bytes === undefined) throw new GatewayError('token_unavailable')
  return bytes
}

async function newClient({ region, endpoint }: KmsRef, room: AwsRoom, identity: IdentitySource): Promise<KMSClient> {
  const { KMSClient } = await import('@aws-sdk/client-kms')
  return new KMSClient({
    ...clientConfig(room, identity),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
  })
}
