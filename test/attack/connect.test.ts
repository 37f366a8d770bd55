/**
 * The pages on which users connect accounts, against link scanners, foreign pages, other browsers, other people, code
 * guessers and texts that want to be more than text (rows O11, O19 to O23 and T14 to T16 of the threat model).
 */
import { createHash, randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { Principal } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import { confirmationCode, createConfirmations } from '../../src/credentials/oauth/confirmation.ts'
import { createSignIns } from '../../src/credentials/oauth/flow.ts'
import { connectionSeat, hashed, sealTokens } from '../../src/credentials/oauth/record.ts'
import type { OAuthOptions, Owner } from '../../src/credentials/oauth/room.ts'
import { createSeal } from '../../src/mcp/seal.ts'
import { createIdentity, type IdentityOptions } from '../../src/web/connect/identity.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import { codeKey, logged, type Pages, sealKey, startPages } from '../support/connect-pages.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { callbackUrl, createRoom, optionsFor, principal, target, type TestRoom } from '../support/oauth-room.ts'
import { rawExchange, rawRequest } from '../support/raw.ts'
import { createBrowser, leavesFor, type PageAnswer, type SentForm, type TestBrowser } from '../support/test-browser.ts'

const publicUrl = 'https://tools.example.com'
const scopes = ['openid', 'email', 'read', 'offline_access']

let server: AuthorizationServer
let provider: IdentityProvider
let identityOptions: IdentityOptions
let room: TestRoom
let pages: Pages
let browser: TestBrowser

beforeAll(async () => {
  server = await startAuthorizationServer({ callbackUrl, credentials: ['cred', 'other'] })
  provider = await startIdentityProvider()
  const answer = await fetch(`${provider.issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: [`${publicUrl}/connect/identity`] }),
  })
  const client = (await answer.json()) as { client_id: string; client_secret: string }
  identityOptions = {
    discoveryUrl: provider.discoveryUrl,
    clientId: client.client_id,
    clientSecret: new Secret(client.client_secret),
    scopes: [],
  }
})
afterAll(async () => {
  await server.close()
  await provider.close()
})

const options = (name: string, given: Partial<OAuthOptions> = {}): OAuthOptions =>
  optionsFor({
    name,
    grant: 'authorizationCode',
    discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
    clientSecret: new Secret(server.clientSecret),
    scopes,
    parameters: { authorization: new Map([['prompt', 'consent']]), token: new Map() },
    ...given,
  })

const hostileName = `<img src=x onerror=alert(1)>"'&\u202e`
const credentials = (): OAuthOptions[] => [options('cred'), options('other'), options(hostileName)]

beforeEach(async () => {
  room = createRoom({ allow: [server.address, provider.address] })
  pages = await startPages({ room, credentials: credentials(), publicUrl })
  browser = createBrowser(() => pages)
  logged.length = 0
})
afterEach(async () => {
  await pages.close()
  await room.close()
})

const machine = principal('key|named')

/** As a call does that finds no connection. */
async function link(who: Principal, credential = 'cred', more: readonly string[] = []): Promise<string> {
  const needed = await pages.provider(credential).connect?.(who, target, more)
  if (needed === undefined) throw new Error('no sign-in')
  return needed.pendingId
}

const code = (pendingId: string): string => confirmationCode(codeKey, pendingId)

/** Everything in the store but the counts of tries: what was begun, started, connected. */
const rows = async (): Promise<string> => JSON.stringify(await room.records.list('', { limit: 500 }))

const connectionsOf = (owner: Owner) => pages.connections.listOf(owner)

/** From the page to the authorization server: the address that it sends the browser back to. */
async function signIn(at: TestBrowser, pendingId: string, fields: { [name: string]: string } = {}): Promise<string> {
  const answer = await at.submit(`/connect/${pendingId}`, { code: code(pendingId), ...fields })
  const back = await server.browse(leavesFor(answer).href)
  return back.href.slice(publicUrl.length)
}

/** At the identity provider, as its one user, and back. */
async function identify(at: TestBrowser, path: string, fields: { [name: string]: string } = {}): Promise<PageAnswer> {
  const back = await provider.browse(leavesFor(await at.submit(path, fields)))
  return at.get(back.href.slice(publicUrl.length))
}

const withIdentity = (given: Partial<IdentityOptions> = {}): void => {
  pages.callers = {
    everyone: undefined,
    identities: [createIdentity({ ...identityOptions, ...given }, pages.room, publicUrl)],
  }
}

const alice = (refinement = ''): Principal => principal(`${provider.issuer}|alice${refinement}`)
const bert = (): Principal => principal(`${provider.issuer}|bert-of-accounting`)

describe('a user who asked', () => {
  it('types the code, signs in, and reads on a page without a code in its address what is connected', async () => {
    const back = await signIn(browser, await link(machine))
    const answer = await browser.get(back)
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toBe('/connect/done/cred')
    const done = await browser.get('/connect/done/cred')
    expect(done.status).toBe(200)
    expect(done.text).toContain('alice@example.com')
    expect(done.text).toContain('is connected')
    expect(await connectionsOf(machine)).toMatchObject([{ credential: 'cred', account: 'alice@example.com' }])
  })

  it('is told whose account it is, for whom, with which scopes, in words', async () => {
    const { text } = await browser.get(`/connect/${await link(machine, 'cred', ['write'])}`)
    for (const word of ['cred', 'api', 'the laptop of Alice', 'write', 'read', 'offline_access'])
      expect(text).toContain(word)
  })

  it('may begin, come back and read on three replicas', async () => {
    const pendingId = await link(machine)
    const others = [1, 2].map((number) =>
      createRoom({ allow: [server.address], beside: room, owner: `process-${number + 1}` }),
    )
    const [first, second] = await Promise.all(
      others.map((other) => startPages({ room: other, credentials: credentials(), publicUrl })),
    )
    let at = first
    const moving = createBrowser(() => at ?? pages)
    const back = await signIn(moving, pendingId)
    at = second
    expect((await moving.get(back)).headers.get('location')).toBe('/connect/done/cred')
    at = pages
    expect((await moving.get('/connect/done/cred')).text).toContain('alice@example.com')
    await Promise.all([first?.close(), second?.close()])
    await Promise.all(others.map((other) => other.close()))
  })

  it('hears what was not allowed', async () => {
    const pendingId = await link(machine, 'cred', ['not-a-scope-there'])
    expect((await browser.get(await signIn(browser, pendingId))).status).toBe(303)
    const { text } = await browser.get('/connect/done/cred')
    expect(text).toContain('Not everything was allowed')
    expect(text.slice(text.indexOf('Not everything'))).toContain('not-a-scope-there')
  })

  it('opens the link again after it is done or over', async () => {
    const pendingId = await link(machine)
    await browser.get(await signIn(browser, pendingId))
    expect((await browser.get(`/connect/${pendingId}`)).text).toContain('This account is connected')
    const late = await link(principal('someone else'))
    room.ahead.wall = limits.signInMs + 1
    const answer = await browser.get(`/connect/${late}`)
    expect([answer.status, answer.text.includes('Call the tool again')]).toEqual([404, true])
    const never = await browser.get(`/connect/${randomBytes(32).toString('base64url')}`)
    // the token of the form is not there, so nothing differs
    expect([never.status, never.text]).toEqual([answer.status, answer.text])
  })
})

describe('link scanners', () => {
  it('O21: bind nothing and change nothing, by GET and by HEAD, on whatever they find', async () => {
    const pendingId = await link(machine)
    const before = await rows()
    const events = room.events.length
    for (const path of [`/connect/${pendingId}`, '/connect', '/connect/done/cred', '/connect/identity?code=a&state=b'])
      for (const method of ['GET', 'HEAD']) await createBrowser(() => pages).get(path, { method })
    expect(await rows()).toBe(before)
    expect(room.events.length).toBe(events)
  })

  it('do not use up a callback by HEAD', async () => {
    const back = await signIn(browser, await link(machine))
    expect((await browser.get(back, { method: 'HEAD' })).status).toBe(405)
    expect((await browser.get(back)).headers.get('location')).toBe('/connect/done/cred')
  })
})

describe('every answer', () => {
  it('forbids frames, scripts, caches, referrers and forms to elsewhere', async () => {
    const pendingId = await link(machine)
    const back = await signIn(browser, await link(principal('another')))
    const answers = [
      await browser.get(`/connect/${pendingId}`),
      await browser.submit(`/connect/${pendingId}`, { code: 'wrong' }),
      await browser.get(back),
      await browser.get('/connect/done/cred'),
      await browser.get('/connect'),
      await browser.get('/connect/absent-and-nothing-else'),
      await browser.get('/connect/a/b/c'),
      await browser.get('/connect/callback/cred?state=x'),
      await browser.get('/connect', { method: 'POST' }),
      await browser.get('/connect', { method: 'PUT' }),
      await browser.get('/connect/'),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 403, 303, 200, 200, 404, 404, 400, 403, 404, 404])
    for (const { headers, text, status } of answers) {
      const policy = new Map((headers.get('content-security-policy') ?? '').split('; ').map((one) => split(one)))
      expect([...policy.keys()].toSorted(), String(status)).toEqual([
        'base-uri',
        'default-src',
        'form-action',
        'frame-ancestors',
        'style-src',
      ])
      for (const name of ['default-src', 'frame-ancestors', 'base-uri']) expect(policy.get(name)).toBe("'none'")
      expect(policy.get('form-action')).toBe("'self'")
      const style = /<style>([^]*)<\/style>/.exec(text)?.[1]
      if (style !== undefined)
        expect(policy.get('style-src')).toBe(`'sha256-${createHash('sha256').update(style).digest('base64')}'`)
      expect(headers.get('cache-control')).toBe('no-store')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('x-frame-options')).toBe('DENY')
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
      expect(headers.get('referrer-policy')).toMatch(/^(?:same-origin|no-referrer)$/)
      expect(text).not.toMatch(/<script|<link|<iframe|<img|\sstyle=|\son\w+=/i)
    }
  })

  it('leaves for another site without telling it from where', async () => {
    const pendingId = await link(machine)
    const answer = await browser.submit(`/connect/${pendingId}`, { code: code(pendingId) })
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    expect(leavesFor(answer).origin).toBe(server.issuer)
  })

  it('sets cookies that no script, subdomain or plain connection reaches', async () => {
    await browser.get(await signIn(browser, await link(machine)))
    withIdentity()
    await identify(browser, `/connect/${await link(alice(), 'other')}`)
    expect(new Set(browser.set.map((field) => /^[^=]+/.exec(field)?.[0])).size).toBeGreaterThan(3)
    for (const field of browser.set) {
      expect(field).toMatch(/^__Host-toolgate-[\w-]+=/)
      expect(field).toMatch(/; Path=\/(?:;|$)/)
      expect(field).toContain('Secure')
      expect(field).not.toContain('Domain')
      if (!field.includes('Max-Age=0')) expect(field).toContain('HttpOnly; Secure; SameSite=Lax')
    }
  })
})

const split = (directive: string): [string, string] => {
  const [name = '', ...values] = directive.split(' ')
  return [name, values.join(' ')]
}

describe('foreign pages', () => {
  const changes: readonly (readonly [what: string, status: number, change: (sent: SentForm) => void])[] = [
    ['no Origin', 403, ({ headers }) => headers.delete('origin')],
    ['another Origin', 403, ({ headers }) => headers.set('origin', 'https://evil.example')],
    ['a longer Origin', 403, ({ headers }) => headers.set('origin', `${publicUrl}.evil.example`)],
    ['the Origin by http', 403, ({ headers }) => headers.set('origin', publicUrl.replace('https', 'http'))],
    ['an opaque Origin', 403, ({ headers }) => headers.set('origin', 'null')],
    ['another page on this machine', 403, ({ headers }) => headers.set('origin', 'http://127.0.0.1:9')],
    ['a cross-site request', 403, ({ headers }) => headers.set('sec-fetch-site', 'cross-site')],
    ['a same-site request', 403, ({ headers }) => headers.set('sec-fetch-site', 'same-site')],
    ['a request by hand', 403, ({ headers }) => headers.set('sec-fetch-site', 'none')],
    ['no cookie', 403, ({ headers }) => headers.set('cookie', 'x=y')],
    [
      'the token of another browser',
      403,
      ({ headers }) => headers.set('cookie', `__Host-toolgate-browser=${'a'.repeat(43)}`),
    ],
    ['no token', 403, (sent) => (sent.body = sent.body.replace(/token=[^&]+&?/, ''))],
    ['an empty token', 403, (sent) => (sent.body = sent.body.replace(/token=[^&]+/, 'token='))],
    [
      'a token with one sign changed',
      403,
      (sent) =>
        (sent.body = sent.body.replace(
          /(token=.{20})(.)/,
          (_all, head: string, sign: string) => `${head}${sign === 'A' ? 'B' : 'A'}`,
        )),
    ],
    ['plain text', 415, ({ headers }) => headers.set('content-type', 'text/plain')],
    ['JSON', 415, ({ headers }) => headers.set('content-type', 'application/json')],
    ['a field twice', 400, (sent) => (sent.body += '&code=1')],
    ['a body without end', 413, (sent) => (sent.body += `&x=${'x'.repeat(limits.browserFormBytes)}`)],
  ]

  it.each(changes)('cannot start a sign-in with %s', async (_what, status, change) => {
    const pendingId = await link(machine)
    const before = await rows()
    const answer = await browser.submit(`/connect/${pendingId}`, { code: code(pendingId) }, change)
    expect(answer.status).toBe(status)
    expect(await rows()).toBe(before)
    expect(browser.cookies.size).toBe(1)
  })

  it('cannot send the token of one sign-in for another', async () => {
    const [one, other] = [await link(machine), await link(machine, 'other')]
    const answer = await browser.submit(`/connect/${one}`, { code: code(other) }, (sent) => {
      sent.action = `/connect/${other}`
    })
    expect(answer.status).toBe(403)
  })

  it('cannot send an Origin twice', async () => {
    const answer = await rawExchange(
      pages.url,
      rawRequest(pages.url, {
        target: '/connect',
        lines: [
          `Origin: ${publicUrl}`,
          'Origin: https://evil.example',
          'Content-Type: application/x-www-form-urlencoded',
        ],
        body: 'token=x',
      }),
    )
    expect(answer.statuses).toEqual([403])
  })

  it('cannot come by another name of this host', async () => {
    for (const host of ['evil.example', '127.0.0.1:1', 'tools.example.com.evil.example']) {
      const answer = await rawExchange(
        pages.url,
        rawRequest(pages.url, { method: 'GET', target: '/connect', host: [`Host: ${host}`] }),
      )
      expect(answer.statuses, host).toEqual([403])
    }
  })
})

describe('another browser', () => {
  it('O05: is refused when it brings the answer to what this one began, and nothing is connected', async () => {
    const back = await signIn(browser, await link(machine))
    const answer = await createBrowser(() => pages).get(back)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('Call the tool again')
    expect(await connectionsOf(machine)).toEqual([])
    // and it was that one’s only chance
    expect((await browser.get(back)).status).toBe(400)
    expect(room.events.filter(({ act }) => act === 'denied')).toMatchObject([
      { detail: 'browser' },
      { detail: 'state' },
    ])
  })

  it('does not see what was connected', async () => {
    await browser.get(await signIn(browser, await link(machine)))
    const other = createBrowser(() => pages)
    expect((await other.get('/connect/done/cred')).status).toBe(404)
    await signIn(other, await link(principal('another')))
    expect((await other.get('/connect/done/cred')).status).toBe(404)
  })

  it('O22: of two callbacks at once one wins', async () => {
    const back = await signIn(browser, await link(machine))
    const statuses = await Promise.all([1, 2, 3, 4].map(async () => String((await browser.get(back)).status)))
    expect(statuses.toSorted()).toEqual(['303', '400', '400', '400'])
  })

  it.each<[what: string, change: (back: string) => string]>([
    ['a state twice', (back) => `${back}&state=x`],
    ['a code twice', (back) => `${back}&code=x`],
    ['another state', (back) => back.replace(/state=(.)/, (_, first) => `state=${first === '_' ? '-' : '_'}`)],
    ['no state', (back) => back.replace(/state=[^&]+/, '')],
    ['another issuer (O09)', (back) => back.replace(/iss=[^&]+/, 'iss=https%3A%2F%2Fevil.example')],
    ['no issuer (O08)', (back) => back.replace(/&?iss=[^&]+/, '')],
    ['the address of another credential', (back) => back.replace('/cred', '/other')],
    ['a query without end', (back) => `${back}&x=${'x'.repeat(limits.callbackBytes)}`],
  ])('O23: is not let in with %s', async (_what, change) => {
    const back = await signIn(browser, await link(machine))
    const answer = await browser.get(change(back))
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(await connectionsOf(machine)).toEqual([])
  })

  it.each([
    '/connect/callback/cred/',
    '/connect/callback//cred',
    '/connect/callback/c%72ed',
    '/connect/callback/cred%2f',
    '/connect/callback',
    '/connect/Callback/cred',
    '/connect/callback/cred/more',
  ])('O19: finds the callback at its one address only, not at %s', async (path) => {
    const back = await signIn(browser, await link(machine))
    const query = back.slice(back.indexOf('?'))
    expect((await browser.get(`${path}${query}`)).status).toBe(404)
    // so that the right one is still there
    expect((await browser.get(back)).status).toBe(303)
  })

  it('O19: is sent to by one redirect URI, whatever the request says its host is', async () => {
    const pendingId = await link(machine)
    const answer = await browser.submit(`/connect/${pendingId}`, { code: code(pendingId) }, ({ headers }) => {
      for (const name of ['x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-original-url', 'x-forwarded-prefix'])
        headers.set(name, 'evil.example')
    })
    const url = leavesFor(answer)
    expect(url.searchParams.get('redirect_uri')).toBe(`${publicUrl}/connect/callback/cred`)
    expect(answer.text).not.toContain('evil')
  })
})

describe('another principal', () => {
  it('O20: is refused on a link that was made for somebody else, and is not told for whom', async () => {
    withIdentity()
    const pendingId = await link(bert())
    const first = await browser.get(`/connect/${pendingId}`)
    expect(first.text).toContain('Sign in')
    expect(first.text).not.toContain('bert')
    expect((await identify(browser, `/connect/${pendingId}`)).headers.get('location')).toBe(`/connect/${pendingId}`)
    const refused = await browser.get(`/connect/${pendingId}`)
    expect(refused.status).toBe(403)
    expect(refused.text).toContain('not for you')
    expect(refused.text).not.toContain('bert')
    // whatever is sent, the way leads to the identity provider and not to the service
    for (const fields of [{}, { again: '1' }, { code: code(pendingId) }] as { [name: string]: string }[]) {
      const url = leavesFor(await browser.submit(`/connect/${pendingId}`, fields))
      expect(url.origin).toBe(provider.issuer)
      expect(url.searchParams.get('prompt')).toBe('login')
    }
    expect(room.events.map(({ act, detail }) => [act, detail])).toContainEqual(['denied', 'identity'])
    expect(room.events.map(({ act }) => act)).not.toContain('start')
  })

  it('is let in on its own, and remembered for a while', async () => {
    withIdentity()
    const pendingId = await link(alice())
    await identify(browser, `/connect/${pendingId}`)
    expect((await browser.get(`/connect/${pendingId}`)).text).toContain('alice')
    expect((await browser.get(await signIn(browser, pendingId))).status).toBe(303)
    expect(await connectionsOf(alice())).toHaveLength(1)
    const second = await link(alice(), 'other')
    expect((await browser.get(`/connect/${second}`)).text).toContain('Continue to')
    room.ahead.wall = limits.browserSessionMs + 1
    const third = await link(alice(), hostileName)
    expect((await browser.get(`/connect/${third}`)).text).toContain('show that it is you')
  })

  it.each<[what: string, subject: string, principalClaim: string | undefined, isLetIn: boolean]>([
    ['the subject refined by a third part', 'alice|laptop', 'device', true],
    ['a longer subject where nothing refines it', 'alice|laptop', undefined, false],
    ['a subject that begins like it', 'alice2', undefined, false],
    ['a subject that begins like it and is refined', 'alice2|laptop', 'device', false],
    ['a subject of two parts, refined', 'alice|x|laptop', 'device', false],
    ['a part of it', 'alic', undefined, false],
  ])('is told from another by all of iss and sub: %s', async (_what, subject, principalClaim, isLetIn) => {
    withIdentity(principalClaim === undefined ? {} : { principalClaim })
    const pendingId = await link(principal(`${provider.issuer}|${subject}`))
    await identify(browser, `/connect/${pendingId}`)
    expect((await browser.get(`/connect/${pendingId}`)).status).toBe(isLetIn ? 200 : 403)
  })

  it('of another tenant is another', async () => {
    withIdentity({ tenant: 'acme' })
    const pendingId = await link(alice())
    await identify(browser, `/connect/${pendingId}`)
    expect((await browser.get(`/connect/${pendingId}`)).status).toBe(403)
  })

  it('cannot be signed in by an answer that its browser did not ask for', async () => {
    withIdentity()
    const pendingId = await link(alice())
    const url = leavesFor(await browser.submit(`/connect/${pendingId}`))
    const back = (await provider.browse(url)).href.slice(publicUrl.length)
    const other = createBrowser(() => pages)
    expect((await other.get(back)).status).toBe(400)
    await other.submit(`/connect/${pendingId}`)
    expect((await other.get(back)).status).toBe(400)
    expect([...other.cookies.keys()]).not.toContain('__Host-toolgate-session')
    expect(
      (await browser.get(back.replace(/state=(.)/, (_, first) => `state=${first === '_' ? '-' : '_'}`))).status,
    ).toBe(400)
    expect([...browser.cookies.keys()]).not.toContain('__Host-toolgate-identity')
    // and that was its only chance
    expect((await browser.get(back)).status).toBe(400)
    await identify(browser, `/connect/${pendingId}`)
    expect([...browser.cookies.keys()]).toContain('__Host-toolgate-session')
    expect([...browser.cookies.keys()]).not.toContain('__Host-toolgate-identity')
  })

  it.each<[what: string, change: (url: URL) => void]>([
    ['an ID token for another nonce', (url) => url.searchParams.set('nonce', 'another')],
    ['a code for another verifier', (url) => url.searchParams.set('code_challenge', 'a'.repeat(43))],
    ['a refusal', (url) => url.searchParams.set('prompt', 'none')],
  ])('is not signed in by %s', async (_what, change) => {
    withIdentity()
    const pendingId = await link(alice())
    const url = leavesFor(await browser.submit(`/connect/${pendingId}`))
    change(url)
    const back = (await provider.browse(url)).href.slice(publicUrl.length)
    const answer = await browser.get(back)
    expect([answer.status, answer.text.includes('You are not signed in')]).toEqual([400, true])
    expect((await browser.get(`/connect/${pendingId}`)).text).toContain('show that it is you')
  })

  it('is not signed in by an ID token that another key signed, or that is for another client', async () => {
    withIdentity()
    const now = Math.floor(Date.now() / 1_000)
    const claims = { iss: provider.issuer, sub: 'alice', aud: identityOptions.clientId, iat: now, exp: now + 60 }
    for (const [given, header, wanted] of [
      [{}, {}, 303],
      [{ aud: 'another' }, {}, 400],
      [{ iss: 'https://evil.example' }, {}, 400],
      [{ exp: now - 600 }, {}, 400],
      [{ nonce: undefined }, {}, 400],
      [{}, { kid: 'unknown' }, 400],
    ] as const) {
      const pendingId = await link(alice())
      const url = leavesFor(await browser.submit(`/connect/${pendingId}`, { again: '1' }))
      const back = (await provider.browse(url)).href.slice(publicUrl.length)
      const idToken = await provider.sign({ nonce: url.searchParams.get('nonce'), ...claims, ...given }, header)
      const body = JSON.stringify({ access_token: 'x', token_type: 'Bearer', id_token: idToken })
      provider.intercept = (path) => (path === '/token' ? { status: 200, body } : undefined)
      const answer = await browser.get(back)
      provider.intercept = undefined
      expect(answer.status, JSON.stringify([given, header])).toBe(wanted)
    }
    expect(JSON.stringify(logged)).not.toContain('eyJ')
  })
})

describe('guessers of codes', () => {
  it('know nothing from one code of another', () => {
    const codes = new Set(Array.from({ length: 1_000 }, (_, index) => confirmationCode(codeKey, `pending-${index}`)))
    expect(codes.size).toBe(1_000)
    for (const one of codes) expect(one).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$/)
    expect(confirmationCode(codeKey, 'pending-1')).toBe(confirmationCode(codeKey, 'pending-1'))
    expect(codes.has(confirmationCode(new Secret('another key'), 'pending-1'))).toBe(false)
  })

  it('have five tries, and end the sign-in with them', async () => {
    const pendingId = await link(machine)
    for (const left of ['4 tries', '3 tries', '2 tries', 'One try']) {
      const answer = await browser.submit(`/connect/${pendingId}`, { code: 'AAAA-AAAA' })
      expect([answer.status, answer.text.includes(left)]).toEqual([403, true])
    }
    expect((await browser.submit(`/connect/${pendingId}`, { code: 'AAAA-AAAA' })).status).toBe(404)
    expect((await browser.get(`/connect/${pendingId}`)).status).toBe(404)
    expect(room.events.filter(({ detail }) => detail === 'code')).toHaveLength(5)
    expect(room.events.map(({ act }) => act)).not.toContain('start')
  })

  it('have no more of them at once', async () => {
    const pendingId = await link(machine)
    await browser.get(`/connect/${pendingId}`)
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        browser.submit(`/connect/${pendingId}`, { code: 'AAAA-AAAA' }).catch(() => undefined),
      ),
    )
    expect(answers.filter((answer) => answer?.status === 403)).toHaveLength(4)
    expect(room.events.filter(({ detail }) => detail === 'code')).toHaveLength(5)
  })

  it('have no more of them with what they knew before it was over', async () => {
    const pending = await createSignIns(pages.room, () => undefined).describe(await link(machine))
    if (pending === undefined) throw new Error('no sign-in')
    const confirmations = createConfirmations(pages.room, codeKey)
    const verdicts = await Promise.all(Array.from({ length: 20 }, () => confirmations.check(pending, 'AAAA-AAAA')))
    expect(verdicts.filter(({ kind }) => kind === 'wrong')).toHaveLength(4)
    expect(room.events.filter(({ detail }) => detail === 'code')).toHaveLength(5)
    expect(await confirmations.check(pending, code(pending.id))).toEqual({ kind: 'over' })
  })

  it('are not the ones who type it their own way', async () => {
    const begun = await createSignIns(pages.room, () => undefined).describe(await link(machine))
    if (begun === undefined) throw new Error('no sign-in')
    // one whose code has all the signs that hands change
    const ids = Array.from({ length: 10_000 }, (_, index) => `${begun.id}-${index}`)
    const pending = { ...begun, id: ids.find((id) => /0.*1|1.*0/.test(code(id))) ?? '' }
    const confirmations = createConfirmations(pages.room, codeKey)
    const given = code(pending.id)
    const ways = [
      given,
      given.toLowerCase(),
      given.replace('-', ''),
      ` ${given.replace('-', ' – ')} `,
      given.replaceAll('0', 'O'),
      given.replaceAll('0', 'o').replaceAll('1', 'l'),
      given.replaceAll('1', 'I'),
    ]
    for (const typed of ways) expect(await confirmations.check(pending, typed), typed).toEqual({ kind: 'right' })
  })

  it.each([
    ['nothing', ''],
    ['a space', ' '],
    ['a hyphen', '-'],
    ['half a code', 'AAAA'],
    ['more than a code', 'K7QX-3M9P-K7QX'],
    ['a control character', '\u0000'],
    ['digits of another kind', '𝟘'.repeat(8)],
    ['a long text', 'x'.repeat(4_000)],
  ])('are not let in with %s', async (_what, typed) => {
    const pendingId = await link(machine)
    expect((await browser.submit(`/connect/${pendingId}`, { code: typed })).status).toBe(403)
  })
})

describe('cookies that were tampered with', () => {
  it('are as good as none, whichever bit it is', async () => {
    withIdentity()
    const pendingId = await link(alice())
    await identify(browser, `/connect/${pendingId}`)
    const name = '__Host-toolgate-session'
    const session = browser.cookies.get(name) ?? ''
    const bytes = Buffer.from(session, 'base64url')
    const ask = (value: string): Promise<PageAnswer> =>
      browser.get(`/connect/${pendingId}`, { headers: { cookie: `${name}=${value}` } })
    expect((await ask(session)).text).toContain('Continue to')
    const changed = Array.from({ length: bytes.length }, (_, at) => {
      const copy = Buffer.from(bytes)
      copy.writeUInt8(copy.readUInt8(at) ^ (1 << (at % 8)), at)
      return copy.toString('base64url')
    })
    for (const value of [...changed, session.slice(1), `${session}A`, session.slice(0, -4), 'x', 'x'.repeat(9_000)]) {
      const answer = await ask(value)
      expect(answer.status === 431 || answer.text.includes('show that it is you'), value).toBe(true)
    }
  })

  it('do not serve in the place of others', async () => {
    withIdentity()
    const pendingId = await link(alice())
    const seal = createSeal(sealKey)
    const person = { issuer: provider.issuer, sub: 'alice', name: 'x', tenant: null, refinement: null }
    const until = room.clock.now() + 60_000
    const ask = async (value: string): Promise<boolean> =>
      (
        await browser.get(`/connect/${pendingId}`, { headers: { cookie: `__Host-toolgate-session=${value}` } })
      ).text.includes('Continue to')
    expect(await ask(seal.close([until, person], 'connect cookie toolgate-session', ''))).toBe(true)
    expect(await ask(seal.close([until, person], 'connect cookie toolgate-notice', ''))).toBe(false)
    expect(await ask(seal.close([until, person], 'connect cookie toolgate-session', 'x'))).toBe(false)
    expect(await ask(seal.close([until - 60_001, person], 'connect cookie toolgate-session', ''))).toBe(false)
    expect(await ask(seal.close(person, 'connect cookie toolgate-session', ''))).toBe(false)
    expect(await ask(seal.close([until, 'alice'], 'connect cookie toolgate-session', ''))).toBe(false)
  })
})

describe('addresses that want to lead elsewhere', () => {
  it.each([
    '//evil.example',
    '/%2f%2fevil.example',
    '/\\evil.example',
    '/%5cevil.example',
    '/https:%2f%2fevil.example',
    '/%0d%0aset-cookie:%20a=b',
    '/%E2%80%AE',
    '/%',
    '/%ff',
    '/..%2f..%2fevil',
  ])('lead nowhere: %s', async (path) => {
    for (const before of ['/connect', '/connect/callback', '/connect/done', '/connect/disconnect']) {
      const answer = await browser.get(`${before}${path}`)
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.headers.get('location')).toBeNull()
      expect(answer.headers.get('set-cookie') ?? '').not.toContain('a=b')
      expect(answer.text).not.toContain('evil')
    }
  })

  it('do not choose where a user comes back to', async () => {
    withIdentity()
    const pendingId = await link(alice())
    const answer = await identify(browser, `/connect/${pendingId}?back=https://evil.example&returnTo=//evil.example`)
    expect(answer.headers.get('location')).toBe(`/connect/${pendingId}`)
  })

  it('stay below the path that the gateway has in front of it', async () => {
    await pages.close()
    pages = await startPages({ room, credentials: credentials(), publicUrl: `${publicUrl}/gate/` })
    const pendingId = await link(machine)
    const { text } = await browser.get(`/connect/${pendingId}`)
    expect(text).toContain(`action="/gate/connect/${pendingId}"`)
  })
})

describe('texts from outside', () => {
  const hostile = `"><script>alert(1)</script><b onclick='x'>\u202egnp.exe\u0000`
  const unescaped = /<script|<b |<img|onerror=alert\(1\)>|\u202e|\p{Cc}(?<!\n)/u

  it('are text: names of callers, targets, scopes and credentials', async () => {
    const who = principal(hostile)
    const needed = await pages.provider(hostileName).connect?.(who, { ...target, name: hostile }, [hostile])
    const { text, status } = await browser.get(`/connect/${needed?.pendingId}`)
    expect(status).toBe(200)
    expect(text).not.toMatch(unescaped)
    expect(text.match(/&lt;script&gt;/g)?.length).toBeGreaterThanOrEqual(3)
    expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;')
  })

  it('are text: account labels, on the list and on the last page', async () => {
    const owner = { tenant: 'default', subject: 'anonymous' }
    pages.callers = { everyone: owner, identities: [] }
    const seat = connectionSeat(owner, hostileName)
    const issued = { owner, credential: hostileName, issuer: 'https://x', client: 'x', asked: [hostile] }
    const set = {
      access: new Secret('canary-a'),
      refresh: undefined,
      lifetimeMs: 1,
      scopes: [hostile],
      account: hostile,
    }
    const record = await sealTokens(pages.room, seat, issued, set, undefined)
    await room.records.put(seat.key, JSON.stringify(record), { expect: 'absent' })
    const list = await browser.get('/connect')
    expect(list.text).not.toMatch(unescaped)
    expect(list.text).toContain('&lt;script&gt;')
    const done = { target: hostile, account: hostile, scopes: [hostile], missing: [hostile] }
    const binding = 'b'.repeat(43)
    await browser.get(await signIn(browser, await link(principal('anonymous'))))
    const name = [...browser.cookies.keys()].find((one) => one.includes('binding')) ?? ''
    await room.records.put(`connect-done/${hashed(binding)}`, JSON.stringify(done), { expect: 'absent' })
    const last = await browser.get('/connect/done/cred', { headers: { cookie: `${name}=${binding}` } })
    expect(last.text).not.toMatch(unescaped)
    expect(last.text.match(/&lt;script&gt;/g)).toHaveLength(4)
  })

  it('O11: are not shown at all where the authorization server gives its reasons', async () => {
    const back = await signIn(browser, await link(machine))
    const url = new URL(back, publicUrl)
    url.searchParams.delete('code')
    url.searchParams.set('error', 'access_denied')
    url.searchParams.set('error_description', hostile)
    url.searchParams.set('error_uri', 'https://evil.example/')
    const answer = await browser.get(`${url.pathname}${url.search}`)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('cancelled')
    expect(answer.text).not.toMatch(/alert|evil|gnp/)
  })

  it('are text: the name that the identity provider gives', async () => {
    withIdentity()
    const now = Math.floor(Date.now() / 1_000)
    const pendingId = await link(alice())
    const url = leavesFor(await browser.submit(`/connect/${pendingId}`))
    const back = (await provider.browse(url)).href.slice(publicUrl.length)
    const idToken = await provider.sign({
      iss: provider.issuer,
      sub: 'alice',
      aud: identityOptions.clientId,
      iat: now,
      exp: now + 60,
      nonce: url.searchParams.get('nonce'),
      email: '"><script>alert(1)</script>',
    })
    const body = JSON.stringify({ access_token: 'x', token_type: 'Bearer', id_token: idToken })
    provider.intercept = (path) => (path === '/token' ? { status: 200, body } : undefined)
    await browser.get(back)
    provider.intercept = undefined
    const { text } = await browser.get(`/connect/${pendingId}`)
    expect(text).toContain('&lt;script&gt;')
    expect(text).not.toMatch(unescaped)
  })
})

describe('the user’s own page', () => {
  const connect = async (who: Principal, credential = 'cred'): Promise<void> => {
    const at = createBrowser(() => pages)
    const { callers } = pages
    pages.callers = { everyone: undefined, identities: [] }
    expect((await at.get(await signIn(at, await link(who, credential)))).status).toBe(303)
    pages.callers = callers
  }

  it('shows and ends one’s own connections and nobody else’s', async () => {
    withIdentity()
    await connect(alice())
    await connect(bert(), 'other')
    const first = await browser.get('/connect')
    expect(first.text).not.toContain('alice@example.com')
    expect((await identify(browser, '/connect')).headers.get('location')).toBe('/connect')
    const list = await browser.get('/connect')
    expect(list.text.match(/alice@example.com/g)?.length).toBeGreaterThan(0)
    expect(list.text).not.toContain('other')
    server.revocations.length = 0
    const ended = await browser.submit('/connect')
    expect([ended.status, ended.headers.get('location')]).toEqual([303, '/connect'])
    expect((await browser.get('/connect')).text).toContain('is disconnected')
    expect((await browser.get('/connect')).text).not.toContain('is disconnected')
    expect(await connectionsOf(alice())).toEqual([])
    expect(await connectionsOf(bert())).toHaveLength(1)
    expect(server.revocations).toHaveLength(1)
  })

  it('ends nothing without a form of its own, and tells absent from foreign by nothing', async () => {
    withIdentity()
    await connect(alice())
    await connect(bert(), 'other')
    await identify(browser, '/connect')
    const answers = []
    for (const credential of ['other', 'absent']) {
      const answer = await browser.submit('/connect', {}, (sent) => {
        sent.action = `/connect/disconnect/${credential}`
      })
      answers.push([answer.status, answer.text, answer.headers.get('location')].join())
    }
    expect(new Set(answers.map((answer) => answer.replace(/other|absent/g, ''))).size).toBe(1)
    expect(answers[0]).toContain('403')
    // with a right token, as a page would have made it
    const seal = createSeal(sealKey)
    const id = browser.cookies.get('__Host-toolgate-browser') ?? ''
    const rightly = async (credential: string): Promise<string> => {
      const answer = await browser.submit('/connect', {}, (sent) => {
        sent.action = `/connect/disconnect/${credential}`
        sent.body = new URLSearchParams({
          token: seal.close(true, `connect form /disconnect/${credential}`, id),
        }).toString()
      })
      return [answer.status, answer.text, answer.headers.get('location')].join()
    }
    expect(await rightly('other')).toBe(await rightly('absent'))
    expect(await connectionsOf(bert())).toHaveLength(1)
    expect(await connectionsOf(alice())).toHaveLength(1)
  })

  it('does not end anything for a browser that has not signed in', async () => {
    withIdentity()
    await connect(alice())
    const answer = await browser.submit('/connect', {}, (sent) => {
      const id = browser.cookies.get('__Host-toolgate-browser') ?? ''
      sent.action = '/connect/disconnect/cred'
      sent.body = new URLSearchParams({
        token: createSeal(sealKey).close(true, 'connect form /disconnect/cred', id),
      }).toString()
    })
    expect(answer.headers.get('location')).toBe('/connect')
    expect(await connectionsOf(alice())).toHaveLength(1)
  })

  it('explains who lists connections where a browser cannot show whose it is', async () => {
    await connect(machine)
    const { text } = await browser.get('/connect')
    expect(text).toContain('toolgate connections')
    expect(text).not.toContain('alice@example.com')
  })

  it('asks for no proof where everyone on the machine is one caller, but for a form of its own', async () => {
    const everyone = principal('anonymous')
    pages.callers = { everyone, identities: [] }
    const pendingId = await link(everyone)
    const first = await browser.submit(`/connect/${pendingId}`, {}, ({ headers }) =>
      headers.set('origin', 'http://localhost:1'),
    )
    expect(first.status).toBe(403)
    const back = (await server.browse(leavesFor(await browser.submit(`/connect/${pendingId}`)).href)).href
    expect((await browser.get(back.slice(publicUrl.length))).status).toBe(303)
    expect((await browser.get('/connect')).text).toContain('alice@example.com')
    // a sign-in of a caller from another time is nobody’s
    expect((await browser.get(`/connect/${await link(machine)}`)).status).toBe(404)
  })
})
