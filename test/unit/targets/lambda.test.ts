/** Lambda files in, tools out; arguments to events; what functions answer to outcomes: rows L01 to L05. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { outputCheck } from '../../../src/catalogue/validate.ts'
import { toGatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import type { InboundResponse, Json, Operation, Outcome, Target } from '../../../src/core/model.ts'
import type { ImportResult, OutputCheck } from '../../../src/targets/adapter.ts'
import { hintFor } from '../../../src/targets/hints.ts'
import { readFunction } from '../../../src/targets/lambda/function.ts'
import { lambda } from '../../../src/targets/lambda.ts'

const target: Target = {
  name: 'orders',
  kind: 'lambda',
  origin: 'https://lambda.us-east-1.amazonaws.com',
  basePath: '',
  timeoutMs: 1_000,
  headers: { set: new Map([['x-static', '1']]), forwardRequest: [], forwardResponse: [] },
}

const load = (file: unknown): Promise<ImportResult> =>
  lambda.load(Buffer.from(typeof file === 'string' ? file : JSON.stringify(file)), {})

const tool = (more: object = {}): object => ({
  name: 'get_order',
  description: 'Look up one order',
  inputSchema: { type: 'object', properties: { orderId: { type: 'string' } }, required: ['orderId'] },
  ...more,
})

async function one(more: object = {}): Promise<Operation> {
  const { operations } = await load([tool(more)])
  const [operation] = operations
  if (operation === undefined) throw new Error('the tool was left out')
  return operation
}

describe('a Lambda file', () => {
  it.each<[shape: string, file: unknown]>([
    ['a plain list', [tool()]],
    ['a list after a byte order mark', `\ufeff${JSON.stringify([tool()])}`],
    ['`tools`', { tools: [tool()] }],
    ['`tools` beside a function', { function: 'orders', tools: [tool()] }],
    ['AgentCore’s inline payload', { lambdaArn: 'orders', toolSchema: { inlinePayload: [tool()] } }],
    ['AgentCore’s target configuration', { mcp: { lambda: { toolSchema: { inlinePayload: [tool()] } } } }],
    [
      'AgentCore’s CreateGatewayTarget',
      { targetConfiguration: { mcp: { lambda: { toolSchema: { inlinePayload: [tool()] } } } } },
    ],
    ['one tool', tool()],
  ])('may be %s', async (_shape, file) => {
    const { format, operations, issues } = await load(file)
    expect(format).toBe('lambda-tools')
    expect(issues).toEqual([])
    expect(operations).toEqual([
      {
        id: 'get_order',
        label: 'tool get_order',
        description: 'Look up one order',
        input: { type: 'object', properties: { orderId: { type: 'string' } }, required: ['orderId'] },
        effect: 'write',
        idempotent: false,
        binding: {},
      },
    ])
  })

  it.each<[what: string, file: string, code: string, words: RegExp]>([
    ['no JSON', '[\n{name: 1}]', 'bad_description', /not JSON: line 2, column 2/],
    ['no list', '{"a":1}', 'bad_description', /no list of tools/],
    ['a number', '7', 'bad_description', /no list of tools/],
    ['nested without end', `${'['.repeat(200)}${']'.repeat(200)}`, 'bad_description', /deeper/],
    ['too many tools', `[${Array.from({ length: 20_001 }, () => '1').join(',')}]`, 'over_limit', /20000 tools/],
    ['too many bytes', `[${' '.repeat(limits.lambdaFileBytes)}]`, 'over_limit', /bytes/],
  ])('cannot be %s', async (_what, file, code, words) => {
    const error = toGatewayError(await load(file).catch((thrown: unknown) => thrown))
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(words)])
  })

  it('says where its function is', async () => {
    const arn = 'arn:aws:lambda:eu-west-1:111122223333:function:orders:live'
    const { lambda: facts, server } = await load({ function: arn, contract: 'agentcore', tools: [tool()] })
    expect(facts).toEqual({
      function: 'arn:aws:lambda:eu-west-1:111122223333:function:orders',
      qualifier: 'live',
      region: 'eu-west-1',
      contract: 'agentcore',
    })
    expect(server).toBe('https://lambda.eu-west-1.amazonaws.com')
    expect((await load({ region: 'cn-north-1', tools: [] })).server).toBe('https://lambda.cn-north-1.amazonaws.com.cn')
    expect((await load([tool()])).server).toBeUndefined()
  })

  it('is told what of its function it cannot mean', async () => {
    const {
      lambda: facts,
      issues,
      operations,
    } = await load({
      function: '../other',
      region: 'nowhere',
      endpoint: 'ftp://x',
      qualifier: 'a b',
      roleArn: 'arn:aws:iam::111122223333:role/caller',
      contract: 'rest',
      tools: [tool()],
    })
    expect(facts).toEqual({})
    expect(operations).toHaveLength(1)
    expect(issues.map(({ severity, code, pointer }) => [severity, code, pointer])).toEqual([
      ['error', 'lambda_function', '/function'],
      ['error', 'lambda_endpoint', '/endpoint'],
      ['warning', 'lambda_role', '/roleArn'],
      ['error', 'lambda_function', '/contract'],
      ['error', 'lambda_function', '/region'],
      ['error', 'lambda_function', '/qualifier'],
    ])
    for (const { code } of issues) expect(hintFor(code)).toContain('targets.NAME.lambda')
  })

  it.each([
    'https://lambda.eu-west-1.amazonaws.com',
    'https://lambda.eu-west-1.amazonaws.com/',
    'https://lambda.cn-north-1.amazonaws.com.cn',
    'https://vpce-0a1b-c2d3-us-east-1a.lambda.us-east-1.vpce.amazonaws.com',
    'https://vpce-0a1b-c2d3.lambda.cn-north-1.vpce.amazonaws.com.cn',
  ])('may have the gateway’s AWS credentials sign at AWS’s own %s', async (endpoint) => {
    const { lambda: facts, server, issues } = await load({ endpoint, tools: [tool()] })
    expect([facts?.endpoint, server, issues]).toEqual([endpoint, endpoint, []])
  })

  it.each([
    'http://lambda.eu-west-1.amazonaws.com',
    'http://127.0.0.1:3002',
    'https://lambda.eu-west-1.amazonaws.com.evil.example',
    'https://evil.example/lambda.eu-west-1.amazonaws.com',
    'https://lambda.eu-west-1.amazonaws.com:8443',
    'https://lambda.eu-west-1.amazonaws.com/x',
    'https://lambda.eu-west-1.amazonaws.com@evil.example',
    'https://lambda.nowhere.amazonaws.com',
    'https://lambda.cn-north-1.amazonaws.com',
    'https://bucket.s3.eu-west-1.amazonaws.com',
    'https://vpce-0a1b.vpce-svc-0c2d.us-east-1.vpce.amazonaws.com',
    'https://LAMBDA.eu-west-1.amazonaws.com\n',
    7,
  ])('cannot have them sign elsewhere: %j', async (endpoint) => {
    const { lambda: facts, server, issues } = await load({ endpoint, tools: [tool()] })
    expect([facts?.endpoint, server]).toEqual([undefined, undefined])
    expect(issues).toMatchObject([{ severity: 'error', code: 'lambda_endpoint', pointer: '/endpoint' }])
  })

  it('is asked where the operator says, whatever it says itself', async () => {
    const file = { endpoint: 'https://lambda.eu-west-1.amazonaws.com', tools: [tool()] }
    const { server } = await lambda.load(Buffer.from(JSON.stringify(file)), { server: 'http://127.0.0.1:3002' })
    expect(server).toBe('http://127.0.0.1:3002')
  })

  it.each([
    ['orders', 'orders', undefined],
    ['orders:live', 'orders', 'live'],
    ['orders:$LATEST', 'orders', '$LATEST'],
    ['function:orders', 'orders', undefined],
    ['111122223333:function:orders:7', '111122223333:function:orders', '7'],
    [
      'arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:a_b-c',
      'arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:a_b-c',
      undefined,
    ],
  ])('may name its function %s', (text, name, qualifier) => {
    expect(readFunction(text)).toMatchObject({ function: name, ...(qualifier === undefined ? {} : { qualifier }) })
  })

  it.each(['', 'a b', 'a/b', 'a?Qualifier=x', 'arn:aws:s3:::bucket', 'orders:a:b', 'x'.repeat(141), 'orders\n'])(
    'cannot name its function %j',
    (text) => expect(readFunction(text)).toBeUndefined(),
  )
})

describe('a tool', () => {
  it('that is bad costs only itself', async () => {
    const { operations, issues } = await load([
      7,
      { description: 'nameless' },
      tool({ name: 'a\nb' }),
      tool({ name: 'list', inputSchema: { type: 'array' } }),
      tool(),
      tool(),
      tool({ name: 'silent', description: undefined }),
      tool({ name: 'loose', inputSchema: undefined, outputSchema: { type: 'string' } }),
    ])
    expect(operations.map(({ id }) => id)).toEqual(['get_order', 'silent', 'loose'])
    expect(issues.map(({ code, pointer }) => [code, pointer])).toEqual([
      ['lambda_tool', '/0'],
      ['lambda_tool', '/1'],
      ['lambda_tool', '/2'],
      ['lambda_schema', '/3/inputSchema'],
      ['lambda_tool', '/5'],
      ['lambda_description', '/6'],
      ['output_schema', '/7/outputSchema'],
    ])
    expect(operations.at(-1)).toMatchObject({ input: { type: 'object' } })
    expect(operations.at(-1)).not.toHaveProperty('output')
  })

  it('keeps what AgentCore’s own schemas lack', async () => {
    const properties = {
      sort: { type: 'string', enum: ['stars', 'forks'], default: 'stars' },
      page: { type: 'number', minimum: 1, maximum: 9 },
      when: { type: 'string', format: 'date-time', pattern: '^2' },
    }
    expect((await one({ inputSchema: { type: 'object', properties, additionalProperties: false } })).input).toEqual({
      type: 'object',
      properties,
      additionalProperties: false,
    })
  })

  it('may have references inside, and none outside; its root has no alternatives', async () => {
    const { operations, issues } = await load([
      tool({
        inputSchema: {
          type: 'object',
          properties: { a: { $ref: '#/definitions/a' }, b: { $ref: 'https://evil.example/b.json' } },
          definitions: { a: { type: 'integer' } },
          anyOf: [{ required: ['a'] }, { required: ['b'] }],
        },
      }),
    ])
    expect(operations[0]?.input).toEqual({
      type: 'object',
      properties: { a: { $ref: '#/$defs/a' }, b: {} },
      $defs: { a: { type: 'integer' } },
    })
    expect(issues.map(({ code }) => code).toSorted()).toEqual(['external_ref', 'root_combinator'])
  })

  it.each([
    [{ readOnlyHint: true }, 'read', true],
    [{ destructiveHint: true }, 'delete', false],
    [{ idempotentHint: true }, 'write', true],
    [{}, 'write', false],
    [undefined, 'write', false],
  ])('with the annotations %j is of the effect %s', async (annotations, effect, idempotent) => {
    expect(await one({ annotations })).toMatchObject({ effect, idempotent })
  })
})

describe('arguments', () => {
  const prepare = (operation: Operation, args: { [name: string]: Json }) => lambda.prepare(operation, args, target)

  it('are the event', async () => {
    const request = prepare(await one(), { orderId: '7', list: [1] })
    expect(request.body).toBe('{"orderId":"7","list":[1]}')
    expect([...request.headers]).toEqual([['x-static', '1']])
    expect(new URL(request.url).origin).toBe(target.origin)
  })

  it('whose keys model providers do not take are shown under others, and written back', async () => {
    const item = { type: 'object', properties: { 'item no.': { type: 'string' } }, required: ['item no.'] }
    const operation = await one({
      inputSchema: {
        type: 'object',
        properties: {
          'include[]': { type: 'array', items: { $ref: '#/$defs/item' } },
          $top: { type: 'integer' },
          map: { type: 'object', additionalProperties: { type: 'string' } },
        },
        required: ['include[]', '$top'],
        dependentRequired: { $top: ['include[]'] },
        $defs: { item },
      },
    })
    expect(operation.input).toEqual({
      type: 'object',
      properties: {
        include: { type: 'array', items: { $ref: '#/$defs/item' } },
        top: { type: 'integer' },
        map: { type: 'object', additionalProperties: { type: 'string' } },
      },
      required: ['include', 'top'],
      dependentRequired: { top: ['include'] },
      $defs: { item: { type: 'object', properties: { 'item_no.': { type: 'string' } }, required: ['item_no.'] } },
    })
    const args = { include: [{ 'item_no.': 'a', other: 1 }], top: 3, map: { top: 'kept' } }
    expect(JSON.parse(String(prepare(operation, args).body))).toEqual({
      'include[]': [{ 'item no.': 'a', other: 1 }],
      $top: 3,
      map: { top: 'kept' },
    })
  })

  it('are not sent where they are more than AWS Lambda takes (L05)', async () => {
    const operation = await one()
    const bytes = limits.lambdaEventBytes - '{"orderId":""}'.length
    expect(prepare(operation, { orderId: 'x'.repeat(bytes) }).body).toHaveLength(6_291_456)
    expect(() => prepare(operation, { orderId: 'x'.repeat(bytes + 1) })).toThrow(/6291457 bytes.*Nothing was sent/)
  })
})

const answer = (body: string | Buffer, headers: { [name: string]: string } = {}, cut = false): InboundResponse => ({
  status: 200,
  headers: new Map([['content-type', 'application/json'], ...Object.entries(headers)]),
  body: Buffer.from(body),
  cut,
})

const failed = (body: unknown, kind = 'Unhandled'): InboundResponse =>
  answer(typeof body === 'string' ? body : JSON.stringify(body), { 'x-amz-function-error': kind })

/** The output check of a tool as the catalogue makes it. */
async function withOutput(outputSchema: object): Promise<{ operation: Operation; check: OutputCheck | undefined }> {
  const operation = await one({ outputSchema })
  const definition = Buffer.from(JSON.stringify({ name: 'x', inputSchema: operation.input, outputSchema }))
  const listed = { name: 'x', target, operation, definition }
  return { operation, check: outputCheck(listed) }
}

/** A proxy’s body in a content coding. */
const encoded = (coding: string, body: Buffer): object => ({
  headers: { 'Content-Encoding': coding, 'Content-Length': String(body.length) },
  body: body.toString('base64'),
  isBase64Encoded: true,
})

const textOf = ({ content }: Outcome): string =>
  content.map((block) => (block.type === 'text' ? block.text : block.type)).join('|')

describe('what a function answered', () => {
  const told = async (response: InboundResponse): Promise<Outcome> => lambda.interpret(await one(), response)

  it.each<[what: string, body: string | Buffer, text: string]>([
    ['an object', '{"a":12345678901234567890}', '{"a":12345678901234567890}'],
    ['a text', '"good"', '"good"'],
    ['null', 'null', 'null'],
    ['a list', ' [1,2]', ' [1,2]'],
    ['nothing', '', 'The target answered 200 OK, without a body.'],
    ['what is not JSON (L04)', '<p>hi</p>', '<p>hi</p>'],
    ['bytes', Buffer.from([0xff, 0xfe, 0x00]), 'resource'],
    ['deep JSON', `${'['.repeat(200)}${']'.repeat(200)}`, `${'['.repeat(200)}${']'.repeat(200)}`],
  ])('is given as it is: %s', async (_what, body, text) => {
    expect(await told(answer(body))).toMatchObject({ isError: false })
    expect(textOf(await told(answer(body)))).toBe(text)
  })

  it('is cut with a note where it is longer than a result may be (L04)', async () => {
    const outcome = await told(answer(JSON.stringify({ text: 'x'.repeat(6 * 1024 * 1024 + 1) })))
    expect(outcome.isError).toBe(false)
    expect(textOf(outcome).length).toBeLessThan(limits.resultTextChars + 200)
    expect(textOf(outcome)).toMatch(/was cut here/)
    expect(textOf(await told(answer('{"statusCode":500', {}, true)))).toMatch(/was cut here/)
  })

  it('is structured content too, as far as it fits the output schema', async () => {
    const { operation, check } = await withOutput({ type: 'object', properties: { n: { type: 'integer' } } })
    expect(lambda.interpret(operation, answer('{"n":1}'), check)).toMatchObject({ structured: '{"n":1}' })
    expect(lambda.interpret(operation, answer('{"statusCode":200,"body":"{\\"n\\":2}"}'), check)).toMatchObject({
      structured: '{"n":2}',
    })
    expect(lambda.interpret(operation, answer('null'), check)).toMatchObject({ structured: '{}' })
    expect(lambda.interpret(operation, answer('plain'), check)).toMatchObject({ structured: '{}' })
  })

  it('is an MCP tool result where all of it is one', async () => {
    const blocks = [
      { type: 'text', text: 'a' },
      { type: 'image', data: 'aGk=', mimeType: 'image/png' },
    ]
    expect(await told(answer(JSON.stringify({ content: blocks })))).toMatchObject({ isError: false, content: blocks })
    const refused = await told(answer(JSON.stringify({ content: blocks, isError: true })))
    expect(refused).toMatchObject({ isError: true, content: blocks })
    const { operation, check } = await withOutput({ type: 'object', properties: { n: { type: 'integer' } } })
    const result = { content: blocks, structuredContent: { n: 1 } }
    expect(lambda.interpret(operation, answer(JSON.stringify(result)), check)).toMatchObject({
      content: blocks,
      structured: '{"n":1}',
    })
  })

  it('may be an error that says no more than that', async () => {
    expect(await told(answer('{"content":[],"isError":true}'))).toEqual({ isError: true, status: 200, content: [] })
  })

  it('keeps what blocks say of themselves, and links to resources', async () => {
    const blocks = [
      { type: 'text', text: 'a', annotations: { audience: ['user'] }, _meta: { 'x.example/y': 1 } },
      { type: 'resource_link', name: 'it', uri: 'file:///a', description: 'A file', mimeType: 'text/plain' },
    ]
    expect((await told(answer(JSON.stringify({ content: blocks })))).content).toEqual(blocks)
  })

  it.each([
    { content: [] },
    { content: [], isError: false },
    { content: [{ type: 'resource_link', name: 'without an address' }] },
    { content: [{ type: 'text', text: 'a' }, { type: 'unknown' }] },
    { content: [{ type: 'text', text: 'a' }], id: 'msg_1', role: 'assistant' },
    { content: 'text' },
    { resultType: 'input_required', inputRequests: { a: { method: 'elicitation/create', params: {} } } },
    {
      content: [{ type: 'text', text: 'a' }],
      resultType: 'input_required',
      inputRequests: { a: { method: 'roots/list' } },
    },
  ])('is JSON where it only looks like a result: %j', async (value) => {
    const outcome = await told(answer(JSON.stringify(value)))
    expect(outcome).not.toHaveProperty('ask')
    expect(textOf(outcome)).toBe(JSON.stringify(value))
  })

  it.each([
    [{ statusCode: 500 }, true, 'The target answered 500 Internal Server Error.'],
    [{ statusCode: 404, body: '{"message":"No such order"}' }, true, /404 Not Found.*No such order/s],
    [
      { statusCode: 400, headers: { 'content-type': 'text/plain' }, body: 'Which one?' },
      true,
      /400 Bad Request.*Which one\?/s,
    ],
    [{ statusCode: 302, headers: { location: 'https://elsewhere.example' } }, true, /redirect/],
    [{ statusCode: 200, body: 'Order 7 is shipped' }, false, 'Order 7 is shipped'],
    [{ statusCode: 200, body: '{"a":1}', headers: {}, isBase64Encoded: false }, false, '{"a":1}'],
    [{ statusCode: 200, body: { a: 1 } }, false, '{"a":1}'],
    [{ statusCode: 200, body: 'aGk=', headers: { 'Content-Type': 'text/plain' }, isBase64Encoded: true }, false, 'hi'],
    [{ statusCode: 204 }, false, 'The target answered 204 No Content, without a body.'],
    [{ statusCode: 404, url: 'https://x.example' }, false, '{"statusCode":404,"url":"https://x.example"}'],
    [{ statusCode: 404, body: 'gone', requestId: 'r-1' }, true, /404 Not Found.*gone/s],
    [{ statusCode: '503', headers: { 'retry-after': '7' }, requestId: 'r-1' }, true, /503.*Retry after: 7/],
    [{ statusCode: 200, body: 'x', requestId: 'r-1' }, false, '{"statusCode":200,"body":"x","requestId":"r-1"}'],
    [{ statusCode: 7 }, false, '{"statusCode":7}'],
  ])('is unwrapped where it is a proxy’s (L03): %j', async (value, isError, text) => {
    const outcome = await told(answer(JSON.stringify(value)))
    expect(outcome.isError).toBe(isError)
    if (typeof text === 'string') expect(textOf(outcome)).toBe(text)
    else expect(textOf(outcome)).toMatch(text)
  })

  it.each<[coding: string, body: Buffer]>([
    ['gzip', gzipSync('{"a":1}')],
    ['BR', brotliCompressSync('{"a":1}')],
    ['deflate, gzip', gzipSync(deflateSync('{"a":1}'))],
  ])('is decoded where it is a proxy’s in the coding %s', async (coding, body) => {
    const { operation, check } = await withOutput({ type: 'object', properties: { a: { type: 'integer' } } })
    const whole = {
      statusCode: 200,
      ...encoded(coding, body),
      multiValueHeaders: { 'Content-Type': ['application/json'] },
    }
    const outcome = lambda.interpret(operation, answer(JSON.stringify(whole)), check)
    expect(outcome).toMatchObject({
      isError: false,
      structured: '{"a":1}',
      content: [{ type: 'text', text: '{"a":1}' }],
    })
  })

  it.each<[what: string, coding: string, body: Buffer, words: RegExp]>([
    ['none of it', 'gzip', Buffer.from('{"a":1}'), /not in the content encoding that it names/],
    ['half of it', 'gzip', gzipSync('x'.repeat(99)).subarray(0, 20), /not in the content encoding that it names/],
    ['an unknown one', 'zstd', Buffer.from('x'), /not known here/],
    ['too many', 'gzip, gzip, gzip', Buffer.from('x'), /too many times over/],
    ['a bomb', 'gzip', gzipSync(Buffer.alloc(limits.responseBodyBytes + 1)), /longer than is read here/],
  ])('says so where its content coding cannot be undone: %s', async (_what, coding, body, words) => {
    const outcome = await told(answer(JSON.stringify({ statusCode: 200, ...encoded(coding, body) })))
    expect([outcome.isError, textOf(outcome)]).toEqual([true, expect.stringMatching(words)])
  })

  it('keeps its envelope where its tool’s output schema has that, but for its status', async () => {
    const schema = { type: 'object', properties: { statusCode: { type: 'integer' }, body: { type: 'string' } } }
    const { operation, check } = await withOutput(schema)
    const whole = '{"statusCode":200,"body":"x"}'
    expect(lambda.interpret(operation, answer(whole), check)).toMatchObject({ isError: false, structured: whole })
    expect(lambda.interpret(operation, answer('{"statusCode":500,"body":"x"}'), check)).toMatchObject({ isError: true })
  })
})

describe('an error of the function (L01, L02)', () => {
  it.each<[what: string, response: InboundResponse, text: string]>([
    [
      'Unhandled',
      failed({ errorType: 'KeyError', errorMessage: "'orderId'", stackTrace: ['  File "/var/task/app.py", line 3'] }),
      "The function failed (Unhandled).\n\nKeyError: 'orderId'",
    ],
    [
      'Handled',
      failed({ errorMessage: 'no such order' }, 'Handled'),
      'The function failed (Handled).\n\nno such order',
    ],
    ['of no words', failed({}), 'The function failed (Unhandled).'],
    ['that is no JSON', failed('<html>'), 'The function failed (Unhandled).'],
    ['that is null', failed('null'), 'The function failed (Unhandled).'],
    [
      'past its own time',
      failed({ errorType: 'Sandbox.Timedout', errorMessage: 'RequestId: 1 Error: Task timed out after 3.00 seconds' }),
      'The function did not end within its own time limit. Whether it acted is not known.\n\nSandbox.Timedout: RequestId: 1 Error: Task timed out after 3.00 seconds',
    ],
    [
      'past its own time, of an older runtime',
      failed({ errorMessage: '2026-11-24T10:00:00Z 1 Task timed out after 3.00 seconds' }),
      'The function did not end within its own time limit. Whether it acted is not known.\n\n2026-11-24T10:00:00Z 1 Task timed out after 3.00 seconds',
    ],
    [
      'with its stack in its message',
      failed({ errorType: 'Error', errorMessage: 'it broke\n    at handler (/var/task/index.js:3:9)\n    at x' }),
      'The function failed (Unhandled).\n\nError: it broke',
    ],
    [
      'with a Python stack in its message',
      failed({ errorMessage: 'it broke\nTraceback (most recent call last):\n  File "/var/task/a.py", line 1' }),
      'The function failed (Unhandled).\n\nit broke',
    ],
    [
      'with a type that is none',
      failed({ errorType: 'a\u0000b', errorMessage: 'x' }),
      'The function failed (Unhandled).\n\nx',
    ],
  ])('is told by its type and message: %s', async (_what, response, text) => {
    const outcome = lambda.interpret(await one(), response)
    expect(outcome.isError).toBe(true)
    expect(outcome).not.toHaveProperty('structured')
    expect(textOf(outcome)).toBe(text)
  })

  it('is bounded', async () => {
    const outcome = lambda.interpret(await one(), failed({ errorType: 'E', errorMessage: 'x'.repeat(1_000_000) }))
    expect(textOf(outcome).length).toBeLessThan(limits.lambdaErrorChars + 100)
  })
})
