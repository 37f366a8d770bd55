/** Keys and signatures at the door of a running gateway: made, shown once, narrowed, ended; and ways in side by side. */
import { AwsClient } from 'aws4fetch'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  type AccessKeyPair,
  bearer,
  callerOf,
  callSigned,
  type Fields,
  runIn,
  signerOf,
  shownOf,
  tokenOf,
  unsigned,
} from '../support/callers.ts'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { modernRequest, post } from '../support/mcp.ts'
import { patienceMs } from '../support/operator.ts'
import { oneTool } from '../support/petstore.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import type { Loose } from '../support/wire.ts'

let target: Recorder
let gateway: GatewayProcess

const admin = async (path: string, method = 'GET', body?: object) => {
  const response = await fetch(`${gateway.adminUrl}${path}`, {
    method,
    headers: bearer(gateway.adminToken),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json: Loose = text === '' ? undefined : JSON.parse(text)
  return { status: response.status, headers: response.headers, text, json }
}
const create = async (request: object): Promise<AccessKeyPair> => (await admin('/api/keys', 'POST', request)).json
const toolgate = (...words: readonly string[]) => runIn(gateway.dir, ...words, '--config', 'gateway.config.json')
const at = (fields: Fields, url = gateway.url) => callerOf(`${url}/mcp`, fields)
const statusAt = async (fields: Fields, url?: string): Promise<number> =>
  (await at(fields, url).modern('tools/list')).status

beforeAll(async () => {
  target = await startRecorder()
})
afterAll(async () => {
  await target.close()
})
beforeEach(() => {
  target.requests.length = 0
})

const targets = { one: { openapi: 'one.json' }, two: { openapi: 'two.json' }, deep: { openapi: 'deep.json' } }
const files = () =>
  Object.fromEntries(Object.keys(targets).map((name) => [`${name}.json`, oneTool(target.origin, name)]))

describe('inbound: apiKey', () => {
  let other: GatewayProcess

  beforeAll(async () => {
    gateway = await startGatewayProcess({
      config: {
        inbound: { type: 'apiKey' },
        access: [
          { tools: ['one___*', 'two___*'], effect: 'allow' },
          { scopes: ['deep'], tools: ['deep___*'], effect: 'allow' },
        ],
        admin: { port: 0, tools: false },
        egress: { allow: [target.address] },
        targets,
      },
      files: files(),
    })
    other = await startGatewayProcess({ dir: gateway.dir })
  })
  afterAll(async () => {
    await other.stop()
    await gateway.remove()
  })

  const forms: readonly [string, (key: string) => Fields][] = [
    ['Authorization', bearer],
    ['X-Api-Key', (key) => ({ 'x-api-key': key })],
  ]

  it('a key that the command line makes is shown once, and listed without itself', async () => {
    const made = await toolgate('key', 'create', '--name', 'for people')
    expect(made.status).toBe(0)
    const key = made.out.trim()
    expect(key).toMatch(/^tg_[0-9A-Za-z]{49}$/)
    const id = /^Key (\w+), shown only now:$/m.exec(made.err)?.[1] ?? 'none'
    const listed = await toolgate('key', 'list')
    expect(listed.out).toContain(id)
    expect(listed.out).not.toContain(key)
    const { text, json } = await admin('/api/keys')
    expect(json.keys.find((one: { id: string }) => one.id === id)).toEqual({
      id,
      kind: 'key',
      name: 'for people',
      tenant: 'default',
      scopes: [],
      created: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    })
    expect(text).not.toContain(key)
    for (const [, form] of forms) expect(await at(form(key)).list()).toEqual(['one___one', 'two___two'])
  })

  it('a key that the admin API makes is shown once, kept by no cache, and its last use is told', async () => {
    const made = await admin('/api/keys', 'POST', { name: 'ci', tenant: 'acme', scopes: ['a', 'b'] })
    expect([made.status, made.headers.get('cache-control')]).toEqual([201, 'no-store'])
    expect(Object.keys(made.json)).toEqual(['id', 'key'])
    const { id, key } = made.json
    const listed = async () => (await admin('/api/keys')).json.keys.find((one: { id: string }) => one.id === id)
    expect(await listed()).not.toHaveProperty('lastUsed')
    expect((await at(bearer(key)).call('one___one')).status).toBe(200)
    expect(await listed()).toMatchObject({ tenant: 'acme', scopes: ['a', 'b'], lastUsed: expect.any(String) })
    expect(gateway.log()).toContain(`"act":"key create","outcome":"ok","id":"${id}"`)
    expect(gateway.log()).not.toContain(key)
  })

  it.each([
    ['no name', {}],
    ['an unknown member', { name: 'x', scope: ['a'] }],
    ['a time that is over', { name: 'x', expires: '2020-01-01T00:00:00Z' }],
    ['a time that is none', { name: 'x', expires: 'tomorrow' }],
    ['no target at all', { name: 'x', targets: [] }],
    ['a scope that is two words', { name: 'x', scopes: ['a b'] }],
  ])('no key is made of %s', async (_what, request) => {
    const before = (await admin('/api/keys')).text
    expect((await admin('/api/keys', 'POST', request)).status).toBe(400)
    expect((await admin('/api/keys')).text).toBe(before)
  })

  it('no key is made of more than a key’s worth of words', async () => {
    expect((await admin('/api/keys', 'POST', { name: 'x'.repeat(70_000) })).status).toBe(413)
    expect(gateway.log()).not.toContain('internal failure')
  })

  it('the command line tells wrong words, and what was not found', async () => {
    expect((await toolgate('key', 'create')).status).toBe(2)
    expect((await toolgate('key', 'create', '--name', 'x', '--expires', 'soon')).status).toBe(2)
    expect((await toolgate('key', 'revoke', 'none')).status).toBe(1)
  })

  it('every request without a good key is refused with a challenge, and nothing is called', async () => {
    const { key } = await create({ name: 'good' })
    const { key: second } = await create({ name: 'second' })
    const mistyped = `${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`
    const wrong: readonly [Fields, string?][] = [
      [{}],
      [bearer('')],
      [bearer(mistyped)],
      [bearer(`${key}, ${key}`)],
      [{ authorization: key }],
      [{ authorization: `Basic ${btoa(`${key}:`)}` }],
      [{ 'x-api-key': mistyped }],
      [{ 'x-api-key': `${key}, ${key}` }],
      [{ ...bearer(key), 'x-api-key': second }],
      [{ cookie: `key=${key}` }],
      [{}, `?access_token=${key}`],
      [{}, `?api_key=${key}`],
    ]
    for (const [fields, query = ''] of wrong) {
      const caller = callerOf(`${gateway.url}/mcp${query}`, fields)
      for (const answer of [await caller.call('one___one'), await caller.callLegacy('one___one')]) {
        expect([fields, query, answer.status]).toEqual([fields, query, 401])
        expect(answer.headers.get('www-authenticate')).toBe('Bearer')
        expect(answer.text).not.toContain(key)
      }
    }
    expect(target.requests).toEqual([])
  })

  it('a key held to targets sees and calls no others: they look absent', async () => {
    const { out } = await toolgate(
      'key',
      'create',
      '--name',
      'narrow',
      '--targets',
      'one',
      '--scopes',
      'deep',
      '--json',
    )
    const narrow = at(bearer(JSON.parse(out).key))
    expect([await narrow.list(), await narrow.listLegacy()]).toEqual([['one___one'], ['one___one']])
    expect((await narrow.call('one___one')).json.result).toBeDefined()
    const absent = shownOf(await narrow.call('none___none'))
    expect(shownOf(await narrow.call('two___two'))).toEqual(absent)
    expect(shownOf(await narrow.call('deep___deep'))).toEqual(absent)
    expect(shownOf(await narrow.callLegacy('two___two'))).toEqual(shownOf(await narrow.callLegacy('none___none')))
    expect(target.requests.map(({ url }) => url)).toEqual(['/one'])
  })

  it('a key’s scopes are what access rules ask for', async () => {
    const scoped = at(bearer((await create({ name: 'scoped', scopes: ['deep'] })).key))
    const plain = at(bearer((await create({ name: 'plain' })).key))
    expect(await scoped.list()).toEqual(['deep___deep', 'one___one', 'two___two'])
    expect((await scoped.call('deep___deep')).json.result).toBeDefined()
    expect(await plain.list()).toEqual(['one___one', 'two___two'])
    expect(shownOf(await plain.call('deep___deep'))).toEqual(shownOf(await plain.call('none___none')))
  })

  it('a key ends when it expires', async () => {
    const { key } = await create({ name: 'brief', expires: new Date(Date.now() + 1_500).toISOString() })
    expect(await statusAt(bearer(key))).toBe(200)
    await until('the key has expired', async () => (await statusAt(bearer(key))) === 401, patienceMs)
  })

  it('a key that is revoked here ends here and at the other process on the same folder', async () => {
    const { id, key } = await create({ name: 'ended' })
    expect([await statusAt(bearer(key)), await statusAt(bearer(key), other.url)]).toEqual([200, 200])
    expect((await admin(`/api/keys/${id}`, 'DELETE')).status).toBe(204)
    await until('it has ended here', async () => (await statusAt(bearer(key))) === 401, patienceMs)
    await until('it has ended there', async () => (await statusAt(bearer(key), other.url)) === 401, patienceMs)
    const { json } = await admin('/api/keys')
    expect(json.keys.find((one: { id: string }) => one.id === id)).toHaveProperty('revoked')
    expect((await admin(`/api/keys/${id}`, 'DELETE')).status).toBe(404)
  })

  it('a key that the command line revokes ends in both processes, and no other does', async () => {
    const ended = await create({ name: 'ended by command' })
    const kept = await create({ name: 'kept' })
    for (const url of [gateway.url, other.url]) expect(await statusAt(bearer(ended.key), url)).toBe(200)
    expect((await toolgate('key', 'revoke', ended.id)).out).toBe(`${ended.id}: revoked\n`)
    for (const url of [gateway.url, other.url]) {
      await until(`it has ended at ${url}`, async () => (await statusAt(bearer(ended.key), url)) === 401, patienceMs)
      expect(await statusAt(bearer(kept.key), url)).toBe(200)
    }
  })
})

describe('inbound: jwt, apiKey and sigv4', () => {
  let provider: IdentityProvider
  let leaving: IdentityProvider
  let access: AccessKeyPair
  let key: AccessKeyPair
  let mcp = ''

  const ways = () => ({
    staying: { type: 'jwt', discoveryUrl: provider.discoveryUrl, allowedScopes: ['tools'] },
    leaving: { type: 'jwt', discoveryUrl: leaving.discoveryUrl },
    apiKey: { type: 'apiKey' },
    sigv4: { type: 'sigv4' },
  })
  const configuration = (...names: readonly (keyof ReturnType<typeof ways>)[]) => ({
    listen: { port: 0 },
    admin: { port: 0, tools: false },
    inbound: names.map((name) => ways()[name]),
    egress: { allow: [target.address, provider.address, leaving.address] },
    targets,
  })

  beforeAll(async () => {
    provider = await startIdentityProvider()
    leaving = await startIdentityProvider()
    gateway = await startGatewayProcess({
      config: configuration('staying', 'leaving', 'apiKey', 'sigv4'),
      files: files(),
    })
    mcp = `${gateway.url}/mcp`
    access = JSON.parse((await toolgate('key', 'create', '--name', 'signer', '--sigv4', '--json')).out)
    key = await create({ name: 'plain' })
  })
  afterAll(async () => {
    await gateway.remove()
    await provider.close()
    await leaving.close()
  })

  const request = () => modernRequest('tools/call', { name: 'one___one', arguments: {} })
  const byAws4fetch = async (pair: AccessKeyPair, signQuery: boolean) => {
    const client = new AwsClient({
      accessKeyId: pair.id,
      secretAccessKey: pair.key,
      service: 'bedrock-agentcore',
      region: 'us-east-1',
      retries: 0,
    })
    const { headers, body } = request()
    return client.fetch(mcp, { method: 'POST', headers, body: JSON.stringify(body), aws: { signQuery } })
  }
  const presigned = async (pair: AccessKeyPair) => {
    const { headers, body } = request()
    const { query, headers: signed } = await signerOf(pair).presign(unsigned(mcp, headers, body), { expiresIn: 60 })
    const { host: _, ...rest } = signed
    const url = `${mcp}?${new URLSearchParams(query as { [name: string]: string }).toString()}`
    return post(url, rest, body)
  }

  const signers: readonly [string, (pair: AccessKeyPair) => Promise<{ status: number }>][] = [
    ['@smithy/signature-v4 in its header', (pair) => callSigned(signerOf(pair), mcp, 'one___one')],
    ['@smithy/signature-v4 in its URL', presigned],
    ['aws4fetch in its header', (pair) => byAws4fetch(pair, false)],
    ['aws4fetch in its URL', (pair) => byAws4fetch(pair, true)],
  ]

  it.each(signers)('a call signed by %s is let in, with another secret it is not', async (_how, call) => {
    expect((await call(access)).status).toBe(200)
    expect(target.requests.map(({ url }) => url)).toEqual(['/one'])
    expect(JSON.stringify(target.requests)).not.toMatch(/AWS4|x-amz/i)
    expect((await call({ ...access, key: 'x'.repeat(40) })).status).toBe(401)
    expect((await call({ id: key.id, key: key.key })).status).toBe(401)
    expect(target.requests).toHaveLength(1)
  })

  it('a signature for another service, or of another body, is refused', async () => {
    expect((await callSigned(signerOf(access, 'execute-api'), mcp, 'one___one')).status).toBe(401)
    const { headers, body } = request()
    const { host: _, ...signed } = (await signerOf(access).sign(unsigned(mcp, headers, body))).headers
    expect((await post(mcp, signed, { ...body, id: 2 })).status).toBe(401)
    expect((await post(mcp, signed, body)).status).toBe(200)
  })

  it('an access key is listed without its secret, cannot be sent as a key, and ends when it is revoked', async () => {
    const pair = await create({ name: 'brief', sigv4: true, targets: ['two'] })
    const { text, json } = await admin('/api/keys')
    expect(text).not.toContain(pair.key)
    expect(json.keys.find(({ id }: { id: string }) => id === pair.id)).toMatchObject({ kind: 'accessKey' })
    for (const sent of [pair.key, pair.id]) expect(await statusAt(bearer(sent))).toBe(401)
    const call = (name: string) => callSigned(signerOf(pair), mcp, name)
    expect((await call('two___two')).json.result).toBeDefined()
    expect((await call('one___one')).text).toBe((await call('none___none')).text)
    expect((await toolgate('key', 'revoke', pair.id)).status).toBe(0)
    await until('it has ended', async () => (await call('two___two')).status === 401, patienceMs)
  })

  it('each way alone suffices', async () => {
    const token = await provider.token(mcp)
    const ways = [bearer(token), bearer(key.key), { 'x-api-key': key.key }]
    for (const fields of ways) expect((await at(fields).call('one___one')).json.result).toBeDefined()
    expect((await callSigned(signerOf(access), mcp, 'one___one')).status).toBe(200)
    expect(target.requests).toHaveLength(4)
  })

  it.each<[string, () => Promise<Fields> | Fields]>([
    ['nothing', () => ({})],
    ['a token for another resource', async () => bearer(await provider.token('https://other.test/mcp'))],
    ['a key that is none', () => bearer('tg_none')],
    ['a good token beside a wrong key', async () => ({ ...bearer(await provider.token(mcp)), 'x-api-key': 'tg_none' })],
    ['a signature that is none', () => ({ authorization: 'AWS4-HMAC-SHA256 none' })],
  ])('with %s nobody gets in', async (_what, fields) => {
    const answer = await at(await fields()).call('one___one')
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^(?:Bearer|AWS4-HMAC-SHA256)\b/)
    expect(target.requests).toEqual([])
  })

  it('who has nothing learns where to sign in', async () => {
    const { headers } = await at({}).modern('tools/list')
    expect(headers.get('www-authenticate')).toBe(
      `Bearer resource_metadata="${gateway.url}/.well-known/oauth-protected-resource/mcp", scope="tools"`,
    )
  })

  it('so does who comes with a key that is none, or has ended', async () => {
    const ended = await create({ name: 'ended' })
    await admin(`/api/keys/${ended.id}`, 'DELETE')
    for (const fields of [{ 'x-api-key': 'none' }, bearer(ended.key)]) {
      const { headers } = await at(fields).modern('tools/list')
      expect(headers.get('www-authenticate')).toContain('resource_metadata=')
    }
  })

  it('ways that the configuration loses are closed at once, also to who was let in before; others stay open', async () => {
    const stays = bearer(await tokenOf(provider, mcp, { sub: 'stays' }))
    const leaves = bearer(await tokenOf(leaving, mcp, { sub: 'leaves' }))
    expect([await statusAt(stays), await statusAt(leaves), await statusAt(bearer(key.key))]).toEqual([200, 200, 200])
    writeIn(gateway.dir, 'gateway.config.json', configuration('staying', 'sigv4'))
    await until('its tokens are refused', async () => (await statusAt(leaves)) === 401, patienceMs)
    expect([await statusAt(stays), await statusAt(bearer(key.key))]).toEqual([200, 401])
    expect((await callSigned(signerOf(access), mcp, 'one___one')).status).toBe(200)
    const described = await fetch(`${gateway.url}/.well-known/oauth-protected-resource/mcp`)
    expect(await described.json()).toMatchObject({ authorization_servers: [provider.issuer] })
    writeIn(gateway.dir, 'gateway.config.json', configuration('staying', 'leaving', 'apiKey'))
    await until('its tokens are taken again', async () => (await statusAt(leaves)) === 200, patienceMs)
    expect(await statusAt(bearer(key.key))).toBe(200)
    expect((await callSigned(signerOf(access), mcp, 'one___one')).status).toBe(401)
  })
})

describe('a listener off loopback', () => {
  const config = (inbound: object) => ({
    listen: { host: '0.0.0.0', port: 0 },
    admin: { port: 0, tools: false },
    inbound,
  })

  it('is not opened without a check of who calls', async () => {
    await expect(startGatewayProcess({ config: config({ type: 'none' }) })).rejects.toThrow(
      /ended with 1:[^]*inbound\.type/,
    )
  })

  it('is opened with one, and does not lose it to a change of the configuration', async () => {
    gateway = await startGatewayProcess({ config: config({ type: 'apiKey' }) })
    try {
      expect(await statusAt({})).toBe(401)
      writeIn(gateway.dir, 'gateway.config.json', config({ type: 'none' }))
      await until(
        'the change is refused',
        async () => /inbound\.type/.test((await admin('/api/targets')).json.configError ?? ''),
        patienceMs,
      )
      expect(await statusAt({})).toBe(401)
      expect(await statusAt(bearer((await create({ name: 'x' })).key))).toBe(200)
    } finally {
      await gateway.remove()
    }
  })
})
