/** Tokens that the gateway holds as itself or for a caller's token: got once, shared, renewed in time. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { keepCallerToken } from '../../../src/auth/caller-token.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { OAuthOptions } from '../../../src/credentials/oauth/room.ts'
import { type OAuthProvider, oauth2 } from '../../../src/credentials/oauth2.ts'
import { sign, type Signed } from '../../../src/credentials/provider.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../../support/authorization-server.ts'
import {
  callbackUrl,
  createRoom,
  optionsFor,
  outbound,
  principal,
  target,
  type TestRoom,
} from '../../support/oauth-room.ts'

let server: AuthorizationServer
let room: TestRoom

beforeAll(async () => {
  server = await startAuthorizationServer({ callbackUrl, credentials: ['cred'] })
})
afterAll(() => server.close())

beforeEach(() => {
  room = createRoom({ allow: [server.address] })
  server.tokenRequests.length = 0
  server.tokenBodies.length = 0
  server.trouble = undefined
  server.accessSeconds = 3_600
  return () => room.close()
})

const alice = principal('alice')
const secret = (): Secret => new Secret(server.clientSecret)

const service = (given: Partial<OAuthOptions> = {}): OAuthOptions =>
  optionsFor({
    grant: 'clientCredentials',
    discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
    clientSecret: secret(),
    scopes: ['read'],
    ...given,
  })

const tokenOf = (signed: Signed): string => signed.request.headers.get('authorization') ?? ''
const get = async (provider: OAuthProvider, who = alice): Promise<string> =>
  tokenOf(await sign(outbound(), provider, who, target))

describe('client credentials', () => {
  it('sign a request with a token that the server gave', async () => {
    const signed = await sign(outbound(), oauth2(service(), room), alice, target)
    expect(tokenOf(signed)).toMatch(/^Bearer [\w-]{20,}$/)
    expect(`Bearer ${signed.secrets[0]?.reveal()}`).toBe(tokenOf(signed))
    expect(signed.fingerprint).toMatch(/^[0-9a-f]{16}$/)
    expect(server.tokenBodies[0]?.get('scope')).toBe('read')
  })

  it('are asked for once, whoever calls and however many at once, and then there without waiting', async () => {
    const provider = oauth2(service(), room)
    const tokens = await Promise.all(Array.from({ length: 100 }, (_, index) => get(provider, principal(`u${index}`))))
    expect(new Set(tokens).size).toBe(1)
    expect(server.tokenRequests).toEqual(['client_credentials'])
    expect(sign(outbound(), provider, alice, target)).not.toBeInstanceOf(Promise)
  })

  it('are shared with other processes, and found again after a restart', async () => {
    const first = await get(oauth2(service(), room))
    const other = createRoom({ allow: [server.address], beside: room, owner: 'process-2' })
    expect(await get(oauth2(service(), other))).toBe(first)
    await other.close()
    expect(server.tokenRequests).toHaveLength(1)
  })

  it('are asked for anew when what they are asked for with is another', async () => {
    await get(oauth2(service(), room))
    await get(oauth2(service({ scopes: ['read', 'write'] }), room))
    expect(server.tokenRequests).toHaveLength(2)
  })

  it('are given to a client that authenticates with client_secret_basic', async () => {
    await get(oauth2(service(), room))
    expect([...(server.tokenBodies[0]?.keys() ?? [])].toSorted()).toEqual(['grant_type', 'scope'])
  })

  it('are given to a client that authenticates with client_secret_post', async () => {
    await get(oauth2(service({ clientId: 'post-client', clientAuthentication: 'client_secret_post' }), room))
    expect(server.tokenBodies[0]?.get('client_id')).toBe('post-client')
  })

  it('are given by a server whose endpoint the configuration names', async () => {
    const { discoveryUrl: _none, ...rest } = service({ issuer: server.issuer, tokenEndpoint: `${server.issuer}/token` })
    expect(await get(oauth2(rest, room))).toMatch(/^Bearer /)
  })

  it('are given to a client with a key (private_key_jwt), PEM or JWK', async () => {
    const { clientSecret: _none, ...options } = service({
      clientId: 'key-client',
      privateKey: new Secret(server.privateKey),
    })
    expect(await get(oauth2(options, room))).toMatch(/^Bearer /)
    expect(server.tokenBodies[0]?.get('client_assertion')?.split('.')).toHaveLength(3)
  })

  it('are renewed before they end, by one request, while the old one goes on being used', async () => {
    const provider = oauth2(service(), room)
    const first = await get(provider)
    room.ahead.monotonic += 3_595_000 - 15_000
    room.ahead.wall += 3_595_000 - 15_000
    expect(await get(provider)).toBe(first)
    await expect.poll(() => server.tokenRequests.length).toBe(2)
    await expect.poll(() => get(provider)).not.toBe(first)
    expect(server.tokenRequests).toHaveLength(2)
  })

  it('that are over are waited for', async () => {
    const provider = oauth2(service(), room)
    const first = await get(provider)
    room.ahead.monotonic += 3_700_000
    room.ahead.wall += 3_700_000
    expect(await get(provider)).not.toBe(first)
  })

  it.each([
    ['an hour forward', 3_600_000],
    ['an hour back', -3_600_000],
  ])('outlive a wall clock that jumps %s while they are in use', async (_, ms) => {
    const provider = oauth2(service(), room)
    const first = await get(provider)
    room.ahead.wall += ms
    expect(await get(provider)).toBe(first)
  })

  it('are not believed to last longer than they were given for when the clock had gone back at a restart', async () => {
    await get(oauth2(service(), room))
    room.ahead.wall -= 86_400_000
    const later = oauth2(service(), room)
    const first = await get(later)
    room.ahead.monotonic += 3_601_000
    expect(await get(later)).toBeDefined()
    expect(first).toBeDefined()
    await expect.poll(() => server.tokenRequests.length).toBe(2)
  })

  it('are replaced after a 401 from the target, but not again within a minute', async () => {
    const provider = oauth2(service(), room)
    const { fingerprint = '' } = await sign(outbound(), provider, alice, target)
    expect(await provider.renew?.(alice, target, fingerprint)).toBe(false)
    room.ahead.monotonic += 61_000
    room.ahead.wall += 61_000
    const renewals = await Promise.all(
      Array.from({ length: 20 }, () => Promise.resolve(provider.renew?.(alice, target, fingerprint))),
    )
    expect(new Set(renewals)).toEqual(new Set([true]))
    expect(server.tokenRequests).toHaveLength(2)
    const again = await sign(outbound(), provider, alice, target)
    expect(again.fingerprint).not.toBe(fingerprint)
    expect(await provider.renew?.(alice, target, again.fingerprint ?? '')).toBe(false)
  })

  it('refused by the server are an error for the operator, and the server is left alone for a moment', async () => {
    const provider = oauth2(service({ clientSecret: new Secret('wrong-canary-77') }), room)
    const error: unknown = await get(provider).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'token_refused', message: expect.stringContaining('client id or its secret') })
    await expect(get(provider)).rejects.toMatchObject({ code: 'token_refused' })
    expect(server.tokenRequests).toHaveLength(1)
    expect(room.events).toContainEqual(
      expect.objectContaining({ act: 'token', outcome: 'failed', detail: 'invalid_client' }),
    )
  })
})

describe('token exchange', () => {
  const exchange = (given: Partial<OAuthOptions> = {}): OAuthOptions => service({ grant: 'tokenExchange', ...given })
  const withToken = (subject: string, text: string) => {
    const who = principal(subject)
    keepCallerToken(who, new Secret(text))
    return who
  }

  it('sends the caller’s token to the authorization server, once for each, and never to the target', async () => {
    const provider = oauth2(exchange({ audience: 'https://api.example.com' }), room)
    const [anna, bert] = [withToken('anna', 'token-of-anna'), withToken('bert', 'token-of-bert')]
    const tokens = await Promise.all([get(provider, anna), get(provider, anna), get(provider, bert)])
    expect(tokens[0]).toBe(tokens[1])
    expect(tokens[0]).not.toBe(tokens[2])
    expect(server.tokenBodies.map((body) => `${body.get('subject_token')} ${body.get('audience')}`).toSorted()).toEqual(
      ['token-of-anna https://api.example.com', 'token-of-bert https://api.example.com'],
    )
    expect(tokens.join()).not.toContain('token-of-')
    expect(sign(outbound(), provider, anna, target)).not.toBeInstanceOf(Promise)
  })

  it('names who acts, where that is configured', async () => {
    await get(
      oauth2(exchange({ actorToken: { token: new Secret('actor') } }), room),
      withToken('anna', 'token-of-anna'),
    )
    expect(server.tokenBodies[0]?.get('actor_token')).toBe('actor')
    expect(server.tokenBodies[0]?.get('actor_token_type')).toBe('urn:ietf:params:oauth:token-type:jwt')
  })

  it('says so when the caller has no token', async () => {
    await expect(async () => get(oauth2(exchange(), room), principal('keyholder'))).rejects.toMatchObject({
      code: 'token_refused',
      message: expect.stringContaining('this caller has none'),
    })
  })

  it('says so when the server does not accept it, and shows nothing of what it says', async () => {
    const error: unknown = await get(oauth2(exchange(), room), withToken('anna', 'bad-token')).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'token_refused', message: expect.not.stringContaining('<b>') })
  })
})
