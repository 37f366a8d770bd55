/** A call that needs a grant of its user: the link in each client's own way, the sign-in, and the retry that succeeds. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import { type GatewayProcess, startGatewayProcess, until } from '../support/gateway.ts'
import { modernRequest, post } from '../support/mcp.ts'
import { operatorOf } from '../support/operator.ts'
import type { Pages } from '../support/connect-pages.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
import { createBrowser, leavesFor } from '../support/test-browser.ts'
import { initialize, postLegacy } from '../support/wire.ts'

let server: AuthorizationServer
let target: Recorder
let gateway: GatewayProcess

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  return port
}

beforeAll(async () => {
  const port = await freePort()
  const publicUrl = `http://127.0.0.1:${port}`
  server = await startAuthorizationServer({ callbackUrl: `${publicUrl}/connect/callback`, credentials: ['crm'] })
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: {
      publicUrl,
      listen: { port },
      egress: { allow: [target.address, server.address] },
      credentials: {
        crm: {
          type: 'oauth2',
          grant: 'authorizationCode',
          discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
          clientId: server.clientId,
          clientSecret: { env: 'CRM_SECRET' },
          scopes: ['openid', 'offline_access', 'email', 'read'],
          optionalScopes: ['write'],
        },
      },
      targets: { crm: { credential: 'crm' } },
    },
    env: { CRM_SECRET: server.clientSecret },
    files: { 'specs/crm.json': oneTool(target.origin, 'contacts') },
  })
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
  await server.close()
})
beforeEach(() => {
  target.answer = json({ ok: true })
})

const { list } = operatorOf(() => gateway)
const mcp = (): string => `${gateway.url}/mcp`
const link = /^http:\/\/127\.0\.0\.1:\d+\/connect\/[\w-]{16,}$/

const callWith = (capabilities: object, more: object = {}) => {
  const { headers, body } = modernRequest('tools/call', {
    name: 'crm___contacts',
    arguments: {},
    ...more,
    _meta: {
      'io.modelcontextprotocol/clientCapabilities': capabilities,
      ...('_meta' in more ? (more._meta as object) : {}),
    },
  })
  return post(mcp(), headers, body)
}
const urls = { elicitation: { url: {} } }

describe('a call without a connection', () => {
  it('is never made by a list', async () => {
    expect((await list()).json.result.tools.map(({ name }: { name: string }) => name)).toContain('crm___contacts')
    expect(target.requests).toEqual([])
  })

  it('asks a client of 2026-07-28 that takes URLs to show its user one, with a state to come back with', async () => {
    const { status, json: answer } = await callWith(urls)
    expect(status).toBe(200)
    expect(answer.result).toEqual({
      resultType: 'input_required',
      inputRequests: {
        connect: {
          method: 'elicitation/create',
          params: { mode: 'url', url: expect.stringMatching(link), message: expect.any(String) },
        },
      },
      requestState: expect.any(String),
    })
  })

  it.each([
    ['that declares nothing', {}],
    ['that takes forms only', { elicitation: {} }],
  ])('gives a client of 2026-07-28 %s the link as a result', async (_what, capabilities) => {
    const { json: answer } = await callWith(capabilities)
    expect(answer.result.isError).toBe(true)
    expect(answer.result.content[0].text).toMatch(/http:\/\/127\.0\.0\.1:\d+\/connect\/[\w-]{16,}/)
  })

  it('gives a client of 2025-11-25 that takes URLs error −32042', async () => {
    const { session } = await initialize(mcp(), '2025-11-25', urls)
    const { json: answer } = await postLegacy(mcp(), '2025-11-25', session, 'tools/call', {
      name: 'crm___contacts',
      arguments: {},
    })
    expect(answer.error).toMatchObject({
      code: -32042,
      data: {
        elicitations: [
          {
            mode: 'url',
            elicitationId: expect.any(String),
            url: expect.stringMatching(link),
            message: expect.any(String),
          },
        ],
      },
    })
  })

  it.each([
    ['2025-11-25', { elicitation: {} }],
    ['2025-06-18', urls],
    ['2025-03-26', {}],
  ])('gives a client of %s with %j the link as a result', async (version, capabilities) => {
    const { session } = await initialize(mcp(), version, capabilities)
    const { json: answer } = await postLegacy(mcp(), version, session, 'tools/call', {
      name: 'crm___contacts',
      arguments: {},
    })
    expect(answer.result.isError).toBe(true)
    expect(answer.result.content[0].text).toContain('/connect/')
  })

  it('never reaches the target', () => {
    expect(target.requests).toEqual([])
  })

  it('takes no state that was given for other arguments', async () => {
    const { json: answer } = await callWith(urls)
    const other = await callWith(urls, { arguments: { a: 1 }, requestState: answer.result.requestState })
    expect(other.json.error.code).toBe(-32602)
  })

  it('tells a client whose user declined so, and waits for nobody', async () => {
    const { json: answer } = await callWith(urls)
    const declined = await callWith(urls, {
      requestState: answer.result.requestState,
      inputResponses: { connect: { action: 'decline' } },
    })
    expect(JSON.stringify(declined.json)).toContain('did not connect')
  })
})

/** As the user does: opens the link, says yes, signs in at the server, comes back to the done page. */
async function signIn(url: string): Promise<{ status: number; text: string }> {
  const browser = createBrowser(() => ({ url: gateway.url, publicUrl: gateway.url }) as Pages)
  const path = new URL(url).pathname
  expect((await browser.get(path)).text).toContain('crm')
  const leaving = leavesFor(await browser.submit(path))
  const back = await server.browse(leaving.href)
  const answer = await browser.get(back.pathname + back.search)
  return answer.status === 303
    ? browser.get(new URL(answer.headers.get('location') ?? '', gateway.url).pathname)
    : answer
}

const refreshes = (): number => server.tokenRequests.filter((grant) => grant === 'refresh_token').length
const admin = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${gateway.adminUrl}${path}`, { ...init, headers: { authorization: `Bearer ${gateway.adminToken}` } })

describe('a user who signs in', () => {
  it('finds the retry successful, with a token that the answer does not show', async () => {
    target.answer = (request, response, incoming) =>
      json({ echoed: request.headers['authorization'] ?? '' })(request, response, incoming)
    server.accessSeconds = 4
    const { json: asked } = await callWith(urls)
    const { requestState, inputRequests } = asked.result
    const done = await signIn(inputRequests.connect.params.url)
    expect([done.status, done.text.includes('alice@example.com')]).toEqual([200, true])
    server.accessSeconds = 3_600
    const { json: answer } = await callWith(urls, { requestState, inputResponses: { connect: { action: 'accept' } } })
    expect(answer.result.isError).toBeUndefined()
    expect(target.requests.at(-1)?.headers['authorization']).toMatch(/^Bearer \S{20,}$/)
    const token = String(target.requests.at(-1)?.headers['authorization']).slice('Bearer '.length)
    expect(JSON.stringify(answer)).not.toContain(token)
    expect(gateway.log()).not.toContain(token)
  })

  it('is not asked again', async () => {
    expect((await callWith({})).json.result.isError).toBeUndefined()
  })

  it('is not asked when the token has ended: it is refreshed once, however many call', async () => {
    const before = refreshes()
    await until('the token has ended', async () => (await callWith({}), refreshes() > before), 10_000)
    const answers = await Promise.all(Array.from({ length: 20 }, () => callWith({})))
    expect(answers.filter(({ json: answer }) => answer.result.isError === true)).toEqual([])
    expect(refreshes() - before).toBe(1)
  })

  it('shows up for the operator, without tokens', async () => {
    const text = await (await admin('/api/connections')).text()
    expect(JSON.parse(text).connections).toMatchObject([
      { credential: 'crm', account: 'alice@example.com', state: 'active', subject: 'anonymous' },
    ])
    expect(text).not.toMatch(/token|secret/i)
  })

  it.each([
    ['that the operator named', 'write', 'input_required'],
    ['that the operator did not name', 'admin:org', 'complete'],
    ['that are granted already', 'read', 'complete'],
  ])('is asked for scopes that a target wants besides only when they are such %s', async (_which, scope, type) => {
    target.answer = (_request, response) => {
      response.writeHead(403, { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` }).end()
    }
    const { json: answer } = await callWith(urls)
    expect(answer.result.resultType).toBe(type)
    if (type === 'complete') expect(answer.result.content[0].text).toContain('403')
  })

  it('is asked for a new grant when the call says so, and keeps the old one until then', async () => {
    const { json: forced } = await callWith(urls, { _meta: { 'toolgate/forceAuthentication': true } })
    expect(forced.result.resultType).toBe('input_required')
    expect((await callWith({})).json.result.isError).toBeUndefined()
  })

  it('is waited for by a client that comes back at once', async () => {
    const { json: forced } = await callWith(urls, { _meta: { 'toolgate/forceAuthentication': true } })
    const { requestState, inputRequests } = forced.result
    const waiting = callWith(urls, { requestState, inputResponses: { connect: { action: 'accept' } } })
    await signIn(inputRequests.connect.params.url)
    expect((await waiting).json.result.isError).toBeUndefined()
  })

  it('is asked again once the operator revoked the grant, at the vendor too', async () => {
    const { connections } = (await (await admin('/api/connections')).json()) as { connections: { id: string }[] }
    const before = server.revocations.length
    expect((await admin(`/api/connections/${connections[0]?.id}`, { method: 'DELETE' })).status).toBe(204)
    expect(server.revocations.length).toBeGreaterThan(before)
    expect((await callWith(urls)).json.result.resultType).toBe('input_required')
    expect((await admin(`/api/connections/${connections[0]?.id}`, { method: 'DELETE' })).status).toBe(404)
  })
})
