/** A certified OpenID provider in this process, on a free port, with what tests need to do to it. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { CompactSign, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import { type Configuration, errors, Provider } from 'oidc-provider'

export type TokenClaims = { readonly [name: string]: unknown }

export interface IdentityProvider {
  /** Its name and origin, for example `http://127.0.0.1:40123`. */
  readonly issuer: string
  /** `host:port`, for `egress.allow`. */
  readonly address: string
  readonly discoveryUrl: string
  /** Answers in its place when it gives something; `hang up` closes the connection. */
  intercept: ((path: string) => { readonly status: number; readonly body: string } | 'hang up' | undefined) | undefined
  /** The algorithm of later access tokens; RS256 at first. */
  algorithm: 'RS256' | 'RS384' | 'RS512' | 'PS256' | 'PS384' | 'PS512' | 'ES256' | 'ES384' | 'ES512' | 'EdDSA'
  /** Claims that it adds to later access tokens. */
  extraClaims: TokenClaims
  /** Client ID Metadata Documents by URL, which only this provider can fetch. */
  readonly clientDocuments: Map<string, object>
  /** How often a path was asked for. */
  heard(path: string): number
  /** An access token by client credentials (RFC 6749 §4.4), for a resource (RFC 8707). */
  token(resource: string, scope?: string): Promise<string>
  /** Signs whatever it is told with its own key: a provider that was tricked. A text is the payload as it is. */
  sign(claims: TokenClaims | string, header?: TokenClaims): Promise<string>
  /** New keys; the old ones stay published or go at once. */
  rotate(old: 'old keys stay' | 'old keys go'): Promise<void>
  /** The published keys. */
  keys(): readonly JWK[]
  /** A browser whose user signs in and agrees to everything: the redirect URI that it ends at. */
  browse(authorizationUrl: URL | string): Promise<URL>
  close(): Promise<void>
}

/** A provider that standard clients cannot use: known clients only, one resource, which nobody may name. */
export interface ClosedProvider {
  readonly clients: readonly { readonly id: string; readonly secret: string; readonly redirectUri: string }[]
  /** Of every access token. */
  readonly audience: string
}

const machine = { id: 'machine', secret: 'a secret of the tests only' }
export const user = 'alice'

const kinds = [
  ['RS256', undefined],
  ['ES256', 'ES256'],
  ['ES384', 'ES384'],
  ['ES512', 'ES512'],
  ['EdDSA', 'EdDSA'],
] as const

let made = 0

const makeKeys = (): Promise<JWK[]> =>
  Promise.all(
    kinds.map(async ([kind, alg]) => {
      const { privateKey } = await generateKeyPair(kind, { extractable: true })
      made += 1
      // an RSA key serves all its algorithms
      return { ...(await exportJWK(privateKey)), kid: `key-${made}`, use: 'sig', ...(alg === undefined ? {} : { alg }) }
    }),
  )

const publicPart = ({ d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, ...rest }: JWK): JWK => rest

function configuration(jwks: readonly JWK[], provider: IdentityProvider, closed?: ClosedProvider): Configuration {
  return {
    jwks: { keys: jwks },
    clients: [
      {
        client_id: machine.id,
        client_secret: machine.secret,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      },
      ...(closed?.clients ?? []).map(({ id, secret, redirectUri }) => ({
        client_id: id,
        client_secret: secret,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
      })),
    ],
    scopes: ['openid', 'offline_access', 'tools', 'tools:write'],
    cookies: { keys: ['cookies of the tests only'] },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    extraTokenClaims: () => ({ ...provider.extraClaims }),
    ttl: {
      AccessToken: 600,
      AuthorizationCode: 60,
      ClientCredentials: 600,
      Grant: 600,
      IdToken: 600,
      Interaction: 60,
      RefreshToken: 600,
      Session: 600,
    },
    fetch: async (url) => {
      const document = provider.clientDocuments.get(url instanceof Request ? url.url : url.toString())
      return document === undefined ? new Response(null, { status: 404 }) : Response.json(document)
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: closed === undefined },
      clientIdMetadataDocument: { enabled: closed === undefined, ack: 'draft-02' },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        ...(closed === undefined ? {} : { defaultResource: () => closed.audience }),
        getResourceServerInfo: (_ctx, resource) => {
          if (closed !== undefined && resource !== closed.audience) throw new errors.InvalidTarget()
          return {
            scope: 'tools tools:write',
            audience: resource,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: provider.algorithm } },
          }
        },
      },
    },
  }
}

/** Signs the user in and grants all that is asked for. */
async function interact(oidc: Provider, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { prompt, session, params } = await oidc.interactionDetails(request, response)
  if (prompt.name === 'login') {
    await oidc.interactionFinished(request, response, { login: { accountId: user } })
    return
  }
  const grant = new oidc.Grant({ accountId: session?.accountId ?? user, clientId: String(params['client_id']) })
  const { missingOIDCScope, missingResourceScopes } = prompt.details as {
    missingOIDCScope?: string[]
    missingResourceScopes?: { [resource: string]: string[] }
  }
  if (missingOIDCScope !== undefined) grant.addOIDCScope(missingOIDCScope.join(' '))
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {}))
    grant.addResourceScope(resource, scopes.join(' '))
  await oidc.interactionFinished(request, response, { consent: { grantId: await grant.save() } })
}

export async function startIdentityProvider(closed?: ClosedProvider): Promise<IdentityProvider> {
  const heard = new Map<string, number>()
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    heard.set(path, (heard.get(path) ?? 0) + 1)
    const instead = provider.intercept?.(path)
    if (instead === 'hang up') request.socket.destroy()
    else if (instead !== undefined)
      response.writeHead(instead.status, { 'content-type': 'application/json' }).end(instead.body)
    else if (path.startsWith('/interaction/'))
      interact(oidc, request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
    else void callback(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = server.address()
  const address = `127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`
  const issuer = `http://${address}`

  let current = await makeKeys()
  let retired: JWK[] = []
  const signer = (): JWK & { kid: string } => {
    const [key] = current
    if (key?.kid === undefined) throw new Error('no key')
    return { ...key, kid: key.kid }
  }
  const provider: IdentityProvider = {
    issuer,
    address,
    discoveryUrl: `${issuer}/.well-known/openid-configuration`,
    intercept: undefined,
    algorithm: 'RS256',
    extraClaims: {},
    clientDocuments: new Map(),
    heard: (path) => heard.get(path) ?? 0,
    keys: () => [...current, ...retired].map(publicPart),
    async token(resource, scope = 'tools') {
      const response = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${machine.id}:${encodeURIComponent(machine.secret)}`).toString('base64')}`,
        },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource, scope }),
      })
      const answer = (await response.json()) as { access_token?: string }
      if (answer.access_token === undefined) throw new Error(`no token: ${JSON.stringify(answer)}`)
      return answer.access_token
    },
    async sign(claims, header = {}) {
      const key = signer()
      return new CompactSign(Buffer.from(typeof claims === 'string' ? claims : JSON.stringify(claims)))
        .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: key.kid, ...header })
        .sign(await importJWK(key, 'RS256'))
    },
    async rotate(old) {
      retired = old === 'old keys stay' ? [...current, ...retired] : []
      current = await makeKeys()
      renew()
    },
    async browse(authorizationUrl) {
      const cookies = new Map<string, string>()
      let url = new URL(authorizationUrl)
      for (let hops = 0; url.origin === issuer; hops++) {
        if (hops > 10) throw new Error('the sign-in leads nowhere')
        const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
        const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
        for (const [, name = '', value = ''] of response.headers
          .getSetCookie()
          .map((field) => /^([^=]+)=([^;]*)/.exec(field) ?? []))
          cookies.set(name, value)
        const location = response.headers.get('location')
        if (location === null) throw new Error(`the sign-in stops: ${response.status} ${await response.text()}`)
        url = new URL(location, url)
      }
      return url
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  let oidc: Provider
  let callback: ReturnType<Provider['callback']>
  const renew = (): void => {
    oidc = new Provider(issuer, configuration([...current, ...retired], provider, closed))
    callback = oidc.callback()
  }
  renew()
  return provider
}
