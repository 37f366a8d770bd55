/** A server of 2026-07-28, made with the official SDK, that knows its callers by their tokens and remembers what it was sent. */
import { serve } from '@hono/node-server'
import {
  createMcpHandler,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from '@modelcontextprotocol/server'
import { freePort } from '../support/everything.ts'

interface Seen {
  /** Of the JSON-RPC request; empty for none. */
  readonly method: string
  readonly headers: Headers
}

export interface NotesServer {
  readonly url: string
  /** `127.0.0.1:PORT`, for `egress.allow`. */
  readonly address: string
  readonly seen: Seen[]
  /** Who is let in, by token; everyone, as nobody, while there is none. */
  readonly people: Map<string, string>
  /** Tools besides, with their descriptions. */
  readonly more: Map<string, string>
  hasNews: boolean
  /** Calls of `wait` that were given up. */
  given: number
  tell(what: 'tools' | 'prompts' | 'resources'): void
  update(uri: string): void
  start(): Promise<void>
  stop(): Promise<void>
}

/** A request as the server sees it. */
interface Asking {
  readonly notes: NotesServer
  readonly who: string
  readonly headers: Headers
}

const text = (words: string): object => ({ type: 'text', text: words })
const schema = { type: 'object' } as const

const question = {
  method: 'elicitation/create',
  params: { message: 'Who?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } },
}

async function call(name: string, { notes, who, headers }: Asking, { mcpReq }: ServerContext): Promise<object> {
  const token = headers.get('authorization') ?? ''
  switch (name) {
    case 'whoami':
      return {
        content: [text(`${who} ${headers.get('x-tenant') ?? '-'}`)],
        structuredContent: { who },
      }
    case 'purge':
      return { content: [text(`purged by ${who}`)] }
    case 'leak':
      await mcpReq.log('warning', { saw: token })
      return {
        content: [text(`I saw ${token}`), { type: 'resource', resource: { uri: 'note://leak', text: token } }],
        structuredContent: { token, [token]: 1 },
        _meta: { token },
      }
    case 'refuse':
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `I do not take ${token}`, { token })
    case 'wait':
      return new Promise((resolve) => {
        mcpReq.signal.addEventListener('abort', () => {
          notes.given++
          resolve({ content: [] })
        })
      })
    case 'chat':
      for (const level of ['debug', 'warning'] as const) await mcpReq.log(level, { heard: level }, 'notes')
      return { content: [text('said')] }
    case 'ask': {
      const { q } = mcpReq.inputResponses ?? {}
      return q === undefined
        ? { resultType: 'input_required', inputRequests: { q: question }, requestState: `for ${who}` }
        : { content: [text(`${mcpReq.requestState<string>()}: ${JSON.stringify(q)}`)] }
    }
    default:
      return { content: [text(name)] }
  }
}

function makeServer(asking: Asking): Server {
  const { who, headers } = asking
  const { more, hasNews } = asking.notes
  const listChanged = { listChanged: true }
  const server = new Server(
    { name: 'notes', version: '1' },
    {
      capabilities: {
        tools: listChanged,
        prompts: listChanged,
        resources: { ...listChanged, subscribe: true },
        completions: {},
        logging: {},
      },
    },
  )
  const token = headers.get('authorization') ?? ''
  const isAdmin = who === 'admin'
  const tools = new Map([
    ...['ask', 'chat', 'leak', 'refuse', 'wait', 'whoami'].map((name) => [name, `The tool ${name}.`] as const),
    ...(isAdmin ? [['purge', 'Purges.'] as const] : []),
    ...more,
  ])
  server.setRequestHandler('tools/list', () => ({
    tools: [...tools].map(([name, description]) => ({ name, description, inputSchema: schema })),
  }))
  server.setRequestHandler('tools/call', async ({ params }, context) => {
    if (!tools.has(params.name)) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'There is no such tool.')
    return (await call(params.name, asking, context)) as never
  })
  const prompts = ['hello', 'leak', ...(isAdmin ? ['powers'] : []), ...(hasNews ? ['news'] : [])]
  server.setRequestHandler('prompts/list', () => ({
    prompts: prompts.map((name) => ({ name, arguments: [{ name: 'whom', required: false }] })),
  }))
  server.setRequestHandler('prompts/get', ({ params }) => {
    if (!prompts.includes(params.name)) throw new ProtocolError(ProtocolErrorCode.InvalidParams, 'No such prompt.')
    const words = params.name === 'leak' ? token : `Hello ${params.arguments?.['whom'] ?? who}`
    return { messages: [{ role: 'user', content: text(`${words} ${headers.get('x-tenant') ?? '-'}`) }] } as never
  })
  const uris = ['note://leak', 'note://one', 'note://shared', ...(isAdmin ? ['note://powers'] : [])]
  server.setRequestHandler('resources/list', () => ({
    resources: [...uris, ...(hasNews ? ['note://news'] : [])].map((uri) => ({ uri, name: uri.slice(7) })),
  }))
  server.setRequestHandler('resources/templates/list', () => ({
    resourceTemplates: [{ uriTemplate: 'note://by-id/{id}', name: 'by-id' }],
  }))
  server.setRequestHandler('resources/read', ({ params: { uri } }) => {
    const words = uri === 'note://leak' ? token : `${uri} for ${who} of ${headers.get('x-tenant') ?? '-'}`
    return { contents: [{ uri, text: words }] }
  })
  server.setRequestHandler('completion/complete', () => ({ completion: { values: [who] } }))
  return server
}

export async function startNotes(): Promise<NotesServer> {
  const port = await freePort()
  const handler = createMcpHandler(
    ({ requestInfo }) => {
      const headers = requestInfo?.headers ?? new Headers()
      return makeServer({ notes, who: whoIs(headers), headers })
    },
    { legacy: 'reject' },
  )
  const whoIs = (headers: Headers): string =>
    notes.people.get((headers.get('authorization') ?? '').replace(/^Bearer /, '')) ?? 'nobody'
  let stop = (): Promise<void> => Promise.resolve()
  const notes: NotesServer = {
    url: `http://127.0.0.1:${port}/mcp`,
    address: `127.0.0.1:${port}`,
    seen: [],
    people: new Map(),
    more: new Map(),
    hasNews: false,
    given: 0,
    tell: (what) => handler.notify[`${what}Changed`](),
    update: (uri) => handler.notify.resourceUpdated(uri),
    async start() {
      const server = serve({
        hostname: '127.0.0.1',
        port,
        async fetch(request) {
          const method = request.headers.get('mcp-method') ?? ''
          notes.seen.push({ method, headers: request.headers })
          if (notes.people.size > 0 && whoIs(request.headers) === 'nobody')
            return new Response(`who is ${request.headers.get('authorization')}?`, {
              status: 401,
              headers: { 'www-authenticate': 'Bearer' },
            })
          return handler.fetch(request)
        },
      })
      await new Promise((resolve) => server.once('listening', resolve))
      stop = () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          if ('closeAllConnections' in server) server.closeAllConnections()
        })
    },
    stop: () => stop(),
  }
  await notes.start()
  return notes
}
