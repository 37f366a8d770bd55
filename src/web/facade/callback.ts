/** The browser comes back from the provider: is it the one whose user agreed, and what does it bring for the client. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { hashed } from '../../credentials/oauth/record.ts'
import { answerUrl, openSignIn, refusalUrl, type SignIn } from './authorize.ts'
import { takeSignIn } from './cookies.ts'
import { checkToken, issueCode } from './grants.ts'
import { pageHeaders } from './pages.ts'
import { type Parameters, queryOf } from './parameters.ts'
import type { Provider } from './provider.ts'
import { type FacadeContext, type FacadeRoom, note, OAuthRefusal } from './room.ts'

export type FinishSignIn = (c: FacadeContext) => Promise<Response>

/**
 * The end of a sign-in that began in this browser, once. What it needs travels in the browser’s own cookie, so that
 * those who begin sign-ins and end none fill no store; what has ended well is written down.
 */
export function signInFinisher(room: FacadeRoom, provider: Provider): FinishSignIn {
  /** States in the making: a provider that sees a code twice takes back what it gave (RFC 6749 §4.1.2). */
  const underWay = new Set<string>()
  return async (c) => {
    const query = queryOf(c)
    const state = query.get('state') ?? ''
    const sealed = takeSignIn(room, c, state)
    const signIn = sealed === undefined ? undefined : openSignIn(room, sealed, state)
    if (signIn === undefined || underWay.has(state)) throw notHere(room)
    underWay.add(state)
    try {
      return redirect(c, await answer(room, provider, query, state, signIn))
    } finally {
      underWay.delete(state)
    }
  }
}

/** For answers to a navigation that no form began. */
const redirect = (c: FacadeContext, url: string): Response => c.body(null, 302, { ...pageHeaders, location: url })

/** Where the browser goes on to: the client, with a code or with what went wrong. */
async function answer(
  room: FacadeRoom,
  provider: Provider,
  query: Parameters,
  state: string,
  signIn: SignIn,
): Promise<string> {
  const { request } = signIn
  try {
    const code = await codeFor(room, provider, query, state, signIn)
    note(room, 'sign_in', request.client, { outcome: 'ok' })
    return answerUrl(room, request, new Map([['code', code]]))
  } catch (error) {
    if (!(error instanceof OAuthRefusal)) throw error
    note(room, 'sign_in', request.client, { outcome: 'failed', detail: error.detail ?? error.error })
    room.log.warn({ error: error.cause ?? error, detail: error.detail }, 'a sign-in through the façade failed')
    return refusalUrl(room, request, error)
  }
}

const usedKey = (state: string): string => `facade-used/${hashed(state)}`

/** Another browser’s, an older one’s, made up: they look the same. */
function notHere(room: FacadeRoom): GatewayError {
  note(room, 'sign_in', '', { outcome: 'refused', detail: 'browser' })
  return new GatewayError('sign_in_invalid', {
    words: 'This sign-in was not begun in this browser, or it is over.',
  })
}

async function codeFor(
  room: FacadeRoom,
  provider: Provider,
  query: Parameters,
  state: string,
  { request, proof }: SignIn,
): Promise<string> {
  if ((await room.records.get(usedKey(state))) !== undefined) throw notHere(room)
  const set = await provider.finish(query, proof)
  await checkToken(room, set)
  // of two that came at once to two processes, one gets here first
  const expiresAt = room.clock.now() + limits.signInMs
  if ((await room.records.put(usedKey(state), '1', { expect: 'absent', expiresAt })) === undefined) throw notHere(room)
  return issueCode(room, request, set, request.scopes)
}
