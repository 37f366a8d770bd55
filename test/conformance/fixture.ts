/**
 * What the conformance suite expects of a server, as a description and a target that speaks plain HTTP: text, images,
 * sound, bytes, errors, and questions for the client. The gateway's own importer and dispatcher make the tools of it.
 */
import type { Answer, Recorded } from '../support/recorder.ts'

const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA='

const result = (content: readonly object[]): object => ({ content })
const text = (words: string): object => ({ type: 'text', text: words })

const form = (message: string, properties: object, required: readonly string[]): object => ({
  method: 'elicitation/create',
  params: { message, requestedSchema: { type: 'object', properties, required } },
})
const sampling = (prompt: string): object => ({
  method: 'sampling/createMessage',
  params: { messages: [{ role: 'user', content: { type: 'text', text: prompt } }], maxTokens: 100 },
})
const roots = { method: 'roots/list', params: {} }
const ask = (inputRequests: object, requestState?: string): object => ({
  resultType: 'input_required',
  inputRequests,
  requestState,
})
const askName = form('What is your name?', { name: { type: 'string' } }, ['name'])

type Responses = { readonly [key: string]: unknown }

/** The client's answers, as the gateway passes them on. */
const answersOf = ({ headers }: Recorded): { responses: Responses; state: string } | undefined => {
  const sent = headers['toolgate-input-responses']
  if (typeof sent !== 'string') return undefined
  const state = headers['toolgate-request-state']
  return {
    responses: JSON.parse(Buffer.from(sent, 'base64url').toString()) as Responses,
    state: typeof state === 'string' ? Buffer.from(state, 'base64url').toString() : '',
  }
}

/** Asks until every key has been answered. */
const once =
  (inputRequests: object, state?: string) =>
  (request: Recorded): object => {
    const answers = answersOf(request)
    const done = answers !== undefined && Object.keys(inputRequests).every((key) => key in answers.responses)
    return done ? result([text(`answered: ${JSON.stringify(answers.responses)}`)]) : ask(inputRequests, state)
  }

const enums = {
  untitledSingle: { type: 'string', enum: ['one', 'two'] },
  titledSingle: {
    type: 'string',
    oneOf: [
      { const: 'a', title: 'A' },
      { const: 'b', title: 'B' },
    ],
  },
  legacyEnum: { type: 'string', enum: ['x', 'y'], enumNames: ['X', 'Y'] },
  untitledMulti: { type: 'array', items: { type: 'string', enum: ['one', 'two'] } },
  titledMulti: {
    type: 'array',
    items: {
      anyOf: [
        { const: 'a', title: 'A' },
        { const: 'b', title: 'B' },
      ],
    },
  },
}
const defaults = {
  name: { type: 'string', default: 'John Doe' },
  age: { type: 'integer', default: 30 },
  score: { type: 'number', default: 95.5 },
  status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
  verified: { type: 'boolean', default: true },
}

const rounds = (request: Recorded): object => {
  const answers = answersOf(request)
  if (answers === undefined) return ask({ step1: askName }, 'one')
  if (answers.state === 'one')
    return ask({ step2: form('Which colour?', { color: { type: 'string' } }, ['color']) }, 'two')
  return result([text('both are known')])
}

/** Tools that answer with a whole MCP result, by name. */
const speaking: { readonly [tool: string]: (request: Recorded) => object } = {
  test_multiple_content_types: () =>
    result([
      text('Several kinds at once:'),
      { type: 'image', data: png, mimeType: 'image/png' },
      { type: 'resource', resource: { uri: 'test://mixed', mimeType: 'application/json', text: '{"a":1}' } },
    ]),
  test_embedded_resource: () =>
    result([{ type: 'resource', resource: { uri: 'test://embedded', mimeType: 'text/plain', text: 'Embedded.' } }]),
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
  test_input_required_result_request_state: once(
    { confirm: form('Really?', { ok: { type: 'boolean' } }, ['ok']) },
    'state',
  ),
  test_input_required_result_tampered_state: once(
    { confirm: form('Really?', { ok: { type: 'boolean' } }, ['ok']) },
    'state',
  ),
  test_input_required_result_multiple_inputs: once(
    { user_name: askName, greeting: sampling('Hello?'), client_roots: roots },
    'state',
  ),
  test_input_required_result_multi_round: rounds,
  test_input_required_result_capabilities: once({
    user_name: askName,
    capital: sampling('What is the capital of France?'),
  }),
}

const plain = [
  'test_simple_text',
  'test_image_content',
  'test_audio_content',
  'test_error_handling',
  'test_tool_with_progress',
  'test_tool_with_logging',
  'test_logging_tool',
  'test_trigger_tool_change',
]

const parameters: { readonly [tool: string]: readonly object[] } = {
  test_sampling: [{ name: 'prompt', in: 'query', required: true, schema: { type: 'string' } }],
  test_elicitation: [{ name: 'message', in: 'query', required: true, schema: { type: 'string' } }],
}

const toolNames = [...plain, ...Object.keys(speaking)]

/** The description; each operation is given its tool's name by an override of the configuration. */
export const conformanceDescription = (origin: string): object => ({
  openapi: '3.1.0',
  info: { title: 'conformance', version: '1' },
  servers: [{ url: origin }],
  paths: Object.fromEntries(
    toolNames.map((tool) => [
      `/${tool}`,
      {
        get: {
          operationId: tool,
          summary: `The operation ${tool}.`,
          parameters: parameters[tool] ?? [],
          responses: {
            200: { description: 'As it comes.', content: { '*/*': {}, 'application/vnd.toolgate.result+json': {} } },
          },
        },
      },
    ]),
  ),
})

export const nameOverrides = Object.fromEntries(toolNames.map((tool) => [tool, { name: tool }]))

/** The target. `toggle` changes the gateway's list of tools. */
export const conformanceAnswer =
  (toggle: () => Promise<void>): Answer =>
  (request, response) => {
    const tool = new URL(request.url, 'http://x').pathname.slice(1)
    const send = (type: string, body: string | Buffer, status = 200): void => {
      response.writeHead(status, { 'content-type': type }).end(body)
    }
    const speak = Object.hasOwn(speaking, tool) ? speaking[tool] : undefined
    if (speak !== undefined) send('application/vnd.toolgate.result+json', JSON.stringify(speak(request)))
    else if (tool === 'test_image_content') send('image/png', Buffer.from(png, 'base64'))
    else if (tool === 'test_audio_content') send('audio/wav', Buffer.from(wav, 'base64'))
    else if (tool === 'test_error_handling') send('text/plain', 'This fails on purpose.', 500)
    else if (tool === 'test_trigger_tool_change')
      toggle().then(
        () => send('text/plain', 'changed'),
        (error: unknown) => send('text/plain', String(error), 500),
      )
    else send('text/plain', 'A simple text.')
  }
