/**
 * Secrets of every kind that a target is called with, as canaries (rows T19 and V12 of the threat model): one gateway
 * process that says all it has to say, servers that give back what they were sent in every way in which an answer can go
 * wrong, and then a look everywhere. None is found but where it belongs.
 */
import { execFile } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEgress } from '../../src/egress/fetch.ts'
import { systemClock } from '../../src/core/clock.ts'
import { bearer, type Caller, callerOf, filesUnder, tokenOf } from '../support/callers.ts'
import type { Pages } from '../support/connect-pages.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorded, type Recorder, startRecorder } from '../support/recorder.ts'
import { createBrowser, leavesFor, type PageAnswer, type TestBrowser } from '../support/test-browser.ts'
import type { Loose } from '../support/wire.ts'
import { sentIn, troubles } from './leaks.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
const kinds = Object.keys(troubles)
/** Names of credentials and targets, for the troubles of the servers behind them. */
const numbered = (kind: string): string[] => kinds.map((_name, place) => `${kind}${place}`)
const troubleOf = (name: string): string | undefined => kinds[Number(/\d+$/.exec(name)?.[0] ?? Number.NaN)]

const canaries = new Map<string, string>()
const isCanary = (what: string, secret: string): string => {
  canaries.set(what, secret)
  return secret
}
const canary = (what: string): string => isCanary(what, `canary${randomBytes(12).toString('hex')}`)
let made = 0

const keyPair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = keyPair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
for (const [place, line] of pem.split('\n').slice(1, -2).entries()) isCanary(`private key, line ${place}`, line)
isCanary('private key, d', keyPair.privateKey.export({ format: 'jwk' }).d ?? '')

const env = {
  API_KEY: canary('api key'),
  BASIC_USER: canary('basic user name'),
  BASIC_PASSWORD: canary('basic password'),
  SECRET_BASIC: canary('client secret, basic'),
  SECRET_POST: canary('client secret, post'),
  PRIVATE_KEY: pem,
  ACTOR: canary('actor token'),
  // an identifier, which AWS and others show
  SIGV4_ID: 'AKIDOFTHETARGET',
  SIGV4_KEY: canary('sigv4 secret key'),
  SIGV4_SESSION: canary('sigv4 session token'),
  VAULT_KEY: isCanary('vault key', randomBytes(32).toString('base64')),
  AWS_ACCESS_KEY_ID: 'AKIDOFTESTS',
  AWS_SECRET_ACCESS_KEY: canary('secret key of the default chain'),
  IDENTITY_SECRET: '',
}
isCanary('vault key, as bytes', Buffer.from(env.VAULT_KEY, 'base64').toString('latin1'))
isCanary('basic pair', Buffer.from(`${env.BASIC_USER}:${env.BASIC_PASSWORD}`).toString('base64'))
const managed = canary('managed secret')
const kept = canary('secrets manager value')
const keptToo = canary('another member of it')

let provider: IdentityProvider
let target: Recorder
let server: Recorder
let aws: Recorder
let gateway: GatewayProcess
let caller: Caller
let browser: TestBrowser

/** What callers, operators and browsers were answered. */
const answers: string[] = []
const note = (where: string, { status, headers, text }: Pick<PageAnswer, 'status' | 'headers' | 'text'>): void => {
  // a cookie is set where it belongs
  const fields = [...headers].filter(([name]) => name !== 'set-cookie')
  answers.push(`${where}: ${status} ${JSON.stringify(fields)} ${text}`)
}

const call = async (name: string, more: object = {}): Promise<Loose> => {
  const answer = await caller.call(`${name}___get`, {}, more)
  note(`call of ${name}`, answer)
  return answer.json
}
const isGood = (answer: Loose): boolean => Array.isArray(answer?.result?.content) && answer.result.isError !== true

/** Tokens for whoever asks, unless the client is named for a trouble. */
const tokenAnswer = (request: Recorded): Recorder['answer'] => {
  const form = new URLSearchParams(request.body.toString())
  const inHead = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString()
  const client = form.get('client_id') ?? inHead.split(':')[0] ?? ''
  const verifier = form.get('code_verifier')
  if (verifier !== null) isCanary(`code verifier of ${client}`, verifier)
  const assertion = form.get('client_assertion')
  if (assertion !== null) isCanary(`client assertion ${(made += 1)}`, assertion)
  const trouble = troubles[troubleOf(client) ?? '']
  const isLater = client.startsWith('later') && form.get('grant_type') === 'authorization_code'
  if (trouble !== undefined && !isLater) return (_request, response) => trouble(sentIn(request), response)
  made += 1
  return json({
    access_token: canary(`access token ${made} of ${client}`),
    refresh_token: canary(`refresh token ${made} of ${client}`),
    token_type: 'Bearer',
    expires_in: isLater ? 1 : 3_600,
  })
}

const oauth = (name: string, grant: string, how: object): object => ({
  type: 'oauth2',
  grant,
  clientId: name,
  issuer: server.origin,
  authorizationEndpoint: `${server.origin}/authorize`,
  tokenEndpoint: `${server.origin}/token`,
  revocationEndpoint: `${server.origin}/revoke`,
  scopes: ['read'],
  ...how,
})
const ways: readonly object[] = [
  { clientSecret: { env: 'SECRET_BASIC' } },
  { clientSecret: { env: 'SECRET_POST' }, clientAuthentication: 'client_secret_post' },
  { privateKey: { env: 'PRIVATE_KEY' }, clientAuthentication: 'private_key_jwt' },
]
const wayOf = (place: number): object => ways[place % ways.length] ?? {}
const each = (kind: string, make: (name: string, place: number) => object): { [name: string]: object } =>
  Object.fromEntries(numbered(kind).map((name, place) => [name, make(name, place)]))
const inManager = (secretId: string): object => ({
  type: 'apiKey',
  in: 'header',
  name: 'X-Key',
  value: { secretsManager: { secretId, jsonKey: 'key', region: 'us-east-1', endpoint: aws.origin } },
})
const actor = { actorToken: { token: { env: 'ACTOR' } } }

/** What works; the rest is in trouble. */
const good = (): { [name: string]: object } => ({
  header: { type: 'apiKey', in: 'header', name: 'X-Key', value: { env: 'API_KEY' } },
  query: { type: 'apiKey', in: 'query', name: 'key', value: { env: 'API_KEY' } },
  cookie: { type: 'apiKey', in: 'cookie', name: 'key', value: { env: 'API_KEY' } },
  basic: { type: 'basic', username: { env: 'BASIC_USER' }, password: { env: 'BASIC_PASSWORD' } },
  itself: oauth('itself', 'clientCredentials', wayOf(0)),
  posted: oauth('posted', 'clientCredentials', wayOf(1)),
  keyed: oauth('keyed', 'clientCredentials', wayOf(2)),
  user: oauth('user', 'authorizationCode', wayOf(0)),
  exchanged: oauth('exchanged', 'tokenExchange', { ...wayOf(1), ...actor }),
  managed: { type: 'apiKey', in: 'header', name: 'X-Key', value: { vault: 'managed' } },
  manager: inManager('good'),
  signed: {
    type: 'sigv4',
    service: 'execute-api',
    region: 'us-east-1',
    accessKeyId: { env: 'SIGV4_ID' },
    secretAccessKey: { env: 'SIGV4_KEY' },
    sessionToken: { env: 'SIGV4_SESSION' },
  },
})

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  return port
}

const toolgate = (words: readonly string[], input = ''): Promise<number> =>
  new Promise((resolve) => {
    const options = { cwd: gateway.dir, env: { ...process.env, ...env } }
    const child = execFile(process.execPath, [main, ...words], options, (error, out, err) => {
      answers.push(`toolgate ${words.join(' ')}: ${out} ${err}`)
      resolve(error === null ? 0 : Number(error.code))
    })
    child.stdin?.end(input)
  })

beforeAll(async () => {
  ;[provider, target, server, aws] = await Promise.all([
    startIdentityProvider(),
    startRecorder(),
    startRecorder(),
    startRecorder(),
  ])
  server.answer = (request, ...rest) => tokenAnswer(request)(request, ...rest)
  aws.answer = (request, response, incoming) => {
    const { SecretId } = JSON.parse(request.body.toString()) as { SecretId: string }
    const trouble = troubles[troubleOf(SecretId) ?? '']
    if (trouble !== undefined) return trouble(`${kept} ; ${sentIn(request)}`, response)
    return json({ Name: SecretId, SecretString: JSON.stringify({ key: kept, other: keptToo }) })(
      request,
      response,
      incoming,
    )
  }
  const [port, adminPort] = [await freePort(), await freePort()]
  const publicUrl = `http://127.0.0.1:${port}`
  const registered = await fetch(`${provider.issuer}/reg`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ redirect_uris: [`${publicUrl}/connect/identity`] }),
  })
  const client = (await registered.json()) as { client_id: string; client_secret: string }
  env.IDENTITY_SECRET = isCanary('client secret at the identity provider', client.client_secret)
  const credentials = {
    ...good(),
    ...each('itself', (name, place) => oauth(name, 'clientCredentials', wayOf(place))),
    ...each('exchanged', (name, place) => oauth(name, 'tokenExchange', { ...wayOf(place), ...actor })),
    ...each('user', (name, place) => oauth(name, 'authorizationCode', wayOf(place))),
    ...each('later', (name, place) => oauth(name, 'authorizationCode', wayOf(place))),
    ...each('manager', inManager),
  }
  const names = Object.keys(credentials)
  gateway = await startGatewayProcess({
    config: {
      publicUrl,
      listen: { port },
      // the command line has to find it
      admin: { port: adminPort },
      log: { level: 'debug' },
      inbound: {
        type: 'jwt',
        discoveryUrl: provider.discoveryUrl,
        clientId: client.client_id,
        clientSecret: { env: 'IDENTITY_SECRET' },
      },
      vault: { key: { env: 'VAULT_KEY' } },
      egress: { allow: [target, server, aws, provider].map(({ address }) => address) },
      credentials,
      targets: Object.fromEntries(
        names.map((name) => [name, { credential: name, headers: { forwardResponse: ['X-Leak'] } }]),
      ),
    },
    env,
    files: Object.fromEntries(
      names.map((name) => [`specs/${name}.json`, oneTool(target.origin, 'get', `/at/${name}`)]),
    ),
  })
  const token = isCanary('the caller’s own token', await tokenOf(provider, `${publicUrl}/mcp`, { sub: 'alice' }))
  caller = callerOf(`${gateway.url}/mcp`, bearer(token))
  browser = createBrowser(() => ({ url: gateway.url, publicUrl }) as Pages)
})
afterAll(async () => {
  await gateway.remove()
  await Promise.all([target, server, aws, provider].map((one) => one.close()))
})

/** As the user does, as far as the answer to what the authorization server says; `change` has its way with that. */
async function signIn(name: string, change: (back: URL) => void = () => undefined): Promise<PageAnswer> {
  const link = /http:\/\/127\.0\.0\.1:\d+(\/connect\/[\w-]+)/.exec(JSON.stringify(await call(name)))?.[1] ?? ''
  note('link', await browser.get(link))
  let left = await browser.submit(link)
  let leaving = leavesFor(left)
  if (leaving.origin === provider.issuer) {
    isCanary('state at the identity provider', leaving.searchParams.get('state') ?? '')
    isCanary('nonce at the identity provider', leaving.searchParams.get('nonce') ?? '')
    const back = await provider.browse(leaving)
    isCanary('code of the identity provider', back.searchParams.get('code') ?? '')
    note('identity', await browser.get(back.pathname + back.search))
    left = await browser.submit(link)
    leaving = leavesFor(left)
  }
  const state = isCanary(`state of ${name}`, leaving.searchParams.get('state') ?? '')
  const back = new URL(leaving.searchParams.get('redirect_uri') ?? '')
  back.search = new URLSearchParams({ code: canary(`code of ${name}`), state, iss: server.origin }).toString()
  change(back)
  const answer = await browser.get(back.pathname + back.search)
  note('callback', answer)
  const next = answer.headers.get('location')
  if (next !== null) note('done', await browser.get(next))
  note('the user’s own page', await browser.get('/connect'))
  return answer
}

const isAt = (name: string) => (request: Recorded) =>
  request.url.startsWith(`/at/${name}?`) || request.url === `/at/${name}`

describe('secrets', () => {
  it('are used: each of them reaches the target that it is for, and no other', async () => {
    expect(await toolgate(['secret', 'set', 'managed'], managed)).toBe(0)
    expect((await signIn('user')).status).toBe(303)
    for (const name of Object.keys(good())) expect([name, isGood(await call(name))]).toEqual([name, true])
    const found = new Map(
      Object.keys(good()).map((name) => [name, JSON.stringify(target.requests.filter(isAt(name)))] as const),
    )
    const places = [...canaries].map(
      ([what, secret]) => [what, [...found].flatMap(([name, text]) => (text.includes(secret) ? [name] : []))] as const,
    )
    const wanted: { readonly [what: string]: readonly string[] } = {
      'api key': ['header', 'query', 'cookie'],
      'basic pair': ['basic'],
      'managed secret': ['managed'],
      'secrets manager value': ['manager'],
      'sigv4 session token': ['signed'],
    }
    for (const [what, names] of places)
      expect([what, names]).toEqual([
        what,
        wanted[what] ?? (what.startsWith('access token') ? [what.replace(/.* of /, '')] : []),
      ])
    expect(found.get('signed')).toContain('Signature=')
    expect(JSON.stringify(server.requests.map(({ body }) => body.toString()))).toContain(env.SECRET_POST)
  })

  it.each(kinds)('are sent to targets that give them back: %s', async (kind) => {
    target.answer = (request, response) => {
      if (kind !== 'an end too early') response.setHeader('x-leak', sentIn(request).replaceAll(/[^\x20-\x7e]/g, ' '))
      troubles[kind]?.(sentIn(request), response)
    }
    const before = target.requests.length
    await Promise.all(Object.keys(good()).map((name) => call(name)))
    expect(target.requests.length - before).toBeGreaterThanOrEqual(Object.keys(good()).length)
  })

  it('are sent to an authorization server that gives them back, by the gateway itself and with a caller’s token', async () => {
    target.answer = json({ ok: true })
    // what none but a wrong member spoils is a token all the same
    for (const name of [...numbered('itself'), ...numbered('exchanged')])
      expect([name, isGood(await call(name))]).toEqual([name, false])
  })

  it('are sent to one when a user signs in, and when a refresh token is used', async () => {
    for (const name of numbered('user')) expect((await signIn(name)).status).toBeGreaterThanOrEqual(400)
    for (const name of numbered('later')) expect([name, (await signIn(name)).status]).toEqual([name, 303])
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const before = server.requests.length
    await Promise.all(numbered('later').map((name) => call(name)))
    expect(server.requests.length - before).toBeGreaterThanOrEqual(kinds.length)
  })

  it('come back to a callback that is refused', async () => {
    const changes: readonly ((back: URL) => void)[] = [
      ({ searchParams }) => searchParams.set('state', canary('a wrong state')),
      ({ searchParams }) => searchParams.set('iss', `https://${canary('a wrong issuer')}.example`),
      ({ searchParams }) => searchParams.append('code', canary('a second code')),
      ({ searchParams }) => {
        searchParams.delete('code')
        searchParams.set('error', 'access_denied')
        searchParams.set('error_description', canary('a reason'))
      },
      ({ searchParams }) => searchParams.set('error', canary('an error that is none')),
      (back) => {
        back.pathname += 'x'
      },
    ]
    for (const change of changes) expect((await signIn('user0', change)).status).toBeGreaterThanOrEqual(400)
  })

  it('are kept at AWS, which gives them back', async () => {
    const got = await Promise.all(numbered('manager').map(async (name) => [name, isGood(await call(name))]))
    expect(got.filter(([, isFine]) => isFine === true)).toEqual([])
    expect(aws.requests.length).toBeGreaterThanOrEqual(kinds.length)
  })

  it('are on their way when targets are gone', async () => {
    await target.close()
    for (const name of Object.keys(good())) expect(isGood(await call(name))).toBe(false)
  })

  it('are found nowhere afterwards', async () => {
    const admin = async (path: string): Promise<void> => {
      const answer = await fetch(`${gateway.adminUrl}${path}`, { headers: bearer(gateway.adminToken) })
      expect([path, answer.status]).toEqual([path, 200])
      note(path, { status: answer.status, headers: answer.headers, text: await answer.text() })
    }
    const by = 'principal,target,tool'
    for (const path of ['/metrics', '/readyz', '/api/targets', '/api/tools', '/api/keys', `/api/usage?by=${by}`])
      await admin(path)
    await admin('/api/connections')
    for (const words of [['connections', 'list'], ['connections', 'list', '--json'], ['secret', 'list'], ['usage']])
      expect([words, await toolgate(words)]).toEqual([words, 0])
    for (const field of browser.set) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(field) ?? []
      if (value !== '') isCanary(`cookie ${name} ${(made += 1)}`, value)
    }
    const files = (): [string, string][] => filesUnder(gateway.dir).map((path) => [path, readFileSync(path, 'latin1')])
    const live = files()
    await gateway.stop()
    const places = new Map<string, string>([
      ['the log', gateway.log()],
      ...answers.map((answer, place) => [`answer ${place}`, answer] as const),
      ...live.map(([path, text]) => [`${path}, live`, text] as const),
      ...files(),
    ])
    // the search finds what is there, and there is much of it
    expect(places.get('the log')).toContain('"act":"refresh"')
    expect(places.get('the log')).toContain('"level":"debug"')
    expect(
      [...places.keys()].filter((place) => /records\.db-wal, live$|records\.db$|\/usage\//.test(place)).length,
    ).toBeGreaterThan(2)
    expect(answers.join('\n')).toContain('[secret]')
    expect(answers.length).toBeGreaterThan(300)
    expect(canaries.size).toBeGreaterThan(100)
    expect(leaksIn(places)).toEqual([])
  })
})

/** The forms in which a text may stand somewhere. */
const formsOf = (text: string): string[] => {
  const bytes = Buffer.from(text)
  const encoded = [bytes.toString('base64'), bytes.toString('base64url')].map((form) => form.replace(/=+$/, ''))
  return [...new Set([text, encodeURIComponent(text), bytes.toString('hex'), ...encoded])]
}

const leaksIn = (places: ReadonlyMap<string, string>): string[] =>
  [...canaries].flatMap(([what, secret]) => {
    if (secret === '') return [`${what} is empty`]
    const forms = formsOf(secret)
    return [...places].flatMap(([place, content]) => {
      const at = forms.map((form) => content.indexOf(form)).find((found) => found >= 0)
      return at === undefined ? [] : [`${what} → ${place}: …${content.slice(Math.max(0, at - 150), at + 60)}`]
    })
  })

describe('errors of the way out', () => {
  it.each(kinds)('hold nothing of what a server gave back: %s', async (kind) => {
    const secret = `canary${randomBytes(12).toString('hex')}`
    const echo = await startRecorder()
    echo.answer = (request, response) => troubles[kind]?.(sentIn(request), response)
    const egress = createEgress({ allow: [echo.address], clock: systemClock })
    try {
      const request = { method: 'GET', url: `${echo.origin}/?key=${secret}`, headers: new Map([['x-key', secret]]) }
      const thrown = await egress
        .channel(echo.origin)
        .send(request, { timeoutMs: 5_000, bodyBytes: 10_000, repeatable: false })
        .then(() => undefined)
        .catch((error: unknown) => error)
      expect(inspect(thrown, { depth: 20, showHidden: true })).not.toContain(secret)
    } finally {
      await egress.close()
      await echo.close()
    }
  })
})
