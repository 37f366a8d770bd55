/**
 * The pages on which a user connects an account, and sees and ends connections. GET and HEAD change nothing: only a
 * form of ours, sent by a browser that has shown to be the caller’s, starts a sign-in. What has to last between two
 * requests is in the store or sealed into a cookie, so that each may reach another replica.
 */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { type ErrorCode, GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { timesIn } from '../../mcp/exchange.ts'
import { type PageContext, siteOf } from './browser.ts'
import { callbackRoute, doneRoute } from './callback.ts'
import { disconnectRoute, listRoute, listSignInRoute } from './list.ts'
import { headers } from './page.ts'
import { noticePage } from './pages.ts'
import type { ConnectRoom } from './room.ts'
import { identityRoute, openRoute, startRoute } from './start.ts'
import { Visit } from './visit.ts'

export function connectRoutes(room: ConnectRoom): Hono<{ Bindings: HttpBindings }> {
  const site = siteOf(room.publicUrl)
  const at = (c: PageContext): Visit => new Visit(c, room, site)
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.use('/connect/*', guarded(room))
  app.use('/connect/*', bodyLimit({ maxSize: limits.browserFormBytes, onError: refuseLarge }))
  app.get('/connect', (c) => listRoute(at(c)))
  app.post('/connect', (c) => listSignInRoute(at(c)))
  app.get('/connect/identity', (c) => identityRoute(at(c)))
  app.get('/connect/callback/:credential', (c) => callbackRoute(at(c)))
  app.get('/connect/done/:credential', (c) => doneRoute(at(c)))
  app.post('/connect/disconnect/:credential', (c) => disconnectRoute(at(c)))
  app.get('/connect/:pendingId', (c) => openRoute(at(c), c.req.param('pendingId')))
  app.post('/connect/:pendingId', (c) => startRoute(at(c), c.req.param('pendingId')))
  app.all('/connect/*', () => {
    throw new GatewayError('not_found')
  })
  app.onError((thrown, c) => {
    const error = toGatewayError(thrown)
    if (error.http >= 500) room.log.error({ error, route: c.req.routePath }, 'a page for users failed')
    return at(c).show(titleOf(error), noticePage('bad', titleOf(error), error.message), error.http)
  })
  return app
}

/** The header fields of every answer, and the right host. What `Origin` may be is a matter of forms alone. */
const guarded =
  (room: ConnectRoom): MiddlewareHandler<{ Bindings: HttpBindings }> =>
  async (c, next) => {
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
    room.guard.check({
      header: (name) => (name === 'host' ? c.req.header(name) : undefined),
      times: (name) => timesIn(c.env.incoming.rawHeaders, name),
    })
    return next()
  }

const refuseLarge = (): never => {
  throw new GatewayError('body_too_large')
}

const titles: ReadonlyMap<ErrorCode, string> = new Map([
  ['sign_in_invalid', 'This sign-in is over'],
  ['sign_in_failed', 'Nothing was connected'],
  ['token_refused', 'The sign-in cannot go on'],
  ['token_unavailable', 'The sign-in cannot go on'],
  ['forbidden_origin', 'This was not taken'],
  ['not_found', 'There is nothing here'],
])

const titleOf = ({ code }: GatewayError): string => titles.get(code) ?? 'Something went wrong'
