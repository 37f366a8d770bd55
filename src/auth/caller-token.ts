/**
 * The token that a caller signed in with, kept apart from the principal: only a token exchange (RFC 8693, RFC 7523)
 * asks for it, to send it to the authorization server; no target ever sees it.
 */
import type { Principal } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'

const tokens = new WeakMap<Principal, Secret>()

export const keepCallerToken = (caller: Principal, token: Secret): void => {
  tokens.set(caller, token)
}

/** `undefined` for callers who came with a key or a signature. */
export const callerToken = (caller: Principal): Secret | undefined => tokens.get(caller)
