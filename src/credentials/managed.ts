/** A secret of the vault, followed: what `toolgate secret set` changes is used a moment later, here and on every replica. */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Secret } from '../core/secret.ts'
import type { ManagedSecrets } from '../vault/secrets.ts'
import type { SecretSource } from './rotating.ts'

export function followSecret(name: string, secrets: Pick<ManagedSecrets, 'get'>, clock: Clock): SecretSource {
  let held: { readonly secret: Secret; readonly at: number } | undefined
  let reading: Promise<Secret> | undefined

  const read = async (): Promise<Secret> => {
    const found = await secrets.get(name)
    if (found === undefined)
      throw new GatewayError('token_refused', {
        words: 'The secret of this target’s credential is not there. Tell the operator.',
        cause: new Error(`the vault has no secret ${name}: toolgate secret set ${name}`),
      })
    // The same object as long as it is the same, so that what was made of it need not be made again.
    const secret = held?.secret.isSame(found) === true ? held.secret : found
    held = { secret, at: clock.monotonic() }
    return secret
  }
  const again = (): Promise<Secret> => {
    reading ??= read().finally(() => {
      reading = undefined
    })
    return reading
  }
  return {
    current: () => (held !== undefined && clock.monotonic() - held.at < limits.managedSecretMs ? held.secret : again()),
    async renew(rejected) {
      return !(await again()).isSame(rejected)
    },
  }
}
