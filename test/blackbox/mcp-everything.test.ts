/** An MCP server that nobody here wrote as a target, through a real gateway, with the official clients of both eras. */
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Everything, everythingAt, startEverything } from '../support/everything.ts'
import { type GatewayProcess, startGatewayProcess, until } from '../support/gateway.ts'
import { operatorOf } from '../support/operator.ts'

let everything: Everything
let gateway: GatewayProcess

const config = ({ url, address }: Everything): object => ({
  admin: { port: 0, tools: false },
  egress: { allow: [address] },
  targets: { every: { mcp: { url } } },
})

beforeAll(async () => {
  everything = await startEverything()
  gateway = await startGatewayProcess({ config: config(everything) })
})
afterAll(async () => {
  await everything.stop()
  await gateway.remove()
})

interface ToolResult {
  readonly content: readonly { readonly type: string; readonly [member: string]: unknown }[]
  readonly structuredContent?: unknown
  readonly isError?: boolean | undefined
}
interface Progress {
  readonly progress: number
  readonly total?: number | undefined
}
interface Options {
  readonly onprogress?: (progress: Progress) => void
  readonly signal?: AbortSignal
}
interface Asked {
  readonly method: string
  readonly params: { readonly [name: string]: any }
}
/** What its user and its model answer, by method; what is not there is not declared. */
type Answers = { readonly [method: string]: (asked: Asked) => object }

/** What the clients have in common. */
interface Driven {
  readonly client: Pick<
    v2.Client,
    'getServerCapabilities' | 'listTools' | 'listPrompts' | 'listResources' | 'listResourceTemplates'
  >
  readonly call: (name: string, args?: Record<string, unknown>, options?: Options) => Promise<ToolResult>
  readonly prompt: (name: string, args?: Record<string, string>) => Promise<unknown>
  read(uri: string): Promise<{ readonly contents: readonly { readonly [member: string]: unknown }[] }>
  complete(ref: object, name: string, value: string, context?: Record<string, string>): Promise<readonly string[]>
  close(): Promise<void>
}

type Connect = (answers?: Answers, capabilities?: object) => Promise<Driven>

/** The client of `@modelcontextprotocol/sdk`: 2025-11-25. */
const older: Connect = async (answers = {}, capabilities = declared(answers)) => {
  const client = new Client({ name: 'test', version: '1' }, { capabilities })
  const schemas = [ElicitRequestSchema, CreateMessageRequestSchema, ListRootsRequestSchema] as const
  for (const schema of schemas) {
    const answer = answers[schema.shape.method.value]
    if (answer !== undefined) client.setRequestHandler(schema as never, async (asked: Asked) => answer(asked) as never)
  }
  await client.connect(new StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp`)))
  return {
    client: client as never,
    call: async (name, args = {}, options = {}) =>
      CallToolResultSchema.parse(await client.callTool({ name, arguments: args }, undefined, options)),
    prompt: (name, args = {}) => client.getPrompt({ name, arguments: args }),
    read: (uri) => client.readResource({ uri }),
    complete: async (ref, name, value, context) =>
      (
        await client.complete({
          ref: ref as never,
          argument: { name, value },
          ...(context === undefined ? {} : { context: { arguments: context } }),
        })
      ).completion.values,
    close: () => client.close(),
  }
}

/** The client of `@modelcontextprotocol/client`: 2026-07-28. */
const newer =
  (mode: v2.VersionNegotiationMode): Connect =>
  async (answers = {}, capabilities = declared(answers)) => {
    const client = new v2.Client({ name: 'test', version: '1' }, { versionNegotiation: { mode }, capabilities })
    for (const [method, answer] of Object.entries(answers))
      client.setRequestHandler(method as 'elicitation/create', async (asked) => answer(asked as never) as never)
    await client.connect(new v2.StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp`)))
    expect(client.getNegotiatedProtocolVersion()).toBe('2026-07-28')
    return {
      client,
      call: async (name, args = {}, options = {}) => client.callTool({ name, arguments: args }, options),
      prompt: (name, args = {}) => client.getPrompt({ name, arguments: args }),
      read: (uri) => client.readResource({ uri }),
      complete: async (ref, name, value, context) =>
        (
          await client.complete({
            ref: ref as never,
            argument: { name, value },
            ...(context === undefined ? {} : { context: { arguments: context } }),
          })
        ).completion.values,
      close: () => client.close(),
    }
  }

const declared = (answers: Answers): object => ({
  ...('elicitation/create' in answers ? { elicitation: {} } : {}),
  ...('sampling/createMessage' in answers ? { sampling: {} } : {}),
  ...('roots/list' in answers ? { roots: {} } : {}),
})

const text = (words: string): ToolResult['content'] => [{ type: 'text', text: words }]
const weather = { temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 }

const tools = [
  'echo',
  'get-annotated-message',
  'get-env',
  'get-resource-links',
  'get-resource-reference',
  'get-roots-list',
  'get-structured-content',
  'get-sum',
  'get-tiny-image',
  'gzip-file-as-resource',
  'toggle-simulated-logging',
  'toggle-subscriber-updates',
  'trigger-elicitation-request',
  'trigger-long-running-operation',
  'trigger-sampling-request',
  'trigger-url-elicitation',
].map((name) => `every___${name}`)

const features = 'demo://resource/static/document/features.md'

const cases: readonly (readonly [says: string, tool: string, args: Record<string, unknown>, gives: object])[] = [
  ['text', 'echo', { message: 'hällo' }, { content: text('Echo: hällo') }],
  ['a sum', 'get-sum', { a: 1.5, b: -4 }, { content: text('The sum of 1.5 and -4 is -2.5.') }],
  [
    'structured content',
    'get-structured-content',
    { location: 'Chicago' },
    { content: text(JSON.stringify(weather)), structuredContent: weather },
  ],
  [
    'an image between texts',
    'get-tiny-image',
    {},
    {
      content: [
        { type: 'text' },
        { type: 'image', mimeType: 'image/png', data: expect.stringMatching(/^iVBORw0KGgo[\w+/]+=*$/) },
        { type: 'text' },
      ],
    },
  ],
  [
    'annotations of its text and its image',
    'get-annotated-message',
    { messageType: 'error', includeImage: true },
    {
      content: [
        {
          type: 'text',
          text: 'Error: Operation failed',
          annotations: { priority: 1, audience: ['user', 'assistant'] },
        },
        { type: 'image', annotations: { priority: 0.5, audience: ['user'] } },
      ],
    },
  ],
  [
    'links to resources',
    'get-resource-links',
    { count: 2 },
    {
      content: [
        { type: 'text' },
        { type: 'resource_link', uri: 'demo://resource/dynamic/blob/1', name: 'Blob Resource 1' },
        { type: 'resource_link', uri: 'demo://resource/dynamic/text/2', mimeType: 'text/plain' },
      ],
    },
  ],
  [
    'a resource in place',
    'get-resource-reference',
    { resourceType: 'Text', resourceId: 3 },
    {
      content: [
        { type: 'text' },
        { type: 'resource', resource: { uri: 'demo://resource/dynamic/text/3', text: expect.any(String) } },
        { type: 'text' },
      ],
    },
  ],
]

describe.each<[name: string, connect: Connect]>([
  ['@modelcontextprotocol/sdk', older],
  ['@modelcontextprotocol/client, pinned', newer({ pin: '2026-07-28' })],
  ['@modelcontextprotocol/client, auto', newer('auto')],
])('server-everything, for %s,', (_name, connect) => {
  let driven: Driven

  beforeAll(async () => {
    driven = await connect()
  })
  afterAll(() => driven.close())

  it('says what is offered: tools, prompts, resources, completions', () => {
    expect(driven.client.getServerCapabilities()).toMatchObject({
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      completions: {},
    })
  })

  it('lists its tools under the target’s name, in the server’s words', async () => {
    const listed = (await driven.client.listTools()).tools
    expect(listed.map(({ name }) => name)).toEqual(tools)
    expect(listed.find(({ name }) => name === 'every___get-structured-content')).toMatchObject({
      title: 'Get Structured Content Tool',
      description: 'Returns structured content along with an output schema for client data validation',
      inputSchema: {
        type: 'object',
        properties: { location: { type: 'string', enum: ['New York', 'Chicago', 'Los Angeles'] } },
        required: ['location'],
      },
      outputSchema: { type: 'object', properties: { temperature: { type: 'number' } } },
      annotations: { readOnlyHint: true, destructiveHint: false },
    })
  })

  it.each(cases)('answers a call with %s', async (_says, tool, args, gives) => {
    const result = await driven.call(`every___${tool}`, args)
    expect(result).toMatchObject(gives)
    expect(result.isError ?? false).toBe(false)
  })

  it('hears of wrong arguments with their path', async () => {
    const { isError, content } = await driven.call('every___get-sum', { a: 1, b: 'two' })
    expect([isError, content[0]?.['text']]).toEqual([true, expect.stringContaining('- arguments/b: ')])
  })

  it('hears the server’s own progress, in the server’s own numbers', async () => {
    const heard: Progress[] = []
    const result = await driven.call(
      'every___trigger-long-running-operation',
      { duration: 0.3, steps: 3 },
      { onprogress: (progress) => heard.push(progress) },
    )
    expect(result.content).toEqual(text('Long running operation completed. Duration: 0.3 seconds, Steps: 3.'))
    expect(heard).toEqual([1, 2, 3].map((progress) => ({ progress, total: 3 })))
  })

  it('gives up a call, and the next one is answered', async () => {
    const abort = new AbortController()
    const given = driven.call(
      'every___trigger-long-running-operation',
      { duration: 60, steps: 600 },
      { signal: abort.signal, onprogress: () => abort.abort() },
    )
    await expect(given).rejects.toThrow(/abort/i)
    expect((await driven.call('every___echo', { message: 'next' })).content).toEqual(text('Echo: next'))
  })

  it('lists prompts under the target’s name and gets them', async () => {
    const { prompts } = await driven.client.listPrompts()
    expect(prompts.map(({ name }) => name)).toEqual(
      ['args-prompt', 'completable-prompt', 'resource-prompt', 'simple-prompt'].map((name) => `every___${name}`),
    )
    expect(prompts[0]).toMatchObject({
      title: 'Arguments Prompt',
      arguments: [{ name: 'city', description: 'Name of the city', required: true }, { name: 'state' }],
    })
    expect(await driven.prompt('every___args-prompt', { city: 'Bern', state: 'BE' })).toMatchObject({
      messages: [{ role: 'user', content: { type: 'text', text: "What's weather in Bern, BE?" } }],
    })
    expect(await driven.prompt('every___resource-prompt', { resourceType: 'Text', resourceId: '1' })).toMatchObject({
      messages: [
        { role: 'user' },
        { content: { type: 'resource', resource: { uri: 'demo://resource/dynamic/text/1' } } },
      ],
    })
  })

  it.each([
    ['a prompt that is not there', 'every___no-prompt', {}],
    ['a prompt by its server’s own name', 'args-prompt', { city: 'Bern' }],
    ['a prompt without what it needs', 'every___args-prompt', {}],
  ])('is refused %s', async (_what, name, args) => {
    await expect(driven.prompt(name, args)).rejects.toMatchObject({ code: -32602 })
  })

  it('lists resources and templates, and reads both', async () => {
    const { resources } = await driven.client.listResources()
    expect(resources.map(({ uri }) => uri)).toContain(features)
    expect(resources.find(({ uri }) => uri === features)).toMatchObject({
      name: 'features.md',
      mimeType: 'text/markdown',
    })
    expect(
      (await driven.client.listResourceTemplates()).resourceTemplates.map(({ uriTemplate }) => uriTemplate),
    ).toEqual(['demo://resource/dynamic/blob/{resourceId}', 'demo://resource/dynamic/text/{resourceId}'])
    const read = await driven.read(features)
    expect(read.contents).toMatchObject([
      { uri: features, mimeType: 'text/markdown', text: expect.stringContaining('#') },
    ])
    const blob = await driven.read('demo://resource/dynamic/blob/7')
    expect(Buffer.from(String(blob.contents[0]?.['blob']), 'base64').toString()).toContain('Resource 7')
  })

  it.each(['demo://resource/static/document/none.md', 'file:///etc/passwd', 'demo://resource/dynamic/text/1/2'])(
    'is refused %s, which the server neither lists nor has a template for',
    async (uri) => {
      await expect(driven.read(uri)).rejects.toMatchObject({ code: connect === older ? -32002 : -32602 })
    },
  )

  it('completes arguments of prompts and of templates', async () => {
    const prompt = { type: 'ref/prompt', name: 'every___completable-prompt' }
    expect(await driven.complete(prompt, 'department', 'E')).toEqual(['Engineering'])
    expect(await driven.complete(prompt, 'name', 'A', { department: 'Engineering' })).toEqual(['Alice'])
    const template = { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' }
    expect(await driven.complete(template, 'resourceId', '12')).toEqual(['12'])
    await expect(driven.complete({ type: 'ref/resource', uri: 'file:///{path}' }, 'path', 'e')).rejects.toThrow()
  })

  describe('when the server asks', () => {
    const accept: Answers = {
      'elicitation/create': () => ({ action: 'accept', content: { name: 'Ann', check: true } }),
    }
    const using = async (
      answers: Answers,
      use: (asking: Driven) => Promise<void>,
      capabilities?: object,
    ): Promise<void> => {
      const asking = await connect(answers, capabilities)
      try {
        await use(asking)
      } finally {
        await asking.close()
      }
    }

    it('its user answers a form', async () => {
      const asked: Asked[] = []
      const answers: Answers = {
        'elicitation/create': (one) => {
          asked.push(one)
          return { action: 'accept', content: { name: 'Ann', check: true } }
        },
      }
      await using(answers, async ({ call }) => {
        const { content, isError } = await call('every___trigger-elicitation-request')
        expect(isError ?? false).toBe(false)
        expect(content[1]).toEqual({ type: 'text', text: 'User inputs:\n- Name: Ann\n- Agreed to terms: true' })
      })
      expect(asked).toHaveLength(1)
      expect(asked[0]?.params).toMatchObject({
        message: 'Please provide inputs for the following fields:',
        requestedSchema: { properties: { name: { type: 'string' }, email: { format: 'email' } }, required: ['name'] },
      })
    })

    it.each([
      ['decline', 'User declined to provide the requested information.'],
      ['cancel', 'User cancelled the elicitation dialog.'],
    ])('its user may say %s', async (action, words) => {
      await using({ 'elicitation/create': () => ({ action }) }, async ({ call }) => {
        expect((await call('every___trigger-elicitation-request')).content[0]?.['text']).toContain(words)
      })
    })

    it('its model is sampled', async () => {
      const sampled: Answers = {
        'sampling/createMessage': ({ params }) => ({
          role: 'assistant',
          model: 'a-model',
          content: { type: 'text', text: `about ${params['messages'][0].content.text}` },
        }),
      }
      await using(sampled, async ({ call }) => {
        const { content } = await call('every___trigger-sampling-request', { prompt: 'rain', maxTokens: 10 })
        expect(content[0]?.['text']).toMatch(
          /"model": "a-model"[^]*about Resource trigger-sampling-request context: rain/,
        )
      })
    })

    it('its roots are told', async () => {
      await using(
        { 'roots/list': () => ({ roots: [{ uri: 'file:///home/ann', name: 'home' }] }) },
        async ({ call }) => {
          expect((await call('every___get-roots-list')).content[0]?.['text']).toContain('file:///home/ann')
        },
      )
    })

    it('its user is sent to a page, by a question and before the call', async () => {
      const pages: unknown[] = []
      const answers: Answers = {
        'elicitation/create': ({ params }) => {
          pages.push(params['url'])
          return { action: 'accept' }
        },
      }
      await using(
        answers,
        async ({ call }) => {
          const page = { url: 'https://pages.example/one' }
          expect((await call('every___trigger-url-elicitation', page)).content[0]?.['text']).toContain('User completed')
          expect(pages).toEqual([page.url])
          const first = { ...page, errorPath: true }
          expect((await call('every___trigger-url-elicitation', first)).content[0]?.['text']).toContain(
            'User completed',
          )
          expect(pages).toEqual([page.url, 'https://modelcontextprotocol.io', page.url])
        },
        { elicitation: { url: {} } },
      )
    })

    it.each([
      ['a form', 'trigger-elicitation-request', {}],
      ['a sample', 'trigger-sampling-request', { prompt: 'rain' }],
      ['its roots', 'get-roots-list', {}],
      ['a page', 'trigger-url-elicitation', { url: 'https://pages.example/' }],
    ])('a client that cannot be asked for %s hears so, and no call is held', async (_what, tool, args) => {
      const { isError, content } = await driven.call(`every___${tool}`, args)
      expect([isError, content[0]?.['text']]).toEqual([true, expect.stringContaining('not found')])
      await using(accept, async ({ call }) => {
        expect((await call('every___echo', { message: 'x' })).content).toEqual(text('Echo: x'))
      })
    })
  })
})

describe('a server that comes and goes', () => {
  it('is ready when it comes up, keeps its tools when it goes down, and serves on when it is back', async () => {
    const late = await everythingAt()
    const before = gateway
    gateway = await startGatewayProcess({ config: config(late) })
    const { statusOf, tools: names } = operatorOf(() => gateway)
    try {
      expect(await statusOf('every')).toMatchObject({
        status: 'FAILED',
        toolCount: 0,
        reasons: ['The target could not be reached.'],
      })
      await late.start()
      await until('it is ready', async () => (await statusOf('every'))?.status === 'READY', 15_000)
      expect(await names()).toEqual(tools)

      const clients = await Promise.all([
        older(),
        older({ 'roots/list': () => ({ roots: [] }) }),
        newer('auto')(),
        newer('auto')({ 'roots/list': () => ({ roots: [] }) }),
      ])
      const calls = () => Promise.all(clients.map(({ call }) => call('every___echo', { message: 'x' })))
      for (const { content } of await calls()) expect(content).toEqual(text('Echo: x'))

      await late.stop()
      for (const { isError, content } of await calls())
        expect([isError, content[0]?.['text']]).toEqual([true, expect.stringMatching(/^The target /)])
      for (const { client } of clients) expect((await client.listTools()).tools).toHaveLength(tools.length)
      expect(await statusOf('every')).toMatchObject({ status: 'READY', toolCount: tools.length })

      await late.start()
      for (const { content } of await calls()) expect(content).toEqual(text('Echo: x'))
      // restarted between two calls: the sessions of before are lost, and nobody notices
      await late.start()
      for (const { content } of await calls()) expect(content).toEqual(text('Echo: x'))
      await expect(clients[0]?.prompt('every___simple-prompt')).resolves.toHaveProperty('messages')
      await Promise.all(clients.map((client) => client.close()))
    } finally {
      await gateway.remove()
      await late.stop()
      gateway = before
    }
  })
})
