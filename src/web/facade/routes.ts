/**
 * The façade: the gateway as an authorization server for clients that the identity provider behind it would not take
 * (no RFC 8414 metadata, no dynamic registration, no `resource`). Clients deal with the gateway, users still sign in at
 * the provider, and its access tokens reach the client as they are.
 */
import type { HttpBindings } from '@hono/node-server'
import { Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { isOwnScheme } from '../../auth/facade-redirect.ts'
import { GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { timesIn } from '../../mcp/exchange.ts'
import { askConsent, takeConsent } from './authorize.ts'
import { type FinishSignIn, signInFinisher } from './callback.ts'
import { registerClient } from './clients.ts'
import { serverMetadata } from './metadata.ts'
import { refusalPage } from './pages.ts'
import { createProvider, type Provider } from './provider.ts'
import { type FacadeContext, type FacadeRoom, note, OAuthRefusal } from './room.ts'
import { giveTokens } from './token.ts'

type App = Hono<{ Bindings: HttpBindings }>
type Middleware = MiddlewareHandler<{ Bindings: HttpBindings }>

/**
 * Under a public URL with a path, the routes are there with that path and without it, as proxies cut it. Throws
 * `bad_config`.
 */
export function facadeRoutes(room: FacadeRoom): App {
  checkOptions(room)
  const provider = createProvider(room)
  const finish = signInFinisher(room, provider)
  const app: App = new Hono()
  const base = new URL(room.publicUrl).pathname.replace(/\/$/, '')
  const wellKnown = '/.well-known/oauth-authorization-server'
  const paths = new Set(['', base])
  metadataAt(app, room, new Set([`${wellKnown}${base}`, ...[...paths].map((path) => `${path}${wellKnown}`)]))
  app.onError((thrown, c) => refuse(room, c, thrown))
  for (const path of paths) {
    pagesAt(app, room, { provider, finish }, path)
    endpointsAt(app, room, provider, path)
  }
  return app
}

function checkOptions({ provider: { scopes }, redirectSchemes = [] }: FacadeRoom): void {
  const bad = (words: string): never => {
    throw new GatewayError('bad_config', { words })
  }
  if (scopes.join(' ').length > limits.facadeScopesChars)
    bad(`The scopes of the façade have more than ${limits.facadeScopesChars} characters.`)
  if (!scopes.every((scope) => /^[\x21\x23-\x5b\x5d-\x7e]+$/.test(scope))) bad('A scope of the façade is no scope.')
  const wrong = redirectSchemes.find((scheme) => !isOwnScheme(scheme))
  if (wrong !== undefined) bad('A redirect scheme of the façade is no scheme, or one that no client may be sent to.')
}

/** Any page may read what needs no cookie and gives nothing that its reader does not bring. */
const open: Middleware = async (c, next) => {
  c.header('access-control-allow-origin', '*')
  if (c.req.method !== 'OPTIONS') return next()
  c.header('access-control-allow-methods', 'GET, POST')
  c.header('access-control-allow-headers', 'Content-Type, Accept, Authorization, MCP-Protocol-Version')
  c.header('access-control-max-age', '600')
  return c.body(null, 204)
}

const hosted =
  (room: FacadeRoom): Middleware =>
  async (c, next) => {
    room.guard.check({
      header: (name) => (name === 'origin' ? undefined : c.req.header(name)),
      times: (name) => timesIn(c.env.incoming.rawHeaders, name),
    })
    return next()
  }

function metadataAt(app: App, room: FacadeRoom, paths: ReadonlySet<string>): void {
  const document = serverMetadata(room)
  for (const path of paths) {
    app.use(path, hosted(room), open)
    app.get(path, (c) => c.json(document, 200, { 'cache-control': 'max-age=300' }))
  }
}

interface Parts {
  readonly provider: Provider
  readonly finish: FinishSignIn
}

function pagesAt(app: App, room: FacadeRoom, { provider, finish }: Parts, path: string): void {
  const pages: App = new Hono()
  pages.use(hosted(room))
  // what only looks at a link must neither end a sign-in nor begin one
  pages.on('GET', ['/', '/callback'], async (c, next) => {
    if (c.req.method === 'HEAD') return c.body(null, 405, { allow: 'GET' })
    return next()
  })
  pages.get('/', (c) => askConsent(room, c))
  pages.post('/', bodyLimit({ maxSize: limits.facadeFormBytes, onError: tooLarge }), (c) =>
    takeConsent(room, provider, c),
  )
  pages.get('/callback', finish)
  pages.onError((thrown, c) => {
    const error = shownError(room, thrown)
    return refusalPage(c, error.http < 500 ? (error.http === 403 ? 403 : 400) : 503, error.message)
  })
  app.route(`${path}/authorize`, pages)
}

function endpointsAt(app: App, room: FacadeRoom, provider: Provider, path: string): void {
  const bounded = (maxSize: number): Middleware => bodyLimit({ maxSize, onError: tooLarge })
  app.use(`${path}/token`, hosted(room), open)
  app.use(`${path}/register`, hosted(room), open)
  app.post(`${path}/token`, bounded(limits.facadeFormBytes), async (c) =>
    c.json(await giveTokens(room, provider, c), 200, unstored),
  )
  app.post(`${path}/register`, bounded(limits.facadeRegistrationBytes), async (c) => {
    if (!/^application\/json\s*(?:;|$)/i.test(c.req.header('content-type') ?? ''))
      throw new OAuthRefusal('invalid_client_metadata', 'Send application/json.')
    const { client, answer } = registerClient(room, await c.req.text())
    note(room, 'register', client.hash, { outcome: 'ok' })
    return c.json(answer, 201, unstored)
  })
}

/** What failed, to a client that reads OAuth’s errors, in ASCII. */
function refuse(room: FacadeRoom, c: FacadeContext, thrown: unknown): Response {
  if (thrown instanceof OAuthRefusal)
    return c.json({ error: thrown.error, error_description: thrown.message }, thrown.status, unstored)
  const error = shownError(room, thrown)
  const known = error.http < 500 ? 'invalid_request' : error.retry ? 'temporarily_unavailable' : 'server_error'
  const description = error.message.replaceAll('’', "'")
  return c.json({ error: known, error_description: description }, error.http as 400, unstored)
}

/** RFC 6749 §5.1. */
const unstored = { 'cache-control': 'no-store', pragma: 'no-cache' } as const

const tooLarge = (): never => {
  throw new GatewayError('body_too_large')
}

/** Whatever was thrown, as it may be shown; what failed inside is logged. */
function shownError(room: FacadeRoom, thrown: unknown): GatewayError {
  const error =
    thrown instanceof OAuthRefusal
      ? new GatewayError('invalid_request', { words: thrown.message, cause: thrown })
      : toGatewayError(thrown)
  if (error.http >= 500) room.log.error({ error: error.cause ?? error }, 'the façade failed')
  return error
}
