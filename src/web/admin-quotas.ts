/** `/api/quotas`: how much of each quota is used in the day or month that runs. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { limits } from '../core/limits.ts'
import { type Quotas, shownState } from '../meter/quota.ts'

interface QuotaRoom {
  readonly quotas: Pick<Quotas, 'state'>
  readonly currency: string
}

export function quotaRoutes({ quotas, currency }: QuotaRoom): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/api/quotas', async (c) => {
    const rows = await quotas.state(c.req.query('quota'))
    return c.json({
      quotas: rows.map((row) => shownState(row, currency)),
      ...(rows.length < limits.quotaRowsShown ? {} : { more: true }),
    })
  })
  return app
}
