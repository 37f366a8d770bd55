/** A call that needs a grant of its user: the link in each client's own way, the sign-in, and the retry that succeeds. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { modernRequest, post } from '../support/mcp.ts'
import { operatorOf } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
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
