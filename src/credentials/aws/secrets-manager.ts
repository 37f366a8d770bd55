/**
 * Secrets that are kept in AWS Secrets Manager: read when first needed, kept for some minutes, and for hours when AWS
 * cannot be asked. What refers to one secret shares its readings, so a user name and a password are of one version.
 */
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import type { SecretSource } from '../rotating.ts'
import { awsFault } from './fault.ts'
import { chainIdentity, clientConfig } from './identity.ts'
import { Kept } from './kept.ts'
import type { AwsRoom, IdentitySource } from './room.ts'

/** A secret, or a member of one whose text is a JSON object. */
interface SecretsManagerRef {
  /** Name or ARN. */
  readonly secretId: string
  readonly jsonKey?: string
  /** As AWS's own settings have it unless given. */
  readonly region?: string
  /** In place of AWS's own address for the region. */
  readonly endpoint?: string
}

export interface SecretsManager {
  /** The value as it is kept or read. Throws `token_refused` and `token_unavailable`. */
  resolve(ref: SecretsManagerRef): Promise<Secret>
  /** The next `resolve` reads anew. */
  forget(ref: SecretsManagerRef): void
  /** The same value for a credential that follows its changes. */
  source(ref: SecretsManagerRef): SecretSource
}

/** What a reading gave; the text of the secret is in it and never leaves it but as a `Secret`. */
class Text {
  readonly #text: Secret
  readonly #members = new Map<string, Secret>()

  constructor(text: Secret) {
    this.#text = text
  }

  equals(other: Text): boolean {
    return this.#text.equals(other.#text.reveal())
  }

  get(jsonKey: string | undefined): Secret {
    if (jsonKey === undefined) return this.#text
    const known = this.#members.get(jsonKey)
    if (known !== undefined) return known
    const member = new Secret(memberOf(this.#text.reveal(), jsonKey))
    this.#members.set(jsonKey, member)
    return member
  }
}

const refused = (words: string): GatewayError =>
  new GatewayError('token_refused', { words: `${words} Tell the operator.` })

function memberOf(text: string, jsonKey: string): string {
  const value = parsed(text)
  const member: unknown =
    typeof value === 'object' && value !== null && Object.hasOwn(value, jsonKey)
      ? (value as { readonly [name: string]: unknown })[jsonKey]
      : undefined
  if (typeof member !== 'string' || member === '')
    throw refused('A secret in AWS Secrets Manager has no text of the name that the configuration gives.')
  return member
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // without its cause: the parser quotes what it cannot read
    throw refused('A secret in AWS Secrets Manager is not JSON, and the configuration names a member of it.')
  }
}

/** `identity`: as whom AWS is asked; what its default chain finds unless given. */
export function secretsManager(room: AwsRoom, identity: IdentitySource = chainIdentity(room)): SecretsManager {
  const clientOf = rememberClients(room, identity)
  const texts = new Map<string, Kept<Text>>()

  const keptOf = (ref: SecretsManagerRef): Kept<Text> => {
    const { secretId, region, endpoint } = ref
    const name = JSON.stringify([secretId, region, endpoint])
    let kept = texts.get(name)
    if (kept === undefined) {
      if (texts.size >= limits.awsSecretsKept)
        throw new GatewayError('over_limit', { words: `At most ${limits.awsSecretsKept} secrets are read from AWS.` })
      kept = new Kept<Text>(room.clock, {
        read: async () => ({
          value: new Text(await readText(clientOf, ref)),
          freshMs: limits.awsSecretMs,
          goodMs: limits.awsSecretGoodMs,
        }),
        same: (one, other) => one.equals(other),
        onStale: (error) => room.log.warn({ error }, 'a secret could not be read anew from AWS; the old value is used'),
      })
      texts.set(name, kept)
    }
    return kept
  }

  return {
    resolve: async (ref) => (await keptOf(ref).get()).get(ref.jsonKey),
    forget: (ref) => keptOf(ref).forget(),
    source: (ref) => sourceOf(keptOf(ref), ref.jsonKey),
  }
}

function sourceOf(kept: Kept<Text>, jsonKey: string | undefined): SecretSource {
  let last: Secret | undefined
  /** A secret may change in other members only. */
  const pick = (text: Text): Secret => {
    const value = text.get(jsonKey)
    if (last === undefined || (last !== value && !last.equals(value.reveal()))) last = value
    return last
  }
  return {
    current: () => {
      const text = kept.get()
      return text instanceof Promise ? text.then(pick) : pick(text)
    },
    renew: (rejected) => kept.renew((text) => pick(text).equals(rejected.reveal())),
  }
}

type ClientOf = (ref: SecretsManagerRef) => Promise<SecretsManagerClient>

function rememberClients(room: AwsRoom, identity: IdentitySource): ClientOf {
  const clients = new Map<string, SecretsManagerClient>()
  return async ({ region, endpoint }) => {
    const { SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager')
    const name = JSON.stringify([region, endpoint])
    const known = clients.get(name)
    if (known !== undefined) return known
    const client = new SecretsManagerClient({
      ...clientConfig(room, identity),
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
    })
    clients.set(name, client)
    return client
  }
}

async function readText(clientOf: ClientOf, ref: SecretsManagerRef): Promise<Secret> {
  try {
    const client = await clientOf(ref)
    const { GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager')
    const got = await client.send(new GetSecretValueCommand({ SecretId: ref.secretId }))
    const bytes = got.SecretString === undefined ? got.SecretBinary : Buffer.from(got.SecretString)
    if (bytes === undefined || bytes.byteLength === 0) throw refused('A secret in AWS Secrets Manager is empty.')
    if (bytes.byteLength > limits.secretBytes) throw refused('A secret in AWS Secrets Manager is too large.')
    return new Secret(textOf(bytes))
  } catch (error) {
    throw awsFault(error, 'reading a secret')
  }
}

/** White space at its ends is left out, as it is of a file's. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).trim()
  } catch {
    throw refused('A secret in AWS Secrets Manager is not text.')
  }
}
