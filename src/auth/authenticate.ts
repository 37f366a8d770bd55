/** Who is calling. One kind of check a case; what no case establishes is not let in. */
import type { Principal } from '../core/model.ts'

/** The parts of a request that an inbound check may look at. */
interface Inbound {
  header(name: string): string | undefined
}

export type Authenticate = (inbound: Inbound) => Principal

const anonymous: Principal = { tenant: 'default', subject: 'anonymous', client: '', scopes: new Set() }

/** `inbound: none`: everyone on this machine is the same caller. Refused at start unless the listener is on loopback. */
export const authenticateNone: Authenticate = () => anonymous

/** Keys whatever belongs to a caller; unambiguous, since no part can imitate the border between two. */
export const principalKey = ({ tenant, subject, client }: Principal): string =>
  JSON.stringify([tenant, subject, client])
