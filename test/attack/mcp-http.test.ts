/** Hostile HTTP at the public listener (rows M01–M30 of the threat model, but for those that need an inbound check). */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { modernRequest, modernVersion, post } from '../support/mcp.ts'
import { oneTool } from '../support/petstore.ts'
import { type RawAnswer, rawExchange, type RawRequest, rawRequest, rawSocket, untilClosed } from '../support/raw.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' })
const jsonType = 'Content-Type: application/json'
const MiB = 1024 * 1024

let target: Recorder
let gateway: GatewayProcess
/** Begun at the start, since they take their time: headers and a body at one byte a second. */
let slowHeaders: Promise<RawAnswer>
let slowBody: Promise<RawAnswer>

const drip = (head: string): Promise<RawAnswer> => {
  const socket = rawSocket(gateway.url)
  socket.write(head)
  const timer = setInterval(() => socket.write('a'), 1_000)
  socket.once('close', () => clearInterval(timer))
  return untilClosed(socket, 45_000)
}

beforeAll(async () => {
  target = await startRecorder()
  gateway = await startGatewayProcess({
    config: {
      log: { level: 'debug' },
      egress: { allow: [target.address] },
      admin: { port: 0, tools: false },
      targets: { one: { openapi: 'one.json' } },
      views: { v: { targets: ['one'] } },
    },
    files: { 'one.json': oneTool(target.origin, 'one') },
  })
  slowHeaders = drip(`POST /mcp HTTP/1.1\r\nHost: ${new URL(gateway.url).host}\r\nX-Slow: `)
  slowBody = drip(rawRequest(gateway.url, { lines: [jsonType, 'Content-Length: 1000'] }))
})

afterAll(async () => {
  await gateway.remove()
  await target.close()
})

/** A ping with changes; by default one that is answered. */
const send = (request: RawRequest = {}): Promise<RawAnswer> =>
  rawExchange(gateway.url, rawRequest(gateway.url, { body: ping, lines: [jsonType], ...request }))

const host = (): string => new URL(gateway.url).host
const bodyOf = ({ text }: RawAnswer): string => text.slice(text.indexOf('\r\n\r\n') + 4)

/** A call of 2026-07-28 with other headers; `undefined` takes one away. */
const callWith = (headers: { [name: string]: string | undefined }, params: object = {}) => {
  const request = modernRequest('tools/call', { name: 'one___one', arguments: {}, ...params })
  const changed = Object.entries({ ...request.headers, ...headers }).filter(([, value]) => value !== undefined)
  return post(`${gateway.url}/mcp`, Object.fromEntries(changed) as { [name: string]: string }, request.body)
}

describe('Host and Origin', () => {
  const foreign = [
    ['M01: a foreign page', ['Origin: https://evil.example']],
    ['M02: a page without an origin', ['Origin: null']],
    ['M02: an empty origin', ['Origin:']],
    ['M03: two origins, the good one first', ['Origin: http://localhost:1', 'Origin: https://evil.example']],
    ['M03: the same good origin twice', ['Origin: http://localhost:1', 'Origin: http://localhost:1']],
    ['a name that begins like this machine', ['Origin: http://localhost.evil.test']],
    ['an address that begins like this machine', ['Origin: http://127.0.0.1.evil.test:80']],
    ['this machine as a user name', ['Origin: http://localhost:80@evil.test']],
    ['this machine with a path', ['Origin: http://localhost:80/x']],
    ['another scheme', ['Origin: file://localhost']],
  ] as const
  const requests: readonly RawRequest[] = [
    { target: '/mcp' },
    { target: '/mcp/v' },
    { method: 'GET', target: '/mcp' },
    { method: 'OPTIONS', target: '/mcp' },
    { method: 'DELETE', target: '/mcp' },
  ]

  it.each(foreign)('%s is refused on every MCP route, without a word that a page could read', async (_case, lines) => {
    for (const request of requests) {
      const answer = await send({ ...request, lines: [jsonType, 'Accept: text/event-stream', ...lines] })
      expect(answer.statuses).toEqual([403])
      expect(answer.text).not.toMatch(/access-control|evil|"id"/i)
    }
  })

  it.each(['http://localhost:1', 'http://127.0.0.1:65535', 'https://[::1]:3000'])(
    'a page of this machine, %s, may read its answer, and only it',
    async (origin) => {
      const { statuses, text } = await send({ lines: [jsonType, `Origin: ${origin}`] })
      expect(statuses).toEqual([200])
      expect(/^access-control-allow-origin: (.*)\r$/m.exec(text)?.[1]).toBe(origin)
      expect(text).toMatch(/^vary: origin\r$/im)
    },
  )

  it.each([
    'attacker.test',
    'attacker.test:PORT',
    '127.0.0.1',
    '127.1:PORT',
    '2130706433:PORT',
    '127.0.0.1:PORT.attacker.test',
    'attacker.test@127.0.0.1:PORT',
    '127.0.0.1:PORT, attacker.test',
    '',
  ])('M04: Host “%s” is refused', async (name) => {
    for (const path of ['/mcp', '/mcp/v']) {
      const { statuses } = await send({
        target: path,
        host: [`Host: ${name.replace('PORT', new URL(gateway.url).port)}`],
      })
      expect([[400], [403], [421]]).toContainEqual(statuses)
    }
  })

  it('M05: two hosts or none are refused, whichever comes first', async () => {
    const good = `Host: ${host()}`
    for (const lines of [[good, good], [good, 'Host: attacker.test'], ['Host: attacker.test', good], []])
      expect((await send({ host: lines })).statuses).toEqual([400])
  })

  it('M06: a request target with a host of its own is refused', async () => {
    for (const authority of ['http://attacker.test', gateway.url, 'https://attacker.test:1', `//${host()}`])
      expect([[400], [404]]).toContainEqual((await send({ target: `${authority}/mcp` })).statuses)
  })

  it('M30: forwarding headers change neither who is let in nor what is sent on', async () => {
    const spoofed = ['Host', 'For', 'Proto', 'Uri', 'User', 'Port'].flatMap((name) => [
      `X-Forwarded-${name}: 127.0.0.1`,
      `X_Forwarded_${name}: admin`,
    ])
    const lines = [...spoofed, 'Forwarded: for=127.0.0.1;host=evil.test', 'X-Real-Ip: 10.0.0.1', 'X-Original-Url: /api']
    expect((await send({ lines: [jsonType, ...lines], host: ['Host: attacker.test'] })).statuses).toEqual([403])
    const { headers, body } = modernRequest('tools/call', { name: 'one___one', arguments: {} })
    const before = target.requests.length
    const answer = await send({
      lines: [...Object.entries(headers).map(([name, value]) => `${name}: ${value}`), ...lines],
      body: JSON.stringify(body),
    })
    expect(answer.statuses).toEqual([200])
    expect(JSON.stringify(target.requests.slice(before))).not.toMatch(/forwarded|real-ip|original-url|evil/i)
  })

  it('health is told to whoever asks, since a prober has its own name for us, and tells nothing else', async () => {
    for (const path of ['/healthz', '/readyz']) {
      const answer = await send({ method: 'GET', target: path, host: ['Host: 10.0.0.7:8080'], body: '' })
      expect(answer.statuses).toEqual([200])
      expect(bodyOf(answer)).toMatch(/^\{"status":"\w+"\}$/)
      expect(answer.text).not.toMatch(/access-control/i)
    }
  })
})

describe('messages that two readers would read differently', () => {
  const chunked = '0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
  it.each([
    ['M09: a length and chunks', ['Transfer-Encoding: chunked', 'Content-Length: 4']],
    ['two lengths', ['Content-Length: 4', 'Content-Length: 5']],
    ['a signed length', ['Content-Length: +4']],
    ['a length in hexadecimal', ['Content-Length: 0x4']],
    ['an unknown transfer coding', ['Transfer-Encoding: xchunked']],
    ['chunks that are not the last coding', ['Transfer-Encoding: chunked, identity']],
    ['a space before the colon', ['Transfer-Encoding : chunked']],
    ['a folded header', ['X-A: a', ' Transfer-Encoding: chunked']],
    ['a header line without a colon', ['nonsense']],
    ['a control character', ['X-A: a\0b']],
    ['a bare line feed', ['X-A: a\nX-B: b\r']],
  ])('%s is refused, and nothing after it is read', async (_case, lines) => {
    const bytes = `POST /mcp HTTP/1.1\r\nHost: ${host()}\r\n${jsonType}\r\n${lines.join('\r\n')}\r\n\r\n${chunked}`
    expect((await rawExchange(gateway.url, bytes)).statuses).toEqual([400])
  })

  it.each([
    '\x16\x03\x01\0\xa5',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'GET /healthz\r\n\r\n',
    'BREW / HTTP/1.1\r\n\r\n',
  ])('bytes that are not HTTP/1.1 are refused: %j', async (bytes) =>
    expect((await rawExchange(gateway.url, bytes)).statuses).toEqual([400]),
  )

  it('a tunnel or another protocol is not opened', async () => {
    expect((await send({ method: 'CONNECT', target: 'evil.test:80', body: '' })).statuses).toEqual([])
    const upgrade = await send({ lines: [jsonType, 'Upgrade: websocket', 'Sec-WebSocket-Key: x'] })
    expect(upgrade.statuses).not.toContain(101)
  })
})

describe('bodies and headers out of bounds', () => {
  it('M07: one byte too much is refused by its length, before it is read; the bound itself is served', async () => {
    const announced = rawRequest(gateway.url, { lines: [jsonType, `Content-Length: ${limits.requestBodyBytes + 1}`] })
    expect((await rawExchange(gateway.url, announced)).statuses).toEqual([413])
    expect((await send({ body: ping.padEnd(limits.requestBodyBytes) })).statuses).toEqual([200])
  })

  it('M08: the same in chunks without end', async () => {
    const socket = rawSocket(gateway.url)
    socket.write(rawRequest(gateway.url, { lines: [jsonType, 'Transfer-Encoding: chunked'] }))
    const piece = Buffer.alloc(MiB, ' ')
    for (let sent = 0; sent <= limits.requestBodyBytes; sent += MiB) {
      socket.write('100000\r\n')
      socket.write(piece)
      socket.write('\r\n')
    }
    expect((await untilClosed(socket)).statuses).toEqual([413])
  })

  it.each([
    ['M13: text/plain', ['Content-Type: text/plain']],
    ['M13: a form', ['Content-Type: application/x-www-form-urlencoded']],
    ['M13: a type that begins like JSON', ['Content-Type: application/json-patch+json']],
    ['M13: JSON among others', ['Content-Type: text/plain, application/json']],
    ['M13: none', []],
    ['M14: compressed', [jsonType, 'Content-Encoding: gzip']],
    ['M14: compressed with nothing', [jsonType, 'Content-Encoding: identity, br']],
  ])('%s is not taken', async (_case, lines) => {
    expect((await send({ lines })).statuses).toEqual([415])
  })

  it.each([
    ['invalid UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22])],
    ['an overlong form', Buffer.from([0x22, 0xc0, 0xaf, 0x22])],
    ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['UTF-16', Buffer.from(ping, 'utf16le')],
    ['a byte order mark', Buffer.from(`\ufeff${ping}`)],
  ])('M15: %s is a parse error', async (_case, bytes) => {
    const answer = await post(`${gateway.url}/mcp`, { 'content-type': 'application/json; charset=utf-16' }, bytes)
    expect([answer.status, answer.json.error.code]).toEqual([400, -32700])
  })

  it.each([
    [[], 200],
    [['Accept: */*'], 200],
    [['Accept: application/json'], 200],
    [['Accept: text/event-stream'], 200],
    [['Accept: application/*;q=0.1'], 200],
    [['Accept: text/html'], 406],
    [['Accept: image/png, text/plain'], 406],
    [['Accept:'], 406],
  ])('M16: %j is answered %i', async (lines, status) => {
    expect((await send({ lines: [jsonType, ...lines] })).statuses).toEqual([status])
  })

  it('M17: a block of headers that is too large is refused, in one field or in many', async () => {
    const many = Array.from({ length: 2_000 }, (_, index) => `X-${index}: ${index}`)
    for (const lines of [[`X-A: ${'a'.repeat(17 * 1024)}`], many])
      expect((await send({ lines: [jsonType, ...lines] })).statuses).toEqual([431])
  })
})

describe('MCP headers beside the body', () => {
  const encoded = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`
  it.each([
    ['M18: another method', { 'mcp-method': 'tools/list' }, -32020],
    ['M18: the method in another case', { 'mcp-method': 'Tools/Call' }, -32020],
    ['M18: no method', { 'mcp-method': undefined }, -32020],
    ['M19: another name', { 'mcp-name': 'one___two' }, -32020],
    ['M19: the name in another case', { 'mcp-name': 'ONE___one' }, -32020],
    ['M19: no name', { 'mcp-name': undefined }, -32020],
    ['M20: another name, encoded', { 'mcp-name': encoded('one___two') }, -32020],
    ['M20: broken base64', { 'mcp-name': '=?base64?b25lX19fb25l*?=' }, -32020],
    ['M20: base64 with a tail', { 'mcp-name': `${encoded('one___one')}x` }, -32020],
    ['M20: encoded twice', { 'mcp-name': encoded(encoded('one___one')) }, -32020],
    ['M21: no revision', { 'mcp-protocol-version': undefined }, -32020],
    ['M21: a revision that is not that of the body', { 'mcp-protocol-version': '2099-01-01' }, -32020],
    ['M21: an older revision than that of the body', { 'mcp-protocol-version': '2025-11-25' }, -32020],
    ['M21: the revision twice', { 'mcp-protocol-version': `${modernVersion}, ${modernVersion}` }, -32020],
  ] as const)('%s is refused and nothing is called', async (_case, headers, code) => {
    const before = target.requests.length
    const answer = await callWith(headers)
    expect([answer.status, answer.json.error?.code, answer.json.id]).toEqual([400, code, 1])
    expect(target.requests.length).toBe(before)
  })

  it('M20: the right name, encoded, is taken', async () => {
    expect((await callWith({ 'mcp-name': encoded('one___one') })).json.result.isError).toBeUndefined()
  })

  it('M21: an unknown revision in both places is answered with those that are spoken', async () => {
    const answer = await callWith(
      { 'mcp-protocol-version': '2099-01-01' },
      { _meta: { 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } },
    )
    expect([answer.status, answer.json.error.code]).toEqual([400, -32022])
    expect(answer.json.error.data.supported).toContain(modernVersion)
  })

  it('M22: GET and DELETE are not methods of the modern revision, nor is any other', async () => {
    for (const method of ['GET', 'DELETE', 'PUT', 'PATCH', 'TRACE', 'HEAD']) {
      const lines = [`MCP-Protocol-Version: ${modernVersion}`, 'Accept: text/event-stream']
      const answer = await send({ method, lines, body: '' })
      expect(answer.statuses).toEqual([405])
      expect(answer.text).toMatch(/^allow: POST\r$/im)
    }
  })

  it.each([
    ['guessed', 'A'.repeat(64)],
    ['long', 'A'.repeat(15 * 1024)],
    ['empty', ''],
    ['of another alphabet', '../../etc/passwd'],
    ['of somebody’s prototype', '__proto__'],
  ])('M24: a session id that is %s is unknown', async (_case, id) => {
    for (const method of ['POST', 'DELETE', 'GET']) {
      const lines = [jsonType, 'Accept: application/json, text/event-stream', `Mcp-Session-Id: ${id}`]
      expect((await send({ method, lines })).statuses).toEqual([404])
    }
  })

  it('M24: one of 64 KiB is refused with its headers, and one cannot smuggle a line', async () => {
    expect((await send({ lines: [jsonType, `Mcp-Session-Id: ${'A'.repeat(65_536)}`] })).statuses).toEqual([431])
    const split = await send({ lines: [jsonType, 'Mcp-Session-Id: A\r\nOrigin: https://evil.example'] })
    expect(split.statuses).toEqual([403])
  })
})

describe('routes', () => {
  it.each(
    '/mcp%2f.. //mcp /MCP /x/../admin /mcp/ /mcp; /mcp%00 /mcp/..%2f..%2fapi%2ftargets /mcp/__proto__ /mcp/V /mcp/v/x'
      .split(' ')
      .concat(['/api/targets', '/api/usage', '/api/tools', '/metrics', '/admin', '/.toolgate/admin-token', '/']),
  )('M28: %s is nothing here, not even with the operator’s token', async (path) => {
    for (const method of ['GET', 'POST'])
      expect(
        (await send({ method, target: path, lines: [jsonType, `Authorization: Bearer ${gateway.adminToken}`] }))
          .statuses,
      ).toEqual([404])
  })

  it('M26: what stands in a query is not logged', async () => {
    await send({ target: '/mcp?access_token=canary-in-query' })
    await send({ target: '/nowhere?access_token=canary-in-query' })
    expect(gateway.log()).not.toContain('canary-in-query')
  })

  it('M29: a thousand requests down one connection are answered in their order', async () => {
    const one = (id: number): string => {
      const body = JSON.stringify({ jsonrpc: '2.0', id, method: 'ping' })
      return rawRequest(gateway.url, { lines: [jsonType], body, last: id === 1_000 })
    }
    const answer = await rawExchange(gateway.url, Array.from({ length: 1_000 }, (_, index) => one(index + 1)).join(''))
    const ids = [...answer.text.matchAll(/"id":(\d+),"result"/g)].map(([, id]) => Number(id))
    expect(ids).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1))
  })
})

describe('callers that hold on', () => {
  it('M10: headers that come byte by byte end with 408', { timeout: 60_000 }, async () => {
    expect((await slowHeaders).statuses).toEqual([408])
  })

  it('M11: so does a body', { timeout: 60_000 }, async () => {
    expect((await slowBody).statuses).toEqual([408])
  })

  it('M12: 5,000 connections that say nothing do not keep a new caller out', async () => {
    const idle = Array.from({ length: 5_000 }, () => rawSocket(gateway.url))
    try {
      await Promise.all(
        idle.map(
          (socket) => new Promise<void>((resolve) => socket.once('connect', resolve).once('close', () => resolve())),
        ),
      )
      const served = async (): Promise<boolean> => (await send()).statuses[0] === 200
      const answers: boolean[] = []
      // a few tries, all of them well before the idle ones have used up their time for headers
      for (let attempt = 0; attempt < 10 && answers.at(-1) !== true; attempt++) {
        answers.push(await served())
        await sleep(200)
      }
      expect(answers.at(-1)).toBe(true)
    } finally {
      for (const socket of idle) socket.destroy()
    }
  })

  it('after all of it the gateway lives and calls', async () => {
    target.answer = json({ fine: true })
    expect((await callWith({})).json.result.content[0].text).toBe('{"fine":true}')
    expect(gateway.child.exitCode).toBeNull()
    expect(
      gateway
        .log()
        .split('\n')
        .filter((line) => line.includes('"level":"error"')),
    ).toEqual([])
  })
})
