/** HTTP Basic authentication (RFC 7617): user name and password, UTF-8, in base64. */
import { Secret } from '../core/secret.ts'
import type { CredentialProvider } from './provider.ts'

export interface BasicOptions {
  readonly username: Secret
  readonly password: Secret
}

export function basic({ username, password }: BasicOptions): CredentialProvider {
  const pair = new Secret(Buffer.from(`${username.reveal()}:${password.reveal()}`).toString('base64'))
  // some vendors take a key as the user name, so it is as secret as the password
  const secrets = [username, password, pair]
  return {
    kind: 'basic',
    place: { in: 'header', name: 'Authorization' },
    apply: (request) => ({
      request: {
        ...request,
        headers: new Map(request.headers).set('authorization', `Basic ${pair.reveal()}`),
      },
      secrets,
    }),
  }
}
