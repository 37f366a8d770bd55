/** The port of a credential kind, and the one place where a request is signed. */
import type { OutboundRequest, Principal, Target } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'

/** A way to act at a target. It is shown who asks, never the caller's own token. */
export interface CredentialProvider {
  readonly kind: string
  /** Where it goes, so that no argument can take its place. */
  readonly place: { readonly in: 'header' | 'query' | 'cookie'; readonly name: string }
  /** The request with the credential on it. */
  apply(request: OutboundRequest, who: Principal, target: Target): OutboundRequest | Promise<OutboundRequest>
  /** What must never come back to a caller, in each form that it was sent in. */
  readonly secrets: readonly Secret[]
}

/** Signs a request that goes to the target's own origin; one that goes elsewhere leaves without the credential. */
export function sign(
  request: OutboundRequest,
  credential: CredentialProvider | undefined,
  who: Principal,
  target: Target,
): OutboundRequest | Promise<OutboundRequest> {
  if (credential === undefined || !isWithin(request.url, target.origin)) return request
  return credential.apply(request, who, target)
}

const isWithin = (url: string, origin: string): boolean =>
  url.startsWith(origin) && (url.length === origin.length || url[origin.length] === '/' || url[origin.length] === '?')
