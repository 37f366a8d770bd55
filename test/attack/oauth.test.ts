/**
 * Authorization servers, browsers and users that do not play by the rules (rows O01 to O24 of the threat model, as far
 * as they can be seen without a page). No row leaves a connection behind, sends a secret where it must not go, or says
 * what it was told.
 */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Json, Principal } from '../../src/core/model.ts'
import { Secret } from '../../src/core/secret.ts'
import { createConnections } from '../../src/credentials/oauth/connections.ts'
import { createSignIns, type SignIns } from '../../src/credentials/oauth/flow.ts'
import type { OAuthOptions } from '../../src/credentials/oauth/room.ts'
import { type OAuthProvider, oauth2 } from '../../src/credentials/oauth2.ts'
import { ConnectionRequired, sign } from '../../src/credentials/provider.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import {
  callbackUrl,
  createRoom,
  optionsFor,
  outbound,
  principal,
  target,
  type TestRoom,
} from '../support/oauth-room.ts'

const canaries = {
  clientSecret: 'canary-client-secret-51d0',
  access: 'canary-access-7be2',
  refresh: 'canary-refresh-90aa',
  code: 'canary-code-c3f1',
} as const
const binding = 'the-browser-of-alice-and-nobody-else'
const alice = principal('alice')
const bert = principal('bert')

/** A server that says what it is told to. */
interface Hostile {
  readonly origin: string
  readonly address: string
  metadata: { [name: string]: Json }
  /** Answers the token endpoint. */
  token: (response: ServerResponse, form: URLSearchParams) => void
  readonly asked: URLSearchParams[]
  readonly revoked: URLSearchParams[]
  close(): Promise<void>
}

const json = (response: ServerResponse, body: Json, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function startHostile(): Promise<Hostile> {
  const http = createServer((request, response) => {
    void (async () => {
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece as Buffer)
      if (request.url?.startsWith('/.well-known/') === true) return json(response, hostile.metadata)
      const form = new URLSearchParams(Buffer.concat(pieces).toString())
      if (request.url === '/revoke') {
        hostile.revoked.push(form)
        return json(response, {})
      }
      hostile.asked.push(form)
      hostile.token(response, form)
    })()
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  const origin = `http://127.0.0.1:${port}`
  const hostile: Hostile = {
    origin,
    address: `127.0.0.1:${port}`,
    metadata: {},
    token: () => undefined,
    asked: [],
    revoked: [],
    async close() {
      http.closeAllConnections()
      http.close()
      await once(http, 'close')
    },
  }
  return hostile
}

const goodTokens = {
  access_token: canaries.access,
  token_type: 'Bearer',
  expires_in: 3_600,
  refresh_token: canaries.refresh,
}

let hostile: Hostile
let honest: AuthorizationServer
let room: TestRoom
const thrown: unknown[] = []

beforeAll(async () => {
  hostile = await startHostile()
  honest = await startAuthorizationServer({ callbackUrl, credentials: ['cred', 'other'] })
})
afterAll(async () => {
  await hostile.close()
  await honest.close()
})

beforeEach(() => {
  room = createRoom({ allow: [hostile.address, honest.address] })
  hostile.metadata = {
    issuer: hostile.origin,
    authorization_endpoint: `${hostile.origin}/authorize`,
    token_endpoint: `${hostile.origin}/token`,
    code_challenge_methods_supported: ['S256'],
    authorization_response_iss_parameter_supported: true,
  }
  hostile.token = (response) => json(response, goodTokens)
  hostile.asked.length = 0
  hostile.revoked.length = 0
  thrown.length = 0
  return () => room.close()
})

/** Whatever happened: nothing that was said by the server or kept for it is told to anybody. */
afterEach(async () => {
  const told = inspect([thrown, room.events], { depth: 10, showHidden: true }) + JSON.stringify(room.events)
  const kept = JSON.stringify(await room.records.list('', { limit: 200 }))
  for (const canary of [...Object.values(canaries), '<script>', 'zq7x']) {
    expect(told, canary).not.toContain(canary)
    expect(kept, canary).not.toContain(canary)
  }
})

interface Gateway {
  readonly provider: OAuthProvider
  readonly signIns: SignIns
}

function gateway(given: Partial<OAuthOptions> = {}, on: TestRoom = room): Gateway {
  const provider = oauth2(
    optionsFor({
      grant: 'authorizationCode',
      discoveryUrl: `${hostile.origin}/.well-known/oauth-authorization-server`,
      clientSecret: new Secret(canaries.clientSecret),
      scopes: ['read'],
      ...given,
    }),
    on,
  )
  return { provider, signIns: createSignIns(on, (name) => (name === 'cred' ? provider : undefined)) }
}

/** What was thrown, kept for the look-out for canaries. */
const caught = async (work: unknown): Promise<unknown> => {
  try {
    await work
  } catch (error) {
    thrown.push(error)
    return error
  }
  return 'nothing was thrown'
}

async function begin({ provider }: Gateway, who: Principal = alice): Promise<string> {
  const error: unknown = await Promise.resolve(sign(outbound(), provider, who, target)).catch((error: unknown) => error)
  if (!(error instanceof ConnectionRequired)) throw error
  return error.pendingId
}

interface Started {
  readonly pendingId: string
  readonly state: string
  readonly url: URL
}

async function startFor(of: Gateway, who: Principal = alice, browser = binding): Promise<Started> {
  const pendingId = await begin(of, who)
  const url = new URL(await of.signIns.start(pendingId, who, browser))
  return { pendingId, url, state: url.searchParams.get('state') ?? '' }
}

const callback = (parameters: { readonly [name: string]: string }): string =>
  new URLSearchParams({ code: canaries.code, iss: hostile.origin, ...parameters }).toString()

const connectionsOf = async (who: Principal = alice) => createConnections(room, () => undefined).listOf(who)

/** Refused, nothing connected, and the token endpoint asked so often. */
async function refused(work: Promise<unknown>, code: string, asked = 0): Promise<void> {
  expect(await caught(work)).toMatchObject({ code })
  expect(hostile.asked).toHaveLength(asked)
  expect(await connectionsOf()).toEqual([])
}

describe('a callback', () => {
  it('that is as it should be connects', async () => {
    const of = gateway()
    const { state } = await startFor(of)
    await of.signIns.finish({ query: callback({ state }), credential: 'cred', binding })
    expect(await connectionsOf()).toMatchObject([{ state: 'active', scopes: ['read'] }])
    expect(hostile.asked[0]?.get('code_verifier')).toMatch(/^[\w.~-]{43,128}$/)
  })

  it.each<[string, (state: string) => string]>([
    ['O01: without a state', () => callback({})],
    ['O01: with an empty state', () => callback({ state: '' })],
    ['O02: with another state', () => callback({ state: 'a'.repeat(43) })],
    ['O02: with a state of another length', (state) => callback({ state: `${state}x` })],
    ['O23: with two codes', (state) => `${callback({ state })}&code=another`],
    ['O23: with two states', (state) => `${callback({ state })}&state=${state}`],
    ['O23: with two issuers', (state) => `${callback({ state })}&iss=${hostile.origin}`],
    ['of 20 KiB', (state) => `${callback({ state })}&x=${'x'.repeat(20_000)}`],
  ])('%s is refused', async (_, query) => {
    const of = gateway()
    const { state } = await startFor(of)
    await refused(of.signIns.finish({ query: query(state), credential: 'cred', binding }), 'sign_in_invalid')
  })

  it.each<[string, { readonly [name: string]: string }]>([
    ['O08: without the issuer that was promised', { iss: '' }],
    ['O09: with the issuer and a slash', { iss: '/' }],
    ['O09: with the issuer in capitals', { iss: 'HTTP' }],
    ['O09: with the issuer on another port', { iss: '1' }],
    ['O09: with another issuer', { iss: 'https://honest.example' }],
    ['with a response in a JWT', { response: 'x.y.z' }],
    ['with a token in it', { token: 'x', id_token: 'x.y.z' }],
  ])('%s is refused, and the code goes nowhere', async (_, given) => {
    const of = gateway()
    const { state } = await startFor(of)
    const iss =
      given['iss'] === '/' || given['iss'] === '1'
        ? hostile.origin + given['iss']
        : given['iss'] === 'HTTP'
          ? hostile.origin.replace('http', 'HTTP')
          : (given['iss'] ?? hostile.origin)
    const query = new URLSearchParams(callback({ ...given, state, iss }))
    if (given['iss'] === '') query.delete('iss')
    await refused(of.signIns.finish({ query: query.toString(), credential: 'cred', binding }), 'sign_in_invalid')
  })

  it('O10: with a wrong issuer that was not promised is refused', async () => {
    delete hostile.metadata['authorization_response_iss_parameter_supported']
    const of = gateway()
    const { state } = await startFor(of)
    const query = callback({ state, iss: 'https://honest.example' })
    await refused(of.signIns.finish({ query, credential: 'cred', binding }), 'sign_in_invalid')
  })

  it.each([
    ['O11: with an error of a wrong issuer', { iss: 'https://honest.example' }, 'sign_in_invalid'],
    ['with an error of the right one', {}, 'sign_in_failed'],
    ['with an error that is no code', { error: '<script>' }, 'sign_in_failed'],
  ])('%s tells the user nothing that it says', async (_, given, code) => {
    const of = gateway()
    const { state, pendingId } = await startFor(of)
    const query = new URLSearchParams({
      state,
      iss: hostile.origin,
      error: 'access_denied',
      error_description: '<script>zq7x</script>',
      ...given,
    }).toString()
    await refused(of.signIns.finish({ query, credential: 'cred', binding }), code)
    expect((await of.signIns.describe(pendingId))?.state).toBe('failed')
    const ended = await of.provider.awaitConnection?.(alice, pendingId, 20_000, new AbortController().signal)
    expect(ended).toBe(false)
  })

  it('O03: that comes twice is answered once', async () => {
    const of = gateway()
    const { state } = await startFor(of)
    const finish = { query: callback({ state }), credential: 'cred', binding }
    await of.signIns.finish(finish)
    expect(await caught(of.signIns.finish(finish))).toMatchObject({ code: 'sign_in_invalid' })
    expect(hostile.asked).toHaveLength(1)
  })

  it('O22: that comes many times at once, at two processes, is answered once', async () => {
    const beside = createRoom({ allow: [hostile.address], beside: room, owner: 'process-2' })
    const [one, two] = [gateway(), gateway({}, beside)]
    const { state } = await startFor(one)
    const finish = { query: callback({ state }), credential: 'cred', binding }
    const ends = await Promise.allSettled([one, two, one, two].map(({ signIns }) => signIns.finish(finish)))
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(hostile.asked).toHaveLength(1)
    await beside.close()
  })

  it('O04: that comes after more than ten minutes is refused', async () => {
    const of = gateway()
    const { state } = await startFor(of)
    room.ahead.wall += 11 * 60_000
    await refused(of.signIns.finish({ query: callback({ state }), credential: 'cred', binding }), 'sign_in_invalid')
  })

  it.each<[string, object]>([
    ['browser', { binding: 'the-browser-of-mallory-and-nobody' }],
    ['browser that brings nothing', { binding: '' }],
    ['user', { who: bert }],
    ['user of the same name elsewhere', { who: principal('alice', 'other') }],
    ['credential', { credential: 'other' }],
  ])('O05: with the state of another %s is refused', async (_, given) => {
    const of = gateway()
    const { state } = await startFor(of)
    const finish = { query: callback({ state }), credential: 'cred', binding, who: alice, ...given }
    await refused(of.signIns.finish(finish), 'sign_in_invalid')
    expect(room.events).toContainEqual(expect.objectContaining({ act: 'denied', subject: 'alice', detail: 'browser' }))
  })

  it('with the state of an older start of the same sign-in is refused', async () => {
    const of = gateway()
    const { state, pendingId } = await startFor(of)
    await of.signIns.start(pendingId, alice, binding)
    await refused(of.signIns.finish({ query: callback({ state }), credential: 'cred', binding }), 'sign_in_invalid')
  })
})

describe('a code', () => {
  const honestly = (): Gateway =>
    gateway({
      discoveryUrl: `${honest.issuer}/.well-known/openid-configuration`,
      clientSecret: new Secret(honest.clientSecret),
      scopes: ['openid', 'read'],
    })

  it('O06: of another sign-in fails at the server, for want of its verifier', async () => {
    const of = honestly()
    const [mine, mallorys] = [await startFor(of), await startFor(of, bert, 'the-browser-of-bert-and-nobody-el')]
    const stolen = (await honest.browse(mallorys.url.href)).searchParams
    stolen.set('state', mine.state)
    await refused(of.signIns.finish({ query: stolen.toString(), credential: 'cred', binding }), 'sign_in_failed')
  })

  it('O07: is never sent twice, and one that the server has seen before connects nothing', async () => {
    const of = honestly()
    const back = await honest.browse((await startFor(of)).url.href)
    await of.signIns.finish({ query: back.search.slice(1), credential: 'cred', binding })
    const again = await startFor(of, bert)
    const query = new URLSearchParams(back.search)
    query.set('state', again.state)
    expect(await caught(of.signIns.finish({ query: query.toString(), credential: 'cred', binding }))).toMatchObject({
      code: 'sign_in_failed',
    })
    expect(await connectionsOf(bert)).toEqual([])
  })

  it('whose exchange breaks off is not sent again: the user is asked anew', async () => {
    hostile.token = (response) => void response.destroy()
    const of = gateway()
    const { state } = await startFor(of)
    await refused(of.signIns.finish({ query: callback({ state }), credential: 'cred', binding }), 'sign_in_failed', 1)
  })
})

describe('a server’s metadata', () => {
  it.each<[string, { [name: string]: Json }, string]>([
    ['O12: names another issuer', { issuer: 'https://honest.example' }, 'token_refused'],
    ['O12: names its issuer on another port', { issuer: 'http://127.0.0.1:1' }, 'token_refused'],
    ['O12: names no issuer', { issuer: '' }, 'token_refused'],
    ['O14: sends browsers to a script', { authorization_endpoint: 'javascript:alert(1)' }, 'token_refused'],
    ['O14: sends browsers to data', { authorization_endpoint: 'data:text/html,x' }, 'token_refused'],
    ['O14: sends browsers to plain http', { authorization_endpoint: 'http://login.example/' }, 'token_refused'],
    [
      'O14: sends browsers to the metadata service',
      { authorization_endpoint: 'https://169.254.169.254/' },
      'token_refused',
    ],
    ['O14: has user and password in it', { authorization_endpoint: 'https://a:b@login.example/' }, 'token_refused'],
    ['O15: has its token endpoint inside', { token_endpoint: 'https://10.0.0.1/token' }, 'token_refused'],
    ['O15: has its token endpoint in plain http', { token_endpoint: 'http://login.example/token' }, 'token_refused'],
    ['has its revocation endpoint inside', { revocation_endpoint: 'https://[::1]/' }, 'token_refused'],
    ['has its keys inside', { jwks_uri: 'https://192.168.0.1/' }, 'token_refused'],
    ['O16: does not say S256', { code_challenge_methods_supported: ['plain'] }, 'token_refused'],
    ['O16: says nothing of PKCE', { code_challenge_methods_supported: null }, 'token_refused'],
    ['has no page to sign in at', { authorization_endpoint: null }, 'token_refused'],
  ])('that %s starts nothing', async (_, given, code) => {
    Object.assign(hostile.metadata, given)
    const of = gateway()
    const pendingId = await begin(of)
    await refused(of.signIns.start(pendingId, alice, binding), code)
  })

  it('O13: that changes between start and finish gets no code and no secret', async () => {
    const { state } = await startFor(gateway())
    const moved = await startHostile()
    moved.metadata = { ...hostile.metadata, issuer: moved.origin, token_endpoint: `${moved.origin}/token` }
    const beside = createRoom({ allow: [hostile.address, moved.address], beside: room })
    const of = gateway({ discoveryUrl: `${moved.origin}/.well-known/oauth-authorization-server` }, beside)
    const query = callback({ state, iss: moved.origin })
    await refused(of.signIns.finish({ query, credential: 'cred', binding }), 'sign_in_failed')
    expect(moved.asked).toEqual([])
    await beside.close()
    await moved.close()
  })

  it('O13: that changes before a refresh gets no refresh token: the user is asked anew', async () => {
    const of = gateway()
    const { state } = await startFor(of)
    await of.signIns.finish({ query: callback({ state }), credential: 'cred', binding })
    const moved = await startHostile()
    moved.metadata = { ...hostile.metadata, issuer: moved.origin, token_endpoint: `${moved.origin}/token` }
    const beside = createRoom({ allow: [hostile.address, moved.address], beside: room })
    beside.ahead.wall += 3_600_000
    await begin(gateway({ discoveryUrl: `${moved.origin}/.well-known/oauth-authorization-server` }, beside))
    expect(moved.asked).toEqual([])
    expect(hostile.asked).toHaveLength(1)
    expect(await connectionsOf()).toMatchObject([{ state: 'reconnect' }])
    expect(beside.events).toContainEqual(expect.objectContaining({ act: 'reconnect', detail: 'issuer_changed' }))
    await beside.close()
    await moved.close()
  })

  it('O13: nor does another client of the same server', async () => {
    const of = gateway()
    const { state } = await startFor(of)
    await of.signIns.finish({ query: callback({ state }), credential: 'cred', binding })
    room.ahead.wall += 3_600_000
    await begin(gateway({ clientId: 'another' }))
    expect(hostile.asked).toHaveLength(1)
  })
})

describe('a token endpoint', () => {
  const connect = async (of: Gateway): Promise<unknown> => {
    const { state } = await startFor(of)
    return of.signIns.finish({ query: callback({ state }), credential: 'cred', binding })
  }

  it.each<[string, (response: ServerResponse) => void]>([
    ['O15: that redirects', (response) => void response.writeHead(307, { location: 'https://10.0.0.1/' }).end()],
    ['O17: that answers a mebibyte', (response) => json(response, { ...goodTokens, x: 'x'.repeat(1_048_576) })],
    ['O17: that gives no token', (response) => json(response, { token_type: 'Bearer' })],
    ['O17: that gives a number', (response) => json(response, { ...goodTokens, access_token: 7 })],
    ['O17: that gives a token bound to a key', (response) => json(response, { ...goodTokens, token_type: 'mac' })],
    ['O17: that gives a DPoP token', (response) => json(response, { ...goodTokens, token_type: 'DPoP' })],
    ['O17: that gives two lines', (response) => json(response, { ...goodTokens, access_token: 'a\r\nX-Admin: 1' })],
    [
      'O17: that gives a token of 40 KiB',
      (response) => json(response, { ...goodTokens, access_token: 'x'.repeat(40_960) }),
    ],
    ['O17: that gives another kind of scope', (response) => json(response, { ...goodTokens, scope: 7 })],
    ['O17: that answers HTML', (response) => void response.end('<script>zq7x</script>')],
    [
      'O17: that answers HTML as JSON',
      (response) => void response.setHeader('content-type', 'application/json').end('<script>zq7x'),
    ],
    ['O17: that answers a list', (response) => json(response, [goodTokens])],
    ['O17: that refuses with 200', (response) => json(response, { error: 'zq7x', error_description: '<script>' })],
    ['O17: that refuses with a page', (response) => void response.writeHead(403).end('<script>zq7x</script>')],
    ['O17: that fails', (response) => void response.writeHead(500).end('<script>zq7x</script>')],
    ['that sends bytes that are no HTTP', (response) => void response.socket?.end('zq7x\r\n\r\n')],
  ])('%s connects nothing', async (_, token) => {
    hostile.token = token
    const error = await caught(connect(gateway()))
    expect(error).toMatchObject({ name: 'GatewayError', code: expect.stringMatching(/^(?:sign_in_failed|token_\w+)$/) })
    expect(hostile.asked).toHaveLength(1)
    expect(await connectionsOf()).toEqual([])
  })

  it.each<[string, Json, number | undefined]>([
    ['a negative', -1, undefined],
    ['no', 0, undefined],
    ['a text for a', '3600', 3_600_000],
    ['an endless', 1e12, 365 * 24 * 60 * 60_000],
    ['an unreadable', 'soon', undefined],
  ])('O17: that gives %s lifetime is understood', async (_, expires, lifetime) => {
    hostile.token = (response) => json(response, { ...goodTokens, expires_in: expires })
    await connect(gateway())
    const [connection] = await connectionsOf()
    const { expiresAt, updatedAt = 0 } = connection ?? {}
    expect(expiresAt === undefined ? undefined : expiresAt - updatedAt).toBe(lifetime)
  })

  it('O17: that grants more than was asked is taken at its word, and the word is kept', async () => {
    hostile.token = (response) => json(response, { ...goodTokens, scope: 'read write admin' })
    await connect(gateway())
    expect(await connectionsOf()).toMatchObject([{ scopes: ['read', 'write', 'admin'] }])
  })

  it('that grants less than was asked says so, and the user is not asked again for ever', async () => {
    hostile.token = (response) => json(response, { ...goodTokens, scope: 'other' })
    const of = gateway()
    expect(await connect(of)).toMatchObject({ missing: ['read'] })
    expect((await sign(outbound(), of.provider, alice, target)).secrets[0]?.reveal()).toBe(canaries.access)
  })

  it('O24: that gives a token for another resource connects nothing', async () => {
    const body = Buffer.from(JSON.stringify({ aud: ['https://other.example/'] })).toString('base64url')
    hostile.token = (response) => json(response, { ...goodTokens, access_token: `e30.${body}.x` })
    const error = await caught(connect(gateway({ resource: 'https://api.example.com/' })))
    expect(error).toMatchObject({ code: 'sign_in_failed', message: expect.stringContaining('another resource') })
    expect(await connectionsOf()).toEqual([])
  })
})

describe('a refresh', () => {
  const connected = async (): Promise<Gateway> => {
    const of = gateway()
    const { state } = await startFor(of)
    await of.signIns.finish({ query: callback({ state }), credential: 'cred', binding })
    room.ahead.wall += 3_600_000
    return of
  }
  const call = async (of: Gateway): Promise<unknown> => sign(outbound(), of.provider, alice, target)

  it('O18: whose end nobody knows is tried once more, and no third time', async () => {
    const of = await connected()
    hostile.token = (response) => void response.destroy()
    expect(await caught(call(of))).toBeInstanceOf(ConnectionRequired)
    expect(await caught(call(of))).toBeInstanceOf(ConnectionRequired)
    expect(hostile.asked).toHaveLength(3)
    expect(await connectionsOf()).toMatchObject([{ state: 'reconnect' }])
  })

  it('O18: whose second try succeeds goes on', async () => {
    const of = await connected()
    let tries = 0
    hostile.token = (response) => (++tries === 1 ? void response.destroy() : json(response, goodTokens))
    await call(of)
    expect(tries).toBe(2)
    expect(await connectionsOf()).toMatchObject([{ state: 'active' }])
  })

  it.each([500, 503, 429])('that the server was too busy for (%i) costs nothing but this call', async (status) => {
    const of = await connected()
    hostile.token = (response) => void response.writeHead(status).end()
    for (let round = 0; round < 4; round++) {
      expect(await caught(call(of))).toMatchObject({ code: 'token_unavailable', retry: true })
      room.ahead.monotonic += 2_000
    }
    hostile.token = (response) => json(response, goodTokens)
    await call(of)
    expect(await connectionsOf()).toMatchObject([{ state: 'active' }])
  })

  it.each([
    ['is not allowed to be', [], 'token_refused'],
    ['is not there to be', ['127.0.0.1:1'], 'token_unavailable'],
  ])('that the server %s reached for costs nothing but this call', async (_, allow, code) => {
    const of = await connected()
    const away = createRoom({ allow: [...allow, hostile.address], beside: room, owner: 'process-2' })
    away.ahead.wall += 3_600_000
    for (let round = 0; round < 4; round++) {
      const lost = gateway({ tokenEndpoint: 'http://127.0.0.1:1/token' }, away)
      expect(await caught(call(lost))).toMatchObject({ code })
    }
    await away.close()
    await call(of)
    expect(hostile.asked).toHaveLength(2)
  })

  it('whose user disconnects meanwhile is undone at the server, too', async () => {
    hostile.metadata['revocation_endpoint'] = `${hostile.origin}/revoke`
    const of = await connected()
    hostile.token = (response) => {
      void createConnections(room, () => undefined)
        .disconnect(alice, 'cred')
        .then(() => json(response, { ...goodTokens, refresh_token: 'the-newest' }))
    }
    expect(await caught(call(of))).toBeInstanceOf(ConnectionRequired)
    expect(hostile.revoked.map((form) => [form.get('token'), form.get('token_type_hint')])).toEqual([
      ['the-newest', 'refresh_token'],
    ])
    expect(await connectionsOf()).toEqual([])
  })

  it('that the server refuses for the client’s sake tells the operator and keeps the grant', async () => {
    const of = await connected()
    hostile.token = (response) => json(response, { error: 'invalid_client' }, 401)
    expect(await caught(call(of))).toMatchObject({ code: 'token_refused', message: expect.stringContaining('cred') })
    expect(await connectionsOf()).toMatchObject([{ state: 'active' }])
  })
})

describe('a link', () => {
  it('O20: that its victim opens starts nothing for him, as if there were none', async () => {
    const of = gateway()
    const pendingId = await begin(of)
    const errors = [
      await caught(of.signIns.start(pendingId, bert, binding)),
      await caught(of.signIns.start(pendingId, principal('alice', 'other'), binding)),
      await caught(of.signIns.start('there-never-was-such-a-sign-in', bert, binding)),
      await caught(of.signIns.start('../../x', bert, binding)),
    ]
    expect(new Set(errors.map((error) => String(error))).size).toBe(1)
    expect((await of.signIns.describe(pendingId))?.started).toBeUndefined()
  })

  it('O21: that is looked at binds nothing, however often', async () => {
    const of = gateway()
    const pendingId = await begin(of)
    const before = await room.records.changes()
    for (let looks = 0; looks < 10; looks++) await of.signIns.describe(pendingId)
    expect(await room.records.changes()).toBe(before)
  })

  it('is over once its sign-in is done', async () => {
    const of = gateway()
    const { state, pendingId } = await startFor(of)
    await of.signIns.finish({ query: callback({ state }), credential: 'cred', binding })
    expect(await caught(of.signIns.start(pendingId, alice, binding))).toMatchObject({ code: 'sign_in_invalid' })
  })

  it('cannot be started without a browser to bind it to', async () => {
    const of = gateway()
    const pendingId = await begin(of)
    expect(await caught(of.signIns.start(pendingId, alice, 'short'))).toMatchObject({ code: 'sign_in_invalid' })
  })

  it('O19: leads back to one address, which no parameter of the configuration moves', async () => {
    const moved = new Map([
      ['redirect_uri', 'https://evil.example'],
      ['state', 'mine'],
      ['response_type', 'token'],
      ['code_challenge', 'mine'],
      ['client_id', 'mine'],
    ])
    const { url, state } = await startFor(gateway({ parameters: { authorization: moved, token: new Map() } }))
    expect(url.searchParams.getAll('redirect_uri')).toEqual([`${callbackUrl}/cred`])
    expect(state).toHaveLength(43)
    expect(url.searchParams.get('response_type')).toBe('code')
    expect(url.searchParams.get('client_id')).toBe('gateway')
    expect(url.searchParams.get('code_challenge')).toHaveLength(43)
  })

  it('can be told from its record by nobody who reads the store', async () => {
    const of = gateway()
    const { pendingId, state } = await startFor(of)
    const rows = await room.records.list('signin-state/', { limit: 10 })
    expect(JSON.stringify(rows)).not.toContain(state)
    expect(rows.map(({ key }) => key).join()).not.toContain(pendingId)
  })
})
