/** Hostile arguments and what travels beside them (rows J13–J18, J23, J25 and J26 of the threat model). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { callModern } from '../support/mcp.ts'
import { json, type Recorder } from '../support/recorder.ts'
import { codeOf, isRefusal, named, type Places, resultType, startPlaces, wordsOf } from './places.ts'

const MiB = 1024 * 1024

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

describe('arguments', () => {
  it.each([
    '{"__proto__":{"polluted":1}}',
    '{"body":{"__proto__":{"polluted":1}}}',
    '{"body":{"a":[{"__proto__":null}]}}',
    '{"body":{"\\u005f_proto__":1}}',
  ])('J13: %s is refused', async (args) => {
    expect(isRefusal(await places.callWithText('t___json', args))).toBe(true)
    expect(requests().length).toBe(0)
  })

  it('J13: constructor and prototype are names like any other, in the body and in what comes after', async () => {
    const body = { constructor: { prototype: { polluted: 1 } }, prototype: {}, toString: 'x', hasOwnProperty: 1 }
    await callModern(url(), 't___json', { body })
    expect(JSON.parse(requests()[0]?.body.toString() ?? '')).toEqual(body)
    await callModern(url(), 't___json', { body: {} })
    expect(requests()[1]?.body.toString()).toBe('{}')
    const unknown = await callModern(url(), 't___plain', { constructor: 1, toString: 2 })
    expect(wordsOf(unknown)).toMatch(/constructor.*\n.*toString/)
  })

  it.each(['[]', '"x"', '1', 'true', 'null', '[{}]'])('J14: arguments that are %s are refused', async (args) => {
    expect(isRefusal(await places.callWithText('t___plain', args))).toBe(true)
    expect(requests().length).toBe(0)
  })

  it.each([
    [{}, ['arguments/body']],
    [{ body: {} }, ['arguments/body/name']],
    [{ body: { name: 'x', 'canary-4711': 1 } }, ['arguments/body/canary-4711']],
    [{ body: { name: 'x' }, extra: 'canary-4711' }, ['arguments/extra']],
    [{ body: { name: ['canary-4711'], age: 'canary-4711' } }, ['arguments/body/name', 'arguments/body/age']],
    [{ body: { name: 'x', age: 4711, kind: 'canary-4711' } }, ['arguments/body/age', 'arguments/body/kind']],
  ])('J15: %j is answered with the path of each fault and no value', async (args, paths) => {
    const answer = await callModern(url(), 't___strict', args)
    expect(answer.json.result.isError).toBe(true)
    for (const path of paths) expect(wordsOf(answer)).toContain(`${path}:`)
    expect(wordsOf(answer).replace('body/canary-4711:', '')).not.toContain('4711')
    expect(requests().length).toBe(0)
  })

  it('J15: faults are bounded in number, and so is a name that comes back in one', async () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`x${n}`, 1]))
    for (const args of [many, { ['k'.repeat(100_000)]: 1 }, { body: { ['k'.repeat(100_000)]: 1, name: 'x' } }]) {
      const answer = await callModern(url(), 't___strict', args)
      expect(answer.json.result.isError).toBe(true)
      expect(wordsOf(answer).length).toBeLessThan(4_096)
    }
  })

  it.each(['nested', 'either', 'spaces', 'counted', 'ahead', 'broken'])(
    'J17: a description’s pattern that runs away (%s) is answered in time, for a short text and for a long one',
    { timeout: 10_000 },
    async (name) => {
      for (const length of [50, 1_000_000])
        for (const letter of ['a', ' ']) {
          const answer = await callModern(url(), 't___pattern', { body: { [name]: `${letter.repeat(length)}!` } })
          expect(answer.status).toBe(200)
        }
    },
  )

  it.each(['json', 'form', 'multipart', 'query', 'deep', 'header', 'cookie', 'path'])(
    'J18: half a surrogate pair in %s, as a name or as a value, is refused or leaves as it came',
    async (place) => {
      for (const value of ['{"\\ud800":"x"}', '{"x":"\\udfff"}', '{"x\\ud83d":{"y":"\\ude00"}}']) {
        const argument = ['json', 'form', 'multipart'].includes(place) ? 'body' : 'o'
        const answer = await places.callWithText(`t___${place}`, `{"${argument}":${value}}`)
        expect([answer.status, codeOf(answer)]).not.toContain(500)
        expect(codeOf(answer)).not.toBe(-32603)
        for (const { url, rawHeaders, body } of requests())
          expect(url + rawHeaders.join('') + body.toString()).not.toMatch(/\ufffd|%ED%A[0-9A-F]/i)
      }
    },
  )
})

describe('what travels beside the arguments', () => {
  it.each(named(['x'.repeat(MiB), {}, [], true]))(
    'J25: a progress token that is %s is refused',
    async (_name, progressToken) => {
      const answer = await callModern(url(), 't___plain', {}, { _meta: { progressToken } })
      expect(codeOf(answer)).toBe(-32602)
      expect(answer.text.length).toBeLessThan(1_000)
    },
  )

  it('J26: a megabyte of trace is ignored, and not logged', async () => {
    for (const traceparent of ['canary-trace'.repeat(87_000), 'canary-trace\n', { a: 'canary-trace' }])
      expect(
        wordsOf(await callModern(url(), 't___plain', {}, { _meta: { traceparent, tracestate: traceparent } })),
      ).toBe('{"ok":true}')
    expect(places.gateway.log()).not.toContain('canary-trace')
  })

  it.each(named(['', 'A', 'A'.repeat(100), 'A'.repeat(20_000), '__proto__', 7, {}, null]))(
    'J23: the request state %s is refused and nothing is called',
    async (_name, requestState) => {
      const answer = await callModern(url(), 't___asks', {}, { requestState, inputResponses: {} })
      expect(codeOf(answer)).toBe(-32602)
      expect(requests().length).toBe(0)
    },
  )

  it('J23: so is one that was cut, changed, or given for another call; the right one is taken', async () => {
    const ask = {
      resultType: 'input_required',
      inputRequests: { a: { method: 'elicitation/create', params: {} } },
      requestState: 's',
    }
    places.target.answer = (request, response, incoming) => {
      if (request.headers['toolgate-request-state'] !== undefined)
        return json({ done: true })(request, response, incoming)
      response.writeHead(200, { 'content-type': resultType }).end(JSON.stringify(ask))
    }
    const _meta = { 'io.modelcontextprotocol/clientCapabilities': { elicitation: {} } }
    const again = (requestState: string, args: object = { which: 'a' }, tool = 't___asks') =>
      callModern(url(), tool, args, { _meta, requestState, inputResponses: { a: { action: 'accept' } } })
    const first = await callModern(url(), 't___asks', { which: 'a' }, { _meta })
    const state: string = first.json.result.requestState
    const before = requests().length
    const flipped = Array.from(
      state,
      (letter, at) => state.slice(0, at) + (letter === 'A' ? 'B' : 'A') + state.slice(at + 1),
    )
    for (const forged of [state.slice(1), state.slice(0, -1), `${state}A`, `${state}=`, ` ${state}`, ...flipped])
      expect(codeOf(await again(forged))).toBe(-32602)
    expect(codeOf(await again(state, { which: 'b' }))).toBe(-32602)
    expect(codeOf(await again(state, {}, 't___plain'))).toBe(-32602)
    expect(requests().length).toBe(before)
    expect(wordsOf(await again(state))).toBe('{"done":true}')
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
