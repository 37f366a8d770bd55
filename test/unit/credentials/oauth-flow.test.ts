/** A user connects an account, the gateway keeps it, and lets go of it. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createConnections, type Connections } from '../../../src/credentials/oauth/connections.ts'
import { createSignIns, type SignIns } from '../../../src/credentials/oauth/flow.ts'
import type { OAuthOptions } from '../../../src/credentials/oauth/room.ts'
import { type OAuthProvider, oauth2 } from '../../../src/credentials/oauth2.ts'
import { ConnectionRequired, sign, type Signed } from '../../../src/credentials/provider.ts'
import type { Principal } from '../../../src/core/model.ts'
import type { Records } from '../../../src/store/records.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../../support/authorization-server.ts'
import {
  callbackUrl,
  createRoom,
  fastClock,
  optionsFor,
  outbound,
  principal,
  target,
  type TestRoom,
} from '../../support/oauth-room.ts'

const resource = 'https://api.example.com/'
const binding = 'a-browser-binding-of-enough-length'
let server: AuthorizationServer
let indicating: AuthorizationServer

beforeAll(async () => {
  server = await startAuthorizationServer({ callbackUrl, credentials: ['cred'] })
  indicating = await startAuthorizationServer({ callbackUrl, credentials: ['cred'], resource })
})
afterAll(async () => {
  await server.close()
  await indicating.close()
})

/** One gateway process. */
interface Process {
  readonly room: TestRoom
  readonly provider: OAuthProvider
  readonly signIns: SignIns
  readonly connections: Connections
}

const options = (given: Partial<OAuthOptions> = {}): OAuthOptions =>
  optionsFor({
    grant: 'authorizationCode',
    discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
    clientSecret: new Secret(server.clientSecret),
    scopes: ['openid', 'email', 'read', 'offline_access'],
    parameters: { authorization: new Map([['prompt', 'consent']]), token: new Map() },
    ...given,
  })

function processOn(room: TestRoom, given: Partial<OAuthOptions> = {}): Process {
  const provider = oauth2(options(given), room)
  const byName = (name: string) => (name === 'cred' ? provider : undefined)
  return { room, provider, signIns: createSignIns(room, byName), connections: createConnections(room, byName) }
}

const rooms: TestRoom[] = []
const open = (beside?: TestRoom, owner = 'process-1'): TestRoom => {
  const room = createRoom({
    allow: [server.address, indicating.address],
    ...(beside === undefined ? {} : { beside }),
    owner,
  })
  rooms.unshift(room)
  return room
}

let room: TestRoom
beforeEach(() => {
  room = open()
  for (const one of [server, indicating]) {
    one.tokenRequests.length = 0
    one.tokenBodies.length = 0
    one.revocations.length = 0
    one.trouble = undefined
    one.accessSeconds = 3_600
    one.rotate = true
  }
  return async () => {
    for (const one of rooms.splice(0)) await one.close()
  }
})

const alice = principal('alice')

async function required(provider: OAuthProvider, who: Principal = alice): Promise<ConnectionRequired> {
  const error: unknown = await Promise.resolve(sign(outbound(), provider, who, target)).catch(
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ConnectionRequired)) throw error
  return error
}

/** Asks, starts, signs in at the server, comes back. */
async function connectAs({ provider, signIns }: Process, who: Principal = alice, at: AuthorizationServer = server) {
  const { pendingId } = await required(provider, who)
  const url = await signIns.start(pendingId, who, binding)
  const back = await at.browse(url)
  return signIns.finish({ query: back.search.slice(1), credential: 'cred', binding })
}

const get = (provider: OAuthProvider, who: Principal = alice): Signed | Promise<Signed> =>
  sign(outbound(), provider, who, target)

describe('a user’s sign-in', () => {
  it('is asked for by a call without a connection, and leads to one that signs the next call', async () => {
    const one = processOn(room)
    const asked = await required(one.provider)
    expect(asked).toMatchObject({
      code: 'connection_required',
      rpc: -32042,
      http: 200,
      credential: 'cred',
      target: 'api',
      scopes: ['openid', 'email', 'read', 'offline_access'],
    })
    expect(asked.pendingId).toMatch(/^[\w-]{43}$/)
    const finished = await connectAs(one)
    expect(finished).toMatchObject({ credential: 'cred', target: 'api', account: 'alice@example.com', missing: [] })
    const signed = await get(one.provider)
    expect(signed.request.headers.get('authorization')).toMatch(/^Bearer /)
    expect(get(one.provider)).not.toBeInstanceOf(Promise)
    expect(server.tokenRequests).toEqual(['authorization_code'])
  })

  it('sends PKCE, state, nonce and the exact redirect URI of the credential', async () => {
    const { provider, signIns } = processOn(room)
    const { pendingId } = await required(provider)
    const url = new URL(await signIns.start(pendingId, alice, binding))
    expect(Object.fromEntries(url.searchParams)).toEqual({
      response_type: 'code',
      client_id: 'gateway',
      redirect_uri: `${callbackUrl}/cred`,
      scope: 'openid email read offline_access',
      state: expect.stringMatching(/^[\w-]{43}$/),
      nonce: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
      prompt: 'consent',
    })
  })

  it('works when beginning, start, callback, waiting and retry reach five processes', async () => {
    const [a, b, c, d, e] = ['1', '2', '3', '4', '5'].map((name) => processOn(open(room, name)))
    if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined) throw new Error()
    const { pendingId } = await required(a.provider)
    const waiting = d.provider.awaitConnection?.(alice, pendingId, 20_000, new AbortController().signal)
    const back = await server.browse(await b.signIns.start(pendingId, alice, binding))
    await c.signIns.finish({ query: back.search.slice(1), credential: 'cred', binding, who: alice })
    expect(await waiting).toBe(true)
    expect((await get(e.provider)).request.headers.get('authorization')).toMatch(/^Bearer /)
    expect(server.tokenRequests).toEqual(['authorization_code'])
  })

  it('is one and the same for calls that come while it is open, and another for another caller', async () => {
    const { provider } = processOn(room)
    const first = await required(provider)
    expect((await required(provider)).pendingId).toBe(first.pendingId)
    expect((await required(provider, principal('bert'))).pendingId).not.toBe(first.pendingId)
    expect((await required(provider, principal('alice', 'other'))).pendingId).not.toBe(first.pendingId)
    expect(room.events.filter(({ act }) => act === 'begin')).toHaveLength(3)
  })

  it('can be asked for though there is a connection, and takes its place', async () => {
    const one = processOn(room)
    await connectAs(one)
    const before = (await get(one.provider)).fingerprint
    const forced = await one.provider.connect?.(alice, target, [])
    const back = await server.browse(await one.signIns.start(forced?.pendingId ?? '', alice, binding))
    await one.signIns.finish({ query: back.search.slice(1), credential: 'cred', binding })
    expect((await get(one.provider)).fingerprint).not.toBe(before)
    expect(await one.connections.listOf(alice)).toHaveLength(1)
  })

  it('works for a public client, with PKCE alone', async () => {
    const { clientSecret: _none, ...rest } = options({ clientId: 'public-client' })
    const provider = oauth2(rest, room)
    const byName = (): OAuthProvider => provider
    const one = { room, provider, signIns: createSignIns(room, byName), connections: createConnections(room, byName) }
    await connectAs(one)
    expect(server.tokenBodies[0]?.get('code_verifier')).toMatch(/^[\w-]{43}$/)
    expect(server.tokenBodies[0]?.get('client_id')).toBe('public-client')
  })

  it('names the resource (RFC 8707) to both endpoints, and takes a token for it', async () => {
    const given = {
      resource,
      discoveryUrl: `${indicating.issuer}/.well-known/oauth-authorization-server`,
      scopes: ['openid', 'read', 'offline_access'],
    }
    const one = processOn(room, given)
    const finished = await connectAs(one, alice, indicating)
    expect(finished.scopes).toContain('read')
    expect(indicating.tokenBodies[0]?.get('resource')).toBe(resource)
  })

  it('waited for in vain is no connection', async () => {
    const { provider, signIns } = processOn(room)
    const { pendingId } = await required(provider)
    const { signal } = new AbortController()
    expect(await provider.awaitConnection?.(alice, pendingId, 1, signal)).toBe(false)
    expect(await provider.awaitConnection?.(principal('bert'), pendingId, 20_000, signal)).toBe(false)
    expect(await provider.awaitConnection?.(alice, 'no-such-pending-sign-in', 20_000, signal)).toBe(false)
    const given = new AbortController()
    const waiting = provider.awaitConnection?.(alice, pendingId, 20_000, given.signal)
    given.abort()
    expect(await waiting).toBe(false)
    expect((await signIns.describe(pendingId))?.state).toBe('open')
  })
})

describe('a connection', () => {
  it('is listed with what it is, and without a token', async () => {
    const one = processOn(room)
    await connectAs(one)
    await connectAs(one, principal('bert'))
    const token = (await get(one.provider)).secrets[0]?.reveal() ?? ''
    const [mine, ...others] = await one.connections.listOf(alice)
    expect(others).toEqual([])
    expect(mine).toEqual({
      id: expect.stringMatching(/^[\w-]+$/),
      tenant: 'default',
      subject: 'alice',
      credential: 'cred',
      state: 'active',
      scopes: ['openid', 'email', 'read', 'offline_access'],
      account: 'alice@example.com',
      createdAt: expect.any(Number),
      updatedAt: expect.any(Number),
      expiresAt: expect.any(Number),
      refreshable: true,
    })
    expect((await one.connections.list('default')).connections.map(({ subject }) => subject).toSorted()).toEqual([
      'alice',
      'bert',
    ])
    expect((await one.connections.list('other')).connections).toEqual([])
    const rows = await room.records.list('', { limit: 100 })
    expect(JSON.stringify(rows)).not.toContain(token)
    expect(rows.map(({ key }) => key).join()).not.toContain('alice')
  })

  it('is refreshed before it ends, with the rotated refresh token each time', async () => {
    const one = processOn(room)
    await connectAs(one)
    const seen = new Set([(await get(one.provider)).fingerprint])
    for (let round = 1; round <= 3; round++) {
      room.ahead.monotonic += 3_600_000
      room.ahead.wall += 3_600_000
      seen.add((await get(one.provider)).fingerprint)
    }
    expect(seen.size).toBe(4)
    expect(server.tokenRequests).toEqual(['authorization_code', 'refresh_token', 'refresh_token', 'refresh_token'])
    expect(room.events.filter(({ act, outcome }) => act === 'refresh' && outcome === 'ok')).toHaveLength(3)
  })

  it('keeps its refresh token when the server gives no other (O18)', async () => {
    server.rotate = false
    const one = processOn(room)
    await connectAs(one)
    for (let round = 1; round <= 2; round++) {
      room.ahead.monotonic += 3_600_000
      room.ahead.wall += 3_600_000
      await get(one.provider)
    }
    const [first, second] = server.tokenBodies.filter((body) => body.get('grant_type') === 'refresh_token')
    expect(second?.get('refresh_token')).toBe(first?.get('refresh_token'))
  })

  it('that the server has ended asks for another sign-in, once and for the same scopes', async () => {
    const one = processOn(room)
    await connectAs(one)
    server.trouble = ({ response }) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
    }
    room.ahead.monotonic += 3_600_000
    room.ahead.wall += 3_600_000
    const asked = await required(one.provider)
    expect(asked.scopes).toEqual(['openid', 'email', 'read', 'offline_access'])
    await required(one.provider)
    expect(server.tokenRequests).toEqual(['authorization_code', 'refresh_token'])
    expect(await one.connections.listOf(alice)).toMatchObject([{ state: 'reconnect' }])
    server.trouble = undefined
    await connectAs(one)
    expect(await one.connections.listOf(alice)).toMatchObject([{ state: 'active' }])
  })

  it('is renewed after a 401, and asked for anew when it cannot be', async () => {
    const one = processOn(room)
    await connectAs(one)
    const { fingerprint = '' } = await get(one.provider)
    room.ahead.monotonic += 61_000
    room.ahead.wall += 61_000
    expect(await one.provider.renew?.(alice, target, fingerprint)).toBe(true)
    const second = await get(one.provider)
    server.trouble = ({ response }) => {
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
    }
    room.ahead.monotonic += 61_000
    room.ahead.wall += 61_000
    await expect(one.provider.renew?.(alice, target, second.fingerprint ?? '')).rejects.toBeInstanceOf(
      ConnectionRequired,
    )
  })

  it('that lacks a scope asks for the union of what it has and what is needed', async () => {
    await connectAs(processOn(room))
    const more = processOn(room, { scopes: ['openid', 'email', 'read', 'write', 'offline_access'] })
    const asked = await required(more.provider)
    expect(asked.scopes.toSorted()).toEqual(['email', 'offline_access', 'openid', 'read', 'write'])
    const fewer = processOn(room, { scopes: ['write'] })
    expect((await required(fewer.provider)).scopes.toSorted()).toEqual([
      'email',
      'offline_access',
      'openid',
      'read',
      'write',
    ])
  })

  it('whose new tokens cannot be stored is used all the same, for they are the only ones there are', async () => {
    const fast = createRoom({ allow: [server.address], beside: room, clock: fastClock(systemClock.now(), 50) })
    rooms.unshift(fast)
    let broken = false
    const records: Records = {
      ...fast.records,
      put: (key, value, how) =>
        broken && key.startsWith('connection/') && !value.includes('"attempts":1')
          ? Promise.reject(new GatewayError('store_unavailable'))
          : fast.records.put(key, value, how),
    }
    const one = processOn({ ...fast, records })
    await connectAs(one)
    const first = (await get(one.provider)).fingerprint
    broken = true
    fast.ahead.monotonic += 3_600_000
    fast.ahead.wall += 3_600_000
    const second = (await get(one.provider)).fingerprint
    expect(second).not.toBe(first)
    fast.ahead.monotonic += 6_000
    expect((await get(one.provider)).fingerprint).toBe(second)
    expect(server.tokenRequests).toEqual(['authorization_code', 'refresh_token'])
    expect(fast.events).toContainEqual(
      expect.objectContaining({ act: 'refresh', outcome: 'unknown', detail: 'not_stored' }),
    )
  })

  it('that is disconnected is gone here, revoked there, and asked for anew', async () => {
    const one = processOn(room)
    await connectAs(one)
    await get(one.provider)
    expect(await one.connections.disconnect(alice, 'cred')).toBe(true)
    expect(await one.connections.disconnect(alice, 'cred')).toBe(false)
    expect(server.revocations).toHaveLength(1)
    await required(one.provider)
    expect(room.events).toContainEqual(expect.objectContaining({ act: 'disconnect', outcome: 'ok', detail: 'revoked' }))
  })

  it('is gone here even when the vendor cannot be told', async () => {
    const one = processOn(room)
    await connectAs(one)
    const id = (await one.connections.listOf(alice))[0]?.id ?? ''
    const away = createRoom({ allow: [], beside: room })
    rooms.unshift(away)
    const other = processOn(away)
    expect(await other.connections.disconnectById('other', id)).toBe(false)
    expect(await other.connections.disconnectById('default', 'nonsense')).toBe(false)
    expect(await other.connections.disconnectById('default', id)).toBe(true)
    expect(away.events).toContainEqual(expect.objectContaining({ act: 'disconnect', detail: 'not_revoked' }))
    expect(await one.connections.listOf(alice)).toEqual([])
  })

  it('that another process has disconnected is used for five seconds at most', async () => {
    const one = processOn(room)
    await connectAs(one)
    await get(one.provider)
    const other = processOn(open(room, 'process-2'))
    await other.connections.disconnect(alice, 'cred')
    room.ahead.monotonic += 5_000
    await required(one.provider)
  })

  it('moved to another user in the store cannot be read (V05)', async () => {
    const one = processOn(room)
    await connectAs(one)
    await connectAs(one, principal('bert'))
    const rows = await room.records.list('connection/', { limit: 10 })
    const [first, second] = rows
    if (first === undefined || second === undefined) throw new Error('two connections were made')
    await room.records.put(first.key, second.value, { expect: first.version })
    const mallory = processOn(open(room, 'process-2'))
    const results = await Promise.allSettled([get(mallory.provider), get(mallory.provider, principal('bert'))])
    expect(results.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { code: 'vault_unreadable' } },
    ])
  })
})
