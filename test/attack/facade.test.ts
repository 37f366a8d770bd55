/** The façade under attack: forged consent, open redirects, hostile registrations; and clients that only want to sign in. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, request as httpRequest } from 'node:http'
import * as v2 from '@modelcontextprotocol/client'
import { auth, type OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import type { OAuthClientInformationMixed, OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js'
import { chromium } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { GatewayError } from '../../src/core/errors.ts'
import { limits } from '../../src/core/limits.ts'
import {
  answerIn,
  Browser,
  changed,
  codeIn,
  errorOf,
  expectPage,
  type Facade,
  FacadeClient,
  look,
  register,
  startFacade,
} from '../support/facade.ts'
import { user } from '../support/identity-provider.ts'

let facade: Facade
let below: Facade

beforeAll(async () => {
  ;[facade, below] = await Promise.all([startFacade(), startFacade('/gateway')])
})

afterAll(async () => {
  await facade.close()
  await below.close()
})

afterEach(() => facade.reset())

/** An official client’s memory, and a user at a browser who agrees. */
class Memory implements OAuthClientProvider {
  readonly redirectUrl = 'http://127.0.0.1:1/callback'
  readonly clientMetadata = { client_name: 'an official client', redirect_uris: [this.redirectUrl] }
  readonly #facade: Facade
  landed: Promise<URL> | undefined
  client: OAuthClientInformationMixed | undefined
  held: OAuthTokens | undefined
  #verifier = ''

  constructor(of: Facade) {
    this.#facade = of
  }

  clientInformation(): OAuthClientInformationMixed | undefined {
    return this.client
  }

  saveClientInformation(client: OAuthClientInformationMixed): void {
    this.client = client
  }

  tokens(): OAuthTokens | undefined {
    return this.held
  }

  saveTokens(tokens: OAuthTokens): void {
    this.held = tokens
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier
  }

  codeVerifier(): string {
    return this.#verifier
  }

  redirectToAuthorization(url: URL): void {
    this.landed = new Browser().signIn(this.#facade, url)
  }
}

/** The same call of either SDK; both take the same memory. */
type Auth = (
  memory: Memory,
  options: { serverUrl: string; authorizationCode?: string; iss?: string },
) => Promise<string>

describe.each<[sdk: string, Auth]>([
  ['@modelcontextprotocol/sdk', (memory, { iss: _iss, ...options }) => auth(memory, options)],
  ['@modelcontextprotocol/client', (memory, options) => v2.auth(memory, options)],
])('%s with its own OAuth code', (_sdk, run) => {
  const signIn = async (of: Facade): Promise<Memory> => {
    const memory = new Memory(of)
    const serverUrl = `${of.url}/mcp`
    expect(await run(memory, { serverUrl })).toBe('REDIRECT')
    const landed = await memory.landed
    const { code = '', iss = '' } = landed === undefined ? {} : answerIn(landed)
    expect(await run(memory, { serverUrl, authorizationCode: code, iss })).toBe('AUTHORIZED')
    return memory
  }

  it('registers, signs in and refreshes', async () => {
    const memory = await signIn(facade)
    const call = (): Promise<Response> =>
      fetch(`${facade.url}/mcp`, { headers: { authorization: `Bearer ${memory.held?.access_token}` } })
    expect([(await call()).status, await (await call()).json()]).toEqual([200, expect.objectContaining({})])
    const before = memory.held
    expect(await run(memory, { serverUrl: `${facade.url}/mcp` })).toBe('AUTHORIZED')
    expect(memory.held?.access_token).not.toBe(before?.access_token)
    expect(memory.held?.refresh_token).not.toBe(before?.refresh_token)
    expect((await call()).status).toBe(200)
    expect(facade.events.map(({ act, outcome }) => `${act} ${outcome}`)).toEqual(
      ['register', 'consent', 'sign_in', 'token', 'refresh'].map((act) => `${act} ok`),
    )
  })

  it('signs in where the gateway’s public URL has a path', async () => {
    const { held } = await signIn(below)
    expect(await below.check.check(held?.access_token ?? '')).toMatchObject({ subject: expect.stringContaining(user) })
  })

  it('cannot use the provider itself', async () => {
    const memory = new Memory(facade)
    await expect(run(memory, { serverUrl: facade.provider.issuer })).rejects.toThrow(/register|registration/i)
  })
})

describe('the metadata', () => {
  it('promise what is kept and nothing else', async () => {
    const response = await fetch(`${facade.url}/.well-known/oauth-authorization-server`)
    expect(await response.json()).toEqual({
      issuer: facade.url,
      authorization_endpoint: `${facade.url}/authorize`,
      token_endpoint: `${facade.url}/token`,
      registration_endpoint: `${facade.url}/register`,
      scopes_supported: ['openid', 'offline_access', 'tools', 'tools:write'],
      response_types_supported: ['code'],
      response_modes_supported: ['query'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_methods_supported: ['none'],
      code_challenge_methods_supported: ['S256'],
      authorization_response_iss_parameter_supported: true,
    })
  })
})

describe('consent (T15)', () => {
  it('is asked of each client, whoever was allowed before in the same browser', async () => {
    const browser = new Browser()
    const first = await FacadeClient.register(facade)
    await browser.signIn(facade, first.authorizeUrl())
    const second = await FacadeClient.register(facade, 'https://other.test/cb')
    const asked = facade.provider.heard('/auth')
    for (const client of [first, second]) {
      const response = await browser.send(client.authorizeUrl({ prompt: 'none' }))
      expect([response.status, response.headers.get('location')]).toEqual([200, null])
      expect(await response.text()).toContain('<button name="decision" value="allow">')
    }
    expect(facade.provider.heard('/auth')).toBe(asked)
  })

  it('says who asks, where the answer goes and what it asks for; the name is only what the client says', async () => {
    const name = '<script>alert(1)</script>" onload=x \u202eevil'
    const client = await FacadeClient.register(facade, 'https://client.test/cb?a=1&b="'.replace('"', '%22'), name)
    const { text } = await new Browser().page(client.authorizeUrl())
    expect(text).not.toMatch(/<script|\u202e|" onload/)
    expect(text).toContain('Nobody has checked that name')
    expect(text).toContain('<b>client.test</b>')
    expect(text).toContain('openid, offline_access, tools<')
  })

  it.each([
    ['http://127.0.0.1:1/cb', 'this computer (127.0.0.1:1)'],
    ['com.example.app:/cb', 'an app on this device (com.example.app://)'],
    ['https://xn--pple-43d.com/cb', 'xn--pple-43d.com'],
  ])('names the place of %s', async (redirectUri, place) => {
    const client = await FacadeClient.register(facade, redirectUri)
    expect((await new Browser().page(client.authorizeUrl())).text).toContain(`<b>${place}</b>`)
  })

  it('cannot be framed, scripted or read over a shoulder', async () => {
    const client = await FacadeClient.register(facade)
    for (const url of [client.authorizeUrl(), client.authorizeUrl({ client_id: 'none' })]) {
      const { headers } = await look(url)
      expect(headers.get('content-security-policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; form-action 'self'; frame-ancestors 'none'; base-uri 'none'$/,
      )
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('access-control-allow-origin')).toBeNull()
    }
  })

  it('comes before the cookie that lets the provider’s answer in', async () => {
    const client = await FacadeClient.register(facade)
    const browser = new Browser()
    await browser.page(client.authorizeUrl())
    expect([...browser.cookies.keys()]).toEqual(['toolgate-page'])
    await browser.agree(client.authorizeUrl())
    expect([...browser.cookies.keys()]).toEqual([
      'toolgate-page',
      expect.stringMatching(/^toolgate-sign-in-[\w-]{12}$/),
    ])
  })

  it('binds cookies to the host where there is https', async () => {
    const publicUrl = 'https://gateway.test'
    facade.serve({ publicUrl })
    const client = await FacadeClient.register(facade)
    const page = await look(client.authorizeUrl({ resource: undefined }))
    expect(page.headers.get('set-cookie')).toMatch(
      /^__Host-toolgate-page=[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
    )
  })

  it('that is not given ends at the client', async () => {
    const client = await FacadeClient.register(facade)
    const browser = new Browser()
    const url = await Browser.onward(await browser.decide(await browser.page(client.authorizeUrl()), 'deny'))
    expect(url.href.startsWith('https://client.test/cb?')).toBe(true)
    expect(answerIn(url)).toMatchObject({ error: 'access_denied', state: 'its own + state', iss: facade.url })
    expect(browser.cookies.size).toBe(1)
  })

  const foreign = { origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' }
  it.each<[string, (client: FacadeClient, victim: Browser) => Promise<Response>]>([
    [
      'without a cookie',
      async (client, victim) => {
        const page = await victim.page(client.authorizeUrl())
        return new Browser().decide(page)
      },
    ],
    [
      'made of the attacker’s own page',
      async (client, victim) => {
        await victim.page(client.authorizeUrl())
        return victim.decide(await new Browser().page(client.authorizeUrl()))
      },
    ],
    [
      'from another site',
      async (client, victim) => victim.decide(await victim.page(client.authorizeUrl()), 'allow', foreign),
    ],
    [
      'from a sibling host',
      async (client, victim) =>
        victim.decide(await victim.page(client.authorizeUrl()), 'allow', { 'sec-fetch-site': 'same-site' }),
    ],
    [
      'with a request that was changed',
      async (client, victim) => {
        const page = await victim.page(client.authorizeUrl())
        return victim.decide({ ...page, request: changed(page.request, 40) })
      },
    ],
    [
      'with a client id for a request',
      async (client, victim) => victim.decide({ ...(await victim.page(client.authorizeUrl())), request: client.id }),
    ],
    [
      'eleven minutes later',
      async (client, victim) => {
        const page = await victim.page(client.authorizeUrl())
        facade.room.ahead.wall = 11 * 60_000
        return victim.decide(page)
      },
    ],
    [
      'as JSON',
      async (client, victim) => {
        const { action, request } = await victim.page(client.authorizeUrl())
        const body = JSON.stringify({ request, decision: 'allow' })
        return victim.send(action, { method: 'POST', body, headers: { 'content-type': 'application/json' } })
      },
    ],
    [
      'as a link',
      async (client, victim) => {
        const { action, request } = await victim.page(client.authorizeUrl())
        return victim.send(`${action}?${new URLSearchParams({ request, decision: 'allow' }).toString()}`)
      },
    ],
  ])('forged %s begins nothing', async (_how, forge) => {
    const victim = new Browser()
    const response = await forge(await FacadeClient.register(facade), victim)
    await expectPage(response, response.status === 403 ? 403 : 400)
    expect([...victim.cookies.keys()]).toEqual(['toolgate-page'])
  })

  it('pages, refused sign-ins and registrations leave nothing in the store', async () => {
    const client = await FacadeClient.register(facade)
    const browser = new Browser()
    await browser.agree(client.authorizeUrl())
    await browser.send(`${facade.url}/authorize/callback?state=made-up&code=x`)
    await look(client.authorizeUrl(), { method: 'HEAD' })
    expect(await facade.stored()).toEqual([])
  })
})

describe('a redirect URI', () => {
  it.each([
    'javascript:alert(1)//.x',
    'java.script:alert(1)#',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://client.test/x',
    'about:blank',
    'myapp:/cb',
    'http://client.test/cb',
    'http://127.0.0.2/cb',
    'http://localhost.evil.test/cb',
    'http://127.0.0.1.evil.test/cb',
    'http://127.0.0.1@evil.test/cb',
    'http://127.0.0.1:80@evil.test/cb',
    'http://[::1].evil.test/cb',
    'http://0x7f.1/cb',
    'https://user@client.test/cb',
    'https://client.test@evil.test/cb',
    'https://client.test/cb#fragment',
    'https://client.test/cb#',
    'https://*.client.test/cb',
    'https://client.test/*',
    'https://CLIENT.test/cb',
    'HTTPS://client.test/cb',
    'https:/client.test/cb',
    'https:client.test/cb',
    'https://client.test:443/cb',
    'https://client.test/a/../cb',
    'https://client.test\\@evil.test/cb',
    'https://client%2etest/cb',
    'https://client.test/c b',
    ' https://client.test/cb',
    'https://client.test/cb\n',
    'https://clіent.test/cb',
    '//client.test/cb',
    '/cb',
    '',
    `https://client.test/${'x'.repeat(512)}`,
  ])('%j is not registered', async (uri) => {
    const answer = await register(facade.url, { redirect_uris: ['https://client.test/cb', uri] })
    expect(await errorOf(answer)).toEqual([400, 'invalid_redirect_uri'])
  })

  it.each([
    'https://client.test/cb/',
    'https://client.test/cb/more',
    'https://client.test/CB',
    'https://client.test/',
    'https://client.test/cb?x=1',
    'https://client.test/cb#',
    'https://client.test/%63b',
    'https://client.test/x/../cb',
    'https://client.test:444/cb',
    'https://client.test:443/cb',
    'https://Client.test/cb',
    'https://client.test./cb',
    'https://user@client.test/cb',
    'https://client.test@evil.test/cb',
    'https://client.test.evil.test/cb',
    'https://evil.test/cb',
    'http://client.test/cb',
    'https://client.test\\.evil.test/cb',
    'https:client.test/cb',
    'javascript:alert(1)',
    'http://127.0.0.1:1/cb',
    undefined,
  ])('%j is not what was registered, and nobody is sent there', async (uri) => {
    const client = await FacadeClient.register(facade)
    const text = await expectPage(await look(client.authorizeUrl({ redirect_uri: uri })))
    expect(text).not.toMatch(/evil|alert/)
  })

  it.each([
    ['http://127.0.0.1/cb', 'http://127.0.0.1:51234/cb', true],
    ['http://127.0.0.1:3000/cb', 'http://127.0.0.1:51234/cb', true],
    ['http://[::1]:3000/cb', 'http://[::1]:51234/cb', true],
    ['http://localhost:3000/cb', 'http://localhost:1/cb', true],
    ['http://127.0.0.1:3000', 'http://127.0.0.1:4', true],
    ['com.example.app:/cb', 'com.example.app:/cb', true],
    ['https://client.test:8443/cb', 'https://client.test:8444/cb', false],
    ['http://127.0.0.1:3000/cb', 'http://127.0.0.1:3000/cb/', false],
    ['http://127.0.0.1:3000/cb', 'http://localhost:3000/cb', false],
    ['http://127.0.0.1:3000/cb', 'http://127.0.0.1:3000@evil.test/cb', false],
    ['http://127.0.0.1:3000/cb', 'http://127.0.0.1:99999/cb', false],
    ['http://127.0.0.1:3000/cb', 'https://127.0.0.1:3000/cb', false],
    ['com.example.app:/cb', 'com.example.app:/other', false],
  ])('registered as %s lets %s in: %s', async (registered, asked, isTaken) => {
    const client = await FacadeClient.register(facade, registered)
    const response = await look(client.authorizeUrl({ redirect_uri: asked }))
    expect(response.status).toBe(isTaken ? 200 : 400)
  })

  it('may have a scheme that the operator lists', async () => {
    facade.serve({ redirectSchemes: ['cursor'] })
    const client = await FacadeClient.register(facade, 'cursor://anysphere.cursor-mcp/oauth/callback')
    expect((await look(client.authorizeUrl())).status).toBe(200)
    for (const scheme of ['javascript', 'data', 'http', 'Cursor', 'cursor:'])
      expect(() => facade.serve({ redirectSchemes: [scheme] })).toThrow(GatewayError)
  })

  it('is not followed for an error of a client that is not known', async () => {
    const client = await FacadeClient.register(facade)
    const evil = { redirect_uri: 'https://evil.test/cb', response_type: 'nonsense' }
    for (const id of [undefined, 'unknown', changed(client.id, 60), client.id.slice(0, -4)])
      expect(await expectPage(await look(client.authorizeUrl({ ...evil, client_id: id })))).not.toContain('evil')
  })
})

describe('a request for a code', () => {
  /** The one link of a page that sends nobody anywhere by itself. */
  const linkOn = async (response: Response): Promise<URL> => {
    expect([response.status, response.headers.get('location')]).toEqual([400, null])
    const text = await response.text()
    expect(text).not.toMatch(/http-equiv|<form/)
    return new URL(/<a href="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? 'none:')
  }

  it.each<[string, { [name: string]: string | undefined }, string]>([
    ['without PKCE', { code_challenge: undefined, code_challenge_method: undefined }, 'invalid_request'],
    ['with the plain method', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['without a method', { code_challenge_method: undefined }, 'invalid_request'],
    ['with a method in small letters', { code_challenge_method: 's256' }, 'invalid_request'],
    ['with a short challenge', { code_challenge: 'abc' }, 'invalid_request'],
    ['with an empty challenge', { code_challenge: '' }, 'invalid_request'],
    ['for a token', { response_type: 'token' }, 'unsupported_response_type'],
    ['for a code and an ID token', { response_type: 'code id_token' }, 'unsupported_response_type'],
    ['in a fragment', { response_mode: 'fragment' }, 'invalid_request'],
    ['in a request object', { request: 'e30.e30.' }, 'invalid_request'],
    ['for another resource', { resource: 'https://other.test/mcp' }, 'invalid_target'],
  ])('%s is refused, and the client told if the user wants it', async (_how, change, error) => {
    const client = await FacadeClient.register(facade)
    const url = await linkOn(await look(client.authorizeUrl(change)))
    expect(`${url.origin}${url.pathname}`).toBe('https://client.test/cb')
    expect(answerIn(url)).toMatchObject({ error, state: 'its own + state', iss: facade.url })
  })

  it.each(['x'.repeat(limits.facadeStateChars + 1), 'a\r\nb', 'ü'])(
    'does not get a state such as %j back',
    async (state) => {
      const client = await FacadeClient.register(facade)
      const answer = answerIn(await linkOn(await look(client.authorizeUrl({ state }))))
      expect(answer).toMatchObject({ error: 'invalid_request' })
      expect(answer).not.toHaveProperty('state')
    },
  )

  it.each(['redirect_uri', 'client_id', 'state', 'scope', 'resource'])(
    'with two of %s is believed in nothing',
    async (name) => {
      const client = await FacadeClient.register(facade)
      const url = client.authorizeUrl()
      url.searchParams.append(name, 'https://evil.test/')
      await expectPage(await look(url))
    },
  )

  it.each([
    ['', 200],
    ['/', 200],
    ['/mcp', 200],
    ['/mcp/support', 200],
    ['/mcp/hidden', 400],
    ['/MCP', 400],
    ['.evil.test/mcp', 400],
  ])('for the gateway by the name of %j is answered with %i', async (path, status) => {
    const client = await FacadeClient.register(facade)
    expect((await look(client.authorizeUrl({ resource: `${facade.url}${path}` }))).status).toBe(status)
  })

  it('reaches the provider with what is the façade’s own, and no resource', async () => {
    const client = await FacadeClient.register(facade)
    const asked = answerIn(await new Browser().agree(client.authorizeUrl({ scope: 'tools admin' })))
    expect(asked).toEqual({
      client_id: 'gateway',
      response_type: 'code',
      redirect_uri: `${facade.url}/authorize/callback`,
      scope: 'openid offline_access tools',
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      prompt: 'consent',
    })
    expect(asked['code_challenge']).not.toBe(client.challenge)
  })

  it('names a resource to the provider when that is configured', async () => {
    const parameters = new Map([
      ['state', 'fixed'],
      ['redirect_uri', 'https://evil.test'],
    ])
    const provider = { ...facade.options.provider, resource: 'https://api.internal.test/', parameters }
    facade.serve({ provider })
    const client = await FacadeClient.register(facade)
    const asked = answerIn(await new Browser().agree(client.authorizeUrl()))
    expect(asked).toMatchObject({
      resource: 'https://api.internal.test/',
      redirect_uri: `${facade.url}/authorize/callback`,
    })
    expect(asked['state']).not.toBe('fixed')
  })
})

describe('a registration', () => {
  it.each<[string, unknown, number, string]>([
    ['no JSON', '{', 400, 'invalid_client_metadata'],
    ['no object', '[]', 400, 'invalid_client_metadata'],
    ['no redirect URIs', {}, 400, 'invalid_client_metadata'],
    ['an empty list of them', { redirect_uris: [] }, 400, 'invalid_redirect_uri'],
    ['no text for one', { redirect_uris: [{}] }, 400, 'invalid_client_metadata'],
    [
      'twenty-one of them',
      { redirect_uris: Array.from({ length: 21 }, (_, n) => `https://a.test/${n}`) },
      400,
      'invalid_redirect_uri',
    ],
    [
      'long ones',
      { redirect_uris: Array.from({ length: 10 }, (_, n) => `https://a.test/${n}${'x'.repeat(400)}`) },
      400,
      'invalid_redirect_uri',
    ],
    ['too much', { redirect_uris: ['https://a.test/'], client_name: 'x'.repeat(20_000) }, 413, 'invalid_request'],
    ['great depth', `{"redirect_uris":${'['.repeat(5_000)}`, 400, 'invalid_client_metadata'],
    [
      'a grant for machines',
      { redirect_uris: ['https://a.test/'], grant_types: ['client_credentials'] },
      400,
      'invalid_client_metadata',
    ],
    [
      'the implicit flow',
      { redirect_uris: ['https://a.test/'], response_types: ['token'] },
      400,
      'invalid_client_metadata',
    ],
  ])('of %s is refused', async (_what, metadata, status, error) => {
    expect(await errorOf(await register(facade.url, metadata))).toEqual([status, error])
  })

  it('by a form that any page could send is refused', async () => {
    const metadata = { redirect_uris: ['https://client.test/cb'] }
    const answer = await register(facade.url, metadata, { 'content-type': 'text/plain' })
    expect(await errorOf(answer)).toEqual([400, 'invalid_client_metadata'])
  })

  it('gives no secret, whatever was asked for, and a name that can be shown', async () => {
    const answer = await register(facade.url, {
      redirect_uris: ['https://client.test/cb', 'https://client.test/cb'],
      client_name: `\u202e Evil\u0000\n\u200b App ${'x'.repeat(500)}`,
      token_endpoint_auth_method: 'client_secret_basic',
      __proto__: { polluted: true },
    })
    const body: unknown = await answer.json()
    expect(answer.status).toBe(201)
    expect(body).toEqual({
      client_id: expect.any(String),
      client_id_issued_at: expect.any(Number),
      client_name: expect.stringMatching(/^Evil App x{71}$/),
      redirect_uris: ['https://client.test/cb'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    })
  })

  it('is good as it was given and not otherwise, for a year', async () => {
    const client = await FacadeClient.register(facade)
    const { id } = client
    for (const text of [
      ...[0, 30, 90, id.length - 1].map((at) => changed(id, at)),
      id.slice(0, -1),
      `${id}A`,
      `${id}=`,
    ])
      await expectPage(await look(client.authorizeUrl({ client_id: text })))
    facade.room.ahead.wall = limits.facadeClientMs - 60_000
    expect((await look(client.authorizeUrl())).status).toBe(200)
    facade.room.ahead.wall = limits.facadeClientMs
    await expectPage(await look(client.authorizeUrl()))
    expect(await errorOf(await client.redeem('x'))).toEqual([401, 'invalid_client'])
  })

  it('is of one gateway', async () => {
    const client = await FacadeClient.register(facade)
    facade.serve({ publicUrl: 'http://127.0.0.1:1' })
    await expectPage(await look(client.authorizeUrl()))
  })
})

describe('the doors', () => {
  it.each(['/authorize', '/authorize/callback', '/.well-known/oauth-authorization-server', '/token', '/register'])(
    'at %s answer to their own host only',
    async (path) => {
      const url = new URL(facade.url)
      const method = path === '/token' || path === '/register' ? 'POST' : 'GET'
      const asked = httpRequest({
        port: url.port,
        host: url.hostname,
        path,
        method,
        headers: { host: 'evil.test' },
      }).end()
      const [response] = await once(asked, 'response')
      response.resume()
      expect(response.statusCode).toBe(403)
    },
  )

  it.each([
    ['/.well-known/oauth-authorization-server', '*'],
    ['/token', '*'],
    ['/register', '*'],
    ['/authorize', null],
    ['/authorize/callback', null],
  ])('at %s let pages of others read: %s', async (path, allowed) => {
    const headers = { origin: 'https://inspector.test', 'access-control-request-method': 'POST' }
    for (const method of ['OPTIONS', path.startsWith('/.') ? 'GET' : 'POST']) {
      const response = await fetch(`${facade.url}${path}`, { method, headers })
      expect(response.headers.get('access-control-allow-origin')).toBe(allowed)
      expect(response.headers.get('access-control-allow-credentials')).toBeNull()
    }
  })

  it.each([
    ['JSON', 'application/json', '{}', 400],
    ['two of one parameter', 'application/x-www-form-urlencoded', 'grant_type=a&grant_type=b', 400],
    ['nothing', 'application/x-www-form-urlencoded', '', 400],
    ['too much', 'application/x-www-form-urlencoded', `code=${'x'.repeat(limits.facadeFormBytes)}`, 413],
  ])('for tokens refuse %s', async (_what, type, body, status) => {
    const answer = await fetch(`${facade.url}/token`, { method: 'POST', body, headers: { 'content-type': type } })
    expect(await errorOf(answer)).toEqual([status, 'invalid_request'])
  })
})

const browserProgram = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

describe.skipIf(!existsSync(browserProgram))('a real browser', () => {
  it('goes from the page to the provider and back to a client on this machine, under the page’s own policy', async () => {
    const heard: string[] = []
    const listener = createServer((request, response) => {
      heard.push(request.url ?? '')
      response.end('signed in')
    }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const at = listener.address()
    const redirectUri = `http://localhost:${typeof at === 'object' && at !== null ? at.port : 0}/cb`
    const client = await FacadeClient.register(facade, redirectUri)
    const browser = await chromium.launch({ executablePath: browserProgram, args: ['--no-sandbox'] })
    try {
      const page = await browser.newPage()
      await page.goto(client.authorizeUrl().href)
      // the one style is let in by its hash
      expect(await page.evaluate('getComputedStyle(document.querySelector("form")).display')).toBe('flex')
      await page.click('button[value=allow]')
      await page.waitForURL(/\/cb\?/)
      const answer = new URL(heard.find((url) => url.startsWith('/cb')) ?? '', redirectUri)
      expect((await client.redeem(codeIn(answer))).status).toBe(200)
    } finally {
      await browser.close()
      listener.close()
    }
  })
})
