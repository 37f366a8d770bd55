/**
 * Forged tokens at the door (rows T7, M25 and M26 of the threat model). Each is refused; and each that a single rule
 * stops gets through when that rule is taken away, so that no rule can be lost without a test failing.
 */
import { createHmac, generateKeyPairSync, type KeyObject, sign as signWith } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, type JWK } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { authenticateBearer, bearerRules, bearerToken } from '../../src/auth/bearer.ts'
import { getThrough } from '../../src/auth/issuer.ts'
import { jwtCheck, type JwtOptions, type TokenCheck, tokenRules } from '../../src/auth/jwt.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { toGatewayError } from '../../src/core/errors.ts'
import { limits } from '../../src/core/limits.ts'
import { createEgress, type Egress } from '../../src/egress/fetch.ts'
import { Exchange } from '../../src/mcp/exchange.ts'
import { type IdentityProvider, startIdentityProvider, type TokenClaims } from '../support/identity-provider.ts'
import { type RawAnswer, rawExchange, rawRequest } from '../support/raw.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const resource = 'https://gateway.test/mcp'
const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')
const decode = (part = ''): { [name: string]: unknown } => JSON.parse(Buffer.from(part, 'base64url').toString())
const now = (): number => Math.floor(Date.now() / 1_000)

let provider: IdentityProvider
let other: IdentityProvider
let egress: Egress
let attacker: Recorder
/** Real, for this resource: the forgeries begin with it. */
let good: string
let claims: { [name: string]: unknown }
let own: KeyObject
let ownJwk: JWK
let postQuantum: { privateKey: CryptoKey; publicKey: CryptoKey }
let door: Server
let url: string
let check: TokenCheck

const options = (): JwtOptions => ({
  discoveryUrl: provider.discoveryUrl,
  audiences: [resource],
  clients: ['machine'],
  scopes: ['tools', 'admin'],
  customClaims: [{ claim: 'groups', operator: 'CONTAINS', value: 'staff' }],
  principalClaim: 'agent',
  tenantClaim: 'org',
})

/** Checks made alike, without one rule. */
const checkWithout = (rule: string | undefined, changes: Partial<JwtOptions> = {}, clock = systemClock): TokenCheck =>
  jwtCheck(
    { ...options(), ...changes },
    { clock, fetch: getThrough(egress) },
    tokenRules.filter(({ name }) => name !== rule),
  )

beforeAll(async () => {
  // Node says once that ML-DSA is new to it
  vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  provider = await startIdentityProvider()
  other = await startIdentityProvider()
  attacker = await startRecorder()
  provider.extraClaims = { groups: ['staff', 'readers'], agent: 'agent-1', org: 'acme' }
  other.extraClaims = provider.extraClaims
  egress = createEgress({ allow: [provider.address, other.address, attacker.address], clock: systemClock })
  good = await provider.token(resource)
  claims = decode(good.split('.')[1])
  const pair = generateKeyPairSync('rsa', { modulusLength: 2_048 })
  own = pair.privateKey
  ownJwk = await exportJWK(pair.publicKey)
  attacker.answer = json({ keys: [{ ...ownJwk, kid: 'own' }] })
  postQuantum = await generateKeyPair('ML-DSA-44', { extractable: true })
  check = checkWithout(undefined)
  const authenticate = authenticateBearer({
    checks: [check],
    resourceMetadata: () => 'https://gateway.test/.well-known/oauth-protected-resource/mcp',
  })
  door = createServer((incoming, outgoing) => {
    const exchange = new Exchange(incoming, outgoing, systemClock)
    Promise.resolve()
      .then(() => authenticate(exchange))
      .then(({ subject, tenant }) => exchange.send(200, {}, JSON.stringify({ subject, tenant })))
      .catch((thrown: unknown) => {
        const error = toGatewayError(thrown)
        exchange.send(error.http, error.headers ?? {}, error.code)
      })
  })
  door.listen(0, '127.0.0.1')
  await once(door, 'listening')
  const at = door.address()
  url = `http://127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`
})

afterAll(async () => {
  door.close()
  await egress.close()
  await Promise.all([provider.close(), other.close(), attacker.close()])
})

const knock = (lines: readonly string[], target = '/mcp'): Promise<RawAnswer> =>
  rawExchange(url, rawRequest(url, { lines, target, body: '{}' }))
const present = (token: string): Promise<RawAnswer> => knock([`Authorization: Bearer ${token}`])

/** Signed by the provider’s own key, with members changed; `undefined` takes one away. */
const signed = (changes: TokenClaims, header: TokenClaims = {}): Promise<string> =>
  provider.sign({ ...claims, ...changes }, header)

/** Signed with RS256 by a key that is nobody’s. */
const byStranger = (header: TokenClaims, changes: TokenClaims = {}): string => {
  const text = `${encode({ alg: 'RS256', typ: 'at+jwt', ...header })}.${encode({ ...claims, ...changes })}`
  return `${text}.${signWith('sha256', Buffer.from(text), own).toString('base64url')}`
}

const bySecret = (secret: string | Buffer): string => {
  const text = `${encode({ ...decode(good.split('.')[0]), alg: 'HS256' })}.${encode(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

/** Bytes as a payload under the old signature. */
const payload = (bytes: string | Buffer): string => changed(1, () => Buffer.from(bytes).toString('base64url'))

const rsaKey = (): JWK => provider.keys()[0] ?? {}
const kid = (): string => String(rsaKey().kid)
const changed = (index: 0 | 1 | 2, part: (was: string) => string): string =>
  good
    .split('.')
    .map((was, at) => (at === index ? part(was) : was))
    .join('.')

/** `rule`: the only one that stops it. */
type Forgery = readonly [name: string, rule: string | undefined, make: () => string | Promise<string>]

const forgeries: readonly Forgery[] = [
  // whose it is
  ['of another issuer', undefined, () => other.token(resource)],
  ['naming another issuer', 'issuer', () => signed({ iss: 'https://elsewhere.test' })],
  ['naming the issuer with a slash', 'issuer', () => signed({ iss: `${provider.issuer}/` })],
  ['naming the issuer in capitals', 'issuer', () => signed({ iss: provider.issuer.toUpperCase() })],
  ['naming no issuer', 'issuer', () => signed({ iss: undefined })],
  ['naming issuers in an array', 'issuer', () => signed({ iss: [provider.issuer] })],
  // whom it is for
  ['a real one for another resource', 'audience', () => provider.token('https://other.test/mcp')],
  ['for a longer path', 'audience', () => signed({ aud: `${resource}/support` })],
  ['for the path with a slash', 'audience', () => signed({ aud: `${resource}/` })],
  ['for the origin only', 'audience', () => signed({ aud: 'https://gateway.test' })],
  ['for nobody', 'audience', () => signed({ aud: undefined })],
  ['for an empty list', 'audience', () => signed({ aud: [] })],
  ['for an object', 'audience', () => signed({ aud: { [resource]: true } })],
  // algorithms
  ['with none and no signature', undefined, () => `${encode({ alg: 'none' })}.${encode(claims)}.`],
  ['with NoNe and no signature', undefined, () => `${encode({ alg: 'NoNe', kid: kid() })}.${encode(claims)}.`],
  ['with none and the old signature', undefined, () => changed(0, () => encode({ alg: 'none', kid: kid() }))],
  ['with HS256 over the public key as JSON', undefined, () => bySecret(JSON.stringify(rsaKey()))],
  ['with HS256 over the modulus', undefined, () => bySecret(Buffer.from(String(rsaKey().n), 'base64url'))],
  ['with HS256 over nothing', undefined, () => bySecret('')],
  ['with another algorithm than was signed', undefined, () => changed(0, () => encode({ alg: 'PS256', kid: kid() }))],
  ['with no algorithm', undefined, () => changed(0, () => encode({ kid: kid() }))],
  [
    'with an algorithm that is not on the list',
    'algorithm',
    async () =>
      new CompactSign(Buffer.from(JSON.stringify(claims)))
        .setProtectedHeader({ alg: 'ML-DSA-44', typ: 'at+jwt', kid: 'post-quantum' })
        .sign(postQuantum.privateKey),
  ],
  // keys
  ['by another key under a known kid', undefined, () => byStranger({ kid: kid() })],
  ['by another key under its own kid', undefined, () => byStranger({ kid: 'own' })],
  ['by another key without a kid', undefined, () => byStranger({})],
  ['by a key that it brings along', undefined, () => byStranger({ jwk: ownJwk })],
  ['by a key that it links to', undefined, () => byStranger({ jku: `${attacker.origin}/jwks`, kid: 'own' })],
  ['with a key in it, though signed by the issuer', 'key in the header', () => signed({}, { jwk: ownJwk })],
  ['with a link to keys', 'key in the header', () => signed({}, { jku: `${attacker.origin}/jwks` })],
  ['with a certificate', 'key in the header', () => signed({}, { x5c: ['MIIB'] })],
  ['with a link to a certificate', 'key in the header', () => signed({}, { x5u: `${attacker.origin}/cert` })],
  ['with a kid that is a number', undefined, () => signed({}, { kid: 1 })],
  ['with the kid of a prototype’s member', undefined, () => signed({}, { kid: '__proto__' })],
  // headers
  ['with a critical header', 'critical headers', () => signed({}, { crit: ['b64'], b64: true })],
  ['with an unknown critical header', undefined, () => changed(0, () => encode({ alg: 'RS256', crit: ['x'], x: 1 }))],
  ['with an unencoded payload', undefined, () => changed(0, () => encode({ alg: 'RS256', crit: ['b64'], b64: false }))],
  ...['dpop+jwt', 'logout+jwt', 'id_token', 'secevent+jwt', 'application/oauth-id-jag+jwt', 'at', ''].map(
    (typ): Forgery => [`of the type ${JSON.stringify(typ)}`, 'type', () => signed({}, { typ })],
  ),
  // times
  ['expired', 'expiry', () => signed({ exp: now() - 61 })],
  ['without an end', 'expiry', () => signed({ exp: undefined })],
  ['with its end as a text', 'expiry', () => signed({ exp: String(now() + 600) })],
  ['that never ends', 'expiry', () => provider.sign(JSON.stringify(claims).replace(/"exp":\d+/, '"exp":1e400'))],
  ['not valid yet', 'not before', () => signed({ nbf: now() + 120 })],
  ['valid from a text', 'not before', () => signed({ nbf: String(now()) })],
  ['issued tomorrow', 'issued at', () => signed({ iat: now() + 86_400 })],
  // other kinds of tokens
  ['that belongs to an ID token', 'kind', () => signed({ at_hash: 'x' })],
  ['that is Cognito’s ID token', 'kind', () => signed({ token_use: 'id' })],
  ['that is Keycloak’s refresh token', 'kind', () => signed({ typ: 'Refresh' })],
  ['that tells of a logout', 'kind', () => signed({ events: {} })],
  ['bound to a DPoP key', 'bound to a key', () => signed({ cnf: { jkt: 'x' } })],
  ['bound to a certificate', 'bound to a key', () => signed({ cnf: { 'x5t#S256': 'x' } })],
  // callers
  ['of nobody', 'subject', () => signed({ sub: undefined })],
  ['of an object', 'subject', () => signed({ sub: { toString: 'machine' } })],
  ['of a subject with a line break', 'subject', () => signed({ sub: 'machine\nadmin' })],
  ['of a number that has lost its digits', 'subject', () => signed({ sub: 2 ** 60 })],
  ['of a subject of 256 characters', 'subject', () => signed({ sub: 'x'.repeat(256) })],
  ['of another client', 'client', () => signed({ client_id: 'stranger' })],
  ['of another authorized party', 'client', () => signed({ azp: 'stranger' })],
  ['of no client', 'client', () => signed({ client_id: undefined })],
  ['of clients in an array', 'client', () => signed({ client_id: ['machine'] })],
  ['without a claim that is asked for', 'custom claims', () => signed({ groups: undefined })],
  ['with the claim as words in a text', 'custom claims', () => signed({ groups: 'staff readers' })],
  ['without the claim that tells callers apart', 'principal claim', () => signed({ agent: undefined })],
  ['with a bar in that claim', 'principal claim', () => signed({ agent: 'a|b' })],
  ['without a tenant', 'tenant claim', () => signed({ org: undefined })],
  // text
  ['with another payload', 'signature', () => changed(1, () => encode({ ...claims, sub: 'admin' }))],
  ['with its signature cut', 'signature', () => changed(2, (was) => was.slice(0, -8))],
  [
    'with the signature of another',
    'signature',
    async () => {
      const [, , signature = ''] = (await provider.token(resource)).split('.')
      return changed(2, () => signature)
    },
  ],
  ['without a signature', undefined, () => changed(2, () => '')],
  ['of more than 8 KiB', 'size', () => signed({ padding: 'x'.repeat(limits.callerTokenBytes) })],
  ['of two parts', undefined, () => good.split('.').slice(0, 2).join('.')],
  ['of four parts', undefined, () => `${good}.x`],
  ['of five parts, encrypted', undefined, () => ['dir', 'a', 'b', 'c', 'd'].map(encode).join('.')],
  ['with padding', undefined, () => `${good}==`],
  ['in the plain base64 alphabet', undefined, () => changed(1, (was) => `${was.slice(0, -2)}+/`)],
  ['whose payload is an array', undefined, () => payload('[]')],
  ['whose payload is no text', undefined, () => payload(Buffer.from([0x7b, 0xff, 0x7d]))],
  ['whose payload is nested deep', undefined, () => payload('['.repeat(5_000))],
  ['whose payload sets the prototype', undefined, () => provider.sign(`{"__proto__":${JSON.stringify(claims)}}`)],
  ['whose header is no JSON', undefined, () => changed(0, () => encode('{'))],
  ['of one dot', undefined, () => '.'],
]

describe('a forged token', () => {
  beforeAll(async () => {
    // the key set holds a key whose algorithm is on nobody’s list, as it may one day
    const jwk = { ...(await exportJWK(postQuantum.publicKey)), kid: 'post-quantum' }
    provider.intercept = (path) =>
      path === '/jwks' ? { status: 200, body: JSON.stringify({ keys: [...provider.keys(), jwk] }) } : undefined
  })

  it('begins with one that is good', async () => {
    const answer = await present(good)
    expect(answer.statuses).toEqual([200])
    expect(answer.text).toContain(`${provider.issuer}|machine|agent-1`)
    expect(answer.text).toContain('"tenant":"acme"')
    expect((await present(await signed({}))).statuses).toEqual([200])
  })

  it.each(forgeries)('%s is refused', async (_name, _rule, make) => {
    const answer = await present(await make())
    expect(answer.statuses).toEqual([401])
    expect(answer.text).toMatch(
      /\r\nwww-authenticate: Bearer resource_metadata="[^"]+", scope="tools admin", error="inval/,
    )
    expect(answer.text).toMatch(/\r\n\r\nunauthenticated$/)
  })

  it.each(forgeries.filter(([, rule]) => rule !== undefined))(
    '%s is stopped by the rule “%s” and no other',
    async (_name, rule, make) => {
      const token = await make()
      expect(await checkWithout(rule).check(token)).toMatchObject({ client: expect.any(String) })
    },
  )

  it('without the scopes is told which would do', async () => {
    const token = await provider.token(resource, 'tools:write')
    const answer = await present(token)
    expect(answer.statuses).toEqual([403])
    expect(answer.text).toContain('scope="tools admin", error="insufficient_scope"')
    expect(await checkWithout('scope').check(token)).toMatchObject({ client: 'machine' })
  })

  it('without the scopes and with a wrong signature hears only that it is wrong', async () => {
    const [, lesser = ''] = (await provider.token(resource, 'tools:write')).split('.')
    expect((await present(changed(1, () => lesser))).statuses).toEqual([401])
  })

  it('exists for every rule there is', () => {
    const covered = new Set([...forgeries.map(([, rule]) => rule), 'scope', 'a client or a resource'])
    expect(tokenRules.map(({ name }) => name).filter((name) => !covered.has(name))).toEqual([])
    expect(forgeries.length).toBeGreaterThanOrEqual(40)
  })

  it('never makes the gateway ask where it points to', () => {
    expect(attacker.requests).toEqual([])
  })
})

describe('a good token in the wrong place', () => {
  it.each<[name: string, lines: (token: string) => string[], target?: (token: string) => string]>([
    ['in a second field', (token) => ['Authorization: Bearer x', `Authorization: Bearer ${token}`]],
    ['in a first field of two', (token) => [`Authorization: Bearer ${token}`, 'Authorization: Basic eDp5']],
    ['twice the same', (token) => [`Authorization: Bearer ${token}`, `Authorization: Bearer ${token}`]],
    ['in the URL', () => [], (token) => `/mcp?access_token=${token}`],
    ['in the URL, its name encoded', () => [], (token) => `/mcp?a=1&%61ccess_token=${token}`],
    [
      'in the URL and in the field',
      (token) => [`Authorization: Bearer ${token}`],
      (token) => `/mcp?access_token=${token}`,
    ],
    ['as Token', (token) => [`Authorization: Token ${token}`]],
    ['as Basic', (token) => [`Authorization: Basic ${token}`]],
    ['as DPoP', (token) => [`Authorization: DPoP ${token}`]],
    ['without a scheme', (token) => [`Authorization: ${token}`]],
    ['with a longer scheme', (token) => [`Authorization: BearerX ${token}`]],
    ['after another token', (token) => [`Authorization: Bearer x ${token}`]],
    ['in a list', (token) => [`Authorization: Bearer ${token}, Bearer ${token}`]],
    ['as a parameter', (token) => [`Authorization: Bearer token=${token}`]],
    ['in another field', (token) => [`X-Forwarded-Authorization: Bearer ${token}`, `Cookie: access_token=${token}`]],
    ['nowhere', () => ['Authorization: Bearer']],
  ])('%s is refused with a challenge', async (_name, lines, target) => {
    const answer = await knock(lines(good), target?.(good))
    expect(answer.statuses).toEqual([401])
    expect(answer.text).toContain('www-authenticate: Bearer resource_metadata="')
  })

  it('is taken whatever the case of the scheme', async () => {
    expect((await knock([`aUTHORIZATION: bEARER   ${good}`], '/mcp?x=access_token')).statuses).toEqual([200])
  })

  it.each([
    ['one field', { times: 2, url: '/mcp' }],
    ['no token in the URL', { times: 1, url: '/mcp?access_token=x' }],
  ])('is stopped by the rule “%s” and no other', (rule, { times, url: at }) => {
    const inbound = {
      method: 'POST',
      url: at,
      header: () => 'Bearer abc',
      times: () => times,
      body: () => Promise.reject(new Error('not read')),
    }
    expect(() => bearerToken(inbound)).toThrow(expect.objectContaining({ code: 'unauthenticated' }))
    expect(
      bearerToken(
        inbound,
        bearerRules.filter(({ name }) => name !== rule),
      ),
    ).toBe('abc')
  })

  it('has a rule tested for each that there is', () => {
    expect(bearerRules.map(({ name }) => name)).toEqual(['one field', 'no token in the URL'])
  })
})

describe('a real token that is no access token for this resource', () => {
  it('is refused: opaque ones, refresh tokens and ID tokens of a sign-in', async () => {
    const redirect = 'http://127.0.0.1:1/callback'
    const post = (path: string, body: URLSearchParams | string, type: string) =>
      fetch(`${provider.issuer}${path}`, { method: 'POST', body, headers: { 'content-type': type } })
    const registered = await post(
      '/reg',
      JSON.stringify({
        redirect_uris: [redirect],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
      }),
      'application/json',
    )
    const { client_id: client } = (await registered.json()) as { client_id: string }
    const authorize = new URL(`${provider.issuer}/auth`)
    const verifier = 'v'.repeat(43)
    const challenge = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(verifier))).toString('base64url')
    authorize.search = new URLSearchParams({
      client_id: client,
      redirect_uri: redirect,
      response_type: 'code',
      scope: 'openid offline_access',
      prompt: 'consent',
      code_challenge: challenge,
      code_challenge_method: 'S256',
    }).toString()
    const code = (await provider.browse(authorize)).searchParams.get('code') ?? ''
    const answer = await post(
      '/token',
      new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        client_id: client,
        redirect_uri: redirect,
        code_verifier: verifier,
      }),
      'application/x-www-form-urlencoded',
    )
    const tokens = (await answer.json()) as { [name: string]: string }
    for (const name of ['access_token', 'refresh_token', 'id_token']) {
      expect(tokens[name], name).toEqual(expect.any(String))
      expect((await present(tokens[name] ?? '')).statuses, name).toEqual([401])
    }
    // even where the client’s own id is an audience that is let in, and nothing else is asked for
    const lax = {
      audiences: [client],
      clients: [],
      scopes: [],
      customClaims: [],
      principalClaim: 'sub',
      tenantClaim: 'sub',
    }
    const idToken = tokens['id_token'] ?? ''
    await expect(checkWithout(undefined, lax).check(idToken)).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await checkWithout('a client or a resource', lax).check(idToken)).toMatchObject({ tenant: 'alice' })
  })
})

describe('a token that was good', () => {
  it('is refused once its key is no longer published, remembered or not', async () => {
    let later = 0
    const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + later }
    provider.intercept = undefined
    const own = checkWithout(undefined, {}, clock)
    const old = await provider.token(resource)
    await own.check(old)
    expect(own.check(old)).toMatchObject({ client: 'machine' })
    await provider.rotate('old keys go')
    // the next token is signed by a key that is not known yet
    later = limits.jwksCoolDownMs
    expect(await own.check(await provider.token(resource))).toMatchObject({ client: 'machine' })
    await expect(own.check(old)).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})
