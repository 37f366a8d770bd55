/** The façade on a listener of its own, before a provider that standard clients cannot use, and a browser to go there. */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { inspect } from 'node:util'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { expect } from 'vitest'
import {
  bearerChallenge,
  metadataUrl,
  resourceAliases,
  resourceFor,
  resourceMetadata,
} from '../../src/auth/challenge.ts'
import { getThrough } from '../../src/auth/issuer.ts'
import { jwtCheck, type TokenCheck } from '../../src/auth/jwt.ts'
import type { Log } from '../../src/core/log.ts'
import { limits } from '../../src/core/limits.ts'
import { Secret } from '../../src/core/secret.ts'
import { createGuard } from '../../src/mcp/guard.ts'
import { createSeal } from '../../src/mcp/seal.ts'
import type { FacadeEvent, FacadeRoom } from '../../src/web/facade/room.ts'
import { facadeRoutes } from '../../src/web/facade/routes.ts'
import { type IdentityProvider, startIdentityProvider } from './identity-provider.ts'
import { createRoom, type TestRoom } from './oauth-room.ts'

const audience = 'https://api.internal.test/'
const registered = { id: 'gateway', secret: 'the secret of the gateway only' }

export interface Facade {
  /** `publicUrl`. */
  readonly url: string
  readonly provider: IdentityProvider
  readonly room: TestRoom
  readonly events: FacadeEvent[]
  /** What was logged, as text. */
  readonly logged: string[]
  readonly check: TokenCheck
  /** What it was started with. */
  readonly options: FacadeRoom
  /** The same routes, anew, with other options. */
  serve(change: Partial<FacadeRoom>): void
  /** The provider answers something else at one path, until `restore`. */
  instead(path: string, status: number, body: string): void
  restore(): void
  /** The provider’s own metadata. */
  metadata(): Promise<object>
  /** The façade’s records. */
  stored(): Promise<readonly { readonly key: string; readonly value: string }[]>
  /** As it was at the start, with nothing stored. */
  reset(): Promise<void>
  close(): Promise<void>
}

/** `base`: the path of the public URL, such as `/gateway`. */
export async function startFacade(base = ''): Promise<Facade> {
  let app = new Hono<{ Bindings: HttpBindings }>()
  const server = createAdaptorServer({ fetch: (request, env) => app.fetch(request, env), overrideGlobalObjects: false })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = server.address()
  const host = `127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`
  const url = `http://${host}${base}`
  const provider = await startIdentityProvider({
    clients: [{ ...registered, redirectUri: `${url}/authorize/callback` }],
    audience,
  })
  // what the façade is for: only OpenID’s own document is there
  const closed = (path: string): { status: number; body: string } | undefined =>
    path.includes('oauth-authorization-server') || path === '/reg' ? { status: 404, body: '{}' } : undefined
  provider.intercept = closed
  const room = createRoom({ allow: [provider.address] })
  const check = jwtCheck(
    {
      discoveryUrl: provider.discoveryUrl,
      audiences: [audience],
      clients: [registered.id],
      scopes: ['tools'],
      customClaims: [],
    },
    { clock: room.clock, fetch: getThrough(room.egress) },
  )
  const events: FacadeEvent[] = []
  const logged: string[] = []
  const say = (fields: object, message: string): void =>
    void logged.push([message, ...Object.values(fields).map((value) => inspect(value))].join(' '))
  const log: Log = { debug: say, info: say, warn: say, error: say, debugs: true }
  const options: FacadeRoom = {
    ...room,
    publicUrl: url,
    name: 'The Gateway',
    provider: {
      discoveryUrl: provider.discoveryUrl,
      clientId: registered.id,
      clientSecret: new Secret(registered.secret),
      scopes: ['openid', 'offline_access', 'tools', 'tools:write'],
      parameters: new Map([['prompt', 'consent']]),
    },
    check: (token) => check.check(token),
    aliases: () => resourceAliases(url, ['support']),
    seal: createSeal(new Secret(randomBytes(32).toString('base64'))),
    guard: createGuard({ hosts: [host], origins: [], loopbackOrigins: false }),
    log,
    note: (event) => void events.push(event),
  }
  const serve = (change: Partial<FacadeRoom>): void => {
    app = new Hono<{ Bindings: HttpBindings }>()
    app.route('/', facadeRoutes({ ...options, ...change }))
    app.route('/', resourceServer(url, check))
  }
  serve({})
  const stored = () => room.records.list('facade', { limit: limits.recordsListed })
  return {
    url,
    provider,
    room,
    events,
    logged,
    check,
    options,
    serve,
    instead(path, status, body) {
      provider.intercept = (asked) => (asked === path ? { status, body } : closed(asked))
    },
    restore() {
      provider.intercept = closed
    },
    async metadata() {
      const document: unknown = await (await fetch(provider.discoveryUrl)).json()
      return typeof document === 'object' && document !== null ? document : {}
    },
    stored,
    async reset() {
      provider.intercept = closed
      room.ahead.wall = 0
      serve({})
      for (const { key } of await stored()) await room.records.delete(key)
      events.length = 0
      logged.length = 0
    },
    async close() {
      server.close()
      await once(server, 'close')
      await room.close()
      await provider.close()
    },
  }
}

/** The rest of the gateway, as far as signing in needs it. */
function resourceServer(url: string, check: TokenCheck): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  const prefix = '/.well-known/oauth-protected-resource'
  app.on('GET', [prefix, `${prefix}/*`], (c) => {
    const resource = resourceFor(c.req.path, url, resourceAliases(url, ['support']))
    if (resource === undefined) return c.notFound()
    return c.json(resourceMetadata({ resource, issuers: [url], scopes: ['tools'], name: 'The Gateway' }))
  })
  app.all('/mcp', async (c) => {
    const token = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1]
    const caller = token === undefined ? undefined : await check.check(token)
    if (caller !== undefined) return c.json({ subject: caller.subject })
    const challenge = bearerChallenge({ resourceMetadata: metadataUrl(url, '/mcp'), scope: ['tools'] })
    return c.json({}, 401, { 'www-authenticate': challenge })
  })
  return app
}

/** Goes where it is sent at the façade, and keeps its cookies. Nothing is believed to be a page that is none. */
export class Browser {
  readonly cookies = new Map<string, string>()

  async send(url: URL | string, init: RequestInit = {}): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = new Headers(init.headers)
    if (cookie !== '') headers.set('cookie', cookie)
    const response = await fetch(url, { redirect: 'manual', ...init, headers })
    for (const field of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(field) ?? []
      if (/max-age=0/i.test(field)) this.cookies.delete(name)
      else this.cookies.set(name, value)
    }
    return response
  }

  /** The form on the page that asks for consent. */
  async page(
    authorizeUrl: URL | string,
  ): Promise<{ readonly action: string; readonly request: string; readonly text: string }> {
    const response = await this.send(authorizeUrl)
    const text = await response.text()
    const request = /name="request" value="([^"]+)"/.exec(text)?.[1]
    const action = /<form method="post" action="([^"]+)"/.exec(text)?.[1]
    if (request === undefined || action === undefined)
      throw new Error(`no page to agree on: ${response.status} ${text}`)
    return { action, request, text }
  }

  /** Sends the form as a browser does from a page without a referrer; the answer. */
  decide(
    { action, request }: { readonly action: string; readonly request: string },
    decision = 'allow',
    headers: { readonly [name: string]: string } = { origin: 'null', 'sec-fetch-site': 'same-origin' },
  ): Promise<Response> {
    return this.send(action, { method: 'POST', headers, body: new URLSearchParams({ request, decision }) })
  }

  /** The address that a page goes on to by itself. */
  static async onward(response: Response): Promise<URL> {
    const text = await response.text()
    const target = /http-equiv="refresh" content="0;url=([^"]+)"/.exec(text)?.[1]
    if (target === undefined) throw new Error(`the page goes nowhere: ${response.status} ${text}`)
    return new URL(target.replaceAll('&amp;', '&'))
  }

  /** The provider’s address, once the user has agreed. */
  async agree(authorizeUrl: URL | string): Promise<URL> {
    return Browser.onward(await this.decide(await this.page(authorizeUrl)))
  }

  /** The whole way; where the client is answered. */
  async signIn({ provider }: Facade, authorizeUrl: URL | string): Promise<URL> {
    const back = await provider.browse(await this.agree(authorizeUrl))
    const response = await this.send(back)
    const location = response.headers.get('location')
    if (location === null) throw new Error(`the sign-in stops: ${response.status} ${await response.text()}`)
    return new URL(location)
  }
}

/** One client of the façade, told what to send. */
export class FacadeClient {
  readonly url: string
  readonly id: string
  readonly redirectUri: string
  readonly verifier = randomBytes(32).toString('base64url')

  private constructor(url: string, id: string, redirectUri: string) {
    this.url = url
    this.id = id
    this.redirectUri = redirectUri
  }

  static async register(
    { url }: Pick<Facade, 'url'>,
    redirectUri = 'https://client.test/cb',
    name = 'A Client',
  ): Promise<FacadeClient> {
    const response = await register(url, { redirect_uris: [redirectUri], client_name: name })
    const { client_id: id } = (await response.json()) as { client_id?: string }
    if (id === undefined) throw new Error(`not registered: ${response.status}`)
    return new FacadeClient(url, id, redirectUri)
  }

  get challenge(): string {
    return createHash('sha256').update(this.verifier).digest('base64url')
  }

  /** `undefined` leaves a parameter out. */
  authorizeUrl(change: { readonly [name: string]: string | undefined } = {}): URL {
    const url = new URL(`${this.url}/authorize`)
    const parameters = {
      response_type: 'code',
      client_id: this.id,
      redirect_uri: this.redirectUri,
      state: 'its own + state',
      code_challenge: this.challenge,
      code_challenge_method: 'S256',
      resource: `${this.url}/mcp`,
      scope: 'tools',
      ...change,
    }
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
    return url
  }

  redeem(code: string, change: { readonly [name: string]: string | undefined } = {}): Promise<Response> {
    return askToken(this.url, {
      grant_type: 'authorization_code',
      code,
      client_id: this.id,
      redirect_uri: this.redirectUri,
      code_verifier: this.verifier,
      ...change,
    })
  }

  refresh(token: string, change: { readonly [name: string]: string | undefined } = {}): Promise<Response> {
    return askToken(this.url, { grant_type: 'refresh_token', refresh_token: token, client_id: this.id, ...change })
  }
}

export const register = (
  url: string,
  metadata: unknown,
  headers: { readonly [name: string]: string } = {},
): Promise<Response> =>
  fetch(`${url}/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof metadata === 'string' ? metadata : JSON.stringify(metadata),
  })

export const askToken = (
  url: string,
  parameters: { readonly [name: string]: string | undefined },
  headers: { readonly [name: string]: string } = {},
): Promise<Response> => {
  const body = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) body.set(name, value)
  return fetch(`${url}/token`, { method: 'POST', headers, body })
}

/** A navigation without cookies; redirects are answers. */
export const look = (url: URL | string, init: RequestInit = {}): Promise<Response> =>
  fetch(url, { redirect: 'manual', ...init })

/** The answer of OAuth in a URL. */
export const answerIn = (url: URL): { [name: string]: string } => Object.fromEntries(url.searchParams)

export const locationOf = (response: Response): URL => new URL(response.headers.get('location') ?? 'none:')

export const codeIn = (url: URL): string => url.searchParams.get('code') ?? ''

export interface Tokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly error?: string
}

export const bodyOf = async (response: Response): Promise<Tokens> => (await response.json()) as Tokens

export const errorOf = async (response: Response): Promise<[number, string | undefined]> => [
  response.status,
  (await bodyOf(response)).error,
]

/** A page for the user, which sends nobody anywhere; its text. */
export const expectPage = async (response: Response, status = 400): Promise<string> => {
  expect([response.status, response.headers.get('location')]).toEqual([status, null])
  const text = await response.text()
  expect(text).not.toMatch(/http-equiv|<form|<a /)
  return text
}

/** The text with another character at one place. */
export const changed = (text: string, at: number): string =>
  `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`
