/**
 * An MCP server with all that the conformance suite expects of one, made with the official SDK: tools that ask the client,
 * prompts, resources, completions. It stands behind the gateway, as a target.
 */
import { type AddressInfo, createServer } from 'node:net'
import { serve } from '@hono/node-server'
import {
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server'

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA='

type Content = { readonly type: string; readonly [member: string]: unknown }

const text = (words: string): Content => ({ type: 'text', text: words })
const image: Content = { type: 'image', data: png, mimeType: 'image/png' }
const result = (...content: readonly Content[]): object => ({ content })

const form = (message: string, properties: object, required: readonly string[]): object => ({
  method: 'elicitation/create',
  params: { message, requestedSchema: { type: 'object', properties, required } },
})
const sampling = (prompt: string): object => ({
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 },
})
const roots = { method: 'roots/list', params: {} }
const askName = form('What is your name?', { name: { type: 'string' } }, ['name'])
const confirm = { confirm: form('Really?', { ok: { type: 'boolean' } }, ['ok']) }

const ask = (inputRequests: object, requestState?: string): object => ({
  resultType: 'input_required',
  inputRequests,
  ...(requestState === undefined ? {} : { requestState }),
})

type Tool = (context: ServerContext) => object | Promise<object>

/** Asks until every key has been answered. */
const once =
  (inputRequests: object, state?: string): Tool =>
  ({ mcpReq }) => {
    const responses = mcpReq.inputResponses ?? {}
    const done = Object.keys(inputRequests).every((key) => key in responses)
    const words = `${mcpReq.requestState<string>() === state ? 'state-ok ' : ''}answered: ${JSON.stringify(responses)}`
    return done ? result(text(words)) : ask(inputRequests, state)
  }

const rounds: Tool = ({ mcpReq }) => {
  if (mcpReq.inputResponses === undefined) return ask({ step1: askName }, 'one')
  if (mcpReq.requestState<string>() === 'one')
    return ask({ step2: form('Which colour?', { color: { type: 'string' } }, ['color']) }, 'two')
  return result(text('both are known'))
}

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20))

const progresses: Tool = async ({ mcpReq }) => {
  const progressToken = mcpReq._meta?.progressToken
  for (const progress of [0, 50, 100]) {
    if (progressToken !== undefined)
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } })
    await soon()
  }
  return result(text('The work is done.'))
}

const logs: Tool = async ({ mcpReq }) => {
  for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
    await mcpReq.log('info', data)
    await soon()
  }
  return result(text('It was logged.'))
}

const enums = {
  untitledSingle: { type: 'string', enum: ['one', 'two'] },
  titledSingle: { type: 'string', oneOf: [{ const: 'a', title: 'A' }] },
  legacyEnum: { type: 'string', enum: ['x', 'y'], enumNames: ['X', 'Y'] },
  untitledMulti: { type: 'array', items: { type: 'string', enum: ['one', 'two'] } },
  titledMulti: { type: 'array', items: { anyOf: [{ const: 'a', title: 'A' }] } },
}
const defaults = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
}
const resource = (uri: string, words: string): Content => ({
  type: 'resource',
  resource: { uri, mimeType: 'text/plain', text: words },
})

const tools: { readonly [name: string]: Tool } = {
  test_simple_text: () => result(text('A simple text.')),
  test_image_content: () => result(image),
  test_audio_content: () => result({ type: 'audio', data: wav, mimeType: 'audio/wav' }),
  test_embedded_resource: () => result(resource('test://embedded', 'Embedded.')),
  test_multiple_content_types: () => result(text('Several at once:'), image, resource('test://mixed', 'Mixed.')),
  test_error_handling: () => ({ isError: true, ...result(text('This fails on purpose.')) }),
  test_tool_with_progress: progresses,
  test_tool_with_logging: logs,
  test_logging_tool: logs,
  test_missing_capability: once({ wanted: sampling('?') }),
  test_streaming_elicitation: once({ user_name: askName }),
  test_sampling: once({ wanted: sampling('Test prompt for sampling') }),
  test_elicitation: once({
    wanted: form('Who are you?', { username: { type: 'string' }, email: { type: 'string' } }, ['username', 'email']),
  }),
  test_elicitation_sep1034_defaults: once({ wanted: form('Defaults', defaults, []) }),
  test_elicitation_sep1330_enums: once({ wanted: form('Enums', enums, []) }),
  test_input_required_result_elicitation: once({ user_name: askName }),
  test_input_required_result_sampling: once({ capital: sampling('What is the capital of France?') }),
  test_input_required_result_list_roots: once({ client_roots: roots }),
  test_input_required_result_request_state: once(confirm, 'kept'),
  test_input_required_result_tampered_state: once(confirm, 'kept'),
  test_input_required_result_multiple_inputs: once(
    { user_name: askName, greeting: sampling('Hello?'), client_roots: roots },
    'kept',
  ),
  test_input_required_result_multi_round: rounds,
  test_input_required_result_capabilities: (context) => {
    const declared =
      (context.mcpReq.envelope as { [key: string]: object } | undefined)?.[CLIENT_CAPABILITIES_META_KEY] ?? {}
    return once({
      ...('elicitation' in declared ? { user_name: askName } : {}),
      ...('sampling' in declared ? { capital: sampling('What is the capital of France?') } : {}),
    })(context)
  },
}

const argumentsOf: { readonly [name: string]: readonly string[] } = {
  test_sampling: ['prompt'],
  test_elicitation: ['message'],
}

const user = (...contents: readonly Content[]): object => ({
  messages: contents.map((content) => ({ role: 'user', content })),
})

type Prompt = (given: { readonly [name: string]: string }, context: ServerContext) => object

const prompts: { readonly [name: string]: { readonly takes: readonly string[]; readonly make: Prompt } } = {
  test_simple_prompt: { takes: [], make: () => user(text('This is a simple prompt for testing.')) },
  test_prompt_with_arguments: {
    takes: ['arg1', 'arg2'],
    make: ({ arg1, arg2 }) => user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  },
  test_prompt_with_embedded_resource: {
    takes: ['resourceUri'],
    make: ({ resourceUri = '' }) => user(resource(resourceUri, 'Embedded.'), text('Please look at it.')),
  },
  test_prompt_with_image: { takes: [], make: () => user(image, text('Please look at it.')) },
  test_input_required_result_prompt: {
    takes: [],
    make: (_given, { mcpReq }) =>
      mcpReq.inputResponses === undefined
        ? ask({ user_context: form('What context?', { context: { type: 'string' } }, ['context']) })
        : user(text(`With context: ${JSON.stringify(mcpReq.inputResponses)}`)),
  },
}

const template = 'test://template/{id}/data'
const contents = (uri: string): object | undefined => {
  if (uri === 'test://static-text') return { uri, mimeType: 'text/plain', text: 'The static text.' }
  if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: png }
  if (uri === 'test://watched-resource') return { uri, mimeType: 'text/plain', text: 'Watched.' }
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1]
  return id === undefined ? undefined : { uri, mimeType: 'application/json', text: JSON.stringify({ id }) }
}

const triggerNames = ['test_trigger_tool_change', 'test_trigger_prompt_change']

/** By the suite's own names, which a prefix would hide. */
export const nameOverrides = Object.fromEntries([
  ...[...Object.keys(tools), ...triggerNames].map((name) => [name, { name }]),
  ...Object.keys(prompts).map((name) => [`prompt ${name}`, { name }]),
])

const described = (name: string, takes: readonly string[]): object => ({
  name,
  description: `The tool ${name}.`,
  inputSchema: { type: 'object', properties: Object.fromEntries(takes.map((key) => [key, { type: 'string' }])) },
})

/** What changes while the server runs. */
interface Changing {
  readonly triggers: { readonly [name: string]: Tool }
  hasMore: boolean
}

function makeServer(changing: Changing): Server {
  const listChanged = { listChanged: true }
  const server = new Server(
    { name: 'conformance-target', version: '1' },
    {
      capabilities: {
        tools: listChanged,
        prompts: listChanged,
        resources: { subscribe: true },
        completions: {},
        logging: {},
      },
    },
  )
  const all = { ...tools, ...changing.triggers }
  server.setRequestHandler('tools/list', () => ({
    tools: Object.keys(all).map((name) => described(name, argumentsOf[name] ?? [])) as never,
  }))
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    const tool = all[params.name]
    if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such tool.')
    return (await tool(context)) as never
  })
  server.setRequestHandler('prompts/list', () => ({
    prompts: [
      ...Object.entries(prompts).map(([name, { takes }]) => ({
        name,
        description: `The prompt ${name}.`,
        arguments: takes.map((argument) => ({ name: argument, description: argument, required: true })),
      })),
      ...(changing.hasMore ? [{ name: 'one_more', description: 'One more.' }] : []),
    ],
  }))
  server.setRequestHandler('prompts/get', ({ params }, context) => {
    const prompt = prompts[params.name]
    if (prompt === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such prompt.')
    return prompt.make(params.arguments ?? {}, context) as never
  })
  server.setRequestHandler('resources/list', () => ({
    resources: ['test://static-text', 'test://static-binary', 'test://watched-resource'].map((uri) => ({
      uri,
      name: uri.slice('test://'.length),
      description: `The resource ${uri}.`,
      mimeType: uri.endsWith('binary') ? 'image/png' : 'text/plain',
    })),
  }))
  server.setRequestHandler('resources/templates/list', () => ({
    resourceTemplates: [
      { uriTemplate: template, name: 'template', description: 'By id.', mimeType: 'application/json' },
    ],
  }))
  server.setRequestHandler('resources/read', ({ params }) => {
    const found = contents(params.uri)
    if (found === undefined)
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such resource.', { uri: params.uri })
    return { contents: [found] } as never
  })
  server.setRequestHandler('completion/complete', () => ({ completion: { values: ['testValue'], total: 1 } }))
  return server
}

export interface ConformanceTarget {
  /** `http://127.0.0.1:PORT/mcp` */
  readonly url: string
  /** `127.0.0.1:PORT` */
  readonly address: string
  close(): Promise<void>
}

/** `toggle` changes the gateway's list of tools; the list of prompts changes here. */
export async function startConformanceTarget(toggle: () => Promise<void>): Promise<ConformanceTarget> {
  const changing: Changing = {
    hasMore: false,
    triggers: {
      test_trigger_tool_change: async () => {
        await toggle()
        return result(text('changed'))
      },
      test_trigger_prompt_change: () => {
        changing.hasMore = !changing.hasMore
        handler.notify.promptsChanged()
        return result(text('changed'))
      },
    },
  }
  const handler = createMcpHandler(() => makeServer(changing))
  const port = await freePort()
  const server = serve({ fetch: (request) => handler.fetch(request), hostname: '127.0.0.1', port })
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    address: `127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        if ('closeAllConnections' in server) server.closeAllConnections()
      }),
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
