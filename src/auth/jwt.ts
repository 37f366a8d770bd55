/**
 * Access tokens that are JWTs (RFC 9068, RFC 8725): each check is a named row of one list, a token is good when every
 * row holds.
 */
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Json, Principal } from '../core/model.ts'
import type { Claims, CustomClaim, PrincipalOptions } from './claims.ts'
import { audiencesOf, clientsOf, holdsClaim, nameIn, principalOf, refinementIn, scopesOf } from './claims.ts'
import type { Get, SigningKey } from './issuer.ts'
import { Issuer } from './issuer.ts'
import { RememberedTokens } from './remember.ts'

/** `inbound` of type `jwt`, as configured. */
export interface JwtOptions extends PrincipalOptions {
  /** `…/.well-known/openid-configuration`, or `/.well-known/oauth-authorization-server` before or after a path. */
  readonly discoveryUrl: string
  /** One of them stands in `aud`, character by character (RFC 8707 §2); a bare origin also with its slash. Never empty. */
  readonly audiences: readonly string[]
  /** When any are given: each of `client_id` and `azp` that the token has is one of them, and it has one. */
  readonly clients: readonly string[]
  /** When any are given: the token carries one of them at least, as AWS’s JWT authorizers have it. */
  readonly scopes: readonly string[]
  /** All of them hold. */
  readonly customClaims: readonly CustomClaim[]
}

export interface JwtRoom {
  readonly clock: Clock
  readonly fetch: Get
  /** Shared by the checks of one configuration; the check’s own unless given. */
  readonly remembered?: RememberedTokens
}

/** One way to accept a bearer token. */
export interface TokenCheck {
  /**
   * Who holds a token; without a promise when it was verified before. `undefined`: this is no token of mine, another
   * check may know it. Rejects with `unauthenticated`, `insufficient_scope`, or `issuer_unavailable`; never throws.
   */
  check(token: string): Principal | undefined | Promise<Principal | undefined>
  /** The scopes that every challenge names. */
  readonly scopes: readonly string[]
  /** The issuer’s name for RFC 9728 documents: its own words, or the discovery URL’s while it does not answer. */
  issuer(): Promise<string>
  /** Asks the issuer for its keys, so that a wrong configuration shows at start. Rejects with `issuer_unavailable`. */
  ready(): Promise<void>
}

/** What the rows look at. */
interface Evidence {
  readonly token: string
  readonly header: Claims
  readonly claims: Claims
  readonly options: JwtOptions
  /** `options.audiences` with the aliases of bare origins. */
  readonly audiences: ReadonlySet<string>
  readonly issuer: Issuer
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Set by the row `signature`. */
  signedBy: SigningKey | undefined
}

export interface TokenRule {
  readonly name: string
  holds(evidence: Evidence): boolean | Promise<boolean>
  /** When it does not hold: the token is another check’s, or lacks scopes; refused unless given. */
  readonly otherwise?: 'elsewhere' | 'insufficient_scope'
  /** What the caller hears, where it helps and tells nothing about whom this gateway lets in. */
  readonly words?: string
}

/** Asymmetric ones only: a key set is public, and whoever reads it could sign with a symmetric one. No `none`. */
export const tokenAlgorithms: ReadonlySet<Json | undefined> = new Set([
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
])

/** RFC 9068 §2.1, and the plain type of providers that came before it. Compared in lower case, without `application/`. */
const accessTypes: ReadonlySet<string> = new Set(['at+jwt', 'jwt'])

/** Keycloak’s own `typ` among the claims, for tokens that are not for a resource. */
const foreignKinds: ReadonlySet<Json | undefined> = new Set(['ID', 'Refresh', 'Offline', 'Logout'])

/** What access tokens carry and ID tokens do not: RFC 9068 §2.2, Entra’s `appid`, `scp` and `roles`, Okta’s `cid`. */
const signsOfAccess = ['client_id', 'azp', 'appid', 'cid', 'scope', 'scp', 'roles'] as const

const isTime = (value: Json | undefined): value is number => typeof value === 'number' && Number.isFinite(value)

/** A time claim that must have come, in seconds since the epoch (RFC 7519 §2 NumericDate). */
const reached = ({ claims, now }: Evidence, claim: 'nbf' | 'iat'): boolean => {
  const time = claims.get(claim)
  return time === undefined || (isTime(time) && time * 1_000 <= now + limits.callerTokenLeewayMs)
}

const isAccessType = (typ: Json | undefined): boolean =>
  typ === undefined || (typeof typ === 'string' && accessTypes.has(typ.toLowerCase().replace(/^application\//, '')))

/** In the order that they are asked: what needs no signature first, what only a good token may hear last. */
export const tokenRules: readonly TokenRule[] = [
  {
    name: 'issuer',
    otherwise: 'elsewhere',
    // the first half keeps tokens of others from making this check ask its issuer
    holds: async ({ claims, issuer }) => {
      const name = claims.get('iss')
      return issuer.names.some((one) => one === name) && name === (await issuer.name())
    },
  },
  { name: 'size', holds: ({ token }) => token.length <= limits.callerTokenBytes },
  { name: 'algorithm', holds: ({ header }) => tokenAlgorithms.has(header.get('alg')) },
  { name: 'type', holds: ({ header }) => isAccessType(header.get('typ')) },
  // RFC 7515 §4.1.11: to be refused unless understood, and none is
  { name: 'critical headers', holds: ({ header }) => !header.has('crit') },
  // RFC 8725 §3.10: a token does not say which key to believe
  {
    name: 'key in the header',
    holds: ({ header }) => !['jwk', 'jku', 'x5c', 'x5u'].some((name) => header.has(name)),
  },
  {
    name: 'expiry',
    words: 'The token has expired.',
    holds: ({ claims, now }) => {
      const expires = claims.get('exp')
      return isTime(expires) && now < expires * 1_000 + limits.callerTokenLeewayMs
    },
  },
  { name: 'not before', words: 'The token is not valid yet.', holds: (evidence) => reached(evidence, 'nbf') },
  { name: 'issued at', words: 'The token is not valid yet.', holds: (evidence) => reached(evidence, 'iat') },
  {
    name: 'audience',
    words: 'The token is not for this resource.',
    holds: ({ claims, audiences }) => audiencesOf(claims).some((audience) => audiences.has(audience)),
  },
  // ID, refresh and logout tokens are signed by the same keys: OpenID Connect Core §3.1.3.6 and §3.3.2.11, Back-Channel
  // Logout §2.4, Cognito’s `token_use`, Keycloak’s `typ`
  {
    name: 'kind',
    words: 'This is no access token.',
    holds: ({ claims }) =>
      !['at_hash', 'c_hash', 's_hash', 'events'].some((name) => claims.has(name)) &&
      (claims.get('token_use') ?? 'access') === 'access' &&
      !foreignKinds.has(claims.get('typ')),
  },
  {
    // What is left of an ID token without such marks: it names its client in `aud` and nowhere else. Workloads’ tokens
    // (Kubernetes, CI systems) name none either, for an audience of their choice: a URI is nobody’s client there
    name: 'a client or a resource',
    words: 'This is no access token.',
    holds: ({ claims, audiences }) =>
      signsOfAccess.some((name) => claims.has(name)) ||
      audiencesOf(claims).some((audience) => audiences.has(audience) && URL.canParse(audience)),
  },
  // RFC 7800 §3.1: good only with a proof of possession (DPoP, mutual TLS) that this gateway does not ask for. Without
  // it the token may be stolen; RFC 9449 §7.2 and RFC 8705 §3 forbid taking it as a plain bearer token
  {
    name: 'bound to a key',
    words: 'The token is bound to a key and cannot be used as a bearer token here.',
    holds: ({ claims }) => !claims.has('cnf'),
  },
  { name: 'subject', holds: ({ claims }) => nameIn(claims, 'sub') !== undefined },
  {
    name: 'client',
    holds: ({ claims, options }) => {
      const clients = clientsOf(claims)
      if (options.clients.length === 0) return clients.every((client) => typeof client === 'string')
      return clients.length > 0 && clients.every((client) => options.clients.some((allowed) => allowed === client))
    },
  },
  {
    name: 'custom claims',
    holds: ({ claims, options }) => options.customClaims.every((rule) => holdsClaim(claims, rule)),
  },
  {
    name: 'principal claim',
    holds: ({ claims, options: { principalClaim } }) =>
      principalClaim === undefined || refinementIn(claims, principalClaim) !== undefined,
  },
  {
    name: 'tenant claim',
    holds: ({ claims, options: { tenantClaim } }) =>
      tenantClaim === undefined || nameIn(claims, tenantClaim) !== undefined,
  },
  {
    name: 'signature',
    holds: async (evidence) => {
      const kid = evidence.header.get('kid')
      if (kid !== undefined && typeof kid !== 'string') return false
      evidence.signedBy = await evidence.issuer.signerOf(evidence.token, kid)
      return evidence.signedBy !== undefined
    },
  },
  {
    name: 'scope',
    otherwise: 'insufficient_scope',
    holds: ({ claims, options }) => {
      const scopes = scopesOf(claims)
      return options.scopes.length === 0 || options.scopes.some((scope) => scopes.has(scope))
    },
  },
]

const parts = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)$/

const objectIn = (part: string): Claims | undefined => {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(part, 'base64url')))
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return new Map(Object.entries(value))
  } catch {
    return undefined
  }
}

/** A JWS in compact form (RFC 7515 §7.1) whose header and payload are JSON objects; nothing in it is believed yet. */
function readToken(token: string): { header: Claims; claims: Claims } | undefined {
  // longer than any that fits into a request’s header: not worth reading
  if (token.length > limits.requestHeaderBytes) return undefined
  const [, head = '', body = ''] = parts.exec(token) ?? []
  const header = objectIn(head)
  const claims = objectIn(body)
  return header === undefined || claims === undefined ? undefined : { header, claims }
}

/** RFC 3986 §6.2.3: an origin is the same resource with and without the slash, and clients send either. */
function withAliases(audiences: readonly string[]): ReadonlySet<string> {
  const all = new Set(audiences)
  for (const audience of audiences) {
    const origin = URL.parse(audience)?.origin
    if (audience === origin) all.add(`${audience}/`)
    else if (audience === `${origin}/`) all.add(audience.slice(0, -1))
  }
  return all
}

const refusal = ({ name, otherwise, words }: TokenRule): GatewayError =>
  new GatewayError(otherwise === 'insufficient_scope' ? 'insufficient_scope' : 'unauthenticated', {
    ...(words === undefined ? {} : { words }),
    cause: new Error(`the token fails the rule: ${name}`),
  })

/** Throws `bad_config` for a discovery URL of neither form and for a check without an audience. */
export function jwtCheck(options: JwtOptions, room: JwtRoom, rules: readonly TokenRule[] = tokenRules): TokenCheck {
  if (options.audiences.length === 0) {
    throw new GatewayError('bad_config', { words: 'A check of tokens needs an audience.' })
  }
  const { clock, remembered = new RememberedTokens(clock) } = room
  const issuer = new Issuer(options.discoveryUrl, clock, room.fetch)
  const audiences = withAliases(options.audiences)

  const judge = async (token: string): Promise<Principal | undefined> => {
    const read = readToken(token)
    if (read === undefined) return undefined
    const evidence: Evidence = { token, ...read, options, audiences, issuer, now: clock.now(), signedBy: undefined }
    for (const rule of rules) {
      if (await rule.holds(evidence)) continue
      if (rule.otherwise === 'elsewhere') return undefined
      throw refusal(rule)
    }
    const principal = principalOf(read.claims, options)
    const { signedBy: key } = evidence
    const expires = read.claims.get('exp')
    if (key !== undefined && isTime(expires)) {
      remembered.put(token, principal, expires * 1_000, () => issuer.holds(key))
    }
    return principal
  }

  return {
    check: (token) => remembered.get(token) ?? judge(token),
    scopes: options.scopes,
    issuer: () => issuer.name().catch(() => issuer.names[0]),
    async ready() {
      await issuer.name()
    },
  }
}
