import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js'
import { OAuthProtectedResourceMetadataSchema } from '@modelcontextprotocol/sdk/shared/auth.js'
import { describe, expect, it } from 'vitest'
import {
  bearerChallenge,
  type Challenge,
  challenged,
  metadataUrl,
  resourceAliases,
  resourceFor,
  resourceMetadata,
} from '../../src/auth/challenge.ts'
import { GatewayError } from '../../src/core/errors.ts'

const at = 'https://gateway.test/.well-known/oauth-protected-resource/mcp'

describe('a challenge', () => {
  it.each<[Omit<Challenge, 'resourceMetadata'>, string]>([
    [{ scope: [] }, ''],
    [{ scope: ['a', 'b', 'a'] }, ', scope="a b"'],
    [{ scope: [], description: 'said without an error' }, ''],
    [{ scope: ['a'], error: 'invalid_token' }, ', scope="a", error="invalid_token"'],
    [
      { scope: [], error: 'invalid_token', description: 'This “is”\r\nSet-Cookie: a="b"\\ the token’s' },
      `, error="invalid_token", error_description="This isSet-Cookie: a=b the token's"`,
    ],
    [{ scope: ['a"b', 'c\\d'], error: 'insufficient_scope' }, ', scope="ab cd", error="insufficient_scope"'],
  ])('of %j', (rest, text) => {
    expect(bearerChallenge({ resourceMetadata: at, ...rest })).toBe(`Bearer resource_metadata="${at}"${text}`)
  })

  it('is understood by the official client', () => {
    const challenge = bearerChallenge({ resourceMetadata: at, scope: ['a', 'b'], error: 'insufficient_scope' })
    const response = new Response(null, { status: 403, headers: { 'www-authenticate': challenge } })
    const { resourceMetadataUrl, scope, error } = extractWWWAuthenticateParams(response)
    expect([resourceMetadataUrl?.href, scope, error]).toEqual([at, 'a b', 'insufficient_scope'])
  })

  const where = { resourceMetadata: at, scope: ['a'] }

  it('stands on a refusal, with an error only when a token came', () => {
    const headerOf = (error: GatewayError, presented: boolean) =>
      challenged(error, where, presented).headers?.['www-authenticate']
    const unauthenticated = new GatewayError('unauthenticated', { words: 'The token has expired.' })
    expect(headerOf(unauthenticated, false)).toBe(`Bearer resource_metadata="${at}", scope="a"`)
    expect(headerOf(unauthenticated, true)).toMatch(
      /, error="invalid_token", error_description="The token has expired\."$/,
    )
    expect(headerOf(new GatewayError('insufficient_scope'), true)).toMatch(/, scope="a", error="insufficient_scope", /)
  })

  it('changes nothing else about the refusal, and no other error', () => {
    const cause = new Error('why')
    const refusal = new GatewayError('unauthenticated', { cause, data: { a: 1 }, headers: { 'retry-after': '1' } })
    expect(challenged(refusal, where, true)).toMatchObject({
      code: 'unauthenticated',
      cause,
      data: { a: 1 },
      message: refusal.message,
      headers: { 'retry-after': '1' },
    })
    const other = new GatewayError('issuer_unavailable')
    expect(challenged(other, where, true)).toBe(other)
  })
})

describe('the document of a resource', () => {
  it('says what RFC 9728 asks for, as the official client reads it', () => {
    const document = resourceMetadata({
      resource: 'https://gateway.test/mcp',
      issuers: ['https://id.test', 'https://id.test', 'https://b.test/'],
      scopes: ['a'],
      name: 'tools',
    })
    expect(document).toEqual({
      resource: 'https://gateway.test/mcp',
      authorization_servers: ['https://id.test', 'https://b.test/'],
      scopes_supported: ['a'],
      bearer_methods_supported: ['header'],
      resource_name: 'tools',
    })
    expect(OAuthProtectedResourceMetadataSchema.parse(document)).toEqual(document)
  })

  it('names no scopes where none are asked for', () => {
    const document = resourceMetadata({ resource: 'https://gateway.test', issuers: [], scopes: [], name: 'tools' })
    expect(document).not.toHaveProperty('scopes_supported')
  })

  const wellKnown = '/.well-known/oauth-protected-resource'

  it.each<[publicUrl: string, path: string, resource: string | undefined]>([
    ['https://g.test', wellKnown, 'https://g.test'],
    ['https://g.test', `${wellKnown}/`, 'https://g.test/'],
    ['https://g.test', `${wellKnown}/mcp`, 'https://g.test/mcp'],
    ['https://g.test', `${wellKnown}/mcp/support`, 'https://g.test/mcp/support'],
    ['https://g.test', `${wellKnown}/mcp/hidden`, undefined],
    ['https://g.test', `${wellKnown}/mcp/`, undefined],
    ['https://g.test', `${wellKnown}mcp`, undefined],
    ['https://g.test', `${wellKnown}@evil.test/mcp`, undefined],
    ['https://g.test', `${wellKnown}//evil.test`, undefined],
    ['https://g.test', '/mcp', undefined],
    ['http://127.0.0.1:8080', `${wellKnown}/mcp`, 'http://127.0.0.1:8080/mcp'],
    ['https://g.test/tools', `${wellKnown}/tools/mcp`, 'https://g.test/tools/mcp'],
    ['https://g.test/tools', `${wellKnown}/mcp`, 'https://g.test/tools/mcp'],
    ['https://g.test/tools', `/tools${wellKnown}/mcp`, 'https://g.test/tools/mcp'],
    ['https://g.test/tools', wellKnown, 'https://g.test/tools'],
    ['https://g.test/tools', `${wellKnown}/tools`, 'https://g.test/tools'],
  ])('under %s at %s describes %s', (publicUrl, path, resource) => {
    expect(resourceFor(path, publicUrl, resourceAliases(publicUrl, ['support']))).toBe(resource)
  })

  it.each(['/', '/mcp', '/mcp/support'])('is where the challenge for %s says', (path) => {
    const { pathname } = new URL(metadataUrl('https://g.test', path))
    const resource = resourceFor(pathname, 'https://g.test', resourceAliases('https://g.test', ['support']))
    expect(resource).toBe(`https://g.test${path === '/' ? '' : path}`)
  })
})
