/**
 * A real browser on the pages for users: from the link through the authorization server’s own pages to the connection,
 * and how the pages look and read, on a phone and on a desk, in light and in dark. Needs Chromium, and says so.
 */
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Provider } from 'oidc-provider'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Secret } from '../../src/core/secret.ts'
import { confirmationCode } from '../../src/credentials/oauth/confirmation.ts'
import { connectionSeat, sealTokens } from '../../src/credentials/oauth/record.ts'
import type { OAuthOptions } from '../../src/credentials/oauth/room.ts'
import { sign } from '../../src/credentials/provider.ts'
import { createIdentity } from '../../src/web/connect/identity.ts'
import { codeKey, type Pages, startPages } from '../support/connect-pages.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { createRoom, optionsFor, outbound, principal, target, type TestRoom } from '../support/oauth-room.ts'

const executablePath = [
  process.env['CHROMIUM_PATH'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
].find((path) => path !== undefined && existsSync(path))

if (executablePath === undefined)
  process.stderr.write('\n  SKIPPED: the pages in a browser. There is no Chromium here; set CHROMIUM_PATH.\n\n')

/** Where the pictures go. */
const pictures = join(tmpdir(), 'toolgate-pages')

const looks = [
  { name: 'phone', colorScheme: 'light', viewport: { width: 360, height: 740 } },
  { name: 'phone-dark', colorScheme: 'dark', viewport: { width: 360, height: 740 } },
  { name: 'desk', colorScheme: 'light', viewport: { width: 1_280, height: 900 } },
  { name: 'desk-dark', colorScheme: 'dark', viewport: { width: 1_280, height: 900 } },
] as const

const listen = async (server: Server): Promise<number> => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = server.address()
  return typeof at === 'object' && at !== null ? at.port : 0
}

const shut = async (server: Server): Promise<void> => {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}

interface LoginServer {
  readonly issuer: string
  readonly address: string
  /** Sends whoever comes on to the issuer: another origin, as with vendors that sign in elsewhere. */
  readonly hop: string
  close(): Promise<void>
}

/** An authorization server with its own pages for signing in and agreeing (oidc-provider’s). */
async function startLoginServer(redirectUris: string[]): Promise<LoginServer> {
  const http = createServer()
  const issuer = `http://127.0.0.1:${await listen(http)}`
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'gateway',
        client_secret: 'a secret of the tests only',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: redirectUris,
      },
    ],
    scopes: ['openid', 'offline_access', 'email', 'read'],
    claims: { openid: ['sub'], email: ['email'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['cookies of the tests only'] },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@example.com` }) }),
  })
  const serve = provider.callback()
  http.on('request', (request, response) => void serve(request, response))
  const hop = createServer((request, response) => {
    response.writeHead(302, { location: `${issuer}/auth${new URL(request.url ?? '', issuer).search}` }).end()
  })
  return {
    issuer,
    address: new URL(issuer).host,
    hop: `http://127.0.0.1:${await listen(hop)}/authorize`,
    async close() {
      await shut(http)
      await shut(hop)
    },
  }
}

/** Contrast of every text, names of every control, landmarks, sizes: what is wrong with a page (WCAG 2.2, AA). */
const faultsScript = String.raw`(() => {
  const faults = []
  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number)
    return { r, g, b, a }
  }
  const over = (top, under) => ({
    r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a),
    b: top.b * top.a + under.b * (1 - top.a), a: 1,
  })
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const contrast = (one, other) => {
    const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a)
    return (high + 0.05) / (low + 0.05)
  }
  const ground = (element) => {
    const layers = []
    for (let at = element; at !== null; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor))
    return layers.reverse().reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 })
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  let texts = 0
  while (walker.nextNode()) {
    const { parentElement: element, data } = walker.currentNode
    if (data.trim() === '' || element.getClientRects().length === 0) continue
    texts++
    const ratio = contrast(parse(getComputedStyle(element).color), ground(element))
    if (ratio < 4.5) faults.push('contrast ' + ratio.toFixed(2) + ': ' + data.trim())
    if (parseFloat(getComputedStyle(element).fontSize) < 13) faults.push('small print: ' + data.trim())
  }
  if (texts < 3) faults.push('hardly a word')
  for (const field of document.querySelectorAll('input:not([type=hidden])')) {
    if (field.labels.length !== 1 || field.labels[0].textContent.trim() === '') faults.push('no label: ' + field.name)
    for (const id of (field.getAttribute('aria-describedby') ?? '').split(' ').filter(Boolean))
      if (document.getElementById(id) === null) faults.push('described by nothing: ' + id)
    const edge = contrast(parse(getComputedStyle(field).borderTopColor), ground(field.parentElement))
    if (edge < 3) faults.push('an edge that is hard to see: ' + edge.toFixed(2))
  }
  for (const control of document.querySelectorAll('button, a, input:not([type=hidden])')) {
    const name = control.getAttribute('aria-label') ?? control.labels?.[0]?.textContent ?? control.textContent
    if (name.trim() === '') faults.push('a control without a name')
    const isInline = control.matches('p > a:not(.button)')
    const box = control.getBoundingClientRect()
    if (!isInline && (box.height < 44 || box.width < 44)) faults.push('too small for a finger: ' + name)
    control.focus()
    const { outlineStyle, outlineWidth } = getComputedStyle(control)
    if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) faults.push('a focus that is not seen: ' + name)
  }
  document.activeElement?.blur()
  for (const landmark of ['header', 'main', 'footer'])
    if (document.querySelectorAll('body > ' + landmark).length !== 1) faults.push('no ' + landmark)
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1')
  const levels = [...document.querySelectorAll('h1, h2, h3')].map((heading) => Number(heading.tagName[1]))
  levels.forEach((level, at) => { if (level > (levels[at - 1] ?? level) + 1) faults.push('a level of headings is left out') })
  for (const drawing of document.querySelectorAll('svg')) if (drawing.getAttribute('aria-hidden') !== 'true') faults.push('a drawing that is read out')
  if (document.documentElement.lang !== 'en') faults.push('no language')
  if (document.title.split(' · ')[0].length < 5) faults.push('no title')
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  if (new Set(ids).size !== ids.length) faults.push('an id twice')
  if (document.scrollingElement.scrollWidth > innerWidth) faults.push('wider than the screen')
  return faults
})()`

const faultsOf = (page: Page): Promise<string[]> => page.evaluate<string[]>(faultsScript)

const service = 'Acme Drive'

describe.skipIf(executablePath === undefined)('the pages in a browser', () => {
  let browser: Browser
  let login: LoginServer
  let provider: IdentityProvider
  let port: number
  let room: TestRoom
  let pages: Pages
  let context: BrowserContext
  let page: Page
  const complaints: string[] = []

  const credentials = (): OAuthOptions[] =>
    [service, 'Calendar'].map((name) =>
      optionsFor({
        name,
        grant: 'authorizationCode',
        discoveryUrl: `${login.issuer}/.well-known/openid-configuration`,
        authorizationEndpoint: login.hop,
        clientSecret: new Secret('a secret of the tests only'),
        scopes: ['openid', 'email', 'read', 'offline_access'],
        parameters: { authorization: new Map([['prompt', 'consent']]), token: new Map() },
      }),
    )

  beforeAll(async () => {
    mkdirSync(pictures, { recursive: true })
    const placeholder = createServer()
    port = await listen(placeholder)
    await shut(placeholder)
    const at = `http://127.0.0.1:${port}/connect/callback`
    login = await startLoginServer([`${at}/${encodeURIComponent(service)}`, `${at}/Calendar`])
    provider = await startIdentityProvider()
    browser = await chromium.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
      args: [
        ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
        '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
      ],
    })
  })
  afterAll(async () => {
    await browser.close()
    await login.close()
    await provider.close()
  })

  beforeEach(async () => {
    room = createRoom({ allow: [login.address, new URL(login.hop).host, provider.address] })
    pages = await startPages({ room, credentials: credentials(), port })
    context = await browser.newContext()
    page = await context.newPage()
    complaints.length = 0
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type()) && message.location().url.startsWith(pages.url))
        complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(error.message))
  })
  afterEach(async () => {
    await context.close()
    await pages.close()
    await room.close()
  })

  const owner = principal('key|named')

  let identityClient: string | undefined
  beforeAll(async () => {
    const answer = await fetch(`${provider.issuer}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        redirect_uris: [`http://127.0.0.1:${port}/connect/identity`],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
      }),
    })
    identityClient = ((await answer.json()) as { client_id?: string }).client_id
  })
  const withIdentity = (): void => {
    const options = { discoveryUrl: provider.discoveryUrl, clientId: identityClient ?? '', scopes: [] }
    pages.callers = { everyone: undefined, identities: [createIdentity(options, pages.room, pages.url)] }
  }

  const link = async (who = owner, more: readonly string[] = []): Promise<string> => {
    const needed = await pages.provider(service).connect?.(who, { ...target, name: 'drive' }, more)
    if (needed === undefined) throw new Error('no sign-in')
    return needed.pendingId
  }

  /** The authorization server’s own two pages. */
  const signInAndAgree = async (at: Page): Promise<void> => {
    await at.waitForURL(`${login.issuer}/interaction/**`)
    await at.fill('input[name=login]', 'alice')
    await at.fill('input[name=password]', 'any')
    await at.click('button[type=submit]')
    await at.getByText('Authorize').first().waitFor()
    await at.click('button[type=submit]')
  }

  it('lead from the link through sign-in and consent to a connection, by the keyboard alone', async () => {
    const pendingId = await link()
    await page.goto(`${pages.url}/connect/${pendingId}`)
    await page.keyboard.press('Tab')
    expect(await page.evaluate('document.activeElement.id')).toBe('code')
    await page.keyboard.type('not this one')
    await page.keyboard.press('Enter')
    await page.getByRole('alert').waitFor()
    expect(await page.getByLabel('Code', { exact: true }).getAttribute('aria-invalid')).toBe('true')
    await page.getByRole('alert').getByRole('link').click()
    expect(await page.evaluate('document.activeElement.id')).toBe('code')
    await page.keyboard.type(confirmationCode(codeKey, pendingId).toLowerCase())
    await page.keyboard.press('Enter')
    await signInAndAgree(page)
    await page.waitForURL(`${pages.url}/connect/done/${encodeURIComponent(service)}`)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(`${service} is connected`)
    expect(await page.getByRole('main').textContent()).toContain('alice@example.com')
    // the call that had to wait goes out with the user’s own token
    const signed = await sign({ ...outbound(), url: `${target.origin}/x` }, pages.provider(service), owner, target)
    expect(signed.request.headers.get('authorization')).toMatch(/^Bearer \S{20,}$/)
    expect(await pages.connections.listOf(owner)).toMatchObject([{ account: 'alice@example.com', state: 'active' }])
    await page.reload()
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(`${service} is connected`)
    expect(complaints.filter((text) => !text.includes('403'))).toEqual([])
  })

  it('lead nowhere in another browser', async () => {
    const pendingId = await link()
    await page.goto(`${pages.url}/connect/${pendingId}`)
    await page.getByLabel('Code', { exact: true }).fill(confirmationCode(codeKey, pendingId))
    const leaving = page.waitForRequest((request) => request.url().startsWith(login.hop))
    await page.getByRole('button').click()
    // whom the attacker sends the address to, once it is known
    const other = await browser.newContext()
    const victim = await other.newPage()
    await victim.goto((await leaving).url())
    await signInAndAgree(victim)
    await victim.waitForURL(`${pages.url}/connect/callback/**`)
    expect(await victim.getByRole('heading', { level: 1 }).textContent()).toBe('This sign-in is over')
    expect(await pages.connections.listOf(owner)).toEqual([])
    await other.close()
  })

  it('are shown in no frame, and take no form from another page', async () => {
    const pendingId = await link()
    const frame = `<iframe src="${pages.url}/connect/${pendingId}"></iframe>`
    const form = `<form method="post" action="${pages.url}/connect/${pendingId}"><button>go</button></form>`
    const evil = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(frame + form)
    })
    await page.goto(`http://127.0.0.1:${await listen(evil)}/`)
    await page.waitForLoadState('networkidle')
    const framed = page.frames().find((one) => one !== page.mainFrame())
    expect(await framed?.evaluate<number>('document.querySelectorAll("form").length').catch(() => 0)).toBe(0)
    await page.getByRole('button', { name: 'go' }).click()
    await page.waitForURL(`${pages.url}/connect/**`)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('This was not taken')
    expect(room.events.map(({ act }) => act)).toEqual(['begin'])
    await shut(evil)
  })

  it('know the caller by the identity provider, and end its connections', async () => {
    withIdentity()
    const alice = principal(`${provider.issuer}|alice`)
    await page.goto(`${pages.url}/connect/${await link(alice)}`)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('button', { name: `Continue to ${service}` }).click()
    await signInAndAgree(page)
    await page.getByRole('link', { name: 'See and end your connections' }).click()
    await page.getByRole('button', { name: `Disconnect ${service}` }).click()
    await page.getByRole('status').waitFor()
    expect(await page.getByRole('status').textContent()).toContain(`${service} is disconnected`)
    expect(await pages.connections.listOf(alice)).toEqual([])
    expect(complaints).toEqual([])
  })

  /** Every page that there is, by name; each opens it. */
  const sights: readonly (readonly [name: string, visit: (at: Page) => Promise<unknown>])[] = [
    ['code', async (at) => at.goto(`${pages.url}/connect/${await link()}`)],
    [
      'wrong-code',
      async (at) => {
        await at.goto(`${pages.url}/connect/${await link()}`)
        await at.getByLabel('Code', { exact: true }).fill('K7QX-3M9P')
        await at.getByRole('button').click()
        await at.getByRole('alert').waitFor()
      },
    ],
    [
      'start',
      async (at) => {
        pages.callers = { everyone: owner, identities: [] }
        await at.goto(`${pages.url}/connect/${await link()}`)
      },
    ],
    [
      'long-words',
      async (at) => {
        const long = `https://www.example.com/auth/${'very-long-scope.'.repeat(8)}readonly`
        const many = Array.from({ length: 60 }, (_, index) => `scope:${index}`)
        const who = principal('a-caller-whose-name-goes-on-and-on-without-a-place-to-break-'.repeat(4))
        await at.goto(`${pages.url}/connect/${await link(who, [long, ...many])}`)
      },
    ],
    [
      'identity',
      async (at) => {
        withIdentity()
        await at.goto(`${pages.url}/connect/${await link(principal(`${provider.issuer}|alice`))}`)
      },
    ],
    [
      'foreign',
      async (at) => {
        withIdentity()
        await at.goto(`${pages.url}/connect/${await link(principal(`${provider.issuer}|bert`))}`)
        await at.getByRole('button').click()
        await at.getByText('not for you').first().waitFor()
      },
    ],
    [
      'done',
      async (at) => {
        pages.callers = { everyone: owner, identities: [] }
        await at.goto(`${pages.url}/connect/${await link(owner, ['files.write'])}`)
        await at.getByRole('button').click()
        await signInAndAgree(at)
        await at.waitForURL(`${pages.url}/connect/done/**`)
      },
    ],
    ['over', async (at) => at.goto(`${pages.url}/connect/${'x'.repeat(43)}`)],
    [
      'list',
      async (at) => {
        pages.callers = { everyone: owner, identities: [] }
        for (const [credential, state] of [
          [service, 'active'],
          ['Calendar', 'reconnect'],
        ] as const) {
          const seat = connectionSeat(owner, credential)
          const issued = { owner, credential, issuer: login.issuer, client: 'gateway', asked: ['read'] }
          const set = {
            access: new Secret('x'),
            refresh: undefined,
            lifetimeMs: undefined,
            scopes: ['openid', 'email', 'read', 'offline_access'],
            account: 'alice@example.com',
          }
          const record = await sealTokens(pages.room, seat, issued, set, undefined)
          const known = await room.records.get(seat.key)
          const value = JSON.stringify({ ...record, state, createdAt: Date.UTC(2026, 7, 3) })
          await room.records.put(seat.key, value, { expect: known?.version ?? 'absent' })
        }
        await at.goto(`${pages.url}/connect`)
      },
    ],
    [
      'list-empty',
      async (at) => {
        pages.callers = { everyone: principal('nobody yet'), identities: [] }
        await at.goto(`${pages.url}/connect`)
      },
    ],
    [
      'list-sign-in',
      async (at) => {
        withIdentity()
        await at.goto(`${pages.url}/connect`)
      },
    ],
    ['list-elsewhere', async (at) => at.goto(`${pages.url}/connect`)],
  ]

  it.each(sights)('read well to everyone: %s', async (name, visit) => {
    pages.callers = { everyone: undefined, identities: [] }
    await visit(page)
    for (const { name: look, colorScheme, viewport } of looks) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize(viewport)
      expect(await faultsOf(page), `${name} ${look}`).toEqual([])
      await page.screenshot({ path: join(pictures, `${name}-${look}.png`), fullPage: true })
    }
    // WCAG 1.4.10: 320 pixels wide, or 1280 at 400 %
    await page.setViewportSize({ width: 320, height: 640 })
    expect(await faultsOf(page), `${name} at 320 pixels`).toEqual([])
  })
})
