/**
 * Three gateway processes on one data folder behind one public address, each request sent to the process that the test
 * chooses: what one has begun the next goes on with, and a token that all of them need is asked for once.
 */
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import { bearer, type Caller, callerOf, tokenOf } from '../support/callers.ts'
import type { Pages } from '../support/connect-pages.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
import { createBrowser, leavesFor, type TestBrowser } from '../support/test-browser.ts'
import type { Loose } from '../support/wire.ts'

/** A reverse proxy, as small as they get: all goes to where `to` leads, with the `Host` that the client sent. */
interface Proxy {
  readonly url: string
  to: string
  close(): Promise<void>
}

async function startProxy(): Promise<Proxy> {
  const server: Server = createServer((incoming, response) => {
    const { method, url, headers } = incoming
    const outgoing = request(`${proxy.to}${url}`, { method, headers, setHost: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(response)
    })
    outgoing.on('error', () => response.writeHead(502).end())
    incoming.pipe(outgoing)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: Proxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    to: '',
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}

let proxy: Proxy
let provider: IdentityProvider
let server: AuthorizationServer
let target: Recorder
let a: GatewayProcess
let b: GatewayProcess
let c: GatewayProcess

const urls = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } } }

beforeAll(async () => {
  proxy = await startProxy()
  provider = await startIdentityProvider()
  server = await startAuthorizationServer({ callbackUrl: `${proxy.url}/connect/callback`, credentials: ['crm'] })
  target = await startRecorder()
  const client = {
    type: 'oauth2',
    discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
    clientId: server.clientId,
    clientSecret: { env: 'CLIENT_SECRET' },
  }
  const env = { CLIENT_SECRET: server.clientSecret }
  a = await startGatewayProcess({
    config: {
      publicUrl: proxy.url,
      admin: { port: 0, tools: false },
      inbound: { type: 'jwt', discoveryUrl: provider.discoveryUrl, allowedScopes: ['tools'] },
      egress: { allow: [target.address, server.address, provider.address] },
      credentials: {
        crm: { ...client, grant: 'authorizationCode', scopes: ['openid', 'offline_access', 'email', 'read'] },
        exchanged: { ...client, grant: 'tokenExchange', scopes: ['read'] },
        itself: { ...client, grant: 'clientCredentials', scopes: ['read'] },
      },
      targets: { crm: { credential: 'crm' }, files: { credential: 'exchanged' }, stock: { credential: 'itself' } },
    },
    env,
    files: {
      'specs/crm.json': oneTool(target.origin, 'contacts'),
      'specs/files.json': oneTool(target.origin, 'list'),
      'specs/stock.json': oneTool(target.origin, 'count'),
    },
  })
  const beside = () => startGatewayProcess({ dir: a.dir, env })
  ;[b, c] = await Promise.all([beside(), beside()])
})
afterAll(async () => {
  await Promise.all([b.kill(), c.kill()])
  await a.remove()
  await Promise.all([proxy.close(), target.close(), server.close(), provider.close()])
})
beforeEach(() => {
  target.answer = json({ ok: true })
  target.requests.length = 0
  server.tokenRequests.length = 0
  server.tokenBodies.length = 0
  server.accessSeconds = 3_600
})

const refreshes = (): number => server.tokenRequests.filter((grant) => grant === 'refresh_token').length
const tokenFor = (sub: string): Promise<string> => tokenOf(provider, `${proxy.url}/mcp`, { sub })
/** One caller at each process, with the same token. */
const callersOf = (token: string): readonly Caller[] =>
  [a, b, c].map(({ url }) => callerOf(`${url}/mcp`, bearer(token)))
const asTheTargetSaw = (): (string | undefined)[] => target.requests.map(({ headers }) => headers['authorization'])
const succeeded = ({ json: answer }: { json: Loose }): boolean =>
  Array.isArray(answer?.result?.content) && answer.result.isError !== true

/** From the link to the authorization server's page through one process, back again through another. */
async function signIn(asked: Loose, start: GatewayProcess, callback: GatewayProcess): Promise<string> {
  const { url, message } = asked.result.inputRequests.connect.params
  const [, code = ''] = /enter the code (\S+) there/.exec(message) ?? []
  const browser: TestBrowser = createBrowser(() => ({ url: proxy.url, publicUrl: proxy.url }) as Pages)
  expect(url.startsWith(`${proxy.url}/connect/`)).toBe(true)
  const { pathname } = new URL(url)
  proxy.to = start.url
  const leaving = leavesFor(await browser.submit(pathname, { code }))
  expect(leaving.origin).toBe(server.issuer)
  const back = await server.browse(leaving.href)
  proxy.to = callback.url
  const answer = await browser.get(back.pathname + back.search)
  proxy.to = start.url
  const done = answer.status === 303 ? await browser.get(answer.headers.get('location') ?? '') : answer
  expect(done.status).toBe(200)
  return done.text
}

describe('three processes on one data folder', () => {
  it('a call at one, the sign-in begun at the next, its callback at the third: the retry at the first succeeds', async () => {
    const [atA, atB, atC] = callersOf(await tokenFor('alice')) as [Caller, Caller, Caller]
    const asked = (await atA.call('crm___contacts', {}, { _meta: urls })).json
    expect(asked.result.resultType).toBe('input_required')
    expect(target.requests).toEqual([])
    expect(await signIn(asked, b, c)).toContain('alice@example.com')
    const again = {
      _meta: urls,
      requestState: asked.result.requestState,
      inputResponses: { connect: { action: 'accept' } },
    }
    expect(succeeded(await atA.call('crm___contacts', {}, again))).toBe(true)
    for (const caller of [atB, atC]) expect(succeeded(await caller.call('crm___contacts'))).toBe(true)
    expect(new Set(asTheTargetSaw()).size).toBe(1)
    expect(server.tokenRequests).toEqual(['authorization_code'])
  })

  it('C07: one expired token and 100 calls at each of two: the server sees one refresh, all 200 calls succeed', async () => {
    const [atA, atB] = callersOf(await tokenFor('bob')) as [Caller, Caller]
    server.accessSeconds = 1
    await signIn((await atA.call('crm___contacts', {}, { _meta: urls })).json, a, b)
    // both have had the token in hand
    for (const caller of [atA, atB]) expect(succeeded(await caller.call('crm___contacts'))).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    server.accessSeconds = 3_600
    const [before, seen] = [refreshes(), target.requests.length]
    const answers = await Promise.all(
      [atA, atB].flatMap((caller) => Array.from({ length: 100 }, () => caller.call('crm___contacts'))),
    )
    expect(answers.filter(succeeded)).toHaveLength(200)
    expect(refreshes() - before).toBe(1)
    const sent = asTheTargetSaw().slice(seen)
    expect([sent.length, new Set(sent).size]).toEqual([200, 1])
  })

  it('a token that was got just now and that the target refuses is asked for anew by neither', async () => {
    const [atA, atB] = callersOf(await tokenFor('carol')) as [Caller, Caller]
    await signIn((await atA.call('crm___contacts', {}, { _meta: urls })).json, c, a)
    for (const caller of [atA, atB]) expect(succeeded(await caller.call('crm___contacts'))).toBe(true)
    const over = asTheTargetSaw().at(-1)
    target.answer = (one, response, incoming) =>
      json({}, one.headers['authorization'] === over ? 401 : 200)(one, response, incoming)
    const answers = await Promise.all(
      [atA, atB].flatMap((caller) => Array.from({ length: 10 }, () => caller.call('crm___contacts'))),
    )
    expect(answers.filter(succeeded)).toEqual([])
    expect(refreshes()).toBe(0)
  })

  it('a token of the gateway’s own, wanted by all of them at once, is asked for once', async () => {
    const callers = callersOf(await tokenFor('alice'))
    const answers = await Promise.all(
      callers.flatMap((caller) => Array.from({ length: 10 }, () => caller.call('stock___count'))),
    )
    expect(answers.filter(succeeded)).toHaveLength(30)
    expect(server.tokenRequests).toEqual(['client_credentials'])
    expect(new Set(asTheTargetSaw()).size).toBe(1)
  })
})

describe('a token exchange (RFC 8693) of who signed in', () => {
  it('gives the target the exchanged token, one for each caller, and never the caller’s own', async () => {
    const tokens = [await tokenFor('alice'), await tokenFor('bob')]
    for (const token of tokens) {
      const [atA] = callersOf(token) as [Caller]
      for (let again = 0; again < 2; again++) expect(succeeded(await atA.call('files___list'))).toBe(true)
    }
    expect(server.tokenBodies.map((form) => form.get('subject_token'))).toEqual(tokens)
    expect(server.tokenBodies.map((form) => form.get('subject_token_type'))).toEqual(
      Array.from({ length: 2 }, () => 'urn:ietf:params:oauth:token-type:access_token'),
    )
    const sent = asTheTargetSaw()
    expect([sent.length, new Set(sent).size, sent[0] === sent[1], sent[2] === sent[3]]).toEqual([4, 2, true, true])
    // what it got is a token of the authorization server
    for (const field of sent)
      expect(await server.provider.ClientCredentials.find(field?.replace('Bearer ', '') ?? '')).toBeDefined()
    const heard = JSON.stringify(target.requests.map(({ url, rawHeaders, body }) => [url, rawHeaders, body.toString()]))
    for (const token of tokens)
      for (const part of [token, ...token.split('.').slice(1)]) {
        expect(heard).not.toContain(part)
        for (const one of [a, b, c]) expect(one.log()).not.toContain(part)
      }
  })

  it('that the authorization server refuses is a failed call, and the target hears nothing', async () => {
    server.trouble = ({ response }) =>
      void response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
    try {
      const [atA] = callersOf(await tokenFor('dave')) as [Caller]
      expect(succeeded(await atA.call('files___list'))).toBe(false)
      expect(target.requests).toEqual([])
    } finally {
      server.trouble = undefined
    }
  })
})
