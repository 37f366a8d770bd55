/** Plain HTTP: the request signed, sent, and signed anew when its token was refused; a target may ask for more scopes. */
import { limits } from '../core/limits.ts'
import type { InboundResponse, OutboundRequest, Principal, Target } from '../core/model.ts'
import { type CredentialProvider, type Signed, sign } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import type { Delivered, Delivery, Transport } from './transport.ts'

/** `egress` is the way out that the target’s address was allowed for. */
export function httpTransport(target: Target, credential: CredentialProvider | undefined, egress: Egress): Transport {
  const send = ({ request }: Signed, { idempotent, signal, onPhase }: Delivery): Promise<InboundResponse> =>
    egress.channel(originOf(request, target)).send(request, {
      timeoutMs: target.timeoutMs,
      bodyBytes: limits.responseBodyBytes,
      repeatable: idempotent,
      signal,
      ...(onPhase === undefined ? {} : { onProgress: onPhase }),
    })

  return {
    async send(request, delivery): Promise<Delivered> {
      const { caller } = delivery
      const signed = await sign(request, credential, caller, target)
      let { secrets } = signed
      let response = await send(signed, delivery)
      if (await isRenewed(signed, response, caller)) {
        const again = await sign(request, credential, caller, target)
        secrets = [...secrets, ...again.secrets]
        response = await send(again, delivery)
      }
      const missing = credential?.stepUp === undefined ? [] : missingScopes(response)
      const more = missing.length === 0 ? undefined : await credential?.stepUp?.(caller, target, missing)
      if (more !== undefined) throw more
      return { response, secrets }
    },
  }

  /** RFC 9110 §15.5.2: a 401 was not processed, so whatever it asked for may be asked once more, with a newer token. */
  function isRenewed(
    { fingerprint }: Signed,
    response: InboundResponse,
    caller: Principal,
  ): boolean | Promise<boolean> {
    if (fingerprint === undefined || credential?.renew === undefined) return false
    if (!(credential.isRejection?.(response) ?? response.status === 401)) return false
    return credential.renew(caller, target, fingerprint, response)
  }
}

const originOf = ({ url }: OutboundRequest, { origin }: Target): string =>
  url.startsWith(`${origin}/`) ? origin : new URL(url).origin

/** The scopes that a target asks for besides (RFC 6750 §3.1); none for every other answer. */
function missingScopes({ status, headers }: InboundResponse): readonly string[] {
  if (status !== 403) return []
  const challenge = headers.get('www-authenticate') ?? ''
  if (!/\berror="?insufficient_scope"?/.test(challenge)) return []
  const scope = /\bscope="([\x21\x23-\x5b\x5d-\x7e ]{1,2048})"/.exec(challenge)?.[1] ?? ''
  return scope
    .split(' ')
    .filter((word) => word !== '')
    .slice(0, limits.scopes)
}
