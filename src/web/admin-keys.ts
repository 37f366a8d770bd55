/** `/api/keys`: the keys with which callers come. A key itself is shown once, where it is made. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import type { KeyInfo, Keys } from '../auth/keys.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { AuditEntry } from '../store/audit.ts'

const word = z.string().min(1).max(limits.keyNameChars)

const request = z.strictObject({
  name: word,
  tenant: word.optional(),
  scopes: z.array(word).max(limits.keyScopes).optional(),
  targets: z.array(word).min(1).max(limits.keyTargets).optional(),
  expires: z.iso.datetime({ offset: true }).optional(),
  sigv4: z.boolean().optional(),
})

interface KeyRoom {
  readonly keys: Pick<Keys, 'create' | 'list' | 'revoke'>
  readonly audit: (entry: AuditEntry) => void
}

export function keyRoutes({ keys, audit }: KeyRoom): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.get('/api/keys', async (c) => c.json({ keys: (await keys.list()).map(shownKey) }))
  app.post('/api/keys', bodyLimit({ maxSize: limits.keyRequestBytes, onError: tooLarge }), async (c) => {
    const asked = request.safeParse(await c.req.json().catch(() => undefined))
    if (!asked.success) throw new GatewayError('invalid_params', { words: wordsOf(asked.error) })
    const { expires, tenant, scopes, targets, sigv4, name } = asked.data
    const { id, key } = await keys.create({
      name,
      ...(tenant === undefined ? {} : { tenant }),
      ...(scopes === undefined ? {} : { scopes }),
      ...(targets === undefined ? {} : { targets }),
      ...(expires === undefined ? {} : { expires: Date.parse(expires) }),
      ...(sigv4 === undefined ? {} : { sigv4 }),
    })
    audit({ act: 'key create', outcome: 'ok', id, name })
    return c.json({ id, key: key.reveal() }, 201, { 'cache-control': 'no-store' })
  })
  app.delete('/api/keys/:id', async (c) => {
    const id = c.req.param('id')
    if (!(await keys.revoke(id))) throw new GatewayError('not_found')
    audit({ act: 'key revoke', outcome: 'ok', id })
    return c.body(null, 204)
  })
  return app
}

const tooLarge = (): never => {
  throw new GatewayError('body_too_large')
}

const wordsOf = (error: z.ZodError): string =>
  error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`).join('; ')

/** Times as people and tools read them. */
export const shownKey = (key: KeyInfo): object => ({
  ...key,
  created: iso(key.created),
  ...(key.expires === undefined ? {} : { expires: iso(key.expires) }),
  ...(key.revoked === undefined ? {} : { revoked: iso(key.revoked) }),
  ...(key.lastUsed === undefined ? {} : { lastUsed: iso(key.lastUsed) }),
})

const iso = (ms: number): string => new Date(ms).toISOString()
