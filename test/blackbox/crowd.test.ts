/** Two hundred clients at once, their JSON-RPC ids all alike: each gets its own answer, and its own line in the bill. */
import type { ServerResponse } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearer, type Caller, callerOf, spooled, tokenOf } from '../support/callers.ts'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import { messagesIn } from '../support/wire.ts'

const clients = 200

let target: Recorder
let provider: IdentityProvider
let gateway: GatewayProcess
/** How many requests the target held at one time, at most. */
let heldAtOnce = 0
let crowd: readonly (Caller & { readonly name: string; readonly session: string })[]

const description = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Echo', version: '1' },
  servers: [{ url: origin }],
  paths: {
    '/echo': {
      get: {
        operationId: 'echo',
        parameters: [{ name: 'X-Who', in: 'header', required: true, schema: { type: 'string' } }],
        responses: { 200: { description: 'Who asked.', content: { 'application/json': { schema: {} } } } },
      },
    },
  },
})

/** Requests wait until no more come for a while, and are then answered in reverse: the last first. */
function backwards(recorder: Recorder): void {
  const waiting: (readonly [ServerResponse, unknown])[] = []
  let timer: NodeJS.Timeout | undefined
  recorder.answer = (request, response) => {
    heldAtOnce = Math.max(heldAtOnce, waiting.push([response, request.headers['x-who']]))
    clearTimeout(timer)
    timer = setTimeout(() => {
      for (const [answer, who] of waiting.splice(0).toReversed())
        answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ who }))
    }, 50)
  }
}

beforeAll(async () => {
  target = await startRecorder()
  provider = await startIdentityProvider()
  gateway = await startGatewayProcess({
    config: {
      admin: { port: 0, tools: false },
      inbound: { type: 'jwt', discoveryUrl: provider.discoveryUrl },
      egress: { allow: [target.address, provider.address] },
    },
    files: { 'specs/one.json': description(target.origin) },
  })
  const mcp = `${gateway.url}/mcp`
  crowd = await Promise.all(
    Array.from({ length: clients }, async (_, number) => {
      const name = `client-${number}`
      const caller = callerOf(mcp, bearer(await tokenOf(provider, mcp, { sub: name })))
      return { ...caller, name, session: await caller.initialize() }
    }),
  )
})
afterAll(async () => {
  await gateway.remove()
  await target.close()
  await provider.close()
})

type Who = (typeof crowd)[number]

describe('clients with one id between them', () => {
  it('have each a session of their own', () => {
    expect(new Set(crowd.map(({ session }) => session)).size).toBe(clients)
  })

  it.each<[era: string, call: (one: Who, place: number) => ReturnType<Caller['call']>]>([
    ['2026-07-28', ({ call, name }) => call('one___echo', { 'X-Who': name })],
    ['2025-11-25', ({ callLegacy, name, session }) => callLegacy('one___echo', { 'X-Who': name }, session)],
    [
      'both eras together',
      ({ call, callLegacy, name, session }, place) =>
        place % 2 === 0 ? call('one___echo', { 'X-Who': name }) : callLegacy('one___echo', { 'X-Who': name }, session),
    ],
    [
      'streams with one progress token',
      ({ call, name }) => call('one___echo', { 'X-Who': name }, { _meta: { progressToken: 'all alike' } }),
    ],
  ])('get each their own answer, in %s', async (_era, call) => {
    backwards(target)
    target.requests.length = 0
    heldAtOnce = 0
    const before = spooled(gateway.dir).length
    const answers = await Promise.all(crowd.map(call))
    const results = answers.map(({ json, text }) => (json ?? messagesIn(text).at(-1)) as { id: number; result: any })
    expect(heldAtOnce).toBeGreaterThan(clients / 10)
    expect(results.map(({ id }) => id)).toEqual(crowd.map(() => 1))
    expect(results.map(({ result }) => result.content[0].text)).toEqual(
      crowd.map(({ name }) => JSON.stringify({ who: name })),
    )
    // each of them was asked for once, and billed to whom it was for
    const names = crowd.map(({ name }) => name).toSorted()
    expect(target.requests.map(({ headers }) => String(headers['x-who'])).toSorted()).toEqual(names)
    const lines = spooled(gateway.dir).slice(before)
    for (const kind of ['b', 'e'])
      expect(lines.filter((line) => line.kind === kind).map(({ call }) => call.subject)).toHaveLength(clients)
    expect([...new Set(lines.map(({ call }) => String(call.subject)))].toSorted()).toEqual(
      names.map((name) => `${provider.issuer}|${name}`).toSorted(),
    )
  })
})
