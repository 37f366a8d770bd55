/** Credentials of the configuration, with their secrets found → what signs the calls. */
import type { Secret } from '../core/secret.ts'
import type { ApiKeyOptions } from '../credentials/api-key.ts'
import type { BasicOptions } from '../credentials/basic.ts'
import type { OAuthOptions, OAuthRoom } from '../credentials/oauth/room.ts'
import type { OAuthProvider } from '../credentials/oauth2.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import { credentialKinds } from '../registry.ts'
import type { CredentialConfig, SecretRef } from './schema.ts'

/** What a credential is made of, nothing left to look up. */
export type CredentialOptions =
  | { readonly kind: 'apiKey'; readonly options: ApiKeyOptions }
  | { readonly kind: 'basic'; readonly options: BasicOptions }
  | { readonly kind: 'oauth2'; readonly options: OAuthOptions }

export type FindSecret = (ref: SecretRef, path: string) => Secret

/** The options of the entry called `name`. Throws what `secret` throws. */
export function credentialOptions(name: string, entry: CredentialConfig, secret: FindSecret): CredentialOptions {
  const at = (key: string): string => `credentials.${name}.${key}`
  switch (entry.type) {
    case 'apiKey': {
      const { type: _type, value, ...rest } = entry
      return { kind: 'apiKey', options: { ...defined(rest), value: secret(value, at('value')) } }
    }
    case 'basic': {
      const [username, password] = [secret(entry.username, at('username')), secret(entry.password, at('password'))]
      return { kind: 'basic', options: { username, password } }
    }
    case 'oauth2':
      return { kind: 'oauth2', options: oauthOptions(name, entry, secret, at) }
  }
}

function oauthOptions(
  name: string,
  entry: Extract<CredentialConfig, { type: 'oauth2' }>,
  secret: FindSecret,
  at: (key: string) => string,
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
    ...(clientSecret === undefined ? {} : { clientSecret: secret(clientSecret, at('clientSecret')) }),
    ...(privateKey === undefined ? {} : { privateKey: secret(privateKey, at('privateKey')) }),
    ...(assertion === undefined
      ? {}
      : { assertion: { ...defined(assertion), claims: new Map(Object.entries(assertion.claims)) } }),
    ...(actorToken === undefined
      ? {}
      : {
          actorToken: {
            token: secret(actorToken.token, at('actorToken.token')),
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

export interface Providers {
  readonly all: ReadonlyMap<string, CredentialProvider>
  /** Those with grants of users or of the service itself, by the credential's name. */
  readonly oauth: ReadonlyMap<string, OAuthProvider>
}

/** Throws `bad_config` for options that cannot work. */
export function createProviders(options: Iterable<readonly [string, CredentialOptions]>, room: OAuthRoom): Providers {
  const oauth = new Map<string, OAuthProvider>()
  const all = new Map<string, CredentialProvider>()
  for (const [name, entry] of options) {
    switch (entry.kind) {
      case 'apiKey':
        all.set(name, credentialKinds.apiKey(entry.options))
        break
      case 'basic':
        all.set(name, credentialKinds.basic(entry.options))
        break
      case 'oauth2': {
        const provider = credentialKinds.oauth2(entry.options, room)
        oauth.set(name, provider)
        all.set(name, provider)
      }
    }
  }
  return { all, oauth }
}
