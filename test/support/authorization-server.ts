/** A real authorization server in process (oidc-provider), with a browser that says yes, and ways to go wrong. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { generateKeyPairSync } from 'node:crypto'
import { type Configuration, Provider } from 'oidc-provider'

/** What to do with one request to the token endpoint instead of, or besides, answering it. */
type Trouble = (context: {
  readonly grantType: string
  /** Answers as usual. */
  readonly answer: () => void
  /** Does all the work and breaks the connection off where the answer would begin. */
  readonly workAndBreak: () => void
  readonly response: ServerResponse
}) => void

export interface AuthorizationServer {
  readonly issuer: string
  /** For `egress.allow`. */
  readonly address: string
  readonly clientId: string
  readonly clientSecret: string
  /** The public half of this key belongs to the client `key-client`. */
  readonly privateKey: string
  /** `grant_type` of each request to the token endpoint, in order. */
  readonly tokenRequests: string[]
  /** Bodies of those requests. */
  readonly tokenBodies: URLSearchParams[]
  /** Tokens revoked through RFC 7009. */
  readonly revocations: string[]
  /** Seconds that access tokens last from now on. */
  accessSeconds: number
  rotate: boolean
  trouble: Trouble | undefined
  /** Goes where the URL leads, signs in, consents, and gives the URL that the browser is sent back to. */
  browse(url: string): Promise<URL>
  provider: Provider
  close(): Promise<void>
}

export interface AuthorizationServerOptions {
  readonly callbackUrl: string
  /** Credential names: each has its redirect URI. */
  readonly credentials: readonly string[]
  readonly resource?: string
}

const account = { sub: 'alice', email: 'alice@example.com', name: 'Alice' }

export async function startAuthorizationServer(options: AuthorizationServerOptions): Promise<AuthorizationServer> {
  const http = createServer()
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const { port } = http.address() as AddressInfo
  const issuer = `http://127.0.0.1:${port}`
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const state = { accessSeconds: 3_600, rotate: true }
  const provider = new Provider(
    issuer,
    configuration(options, state, { ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig' }),
  )
  addTokenExchange(provider)
  const tokenRequests: string[] = []
  const tokenBodies: URLSearchParams[] = []
  const revocations: string[] = []
  const server: AuthorizationServer = {
    issuer,
    address: `127.0.0.1:${port}`,
    clientId: 'gateway',
    clientSecret: 'gateway-secret-canary-6f1d',
    privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    tokenRequests,
    tokenBodies,
    revocations,
    get accessSeconds() {
      return state.accessSeconds
    },
    set accessSeconds(seconds) {
      state.accessSeconds = seconds
    },
    get rotate() {
      return state.rotate
    },
    set rotate(rotate) {
      state.rotate = rotate
    },
    trouble: undefined,
    browse: (url) => browse(url, options.callbackUrl),
    provider,
    close: () => close(http),
  }
  const serve = provider.callback()
  http.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const path = new URL(request.url ?? '/', issuer).pathname
    if (path.startsWith('/interaction/')) void consent(provider, request, response)
    else if (path === '/token') void token(server, serve, request, response)
    else if (path === '/token/revocation') void revocation(server, serve, request, response)
    else void serve(request, response)
  })
  return server
}

const configuration = (
  { callbackUrl, credentials, resource }: AuthorizationServerOptions,
  state: { accessSeconds: number; rotate: boolean },
  clientKey: object,
): Configuration => {
  const redirect = credentials.map((name) => `${callbackUrl}/${name}`)
  const grants = ['authorization_code', 'refresh_token', 'client_credentials', exchangeGrant]
  return {
    clients: [
      {
        client_id: 'gateway',
        client_secret: 'gateway-secret-canary-6f1d',
        grant_types: grants,
        redirect_uris: redirect,
        scope: 'openid offline_access email read write',
      },
      {
        client_id: 'post-client',
        client_secret: 'gateway-secret-canary-6f1d',
        token_endpoint_auth_method: 'client_secret_post',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        scope: 'read write',
      },
      {
        client_id: 'key-client',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [clientKey] },
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        scope: 'read write',
      },
      {
        client_id: 'public-client',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token'],
        redirect_uris: redirect,
        scope: 'openid offline_access email read write',
      },
    ],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
    claims: { openid: ['sub'], email: ['email', 'name'] },
    conformIdTokenClaims: false,
    scopes: ['openid', 'offline_access', 'email', 'read', 'write'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators:
        resource === undefined
          ? { enabled: false }
          : {
              enabled: true,
              defaultResource: () => resource,
              useGrantedResource: () => true,
              getResourceServerInfo: (_context: unknown, indicator: string) => ({
                scope: 'read write',
                audience: indicator,
                accessTokenFormat: 'jwt' as const,
              }),
            },
    },
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: () => account }),
    interactions: { url: (_context: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
    issueRefreshToken: (_context: unknown, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => state.rotate,
    ttl: {
      AccessToken: () => state.accessSeconds,
      ClientCredentials: () => state.accessSeconds,
      RefreshToken: 86_400,
      AuthorizationCode: 60,
      IdToken: 3_600,
      Grant: 86_400,
      Interaction: 600,
      Session: 86_400,
    },
    cookies: { keys: ['a-key-for-cookies-of-tests'] },
    jwks: { keys: [signingKey()] },
  }
}

const signingKey = (): never =>
  ({
    ...generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export({ format: 'jwk' }),
    kid: 'server',
    alg: 'RS256',
    use: 'sig',
  }) as never

const exchangeGrant = 'urn:ietf:params:oauth:grant-type:token-exchange'

/** RFC 8693, as far as a test needs it: the subject token is named in the new one’s subject. */
function addTokenExchange(provider: Provider): void {
  provider.registerGrantType(
    exchangeGrant,
    async (context) => {
      const { client, params } = context.oidc
      const subject = params?.['subject_token']
      if (typeof subject === 'string' && subject.startsWith('bad')) {
        context.status = 400
        context.body = { error: 'invalid_grant', error_description: '<b>no</b>' }
        return
      }
      const token = new provider.ClientCredentials({ client, scope: 'read' })
      context.body = {
        access_token: await token.save(),
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        token_type: 'Bearer',
        expires_in: token.expiration,
        scope: 'read',
      }
    },
    ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'scope', 'audience'],
  )
}

const readBody = async (request: IncomingMessage): Promise<string> => {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

type Serve = (request: IncomingMessage, response: ServerResponse) => unknown

/** oidc-provider takes a body that was read already from `request.body`. */
async function token(
  server: AuthorizationServer,
  serve: Serve,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request)
  const form = new URLSearchParams(body)
  const grantType = form.get('grant_type') ?? ''
  server.tokenRequests.push(grantType)
  server.tokenBodies.push(form)
  Object.assign(request, { body: Object.fromEntries(form) })
  const answer = (): void => void serve(request, response)
  if (server.trouble === undefined) return answer()
  server.trouble({
    grantType,
    answer,
    response,
    workAndBreak() {
      response.end = (): ServerResponse => {
        request.socket.destroy()
        return response
      }
      answer()
    },
  })
}

async function revocation(
  server: AuthorizationServer,
  serve: Serve,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const form = new URLSearchParams(await readBody(request))
  server.revocations.push(form.get('token') ?? '')
  Object.assign(request, { body: Object.fromEntries(form) })
  serve(request, response)
}

/** Signs in and consents, each time it is asked. */
async function consent(provider: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const details = await provider.interactionDetails(request, response)
  const { prompt, params, session } = details
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: account.sub } })
    return
  }
  const grant =
    (details.grantId === undefined ? undefined : await provider.Grant.find(details.grantId)) ??
    new provider.Grant({ accountId: session?.accountId ?? '', clientId: String(params['client_id']) })
  const missing = prompt.details as {
    missingOIDCScope?: string[]
    missingOIDCClaims?: string[]
    missingResourceScopes?: Record<string, string[]>
  }
  grant.addOIDCScope((missing.missingOIDCScope ?? []).join(' '))
  for (const [indicator, scopes] of Object.entries(missing.missingResourceScopes ?? {}))
    grant.addResourceScope(indicator, scopes.join(' '))
  await provider.interactionFinished(
    request,
    response,
    { consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true },
  )
}

/** A browser of its own each time: follows redirects, keeps cookies. */
async function browse(url: string, until: string): Promise<URL> {
  const cookies = new Map<string, string>()
  let at = url
  for (let hops = 0; hops < 20; hops++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } })
    for (const line of answer.headers.getSetCookie()) {
      const [pair = ''] = line.split(';')
      const split = pair.indexOf('=')
      cookies.set(pair.slice(0, split), pair.slice(split + 1))
    }
    const location = answer.headers.get('location')
    if (location === null) throw new Error(`the browser stopped at ${at}: ${answer.status} ${await answer.text()}`)
    await answer.arrayBuffer()
    at = new URL(location, at).href
    if (at.startsWith(until)) return new URL(at)
  }
  throw new Error('too many redirects')
}

async function close(http: Server): Promise<void> {
  http.closeAllConnections()
  http.close()
  await once(http, 'close')
}
