/** The pages that browsers see, by the settings in force: connecting accounts, and standing in for an identity provider. */
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { anonymous } from '../auth/authenticate.ts'
import { resourceAliases } from '../auth/challenge.ts'
import { inboundsOf, type Settings } from '../config/load.ts'
import type { JwtConfig } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import type { Principal } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import { confirmationCode, createConfirmations } from '../credentials/oauth/confirmation.ts'
import type { Egress } from '../egress/fetch.ts'
import type { Guard } from '../mcp/guard.ts'
import type { Seal } from '../mcp/seal.ts'
import { randomToken } from '../store/files.ts'
import { createIdentity } from '../web/connect/identity.ts'
import { needsCode } from '../web/connect/proof.ts'
import type { Callers } from '../web/connect/room.ts'
import { connectRoutes } from '../web/connect/routes.ts'
import { facadeRoutes } from '../web/facade/routes.ts'
import type { Inbounds } from './inbound.ts'
import type { Broker, State } from './state.ts'

export interface PagesRoom {
  readonly settings: Settings
  readonly state: State
  readonly broker: Broker
  readonly inbound: Inbounds
  readonly egress: Egress
  readonly publicUrl: string
  readonly guard: Guard
  readonly seal: Seal
  /** Makes the codes of sign-ins. */
  readonly key: Secret
  readonly clock: Clock
  readonly log: Log
}

export interface Pages {
  /** Tells it from one of other settings. */
  readonly key: string
  readonly app: Hono<{ Bindings: HttpBindings }>
  /** Where a caller connects an account, and the code to enter there if the page cannot know the caller otherwise. */
  link(pendingId: string, caller: Principal): { readonly url: string; readonly code?: string }
}

/** `before` itself where nothing that it is made of changed. */
export function createPages(room: PagesRoom, before: Pages | undefined): Pages {
  const { settings, state, broker, inbound, publicUrl, key, clock, log, seal, guard } = room
  const made = JSON.stringify([settings.name, broker.key, inbound.key, settings.secretsVersion])
  if (before?.key === made) return before
  const oauth = broker.room
  const callers = callersOf(room)
  const app = new Hono<{ Bindings: HttpBindings }>().route(
    '/',
    connectRoutes({
      name: settings.name,
      publicUrl,
      signIns: broker.signIns,
      connections: broker.connections,
      credentials: broker.credential,
      confirmations: createConfirmations(oauth, key),
      callers: () => callers,
      nameOf: async ({ subject }) =>
        subject.startsWith('key|')
          ? (await state.keys.list()).find(({ id }) => subject === `key|${id}`)?.name
          : undefined,
      records: state.records,
      seal,
      guard,
      clock,
      random: randomToken,
      audit: oauth.audit,
      log,
    }),
  )
  const behind = facadeOf(room)
  if (behind !== undefined) app.route('/', behind)
  return {
    key: made,
    app,
    link: (pendingId, caller) => ({
      url: `${publicUrl}/connect/${pendingId}`,
      ...(needsCode(callers, caller) ? { code: confirmationCode(key, pendingId) } : {}),
    }),
  }
}

const jwtWays = (settings: Settings): readonly JwtConfig[] => inboundsOf(settings).filter((way) => way.type === 'jwt')

/** The gateway's own client at a provider, where the configuration gives it one. */
function clientOf(settings: Settings, way: JwtConfig): { clientId: string; clientSecret?: Secret } | undefined {
  const clientSecret = settings.inboundSecrets.get(way.discoveryUrl)
  if (way.clientId === undefined) return undefined
  return { clientId: way.clientId, ...(clientSecret === undefined ? {} : { clientSecret }) }
}

function callersOf({ settings, broker, publicUrl }: PagesRoom): Callers {
  const ways = inboundsOf(settings)
  const identities = jwtWays(settings).flatMap((way) => {
    const client = clientOf(settings, way)
    if (client === undefined) return []
    const options = {
      discoveryUrl: way.discoveryUrl,
      ...client,
      scopes: way.scopes.filter((scope) => scope === 'profile' || scope === 'email'),
      ...(way.principalClaim === undefined ? {} : { principalClaim: way.principalClaim }),
      ...(way.tenant === undefined ? {} : { tenant: way.tenant }),
      ...(way.tenantClaim === undefined ? {} : { tenantClaim: way.tenantClaim }),
    }
    return [createIdentity(options, broker.room, publicUrl)]
  })
  return { everyone: ways.length === 0 ? anonymous : undefined, identities }
}

function facadeOf(room: PagesRoom): Hono<{ Bindings: HttpBindings }> | undefined {
  const { settings, state, inbound, publicUrl, egress, clock, guard, seal, log } = room
  const way = jwtWays(settings).find(({ facade }) => facade)
  const client = way === undefined ? undefined : clientOf(settings, way)
  const check = way === undefined ? undefined : inbound.checkOf(way)
  if (way === undefined || client === undefined || check === undefined) return undefined
  return facadeRoutes({
    publicUrl,
    name: settings.name,
    provider: {
      discoveryUrl: way.discoveryUrl,
      ...client,
      scopes: way.scopes.length > 0 ? way.scopes : ['openid', ...way.allowedScopes],
    },
    check: (token) => check.check(token),
    aliases: () => resourceAliases(publicUrl, Object.keys(settings.views)),
    records: state.records,
    vault: state.vault,
    seal,
    egress,
    clock,
    guard,
    random: randomToken,
    log,
    note: ({ at: _at, ...event }) => state.audit({ ...event }),
  })
}
