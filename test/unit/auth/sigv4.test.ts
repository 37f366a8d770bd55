/** Clients that sign for AgentCore, over HTTP: both of their libraries, both forms, with a session token and without. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignatureV4 } from '@smithy/signature-v4'
import { AwsClient } from 'aws4fetch'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Inbound } from '../../../src/auth/authenticate.ts'
import { authenticateSigV4 } from '../../../src/auth/sigv4.ts'
import { isSigned } from '../../../src/auth/sigv4-request.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { toGatewayError } from '../../../src/core/errors.ts'
import { inboundOf, newReplica, Sha256 } from './support.ts'

const inboundFrom = (request: IncomingMessage): Inbound => {
  const names = request.rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase())
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    header: (name) => request.headers[name]?.toString(),
    times: (name) => names.filter((one) => one === name).length,
    names: () => names,
    body: async () => Buffer.concat(await request.toArray()),
  }
}

let server: Server
let origin = ''
let credentials = { accessKeyId: '', secretAccessKey: '' }
let keys: ReturnType<typeof newReplica>['keys']

beforeEach(async () => {
  keys = newReplica(systemClock).keys
  const { id, key } = await keys.create({ name: 'agent', sigv4: true, scopes: ['tools:call'] })
  credentials = { accessKeyId: id, secretAccessKey: key.reveal() }
  const authenticate = authenticateSigV4({ keys, clock: systemClock })
  server = createServer((request, response) => {
    void (async () => {
      try {
        const { subject, client } = await authenticate(inboundFrom(request))
        response.end(`${subject} ${client}`)
      } catch (thrown) {
        const error = toGatewayError(thrown)
        response.writeHead(error.http, error.headers).end(error.message)
      }
    })()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(() => void server.close())

const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { note: 'ü' } })
const welcome = (): string => `key|${credentials.accessKeyId} agent`
const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-x': ' a  b ' }

interface Variant {
  readonly path?: string
  readonly query?: Record<string, string | string[]>
  readonly sessionToken?: string
  readonly region?: string
  readonly method?: string
}

const variants: readonly [string, Variant][] = [
  ['plainly', {}],
  ['with a session token', { sessionToken: 'AQoD//YXdz+EPT==' }],
  ['in another region', { region: 'ap-southeast-2' }],
  ['with a query', { query: { 'a b': 'c/d+e&f=ü', empty: '', z: '1', 'A-': '~', 'a!': "'()*" } }],
  ['with a path that is encoded', { path: '/mcp/a%20b%2Fc' }],
  ['with a slash at the end', { path: '/mcp/' }],
  ['without a body', { method: 'GET' }],
]

const sha = { sha256: Sha256, service: 'bedrock-agentcore' } as const
const urlOf = (path: string, query: Record<string, string | string[] | null> = {}): string => {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value ?? ''].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`),
  )
  return `${origin}${path}${pairs.length === 0 ? '' : `?${pairs.join('&')}`}`
}

describe.each(variants)('a request signed %s', (_how, variant) => {
  const { path = '/mcp', query = {}, sessionToken, region = 'eu-west-1', method = 'POST' } = variant
  const sent = method === 'GET' ? {} : { body }
  const token = sessionToken === undefined ? {} : { sessionToken }
  const unsigned = () => ({
    method,
    protocol: 'http:',
    hostname: '127.0.0.1',
    path,
    query,
    headers: { ...headers, host: new URL(origin).host },
    ...sent,
  })

  test.each([true, false])('by @smithy/signature-v4 is let in (checksum header: %s)', async (applyChecksum) => {
    const signer = new SignatureV4({ ...sha, region, applyChecksum, credentials: { ...credentials, ...token } })
    const signed = await signer.sign(unsigned())
    const { host: _, ...others } = signed.headers
    const answer = await fetch(urlOf(path, query), { method, headers: others, ...sent })
    expect(await answer.text()).toBe(welcome())
  })

  test('by @smithy/signature-v4 in its URL is let in', async () => {
    const signer = new SignatureV4({ ...sha, region, credentials: { ...credentials, ...token } })
    const signed = await signer.presign(unsigned(), { expiresIn: 60 })
    const { host: _, ...others } = signed.headers
    const answer = await fetch(urlOf(path, signed.query), { method, headers: others, ...sent })
    expect(await answer.text()).toBe(welcome())
  })

  test.each([
    ['', false],
    [' in its URL', true],
  ])('by aws4fetch%s is let in', async (_where, signQuery) => {
    const client = new AwsClient({ ...credentials, ...token, service: sha.service, region })
    const answer = await client.fetch(urlOf(path, query), { method, headers, ...sent, aws: { signQuery } })
    expect(await answer.text()).toBe(welcome())
  })
})

test('the access key counts as used, and once revoked signs nothing more', async () => {
  const client = new AwsClient({ ...credentials, service: sha.service, region: 'us-east-1' })
  const call = async (): Promise<number> => (await client.fetch(`${origin}/mcp`, { method: 'POST', body })).status
  expect((await keys.list())[0]).not.toHaveProperty('lastUsed')
  expect(await call()).toBe(200)
  expect((await keys.list())[0]).toMatchObject({ kind: 'accessKey', lastUsed: expect.any(Number) })
  await keys.revoke(credentials.accessKeyId)
  await expect.poll(call, { timeout: 1_000 }).toBe(401)
})

test('the secret of another access key, and the other kind of key, sign nothing', async () => {
  const other = await keys.create({ name: 'other', sigv4: true })
  const plain = await keys.create({ name: 'plain' })
  for (const wrong of [
    { ...credentials, secretAccessKey: other.key.reveal() },
    { accessKeyId: plain.id, secretAccessKey: plain.key.reveal() },
    { accessKeyId: 'TGAKAAAAAAAAAAAAAAAA', secretAccessKey: credentials.secretAccessKey },
  ]) {
    const client = new AwsClient({ ...wrong, service: sha.service, region: 'us-east-1' })
    const answer = await client.fetch(`${origin}/mcp`, { method: 'POST', body })
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'AWS4-HMAC-SHA256'])
  }
})

test.each([
  [true, inboundOf({ headers: [['Authorization', 'AWS4-HMAC-SHA256 Credential=…']] })],
  [true, inboundOf({ url: '/mcp?X-Amz-Signature=00' })],
  [false, inboundOf({ headers: [['Authorization', 'Bearer tg_x']] })],
  [false, inboundOf({ url: '/mcp?a=b' })],
])('whether a request is signed at all is seen: %s', (signed, inbound) => {
  expect(isSigned(inbound)).toBe(signed)
})
