/**
 * Canaries at every door (rows T5, T19 and V12 of the threat model): what a caller sends to be let in, or sends where it
 * does not belong, is found nowhere that it outlives its request: not at targets, in logs, files, metrics or answers.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadSettings } from '../../src/config/load.ts'
import {
  type AccessKeyPair,
  bearer,
  type Fields,
  filesUnder,
  runIn,
  signerOf,
  tokenOf,
  unsigned,
} from '../support/callers.ts'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { modernRequest } from '../support/mcp.ts'
import { rawExchange, rawRequest } from '../support/raw.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'
import { legacyHeaders, type Loose } from '../support/wire.ts'

let target: Recorder
let provider: IdentityProvider
let gateway: GatewayProcess
let mcp = ''
let key: AccessKeyPair
let access: AccessKeyPair
let good: Fields

/** What callers and operators were answered, head and body. */
const answers: string[] = []
/** By the door that it was put in at. */
const canaries = new Map<string, string>()
const canary = (door: string): string => {
  const text = `canary${randomBytes(12).toString('hex')}`
  canaries.set(door, text)
  return text
}
/** What is a secret by itself, such as a good token, is a canary too. */
const isCanary = (door: string, secret: string): string => {
  canaries.set(door, secret)
  return secret
}

const send = async (url: string, init: RequestInit): Promise<Loose> => {
  const response = await fetch(url, init)
  const text = await response.text()
  answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${text}`)
  return { status: response.status, headers: response.headers, text }
}
const post = (headers: Fields, body: unknown, query = '') =>
  send(`${mcp}${query}`, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) })
/** A good call, with more fields, params, members and query. */
const call = (more: { fields?: Fields; params?: object; members?: object; query?: string; name?: string } = {}) => {
  const params = { name: more.name ?? 'one___echo', arguments: { text: 'seen' }, ...more.params }
  const { headers, body } = modernRequest('tools/call', params)
  return post({ ...headers, ...good, ...more.fields }, { ...body, ...more.members }, more.query)
}
const admin = (path: string, init: RequestInit = {}) =>
  send(`${gateway.adminUrl}${path}`, { ...init, headers: bearer(gateway.adminToken) })
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const configuration = () => ({
  listen: { port: 0 },
  admin: { port: 0, tools: true },
  log: { level: 'debug' },
  inbound: [
    { type: 'jwt', discoveryUrl: provider.discoveryUrl, allowedScopes: ['tools'] },
    { type: 'apiKey' },
    { type: 'sigv4' },
  ],
  access: [
    { claims: { client_id: 'app' }, tools: ['*'], effect: 'allow' },
    { tools: ['*'], effect: 'allow' },
  ],
  limits: [{ by: ['principal'], perMinute: 1_000 }],
  egress: { allow: [target.address, provider.address] },
  credentials: { own: { type: 'apiKey', in: 'header', name: 'X-Target-Key', value: { env: 'TARGET_KEY' } } },
  targets: {
    one: {
      openapi: 'one.json',
      credential: 'own',
      headers: { forwardRequest: ['X-Tenant'], forwardResponse: ['X-Answer'] },
    },
  },
})

const description = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Echo', version: '1' },
  servers: [{ url: origin }],
  paths: {
    '/echo': {
      get: {
        operationId: 'echo',
        parameters: [
          { name: 'text', in: 'query', schema: { type: 'string' } },
          { name: 'count', in: 'query', schema: { type: 'integer' } },
        ],
        responses: { 200: { description: 'Fine', content: { 'application/json': { schema: {} } } } },
      },
    },
  },
})

beforeAll(async () => {
  target = await startRecorder()
  target.answer = (request, response, incoming) => {
    response.setHeader('x-answer', 'from the target')
    json({ url: request.url, headers: request.headers })(request, response, incoming)
  }
  provider = await startIdentityProvider()
  gateway = await startGatewayProcess({
    config: configuration(),
    files: { 'one.json': description(target.origin) },
    env: { TARGET_KEY: isCanary('the target’s own key', `key-${randomBytes(12).toString('hex')}`) },
  })
  mcp = `${gateway.url}/mcp`
  // these two are shown where they are made, and nowhere else
  const create = async (request: object): Promise<AccessKeyPair> => {
    const init = { method: 'POST', headers: bearer(gateway.adminToken), body: JSON.stringify(request) }
    return (await (await fetch(`${gateway.adminUrl}/api/keys`, init)).json()) as AccessKeyPair
  }
  key = await create({ name: 'plain', scopes: ['tools'] })
  access = await create({ name: 'signer', sigv4: true })
  good = { 'x-api-key': isCanary('a good key', key.key) }
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
  await provider.close()
})

/** Each puts canaries in, and says with which status it was answered. */
const doors: readonly [door: string, put: (door: string) => Promise<readonly (readonly [Loose, number])[]>][] = [
  [
    'a good token, its signature and its claims',
    async (door) => {
      const claims = { sub: 'alice', email: canary(`${door}: claim`), jti: canary(`${door}: jti`) }
      const token = await tokenOf(provider, mcp, claims)
      isCanary(`${door}: whole`, token)
      isCanary(`${door}: signature`, token.split('.')[2] ?? '')
      isCanary(`${door}: payload`, token.split('.')[1] ?? '')
      const { headers, body } = modernRequest('tools/call', { name: 'one___echo', arguments: {} })
      const ask = () => post({ ...headers, ...bearer(token) }, body)
      return [
        [await ask(), 200],
        [await ask(), 200],
      ]
    },
  ],
  [
    'a good key, in either field',
    async () => [
      [await call(), 200],
      [await call({ fields: bearer(key.key) }), 200],
    ],
  ],
  [
    'bad tokens',
    async (door) => {
      const claims = { iss: provider.issuer, aud: mcp, sub: 'x', exp: Date.now() }
      const head = { alg: 'RS256', kid: 'x' }
      const forged = [
        canary(`${door}: opaque`),
        `tg_${canary(`${door}: key`)}`,
        `${encoded(head)}.${encoded(claims)}.${canary(`${door}: signature`)}`,
        `${encoded({ ...head, kid: canary(`${door}: kid`) })}.${encoded(claims)}.AAAA`,
        `${encoded({ ...head, alg: canary(`${door}: alg`) })}.${encoded(claims)}.AAAA`,
        `${encoded(head)}.${encoded({ ...claims, iss: `https://${canary(`${door}: iss`)}.test` })}.AAAA`,
        `${encoded(head)}.${encoded({ ...claims, sub: canary(`${door}: sub`) })}.AAAA`,
        `${encoded(head)}.${encoded({ ...claims, aud: canary(`${door}: aud`) })}.AAAA`,
        await tokenOf(provider, mcp, { sub: canary(`${door}: without scope`), scope: canary(`${door}: scope`) }),
        await tokenOf(provider, canary(`${door}: signed for another`), { sub: 'x' }),
      ]
      const { headers, body } = modernRequest('tools/call', { name: 'one___echo', arguments: {} })
      const asked: [Loose, number][] = []
      for (const [place, token] of forged.entries())
        asked.push([await post({ ...headers, ...bearer(token) }, body), place === 8 ? 403 : 401])
      return asked
    },
  ],
  [
    'other schemes and fields of credentials',
    async (door) => [
      [await call({ fields: { authorization: `Basic ${canary(`${door}: basic`)}` } }), 401],
      [await call({ fields: { 'x-api-key': canary(`${door}: x-api-key`) } }), 401],
      [await call({ fields: { 'proxy-authorization': `Bearer ${canary(`${door}: proxy`)}` } }), 200],
      [await call({ fields: { cookie: `session=${canary(`${door}: cookie`)}` } }), 200],
      [await call({ fields: { 'x-auth-token': canary(`${door}: x-auth-token`) } }), 200],
    ],
  ],
  [
    'the query',
    async (door) => {
      const { headers, body } = modernRequest('tools/list')
      const stray = await post(headers, body, `?access_token=${canary(`${door}: access_token alone`)}`)
      return [
        [stray, 401],
        [await call({ query: `?access_token=${canary(`${door}: access_token`)}` }), 200],
        [await call({ query: `?api_key=${canary(`${door}: api_key`)}&code=${canary(`${door}: code`)}` }), 200],
      ]
    },
  ],
  [
    'the path',
    async (door) => {
      const { headers, body } = modernRequest('tools/list')
      const init = { method: 'POST', headers: { ...headers, ...good }, body: JSON.stringify(body) }
      return [
        [await send(`${mcp}/${canary(`${door}: view`)}`, init), 404],
        [await send(`${gateway.url}/${canary(door)}`, init), 404],
        [await send(`${gateway.url}/.well-known/oauth-protected-resource/${canary(`${door}: metadata`)}`, {}), 404],
      ]
    },
  ],
  [
    'sessions',
    async (door) => {
      const name = canary(`${door}: client’s name`)
      const opened = await post(
        { ...legacyHeaders('2025-11-25'), ...good },
        {
          jsonrpc: '2.0',
          id: 1,
          method: 'initialize',
          params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name, version: name } },
        },
      )
      const session = opened.headers.get('mcp-session-id') ?? ''
      // its own answer carries it by right
      answers.pop()
      isCanary(`${door}: good`, session)
      const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'one___echo', arguments: {} } }
      const as = (id: string) => ({ ...legacyHeaders('2025-11-25', id), ...good })
      return [
        [opened, 200],
        [await post(as(session), body), 200],
        [await post(as(canary(`${door}: bad`)), body), 404],
        [await send(mcp, { method: 'DELETE', headers: as(canary(`${door}: deleted`)) }), 404],
        [await call({ fields: { 'mcp-session-id': canary(`${door}: stray`) } }), 200],
      ]
    },
  ],
  [
    'what stands beside the arguments',
    async (door) => [
      [
        await call({
          params: {
            _meta: {
              authorization: `Bearer ${canary(`${door}: _meta`)}`,
              traceparent: canary(`${door}: traceparent in _meta`),
              tracestate: canary(`${door}: tracestate in _meta`),
              'io.modelcontextprotocol/clientInfo': { name: canary(`${door}: client`), version: '1' },
            },
          },
        }),
        200,
      ],
      [await call({ params: { token: canary(`${door}: params`) }, members: { auth: canary(`${door}: member`) } }), 200],
      [await call({ params: { arguments: { count: canary(`${door}: wrong type`) } } }), 200],
      [await call({ params: { inputResponses: { [canary(`${door}: input`)]: 'no object' } } }), 200],
      [await call({ params: { requestState: canary(`${door}: request state`) } }), 400],
      [await call({ name: `one___${canary(`${door}: tool`)}` }), 200],
      [await call({ fields: { 'mcp-name': canary(`${door}: Mcp-Name`) } }), 400],
      [await call({ fields: { 'mcp-protocol-version': canary(`${door}: version`) } }), 400],
      [await post({ ...legacyHeaders('2025-11-25'), ...good }, `{"broken": "${canary(`${door}: broken JSON`)}"`), 400],
    ],
  ],
  [
    'headers that are nobody’s',
    async (door) => {
      const names = [
        'traceparent',
        'tracestate',
        'baggage',
        'last-event-id',
        'user-agent',
        'referer',
        'forwarded',
        'x-forwarded-for',
        'x-forwarded-host',
        'x-forwarded-authorization',
        'x-amz-security-token',
        'x-target-key',
        'toolgate-request-state',
        'toolgate-input-responses',
      ]
      const asked: [Loose, number][] = []
      for (const name of names) asked.push([await call({ fields: { [name]: canary(`${door}: ${name}`) } }), 200])
      return asked
    },
  ],
  [
    'signatures',
    async (door) => {
      isCanary(`${door}: secret`, access.key)
      const pair = { accessKeyId: access.id, secretAccessKey: access.key, service: 'bedrock-agentcore', region: 'eu-1' }
      const { headers, body } = modernRequest('tools/call', { name: 'one___echo', arguments: {} })
      const text = JSON.stringify(body)
      const signed = (
        await signerOf(access, undefined, canary(`${door}: session token`)).sign(unsigned(mcp, headers, body))
      ).headers
      isCanary(`${door}: signature`, /Signature=(\w+)/.exec(signed['authorization'] ?? '')?.[1] ?? '')
      const { host: _, ...fields } = signed
      const inUrl = await new AwsClient({ ...pair, sessionToken: canary(`${door}: in the URL`) }).sign(mcp, {
        method: 'POST',
        headers,
        body: text,
        aws: { signQuery: true },
      })
      isCanary(`${door}: signature in the URL`, new URL(inUrl.url).searchParams.get('X-Amz-Signature') ?? '')
      const bad = await new AwsClient({ ...pair, secretAccessKey: 'x', sessionToken: canary(`${door}: bad`) }).sign(
        mcp,
        {
          method: 'POST',
          headers,
          body: text,
        },
      )
      const unknown = { authorization: `AWS4-HMAC-SHA256 Credential=${canary(`${door}: credential`)}` }
      return [
        [await post(fields, body), 200],
        [await send(inUrl.url, { method: 'POST', headers: Object.fromEntries(inUrl.headers), body: text }), 200],
        [await send(mcp, { method: 'POST', headers: Object.fromEntries(bad.headers), body: text }), 401],
        [await post({ ...headers, ...unknown }, body), 401],
      ]
    },
  ],
  [
    'hosts and origins',
    async (door) => {
      const asked = [
        { host: [`Host: ${canary(`${door}: host`)}.test`], lines: [] },
        { lines: [`Origin: https://${canary(`${door}: origin`)}.test`] },
        { lines: [`X-Odd: ${canary(`${door}: odd`)}`, 'Content-Length: x'] },
      ]
      for (const request of asked) answers.push((await rawExchange(gateway.url, rawRequest(gateway.url, request))).text)
      return []
    },
  ],
  [
    'the admin listener',
    async (door) => {
      isCanary(`${door}: token`, gateway.adminToken)
      const as = (token: string) => send(`${gateway.adminUrl}/api/targets`, { headers: bearer(token) })
      const secretName = canary(`${door}: key’s member`)
      return [
        [await as(gateway.adminToken), 200],
        [await as(canary(`${door}: wrong token`)), 401],
        [await send(`${gateway.adminUrl}/api/targets?token=${canary(`${door}: query`)}`, {}), 401],
        [await admin('/api/keys', { method: 'POST', body: JSON.stringify({ name: 'x', expires: secretName }) }), 400],
        [await admin(`/api/keys/${canary(`${door}: key id`)}`, { method: 'DELETE' }), 404],
        [await call({ fields: bearer(gateway.adminToken) }), 401],
      ]
    },
  ],
  [
    'the command line',
    async () => {
      const words = [
        ['key', 'list'],
        ['key', 'list', '--json'],
        ['key', 'revoke', access.id],
      ]
      for (const word of words) {
        const { status, out, err } = await runIn(gateway.dir, ...word, '--config', 'gateway.config.json')
        answers.push(`${status} ${out} ${err}`)
      }
      return []
    },
  ],
]

/** The forms in which a text may stand somewhere. */
const formsOf = (text: string): string[] => {
  const bytes = Buffer.from(text)
  return [
    text,
    bytes.toString('hex'),
    ...[bytes.toString('base64'), bytes.toString('base64url')].map((form) => form.replace(/=+$/, '')),
  ]
}

/** Files that hold a secret by right. */
const keepers: ReadonlySet<string> = new Set(['admin-token', 'session-key'])

const filesIn = (dir: string): (readonly [path: string, text: string])[] =>
  filesUnder(dir)
    .filter((path) => !keepers.has(basename(path)))
    .map((path) => [path, readFileSync(path, 'latin1')])

describe('canaries', () => {
  it.each(doors)('are put in at: %s', async (door, put) => {
    for (const [place, [answer, status]] of (await put(door)).entries())
      expect([door, place, answer.status, answer.status === status ? '' : answer.text]).toEqual([
        door,
        place,
        status,
        '',
      ])
  })

  it('are found nowhere afterwards, where other things are', async () => {
    for (const path of ['/api/targets', '/api/tools', '/api/keys', '/api/usage?by=principal,tool', '/metrics'])
      expect((await admin(path)).status).toBe(200)
    expect((await call({ fields: { 'x-tenant': 'marked' } })).status).toBe(200)
    const own = { name: 'toolgate___list_targets', params: { arguments: {} } }
    expect((await call(own)).status).toBe(200)
    await until('the last line is logged', () => gateway.log().includes('"tool":"toolgate___list_targets"'))
    const live = filesIn(gateway.dir)
    expect(await gateway.stop()).toBe(0)

    const places = new Map<string, string>([
      ['the log', gateway.log()],
      [
        'the target',
        JSON.stringify(target.requests.map(({ url, rawHeaders, body }) => [url, rawHeaders, body.toString()])),
      ],
      ...answers.map((answer, place) => [`answer ${place}`, answer] as const),
      ...live.map(([path, text]) => [`${path} while it ran`, text] as const),
      ...filesIn(gateway.dir),
    ])
    // the search finds what is there
    expect(places.get('the target')).toContain('marked')
    expect(places.get('the log')).toContain(`"subject":"key|${key.id}"`)
    expect(places.get('the log')).toContain('"level":"debug"')
    expect(places.get(join(gateway.dir, '.toolgate/records.db'))).toContain(key.id)
    const spool = [...places].filter(([path]) => path.includes('.toolgate/usage/')).map(([, text]) => text)
    expect(spool.join('')).toContain(`${provider.issuer}|alice`)
    expect(canaries.size).toBeGreaterThan(60)

    const leaks = [...canaries].flatMap(([door, text]) =>
      [...places].flatMap(([place, content]) => {
        const byRight = door === 'the target’s own key' && place === 'the target'
        return !byRight && formsOf(text).some((form) => content.includes(form))
          ? [`${door} → ${place}: ${content.slice(0, 300)}`]
          : []
      }),
    )
    expect(leaks).toEqual([])
  })

  it.each(['X-Api-Key', 'X-Amz-Security-Token', 'Mcp-Session-Id'])(
    'cannot be let out by a configuration that forwards %s',
    (name) => {
      const { targets, ...rest } = configuration()
      const one = { openapi: 'one.json', headers: { forwardRequest: [name] } }
      const dir = mkdtempSync(join(tmpdir(), 'toolgate-test-'))
      writeIn(dir, 'gateway.config.json', { ...rest, credentials: {}, targets: { ...targets, one } })
      try {
        expect(() => loadSettings(join(dir, 'gateway.config.json'))).toThrow('targets.one.headers.forwardRequest')
      } finally {
        rmSync(dir, { recursive: true })
      }
    },
  )
})
