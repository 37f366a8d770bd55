/** The operator's API, on its own listener with its own token: targets, tools, usage, metrics. */
import type { HttpBindings } from '@hono/node-server'
import type { Context, MiddlewareHandler } from 'hono'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { Keys } from '../auth/keys.ts'
import type { Snapshot, TargetStatus } from '../call/snapshot.ts'
import type { Clock } from '../core/clock.ts'
import type { Connections } from '../credentials/oauth/connections.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { Secret } from '../core/secret.ts'
import { timesIn } from '../mcp/exchange.ts'
import type { Guard } from '../mcp/guard.ts'
import type { Quotas } from '../meter/quota.ts'
import type { Usage } from '../meter/usage.ts'
import { connectionRoutes } from './admin-connections.ts'
import { keyRoutes } from './admin-keys.ts'
import { quotaRoutes } from './admin-quotas.ts'
import type { AuditEntry } from '../store/audit.ts'
import type { Metrics } from '../telemetry/metrics.ts'

/** Registering and removing targets, as the admin API and the command line do it. */
interface Registrar {
  /** Rejects with `bad_description`, `over_limit`, `egress_refused`, `bad_config`, `conflict`. */
  put(
    name: string,
    description: Uint8Array | { readonly url: string },
    options: { readonly credential?: string; readonly server?: string },
  ): Promise<void>
  /** Rejects with `not_found` or `conflict`. */
  remove(name: string): Promise<void>
  /** Takes what is held of a pinned target into force. Rejects with `not_found` or `conflict`. */
  approve(name: string, version: string | undefined): Promise<void>
}

export interface AdminRoom {
  readonly token: Secret
  readonly guard: Guard
  readonly registrar: Registrar
  readonly keys: Pick<Keys, 'create' | 'list' | 'revoke'>
  readonly connections: () => Pick<Connections, 'list' | 'disconnectById'>
  readonly audit: (entry: AuditEntry) => void
  readonly usage: Usage
  readonly quotas: Pick<Quotas, 'state'>
  readonly currency: string
  readonly metrics: Metrics
  readonly log: Log
  readonly clock: Clock
  current(): Snapshot
}

export function adminRoutes(room: AdminRoom): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.use(guarded(room))
  app.get('/metrics', async (c) => c.body(await room.metrics.text(), 200, { 'content-type': room.metrics.contentType }))
  app.get('/api/targets', (c) => c.json(targets(room.current())))
  app.get('/api/targets/:name', (c) => c.json(shown(find(room.current(), c.req.param('name')))))
  app.put('/api/targets/:name', bodyLimit({ maxSize: limits.adminBodyBytes, onError: tooLarge }), async (c) => {
    const name = c.req.param('name')
    const known = room.current().targets.some((target) => target.name === name)
    await room.registrar.put(name, await description(c), putOptions(c))
    room.log.info({ target: name }, 'target registered')
    return c.json(shown(find(room.current(), name)), known ? 200 : 201)
  })
  app.delete('/api/targets/:name', async (c) => {
    await room.registrar.remove(c.req.param('name'))
    room.log.info({ target: c.req.param('name') }, 'target removed')
    return c.body(null, 204)
  })
  app.post('/api/targets/:name/approval', async (c) => {
    await room.registrar.approve(c.req.param('name'), c.req.query('version'))
    room.audit({ act: 'target approve', outcome: 'ok', target: c.req.param('name') })
    return c.json(shown(find(room.current(), c.req.param('name'))))
  })
  app.get('/api/tools', (c) => c.json(tools(room.current(), c.req.query('target'))))
  app.route('/', keyRoutes(room))
  app.route('/', connectionRoutes(room))
  app.route('/', quotaRoutes(room))
  app.get('/api/usage', async (c) => {
    const { by = '', percentiles, ...asked } = queryOf(c, [...usageWords, 'by', 'percentiles'])
    if (percentiles !== undefined && percentiles !== 'true' && percentiles !== 'false')
      throw new GatewayError('invalid_params', { words: '"percentiles" is true or false.' })
    const groups = by === '' ? [] : by.split(',')
    return c.json(await room.usage.answer({ ...asked, by: groups, percentiles: percentiles === 'true' }))
  })
  app.get('/api/usage/invoice', async (c) => {
    const { month, tenant } = queryOf(c, ['month', 'tenant'])
    return c.json(await room.usage.invoice({ month, tenant }))
  })
  app.notFound((c) => refuse(c, new GatewayError('not_found')))
  app.onError((thrown, c) => {
    const error = toGatewayError(thrown)
    if (error.code === 'internal')
      room.log.error({ error: error.cause ?? error, route: c.req.routePath }, 'internal failure')
    return refuse(c, error)
  })
  return app
}

/**
 * Every route, known or not, wants the right host and the token; a bearer token, so no page can ride on a cookie. Wrong
 * ones are counted, and past `limits.wrongTokens` told to come back later; the right one is served all the while.
 */
const guarded = (room: AdminRoom): MiddlewareHandler<{ Bindings: HttpBindings }> => {
  let wrong = 0
  let since = room.clock.monotonic()
  return async (c, next) => {
    room.guard.check({
      header: (name) => c.req.header(name),
      times: (name) => timesIn(c.env.incoming.rawHeaders, name),
    })
    const token = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(c.req.header('authorization') ?? '')?.[1]
    if (token === undefined || !room.token.equals(token)) {
      const now = room.clock.monotonic()
      if (now - since > limits.wrongTokensMs) {
        wrong = 0
        since = now
      }
      if (++wrong > limits.wrongTokens) {
        c.header('retry-after', String(Math.ceil(limits.wrongTokensMs / 1_000)))
        return refuse(c, new GatewayError('rate_limited'))
      }
      c.header('www-authenticate', 'Bearer')
      return refuse(c, new GatewayError('unauthenticated'))
    }
    return next()
  }
}

const refuse = (c: Context, error: GatewayError): Response =>
  c.json(
    { error: { code: error.code, message: error.message } },
    error.code === 'cancelled' ? 500 : (error.http as 400),
  )

const usageWords = ['from', 'to', 'tenant', 'target', 'tool', 'principal', 'client'] as const

/** Those members of the query that are known, as far as they are given. */
const queryOf = <Name extends string>(c: Context, names: readonly Name[]): { readonly [name in Name]?: string } => {
  const given: { [name in Name]?: string } = {}
  for (const name of names) {
    const value = c.req.query(name)
    if (value !== undefined) given[name] = value
  }
  return given
}

const tooLarge = (c: Context): Response => refuse(c, new GatewayError('body_too_large'))

const targets = (snapshot: Snapshot): object => ({
  snapshot: snapshot.number,
  ...(snapshot.configError === undefined ? {} : { configError: snapshot.configError }),
  targets: snapshot.targets.map(shown),
})

function find(snapshot: Snapshot, name: string): TargetStatus {
  const target = snapshot.targets.find((status) => status.name === name)
  if (target === undefined) throw new GatewayError('not_found')
  return target
}

/** A target without the places in its description; `toolgate check` tells those. */
function shown({ issues, ...status }: TargetStatus): object {
  return { ...status, warnings: issues.length, firstWarnings: issues.slice(0, 5).map(({ message }) => message) }
}

function tools(snapshot: Snapshot, target: string | undefined): object {
  const all = snapshot.catalogue('')?.tools ?? []
  return {
    tools: all
      .filter((tool) => target === undefined || tool.target.name === target)
      .map((tool) => ({
        name: tool.name,
        target: tool.target.name,
        operation: tool.operation.label,
        effect: tool.operation.effect,
        definitionBytes: tool.definition.byteLength,
      })),
  }
}

async function description(c: Context): Promise<Uint8Array | { readonly url: string }> {
  const bytes = new Uint8Array(await c.req.arrayBuffer())
  if (bytes.byteLength > 4_096) return bytes
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (
      typeof value === 'object' &&
      value !== null &&
      Object.keys(value).length === 1 &&
      'url' in value &&
      typeof value.url === 'string'
    )
      return { url: value.url }
  } catch {
    // YAML, or broken: the import tells
  }
  return bytes
}

function putOptions(c: Context): { credential?: string; server?: string } {
  const credential = c.req.query('credential')
  const server = c.req.query('server')
  return { ...(credential === undefined ? {} : { credential }), ...(server === undefined ? {} : { server }) }
}
