/** Lambda functions as tools, through a running gateway, against an independent implementation of the Invoke API. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type GatewayProcess, startGatewayProcess } from '../support/gateway.ts'
import { hasEmulator, type LambdaEmulator, startLambdaEmulator, whyNot } from '../support/lambda-emulator.ts'
import { callModern } from '../support/mcp.ts'
import { operatorOf } from '../support/operator.ts'

const open = { type: 'object', properties: {} }
const tool = (name: string, inputSchema: object = open, more: object = {}): object => ({
  name,
  description: `The tool ${name}.`,
  inputSchema,
  ...more,
})
const byId = { type: 'object', properties: { orderId: { type: 'string' } }, required: ['orderId'] }

const pets = {
  openapi: '3.1.0',
  info: { title: 'pets', version: '1' },
  servers: [{ url: 'https://pets.example.com' }],
  paths: {
    '/pets/{id}': {
      get: {
        operationId: 'getPet',
        parameters: [
          { name: 'id', in: 'path', required: true, schema: { type: 'string' } },
          { name: 'tag', in: 'query', schema: { type: 'array', items: { type: 'string' } } },
        ],
        responses: { 200: { description: 'It.', content: { 'application/json': { schema: { type: 'object' } } } } },
      },
    },
    '/pets': {
      post: {
        operationId: 'addPet',
        requestBody: { content: { 'application/json': { schema: { type: 'object' } } } },
        responses: { 201: { description: 'Made.' } },
      },
    },
  },
}

let emulator: LambdaEmulator
let gateway: GatewayProcess
const { admin } = operatorOf(() => gateway)

it.skipIf(hasEmulator)(`is skipped: ${whyNot}`, (context) => context.skip())

describe.runIf(hasEmulator)('a Lambda function', () => {
  beforeAll(async () => {
    emulator = await startLambdaEmulator()
    const at = { region: 'us-east-1', endpoint: emulator.origin }
    const simple = ['echo', 'fails', 'handled', 'slow', 'large', 'result']
    gateway = await startGatewayProcess({
      env: { AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'canary-secret-key', AWS_SESSION_TOKEN: '' },
      config: {
        name: 'shop-gateway',
        egress: { allow: [emulator.address] },
        admin: { port: 0, tools: false },
        targets: {
          ...Object.fromEntries(
            simple.map((name) => [
              name,
              { lambda: { function: name, tools: `${name}.json`, ...at }, timeoutMs: 8_000 },
            ]),
          ),
          echo: {
            lambda: { function: 'echo', tools: 'echo.json', ...at, qualifier: 'live' },
            headers: { forwardRequest: ['X-Tenant'] },
            tools: { override: { echo: { name: 'say_again' } } },
          },
          proxy: { lambda: { function: 'proxy', tools: 'proxy.json', ...at } },
          orders: { lambda: at },
          tickets: { lambda: { function: 'tickets', tools: 'tickets.json', ...at } },
          pets: { openapi: 'pets.json', lambda: { function: 'rest', ...at } },
          none: { lambda: { function: 'not-there', tools: 'echo.json', ...at } },
        },
      },
      files: {
        'specs/orders.lambda.json': {
          // the emulator knows functions by their names alone
          function: 'orders',
          tools: [
            tool('get_order_tool', byId, {
              outputSchema: { type: 'object', properties: { status: { type: 'string' } } },
            }),
            tool('update_order_tool', byId),
          ],
        },
        ...Object.fromEntries(simple.map((name) => [`${name}.json`, [tool(name)]])),
        'proxy.json': [tool('proxy', { type: 'object', properties: { statusCode: { type: 'integer' } } })],
        'tickets.json': [tool('get_ticket_tool', { type: 'object', properties: { ticketId: { type: 'string' } } })],
        'pets.json': pets,
      },
    })
  }, 60_000)

  afterAll(async () => {
    await gateway?.remove()
    await emulator?.close()
  })

  const call = async (name: string, args: object = {}, extra: object = {}) =>
    (await callModern(gateway.url, name, args, extra)).json

  it('is ready, and its operator sees which one it is', async () => {
    const { targets } = (await (await admin('/api/targets')).json()) as {
      targets: { name: string; status: string; server: string }[]
    }
    expect(targets.filter(({ status }) => status !== 'READY')).toEqual([])
    expect(targets.find(({ name }) => name === 'orders')?.server).toBe('orders')
    expect(targets.find(({ name }) => name === 'echo')?.server).toBe('echo:live')
  })

  it.each([
    ['orders___get_order_tool', { orderId: 'a1' }, { orderId: 'a1', status: 'SHIPPED' }],
    ['orders___update_order_tool', { orderId: 'a1' }, { orderId: 'a1', status: 'UPDATED' }],
    ['tickets___get_ticket_tool', { ticketId: 't7' }, { ticketId: 't7', status: 'OPEN' }],
  ])('that has the shape of AgentCore’s samples answers %s', async (name, args, answer) => {
    const { result } = await call(name, args)
    expect([result.isError, JSON.parse(result.content[0].text)]).toEqual([undefined, answer])
  })

  it('gives structured content under its output schema', async () => {
    const { result } = await call('orders___get_order_tool', { orderId: 'a1' })
    expect(result.structuredContent).toEqual({ orderId: 'a1', status: 'SHIPPED' })
  })

  it('gets the arguments as its event, and AgentCore’s keys in its client context, whatever the tool is called', async () => {
    const { result } = await call('say_again', { a: { b: [1] }, c: 'ä' })
    const { event, custom } = JSON.parse(result.content[0].text)
    expect(event).toEqual({ a: { b: [1] }, c: 'ä' })
    expect(custom).toMatchObject({
      bedrockAgentCoreMessageVersion: '1.0',
      bedrockAgentCoreToolName: 'echo___echo',
      bedrockAgentCoreTargetId: 'echo',
      bedrockAgentCoreGatewayId: 'shop-gateway',
      bedrockAgentCoreMcpMessageId: '1',
      bedrockAgentCoreAwsRequestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
  })

  it.each([
    ['fails___fails', 'nothing left'],
    ['handled___handled', 'no such order'],
    ['slow___slow', 'timeout'],
  ])(
    '%s: what it throws is an error result with its message, never its stack',
    async (name, words) => {
      const { result } = await call(name)
      expect(result.isError).toBe(true)
      const text = JSON.stringify(result)
      expect(text).toContain(words)
      expect(text).not.toMatch(/handlers\.js:\d|node_modules|"trace"|stackTrace/)
    },
    20_000,
  )

  it('that answers more than is taken is cut, and said so', async () => {
    const { result } = await call('large___large')
    expect(JSON.stringify(result).length).toBeLessThan(3 * 1024 * 1024)
    expect(JSON.stringify(result.content)).toMatch(/cut|left out|longer/i)
  })

  it('may answer with an MCP result', async () => {
    expect((await call('result___result')).result.content).toEqual([
      { type: 'text', text: 'Two blocks.' },
      { type: 'image', data: 'aGk=', mimeType: 'image/png' },
    ])
  })

  it.each([
    [200, undefined],
    [404, true],
    [500, true],
  ])('with a proxy’s answer of %i is an error: %s', async (statusCode, isError) => {
    const { result } = await call('proxy___proxy', { statusCode })
    expect([result.isError, JSON.stringify(result.content)]).toEqual([
      isError,
      expect.stringContaining(`${statusCode}`),
    ])
  })

  it('that is not there is a clear error', async () => {
    const { result } = await call('none___echo')
    expect(result.isError).toBe(true)
    expect(result.content[0].text).toMatch(/function/i)
  })

  it('behind an OpenAPI description is spoken to in payload format 2.0', async () => {
    const { result } = await call('pets___getPet', { id: 'a b', tag: ['x', 'y&z'] })
    expect(result.isError, JSON.stringify(result)).toBeUndefined()
    expect(JSON.parse(result.content[0].text)).toEqual({
      id: 'a%20b',
      query: { tag: 'x,y&z' },
      raw: 'tag=x&tag=y%26z',
    })
    expect((await call('pets___getPet', { id: '404' })).result).toMatchObject({ isError: true })
    const added = await call('pets___addPet', { body: { name: 'Rex' } })
    expect(JSON.parse(added.result.content[0].text)).toEqual({ made: { name: 'Rex' }, type: 'application/json' })
  })

  it('is never shown the caller’s secrets, and never shows AWS’s', () => {
    expect(gateway.log()).not.toContain('canary-secret-key')
  })
})
