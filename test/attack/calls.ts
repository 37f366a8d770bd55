/** A gateway before a raw target that does with each call what the test says, and the count of both. */
import type { Socket } from 'node:net'
import { type GatewayProcess, type GatewaySetup, startGatewayProcess } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import type { Loose } from '../support/wire.ts'
import { answer, type FakeTarget, rawTarget } from '../unit/egress/support.ts'

export type Behaviour = (socket: Socket, request: string) => void

const known = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    name: { type: 'string' },
    self: { $ref: '#/components/schemas/Known' },
    free: {},
  },
}

/** `get`, `post`, and `typed`, whose answer is an object of known shape. */
const description = (server: string): object => ({
  openapi: '3.1.0',
  info: { title: 'Echoes', version: '1' },
  servers: [{ url: server }],
  paths: {
    '/get': { get: { operationId: 'get', responses: { 200: { description: 'Fine' } } } },
    '/post': { post: { operationId: 'post', responses: { 200: { description: 'Fine' } } } },
    '/typed': {
      get: {
        operationId: 'typed',
        responses: {
          200: {
            description: 'Fine',
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Known' } } },
          },
        },
      },
    },
  },
  components: { schemas: { Known: known } },
})

export interface Called {
  readonly status: number
  /** The answer as it came, the message in it, and its result. */
  readonly raw: string
  readonly json: Loose
  readonly result: Loose
  /** What the target was asked for this call. */
  readonly requests: readonly string[]
}

export interface Calls {
  readonly gateway: GatewayProcess
  readonly target: FakeTarget
  /** A place where nobody may come. */
  readonly elsewhere: FakeTarget
  /** One call of a tool; `then` is what the target does with it, or the bytes that it answers. */
  call(tool: string, then: Behaviour | Buffer | string, extra?: object): Promise<Called>
  /** Says what the target does with calls that are made in another way, and how many these are. */
  expecting(calls: number, then: Behaviour): void
  /** How many calls were made, and how many the ledger has: the same, if each was counted once. */
  counted(): Promise<{ readonly made: number; readonly metered: number }>
  close(): Promise<void>
}

/** `config` gets the target’s origin and that of a closed port; the description is `target.json`. */
export async function startCalls(
  setup: (origin: string, closedPort: string) => GatewaySetup & { readonly config: object },
): Promise<Calls> {
  let behave: Behaviour = () => undefined
  let made = 0
  const target = await rawTarget((socket, request) => behave(socket, request))
  const elsewhere = await rawTarget((socket) => void socket.end(answer('stolen')))
  const closedPort = await rawTarget(() => undefined)
  await closedPort.close()
  const { config, ...rest } = setup(target.origin, closedPort.origin)
  const gateway = await startGatewayProcess({
    ...rest,
    config: {
      log: { level: 'debug' },
      admin: { port: 0, tools: false },
      egress: { allow: [`127.0.0.1:${target.port}`, `127.0.0.1:${closedPort.port}`] },
      ...config,
    },
    files: { 'target.json': description(target.origin) },
  })
  return {
    gateway,
    target,
    elsewhere,
    async call(tool, then, extra = {}) {
      const before = target.requests.length
      behave = typeof then === 'function' ? then : (socket) => void socket.write(then)
      made += 1
      const { status, json, text } = await callModern(gateway.url, tool, {}, extra)
      return { status, json, raw: text, result: json?.result, requests: target.requests.slice(before) }
    },
    expecting(calls, then) {
      behave = then
      made += calls
    },
    async counted() {
      const headers = { authorization: `Bearer ${gateway.adminToken}` }
      const answer = (await (
        await fetch(`${gateway.adminUrl}/api/usage?by=outcome,meter`, { headers })
      ).json()) as Loose
      // all that were made, whether they are billed or not
      const calls = answer.rows.filter(({ meter }: Loose) => meter === 'call')
      return { made, metered: calls.reduce((sum: number, row: Loose) => sum + row.calls, 0) }
    },
    async close() {
      await gateway.remove()
      await target.close()
      await elsewhere.close()
    },
  }
}

export const wordsOf = ({ result }: Called): string => result?.content?.[0]?.text

/** Status, whether the result is an error, and how often the target was asked. */
export const outcomeOf = (called: Called): [number, boolean, number] => [
  called.status,
  called.result?.isError === true,
  called.requests.length,
]

export const failed = (requests: number): [number, boolean, number] => [200, true, requests]

export const jsonAnswer = (text: string, ...headers: string[]): Buffer =>
  answer(text, ['content-type: application/json', ...headers])
