/** How a browser shows that it is the caller’s whom a sign-in was begun for: one small interface, three ways. */
import { limits } from '../../core/limits.ts'
import type { PendingSignIn } from '../../credentials/oauth/sign-in.ts'
import type { Owner } from '../../credentials/oauth/room.ts'
import type { Browser } from './browser.ts'
import { asPerson, type Identity, type Person } from './identity.ts'
import { type Callers, type ConnectRoom, isSame, readable } from './room.ts'

/** What a browser has shown so far, before it sends anything. */
type Standing =
  /** `name`: as the page calls the caller. */
  | { readonly kind: 'proven' | 'code'; readonly name: string }
  | { readonly kind: 'identity'; readonly identity: Identity }
  /** It is somebody else’s. */
  | { readonly kind: 'foreign'; readonly person: Person }
  /** The sign-in is of nobody who could be here. */
  | { readonly kind: 'absent' }

/** What the form of the page came to. */
type Proven =
  | { readonly kind: 'proven' | 'over' }
  | { readonly kind: 'wrong'; readonly left: number }
  /** The identity provider has to be asked. */
  | { readonly kind: 'ask'; readonly identity: Identity; readonly again: boolean }

export interface BrowserProof {
  /** Changes nothing and writes nothing. */
  standing(browser: Browser): Promise<Standing>
  prove(browser: Browser, form: URLSearchParams): Promise<Proven>
}

const sessionCookie = 'toolgate-session'

export const signedIn = (browser: Browser): Person | undefined => asPerson(browser.kept(sessionCookie))

export const rememberPerson = (browser: Browser, person: Person): void =>
  browser.keep(sessionCookie, person, limits.browserSessionMs)

export function proofFor(room: ConnectRoom, pending: PendingSignIn): BrowserProof {
  const { everyone, identities } = room.callers()
  if (everyone !== undefined) return byMachine(everyone, pending)
  const identity = identities.find((one) => one.knows(pending))
  return identity === undefined ? byCode(room, pending) : byIdentity(identity, pending)
}

/** Whether callers are given a code beside the link. */
export const needsCode = ({ everyone, identities }: Callers, owner: Owner): boolean =>
  everyone === undefined && !identities.some((identity) => identity.knows(owner))

/** Everyone on this machine is one caller: there is nothing to tell apart. */
const byMachine = (everyone: Owner, pending: PendingSignIn): BrowserProof => {
  const isTheirs = isSame(everyone, pending)
  return {
    standing: async () =>
      isTheirs ? { kind: 'proven', name: 'everyone who uses this gateway on this computer' } : { kind: 'absent' },
    prove: async () => ({ kind: isTheirs ? 'proven' : 'over' }),
  }
}

/** The code that the caller’s client was given with the link. */
const byCode = (room: ConnectRoom, pending: PendingSignIn): BrowserProof => ({
  standing: async () => ({ kind: 'code', name: (await room.nameOf(pending)) ?? readable(pending.subject) }),
  async prove(_browser, form) {
    const verdict = await room.confirmations.check(pending, (form.get('code') ?? '').slice(0, limits.browserTextChars))
    return verdict.kind === 'right' ? { kind: 'proven' } : verdict
  },
})

/** The identity provider that the caller’s own tokens come from. */
const byIdentity = (identity: Identity, pending: PendingSignIn): BrowserProof => ({
  async standing(browser) {
    const person = signedIn(browser)
    if (person === undefined) return { kind: 'identity', identity }
    return identity.is(person, pending)
      ? { kind: 'proven', name: `${person.name} (${identity.label})` }
      : { kind: 'foreign', person }
  },
  async prove(browser, form) {
    const person = signedIn(browser)
    const again = form.has('again')
    return person !== undefined && !again && identity.is(person, pending)
      ? { kind: 'proven' }
      : { kind: 'ask', identity, again: again || person !== undefined }
  },
})
