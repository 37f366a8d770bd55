/** HTTP Basic authentication (RFC 7617): user name and password, UTF-8, in base64. */
import { Secret } from '../core/secret.ts'
import type { CredentialProvider } from './provider.ts'

export interface BasicOptions {
  readonly username: Secret
  readonly password: Secret
}

export function basic({ username, password }: BasicOptions): CredentialProvider {
  const pair = new Secret(Buffer.from(`${username.reveal()}:${password.reveal()}`).toString('base64'))
  return {
    kind: 'basic',
    place: { in: 'header', name: 'Authorization' },
    secrets: [password, pair],
    apply: (request) => ({
      ...request,
      headers: new Map(request.headers).set('authorization', `Basic ${pair.reveal()}`),
    }),
  }
}
