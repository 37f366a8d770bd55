/** Plain HTTP: the request, signed, to the target’s own origin. */
import { limits } from '../core/limits.ts'
import type { OutboundRequest, Target } from '../core/model.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import { signedTransport } from './signed.ts'
import type { Delivered, Transport } from './transport.ts'

const none: Delivered['secrets'] = []

/** `egress` is the way out that the target’s address was allowed for. */
export const httpTransport = (target: Target, credential: CredentialProvider | undefined, egress: Egress): Transport =>
  signedTransport(target, credential, async (request, { idempotent, signal, onPhase }) => {
    const response = await egress.channel(originOf(request, target)).send(request, {
      timeoutMs: target.timeoutMs,
      bodyBytes: limits.responseBodyBytes,
      repeatable: idempotent,
      signal,
      ...(onPhase === undefined ? {} : { onProgress: onPhase }),
    })
    return { response, secrets: none }
  })

const originOf = ({ url }: OutboundRequest, { origin }: Target): string =>
  url.startsWith(`${origin}/`) ? origin : new URL(url).origin
