/** What an MCP server lists, read as hostile input, and what its tools answer. */
import { describe, expect, it } from 'vitest'
import { checkArguments } from '../../../src/catalogue/validate.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import type { InboundResponse, OperationRef, Target, Tool } from '../../../src/core/model.ts'
import type { ImportResult, OutputCheck } from '../../../src/targets/adapter.ts'
import { hintFor } from '../../../src/targets/hints.ts'
import { mcp } from '../../../src/targets/mcp.ts'

const load = (listing: unknown): Promise<ImportResult> => mcp.load(Buffer.from(JSON.stringify(listing)), {})
const tool = (changes: object = {}): object => ({ name: 't', inputSchema: { type: 'object' }, ...changes })
const inputOf = async (inputSchema: unknown): Promise<{ [keyword: string]: unknown }> => {
  const { operations } = await load({ tools: [tool({ inputSchema })] })
  return operations[0]?.input ?? {}
}

describe('load', () => {
  it.each([
    ['a listing', { mcp: 1, tools: [tool()] }],
    ['a tools/list answer', { jsonrpc: '2.0', id: 1, result: { tools: [tool()] } }],
    ['its result', { tools: [tool()], nextCursor: 'more' }],
    ['a list', [tool()]],
  ])('reads %s', async (_what, listing) => {
    const { operations, issues, format } = await load(listing)
    expect([format, operations.map(({ id, label }) => [id, label]), issues]).toEqual(['mcp', [['t', 'tool t']], []])
  })

  it.each<[string, string, Uint8Array]>([
    ['no JSON', 'bad_description', Buffer.from('tools: []')],
    ['no listing', 'bad_description', Buffer.from('{"openapi":"3.1.0"}')],
    ['no UTF-8', 'bad_description', Buffer.from([0x7b, 0xff])],
    ['nested without end', 'bad_description', Buffer.from(`{"tools":${'['.repeat(100_000)}`)],
    ['too large', 'over_limit', Buffer.alloc(limits.mcpListBytes + 1, 0x20)],
  ])('refuses what is %s', async (_what, code, bytes) => {
    await expect(mcp.load(bytes, {})).rejects.toMatchObject({ code })
  })

  it.each<[string, object]>([
    ['of 10 kB', tool({ name: 'x'.repeat(10_240) })],
    ['with a control character', tool({ name: 'a\nb' })],
    ['with a zero-width character', tool({ name: 'a\u200bb' })],
    ['that is no text', tool({ name: 7 })],
    ['of another tool', tool()],
  ])('leaves out a tool with a name %s, and no other', async (_what, bad) => {
    const { operations, issues } = await load({ tools: [tool(), bad] })
    expect(operations).toHaveLength(1)
    expect(issues.map(({ code, pointer }) => [code, pointer])).toEqual([['tool_name', '/tools/1']])
  })

  it('leaves out tools that cannot be called here, each with its reason and its hint', async () => {
    const deep = (depth: number): object => (depth === 0 ? {} : { type: 'array', items: deep(depth - 1) })
    const { operations, issues } = await load({
      tools: [
        tool({ name: 'task', execution: { taskSupport: 'required' } }),
        tool({ name: 'list', inputSchema: { type: 'array' } }),
        tool({ name: 'bomb', inputSchema: { type: 'object', properties: { a: deep(50) }, ...wide() } }),
        null,
        tool({ name: 'good' }),
      ],
    })
    expect(operations.map(({ id }) => id)).toEqual(['good'])
    expect(issues.map(({ code }) => code)).toEqual(['task_required', 'tool_schema', 'tool_schema', 'tool_name'])
    for (const { code } of issues) expect(hintFor(code)).toBeDefined()
  })

  it('takes words for what they are: bounded, without what hides or colours text', async () => {
    const { operations } = await load({
      tools: [tool({ title: 'A\u202eb', description: `Does\u200b it. ${'word '.repeat(10_000)}` })],
    })
    expect(operations[0]?.title).toBe('Ab')
    expect(operations[0]?.description.startsWith('Does it.')).toBe(true)
    expect(operations[0]?.description.length).toBeLessThanOrEqual(limits.descriptionChars)
  })

  it.each<[string, object | undefined, string, boolean]>([
    ['nothing', undefined, 'delete', false],
    ['that it reads', { readOnlyHint: true, destructiveHint: true }, 'read', true],
    ['that it only adds', { destructiveHint: false }, 'write', false],
    ['that it may be repeated', { idempotentHint: true }, 'delete', true],
    ['nonsense', { readOnlyHint: 'yes', destructiveHint: 0 }, 'delete', false],
  ])('makes of a tool that says %s an effect', async (_what, annotations, effect, idempotent) => {
    const { operations } = await load({ tools: [tool({ annotations })] })
    expect(operations[0]).toMatchObject({ effect, idempotent })
  })
})

/** More nodes than a schema may have, without being deep. */
const wide = (): object => ({
  properties: Object.fromEntries(Array.from({ length: limits.schemaNodes + 1 }, (_, index) => [`p${index}`, {}])),
})

describe('an input schema', () => {
  it.each<[string, unknown, unknown]>([
    [
      'is kept where it is legal',
      {
        type: 'object',
        properties: { a: { type: 'string', minLength: 1 } },
        required: ['a'],
        additionalProperties: false,
      },
      {
        type: 'object',
        properties: { a: { type: 'string', minLength: 1 } },
        required: ['a'],
        additionalProperties: false,
      },
    ],
    ['has a type', {}, { type: 'object' }],
    [
      'loses keywords that nobody knows',
      { type: 'object', $id: 'http://x', 'x-mcp-header': 'A', $comment: 'no' },
      { type: 'object' },
    ],
    [
      'loses older dialects’ names',
      { $schema: 'http://json-schema.org/draft-07/schema#', type: 'object' },
      { type: 'object' },
    ],
    [
      'keeps what it refers to inside itself',
      { type: 'object', properties: { a: { $ref: '#/definitions/A' } }, definitions: { A: { type: 'string' }, B: {} } },
      { type: 'object', properties: { a: { $ref: '#/$defs/A' } }, $defs: { A: { type: 'string' } } },
    ],
    [
      'lets anything through where it refers elsewhere',
      { type: 'object', properties: { a: { $ref: 'http://169.254.169.254/schema' }, b: { $ref: '#/$defs/no' } } },
      { type: 'object', properties: { a: {}, b: {} } },
    ],
    [
      'has no alternatives at its root',
      {
        anyOf: [
          { properties: { a: { type: 'string' }, k: { const: 1 } }, required: ['a', 'k'] },
          { properties: { b: {}, k: { const: 2 } }, required: ['k'] },
        ],
      },
      {
        type: 'object',
        properties: { a: { type: 'string' }, k: { anyOf: [{ const: 1 }, { const: 2 }] }, b: {} },
        required: ['k'],
      },
    ],
    [
      'has no conjunction at its root',
      {
        type: 'object',
        allOf: [{ $ref: '#/$defs/A' }, { required: ['b'] }],
        $defs: { A: { properties: { a: {} }, required: ['a'] } },
      },
      { type: 'object', properties: { a: {} }, required: ['a', 'b'] },
    ],
  ])('%s', async (_what, source, legal) => {
    expect(await inputOf(source)).toEqual(legal)
  })

  it('with rings and recursion can be checked against', async () => {
    const source = {
      type: 'object',
      properties: {
        ring: { $ref: '#/$defs/ring' },
        tree: { $ref: '#/$defs/tree' },
        root: { $ref: '#' },
      },
      $defs: {
        ring: { $ref: '#/$defs/ring' },
        tree: { type: 'object', properties: { kids: { type: 'array', items: { $ref: '#/$defs/tree' } } } },
      },
    }
    const input = await inputOf(source)
    const made = { definition: Buffer.from(JSON.stringify({ inputSchema: input })) } as unknown as Tool
    expect(checkArguments(made, { ring: 1, tree: { kids: [{ kids: [] }] } }).faults).toEqual([])
    expect(checkArguments(made, { tree: { kids: [{ kids: 'no' }] } }).faults).toHaveLength(1)
  })
})

describe('offers', () => {
  it('are checked one by one', async () => {
    const { offers, issues } = await load({
      tools: [],
      prompts: [
        { name: 'p', description: 'Says\u200b it.', arguments: [{ name: 'a', required: true }, { name: 7 }], extra: 1 },
        { name: 'p' },
        { name: 'b\u0000' },
      ],
      resources: [
        {
          uri: 'note://1',
          name: 'one',
          mimeType: 'text/plain',
          size: 3,
          icons: [{ src: 'javascript:x' }, { src: 'https://i/1.png', sizes: ['1x1', 'big'] }],
        },
        { uri: 'no uri' },
        { uri: `note://${'x'.repeat(10_000)}` },
      ],
      resourceTemplates: [
        { uriTemplate: 'note://{id}', name: 'n', annotations: { audience: ['user', 'root'], priority: 2 } },
      ],
      capabilities: { completions: {}, resources: { subscribe: true } },
    })
    expect(offers).toEqual({
      prompts: [{ name: 'p', description: 'Says it.', arguments: [{ name: 'a', required: true }] }],
      resources: [
        {
          uri: 'note://1',
          name: 'one',
          mimeType: 'text/plain',
          size: 3,
          icons: [{ src: 'https://i/1.png', sizes: ['1x1'] }],
        },
      ],
      templates: [{ uriTemplate: 'note://{id}', name: 'n', annotations: { audience: ['user'] } }],
      completions: true,
      subscribe: true,
    })
    expect(issues.map(({ code, pointer }) => `${code} ${pointer}`)).toEqual([
      'offer_invalid /prompts/1',
      'offer_invalid /prompts/2',
      'offer_invalid /resources/1',
      'offer_invalid /resources/2',
    ])
  })
})

describe('prepare', () => {
  const target = { origin: 'https://mcp.test', basePath: '/mcp' } as Target

  it('makes a tools/call of the server’s own name', async () => {
    const { operations } = await load({ tools: [tool({ name: 'get.it' })] })
    const request = mcp.prepare(operations[0] as OperationRef, { a: 1 }, target)
    expect([request.url, JSON.parse(String(request.body))]).toEqual([
      'https://mcp.test/mcp',
      { method: 'tools/call', params: { name: 'get.it', arguments: { a: 1 } } },
    ])
  })

  it('repeats in headers what the server wants there', async () => {
    const properties = Object.fromEntries(
      ['a', 'b', 'c', 'd'].map((name) => [name, { 'x-mcp-header': name.toUpperCase() }]),
    )
    const { operations } = await load({ tools: [tool({ inputSchema: { type: 'object', properties } })] })
    expect(JSON.stringify(operations[0]?.input)).not.toContain('x-mcp')
    const args = { a: 'eu', b: 'größe\r\n', c: 7, d: { no: 1 } }
    const { headers } = mcp.prepare(operations[0] as OperationRef, args, target)
    expect(Object.fromEntries(headers)).toEqual({
      'mcp-param-a': 'eu',
      'mcp-param-b': `=?base64?${Buffer.from('größe\r\n').toString('base64')}?=`,
      'mcp-param-c': '7',
    })
  })
})

describe('interpret', () => {
  const operation = { id: 't', label: 'tool t' } as OperationRef
  const answer = (body: unknown, changes: Partial<InboundResponse> = {}): InboundResponse => ({
    status: 200,
    headers: new Map(),
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    cut: false,
    ...changes,
  })

  it('passes every kind of block on as it came', () => {
    const content = [
      { type: 'text', text: 'a', annotations: { audience: ['user'] }, _meta: { 'x/y': 1 } },
      { type: 'image', data: 'AA==', mimeType: 'image/png' },
      { type: 'audio', data: 'AA==', mimeType: 'audio/wav' },
      { type: 'resource', resource: { uri: 'note://1', text: 'One.' } },
      { type: 'resource_link', uri: 'note://2', name: 'two', description: 'Two.' },
    ]
    const { isError, structured, meta, ...rest } = mcp.interpret(
      operation,
      answer({ content, structuredContent: { a: 1 }, _meta: { k: 1, 'io.modelcontextprotocol/serverInfo': {} } }),
    )
    expect([isError, structured, meta, rest]).toEqual([false, '{"a":1}', { k: 1 }, { content }])
  })

  it('tells blocks that MCP does not know as the JSON that they are', () => {
    const { content } = mcp.interpret(operation, answer({ content: [{ type: 'hologram' }, 7, { type: 'image' }] }))
    expect(content.map((block) => (block.type === 'text' ? block.text : ''))).toEqual([
      '{"type":"hologram"}',
      '7',
      '{"type":"image"}',
    ])
  })

  it.each<[string, InboundResponse, string]>([
    ['no JSON', answer('<p>'), 'could not be read'],
    ['cut', answer('{}', { cut: true }), 'could not be read'],
    ['nested without end', answer(`{"content":${'['.repeat(100_000)}`), 'could not be read'],
    ['a refusal', answer('broken', { status: 503 }), 'The target answered 503 Service Unavailable.\n\nbroken'],
    [
      'a question of a strange kind',
      answer({ resultType: 'input_required', inputRequests: { a: { method: 'x' } } }),
      'cannot be asked',
    ],
  ])('makes an error of what is %s', (_what, response, words) => {
    const { isError, content } = mcp.interpret(operation, response)
    expect(isError).toBe(true)
    expect(JSON.stringify(content[0])).toContain(JSON.stringify(words).slice(1, -1))
  })

  it('passes questions on', () => {
    const inputRequests = { q: { method: 'elicitation/create', params: { message: 'Who?' } } }
    const { ask } = mcp.interpret(operation, answer({ resultType: 'input_required', inputRequests, requestState: 's' }))
    expect(ask).toEqual({ requests: inputRequests, state: 's' })
  })

  it('owes structured content where the tool has a schema for it', () => {
    const check = (whole: boolean): OutputCheck => ({
      conform: (value) => ({ value: whole ? value : {}, whole }),
    })
    const body = answer({ content: [], structuredContent: { a: 1 } })
    expect(mcp.interpret(operation, body, check(true)).structured).toBe('{"a":1}')
    expect(mcp.interpret(operation, body, check(false))).toMatchObject({
      structured: '{}',
      meta: { 'toolgate/output': expect.any(String) },
    })
    expect(mcp.interpret(operation, answer({ content: [] }), check(true)).structured).toBe('{}')
    expect(mcp.interpret(operation, answer({ content: [], isError: true }), check(true)).structured).toBeUndefined()
  })

  it('passes on the part that the operator chose, or nothing', () => {
    const chosen = { ...operation, response: { select: ['/a'] } }
    const body = { content: [{ type: 'text', text: 'all of it' }], structuredContent: { a: 1, secret: 2 } }
    expect(JSON.stringify(mcp.interpret(chosen, answer(body)))).not.toMatch(/secret|all of it/)
    expect(mcp.interpret(chosen, answer({ content: [{ type: 'text', text: 'no JSON' }] })).isError).toBe(true)
  })

  it('never throws', () => {
    for (const body of ['', 'null', '[]', '7', '{"content":7}', '{"content":[null]}', '{"structuredContent":[]}'])
      expect(() => mcp.interpret(operation, answer(body))).not.toThrow(GatewayError)
  })
})
