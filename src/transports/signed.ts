/** A request signed, carried, and signed anew when its token was refused; a target may ask for more scopes. */
import type { OutboundRequest, Target } from '../core/model.ts'
import { type CredentialProvider, sign } from '../credentials/provider.ts'
import { isRenewed, missingScopes } from './rejection.ts'
import type { Delivered, Delivery, Transport } from './transport.ts'

/**
 * `carry` brings a signed request to the target, and is told what it was signed with; what it was asked by besides comes
 * back with its answer.
 */
export function signedTransport(
  target: Target,
  credential: CredentialProvider | undefined,
  carry: (request: OutboundRequest, delivery: Delivery, secrets: Delivered['secrets']) => Promise<Delivered>,
): Transport {
  return {
    async send(request, delivery): Promise<Delivered> {
      const { caller } = delivery
      const signed = await sign(request, credential, caller, target)
      let made = withSecrets(await carry(signed.request, delivery, signed.secrets), signed.secrets)
      if (await isRenewed(credential, signed, made.response, caller, target)) {
        const again = await sign(request, credential, caller, target)
        made = withSecrets(await carry(again.request, delivery, again.secrets), [...made.secrets, ...again.secrets])
      }
      const missing = credential?.stepUp === undefined ? [] : missingScopes(made.response)
      const more = missing.length === 0 ? undefined : await credential?.stepUp?.(caller, target, missing)
      if (more !== undefined) throw more
      return made
    },
  }
}

const withSecrets = ({ response, secrets }: Delivered, more: Delivered['secrets']): Delivered =>
  secrets.length === 0 ? { response, secrets: more } : { response, secrets: [...more, ...secrets] }
