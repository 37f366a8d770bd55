import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { getThrough, Issuer, issuersOf } from '../../src/auth/issuer.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { limits } from '../../src/core/limits.ts'
import { createEgress, type Egress } from '../../src/egress/fetch.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'

const resource = 'https://gateway.test/mcp'
const discovery = '/.well-known/openid-configuration'

let provider: IdentityProvider
let egress: Egress
let later: number
let issuer: Issuer
let asked: { metadata: number; keys: number }

const clock: Clock = { ...systemClock, monotonic: () => later }
const asksSince = () => ({
  metadata: provider.heard(discovery) - asked.metadata,
  keys: provider.heard('/jwks') - asked.keys,
})
const kidOf = (token: string): string | undefined =>
  JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
const signer = async (token: string) => (await issuer.signerOf(token, kidOf(token)))?.kid

beforeAll(async () => {
  provider = await startIdentityProvider()
  egress = createEgress({ allow: [provider.address], clock: systemClock })
})

beforeEach(() => {
  later = 0
  issuer = new Issuer(provider.discoveryUrl, clock, getThrough(egress))
  asked = { metadata: provider.heard(discovery), keys: provider.heard('/jwks') }
})

afterEach(() => {
  provider.intercept = undefined
})

afterAll(async () => {
  await egress.close()
  await provider.close()
})

describe('a discovery URL', () => {
  it.each([
    ['https://id.test/.well-known/openid-configuration', 'https://id.test'],
    ['https://id.test/realms/a/.well-known/openid-configuration', 'https://id.test/realms/a'],
    ['https://id.test/a/.well-known/oauth-authorization-server', 'https://id.test/a'],
    ['https://id.test/.well-known/oauth-authorization-server', 'https://id.test'],
    ['https://id.test/.well-known/oauth-authorization-server/realms/a', 'https://id.test/realms/a'],
    ['https://id.test/.well-known/oauth-authorization-server/a/', 'https://id.test/a'],
    ['https://id.test/.well-known/openid-configuration/a', 'https://id.test/a'],
    ['http://127.0.0.1:9000/.well-known/openid-configuration', 'http://127.0.0.1:9000'],
  ])('%s belongs to %s', (url, name) => {
    expect(issuersOf(url)).toEqual([name, `${name}/`])
  })

  it.each([
    'https://id.test',
    'https://id.test/.well-known/jwks.json',
    'https://id.test/.well-known/openid-configurations',
    'https://id.test/a/.well-known/oauth-authorization-server/b',
    'https://id.test/.well-known/openid-configuration?p=policy',
    'ftp://id.test/.well-known/openid-configuration',
    '/.well-known/openid-configuration',
  ])('%s is refused', (url) => {
    expect(() => issuersOf(url)).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })
})

describe('an issuer', () => {
  it.each(['openid-configuration', 'oauth-authorization-server'])('is found at %s', async (form) => {
    const found = new Issuer(`${provider.issuer}/.well-known/${form}`, clock, getThrough(egress))
    expect(await found.name()).toBe(provider.issuer)
  })

  it('is asked once, however many tokens come at once', async () => {
    const token = await provider.token(resource)
    const signers = await Promise.all(Array.from({ length: 50 }, () => signer(token)))
    expect(new Set(signers)).toEqual(new Set([kidOf(token)]))
    expect(asksSince()).toEqual({ metadata: 1, keys: 1 })
  })

  it('is asked for its keys again when they are old', async () => {
    const token = await provider.token(resource)
    await signer(token)
    later = limits.jwksMs
    await signer(token)
    expect(asksSince().keys).toBe(1)
    later += 1
    await signer(token)
    expect(asksSince().keys).toBe(2)
  })

  it('is asked again for a key that is not known, but not while it just was', async () => {
    await signer(await provider.token(resource))
    await provider.rotate('old keys stay')
    const token = await provider.token(resource)
    expect(await signer(token)).toBeUndefined()
    later = limits.jwksCoolDownMs
    const signers = await Promise.all(Array.from({ length: 50 }, () => signer(token)))
    expect(new Set(signers)).toEqual(new Set([kidOf(token)]))
    expect(asksSince().keys).toBe(2)
  })

  it('keeps the keys that stay and drops those that go', async () => {
    const old = await provider.token(resource)
    const key = await issuer.signerOf(old, kidOf(old))
    if (key === undefined) throw new Error('no key')
    await provider.rotate('old keys stay')
    later = limits.jwksCoolDownMs
    await signer(await provider.token(resource))
    expect(issuer.holds(key)).toBe(true)
    expect(await issuer.signerOf(old, kidOf(old))).toBe(key)
    await provider.rotate('old keys go')
    later *= 2
    expect(await signer(await provider.token(resource))).toBeDefined()
    expect(issuer.holds(key)).toBe(false)
    expect(await signer(old)).toBeUndefined()
  })

  it('finds the key of a token that names none', async () => {
    provider.algorithm = 'ES256'
    const claims = { iss: provider.issuer }
    expect((await issuer.signerOf(await provider.sign(claims, { kid: undefined }), undefined))?.kid).toBe(
      provider.keys()[0]?.kid,
    )
    provider.algorithm = 'RS256'
  })

  it('is not robbed of its good keys by a bad one', async () => {
    const bad = [{}, { kty: 'RSA', n: 'x', e: 'AQAB' }, { kty: 7 }, null, 'key', { kty: 'oct', k: 'AAAA' }]
    provider.intercept = (path) =>
      path === '/jwks' ? { status: 200, body: JSON.stringify({ keys: [...bad, ...provider.keys()] }) } : undefined
    expect(await signer(await provider.token(resource))).toBe(provider.keys()[0]?.kid)
    expect((await issuer.signerOf(await provider.sign({}, { kid: undefined }), undefined))?.kid).toBe(
      provider.keys()[0]?.kid,
    )
  })

  it('is taken at its word when it withdraws every key', async () => {
    const token = await provider.token(resource)
    await signer(token)
    provider.intercept = (path) => (path === '/jwks' ? { status: 200, body: '{"keys":[]}' } : undefined)
    later = limits.jwksMs + 1
    expect(await signer(token)).toBeUndefined()
  })

  it('that goes down is believed for a while, then no more, and again when it is back', async () => {
    const token = await provider.token(resource)
    await signer(token)
    provider.intercept = () => 'hang up'
    for (later = limits.jwksMs + 1; later <= limits.jwksStaleMs; later += limits.jwksMs)
      expect(await signer(token)).toBe(kidOf(token))
    later = limits.jwksStaleMs + 1
    await expect(signer(token)).rejects.toMatchObject({ code: 'issuer_unavailable', retry: true })
    provider.intercept = undefined
    await expect(signer(token)).rejects.toMatchObject({ code: 'issuer_unavailable' })
    later += limits.jwksRetryMs
    expect(await signer(token)).toBe(kidOf(token))
  })

  it('that is down from the start is asked again after a pause only', async () => {
    provider.intercept = () => ({ status: 503, body: '' })
    await expect(issuer.name()).rejects.toMatchObject({ code: 'issuer_unavailable' })
    for (let again = 0; again < 20; again++) await expect(issuer.name()).rejects.toBeDefined()
    expect(asksSince()).toEqual({ metadata: 1, keys: 0 })
    provider.intercept = undefined
    later = limits.jwksRetryMs
    expect(await issuer.name()).toBe(provider.issuer)
  })
})

describe('an issuer whose documents are wrong', () => {
  const answering = (path: string, body: unknown, status = 200) => ({
    path,
    status,
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const metadata = (changes: object) => (): ReturnType<typeof answering> =>
    answering(discovery, { issuer: provider.issuer, jwks_uri: `${provider.issuer}/jwks`, ...changes })

  it.each<[name: string, answer: () => ReturnType<typeof answering>, cause: RegExp]>([
    ['an error', () => answering(discovery, '', 500), /answered 500/],
    ['a redirect', () => answering(discovery, '', 302), /answered 302/],
    ['a page', () => answering(discovery, '<html>'), /JSON/],
    ['an array', () => answering(discovery, []), /issuer/],
    ['null', () => answering(discovery, 'null'), /no JSON object/],
    [
      'more than it may',
      () => answering(discovery, ' '.repeat(limits.issuerMetadataBytes + 1)),
      /more than 131072 bytes/,
    ],
    ['a deep nest', () => answering(discovery, '['.repeat(1_000)), /nested too deep/],
    ['another issuer', metadata({ issuer: 'https://elsewhere.test' }), /does not belong/],
    ['an issuer with a path', metadata({ issuer: 'https://id.test/a' }), /does not belong/],
    [
      'Microsoft’s template',
      metadata({ issuer: 'https://login.microsoftonline.com/{tenantid}/v2.0' }),
      /does not belong/,
    ],
    ['no issuer', metadata({ issuer: undefined }), /does not belong/],
    ['no jwks_uri', metadata({ jwks_uri: undefined }), /no jwks_uri/],
    ['a jwks_uri inward', metadata({ jwks_uri: 'http://169.254.169.254/latest' }), /not public/],
    ['a jwks_uri that is a file', metadata({ jwks_uri: 'file:///etc/passwd' }), /https/],
    ['keys that are a page', () => answering('/jwks', '<html>'), /JSON/],
    ['no keys', () => answering('/jwks', {}), /no keys/],
    ['keys in an object', () => answering('/jwks', { keys: {} }), /no keys/],
    ['more keys than it may', () => answering('/jwks', ' '.repeat(limits.jwksBytes + 1)), /more than 262144 bytes/],
  ])('is not believed: %s', async (_name, make, cause) => {
    const { path, ...answer } = make()
    provider.intercept = (asked_) => (asked_ === path ? answer : undefined)
    await expect(issuer.name()).rejects.toMatchObject({
      code: 'issuer_unavailable',
      cause: expect.objectContaining({ message: expect.stringMatching(cause) }),
    })
  })

  it('does not lose what was known before', async () => {
    const token = await provider.token(resource)
    await signer(token)
    provider.intercept = () => ({ status: 200, body: '<html>' })
    later = limits.jwksMs + 1
    expect(await signer(token)).toBe(kidOf(token))
  })
})
