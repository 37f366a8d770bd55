/** Puts the parts together: the only file that knows every one of them. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { Hono } from 'hono'
import { authenticateNone } from './auth/authenticate.ts'
import type { CallRoom } from './call/call.ts'
import type { Snapshot } from './call/snapshot.ts'
import { createImporter } from './config/importer.ts'
import type { Settings } from './config/load.ts'
import { approveTarget, putTarget, removeTarget } from './config/registrar.ts'
import { Reloader } from './config/reload.ts'
import { SnapshotBuilder } from './config/snapshots.ts'
import { type Clock, sleep } from './core/clock.ts'
import { GatewayError } from './core/errors.ts'
import { limits } from './core/limits.ts'
import type { Log } from './core/log.ts'
import { createEgress } from './egress/fetch.ts'
import { Asks } from './mcp/asks.ts'
import type { McpContext } from './mcp/context.ts'
import { mcpRoutes } from './mcp/endpoint.ts'
import { createGuard, hostsOf, isLoopback } from './mcp/guard.ts'
import { Hub } from './mcp/hub.ts'
import { listFacts } from './mcp/modern.ts'
import { createSeal } from './mcp/seal.ts'
import { createMeter } from './meter/meter.ts'
import { spoolDir } from './meter/spool.ts'
import { startUsageThread } from './meter/usage-thread.ts'
import { credentialKinds } from './registry.ts'
import { privateDir, randomKey, randomToken, secretFile } from './store/files.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { adminRoutes } from './web/admin.ts'
import { healthRoutes } from './web/health.ts'

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
  const seal = createSeal(secretFile(join(settings.dataDir, 'session-key'), randomKey).secret)
  const { currency, pricePer1000, durability } = settings.metering

  const load: CallRoom['load'] = { inFlight: 0 }
  const hub = new Hub()
  let snapshot: Snapshot | undefined
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
  const meter = createMeter({
    dir: spoolDir(settings.dataDir),
    durability,
    clock,
    onFault: (fault) => log.error({ fault: fault.kind, ends: fault.ends, error: fault.error }, 'the usage spool'),
  })
  const usage = startUsageThread({
    dataDir: settings.dataDir,
    currency,
    pricePer1000: pricePer1000.call,
    retentionDays: limits.usageRetentionDays,
    clock,
    onFault: (error) => log.error({ error }, 'usage could not be rolled up'),
    onRollUp: ({ torn }) => {
      if (torn > 0) log.warn({ torn }, 'torn lines at the end of usage segments were left out')
    },
  })

  const admin = await listen(settings.admin.host, settings.admin.port)
  const listener = await listen(settings.listen.host, settings.listen.port)
  const url = urlOf(settings.listen.host, listener.port)
  const adminUrl = urlOf(settings.admin.host, admin.port)

  const importer = createImporter(clock)
  const openEgress = (allow: readonly string[]): ReturnType<typeof createEgress> => createEgress({ allow, clock })
  const ownEgress = openEgress([new URL(adminUrl).host])
  const reloader = new Reloader({
    settings,
    configFile,
    clock,
    log,
    openEgress,
    builder: new SnapshotBuilder({
      importer,
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
      listFacts: (name) => listFacts(name, version),
    }),
    onSwap(now, before) {
      snapshot = now
      const changed = now.views.filter((view) => now.catalogue(view)?.version !== before?.catalogue(view)?.version)
      if (before !== undefined && changed.length > 0) hub.changed(new Set(changed))
    },
  })
  await reloader.start()

  const context: McpContext = {
    room: { meter, metrics, clock, load },
    current,
    authenticate: authenticateNone,
    guard: createGuard({
      hosts: [
        ...hostsOf(settings.listen.host, listener.port, settings.publicUrl ?? url),
        ...settings.listen.allowedHosts,
      ],
      origins: settings.listen.allowedOrigins,
      loopbackOrigins: isLoopback(settings.listen.host),
    }),
    hub,
    asks: new Asks(clock),
    seal,
    clock,
    log,
    version,
    draining: () => draining,
  }
  const health = healthRoutes({
    troubles: () => [...(draining ? ['shutting down'] : []), ...(meter.healthy ? [] : ['calls cannot be recorded'])],
  })
  const alone = oneByOne()
  const registrar = { settings: () => reloader.settings, importer, egress: () => reloader.egress }
  const publicApp = new Hono<{ Bindings: HttpBindings }>()
    .route('/', health)
    .route('/', mcpRoutes(context))
    .notFound((c) => c.json({ error: 'There is nothing here.' }, 404))
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
      usage,
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
      await reloader.close()
      await ownEgress.close()
      await meter.close()
      await usage.close()
    },
  }
}

/** Without a check of who calls, only this machine may. */
function checkInbound({ inbound, listen }: Settings): void {
  if (inbound.type === 'none' && !isLoopback(listen.host))
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

const urlOf = (host: string, port: number): string => {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}

interface Listener {
  readonly server: Server
  readonly port: number
  serve(app: Hono<{ Bindings: HttpBindings }>): void
  /** Whether an answer, or part of one, has not been taken by its reader yet. */
  isSending(): boolean
}

/** Listens before there is anything to serve, since the parts want to know the port; until then the answer is 503. */
async function listen(host: string, port: number): Promise<Listener> {
  let serving: Hono<{ Bindings: HttpBindings }> | undefined
  const server = createAdaptorServer({
    fetch(request, env) {
      // Only the origin form of a request target is taken (RFC 9112 §3.2.1): the host comes from one place.
      if (env.incoming.url?.startsWith('/') !== true) return new Response(null, { status: 400 })
      return serving === undefined ? new Response(null, { status: 503 }) : serving.fetch(request, env)
    },
    overrideGlobalObjects: false,
    serverOptions: {
      maxHeaderSize: limits.requestHeaderBytes,
      headersTimeout: limits.requestHeadersMs,
      requestTimeout: limits.requestBodyMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 1_000,
    },
  }) as Server
  server.maxConnections = limits.connectionsOpen
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new GatewayError('bad_config', { words: `Nothing can listen on ${host}:${port}. Is it in use?`, cause })),
    )
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return {
    server,
    port: typeof address === 'object' && address !== null ? address.port : port,
    serve(app) {
      serving = app
    },
    isSending: () => [...sockets].some((socket) => socket.writableLength > 0),
  }
}

/**
 * Waits until no call is under way and every answer has gone out to its end, at most `limits.drainMs`. Meanwhile the
 * listeners still answer: readiness with 503, new requests with a refusal.
 */
async function drain(listeners: readonly Listener[], load: CallRoom['load'], clock: Clock): Promise<void> {
  const until = clock.monotonic() + limits.drainMs
  // An answer is on its way for a moment between the end of its call and its first byte: quiet twice is quiet.
  for (let quiet = 0; quiet < 2 && clock.monotonic() < until; ) {
    await sleep(clock, limits.drainStepMs)
    quiet = load.inFlight === 0 && listeners.every((listener) => !listener.isSending()) ? quiet + 1 : 0
  }
  await Promise.all(
    listeners.map(
      ({ server }) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    ),
  )
}
