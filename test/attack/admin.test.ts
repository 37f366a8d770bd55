/** Hostile requests to the operator’s listener (rows A05–A08 of the threat model). */
import { readdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { oneTool } from '../support/petstore.ts'
import { rawExchange, type RawRequest, rawRequest } from '../support/raw.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

let target: Recorder
/** A place that nobody may be sent to. */
let inner: Recorder
let gateway: GatewayProcess

beforeAll(async () => {
  target = await startRecorder()
  inner = await startRecorder()
  gateway = await startGatewayProcess({
    config: {
      admin: { port: 0, tools: false },
      log: { level: 'debug' },
      egress: { allow: [target.address] },
      targets: { fixed: { openapi: 'fixed.json' } },
    },
    files: { 'fixed.json': oneTool(target.origin, 'one'), 'specs/dropped.json': oneTool(target.origin, 'two') },
  })
})

afterAll(async () => {
  await gateway.remove()
  await target.close()
  await inner.close()
})

const admin = (path: string, init: RequestInit = {}, token = gateway.adminToken): Promise<Response> =>
  fetch(gateway.adminUrl + path, { ...init, headers: { authorization: `Bearer ${token}` } })

const put = async (path: string, body: string | object): Promise<{ status: number; text: string }> => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await admin(`/api/targets/${path}`, { method: 'PUT', body: text })
  return { status: answer.status, text: await answer.text() }
}

/** A request on a bare socket; without a token unless its lines have one. */
const raw = async (request: RawRequest): Promise<readonly number[]> =>
  (await rawExchange(gateway.adminUrl, rawRequest(gateway.adminUrl, { method: 'GET', ...request }))).statuses

/** That both targets are called as ever. */
const serves = async (): Promise<void> => {
  for (const tool of ['fixed___one', 'dropped___two'])
    expect((await callModern(gateway.url, tool)).json.result?.content[0].text).toBe('{"ok":true}')
}

const routes = [
  ['GET', '/api/targets'],
  ['GET', '/api/targets/fixed'],
  ['PUT', '/api/targets/x'],
  ['DELETE', '/api/targets/dropped'],
  ['GET', '/api/tools'],
  ['GET', '/api/usage'],
  ['GET', '/metrics'],
  ['GET', '/api/nowhere'],
  ['POST', '/mcp'],
  ['OPTIONS', '/api/targets'],
] as const

describe('who may', () => {
  it.each([
    ['nothing', []],
    ['a wrong token', ['Authorization: Bearer wrong']],
    ['an empty token', ['Authorization: Bearer ']],
    ['the right token without its last letter', ['Authorization: Bearer TOKEN-']],
    ['the right token and one letter more', ['Authorization: Bearer TOKENx']],
    ['the right token in another scheme', ['Authorization: Basic TOKEN']],
    ['the right token alone', ['Authorization: TOKEN']],
    ['a wrong and the right token', ['Authorization: Bearer wrong', 'Authorization: Bearer TOKEN']],
    ['the right and a wrong token', ['Authorization: Bearer TOKEN', 'Authorization: Bearer wrong']],
    ['the right token as a key', ['X-Api-Key: TOKEN', 'X-Admin-Token: TOKEN']],
    ['the right token as a cookie', ['Cookie: token=TOKEN; authorization=Bearer TOKEN']],
    ['a header that claims to be inside', ['X-Forwarded-For: 127.0.0.1', 'X-Forwarded-User: admin']],
  ])('A05: %s opens no route', async (_case, lines) => {
    const filled = lines.map((line) =>
      line.replace('TOKEN-', gateway.adminToken.slice(0, -1)).replaceAll('TOKEN', gateway.adminToken),
    )
    for (const [method, path] of routes) {
      const answer = await rawExchange(
        gateway.adminUrl,
        rawRequest(gateway.adminUrl, { method, target: path, lines: filled }),
      )
      expect(answer.statuses).toEqual([401])
      expect(answer.text).toMatch(/^www-authenticate: Bearer\r$/m)
      expect(answer.text).not.toMatch(/set-cookie|access-control/i)
    }
  })

  it('A05: nor does the right token in a query, which is not logged either', async () => {
    const query = `?token=${gateway.adminToken}&access_token=${gateway.adminToken}`
    expect(await raw({ target: `/api/targets${query}` })).toEqual([401])
    expect(gateway.log()).not.toContain(gateway.adminToken)
  })

  it('A05: guessing is slowed down, and the right token is served all the while', async () => {
    const guesses: number[] = []
    for (let guess = 0; guess < 300; guess++) guesses.push((await admin('/api/targets', {}, `${guess}`)).status)
    expect((await admin('/api/targets')).status).toBe(200)
    expect(guesses).toContain(429)
  })

  it.each(
    '//api/targets /API/targets /api%2ftargets /api/targets/ /x/../api/targets /healthz/../api/targets /api/./targets'
      .split(' ')
      .concat([
        '/%61pi/targets',
        '/api/targets/..%2f..%2fmetrics',
        '/healthz%2f..%2fapi/targets',
        '/api/targets?/healthz',
      ]),
  )('A05: the spelling %s goes round no check', async (path) => {
    for (const lines of [[], ['Authorization: Bearer wrong']]) {
      const [answer] = await raw({ target: path, lines })
      expect([401, 429]).toContain(answer)
    }
  })

  it.each(['https://evil.example', 'null', 'http://localhost:1', 'http://127.0.0.1'])(
    'A07: a page of %s is refused, even with the token',
    async (origin) => {
      for (const [method, path] of routes)
        expect(
          await raw({
            method,
            target: path,
            lines: [`Authorization: Bearer ${gateway.adminToken}`, `Origin: ${origin}`],
          }),
        ).toEqual([403])
    },
  )

  it.each(['attacker.test', 'attacker.test:PORT', '127.0.0.1', '127.0.0.1:PORT.attacker.test', ''])(
    'A07: Host “%s” is refused, even with the token',
    async (name) => {
      const host = [`Host: ${name.replace('PORT', new URL(gateway.adminUrl).port)}`]
      const answer = await raw({ target: '/api/targets', host, lines: [`Authorization: Bearer ${gateway.adminToken}`] })
      expect([[400], [403], [421]]).toContainEqual(answer)
    },
  )

  it('A06: neither listener has the routes of the other', async () => {
    const headers = { authorization: `Bearer ${gateway.adminToken}` }
    for (const [method, path] of routes.filter(([, path]) => path !== '/mcp'))
      expect((await fetch(gateway.url + path, { method, headers })).status).toBe(404)
    const ping = modernRequest('tools/list')
    expect((await post(`${gateway.adminUrl}/mcp`, { ...ping.headers, ...headers }, ping.body)).status).toBe(404)
  })
})

describe('registering', () => {
  const described = (server: string): object => oneTool(server, 'three')
  /** The files of the gateway’s folder but for its ledger. */
  const unspooled = (): string[] =>
    readdirSync(gateway.dir, { recursive: true, encoding: 'utf8' })
      .filter((file) => !/toolgate\.db|usage|targets\.json/.test(file))
      .toSorted()

  it.each([
    'http://169.254.169.254/latest/meta-data/',
    'https://169.254.169.254/',
    'http://[::ffff:169.254.169.254]/',
    'http://2852039166/',
    'https://[fd00:ec2::254]/',
    'https://10.0.0.1/',
    'INNER/description.json',
    'HTTPS-INNER/description.json',
    'http://localhost:INNER-PORT/',
    'https://localhost:INNER-PORT/',
    'ADMIN/api/targets',
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'data:application/json,{}',
    'javascript:alert(1)',
    '//127.0.0.1/',
    '',
  ])('A08: the description at %s is not fetched', async (text) => {
    const url = text
      .replace('HTTPS-INNER', inner.origin.replace('http:', 'https:'))
      .replace('INNER-PORT', new URL(inner.origin).port)
      .replace('INNER', inner.origin)
      .replace('ADMIN', gateway.adminUrl)
    const before = unspooled()
    const answer = await put('new', { url })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.text).toContain('egress_refused')
    expect([inner.requests, unspooled()]).toEqual([[], before])
  })

  it.each([302, 307, 308])('A08: nor is one that a %i points at', async (code) => {
    target.answer = (_request, response) => response.writeHead(code, { location: `${inner.origin}/x` }).end()
    const answer = await put('new', { url: `${target.origin}/description.json` })
    target.answer = json({ ok: true })
    expect([answer.status, inner.requests.length]).toEqual([422, 0])
  })

  it('A08: nor is a description taken whose server is inside, whoever says so', async () => {
    const before = unspooled()
    for (const server of ['http://169.254.169.254', 'https://10.0.0.1', inner.origin, gateway.adminUrl, 'file:///x']) {
      const answers = [await put('new', described(server)), await put(`new?server=${server}`, described(target.origin))]
      for (const { status } of answers) expect(status).toBeGreaterThanOrEqual(400)
    }
    expect([inner.requests, unspooled()]).toEqual([[], before])
  })

  it('A08: a server that is inside by its name alone is found out when it is called', async () => {
    const server = inner.origin.replace('http://127.0.0.1', 'https://localhost')
    expect((await put('new', described(server))).status).toBe(201)
    expect((await callModern(gateway.url, 'new___three')).json.result).toMatchObject({ isError: true })
    expect((await admin('/api/targets/new', { method: 'DELETE' })).status).toBe(204)
    expect(inner.requests).toEqual([])
  })

  it.each([
    ['nothing', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['a web page', '<!doctype html><title>Sign in</title>'],
    ['half of YAML', 'openapi: 3.1.0\npaths: {'],
    ['half of JSON', JSON.stringify(oneTool('https://api.test', 'x')).slice(0, -9)],
    ['bytes', '\0\x01\x02'],
    ['an unknown version', '{"openapi":"9.0.0","paths":{}}'],
    ['no server', '{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/x":{"get":{"responses":{}}}}}'],
    ['a URL that is a number', '{"url":1}'],
    ['a URL and more', '{"url":"https://api.test","more":1}'],
    [
      'a reference to a file',
      '{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/x":{"$ref":"/etc/passwd"}}}',
    ],
  ])('a description that is %s is refused; a good one before it stays, and no file is left', async (_case, text) => {
    const before = unspooled()
    for (const name of ['new', 'dropped']) {
      const answer = await put(name, text)
      expect(answer.status).toBe(422)
      expect(answer.text).not.toMatch(/root:|node:|\bat \//)
    }
    expect(unspooled()).toEqual(before)
    await serves()
  })

  it.each([
    ['__proto__', 400],
    ['..%2f..%2fescaped', 400],
    ['..%5cescaped', 400],
    ['a%2fb', 400],
    ['a%00b', 400],
    ['.hidden', 400],
    ['-', 400],
    ['x'.repeat(65), 400],
    ['caf%C3%A9', 400],
    ['fixed', 409],
  ])('the name %s is refused for registering and for removing', async (name, code) => {
    const before = unspooled()
    expect((await put(name, described(target.origin))).status).toBe(code)
    expect((await admin(`/api/targets/${name}`, { method: 'DELETE' })).status).toBe(code)
    expect(unspooled()).toEqual(before)
  })

  it.each(['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'isPrototypeOf'])(
    'the name %s is a name like any other',
    async (name) => {
      try {
        expect(await put(name, described(target.origin))).toMatchObject({ status: 201 })
        expect((await callModern(gateway.url, `${name}___three`)).json.result?.content[0].text).toBe('{"ok":true}')
      } finally {
        expect((await admin(`/api/targets/${name}`, { method: 'DELETE' })).status).toBe(204)
      }
      await serves()
    },
  )

  it('an unknown credential is the caller’s fault', async () => {
    const answer = await put('new?credential=constructor', described(target.origin))
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
  })

  it('a description that is too large is refused by its length, before it is read', async () => {
    const lines = [`Authorization: Bearer ${gateway.adminToken}`, `Content-Length: ${limits.adminBodyBytes + 1}`]
    expect(await raw({ method: 'PUT', target: '/api/targets/new', lines })).toEqual([413])
  })
})

it('after all of it the gateway lives, and nothing was an internal failure', async () => {
  await serves()
  expect(gateway.child.exitCode).toBeNull()
  expect(
    gateway
      .log()
      .split('\n')
      .filter((line) => /"code":"internal"|internal failure/.test(line)),
  ).toEqual([])
})
