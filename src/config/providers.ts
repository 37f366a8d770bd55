/**
 * Credentials of the configuration → what signs the calls. Secrets of the environment and of files were found with the
 * configuration; those of the vault and of Secrets Manager are looked up when they are needed, and followed.
 */
import type { Secret } from '../core/secret.ts'
import type { ApiKeyOptions } from '../credentials/api-key.ts'
import type { AwsRoom } from '../credentials/aws/room.ts'
import type { SecretsManager } from '../credentials/aws/secrets-manager.ts'
import type { BasicOptions } from '../credentials/basic.ts'
import type { OAuthOptions, OAuthRoom } from '../credentials/oauth/room.ts'
import type { OAuthProvider } from '../credentials/oauth2.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import { rotating, type SecretSource } from '../credentials/rotating.ts'
import type { SigV4Options } from '../credentials/sigv4.ts'
import { credentialKinds } from '../registry.ts'
import type { AnySecretRef, CredentialConfig, SecretRef } from './schema.ts'

type Entry<K extends CredentialConfig['type']> = Extract<CredentialConfig, { type: K }>

/** What the kinds need of the gateway. */
export interface ProviderRoom extends OAuthRoom, AwsRoom {
  /** A managed secret that is followed. */
  readonly managed: (name: string) => SecretSource
  readonly manager: SecretsManager
}

export interface Providers {
  readonly all: ReadonlyMap<string, CredentialProvider>
  /** Those with grants of users or of the service itself, by the credential's name. */
  readonly oauth: ReadonlyMap<string, OAuthProvider>
}

/** References of an entry to secrets, by the path of each in the file. */
export function referencesOf(name: string, entry: CredentialConfig): readonly (readonly [string, AnySecretRef])[] {
  const named: { readonly [key: string]: AnySecretRef | undefined } =
    entry.type === 'apiKey'
      ? { value: entry.value }
      : entry.type === 'basic'
        ? { username: entry.username, password: entry.password }
        : entry.type === 'oauth2'
          ? {
              clientSecret: entry.clientSecret,
              privateKey: entry.privateKey,
              'actorToken.token': entry.actorToken?.token,
            }
          : {
              accessKeyId: entry.accessKeyId,
              secretAccessKey: entry.secretAccessKey,
              sessionToken: entry.sessionToken,
            }
  return Object.entries(named).flatMap(([key, ref]) =>
    ref === undefined ? [] : [[`credentials.${name}.${key}`, ref] as const],
  )
}

export const isFixed = (ref: AnySecretRef): ref is SecretRef => 'env' in ref || 'file' in ref

type Find = (key: string) => Secret

/** Throws `bad_config` for options that cannot work. `found` has the fixed secrets by their paths. */
export function createProviders(
  entries: { readonly [name: string]: CredentialConfig },
  found: ReadonlyMap<string, Secret>,
  room: ProviderRoom,
): Providers {
  const oauth = new Map<string, OAuthProvider>()
  const all = new Map<string, CredentialProvider>()
  for (const [name, entry] of Object.entries(entries)) {
    const sources = new Map(
      referencesOf(name, entry).flatMap(([path, ref]) => (isFixed(ref) ? [] : [[path, sourceOf(ref, room)] as const])),
    )
    const find =
      (values: ReadonlyMap<string, Secret>): Find =>
      (key) => {
        const path = `credentials.${name}.${key}`
        const secret = values.get(path) ?? found.get(path)
        if (secret === undefined) throw new TypeError(`the secret ${path} was not looked up`)
        return secret
      }
    if (entry.type === 'oauth2') {
      const source = sources.get(`credentials.${name}.clientSecret`)
      const provider = credentialKinds.oauth2(oauthOptions(name, entry, find(found), source), room)
      oauth.set(name, provider)
      all.set(name, provider)
    } else
      all.set(
        name,
        sources.size === 0
          ? simple(entry, find(found), room)
          : rotating({
              kind: entry.type,
              place: placeOf(entry),
              sources,
              make: (values) => simple(entry, find(values), room),
            }),
      )
  }
  return { all, oauth }
}

const sourceOf = (ref: Exclude<AnySecretRef, SecretRef>, room: ProviderRoom): SecretSource =>
  'vault' in ref ? room.managed(ref.vault) : room.manager.source(defined(ref.secretsManager))

const placeOf = (entry: Entry<'apiKey' | 'basic' | 'sigv4'>): CredentialProvider['place'] =>
  entry.type === 'apiKey' ? { in: entry.in, name: entry.name } : { in: 'header', name: 'Authorization' }

function simple(entry: Entry<'apiKey' | 'basic' | 'sigv4'>, secret: Find, room: AwsRoom): CredentialProvider {
  switch (entry.type) {
    case 'apiKey': {
      const { type: _type, value: _value, ...rest } = entry
      const options: ApiKeyOptions = { ...defined(rest), value: secret('value') }
      return credentialKinds.apiKey(options)
    }
    case 'basic': {
      const options: BasicOptions = { username: secret('username'), password: secret('password') }
      return credentialKinds.basic(options)
    }
    case 'sigv4': {
      const { type: _type, accessKeyId, secretAccessKey, sessionToken, ...rest } = entry
      const options: SigV4Options = {
        ...defined(rest),
        ...(accessKeyId === undefined ? {} : { accessKeyId: secret('accessKeyId') }),
        ...(secretAccessKey === undefined ? {} : { secretAccessKey: secret('secretAccessKey') }),
        ...(sessionToken === undefined ? {} : { sessionToken: secret('sessionToken') }),
      }
      return credentialKinds.sigv4(options, room)
    }
  }
}

function oauthOptions(
  name: string,
  entry: Entry<'oauth2'>,
  secret: Find,
  source: SecretSource | undefined,
): OAuthOptions {
  const {
    type: _type,
    vendor,
    vendorParameters,
    clientSecret,
    privateKey,
    parameters,
    assertion,
    actorToken,
    ...rest
  } = entry
  return {
    ...defined(rest),
    name,
    ...(vendor === undefined || vendor === 'custom' ? {} : { vendor }),
    vendorParameters: new Map(Object.entries(vendorParameters)),
    parameters: {
      authorization: new Map(Object.entries(parameters.authorization)),
      token: new Map(Object.entries(parameters.token)),
    },
    ...(clientSecret === undefined ? {} : { clientSecret: source ?? secret('clientSecret') }),
    ...(privateKey === undefined ? {} : { privateKey: secret('privateKey') }),
    ...(assertion === undefined
      ? {}
      : { assertion: { ...defined(assertion), claims: new Map(Object.entries(assertion.claims)) } }),
    ...(actorToken === undefined
      ? {}
      : {
          actorToken: {
            token: secret('actorToken.token'),
            ...(actorToken.type === undefined ? {} : { type: actorToken.type }),
          },
        }),
  }
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Without the members that are there but undefined. */
const defined = <T extends object>(value: T): Defined<T> =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>
