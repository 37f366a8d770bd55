/** The pages for users’ browsers on a loopback server, with the real store, vault and way out behind them. */
import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import type { Server } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import type { Log } from '../../src/core/log.ts'
import { Secret } from '../../src/core/secret.ts'
import { createConfirmations } from '../../src/credentials/oauth/confirmation.ts'
import { type Connections, createConnections, type CredentialsByName } from '../../src/credentials/oauth/connections.ts'
import { createSignIns } from '../../src/credentials/oauth/flow.ts'
import type { OAuthOptions, OAuthRoom } from '../../src/credentials/oauth/room.ts'
import { type OAuthProvider, oauth2 } from '../../src/credentials/oauth2.ts'
import { createGuard } from '../../src/mcp/guard.ts'
import { createSeal } from '../../src/mcp/seal.ts'
import type { Callers, ConnectRoom } from '../../src/web/connect/room.ts'
import { connectRoutes } from '../../src/web/connect/routes.ts'
import type { TestRoom } from './oauth-room.ts'

export const sealKey = new Secret(randomBytes(32).toString('base64'))
export const codeKey = new Secret(randomBytes(32).toString('base64'))

/** What was logged, whole. */
export const logged: unknown[] = []
const log = new Proxy({} as Log, {
  get:
    () =>
    (...said: unknown[]) =>
      void logged.push(said),
})

export interface Pages {
  /** Where the server listens. */
  readonly url: string
  readonly publicUrl: string
  readonly room: OAuthRoom
  readonly connections: Connections
  provider(name: string): OAuthProvider
  callers: Callers
  close(): Promise<void>
}

interface PagesOptions {
  readonly room: TestRoom
  readonly credentials: readonly OAuthOptions[]
  /** `http://127.0.0.1:…` unless given. */
  readonly publicUrl?: string
  readonly callers?: Callers
  readonly port?: number
}

export async function startPages({
  room: base,
  credentials,
  callers,
  port = 0,
  ...given
}: PagesOptions): Promise<Pages> {
  let app = new Hono()
  const server = createAdaptorServer({
    fetch: (request, env) => app.fetch(request, env),
    overrideGlobalObjects: false,
  }) as Server
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const host = `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const url = `http://${host}`
  const publicUrl = given.publicUrl ?? url
  const room: OAuthRoom = { ...base, callbackUrl: `${publicUrl}/connect/callback` }
  const providers = new Map(credentials.map((options) => [options.name, oauth2(options, room)]))
  const byName: CredentialsByName = (name) => providers.get(name)
  const connections = createConnections(room, byName)
  const pages: Pages = {
    url,
    publicUrl,
    room,
    connections,
    callers: callers ?? { everyone: undefined, identities: [] },
    provider(name) {
      const found = providers.get(name)
      if (found === undefined) throw new Error(`no credential ${name}`)
      return found
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  const connectRoom: ConnectRoom = {
    name: 'toolgate',
    publicUrl,
    signIns: createSignIns(room, byName),
    connections,
    credentials: byName,
    confirmations: createConfirmations(room, codeKey),
    callers: () => pages.callers,
    nameOf: (owner) => (owner.subject === 'key|named' ? 'the laptop of Alice' : undefined),
    records: room.records,
    seal: createSeal(sealKey),
    guard: createGuard({ hosts: [host, new URL(publicUrl).host], origins: [], loopbackOrigins: true }),
    clock: room.clock,
    random: room.random,
    audit: room.audit,
    log,
  }
  app = new Hono().route('/', connectRoutes(connectRoom)) as Hono
  return pages
}
