/** `/api/connections`: users' grants for the operator, never their tokens. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { AuditEntry } from '../store/audit.ts'
import type { Connection, Connections } from '../credentials/oauth/connections.ts'

interface ConnectionRoom {
  /** Of the configuration in force. */
  readonly connections: () => Pick<Connections, 'list' | 'disconnectById'>
  readonly audit: (entry: AuditEntry) => void
}

export function connectionRoutes({ connections, audit }: ConnectionRoom): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/api/connections', async (c) => {
    const page = await connections().list(tenantOf(c.req.query('tenant')), idOf(c.req.query('after')))
    return c.json({
      connections: page.connections.map(shown),
      ...(page.next === undefined ? {} : { next: page.next }),
    })
  })
  app.delete('/api/connections/:id', async (c) => {
    const id = c.req.param('id')
    if (!(await connections().disconnectById(tenantOf(c.req.query('tenant')), id))) throw new GatewayError('not_found')
    audit({ act: 'connection revoke', outcome: 'ok', id })
    return c.body(null, 204)
  })
  return app
}

const tenantOf = (given: string | undefined): string => (given === undefined || given === '' ? 'default' : given)

const idOf = (given: string | undefined): string | undefined =>
  given === undefined || given === '' || given.length > limits.recordKeyBytes ? undefined : given

const shown = ({ createdAt, updatedAt, expiresAt, account, ...rest }: Connection): object => ({
  ...rest,
  ...(account === undefined ? {} : { account }),
  createdAt: new Date(createdAt).toISOString(),
  updatedAt: new Date(updatedAt).toISOString(),
  ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
})
