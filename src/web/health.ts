/** Whether the process lives, and whether it can serve. Neither tells anything else, so neither wants a token. */
import { Hono } from 'hono'

export interface Health {
  /** What keeps the gateway from serving; empty when nothing does. */
  troubles(): Promise<readonly string[]>
}

export function healthRoutes(health: Health): Hono {
  const app = new Hono()
  app.get('/healthz', (c) => c.json({ status: 'alive' }))
  app.get('/readyz', async (c) => {
    const troubles = await health.troubles()
    return troubles.length === 0 ? c.json({ status: 'ready' }) : c.json({ status: 'not ready', troubles }, 503)
  })
  return app
}
