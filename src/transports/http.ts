/** Plain HTTP: the request signed and sent as it is. */
import { limits } from '../core/limits.ts'
import type { OutboundRequest, Target } from '../core/model.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import { signedTransport } from './signed.ts'
import type { Delivered, Transport } from './transport.ts'

/** `egress` is the way out that the target’s address was allowed for. */
export function httpTransport(target: Target, credential: CredentialProvider | undefined, egress: Egress): Transport {
  return signedTransport(target, credential, async (request, { idempotent, signal, onPhase }) => {
    const response = await egress.channel(originOf(request, target)).send(request, {
      timeoutMs: target.timeoutMs,
      bodyBytes: limits.responseBodyBytes,
      repeatable: idempotent,
      signal,
      ...(onPhase === undefined ? {} : { onProgress: onPhase }),
    })
    return { response, secrets: none }
  })
}

const none: Delivered['secrets'] = []

const originOf = ({ url }: OutboundRequest, { origin }: Target): string =>
  url.startsWith(`${origin}/`) ? origin : new URL(url).origin
