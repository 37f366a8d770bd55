/**
 * What the provider gave, on its way to the client: an access token as it is, its refresh token only sealed. A refresh
 * token works once (RFC 9700 §4.14.2); what is kept of a sign-in is a count, which grows with each use.
 */
import { z } from 'zod'
import { GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Secret } from '../../core/secret.ts'
import type { TokenSet } from '../../credentials/oauth/client.ts'
import { toFault } from '../../credentials/oauth/fault.ts'
import { hashed } from '../../credentials/oauth/record.ts'
import type { Place } from '../../vault/vault.ts'
import type { Provider } from './provider.ts'
import { refusalOf } from './provider.ts'
import type { FacadeRoom } from './room.ts'
import { OAuthRefusal } from './room.ts'

/** What a code was given for, and is good for. */
export interface Redeemable {
  /** `hash` of the client. */
  readonly client: string
  readonly redirectUri: string
  /** `S256` of the client’s verifier. */
  readonly challenge: string
}

/** RFC 6749 §5.1. */
export interface TokenAnswer {
  readonly access_token: string
  readonly token_type: 'Bearer'
  readonly expires_in?: number
  readonly scope?: string
  readonly refresh_token?: string
}

const codeShape = z.object({
  client: z.string(),
  redirectUri: z.string(),
  challenge: z.string(),
  sealed: z.string(),
})

const tokensShape = z.object({
  access: z.string(),
  refresh: z.string().optional(),
  /** Milliseconds since the Unix epoch. */
  expiresAt: z.number().optional(),
  scopes: z.array(z.string()),
})

type Tokens = z.infer<typeof tokensShape>

const countShape = z.object({ generation: z.number(), at: z.number() })

type Count = z.infer<typeof countShape>

const codeKey = (code: string): string => `facade-code/${hashed(code)}`
const codePlace = (client: string, code: string): Place => ({
  kind: 'token',
  tenant: '',
  principal: client,
  name: `façade code ${hashed(code)}`,
})

const grantKey = (grant: string): string => `facade-grant/${hashed(grant)}`
const grantPlace = (client: string, grant: string): Place => ({
  kind: 'token',
  tenant: '',
  principal: client,
  name: `façade grant ${grant}`,
})

const invalidGrant = (detail: string): OAuthRefusal =>
  new OAuthRefusal('invalid_grant', 'The code or refresh token is not good, or not any more.', { detail })

const textsOf = (set: TokenSet, scopes: readonly string[], now: number): Tokens => ({
  access: set.access.reveal(),
  refresh: set.refresh?.reveal(),
  expiresAt: set.lifetimeMs === undefined ? undefined : now + set.lifetimeMs,
  // RFC 6749 §5.1: what is left out is what was asked for
  scopes: [...(set.scopes ?? scopes)],
})

/** Rejects with an `OAuthRefusal` when this gateway would not take the token that the provider gave. */
export async function checkToken(room: FacadeRoom, { access }: TokenSet): Promise<void> {
  let cause: unknown = new Error('the token is of another issuer, or no JWT')
  try {
    if ((await room.check(access.reveal())) !== undefined) return
  } catch (error) {
    if (toGatewayError(error).code === 'issuer_unavailable')
      throw new OAuthRefusal('temporarily_unavailable', 'The token cannot be checked now. Try again shortly.')
    cause = error
  }
  throw new OAuthRefusal(
    'server_error',
    'The identity provider gave a token that is not good here. Tell the operator.',
    {
      detail: 'token_not_good_here',
      cause,
    },
  )
}

/** A code for the client, good once and for `limits.facadeCodeMs`. `scopes` is what was asked for. */
export async function issueCode(
  room: FacadeRoom,
  { client, redirectUri, challenge }: Redeemable,
  set: TokenSet,
  scopes: readonly string[],
): Promise<string> {
  const code = room.random()
  const tokens = new Secret(JSON.stringify(textsOf(set, scopes, room.clock.now())))
  const sealed = await room.vault.seal(codePlace(client, code), 1, tokens)
  const value = JSON.stringify({ client, redirectUri, challenge, sealed })
  const expiresAt = room.clock.now() + limits.facadeCodeMs
  await room.records.put(codeKey(code), value, { expect: 'absent', expiresAt })
  return code
}

/** Spends a code, whatever comes of it. `asked` must be what it was given for. Rejects with `invalid_grant`. */
export async function redeemCode(room: FacadeRoom, code: string, asked: Redeemable): Promise<TokenAnswer> {
  const found = await room.records.take(codeKey(code))
  if (found === undefined) throw invalidGrant('unknown_code')
  const record = codeShape.parse(JSON.parse(found.value))
  if (record.client !== asked.client) throw invalidGrant('other_client')
  if (record.redirectUri !== asked.redirectUri) throw invalidGrant('other_redirect_uri')
  if (!new Secret(record.challenge).equals(asked.challenge)) throw invalidGrant('wrong_verifier')
  const opened = await room.vault.open(codePlace(record.client, code), 1, record.sealed)
  const tokens = tokensShape.parse(JSON.parse(opened.reveal()))
  if (tokens.refresh === undefined) return answerOf(room, tokens, undefined)
  return answerOf(room, tokens, await beginGrant(room, record.client, new Secret(tokens.refresh)))
}

function answerOf(room: FacadeRoom, tokens: Tokens, refresh: string | undefined): TokenAnswer {
  const { access, expiresAt, scopes } = tokens
  return {
    access_token: access,
    token_type: 'Bearer',
    ...(expiresAt === undefined ? {} : { expires_in: Math.max(0, Math.floor((expiresAt - room.clock.now()) / 1_000)) }),
    ...(scopes.length === 0 ? {} : { scope: scopes.join(' ') }),
    ...(refresh === undefined ? {} : { refresh_token: refresh }),
  }
}

/** The first refresh token of a sign-in. */
async function beginGrant(room: FacadeRoom, client: string, token: Secret): Promise<string> {
  const grant = room.random()
  await writeCount(room, grant, 1, 'absent')
  return refreshText(room, client, grant, 1, token)
}

const refreshText = async (room: FacadeRoom, client: string, grant: string, generation: number, token: Secret) =>
  `${grant}.${generation}.${await room.vault.seal(grantPlace(client, grant), generation, token)}`

const writeCount = (
  room: FacadeRoom,
  grant: string,
  generation: number,
  expect: number | 'absent',
  at = room.clock.now(),
): Promise<number | undefined> =>
  room.records.put(grantKey(grant), JSON.stringify({ generation, at } satisfies Count), {
    expect,
    expiresAt: room.clock.now() + limits.facadeGrantMs,
  })

interface Opened {
  readonly grant: string
  readonly generation: number
  readonly token: Secret
}

/** Rejects with `invalid_grant` for a text that was not given to this client. */
async function openRefresh(room: FacadeRoom, client: string, text: string): Promise<Opened> {
  const [, grant, count, sealed] = /^([\w-]{16,128})\.([1-9]\d{0,8})\.(tgv1\.[\w-]+)$/.exec(text) ?? []
  if (grant === undefined || sealed === undefined) throw invalidGrant('unknown_token')
  const generation = Number(count)
  try {
    return { grant, generation, token: await room.vault.open(grantPlace(client, grant), generation, sealed) }
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'vault_unreadable') throw invalidGrant('unknown_token')
    throw error
  }
}

/** New tokens for a refresh token, which is then spent. Rejects with an `OAuthRefusal`. */
export async function refreshGrant(
  room: FacadeRoom,
  provider: Provider,
  client: string,
  text: string,
): Promise<TokenAnswer> {
  const { grant, generation, token } = await openRefresh(room, client, text)
  const key = grantKey(grant)
  const held = await room.records.get(key)
  if (held === undefined) throw invalidGrant('over')
  const count = countShape.parse(JSON.parse(held.value))
  if (count.generation !== generation) {
    // Two processes of one client may refresh at the same moment. Later than that, someone has a copy: whose the newer
    // token is, nobody knows, so it ends with the older (RFC 9700 §4.14.2)
    const isReplay = room.clock.now() - count.at > limits.facadeReuseMs
    if (isReplay) await room.records.delete(key, held.version)
    throw invalidGrant(isReplay ? 'replay' : 'spent')
  }
  const claimed = await writeCount(room, grant, generation + 1, held.version)
  if (claimed === undefined) throw invalidGrant('spent')
  let set: TokenSet
  try {
    set = await provider.refresh(token)
  } catch (error) {
    const fault = toFault(error, undefined)
    if (fault.fate === 'refused' && fault.reason === 'invalid_grant') {
      await room.records.delete(key, claimed)
      throw invalidGrant('provider_invalid_grant')
    }
    // nothing was given: the same token may be tried again
    await writeCount(room, grant, generation, claimed, count.at)
    throw refusalOf(fault)
  }
  const next = await refreshText(room, client, grant, generation + 1, set.refresh ?? token)
  return answerOf(room, textsOf(set, [], room.clock.now()), next)
}
