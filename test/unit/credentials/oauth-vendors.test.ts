/** The vendor table, walked row by row with a server that behaves as the row says. */
import { generateKeyPairSync } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { keepCallerToken } from '../../../src/auth/caller-token.ts'
import type { Json, OutboundRequest } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createSignIns } from '../../../src/credentials/oauth/flow.ts'
import type { OAuthOptions } from '../../../src/credentials/oauth/room.ts'
import type { Vendor } from '../../../src/credentials/oauth/vendor.ts'
import { fill, mendToken, parametersOf, vendorNamed, vendorNames } from '../../../src/credentials/oauth/vendors.ts'
import { oauth2 } from '../../../src/credentials/oauth2.ts'
import { ConnectionRequired, sign } from '../../../src/credentials/provider.ts'
import type { Egress } from '../../../src/egress/fetch.ts'
import { createRoom, optionsFor, outbound, principal, target, type TestRoom } from '../../support/oauth-room.ts'

const given = new Map([
  ['tenantId', '72f988bf-86f1-41af-91ab-2d7cd011db47'],
  ['domain', 'login.example.com'],
  ['subdomain', 'acme'],
  ['region', 'eu-west-1'],
  ['environmentId', 'e1'],
  ['userPoolId', 'eu-west-1_abc'],
  ['applicationId', 'app'],
])
const parameters = new Map([...given].map(([name, value]) => [name, value.replace('_', '-')]))
const clientId = 'client-1.apps~x'
const secret = 'se+cret/1'
const alice = principal('alice')

/** One vendor's authorization server, as its row describes it. */
class FakeVendor {
  readonly vendor: Vendor
  readonly requests: OutboundRequest[] = []
  readonly faults: string[] = []
  refusal: string | undefined
  #count = 0
  #scopes: string[] = []

  constructor(vendor: Vendor) {
    this.vendor = vendor
  }

  at(template: string | undefined): string | undefined {
    return template === undefined ? undefined : fill(template, this.vendor, parameters)
  }

  get authorization(): string {
    return this.at(this.vendor.authorization) ?? 'https://found.example.com/authorize'
  }

  /** The browser's way there and back. */
  consent(url: string): string {
    const { vendor } = this
    const asked = new URL(url)
    const { searchParams: query } = asked
    if (asked.origin + asked.pathname !== this.authorization) this.faults.push(`sent to ${asked.origin}`)
    if (query.has('code_challenge') !== vendor.pkce) this.faults.push('PKCE')
    if (vendor.pkce && query.get('code_challenge_method') !== 'S256') this.faults.push('S256')
    for (const [name, value] of Object.entries(vendor.authorizationParameters ?? {}))
      if (query.get(name) !== value) this.faults.push(name)
    const scopes = query.get(vendor.scopeParameter ?? 'scope') ?? ''
    this.#scopes = scopes.split(vendor.commaScopes === 'both' ? ',' : ' ')
    if (vendor.scopeParameter !== undefined && query.has('scope')) this.faults.push('scope')
    return `code=c0de&state=${query.get('state')}`
  }

  answer(request: OutboundRequest): { status: number; body: Json; form?: boolean } {
    this.requests.push(request)
    const { url } = request
    if (url === this.at(this.vendor.discovery)) return { status: 200, body: this.#metadata() }
    if (url === (this.at(this.vendor.token) ?? 'https://found.example.com/token')) return this.#token(request)
    if (url === (this.at(this.vendor.revocation) ?? 'https://found.example.com/revoke'))
      return { status: 200, body: {} }
    this.faults.push(`called ${url}`)
    return { status: 404, body: {} }
  }

  #metadata(): Json {
    return {
      issuer: this.at(this.vendor.discovery)?.replace('/.well-known/openid-configuration', '') ?? '',
      authorization_endpoint: this.authorization,
      token_endpoint: 'https://found.example.com/token',
      revocation_endpoint: 'https://found.example.com/revoke',
    }
  }

  #token(request: OutboundRequest): { status: number; body: Json } {
    const { vendor } = this
    const text = String(request.body)
    const form = new Map<string, string>(
      vendor.json === true ? Object.entries(JSON.parse(text) as Record<string, string>) : new URLSearchParams(text),
    )
    const type = request.headers.get('content-type') ?? ''
    if (!type.startsWith(vendor.json === true ? 'application/json' : 'application/x-www-form-urlencoded'))
      this.faults.push(type)
    this.#authentication(request, form)
    if (this.refusal !== undefined) return this.#refused(this.refusal)
    if (form.get('grant_type') === 'authorization_code' && form.has('code_verifier') !== vendor.pkce)
      this.faults.push('verifier')
    return { status: 200, body: this.#tokens(form.get('grant_type') ?? '') }
  }

  #authentication(request: OutboundRequest, form: ReadonlyMap<string, string>): void {
    if (this.vendor.clientAuthentication === 'client_secret_post') {
      if (form.get('client_id') !== clientId || form.get('client_secret') !== secret) this.faults.push('client secret')
      return
    }
    const [, pair = ''] = (request.headers.get('authorization') ?? '').split(' ')
    // as servers do that do not decode; what a form leaves as it is must be left
    const [id = '', password = ''] = Buffer.from(pair, 'base64').toString().split(':')
    if (id !== clientId.replace('~', '%7E') || decodeURIComponent(password) !== secret) this.faults.push('Basic')
  }

  #refused(error: string): { status: number; body: Json } {
    const { quirks = [] } = this.vendor
    if (quirks.includes('errorWithSuccess'))
      return { status: 200, body: { ok: false, error, error_description: '<i>no</i>' } }
    if (quirks.includes('statusError')) return { status: 400, body: { status: error, message: 'no' } }
    return { status: 400, body: { error } }
  }

  #tokens(grant: string): Json {
    const { quirks = [], commaScopes, longLived } = this.vendor
    const count = ++this.#count
    const scope = quirks.includes('scopeList') ? this.#scopes : this.#scopes.join(commaScopes === undefined ? ' ' : ',')
    const tokens: { [name: string]: Json } = {
      access_token: `access-${count}${grant === longLived ? '-long' : ''}`,
      ...(longLived === undefined ? { refresh_token: `refresh-${count}` } : {}),
      ...(quirks.includes('noTokenType') ? {} : { token_type: quirks.includes('userTokenType') ? 'user' : 'Bearer' }),
      expires_in: count === 1 ? '3600' : 3_600,
      scope,
    }
    if (!quirks.includes('authedUser')) return tokens
    return { ok: true, access_token: 'the-bots-own', token_type: 'bot', scope: 'chat:write', authed_user: tokens }
  }
}

function egressTo(fake: FakeVendor): Egress {
  return {
    check: (url) => new URL(url),
    channel: () => ({
      open: () => Promise.reject(new Error('nothing is streamed here')),
      send: async (request) => {
        const { status, body } = fake.answer(request)
        return {
          status,
          headers: new Map([['content-type', 'application/json; charset=utf-8']]),
          body: Buffer.from(JSON.stringify(body)),
          cut: false,
        }
      },
      close: async () => undefined,
    }),
    close: async () => undefined,
  }
}

const optionsOf = (name: string): OAuthOptions =>
  optionsFor({
    grant: 'authorizationCode',
    vendor: name,
    vendorParameters: parameters,
    clientId,
    clientSecret: new Secret(secret),
    scopes: ['a:read', 'b.write'],
  })

let room: TestRoom
beforeEach(() => {
  room = createRoom({ allow: [] })
  return () => room.close()
})

describe.each(vendorNames)('%s', (name) => {
  const vendor = vendorNamed(name)

  it('is a whole row that names its page', () => {
    expect(vendor.docs).toMatch(/^https:\/\/[\w.-]+\/./)
    expect(vendor.discovery === undefined).toBe(vendor.authorization !== undefined && vendor.token !== undefined)
    for (const template of [vendor.discovery, vendor.authorization, vendor.token, vendor.revocation])
      if (template !== undefined)
        expect(fill(template, vendor, parameters)).toMatch(/^https:\/\/[a-z0-9.-]+\/[\w./-]+$/)
    for (const parameter of parametersOf(vendor))
      expect(parameters.has(parameter) || vendor.defaults?.[parameter] !== undefined, parameter).toBe(true)
  })

  it('connects, signs, refreshes, ends and is revoked', async () => {
    const fake = new FakeVendor(vendor)
    const ours = { ...room, egress: egressTo(fake) }
    const provider = oauth2(optionsOf(name), ours)
    const signIns = createSignIns(ours, () => provider)
    const call = async () => sign(outbound(), provider, alice, target)
    const asked: unknown = await call().catch((error: unknown) => error)
    if (!(asked instanceof ConnectionRequired)) throw asked
    expect(asked.scopes).toEqual(['a:read', 'b.write', ...(vendor.offlineScopes ?? [])])
    const binding = 'a-browser-binding-of-enough-length'
    const query = fake.consent(await signIns.start(asked.pendingId, alice, binding))
    const finished = await signIns.finish({ query, credential: 'cred', binding })
    expect(finished).toMatchObject({ scopes: asked.scopes, missing: [] })

    const { request, fingerprint } = await call()
    const token = vendor.longLived === undefined ? 'access-1' : 'access-2-long'
    expect(request.headers.get('authorization')).toBe(`${vendor.scheme ?? 'Bearer'} ${token}`)
    if (vendor.clientHeader !== undefined) expect(request.headers.get(vendor.clientHeader)).toBe(clientId)

    room.ahead.monotonic += 3_600_000
    room.ahead.wall += 3_600_000
    if (vendor.longLived === undefined) {
      expect((await call()).fingerprint).not.toBe(fingerprint)
      fake.refusal = vendor.graveErrors?.[0] ?? 'invalid_grant'
      room.ahead.monotonic += 3_600_000
      room.ahead.wall += 3_600_000
    }
    await expect(call()).rejects.toBeInstanceOf(ConnectionRequired)
    expect(room.events.at(-2)).toMatchObject({ act: 'reconnect' })
    expect(fake.faults).toEqual([])
  })
})

describe('a vendor’s answer', () => {
  it.each<[string, string, { [name: string]: Json }, { [name: string]: Json }]>([
    ['no lifetime at all', 'salesforce', { issued_at: '1' }, { issued_at: '1' }],
    [
      'a lifetime as text',
      'facebook',
      { expires_in: '60', token_type: 'bearer' },
      { expires_in: '60', token_type: 'bearer' },
    ],
    ['a lifetime of nothing', 'stripe', { expires_in: 0 }, {}],
    ['a negative lifetime', 'box', { expires_in: -1 }, {}],
    ['a lifetime that is no number', 'box', { expires_in: 'never' }, {}],
    ['null where nothing is meant', 'notion', { refresh_token: null, scope: null }, {}],
    ['commas', 'github', { scope: 'repo,gist' }, { scope: 'repo gist' }],
    ['a list', 'twitch', { scope: ['a', 'b'] }, { scope: 'a b' }],
    ['no type', 'linkedin', {}, { token_type: 'bearer' }],
  ])('with %s (%s) is understood', (_, name, raw, expected) => {
    const mended = mendToken(vendorNamed(name), 200, { access_token: 't', ...raw })
    expect(mended).toEqual({ status: 200, body: { access_token: 't', ...expected } })
  })

  it.each([
    ['github', { error: 'bad_verification_code' }],
    ['slack', { ok: false, error: 'invalid_code' }],
    ['reddit', { error: 'invalid_grant' }],
  ])('of 200 that is a refusal (%s) is one', (name, raw) => {
    expect(mendToken(vendorNamed(name), 200, raw)).toEqual({ status: 400, body: { error: raw.error } })
  })
})

describe('a parameter of a vendor', () => {
  it.each(['evil.example/x', 'a?b', 'a#b', 'user@evil.example', '..', 'a..b', '', ' ', 'ä', 'x'.repeat(254)])(
    'is a name and leads nowhere else: %j',
    (value) => {
      expect(() => fill('https://{domain}/token', vendorNamed('auth0'), new Map([['domain', value]]))).toThrow(
        expect.objectContaining({ code: 'bad_config' }),
      )
    },
  )

  it('that is missing is named', () => {
    expect(() => oauth2({ ...optionsOf('microsoft'), vendorParameters: new Map() }, room)).toThrow(
      'Microsoft needs the parameter tenantId.',
    )
  })

  it('of a vendor that is not in the table is none', () => {
    expect(() => oauth2(optionsOf('constructor'), room)).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })
})

describe('a grant that carries an assertion (RFC 7523)', () => {
  /** Signs with what the server gives for any question, and tells what it was asked. */
  const ask = async (given: Partial<OAuthOptions>, who = alice) => {
    const asked: { url: string; form: URLSearchParams; authorization: string | undefined }[] = []
    const egress: Egress = {
      check: (url) => new URL(url),
      channel: () => ({
        open: () => Promise.reject(new Error('nothing is streamed here')),
        send: async ({ url, body, headers }) => {
          asked.push({ url, form: new URLSearchParams(String(body)), authorization: headers.get('authorization') })
          const tokens = { access_token: 'a-token', token_type: 'Bearer', expires_in: 3_600 }
          const found = { issuer: 'https://accounts.google.com', token_endpoint: 'https://oauth2.googleapis.com/token' }
          const answer = url.includes('/.well-known/') ? found : tokens
          return { status: 200, headers: new Map(), body: Buffer.from(JSON.stringify(answer)), cut: false }
        },
        close: async () => undefined,
      }),
      close: async () => undefined,
    }
    const options = optionsFor({ grant: 'jwtBearer', clientId, scopes: ['a', 'b'], ...given })
    const provider = oauth2(options, { ...room, egress })
    await sign(outbound(), provider, who, target)
    await sign(outbound(), provider, who, target)
    expect(asked.filter(({ url }) => !url.includes('/.well-known/'))).toHaveLength(1)
    const last = asked.at(-1)
    if (last === undefined) throw new Error('nothing was asked')
    return last
  }

  it('sends the caller’s token on behalf of the caller, as Microsoft wants it', async () => {
    const who = principal('anna')
    keepCallerToken(who, new Secret('token-of-anna'))
    const { url, form } = await ask(
      { vendor: 'microsoft', vendorParameters: parameters, clientSecret: new Secret(secret) },
      who,
    )
    expect(url).toBe(`https://login.microsoftonline.com/${parameters.get('tenantId')}/oauth2/v2.0/token`)
    expect(Object.fromEntries(form)).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: 'token-of-anna',
      requested_token_use: 'on_behalf_of',
      scope: 'a b',
      client_id: clientId,
      client_secret: secret,
    })
  })

  it.each(['pkcs8', 'pkcs1'] as const)(
    'is signed by a Google service account itself (%s), and names no client',
    async (type) => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 })
      const pem = privateKey.export({ format: 'pem', type }).toString()
      const { form, authorization } = await ask({ vendor: 'google', privateKey: new Secret(pem) })
      expect(authorization).toBeUndefined()
      expect([...form.keys()].toSorted()).toEqual(['assertion', 'grant_type', 'scope'])
      const { payload } = await jwtVerify(form.get('assertion') ?? '', publicKey, { algorithms: ['RS256'] })
      expect(payload).toEqual({
        iss: clientId,
        aud: 'https://oauth2.googleapis.com/token',
        scope: 'a b',
        iat: expect.any(Number),
        exp: (payload.iat ?? 0) + 300,
        jti: expect.any(String),
      })
    },
  )

  it('says whom it acts for, to whom and what else, as the configuration has it, with the key that a JWK names', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'k7' }
    const { form } = await ask({
      issuer: 'https://as.example.com',
      tokenEndpoint: 'https://as.example.com/token',
      privateKey: new Secret(JSON.stringify(jwk)),
      assertion: {
        subject: 'user-1',
        audience: 'as.example.com',
        claims: new Map([
          ['box_sub_type', 'user'],
          ['iss', 'mine'],
        ]),
      },
    })
    const assertion = form.get('assertion') ?? ''
    expect(decodeProtectedHeader(assertion)).toEqual({ alg: 'ES256', kid: 'k7', typ: 'JWT' })
    const { payload } = await jwtVerify(assertion, publicKey, { algorithms: ['ES256'], audience: 'as.example.com' })
    expect(payload).toMatchObject({ sub: 'user-1', box_sub_type: 'user', iss: clientId })
  })

  it.each([
    ['no key at all', 'nonsense'],
    ['a public key', generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' }).toString()],
    ['a broken JWK', '{"kty":"RSA"}'],
    ['a JWK of a shared secret', '{"kty":"oct","k":"AAAA"}'],
    ['JSON that is none', '{'],
    [
      'a kind of key that signs nothing here',
      generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    ],
  ])('is refused at the start with %s, and nothing of it is said', (_, text) => {
    const options = optionsFor({ grant: 'jwtBearer', vendor: 'google', privateKey: new Secret(text) })
    expect(() => oauth2(options, room)).toThrow(/^The credential cred has a privateKey that is neither/)
  })
})
