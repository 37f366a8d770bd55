/** Functions called through adapter and transport, against serverless-offline: an independent Invoke API with real runtimes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Cancellation } from '../../src/core/cancel.ts'
import type { Json, Operation, Outcome, OutboundRequest } from '../../src/core/model.ts'
import { lambda } from '../../src/targets/lambda.ts'
import { openapi } from '../../src/targets/openapi.ts'
import type { LambdaOptions } from '../../src/transports/lambda.ts'
import type { Delivery } from '../../src/transports/transport.ts'
import { hasEmulator, type LambdaEmulator, startLambdaEmulator, whyNot } from '../support/lambda-emulator.ts'
import { type Recorder, startRecorder } from '../support/recorder.ts'
import {
  delivery,
  errorOf,
  inTurn,
  lambdaRoom,
  refusal,
  targetAt,
  type TestRoom,
  transportTo,
} from '../unit/transports/lambda-support.ts'

if (!hasEmulator)
  it(`is skipped: ${whyNot}`, (context) => {
    context.skip()
  })

describe.runIf(hasEmulator)('against serverless-offline', () => {
  let emulator: LambdaEmulator
  let room: TestRoom

  beforeAll(async () => {
    emulator = await startLambdaEmulator()
    room = lambdaRoom([emulator.address])
  })
  afterAll(async () => {
    await room?.close()
    await emulator?.close()
  })

  const operation = (id: string): Operation => ({
    id,
    label: id,
    description: '',
    input: { type: 'object' },
    effect: 'write',
    idempotent: false,
    binding: {},
  })

  interface How extends Partial<Delivery> {
    readonly headers?: readonly (readonly [string, string])[]
    readonly timeoutMs?: number
    readonly origin?: string
  }

  /** As a call does: prepare, send, interpret. */
  async function call(name: string, id: string, args: { [name: string]: Json }, how: How = {}): Promise<Outcome> {
    const { headers = [], timeoutMs = 20_000, origin = emulator.origin, ...more } = how
    const target = targetAt(origin, { timeoutMs })
    const request = lambda.prepare(operation(id), args, target)
    for (const [header, value] of headers) request.headers.set(header, value)
    const transport = transportTo(target, room, { function: name })
    const { response } = await transport.send(request, delivery({ operation: operation(id), ...more }))
    return lambda.interpret(operation(id), response)
  }

  const textOf = ({ content }: Outcome): string =>
    content.map((block) => (block.type === 'text' ? block.text : block.type)).join('|')

  it('gets the event that the arguments are, and AgentCore’s client context', async () => {
    const outcome = await call('echo', 'any', { a: 1, list: ['é'] }, { headers: [['x-tenant', 'acme']] })
    expect(JSON.parse(textOf(outcome))).toEqual({
      event: { a: 1, list: ['é'] },
      custom: {
        bedrockAgentCoreMessageVersion: '1.0',
        bedrockAgentCoreAwsRequestId: '0198-usage',
        bedrockAgentCoreMcpMessageId: '7',
        bedrockAgentCoreGatewayId: 'my-gateway',
        bedrockAgentCoreTargetId: 'shop',
        bedrockAgentCoreToolName: 'shop___any',
        bedrockAgentCorePropagatedHeaders: { 'x-tenant': 'acme' },
      },
    })
  })

  it.each([
    ['get_order_tool', 'SHIPPED'],
    ['update_order_tool', 'UPDATED'],
  ])('a function with the shape of AgentCore’s samples answers as %s', async (id, status) => {
    expect(await call('orders', id, { orderId: '7' })).toMatchObject({
      isError: false,
      content: [{ type: 'text', text: JSON.stringify({ orderId: '7', status }) }],
    })
  })

  it('so does one in Python', async () => {
    const outcome = await call('tickets', 'get_ticket_tool', { ticketId: 't-1' })
    expect(JSON.parse(textOf(outcome))).toEqual({ ticketId: 't-1', status: 'OPEN' })
  })

  it('a tool that the sample does not know is a refusal', async () => {
    const outcome = await call('orders', 'other', {})
    expect(outcome).toMatchObject({ isError: true, status: 400 })
    expect(textOf(outcome)).toMatch(/unknown tool other/)
  })

  it.each([
    ['fails', /^The function failed \(Unhandled\)\.\n\n\w+: nothing left/],
    ['handled', /^The function failed \(Unhandled\)\.\n\n\w+: no such order$/],
    ['slow', /timeout/i],
  ])('an error of the function %s is one of the tool, without its stack (L01, L02)', async (name, words) => {
    const outcome = await call(name, 'any', {})
    expect(outcome.isError).toBe(true)
    expect(textOf(outcome)).toMatch(words)
    expect(textOf(outcome)).not.toMatch(/handlers\.js:\d|\bat \w/)
  })

  it('an answer of 7 MB comes through as far as a result goes (L04)', async () => {
    const outcome = await call('large', 'any', {})
    expect(outcome.isError).toBe(false)
    expect(textOf(outcome)).toMatch(/^\{"data":"x+\n\n\[The answer is longer and was cut here/)
  })

  it('an MCP tool result is taken as one', async () => {
    expect(await call('result', 'any', {})).toMatchObject({ content: [{ type: 'text' }, { type: 'image' }] })
    expect(await call('verdict', 'any', { fails: true })).toMatchObject({
      isError: true,
      content: [{ type: 'text', text: 'The shop is closed.' }],
    })
  })

  it('a proxy’s answer is taken for what it stands for (L03)', async () => {
    expect(await call('proxy', 'any', { statusCode: 500 })).toMatchObject({ isError: true, status: 500 })
    expect(await call('proxy', 'any', { statusCode: 200 })).toMatchObject({ isError: false })
  })

  it('a call is over when its time is, and when its caller hangs up (L10)', async () => {
    expect((await errorOf(call('sleeper', 'any', { ms: 20_000 }, { timeoutMs: 500 }))).code).toBe('target_timeout')
    const signal = new Cancellation()
    const work = errorOf(call('sleeper', 'any', { ms: 20_000 }, { signal }))
    setTimeout(() => signal.abort(), 100)
    expect((await work).code).toBe('cancelled')
  })

  it('a function that is not there is told', async () => {
    const error = await errorOf(call('nobody', 'any', {}))
    expect([error.code, error.message]).toEqual([
      'target_refused',
      'AWS Lambda did not begin the function: there is no such function, version or alias. Tell the operator.',
    ])
  })

  describe('with an API in front that refuses first', () => {
    let front: Recorder

    beforeAll(async () => {
      front = await startRecorder()
      await room.close()
      room = lambdaRoom([emulator.address, front.address])
    })
    afterAll(() => front.close())

    /** Passes on to the emulator. */
    const onward = inTurn(({ url, headers, body }, response) => {
      const given = ['x-amz-client-context', 'x-amz-invocation-type'].map(
        (name) => [name, String(headers[name])] as const,
      )
      void fetch(`${emulator.origin}${url}`, { method: 'POST', headers: Object.fromEntries(given), body }).then(
        async (answer) => {
          const fields = [...answer.headers].filter(([name]) => /^x-amz|^content-type$/.test(name))
          response.writeHead(answer.status, Object.fromEntries(fields)).end(Buffer.from(await answer.arrayBuffer()))
        },
      )
    })

    it.each([
      ['429 TooManyRequestsException', refusal(429, 'TooManyRequestsException', { Reason: 'CallerRateLimitExceeded' })],
      ['502 ResourceNotReadyException', refusal(502, 'ResourceNotReadyException')],
    ])('what was not begun is begun once: %s (L06, L07)', async (_what, refused) => {
      front.requests.length = 0
      front.answer = inTurn(refused, refused, onward)
      const outcome = await call('orders', 'get_order_tool', { orderId: '9' }, { origin: front.origin })
      expect(JSON.parse(textOf(outcome))).toEqual({ orderId: '9', status: 'SHIPPED' })
      expect(front.requests).toHaveLength(3)
    })

    it('what may have been begun is not begun twice (L07)', async () => {
      front.requests.length = 0
      front.answer = inTurn(refusal(502, 'ServiceException'), onward)
      expect((await errorOf(call('orders', 'get_order_tool', {}, { origin: front.origin }))).code).toBe(
        'target_broke_off',
      )
      expect(front.requests).toHaveLength(1)
    })
  })

  describe('a REST function without an API Gateway', () => {
    const item = { type: 'object', properties: { id: { type: 'string' }, name: { type: 'string' } } }
    const ok = { 200: { description: 'ok', content: { 'application/json': { schema: item } } } }
    const id = { name: 'id', in: 'path', required: true, schema: { type: 'string' } }
    const description = {
      openapi: '3.1.1',
      info: { title: 'Shop', version: '1' },
      servers: [{ url: 'https://shop.example.com' }],
      paths: {
        '/items': {
          get: {
            operationId: 'list',
            parameters: [{ name: 'name', in: 'query', schema: { type: 'string' } }],
            responses: ok,
          },
        },
        '/items/{id}': {
          get: { operationId: 'get', parameters: [id], responses: ok },
          put: {
            operationId: 'put',
            parameters: [id],
            requestBody: { content: { 'application/json': { schema: item } } },
            responses: ok,
          },
          delete: { operationId: 'remove', parameters: [id], responses: ok },
        },
        '/items/{id}/picture': { get: { operationId: 'picture', parameters: [id], responses: ok } },
      },
    }

    async function rest(
      operationId: string,
      args: { [name: string]: Json },
    ): Promise<Outcome & { sent: OutboundRequest }> {
      const { operations } = await openapi.load(Buffer.from(JSON.stringify(description)), {})
      const found = operations.find(({ id }) => id === operationId)
      if (found === undefined) throw new Error(`no operation ${operationId}`)
      const target = targetAt(emulator.origin, { timeoutMs: 20_000 })
      const options: Partial<LambdaOptions> = {
        function: 'shop',
        contract: 'apiGateway',
        domainName: 'shop.example.com',
      }
      const sent = openapi.prepare(found, args, target)
      const { response } = await transportTo(target, room, options).send(sent, delivery({ operation: found }))
      return { ...openapi.interpret(found, response), sent }
    }

    it('is found by its routes, with its parameters', async () => {
      expect(JSON.parse(textOf(await rest('get', { id: '7' })))).toEqual({ id: '7', name: 'Lamp', price: 30 })
      expect(JSON.parse(textOf(await rest('list', { name: 'La mp' })))).toEqual([])
      expect(JSON.parse(textOf(await rest('list', {})))).toHaveLength(1)
    })

    it('gets bodies, and gives bytes', async () => {
      expect(JSON.parse(textOf(await rest('put', { id: 'a/b', body: { name: 'Sofa' } })))).toEqual({
        id: 'a/b',
        name: 'Sofa',
      })
      expect(await rest('picture', { id: '7' })).toMatchObject({ content: [{ type: 'image', mimeType: 'image/png' }] })
    })

    it('refuses in its own words', async () => {
      expect(await rest('get', { id: '8' })).toMatchObject({ isError: true, status: 404 })
      const broken = await rest('remove', { id: '7' })
      expect(broken).toMatchObject({ isError: true, status: 502 })
      expect(textOf(broken)).toMatch(/the shelf is locked/)
      expect(textOf(broken)).not.toMatch(/shop\.js/)
    })
  })
})
