/** RFC 9728: which authorization servers give tokens for this gateway. Public, and readable by any page. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import type { ResourceMetadata } from '../auth/challenge.ts'
import { toGatewayError } from '../core/errors.ts'
import { timesIn } from '../mcp/exchange.ts'
import type { Guard } from '../mcp/guard.ts'

export interface MetadataRoom {
  /** The document for a path; nothing where there is none. */
  describe(path: string): Promise<ResourceMetadata | undefined>
  /** Which `Host` values are ours. */
  readonly guard: Guard
}

export function metadataRoutes(room: MetadataRoom): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  const prefix = '/.well-known/oauth-protected-resource'
  app.on('GET', [prefix, `${prefix}/*`], async (c) => {
    room.guard.check({
      header: (name) => (name === 'host' ? c.req.header(name) : undefined),
      times: (name) => timesIn(c.env.incoming.rawHeaders, name),
    })
    const document = await room.describe(c.req.path)
    if (document === undefined) return c.json({ error: 'There is nothing here.' }, 404)
    return c.json(document, 200, { 'access-control-allow-origin': '*', 'cache-control': 'max-age=300' })
  })
  app.onError((thrown, c) => {
    const error = toGatewayError(thrown)
    return c.json({ error: error.message }, error.http as 400)
  })
  return app
}
