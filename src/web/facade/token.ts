/** `/token` (RFC 6749 §3.2): a code or a refresh token for tokens. Clients are public; what they hold is bound to them. */
import * as oauth from 'oauth4webapi'
import { checkResource } from './authorize.ts'
import { type FacadeClient, openClient } from './clients.ts'
import { redeemCode, refreshGrant, type TokenAnswer } from './grants.ts'
import { formOf, type Parameters } from './parameters.ts'
import type { Provider } from './provider.ts'
import { type FacadeAct, type FacadeContext, type FacadeRoom, note, OAuthRefusal } from './room.ts'

/** Rejects with an `OAuthRefusal`. */
export async function giveTokens(room: FacadeRoom, provider: Provider, c: FacadeContext): Promise<TokenAnswer> {
  const form = await formOf(c)
  const grantType = need(form, 'grant_type')
  const act = acts.get(grantType)
  if (act === undefined) throw new OAuthRefusal('unsupported_grant_type', 'Use authorization_code or refresh_token.')
  const client = clientIn(room, c, form)
  try {
    checkResource(room, form)
    const answer =
      act === 'token' ? await fromCode(room, client, form) : await fromRefresh(room, provider, client, form)
    note(room, act, client.hash, { outcome: 'ok' })
    return answer
  } catch (error) {
    if (error instanceof OAuthRefusal) {
      const outcome = error.status < 500 ? 'refused' : 'failed'
      note(room, act, client.hash, { outcome, detail: error.detail ?? error.error })
    }
    throw error
  }
}

const acts: ReadonlyMap<string, FacadeAct> = new Map([
  ['authorization_code', 'token'],
  ['refresh_token', 'refresh'],
])

function need(form: Parameters, name: string): string {
  const value = form.get(name)
  if (value === undefined) throw new OAuthRefusal('invalid_request', `The parameter ${name} is missing.`)
  return value
}

/** There are no secrets of clients; one who thinks it has one is someone else’s client. */
function clientIn(room: FacadeRoom, c: FacadeContext, form: Parameters): FacadeClient {
  const client = c.req.header('authorization') === undefined ? openClient(room, form.get('client_id')) : undefined
  if (client === undefined)
    throw new OAuthRefusal('invalid_client', 'Register at registration_endpoint and send the client_id in the form.')
  return client
}

async function fromCode(room: FacadeRoom, client: FacadeClient, form: Parameters): Promise<TokenAnswer> {
  const [code, redirectUri, verifier] = ['code', 'redirect_uri', 'code_verifier'].map((name) => need(form, name))
  // RFC 7636 §4.1
  if (verifier === undefined || !/^[A-Za-z0-9\-._~]{43,128}$/.test(verifier))
    throw new OAuthRefusal('invalid_request', 'The code_verifier has 43 to 128 unreserved characters.')
  const challenge = await oauth.calculatePKCECodeChallenge(verifier)
  return redeemCode(room, code ?? '', { client: client.hash, redirectUri: redirectUri ?? '', challenge })
}

const fromRefresh = (room: FacadeRoom, provider: Provider, client: FacadeClient, form: Parameters) =>
  refreshGrant(room, provider, client.hash, need(form, 'refresh_token'))
