/**
 * `/authorize`: a client asks, the user decides, and only then the browser goes on to the provider. The façade is one
 * client at the provider for everyone, so that the provider’s own consent says nothing of who asks here; each request is
 * put to the user, and no answer is remembered.
 */
import { z } from 'zod'
import { answerAt } from '../../auth/facade-redirect.ts'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type FacadeClient, mayRedirect, openClient } from './clients.ts'
import { browserOf, putSignIn, rememberBrowser } from './cookies.ts'
import { consentPage, onwardPage, wrongRequestPage } from './pages.ts'
import { formOf, type Parameters, queryOf } from './parameters.ts'
import type { Provider } from './provider.ts'
import { type FacadeContext, type FacadeRoom, note, OAuthRefusal } from './room.ts'

const requestShape = z.object({
  /** `hash` of the client. */
  client: z.string(),
  redirectUri: z.string(),
  /** The client’s own, which it gets back. */
  state: z.string().exactOptional(),
  challenge: z.string(),
  /** What the provider is asked for. */
  scopes: z.array(z.string()),
})

/** What a client asked for, checked. */
export type AuthorizationRequest = z.infer<typeof requestShape>

const askedShape = z.object({ request: requestShape, expiresAt: z.number() })

const signInShape = z.object({
  request: requestShape,
  proof: z.object({ issuer: z.string(), verifier: z.string(), nonce: z.string().exactOptional() }),
  expiresAt: z.number(),
})

/** A sign-in that the user has allowed, on its way to the provider and back. */
export type SignIn = z.infer<typeof signInShape>

const purposes = { asked: 'façade consent', signIn: 'façade sign-in' } as const

/** Where the client hears the answer, with whose answer it is (RFC 9207 §2). */
export function answerUrl(
  room: FacadeRoom,
  to: Pick<AuthorizationRequest, 'redirectUri' | 'state'>,
  answer: Parameters,
) {
  const query = new URLSearchParams([...answer])
  if (to.state !== undefined) query.set('state', to.state)
  query.set('iss', room.publicUrl)
  return answerAt(to.redirectUri, query)
}

export const refusalUrl = (
  room: FacadeRoom,
  to: Pick<AuthorizationRequest, 'redirectUri' | 'state'>,
  refusal: OAuthRefusal,
): string =>
  answerUrl(
    room,
    to,
    new Map([
      ['error', refusal.error],
      ['error_description', refusal.message],
    ]),
  )

/** The sign-in in a browser’s cookie, for its `state`; `undefined` when it is none, or over. */
export function openSignIn(room: FacadeRoom, sealed: string, state: string): SignIn | undefined {
  const signIn = signInShape.safeParse(room.seal.open(sealed, purposes.signIn, state)).data
  return signIn !== undefined && room.clock.now() < signIn.expiresAt ? signIn : undefined
}

/** The page that asks the user. Stores nothing, so that it may be fetched ahead by whoever looks at links. */
export async function askConsent(room: FacadeRoom, c: FacadeContext): Promise<Response> {
  const query = queryOf(c)
  const { client, redirectUri } = checkClient(room, query)
  const state = stateIn(query)
  const to = { redirectUri, ...(state === undefined ? {} : { state }) }
  let request: AuthorizationRequest
  try {
    request = { ...checkRequest(room, client, query), ...to }
  } catch (error) {
    if (!(error instanceof OAuthRefusal)) throw error
    note(room, 'consent', client.hash, { outcome: 'refused', detail: error.detail ?? error.error })
    return wrongRequestPage(c, error.message, redirectUri, refusalUrl(room, to, error))
  }
  const browser = rememberBrowser(room, c)
  const expiresAt = room.clock.now() + limits.signInMs
  return consentPage(c, {
    gateway: room.name,
    clientName: client.name,
    redirectUri,
    scopes: request.scopes,
    action: `${room.publicUrl}/authorize`,
    request: room.seal.close({ request, expiresAt }, purposes.asked, browser),
  })
}

/** Until both are right, nothing is sent anywhere (RFC 6749 §4.1.2.1). Throws, for a page. */
function checkClient(room: FacadeRoom, query: Parameters): { client: FacadeClient; redirectUri: string } {
  const client = openClient(room, query.get('client_id'))
  if (client === undefined) {
    throw new GatewayError('invalid_request', {
      words: 'The application is not registered here, or not any more. It has to register again.',
    })
  }
  const redirectUri = query.get('redirect_uri')
  if (redirectUri === undefined || !mayRedirect(room, client, redirectUri)) {
    note(room, 'consent', client.hash, { outcome: 'refused', detail: 'redirect_uri' })
    throw new GatewayError('invalid_request', {
      words: 'The application asks to be answered at an address that it did not register.',
    })
  }
  return { client, redirectUri }
}

/** RFC 6749 Appendix A.5, bounded; one that cannot be taken is not sent back either. */
const stateIn = (query: Parameters): string | undefined => {
  const state = query.get('state') ?? ''
  return state.length <= limits.facadeStateChars && /^[\x20-\x7e]+$/.test(state) ? state : undefined
}

/** Throws an `OAuthRefusal`, for the client. */
function checkRequest(
  room: FacadeRoom,
  client: FacadeClient,
  query: Parameters,
): Pick<AuthorizationRequest, 'client' | 'challenge' | 'scopes'> {
  const refuse = (description: string): never => {
    throw new OAuthRefusal('invalid_request', description)
  }
  if (query.get('response_type') !== 'code')
    throw new OAuthRefusal('unsupported_response_type', 'The only response_type is code.')
  if ((query.get('response_mode') ?? 'query') !== 'query') refuse('The only response_mode is query.')
  if (query.has('request') || query.has('request_uri')) refuse('Request objects are not taken.')
  if (query.has('state') && stateIn(query) === undefined) refuse('The state is too long, or no printable ASCII.')
  const challenge = query.get('code_challenge')
  // RFC 7636 §4.3: without a method it is plain, which keeps nothing secret
  if (query.get('code_challenge_method') !== 'S256' || challenge === undefined || !/^[\w-]{43}$/.test(challenge))
    return refuse('Send a code_challenge with the code_challenge_method S256.')
  checkResource(room, query)
  return { client: client.hash, challenge, scopes: [...scopesFor(query.get('scope'), room.provider.scopes)] }
}

/** RFC 8707 §2. Clients of older revisions leave it out; there is only one resource here. Throws an `OAuthRefusal`. */
export function checkResource(room: FacadeRoom, parameters: Parameters): void {
  const resource = parameters.get('resource')
  if (resource !== undefined && !room.aliases().includes(resource))
    throw new OAuthRefusal('invalid_target', 'This resource is not served here.')
}

/** What no resource asks for: who signs in, and for how long. */
const aboutSignIn: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'address', 'phone', 'offline_access'])

/**
 * What the provider is asked for: never more than is configured; less, when the client names some of it. Names that
 * providers know only in tokens, or not at all, narrow nothing (RFC 6749 §3.3).
 */
function scopesFor(asked: string | undefined, configured: readonly string[]): readonly string[] {
  const names = new Set(asked?.split(' '))
  const narrowed = configured.filter((scope) => names.has(scope) && !aboutSignIn.has(scope))
  return narrowed.length === 0 ? configured : configured.filter((scope) => names.has(scope) || aboutSignIn.has(scope))
}

/** The user’s decision. */
export async function takeConsent(room: FacadeRoom, provider: Provider, c: FacadeContext): Promise<Response> {
  checkOrigin(room, c)
  const form = await formOf(c)
  const request = openAsked(room, c, form)
  try {
    if (form.get('decision') !== 'allow')
      throw new OAuthRefusal('access_denied', 'The user did not allow it.', { detail: 'user_denied' })
    const { url, state, proof } = await provider.begin(request.scopes)
    const signIn = { request, proof: { ...proof }, expiresAt: room.clock.now() + limits.signInMs }
    putSignIn(room, c, state, room.seal.close(signIn, purposes.signIn, state))
    note(room, 'consent', request.client, { outcome: 'ok' })
    return await onwardPage(c, url)
  } catch (error) {
    if (!(error instanceof OAuthRefusal)) throw error
    const outcome = error.error === 'access_denied' ? 'refused' : 'failed'
    note(room, 'consent', request.client, { outcome, detail: error.detail ?? error.error })
    if (outcome === 'failed') room.log.warn({ error }, 'a sign-in through the façade could not begin')
    return onwardPage(c, refusalUrl(room, request, error))
  }
}

/** Browsers send `null` from a page with `Referrer-Policy: no-referrer` (Fetch §3.2); then the metadata tell. */
function checkOrigin({ publicUrl }: FacadeRoom, c: FacadeContext): void {
  const origin = c.req.header('origin') ?? 'null'
  const site = c.req.header('sec-fetch-site') ?? 'same-origin'
  if ((origin !== 'null' && origin !== new URL(publicUrl).origin) || site !== 'same-origin')
    throw new GatewayError('forbidden_origin', { words: 'This form was not sent from its own page.' })
}

/** The request on the page that this very browser was shown: the seal is the token against forged forms. */
function openAsked(room: FacadeRoom, c: FacadeContext, form: Parameters): AuthorizationRequest {
  const browser = browserOf(room, c)
  const sealed = form.get('request')
  const asked =
    browser === undefined || sealed === undefined
      ? undefined
      : askedShape.safeParse(room.seal.open(sealed, purposes.asked, browser)).data
  if (asked === undefined || room.clock.now() >= asked.expiresAt) {
    note(room, 'consent', '', { outcome: 'refused', detail: 'browser' })
    throw new GatewayError('sign_in_invalid', {
      words: 'This page was not opened in this browser, it is too old, or cookies are turned off.',
    })
  }
  return asked.request
}
