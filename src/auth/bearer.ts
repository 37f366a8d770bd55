/** The bearer token of a request (RFC 6750): taken from one place, shown to each check, answered with a challenge. */
import { GatewayError, toGatewayError } from '../core/errors.ts'
import type { Principal } from '../core/model.ts'
import type { Authenticate, Inbound } from './authenticate.ts'
import { challenged } from './challenge.ts'
import type { TokenCheck } from './jwt.ts'

export interface BearerRule {
  readonly name: string
  holds(inbound: Inbound): boolean
  readonly words: string
}

/** What must be so before a token is looked at. */
export const bearerRules: readonly BearerRule[] = [
  {
    // Node keeps the first of several; a proxy before it may have judged another
    name: 'one field',
    words: 'Send one Authorization field.',
    holds: (inbound) => inbound.times('authorization') <= 1,
  },
  {
    // RFC 6750 §2.3, forbidden by MCP: URLs end up in logs and histories
    name: 'no token in the URL',
    words: 'Send the token in the Authorization field, never in the URL.',
    holds: ({ url }) => {
      const query = url.indexOf('?')
      return query < 0 || !new URLSearchParams(url.slice(query)).has('access_token')
    },
  },
]

const scheme = /^bearer(?: +|$)/i

/**
 * `undefined` when the request carries none, another scheme included. Throws `unauthenticated`. What it gives is one
 * word (RFC 6750 §2.1); whether it is a token is for the checks to say.
 */
export function bearerToken(inbound: Inbound, rules: readonly BearerRule[] = bearerRules): string | undefined {
  const broken = rules.find((rule) => !rule.holds(inbound))
  if (broken !== undefined) throw new GatewayError('unauthenticated', { words: broken.words })
  const field = inbound.header('authorization') ?? ''
  const named = scheme.exec(field)
  if (named === null) return undefined
  const token = field.slice(named[0].length)
  if (token === '' || token.includes(' ') || token.includes(',')) {
    throw new GatewayError('unauthenticated', { words: 'This is no bearer token.' })
  }
  return token
}

/** The more a refusal tells, the higher: whose token it is was known to the one that says more than `unauthenticated`. */
const told: { readonly [code: string]: number } = { unauthenticated: 0, insufficient_scope: 1 }

async function inTurn(
  token: string,
  answer: Promise<Principal | undefined>,
  rest: readonly Pick<TokenCheck, 'check'>[],
): Promise<Principal> {
  let refusal: GatewayError | undefined
  for (const turn of [
    () => answer,
    ...rest.map(
      ({ check }) =>
        async () =>
          check(token),
    ),
  ]) {
    try {
      const caller = await turn()
      if (caller !== undefined) return caller
    } catch (thrown) {
      const error = toGatewayError(thrown)
      if (refusal === undefined || (told[error.code] ?? 2) > (told[refusal.code] ?? 2)) refusal = error
    }
  }
  throw refusal ?? new GatewayError('unauthenticated')
}

/** Who holds a token: the first check that accepts it. Without a promise when it was verified before. */
export function tokenHolder(
  token: string,
  checks: readonly Pick<TokenCheck, 'check'>[],
): Principal | Promise<Principal> {
  for (const [index, check] of checks.entries()) {
    const answer = check.check(token)
    if (answer instanceof Promise) return inTurn(token, answer, checks.slice(index + 1))
    if (answer !== undefined) return answer
  }
  throw new GatewayError('unauthenticated')
}

export interface BearerOptions {
  readonly checks: readonly TokenCheck[]
  /** The URL of the RFC 9728 document for what was asked for. */
  readonly resourceMetadata: (inbound: Inbound) => string
}

/** Lets in who holds a token that one of the checks accepts; everyone else hears how to get one. */
export function authenticateBearer({ checks, resourceMetadata }: BearerOptions): Authenticate {
  const scope = [...new Set(checks.flatMap(({ scopes }) => scopes))]
  const refuse = (thrown: unknown, inbound: Inbound, presented: boolean): GatewayError =>
    challenged(toGatewayError(thrown), { resourceMetadata: resourceMetadata(inbound), scope }, presented)
  return (inbound) => {
    let presented = true
    try {
      const token = bearerToken(inbound)
      presented = token !== undefined
      if (token === undefined) throw new GatewayError('unauthenticated')
      const holder = tokenHolder(token, checks)
      if (!(holder instanceof Promise)) return holder
      return holder.catch((thrown: unknown) => {
        throw refuse(thrown, inbound, true)
      })
    } catch (thrown) {
      throw refuse(thrown, inbound, presented)
    }
  }
}
