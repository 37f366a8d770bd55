/** The port of a credential kind, and the one place where a request is signed. */
import type { CancelSignal } from '../core/cancel.ts'
import { GatewayError } from '../core/errors.ts'
import type { InboundResponse, OutboundRequest, Principal, Target } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'

/** A request as it leaves. */
export interface Signed {
  readonly request: OutboundRequest
  /** What it was signed with, in each form that was sent: none of it must come back to a caller. */
  readonly secrets: readonly Secret[]
  /** Names the token in it without telling it; given by kinds that can renew one. */
  readonly fingerprint?: string
}

/** A way to act at a target. It is shown who asks, never the caller's own token. */
export interface CredentialProvider {
  readonly kind: string
  /** Where it goes, so that no argument can take its place. */
  readonly place: { readonly in: 'header' | 'query' | 'cookie'; readonly name: string }
  /** The request with the credential on it; without a promise where nothing has to be waited for. */
  apply(request: OutboundRequest, who: Principal, target: Target): Signed | Promise<Signed>
  /**
   * After a rejection of a request with this fingerprint: whether another token is there to try, once. Throws
   * `ConnectionRequired` when only the user can help.
   */
  renew?(who: Principal, target: Target, rejected: string, response?: InboundResponse): Promise<boolean>
  /** Whether an answer says that the credential will not do; a 401 does, unless a kind knows better. */
  isRejection?(response: InboundResponse): boolean
  /** A sign-in for this caller, whether connected or not; its scopes are those that are needed now, with `more`. */
  connect?(who: Principal, target: Target, more: readonly string[]): Promise<ConnectionRequired>
  /** After a target refused for want of scopes: a sign-in for them, where they may be had and are not there already. */
  stepUp?(who: Principal, target: Target, scopes: readonly string[]): Promise<ConnectionRequired | undefined>
  /** Waits until the sign-in is over or `ms` have passed: whether it ended in a connection. */
  awaitConnection?(who: Principal, pendingId: string, ms: number, signal: CancelSignal): Promise<boolean>
}

/** Only the user can go on: by signing in, in a browser, at the page of the pending sign-in. */
export class ConnectionRequired extends GatewayError {
  /** The credential's name in the configuration. */
  readonly credential: string
  /** The target that was called. */
  readonly target: string
  /** What the user will be asked to allow. */
  readonly scopes: readonly string[]
  /** Leads to the pending sign-in (`/connect/{pendingId}`); of no use to anyone but the caller it was made for. */
  readonly pendingId: string

  constructor(credential: string, target: string, scopes: readonly string[], pendingId: string) {
    super('connection_required')
    this.name = 'ConnectionRequired'
    this.credential = credential
    this.target = target
    this.scopes = scopes
    this.pendingId = pendingId
  }
}

const none: readonly Secret[] = []

/** Signs a request that goes to the target's own origin; one that goes elsewhere leaves without the credential. */
export function sign(
  request: OutboundRequest,
  credential: CredentialProvider | undefined,
  who: Principal,
  target: Target,
): Signed | Promise<Signed> {
  if (credential === undefined || !isOwn(request.url, target)) return { request, secrets: none }
  return credential.apply(request, who, target)
}

const isOwn = (url: string, { origin, origins }: Target): boolean =>
  isWithin(url, origin) || origins?.some((other) => isWithin(url, other)) === true

const isWithin = (url: string, origin: string): boolean =>
  url.startsWith(origin) && (url.length === origin.length || url[origin.length] === '/' || url[origin.length] === '?')
