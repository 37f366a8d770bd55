/** The façade’s codes and tokens under attack: stolen, replayed, mixed up, and a provider that misbehaves. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { GatewayError } from '../../src/core/errors.ts'
import { limits } from '../../src/core/limits.ts'
import { Secret } from '../../src/core/secret.ts'
import {
  answerIn,
  askToken,
  bodyOf,
  Browser,
  changed,
  codeIn,
  errorOf,
  expectPage,
  type Facade,
  FacadeClient,
  locationOf,
  startFacade,
  type Tokens,
} from '../support/facade.ts'

let facade: Facade

beforeAll(async () => {
  facade = await startFacade()
})

afterAll(() => facade.close())

afterEach(() => facade.reset())

const signedIn = async (): Promise<{ client: FacadeClient; code: string }> => {
  const client = await FacadeClient.register(facade)
  return { client, code: codeIn(await new Browser().signIn(facade, client.authorizeUrl())) }
}

const withTokens = async (): Promise<{ client: FacadeClient; tokens: Tokens }> => {
  const { client, code } = await signedIn()
  return { client, tokens: await bodyOf(await client.redeem(code)) }
}

describe('the provider’s answer', () => {
  /** A browser whose user has agreed and signed in, and where it is sent then. */
  const back = async (): Promise<{ browser: Browser; url: URL; client: FacadeClient }> => {
    const client = await FacadeClient.register(facade)
    const browser = new Browser()
    return { browser, url: await facade.provider.browse(await browser.agree(client.authorizeUrl())), client }
  }
  const changedAt = (url: URL, change: { readonly [name: string]: string | undefined }): URL => {
    const other = new URL(url)
    for (const [name, value] of Object.entries(change))
      if (value === undefined) other.searchParams.delete(name)
      else other.searchParams.set(name, value)
    return other
  }

  it.each<[string, (of: { browser: Browser; url: URL }) => Promise<Response> | Response]>([
    ['without a cookie', ({ url }) => fetch(url, { redirect: 'manual' })],
    [
      'in a browser with a sign-in of its own',
      async ({ url }) => {
        const other = await back()
        return other.browser.send(url)
      },
    ],
    [
      'with the cookie of another sign-in under its name',
      async ({ url, browser }) => {
        const other = await back()
        const [name = ''] = [...browser.cookies.keys()].filter((one) => one.startsWith('toolgate-sign-in'))
        const [value = ''] = [...other.browser.cookies]
          .filter(([one]) => one.startsWith('toolgate-sign-in'))
          .map(([, v]) => v)
        other.browser.cookies.set(name, value)
        return other.browser.send(url)
      },
    ],
    ['without a state', ({ url, browser }) => browser.send(changedAt(url, { state: undefined }))],
    ['with another state', ({ url, browser }) => browser.send(changedAt(url, { state: 'x'.repeat(43) }))],
    ['with two states', ({ url, browser }) => browser.send(`${url.href}&state=x`)],
    ['with two codes', ({ url, browser }) => browser.send(`${url.href}&code=x`)],
    [
      'eleven minutes later',
      ({ url, browser }) => {
        facade.room.ahead.wall = 11 * 60_000
        return browser.send(url)
      },
    ],
    [
      'for the second time, with its cookie kept',
      async ({ url, browser }) => {
        const cookies = new Map(browser.cookies)
        expect((await browser.send(url)).status).toBe(302)
        for (const [name, value] of cookies) browser.cookies.set(name, value)
        return browser.send(url)
      },
    ],
    [
      'for the second time',
      async ({ url, browser }) => {
        expect((await browser.send(url)).status).toBe(302)
        return browser.send(url)
      },
    ],
  ])('%s gives nobody a code', async (_how, send) => {
    await expectPage(await send(await back()))
    expect(facade.events.filter(({ act, outcome }) => act === 'sign_in' && outcome === 'ok').length).toBeLessThan(2)
  })

  it.each<[string, { [name: string]: string | undefined }, string]>([
    ['without iss', { iss: undefined }, 'server_error'],
    ['with the iss of another provider', { iss: 'https://evil.test' }, 'server_error'],
    ['with the iss and a slash', { iss: 'slash' }, 'server_error'],
    [
      'with an error of another provider',
      { iss: 'https://evil.test', code: undefined, error: 'access_denied' },
      'server_error',
    ],
    ['without a code', { code: undefined }, 'server_error'],
    ['with a code from elsewhere', { code: 'stolen' }, 'server_error'],
    ['with a refusal', { code: undefined, error: 'access_denied' }, 'access_denied'],
    ['with a pause', { code: undefined, error: 'temporarily_unavailable' }, 'temporarily_unavailable'],
    [
      'with an error of its own',
      { code: undefined, error: '<b>canary</b>', error_description: '<i>canary</i>' },
      'server_error',
    ],
    ['in a JWT', { response: 'e30.e30.' }, 'server_error'],
  ])('%s ends at the client, in our words', async (_how, change, error) => {
    const { browser, url } = await back()
    const told = change['iss'] === 'slash' ? { iss: `${facade.provider.issuer}/` } : change
    const answer = locationOf(await browser.send(changedAt(url, told)))
    expect(`${answer.origin}${answer.pathname}`).toBe('https://client.test/cb')
    expect(answerIn(answer)).toMatchObject({ error, state: 'its own + state', iss: facade.url })
    expect(answer.href).not.toMatch(/canary|code=/)
    expect((await facade.stored()).filter(({ key }) => key.startsWith('facade-code'))).toEqual([])
  })

  it('O06: a code of someone else’s sign-in, put into one’s own, gives nothing', async () => {
    const [victim, attacker] = [await back(), await back()]
    const injected = changedAt(attacker.url, { code: codeIn(victim.url) })
    expect(answerIn(locationOf(await attacker.browser.send(injected)))).toMatchObject({ error: 'server_error' })
  })

  it('O22: five times at once gives one code, which is good', async () => {
    const { browser, url, client } = await back()
    const cookies = new Map(browser.cookies)
    const again = () => Object.assign(new Browser(), { cookies: new Map(cookies) }).send(url)
    const answers = await Promise.all(Array.from({ length: 5 }, again))
    const codes = answers.map((response) => codeIn(locationOf(response))).filter((code) => code !== '')
    expect(codes).toHaveLength(1)
    const { refresh_token } = await bodyOf(await client.redeem(codes[0] ?? ''))
    expect((await client.refresh(refresh_token)).status).toBe(200)
  })

  it('takes the cookie away that let it in', async () => {
    const { browser, url } = await back()
    await browser.send(url)
    expect([...browser.cookies.keys()]).toEqual(['toolgate-page'])
  })

  it('O21: fetched ahead by HEAD ends nothing', async () => {
    const { browser, url } = await back()
    expect((await browser.send(url, { method: 'HEAD' })).status).toBe(405)
    expect(codeIn(locationOf(await browser.send(url)))).not.toBe('')
  })

  it('of two tabs finds each its own', async () => {
    const client = await FacadeClient.register(facade)
    const browser = new Browser()
    const urls = [client.authorizeUrl({ state: 'one' }), client.authorizeUrl({ state: 'two' })]
    const pages = [await browser.page(urls[0] ?? ''), await browser.page(urls[1] ?? '')]
    const away: URL[] = []
    for (const page of pages) away.push(await Browser.onward(await browser.decide(page)))
    const answers: { [name: string]: string }[] = []
    for (const url of away) answers.push(answerIn(locationOf(await browser.send(await facade.provider.browse(url)))))
    expect(answers).toMatchObject([{ state: 'one' }, { state: 'two' }])
    expect(answers.every(({ code }) => code !== undefined)).toBe(true)
  })

  it.each([
    ['no token', 200, '{"token_type":"bearer"}', 'temporarily_unavailable'],
    ['a token bound to a key', 200, '{"access_token":"a","token_type":"dpop"}', 'temporarily_unavailable'],
    ['no ID token', 200, '{"access_token":"a","token_type":"bearer"}', 'temporarily_unavailable'],
    ['a page', 200, '<html>canary', 'temporarily_unavailable'],
    ['an error with 200', 200, '{"error":"invalid_grant","error_description":"canary"}', 'server_error'],
    ['a redirect', 302, '{}', 'server_error'],
    ['a failure', 503, 'canary', 'temporarily_unavailable'],
    ['too much', 200, `{"access_token":"${'a'.repeat(limits.tokenResponseBytes)}"}`, 'temporarily_unavailable'],
  ])('whose token endpoint gives %s gives no code', async (_what, status, body, error) => {
    const { browser, url } = await back()
    facade.instead('/token', status, body)
    const answer = locationOf(await browser.send(url))
    expect(answerIn(answer)).toMatchObject({ error })
    expect(`${answer.href}${facade.logged.join()}`).not.toContain('canary')
    expect(await facade.stored()).toEqual([])
  })

  it.each<[string, readonly string[], string]>([
    ['without the scope that is needed', ['openid', 'tools:write'], 'insufficient_scope'],
    ['with it', ['openid', 'tools'], 'ok'],
  ])('with a token %s is tried before the client has it', async (_how, scopes, outcome) => {
    facade.serve({ provider: { ...facade.options.provider, scopes } })
    const { browser, url } = await back()
    const answer = answerIn(locationOf(await browser.send(url)))
    if (outcome === 'ok') expect(answer).toHaveProperty('code')
    else {
      expect(answer).toMatchObject({ error: 'server_error' })
      expect(facade.events.at(-1)).toMatchObject({ outcome: 'failed', detail: 'token_not_good_here' })
      // the operator reads why
      expect(facade.logged.at(-1)).toContain('The token does not carry the scopes')
    }
  })

  it('waits while tokens cannot be checked', async () => {
    facade.serve({ check: () => Promise.reject(new GatewayError('issuer_unavailable')) })
    const { browser, url } = await back()
    expect(answerIn(locationOf(await browser.send(url)))).toMatchObject({ error: 'temporarily_unavailable' })
  })

  it('to a client whose secret is wrong is told to the operator', async () => {
    facade.serve({ provider: { ...facade.options.provider, clientSecret: new Secret('wrong') } })
    const { browser, url } = await back()
    expect(answerIn(locationOf(await browser.send(url)))).toMatchObject({ error: 'server_error' })
    expect(facade.events.at(-1)).toMatchObject({ act: 'sign_in', outcome: 'failed', detail: 'invalid_client' })
    expect(facade.logged.at(-1)).toContain('invalid_client')
  })
})

describe('the provider’s metadata', () => {
  it.each<[string, { [name: string]: unknown }]>([
    ['a page that runs', { authorization_endpoint: 'javascript:alert(1)' }],
    ['a page in plain http', { authorization_endpoint: 'http://provider.test/auth' }],
    ['a page inside', { authorization_endpoint: 'https://169.254.169.254/auth' }],
    ['a token endpoint inside', { token_endpoint: 'https://10.0.0.1/token' }],
    ['another issuer', { issuer: 'https://evil.test' }],
    ['no page', { authorization_endpoint: undefined }],
  ])('with %s send nobody there', async (_what, change) => {
    const document = await facade.metadata()
    facade.instead('/.well-known/openid-configuration', 200, JSON.stringify({ ...document, ...change }))
    facade.serve({})
    const client = await FacadeClient.register(facade)
    const url = await new Browser().agree(client.authorizeUrl())
    expect(url.origin).toBe('https://client.test')
    expect(answerIn(url)).toMatchObject({ error: expect.stringMatching(/server_error|temporarily_unavailable/) })
  })

  it.each([
    [['openid', 'tools'], true],
    [['tools'], false],
  ])('that say nothing of S256 are used with the scopes %j: %s', async (scopes, isUsed) => {
    const document = await facade.metadata()
    const silent = { ...document, code_challenge_methods_supported: undefined }
    facade.instead('/.well-known/openid-configuration', 200, JSON.stringify(silent))
    const { issuer } = facade.provider
    facade.serve({ provider: { ...facade.options.provider, scopes } })
    const client = await FacadeClient.register(facade)
    const url = await new Browser().agree(client.authorizeUrl())
    expect(url.origin).toBe(isUsed ? issuer : 'https://client.test')
    if (isUsed) expect(answerIn(url)).toMatchObject({ code_challenge_method: 'S256' })
    else expect(facade.events.at(-1)).toMatchObject({ act: 'consent', detail: 'no_pkce' })
  })
})

describe('a code', () => {
  it.each<[string, (client: FacadeClient) => { [name: string]: string | undefined }, string]>([
    ['with a wrong verifier', () => ({ code_verifier: 'x'.repeat(43) }), 'invalid_grant'],
    ['with the challenge for a verifier', (client) => ({ code_verifier: client.challenge }), 'invalid_grant'],
    ['with another redirect URI', () => ({ redirect_uri: 'https://client.test/cb/' }), 'invalid_grant'],
    ['without a redirect URI', () => ({ redirect_uri: undefined }), 'invalid_request'],
    ['without a verifier', () => ({ code_verifier: undefined }), 'invalid_request'],
    ['with a short verifier', () => ({ code_verifier: 'short' }), 'invalid_request'],
    ['without a client', () => ({ client_id: undefined }), 'invalid_client'],
    ['with a client that was made up', () => ({ client_id: 'someone' }), 'invalid_client'],
    ['for another resource', () => ({ resource: 'https://other.test' }), 'invalid_target'],
    ['of another grant', () => ({ grant_type: 'password' }), 'unsupported_grant_type'],
    ['of no grant', () => ({ grant_type: undefined }), 'invalid_request'],
  ])('%s gives nothing', async (_how, change, error) => {
    const { client, code } = await signedIn()
    const response = await client.redeem(code, change(client))
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await errorOf(response)).toEqual([error === 'invalid_client' ? 401 : 400, error])
    expect((await facade.stored()).filter(({ key }) => key.startsWith('facade-grant'))).toEqual([])
  })

  it('tried with a wrong verifier is spent', async () => {
    const { client, code } = await signedIn()
    await client.redeem(code, { code_verifier: 'x'.repeat(43) })
    expect(await errorOf(await client.redeem(code))).toEqual([400, 'invalid_grant'])
  })

  it('of one client is nothing to another, even with the verifier', async () => {
    const { client, code } = await signedIn()
    const other = await FacadeClient.register(facade)
    expect(await errorOf(await client.redeem(code, { client_id: other.id }))).toEqual([400, 'invalid_grant'])
  })

  it('works once, and what it gave stays good', async () => {
    const { client, code } = await signedIn()
    const tokens = await bodyOf(await client.redeem(code))
    expect(await errorOf(await client.redeem(code))).toEqual([400, 'invalid_grant'])
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
  })

  it('works once of ten times at the same moment', async () => {
    const { client, code } = await signedIn()
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.redeem(code)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('works for a minute', async () => {
    const { client, code } = await signedIn()
    facade.room.ahead.wall = limits.facadeCodeMs + 1
    expect(await errorOf(await client.redeem(code))).toEqual([400, 'invalid_grant'])
  })

  it('gives the provider’s token as it is, and the store never holds it', async () => {
    const { client, code } = await signedIn()
    const before = JSON.stringify(await facade.stored())
    const tokens = await bodyOf(await client.redeem(code))
    expect(tokens).toEqual({
      access_token: expect.stringMatching(/^eyJ/),
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      scope: 'tools',
      refresh_token: expect.stringContaining('.1.tgv1.'),
    })
    expect(await facade.check.check(tokens.access_token)).toMatchObject({ client: 'gateway' })
    for (const text of [before, JSON.stringify(await facade.stored()), facade.logged.join()]) {
      expect(text).not.toContain(tokens.access_token.slice(-40))
      expect(text).not.toContain(code)
    }
  })

  it('comes from a client without secrets only', async () => {
    const { client, code } = await signedIn()
    const form = {
      grant_type: 'authorization_code',
      code,
      client_id: client.id,
      redirect_uri: client.redirectUri,
      code_verifier: client.verifier,
    }
    const basic = { authorization: `Basic ${Buffer.from(`${client.id}:x`).toString('base64')}` }
    expect(await errorOf(await askToken(facade.url, form, basic))).toEqual([401, 'invalid_client'])
  })
})

describe('a refresh token', () => {
  it('of one client is nothing to another', async () => {
    const { tokens } = await withTokens()
    const other = await FacadeClient.register(facade)
    expect(await errorOf(await other.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant'])
  })

  it('is good as it was given and not otherwise', async () => {
    const { client, tokens } = await withTokens()
    const token = tokens.refresh_token
    const wrong = [
      ...[0, 20, 45, 52, 60, 120, token.length - 2].map((at) => changed(token, at)),
      token.replace('.1.', '.2.'),
      token.slice(0, -4),
      `${token}A`,
      token.slice(token.indexOf('tgv1')),
      tokens.access_token,
      client.id,
    ]
    for (const text of wrong) expect(await errorOf(await client.refresh(text))).toEqual([400, 'invalid_grant'])
    expect((await client.refresh(token)).status).toBe(200)
  })

  it('works once, though the provider’s own works on', async () => {
    const { client, tokens } = await withTokens()
    const next = await bodyOf(await client.refresh(tokens.refresh_token))
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant'])
    // at the same moment, that may have been the client itself
    expect((await client.refresh(next.refresh_token)).status).toBe(200)
  })

  it('that comes again later ends the sign-in of whoever has the newer one', async () => {
    const { client, tokens } = await withTokens()
    const next = await bodyOf(await client.refresh(tokens.refresh_token))
    facade.room.ahead.wall = limits.facadeReuseMs + 1
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant'])
    expect(facade.events.at(-1)).toMatchObject({ act: 'refresh', outcome: 'refused', detail: 'replay' })
    expect(await errorOf(await client.refresh(next.refresh_token))).toEqual([400, 'invalid_grant'])
  })

  it('works once of ten times at the same moment', async () => {
    const { client, tokens } = await withTokens()
    const asked = facade.provider.heard('/token')
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.refresh(tokens.refresh_token)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(facade.provider.heard('/token') - asked).toBe(1)
  })

  it('is still good when the provider does not answer', async () => {
    const { client, tokens } = await withTokens()
    facade.instead('/token', 503, '{}')
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toEqual([503, 'temporarily_unavailable'])
    facade.restore()
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
  })

  it('is over when the provider says so', async () => {
    const { client, tokens } = await withTokens()
    facade.instead('/token', 400, '{"error":"invalid_grant"}')
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant'])
    facade.restore()
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant'])
    expect((await facade.stored()).filter(({ key }) => key.startsWith('facade-grant'))).toEqual([])
  })

  it('is over when nobody used it for ninety days', async () => {
    const { client, tokens } = await withTokens()
    facade.room.ahead.wall = limits.facadeGrantMs + 1
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toEqual([400, 'invalid_grant'])
  })
})
