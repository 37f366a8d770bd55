/** Who is calling. One kind of check a case; what no case establishes is not let in. */
import type { Principal } from '../core/model.ts'

/** The parts of a request that an inbound check may look at. */
export interface Inbound {
  readonly method: string
  /** The request target as it came: path and query. */
  readonly url: string
  /** By lower-case name; repeated fields joined by `, `. */
  header(name: string): string | undefined
  /** How many fields of this name came. */
  times(name: string): number
  /** Lower-case names of all fields that came. Signatures cannot be checked without it. */
  names?(): readonly string[]
  /** The whole body, read once; rejects with `body_too_large` or `body_too_slow`. */
  body(max: number): Promise<Buffer>
}

/**
 * Throws, or rejects with, `unauthenticated` or `insufficient_scope`, their headers carrying the challenge. Answers
 * without a promise where nothing has to be waited for.
 */
export type Authenticate = (inbound: Inbound) => Principal | Promise<Principal>

export const anonymous: Principal = { tenant: 'default', subject: 'anonymous', client: '', scopes: new Set() }

/** `inbound: none`: everyone on this machine is the same caller. Refused at start unless the listener is on loopback. */
export const authenticateNone: Authenticate = () => anonymous

/** Keys whatever belongs to a caller; unambiguous, since no part can imitate the border between two. */
export const principalKey = ({ tenant, subject, client }: Principal): string =>
  JSON.stringify([tenant, subject, client])
