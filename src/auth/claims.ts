/** What the claims of a token say: its scopes, its client, the values that a rule asks for, the principal they make. */
import { limits } from '../core/limits.ts'
import type { Json, Principal } from '../core/model.ts'

/** Members of a JSON object by name. A map, so that no name from outside can be one of the prototype’s. */
export type Claims = ReadonlyMap<string, Json>

/** A value that a token must carry. `value` is one text for `EQUALS`, one or several for the others. */
export interface CustomClaim {
  readonly claim: string
  readonly operator: 'EQUALS' | 'CONTAINS' | 'CONTAINS_ANY'
  readonly value: string | readonly string[]
}

/** How claims become the parts of a principal. */
export interface PrincipalOptions {
  /** Tells apart the users behind one client: its value is added to the subject. */
  readonly principalClaim?: string
  /** Of every caller, unless `tenantClaim` is given; `default` when neither is. */
  readonly tenant?: string
  readonly tenantClaim?: string
}

type Scalar = string | number | boolean

const isScalar = (value: Json | undefined): value is Scalar =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

/** Some providers send arrays as JSON in a string, for example Cognito’s pre-token trigger. */
function arrayIn(text: string): Json[] | undefined {
  if (!text.startsWith('[')) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * The values of a claim as texts: an array’s scalars, whether it comes as JSON or as JSON in a string; else the one
 * scalar itself, as providers write an array of one. A text with spaces stays one value: only `scope` is a list so.
 */
function valuesOf(claim: Json | undefined): readonly string[] {
  const array = typeof claim === 'string' ? arrayIn(claim) : claim
  if (Array.isArray(array)) return array.filter(isScalar).map(String)
  return isScalar(claim) ? [String(claim)] : []
}

/**
 * `EQUALS`: the claim is this scalar. `CONTAINS`: its values include this one (of several: all of them).
 * `CONTAINS_ANY`: they include one of these. Without a value to ask for, or with several for `EQUALS`, none holds.
 */
export function holdsClaim(claims: Claims, { claim, operator, value }: CustomClaim): boolean {
  const found = claims.get(claim)
  if (operator === 'EQUALS') return isScalar(found) && String(found) === value
  const wanted = typeof value === 'string' ? [value] : value
  const values = valuesOf(found)
  const has = (text: string): boolean => values.includes(text)
  return operator === 'CONTAINS_ANY' ? wanted.some(has) : wanted.length > 0 && wanted.every(has)
}

const listOf = (claim: Json | undefined): string[] => {
  if (typeof claim === 'string') return claim.split(' ')
  return Array.isArray(claim) ? claim.filter((value) => typeof value === 'string') : []
}

/** From `scope` (RFC 8693 §4.2) and `scp`, which Entra writes as one text and Okta as an array. */
export const scopesOf = (claims: Claims): ReadonlySet<string> =>
  new Set([...listOf(claims.get('scope')), ...listOf(claims.get('scp'))].filter((scope) => scope !== ''))

/** `aud` is one text or an array of texts (RFC 7519 §4.1.3). */
export const audiencesOf = (claims: Claims): readonly string[] => {
  const audience = claims.get('aud')
  if (typeof audience === 'string') return [audience]
  return Array.isArray(audience) ? audience.filter((value) => typeof value === 'string') : []
}

/** `client_id` (RFC 9068 §2.2) and `azp` (OpenID Connect Core §2), as far as the token has them. */
export const clientsOf = (claims: Claims): readonly Json[] =>
  ['client_id', 'azp'].map((name) => claims.get(name)).filter((value) => value !== undefined)

const control = /\p{Cc}/u

/** A claim that names somebody: keys records and stands in logs, so it is short and without control characters. */
export function nameIn(claims: Claims, claim: string): string | undefined {
  const value = claims.get(claim)
  // a number beyond 2⁵³ has lost digits that told two callers apart
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
  if (typeof text !== 'string' || text === '' || text.length > limits.callerNameChars) return undefined
  return control.test(text) ? undefined : text
}

/** As `nameIn`, without the bar that borders it from the subject: `a|b` refined by `c` is not `a` refined by `b|c`. */
export const refinementIn = (claims: Claims, claim: string): string | undefined => {
  const name = nameIn(claims, claim)
  return name?.includes('|') === true ? undefined : name
}

/** Scalars and arrays of scalars: what a rule can compare. Bounded, as the token they came in is. */
const comparable = (claims: Claims): Claims =>
  new Map([...claims].filter(([, value]) => isScalar(value) || (Array.isArray(value) && value.every(isScalar))))

/**
 * The principal of verified claims. Its subject is `iss|sub`, and `iss|sub|value` where `principalClaim` refines it:
 * the same `sub` of two issuers is two callers (OpenID Connect Core §5.7). The client is `client_id`, else `azp`.
 */
export function principalOf(claims: Claims, options: PrincipalOptions): Principal {
  const { principalClaim, tenant = 'default', tenantClaim } = options
  const subject = [nameIn(claims, 'iss'), nameIn(claims, 'sub')]
  if (principalClaim !== undefined) subject.push(refinementIn(claims, principalClaim))
  return {
    tenant: tenantClaim === undefined ? tenant : (nameIn(claims, tenantClaim) ?? ''),
    subject: subject.join('|'),
    client: nameIn(claims, 'client_id') ?? nameIn(claims, 'azp') ?? '',
    scopes: scopesOf(claims),
    claims: comparable(claims),
  }
}
