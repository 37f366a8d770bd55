/** Where an authorization server says that it is, how long that is believed, and what is believed of it. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { methodFor } from '../../../src/credentials/oauth/authentication.ts'
import type { OAuthOptions } from '../../../src/credentials/oauth/room.ts'
import { createServers, issuerOf, type Server, type Servers } from '../../../src/credentials/oauth/server.ts'
import { oauth2 } from '../../../src/credentials/oauth2.ts'
import type { Egress } from '../../../src/egress/fetch.ts'
import { createRoom, optionsFor, type TestRoom } from '../../support/oauth-room.ts'

const discoveryUrl = 'https://as.example.com/t1/.well-known/openid-configuration'

let room: TestRoom
beforeEach(() => {
  room = createRoom({ allow: [] })
  return () => room.close()
})

interface Asked {
  readonly servers: Servers
  readonly urls: string[]
  answer: { status: number; metadata: { [name: string]: Json }; cacheControl?: string }
}

function discovering(given: Partial<OAuthOptions> = {}): Asked {
  const urls: string[] = []
  const metadata = {
    issuer: 'https://as.example.com/t1',
    token_endpoint: 'https://as.example.com/token',
    authorization_endpoint: 'https://as.example.com/authorize',
    code_challenge_methods_supported: ['plain', 'S256'],
  }
  const egress: Egress = {
    check: (url) => new URL(url),
    channel: () => ({
      open: () => Promise.reject(new Error('nothing is streamed here')),
      send: async ({ url }) => {
        urls.push(url)
        const { status, metadata, cacheControl } = asked.answer
        const headers = new Map(cacheControl === undefined ? [] : [['cache-control', cacheControl]])
        return { status, headers, body: Buffer.from(JSON.stringify(metadata)), cut: false }
      },
      close: async () => undefined,
    }),
    close: async () => undefined,
  }
  const options = optionsFor({ grant: 'authorizationCode', discoveryUrl, ...given })
  const asked: Asked = {
    servers: createServers(options, { ...room, egress }),
    urls,
    answer: { status: 200, metadata },
  }
  return asked
}

describe('the address of a server’s metadata', () => {
  it.each([
    ['https://a.example/.well-known/openid-configuration', 'https://a.example'],
    ['https://a.example/t1/.well-known/openid-configuration', 'https://a.example/t1'],
    ['https://a.example/.well-known/oauth-authorization-server', 'https://a.example'],
    ['https://a.example/.well-known/oauth-authorization-server/t1/x', 'https://a.example/t1/x'],
    ['https://a.example:8443/.well-known/openid-configuration', 'https://a.example:8443'],
  ])('%s stands for the issuer %s', (url, issuer) => {
    expect(issuerOf(url)).toBe(issuer)
  })

  it.each(['https://a.example/', 'nonsense', 'https://a.example/?x=/.well-known/openid-configuration'])(
    'is none: %s',
    (url) => {
      expect(() => issuerOf(url)).toThrow(expect.objectContaining({ code: 'bad_config' }))
    },
  )
})

describe('metadata', () => {
  it.each([
    ['nothing', undefined, 3_600_000],
    ['ten minutes', 'public, max-age=600', 600_000],
    ['no time at all', 'max-age=0', 60_000],
    ['ten years', 'max-age=315360000', 86_400_000],
  ])('that is said to be good for %s is asked for again after that', async (_, cacheControl, ms) => {
    const asked = discovering()
    if (cacheControl !== undefined) asked.answer.cacheControl = cacheControl
    await Promise.all([asked.servers.current(), asked.servers.current()])
    room.ahead.monotonic += ms - 1_000
    await asked.servers.current()
    expect(asked.urls).toEqual([discoveryUrl])
    room.ahead.monotonic += 1_000
    await asked.servers.current()
    expect(asked.urls).toHaveLength(2)
  })

  it('that cannot be had anew is used for a day; one that is wrong is not', async () => {
    const asked = discovering()
    const first = await asked.servers.current()
    room.ahead.monotonic += 3_600_000
    asked.answer.status = 503
    expect(await asked.servers.current()).toBe(first)
    room.ahead.monotonic += 86_400_000
    await expect(asked.servers.current()).rejects.toMatchObject({ fate: 'unsent', reason: 'discovery_503' })
    asked.answer = { status: 200, metadata: { ...asked.answer.metadata, issuer: 'https://other.example' } }
    await expect(asked.servers.current()).rejects.toMatchObject({ fate: 'refused', reason: 'bad_metadata' })
  })

  it.each<[string, string, Partial<OAuthOptions>, boolean]>([
    ['as asked for', 'https://as.example.com/t1', {}, true],
    ['with a slash, which its address does not tell', 'https://as.example.com/t1/', {}, true],
    ['as the configuration has it', 'https://login.example', { issuer: 'https://login.example' }, true],
    ['in other letters', 'https://as.example.com/T1', {}, false],
    ['elsewhere', 'https://as.example.com/t2', {}, false],
    ['not as the configuration has it', 'https://as.example.com/t1', { issuer: 'https://login.example' }, false],
  ])('that names its issuer %s', async (_, issuer, given, isGood) => {
    const asked = discovering(given)
    asked.answer.metadata['issuer'] = issuer
    const server = await asked.servers.current().catch((error: unknown) => error)
    expect(server).toMatchObject(isGood ? { as: { issuer }, knowsIssuer: true } : { reason: 'bad_metadata' })
  })

  it('is one source of addresses, and the configuration goes before it', async () => {
    const { servers } = discovering({ revocationEndpoint: 'https://as.example.com/revoke' })
    expect((await servers.current()).as).toMatchObject({
      token_endpoint: 'https://as.example.com/token',
      revocation_endpoint: 'https://as.example.com/revoke',
    })
  })
})

describe('a client', () => {
  const clientSecret = new Secret('s')
  const server = (methods?: string[]): Server => ({
    as: {
      issuer: 'https://a.example',
      ...(methods === undefined ? {} : { token_endpoint_auth_methods_supported: methods }),
    },
    knowsIssuer: true,
    pkce: true,
    discovered: true,
  })

  it.each<[string, Partial<OAuthOptions>, string[] | undefined, string]>([
    ['a secret and no word of the server', { clientSecret }, undefined, 'client_secret_basic'],
    [
      'a secret and a server that takes both',
      { clientSecret },
      ['client_secret_post', 'client_secret_basic'],
      'client_secret_basic',
    ],
    ['a secret and a server that takes it in the form', { clientSecret }, ['client_secret_post'], 'client_secret_post'],
    ['a key', { privateKey: new Secret('k') }, undefined, 'private_key_jwt'],
    ['nothing', {}, undefined, 'none'],
    ['a method of its own', { clientSecret, clientAuthentication: 'none' }, undefined, 'none'],
  ])('with %s authenticates by what fits', (_, given, methods, expected) => {
    expect(methodFor(optionsFor({ grant: 'clientCredentials', ...given }), undefined, server(methods))).toBe(expected)
  })

  it.each<[string, Partial<OAuthOptions>]>([
    ['whose method needs a key', { discoveryUrl, clientAuthentication: 'private_key_jwt' }],
    ['whose method needs a secret', { discoveryUrl, clientAuthentication: 'client_secret_post' }],
    ['without a server', {}],
    ['whose token endpoint is no address', { tokenEndpoint: 'token' }],
    ['of users without a page to sign in at', { grant: 'authorizationCode', tokenEndpoint: 'https://a.example/token' }],
  ])('%s is refused at the start', (_, given) => {
    expect(() => oauth2(optionsFor({ grant: 'clientCredentials', ...given }), room)).toThrow(
      expect.objectContaining({ code: 'bad_config' }),
    )
  })
})
