/** Puts the parts together: the only file that knows every one of them. */
import { join } from 'node:path'
import type { HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { principalKey } from './auth/authenticate.ts'
import type { CallRoom } from './call/metered.ts'
import { createThrottle, type LimitRule } from './call/throttle.ts'
import type { Snapshot } from './call/snapshot.ts'
import { createImporter } from './config/importer.ts'
import { inboundsOf, type Settings } from './config/load.ts'
import { approveTarget, putTarget, removeTarget } from './config/registrar.ts'
import { Reloader } from './config/reload.ts'
import { SnapshotBuilder } from './config/snapshots.ts'
import { type Clock, sleep } from './core/clock.ts'
import { GatewayError } from './core/errors.ts'
import { limits } from './core/limits.ts'
import type { Log } from './core/log.ts'
import type { CredentialProvider } from './credentials/provider.ts'
import { createEgress } from './egress/fetch.ts'
import { drain, listen } from './gateway/listen.ts'
import { createInbound, type Inbounds } from './gateway/inbound.ts'
import { openMetering } from './gateway/metering.ts'
import { createPages, type Pages } from './gateway/pages.ts'
import { type Broker, openState } from './gateway/state.ts'
import { Asks } from './mcp/asks.ts'
import type { McpContext } from './mcp/context.ts'
import { mcpRoutes } from './mcp/endpoint.ts'
import { createGuard, hostsOf, isLoopback } from './mcp/guard.ts'
import { Hub } from './mcp/hub.ts'
import { listFacts } from './mcp/modern.ts'
import { createSeal } from './mcp/seal.ts'
import { credentialKinds } from './registry.ts'
import { privateDir, randomKey, randomToken, secretFile } from './store/files.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { createUpstreams } from './transports/mcp/upstreams.ts'
import { adminRoutes } from './web/admin.ts'
import { healthRoutes } from './web/health.ts'
import { metadataRoutes } from './web/metadata.ts'

export interface Gateway {
  /** Where the two listeners are, for example `http://127.0.0.1:8080`. */
  readonly url: string
  readonly adminUrl: string
  /** Path of the file with the admin token when it was made by us. */
  readonly adminTokenFile: string | undefined
  current(): Snapshot
  /** Takes nothing new, lets calls finish within `limits.drainMs`, and writes everything out. */
  close(): Promise<void>
}

/** What takes effect with a snapshot. */
interface Served {
  readonly providers: ReadonlyMap<string, CredentialProvider>
  readonly broker: Broker
  readonly inbound: Inbounds
  readonly pages: Pages
}

export interface GatewayOptions {
  readonly settings: Settings
  readonly configFile: string | undefined
  readonly clock: Clock
  readonly log: Log
  /** The program’s own version, `serverInfo.version`. */
  readonly version: string
}

export async function startGateway({ settings, configFile, clock, log, version }: GatewayOptions): Promise<Gateway> {
  checkInbound(settings)
  privateDir(settings.dataDir)
  const tokenFile = join(settings.dataDir, 'admin-token')
  const adminToken = settings.adminToken ?? secretFile(tokenFile, randomToken).secret
  const sessionKey = secretFile(join(settings.dataDir, 'session-key'), randomKey).secret
  const seal = createSeal(sessionKey)

  const load: CallRoom['load'] = { inFlight: 0, waiting: new Map() }
  const hub = new Hub()
  let snapshot: Snapshot | undefined
  let served: Served | undefined
  let draining = false
  const current = (): Snapshot => {
    if (snapshot === undefined) throw new GatewayError('draining')
    return snapshot
  }
  const count = (status: string): number => snapshot?.targets.filter((target) => target.status === status).length ?? 0
  const metrics = createMetrics({
    callsInFlight: () => load.inFlight,
    streamsOpen: () => hub.size,
    snapshotNumber: () => snapshot?.number ?? 0,
    targets: () => ({ ready: count('READY'), failed: count('FAILED') }),
  })
  const admin = await listen(settings.admin.host, settings.admin.port)
  const listener = await listen(settings.listen.host, settings.listen.port)
  const url = urlOf(settings.listen.host, listener.port)
  const adminUrl = urlOf(settings.admin.host, admin.port)

  const publicUrl = (settings.publicUrl ?? url).replace(/\/+$/, '')
  const state = openState({ settings, clock, log, publicUrl })
  const metering = await openMetering({
    settings,
    records: state.records,
    metrics,
    clock,
    log,
    egress: () => reloader.egress,
  })
  const { meter, usage, quotas, billed } = metering
  const importer = createImporter(clock)
  const openEgress = (allow: readonly string[]): ReturnType<typeof createEgress> => createEgress({ allow, clock })
  const ownEgress = openEgress([new URL(adminUrl).host])
  const guard = createGuard({
    hosts: [...hostsOf(settings.listen.host, listener.port, publicUrl), ...settings.listen.allowedHosts],
    origins: settings.listen.allowedOrigins,
    loopbackOrigins: isLoopback(settings.listen.host),
  })
  const upstreams = createUpstreams({
    clock,
    log,
    version,
    onChanged: () => void reloader.reload(),
    onUpdated: (_target, uri, caller) => hub.updated(principalKey(caller), uri),
  })
  const reloader: Reloader<Served> = new Reloader<Served>({
    settings,
    configFile,
    clock,
    log,
    openEgress,
    builder: new SnapshotBuilder({
      importer,
      upstreams,
      clock,
      log,
      own: {
        server: adminUrl,
        credential: credentialKinds.apiKey({
          in: 'header',
          name: 'Authorization',
          prefix: 'Bearer',
          value: adminToken,
        }),
        egress: ownEgress,
      },
      throttle: lastOf((rules: readonly LimitRule[]) => createThrottle(rules, clock)),
      listFacts: (name) => listFacts(name, version),
    }),
    prepare(now, egress, before): Served {
      checkInbound(now)
      const broker = state.broker(now, before?.broker)
      const inbound = createInbound({ settings: now, egress, clock, log, publicUrl, keys: state.keys }, before?.inbound)
      const room = {
        settings: now,
        state,
        broker,
        inbound,
        egress,
        publicUrl,
        guard,
        seal,
        key: sessionKey,
        clock,
        log,
      }
      return { providers: broker.providers.all, broker, inbound, pages: createPages(room, before?.pages) }
    },
    onSwap(now, before, parts) {
      const old = served
      snapshot = now
      served = parts
      metering.configure(reloader.settings)
      // Calls that began on the settings before may still have tokens to renew.
      if (old !== undefined && old.broker !== parts.broker)
        void sleep(clock, limits.targetTimeoutMsMax).then(() => old.broker.close())
      const changed = now.views.filter(
        (view) =>
          now.accessVersion !== before?.accessVersion ||
          now.catalogue(view)?.version !== before.catalogue(view)?.version,
      )
      if (before === undefined) return
      if (changed.length > 0) hub.changed('tools', new Set(changed))
      const views = new Set(now.views)
      if (now.offers.promptsVersion !== before.offers.promptsVersion) hub.changed('prompts', views)
      if (now.offers.resourcesVersion !== before.offers.resourcesVersion) hub.changed('resources', views)
    },
  })
  await reloader.start()

  const context: McpContext = {
    room: { meter, metrics, clock, load, quotas, billed },
    current,
    authenticate: (exchange) => reloader.parts.inbound.authenticate(exchange),
    guard,
    connectLink: (pendingId, caller) => reloader.parts.pages.link(pendingId, caller),
    hub,
    costOf: metering.costOf,
    asks: new Asks(clock),
    seal,
    clock,
    log,
    version,
    draining: () => draining,
  }
  const health = healthRoutes({
    troubles: async () => [
      ...(draining ? ['shutting down'] : []),
      ...(meter.healthy ? [] : ['calls cannot be recorded']),
      ...(await state.records.changes().then(
        () => [],
        () => ['what the gateway keeps cannot be read'],
      )),
    ],
  })
  const alone = oneByOne()
  const registrar = { settings: () => reloader.settings, importer, egress: () => reloader.egress }
  const publicApp = new Hono<{ Bindings: HttpBindings }>()
    .route('/', health)
    .route('/', metadataRoutes({ guard, describe: (path) => reloader.parts.inbound.describe(path) }))
    .route('/', mcpRoutes(context))
    // The pages are others with other settings, so they are looked for when they are asked for.
    .all('*', async (c) => {
      const answer = await reloader.parts.pages.app.fetch(c.req.raw, c.env)
      return answer.status === 404 && answer.headers.get('content-type')?.startsWith('text/html') !== true
        ? c.json({ error: 'There is nothing here.' }, 404)
        : answer
    })
  const adminApp = new Hono<{ Bindings: HttpBindings }>().route('/', health).route(
    '/',
    adminRoutes({
      token: adminToken,
      guard: createGuard({
        hosts: hostsOf(settings.admin.host, admin.port, adminUrl),
        origins: [],
        loopbackOrigins: false,
      }),
      registrar: {
        put: (name, description, options) =>
          alone(async () => {
            await putTarget(registrar, name, description, options)
            await reloader.reload(name)
          }),
        remove: (name) =>
          alone(async () => {
            await removeTarget(registrar, name)
            await reloader.reload(name)
          }),
        approve: (name, version) =>
          alone(async () => {
            await approveTarget(reloader.settings, current().targets, name, version)
            await reloader.reload(name)
          }),
      },
      keys: state.keys,
      audit: state.audit,
      connections: () => reloader.parts.broker.connections,
      usage,
      quotas,
      currency: settings.metering.currency,
      metrics,
      log,
      clock,
      current,
    }),
  )

  listener.serve(publicApp)
  admin.serve(adminApp)

  return {
    url,
    adminUrl,
    adminTokenFile: settings.adminToken === undefined ? tokenFile : undefined,
    current,
    async close() {
      draining = true
      hub.close()
      await drain([listener, admin], load, clock)
      await upstreams.close()
      await reloader.close()
      await served?.broker.close()
      await metering.close()
      await state.close()
      await ownEgress.close()
    },
  }
}

/** Without a check of who calls, only this machine may. */
function checkInbound(settings: Settings): void {
  if (inboundsOf(settings).length === 0 && !isLoopback(settings.listen.host))
    throw new GatewayError('bad_config', {
      words:
        'The configuration is wrong:\n- inbound.type: `none` is only for a loopback listen.host, since anyone could call',
    })
}

/** One after the other: each reads what the one before it wrote. */
function oneByOne(): (act: () => Promise<void>) => Promise<void> {
  let last: Promise<void> = Promise.resolve()
  return (act) => {
    const next = last.then(act)
    last = next.catch(() => undefined)
    return next
  }
}

/** What was made last, made again only for another value. */
function lastOf<V, T>(make: (value: V) => T): (value: V) => T {
  let last: { readonly key: string; readonly made: T } | undefined
  return (value) => {
    const key = JSON.stringify(value)
    if (last?.key !== key) last = { key, made: make(value) }
    return last.made
  }
}

const urlOf = (host: string, port: number): string => {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
