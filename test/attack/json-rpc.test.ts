/** Hostile messages (rows J01–J12, J19–J21 and J24 of the threat model), in both eras. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { callModern, modernRequest, post } from '../support/mcp.ts'
import { json, type Recorder } from '../support/recorder.ts'
import { codeOf, named, type Places, startPlaces, wordsOf } from './places.ts'

let places: Places
const url = (): string => places.gateway.url
const requests = (): Recorder['requests'] => places.target.requests

beforeAll(async () => {
  places = await startPlaces()
})

beforeEach(() => {
  places.target.answer = json({ ok: true })
  requests().length = 0
})

afterAll(() => places.close())

const legacyCall = (params: object) => places.legacy({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })

describe('what is not one message', () => {
  it.each([
    ['J01: nothing', '', -32700],
    ['J01: half an object', '{', -32700],
    ['J01: two objects', '{}{}', -32700],
    ['J01: a comment', '/* */{}', -32700],
    ['J01: null', 'null', -32600],
    ['J01: a string', '"x"', -32600],
    ['J01: a number', '1', -32600],
    ['J01: an empty object', '{}', -32600],
    ['J01: another version', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600],
    ['J01: a method that is a number', '{"jsonrpc":"2.0","id":1,"method":1}', -32600],
    ['J02: an empty batch', '[]', -32600],
    ['J02: a batch', '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600],
    ['J03: a batch of 100,000', `[${Array.from({ length: 100_000 }, () => '{"id":1}').join(',')}]`, -32600],
    ['J04: a million brackets', '['.repeat(1_000_000) + ']'.repeat(1_000_000), -32600],
    ['J04: a million objects', '{"a":'.repeat(500_000) + '0' + '}'.repeat(500_000), -32600],
    ['J19: NaN', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}', -32700],
    ['J19: a number past all numbers', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1e999}}', -32600],
    ['J19: minus nought', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[-0]}}', -32600],
  ])('%s is refused', async (_case, body, code) => {
    for (const headers of [{}, modernRequest('ping').headers]) {
      const answer = await places.legacy(body, headers)
      expect([answer.status, codeOf(answer)]).toEqual([400, code])
    }
  })

  it('J04: bodies of nothing but brackets are refused without keeping others waiting', { timeout: 4_000 }, async () => {
    const half = limits.requestBodyBytes / 2
    const bodies = ['['.repeat(half) + ']'.repeat(half), '['.repeat(2 * half)]
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => places.legacy(bodies[index % 2] ?? '')))
    for (const answer of answers) expect([-32600, -32700]).toContain(codeOf(answer))
  })

  it('J05: 65 levels are too many, 64 are not', async () => {
    const nested = (levels: number): string =>
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":${'{"a":'.repeat(levels - 2)}[]${'}'.repeat(levels - 2)}}`
    expect((await places.legacy(nested(limits.jsonDepth))).status).toBe(200)
    expect(codeOf(await places.legacy(nested(limits.jsonDepth + 1)))).toBe(-32600)
  })

  it('more values than are allowed are refused, in objects and in arrays', async () => {
    const many = limits.jsonNodes + 1
    for (const params of [
      `{"a":[${'0,'.repeat(many)}0]}`,
      `{${Array.from({ length: many }, (_, n) => `"${n}":0`).join(',')}}`,
    ])
      expect(codeOf(await places.legacy(`{"jsonrpc":"2.0","id":1,"method":"ping","params":${params}}`))).toBe(-32600)
  })

  it('J16: a string of 10 MiB is refused by its size, and a client that is still sending hears it', async () => {
    for (let attempt = 0; attempt < 10; attempt++) {
      const answer = await legacyCall({ name: 't___json', arguments: { body: { text: 'x'.repeat(10 * 1024 * 1024) } } })
      expect(answer.status).toBe(413)
    }
    expect(requests().length).toBe(0)
  })
})

describe('names of members', () => {
  it('J06: of two methods the one that is taken must be that of the header, and only it is carried out', async () => {
    const { headers, body } = modernRequest('tools/list')
    const twice = JSON.stringify(body).replace('"method":', '"method":"tools/call","method":')
    expect((await post(`${url()}/mcp`, headers, twice)).json.result.tools).toBeDefined()
    const other = { ...headers, 'mcp-method': 'tools/call', 'mcp-name': 't___plain' }
    expect(codeOf(await post(`${url()}/mcp`, other, twice))).toBe(-32020)
    expect(requests().length).toBe(0)
  })

  it.each(['Method', 'METHOD', 'Params', 'Id', 'ID', 'Jsonrpc', 'paramſ', 'tooꓡs', '\u212a'])(
    'J07, J08: a member %s beside the right ones changes nothing',
    async (name) => {
      const answer = await places.legacy({
        [name]: 'tools/list',
        jsonrpc: '2.0',
        id: 7,
        method: 'ping',
        params: { [name]: 1 },
      })
      expect(answer.json).toEqual({ jsonrpc: '2.0', id: 7, result: {} })
    },
  )

  it.each(['Name', 'NAME', 'Arguments'])('J07: nor does %s in the parameters of a call', async (name) => {
    const answer = await callModern(url(), 't___plain', {}, { [name]: 't___nowhere' })
    expect(wordsOf(answer)).toBe('{"ok":true}')
  })

  it('J07: and it does not stand in for the right one', async () => {
    expect(codeOf(await legacyCall({ Name: 't___plain' }))).toBe(-32602)
    expect(codeOf(await places.legacy({ JSONRPC: '2.0', id: 1, method: 'ping' }))).toBe(-32600)
    expect(requests().length).toBe(0)
  })
})

describe('ids', () => {
  it.each(
    named([
      'null',
      '1.5',
      '1e400',
      '-0',
      '9007199254740993',
      '{}',
      '[]',
      'true',
      `"${'x'.repeat(65_536)}"`,
      '"\\ud800"',
    ]),
  )('J09: the id %s is refused, and is not sent back', async (_name, id) => {
    const answer = await places.legacy(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`)
    expect([answer.status, codeOf(answer)]).toEqual([400, -32600])
    expect(answer.text.length).toBeLessThan(1_000)
  })

  it.each(named(['0', '-1', '9007199254740991', '""', '"a"', '"é\\"\\\\"', `"${'x'.repeat(limits.requestIdBytes)}"`]))(
    'the id %s comes back as it was',
    async (_name, id) => {
      const answer = await places.legacy(`{"jsonrpc":"2.0","id":${id},"method":"ping"}`)
      expect(answer.json.id).toBe(JSON.parse(id))
    },
  )

  it('J10: a hundred callers with one id at once each hear their own answer', async () => {
    places.target.answer = (request, response) => {
      // the later a request comes, the sooner it is answered
      setTimeout(
        () => json({ echo: JSON.parse(request.body.toString()) })(request, response, undefined as never),
        200 - 2 * requests().length,
      )
    }
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, nonce) => callModern(url(), 't___json', { body: { nonce } })),
    )
    expect(answers.map((answer) => JSON.parse(wordsOf(answer)).echo.nonce)).toEqual(answers.map((_, nonce) => nonce))
  })

  it('J20: a call without an id is taken and not carried out', async () => {
    const { headers, body } = modernRequest('tools/call', { name: 't___plain', arguments: {} })
    const noId = { ...body, id: undefined }
    expect((await post(`${url()}/mcp`, headers, noId)).status).toBe(202)
    expect((await places.legacy({ jsonrpc: '2.0', method: 'tools/call', params: { name: 't___plain' } })).status).toBe(
      202,
    )
    await callModern(url(), 't___plain')
    expect(requests().length).toBe(1)
  })

  it('J21: a client that answers what nobody asked is refused, or heard and ignored where the revision wants that', async () => {
    const response = { jsonrpc: '2.0', id: 1, result: { action: 'accept' } }
    const { headers } = modernRequest('tools/call', { name: 't___plain' })
    expect((await post(`${url()}/mcp`, headers, response)).status).toBe(400)
    expect((await places.legacy(response, { 'mcp-protocol-version': '2025-11-25' })).status).toBe(202)
    for (const broken of [
      { jsonrpc: '2.0', id: 1 },
      { ...response, error: {} },
      { jsonrpc: '2.0', result: {} },
    ])
      expect((await places.legacy(broken)).status).toBe(400)
  })
})

describe('methods and tools that are not there', () => {
  it.each(named(['constructor', '__proto__', 'toString', 'hasOwnProperty', '', 'tools/Call', 'x'.repeat(10_000)]))(
    'J11: the method “%s” is unknown',
    async (_name, method) => {
      const { headers, body } = modernRequest('x')
      const { status, json: answer } = await post(
        `${url()}/mcp`,
        { ...headers, 'mcp-method': method },
        { ...body, method },
      )
      expect([status, answer.error.code]).toEqual([404, -32601])
      const old = await places.legacy({ jsonrpc: '2.0', id: 1, method })
      expect([codeOf(old), old.text.length < 500]).toEqual([-32601, true])
    },
  )

  it.each(
    named([
      '__proto__',
      'constructor',
      'toString',
      '',
      't___plaіn',
      'T___plain',
      't___plain ',
      't___',
      'x'.repeat(10_240),
    ]),
  )('J12: the tool “%s” is unknown', async (_name, name) => {
    const { headers, body } = modernRequest('tools/call', { name, arguments: {} })
    const sentinel = { 'mcp-name': `=?base64?${Buffer.from(name).toString('base64')}?=` }
    const answers = [await legacyCall({ name }), await post(`${url()}/mcp`, { ...headers, ...sentinel }, body)]
    for (const answer of answers) expect([codeOf(answer), answer.text.length < 500]).toEqual([-32602, true])
    expect(requests().length).toBe(0)
  })

  it.each([1, null, {}, ['t___plain'], true])('J12: a name that is %j is no name', async (name) => {
    expect(codeOf(await legacyCall({ name }))).toBe(-32602)
  })

  it.each(named(['forged', '5', '-1', '__proto__', 'A'.repeat(10_000), '\0', 5, {}, null]))(
    'J24: the cursor %s is refused',
    async (_name, cursor) => {
      for (const answer of [
        await places.modern('tools/list', { cursor }),
        await places.legacy({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { cursor } }),
      ])
        expect(codeOf(answer)).toBe(-32602)
    },
  )

  it('J24: the cursor that a list gave is taken, and no other view or spelling of it', async () => {
    const { nextCursor } = (await places.modern('tools/list')).json.result
    expect((await places.modern('tools/list', { cursor: nextCursor })).json.result.tools.length).toBe(5)
    for (const cursor of [`${nextCursor}=`, ` ${nextCursor}`, nextCursor.slice(0, -1)])
      expect(codeOf(await places.modern('tools/list', { cursor }))).toBe(-32602)
  })
})

it('after all of it the gateway lives, and nothing was an internal failure', async () => {
  expect(wordsOf(await callModern(url(), 't___plain'))).toBe('{"ok":true}')
  expect(places.gateway.child.exitCode).toBeNull()
  expect(
    places.gateway
      .log()
      .split('\n')
      .filter((line) => line.includes('"level":"error"')),
  ).toEqual([])
})
