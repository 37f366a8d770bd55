import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tokenHolder } from '../../src/auth/bearer.ts'
import { getThrough } from '../../src/auth/issuer.ts'
import { jwtCheck, type JwtOptions, type JwtRoom, type TokenCheck, tokenAlgorithms } from '../../src/auth/jwt.ts'
import { RememberedTokens } from '../../src/auth/remember.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { GatewayError } from '../../src/core/errors.ts'
import { limits } from '../../src/core/limits.ts'
import type { Principal } from '../../src/core/model.ts'
import { createEgress, type Egress } from '../../src/egress/fetch.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'

const resource = 'https://gateway.test/mcp'

let provider: IdentityProvider
let second: IdentityProvider
let egress: Egress

beforeAll(async () => {
  provider = await startIdentityProvider()
  second = await startIdentityProvider()
  egress = createEgress({ allow: [provider.address, second.address], clock: systemClock })
})

afterAll(async () => {
  await egress.close()
  await Promise.all([provider.close(), second.close()])
})

const check = (changes: Partial<JwtOptions> = {}, room: Partial<JwtRoom> = {}): TokenCheck =>
  jwtCheck(
    {
      discoveryUrl: provider.discoveryUrl,
      audiences: [resource],
      clients: [],
      scopes: [],
      customClaims: [],
      ...changes,
    },
    { clock: systemClock, fetch: getThrough(egress), ...room },
  )

const now = (): number => Math.floor(Date.now() / 1_000)
const sign = (changes: object = {}, header: object = {}): Promise<string> =>
  provider.sign(
    { iss: provider.issuer, sub: 'alice', aud: resource, client_id: 'app', exp: now() + 600, ...changes },
    { ...header },
  )

describe('a token of a certified provider', () => {
  it.each(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const)(
    'is accepted when it is signed with %s',
    async (algorithm) => {
      provider.algorithm = algorithm
      const caller = await check().check(await provider.token(resource))
      expect(caller).toMatchObject({ tenant: 'default', subject: `${provider.issuer}|machine`, client: 'machine' })
      expect(tokenAlgorithms.has(algorithm)).toBe(true)
    },
  )

  it('is known at once when it comes again', async () => {
    provider.algorithm = 'RS256'
    const token = await provider.token(resource, 'tools tools:write')
    const one = check()
    const first = one.check(token)
    expect(first).toBeInstanceOf(Promise)
    const again = one.check(token)
    expect(again).toBeInstanceOf(Promise)
    const caller = await first
    await again
    expect(one.check(token)).not.toBeInstanceOf(Promise)
    expect(one.check(token)).toEqual(caller)
    expect([...(caller?.scopes ?? [])]).toEqual(['tools', 'tools:write'])
  })
})

describe('a token is accepted', () => {
  it.each<[name: string, changes: object, header: object, options?: Partial<JwtOptions>]>([
    ['without a type', {}, { typ: undefined }],
    ['of the type JWT', {}, { typ: 'JWT' }],
    ['of the type application/at+jwt', {}, { typ: 'application/AT+JWT' }],
    ['for several resources', { aud: ['https://other.test', resource] }, {}],
    [
      'for the origin, which the client wrote with a slash',
      { aud: 'https://g.test/' },
      {},
      { audiences: ['https://g.test'] },
    ],
    [
      'for the origin, which the client wrote without',
      { aud: 'https://g.test' },
      {},
      { audiences: ['https://g.test/'] },
    ],
    ['for a name that is no URL', { aud: 'my-api' }, {}, { audiences: ['my-api'] }],
    ['within the leeway after its end', { exp: now() - 30 }, {}],
    ['within the leeway before its beginning', { nbf: now() + 30, iat: now() + 30 }, {}],
    ['with a fraction of a second', { exp: now() + 600.5, iat: now() - 0.5 }, {}],
    ['of an allowed client', { client_id: 'app' }, {}, { clients: ['app'] }],
    ['of an allowed party', { client_id: undefined, azp: 'app' }, {}, { clients: ['app'] }],
    ['of two allowed ones', { azp: 'front' }, {}, { clients: ['app', 'front'] }],
    ['with one of the scopes', { scp: ['b'] }, {}, { scopes: ['a', 'b'] }],
    ['of Cognito, for access', { token_use: 'access' }, {}],
    ['of Keycloak, for access', { typ: 'Bearer' }, {}],
    ['of a workload, which names no client', { client_id: undefined }, {}],
  ])('%s', async (_name, changes, header, options) => {
    expect(await check(options).check(await sign(changes, header))).toMatchObject({
      subject: `${provider.issuer}|alice`,
    })
  })
})

describe('times', () => {
  it('are judged by the wall clock that is given', async () => {
    const clock: Clock = { ...systemClock, now: () => Date.now() + 700_000 }
    const token = await sign()
    expect(await check().check(token)).toBeDefined()
    await expect(check({}, { clock }).check(token)).rejects.toMatchObject({
      code: 'unauthenticated',
      message: 'The token has expired.',
    })
  })

  it('hold for remembered tokens too', async () => {
    let shift = 0
    const clock: Clock = { ...systemClock, now: () => Date.now() + shift }
    const one = check({}, { clock })
    const token = await sign()
    await one.check(token)
    expect(one.check(token)).toMatchObject({ client: 'app' })
    shift = 600_000 + limits.callerTokenLeewayMs + 1_000
    await expect(one.check(token)).rejects.toMatchObject({ code: 'unauthenticated' })
  })
})

describe('a refusal', () => {
  it.each<[object, string]>([
    [{ exp: 1 }, 'The token has expired.'],
    [{ aud: 'x' }, 'The token is not for this resource.'],
    [{ cnf: {} }, 'The token is bound to a key and cannot be used as a bearer token here.'],
    [{ client_id: 'x' }, new GatewayError('unauthenticated').message],
  ])('of a token with %j says: %s', async (changes, words) => {
    await expect(check({ clients: ['app'] }).check(await sign(changes))).rejects.toMatchObject({ message: words })
  })

  it('names the rule for the log, and nothing of the token', async () => {
    await expect(check().check(await sign({ aud: 'canary-1' }))).rejects.toMatchObject({
      cause: { message: 'the token fails the rule: audience' },
    })
  })

  it('is none of a configuration’s', () => {
    expect(() => check({ audiences: [] })).toThrow(expect.objectContaining({ code: 'bad_config' }))
    expect(() => check({ discoveryUrl: 'https://id.test' })).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })
})

describe('a check', () => {
  it('has nothing to say about what is no JWT or of another issuer, and asks nobody', async () => {
    const asked = provider.heard('/jwks')
    const one = check()
    for (const token of ['tg_abcdef', 'a.b.c', `${'x'.repeat(20_000)}.e30.e30`, await second.token(resource)])
      expect(await one.check(token)).toBeUndefined()
    expect(provider.heard('/jwks')).toBe(asked)
  })

  it('names its issuer as the metadata does, and as configured while there is none', async () => {
    const fetch: JwtRoom['fetch'] = () => Promise.reject(new Error('down'))
    expect(await check().issuer()).toBe(provider.issuer)
    expect(await check({ discoveryUrl: 'https://id.test/.well-known/openid-configuration' }, { fetch }).issuer()).toBe(
      'https://id.test',
    )
  })

  it('tells at start that its issuer cannot be asked', async () => {
    await expect(check().ready()).resolves.toBeUndefined()
    await expect(check({}, { fetch: () => Promise.reject(new Error('down')) }).ready()).rejects.toMatchObject({
      code: 'issuer_unavailable',
      cause: { message: 'down' },
    })
  })
})

describe('several checks', () => {
  const keys = (holder: Principal): Pick<TokenCheck, 'check'> => ({
    check: (token) => (token.startsWith('tg_') ? holder : undefined),
  })
  const holder: Principal = { tenant: 'default', subject: 'key-1', client: '', scopes: new Set() }

  it('let in the tokens of each issuer, and remember in one place', async () => {
    const remembered = new RememberedTokens(systemClock)
    const both = [check({}, { remembered }), check({ discoveryUrl: second.discoveryUrl }, { remembered })]
    for (const one of [provider, second]) {
      const token = await one.token(resource)
      expect(await tokenHolder(token, both)).toMatchObject({ subject: `${one.issuer}|machine` })
      expect(tokenHolder(token, both)).toMatchObject({ subject: `${one.issuer}|machine` })
    }
    expect(remembered.size).toBe(2)
  })

  it('of which any one suffices, whatever another says about the same issuer', async () => {
    const strict = check({ audiences: ['https://other.test'] })
    expect(await tokenHolder(await sign(), [strict, check()])).toMatchObject({ client: 'app' })
    expect(await tokenHolder(await sign(), [check(), strict])).toMatchObject({ client: 'app' })
  })

  it('take keys beside tokens, in either order', async () => {
    expect(await tokenHolder('tg_x', [check(), keys(holder)])).toBe(holder)
    expect(tokenHolder('tg_x', [keys(holder), check()])).toBe(holder)
    expect(await tokenHolder(await sign(), [keys(holder), check()])).toMatchObject({ client: 'app' })
  })

  it('refuse with what helps most', async () => {
    const refusalOf = (checks: readonly TokenCheck[], token: string) =>
      Promise.resolve()
        .then(() => tokenHolder(token, checks))
        .catch((error: GatewayError) => error.code)
    const scoped = check({ scopes: ['admin'] })
    const wrong = check({ audiences: ['https://other.test'] })
    const down = check({}, { fetch: () => Promise.reject(new Error('down')) })
    const token = await sign()
    expect(await refusalOf([wrong, scoped], token)).toBe('insufficient_scope')
    expect(await refusalOf([scoped, wrong], token)).toBe('insufficient_scope')
    expect(await refusalOf([wrong, down, scoped], token)).toBe('issuer_unavailable')
    expect(await refusalOf([check(), scoped], 'a.b.c')).toBe('unauthenticated')
    expect(await refusalOf([], token)).toBe('unauthenticated')
  })
})
