/** What a target's answer says of the credential that it was asked with. */
import { limits } from '../core/limits.ts'
import type { InboundResponse, Principal, Target } from '../core/model.ts'
import type { CredentialProvider, Signed } from '../credentials/provider.ts'

/** RFC 9110 §15.5.2: a 401 was not processed, so whatever it asked for may be asked once more, with a newer token. */
export function isRenewed(
  credential: CredentialProvider | undefined,
  { fingerprint }: Signed,
  response: InboundResponse,
  caller: Principal,
  target: Target,
): boolean | Promise<boolean> {
  if (fingerprint === undefined || credential?.renew === undefined) return false
  if (!(credential.isRejection?.(response) ?? response.status === 401)) return false
  return credential.renew(caller, target, fingerprint, response)
}

/** The scopes that a target asks for besides (RFC 6750 §3.1); none for every other answer. */
export function missingScopes({ status, headers }: InboundResponse): readonly string[] {
  if (status !== 403) return []
  const challenge = headers.get('www-authenticate') ?? ''
  if (!/\berror="?insufficient_scope"?/.test(challenge)) return []
  const scope = /\bscope="([\x21\x23-\x5b\x5d-\x7e ]{1,2048})"/.exec(challenge)?.[1] ?? ''
  return scope
    .split(' ')
    .filter((word) => word !== '')
    .slice(0, limits.scopes)
}
