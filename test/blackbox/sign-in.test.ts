/** Official clients, with their own OAuth code, sign in at a certified provider and call a tool through the gateway. */
import * as v2 from '@modelcontextprotocol/client'
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { OAuthClientInformationMixed, OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider, user } from '../support/identity-provider.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { oneTool } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'

const redirectUrl = 'http://127.0.0.1:1/callback'
const documentUrl = 'https://client.test/metadata.json'
const clientMetadata = {
  client_name: 'a client of the tests',
  redirect_uris: [redirectUrl],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
}

/** A client's memory, and a user at a browser. */
class SignIn implements OAuthClientProvider {
  readonly redirectUrl = redirectUrl
  readonly clientMetadata = clientMetadata
  readonly clientMetadataUrl?: string
  landed: Promise<URL> | undefined
  #client: OAuthClientInformationMixed | undefined
  #tokens: OAuthTokens | undefined
  #verifier = ''

  constructor(way: 'by its metadata document' | 'by dynamic registration') {
    if (way === 'by its metadata document') this.clientMetadataUrl = documentUrl
  }

  clientInformation(): OAuthClientInformationMixed | undefined {
    return this.#client
  }

  saveClientInformation(client: OAuthClientInformationMixed): void {
    this.#client = client
  }

  tokens(): OAuthTokens | undefined {
    return this.#tokens
  }

  saveTokens(tokens: OAuthTokens): void {
    this.#tokens = tokens
  }

  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier
  }

  codeVerifier(): string {
    return this.#verifier
  }

  redirectToAuthorization(url: URL): void {
    this.landed = provider.browse(url)
  }
}

let provider: IdentityProvider
let target: Recorder
let gateway: GatewayProcess

describe('signing in', () => {
  beforeAll(async () => {
    provider = await startIdentityProvider()
    provider.clientDocuments.set(documentUrl, { ...clientMetadata, client_id: documentUrl })
    target = await startRecorder()
    gateway = await startGatewayProcess({
      config: {
        name: 'guarded gateway',
        inbound: { type: 'jwt', discoveryUrl: provider.discoveryUrl, allowedScopes: ['tools'] },
        admin: { port: 0, tools: false },
        egress: { allow: [target.address, provider.address] },
        targets: { one: { openapi: 'one.json' } },
        views: { support: { targets: ['one'] } },
      },
      files: { 'one.json': oneTool(target.origin, 'one') },
    })
  })

  afterAll(async () => {
    await gateway.remove()
    await target.close()
    await provider.close()
  })

  beforeEach(() => {
    target.requests.length = 0
  })

  /** Names of the tools that a client sees and the answer to a call of the first, after one sign-in. */
  type Run = (url: URL, signIn: SignIn) => Promise<{ tools: string[]; answer: unknown }>

  const withV1: Run = async (url, signIn) => {
    const first = new StreamableHTTPClientTransport(url, { authProvider: signIn })
    const client = new Client({ name: 'test', version: '1' })
    await expect(client.connect(first)).rejects.toThrow(/unauthorized/i)
    await first.finishAuth((await signIn.landed)?.searchParams.get('code') ?? '')
    await client.connect(new StreamableHTTPClientTransport(url, { authProvider: signIn }))
    const { tools } = await client.listTools()
    const answer = await client.callTool({ name: tools[0]?.name ?? '', arguments: {} })
    await client.close()
    return { tools: tools.map(({ name }) => name), answer }
  }

  const withV2: Run = async (url, signIn) => {
    const first = new v2.StreamableHTTPClientTransport(url, { authProvider: signIn })
    const client = (): v2.Client =>
      new v2.Client({ name: 'test', version: '1' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } })
    await expect(client().connect(first)).rejects.toThrow(/unauthorized/i)
    await first.finishAuth((await signIn.landed)?.searchParams ?? new URLSearchParams())
    const signedIn = client()
    await signedIn.connect(new v2.StreamableHTTPClientTransport(url, { authProvider: signIn }))
    const { tools } = await signedIn.listTools()
    const answer = await signedIn.callTool({ name: tools[0]?.name ?? '', arguments: {} })
    await signedIn.close()
    return { tools: tools.map(({ name }) => name), answer }
  }

  describe.each<[name: string, Run]>([
    ['@modelcontextprotocol/sdk', withV1],
    ['@modelcontextprotocol/client', withV2],
  ])('%s', (_name, run) => {
    it.each<['by its metadata document' | 'by dynamic registration', path: string]>([
      ['by its metadata document', '/mcp'],
      ['by dynamic registration', '/mcp'],
      ['by dynamic registration', '/mcp/support'],
    ])('signs in %s at %s and calls a tool', async (way, path) => {
      const signIn = new SignIn(way)
      const { tools, answer } = await run(new URL(`${gateway.url}${path}`), signIn)
      expect(tools).toEqual(['one___one'])
      expect(answer).toMatchObject({ content: [{ type: 'text' }] })
      expect(answer).not.toHaveProperty('isError', true)
      const token = signIn.tokens()?.access_token ?? ''
      const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
      expect(claims).toMatchObject({ sub: user, aud: `${gateway.url}${path}`, scope: 'tools' })
      // the caller's token ends here
      expect(target.requests).toHaveLength(1)
      expect(JSON.stringify(target.requests)).not.toContain(token)
      expect(gateway.log()).not.toContain(token)
    })
  })

  describe('who has no token', () => {
    it.each(['/mcp', '/mcp/support'])('learns at %s where to get one', async (path) => {
      const { headers, body } = modernRequest('tools/list')
      const answer = await post(`${gateway.url}${path}`, headers, body)
      expect(answer.status).toBe(401)
      const [, document = ''] =
        /^Bearer resource_metadata="([^"]+)", scope="tools"$/.exec(answer.headers.get('www-authenticate') ?? '') ?? []
      expect(document).toBe(`${gateway.url}/.well-known/oauth-protected-resource${path}`)
      expect(await (await fetch(document)).json()).toEqual({
        resource: `${gateway.url}${path}`,
        authorization_servers: [provider.issuer],
        scopes_supported: ['tools'],
        bearer_methods_supported: ['header'],
        resource_name: 'guarded gateway',
      })
    })

    it('finds the same at the root, by the gateway’s own name, and nothing for places that there are not', async () => {
      const at = `${gateway.url}/.well-known/oauth-protected-resource`
      expect(await (await fetch(at)).json()).toMatchObject({ resource: gateway.url })
      expect((await fetch(`${at}/mcp/hidden`)).status).toBe(404)
      expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200)
    })
  })

  describe('a machine', () => {
    const call = async (token: string) => {
      const { headers, body } = modernRequest('tools/call', { name: 'one___one', arguments: {} })
      return post(`${gateway.url}/mcp`, { ...headers, authorization: `Bearer ${token}` }, body)
    }

    it('calls with a token for this gateway, again and again', async () => {
      const token = await provider.token(`${gateway.url}/mcp`)
      for (let again = 0; again < 3; again++) expect((await call(token)).status).toBe(200)
      expect(target.requests).toHaveLength(3)
    })

    it.each([
      ['for another resource', 'https://other.test/mcp', 'tools', 401, /error="invalid_token"/],
      ['without the scope', undefined, 'tools:write', 403, /scope="tools", error="insufficient_scope"/],
    ])('does not call with a token %s', async (_name, resource, scope, status, challenge) => {
      const answer = await call(await provider.token(resource ?? `${gateway.url}/mcp`, scope))
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
        status,
        expect.stringMatching(challenge),
      ])
      expect((await callModern(gateway.url, 'one___one')).status).toBe(401)
      expect(target.requests).toEqual([])
    })
  })
})
