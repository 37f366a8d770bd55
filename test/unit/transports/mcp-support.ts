/** MCP servers of both eras, real and scripted, and a gateway's way to them. */
import { spawn } from 'node:child_process'
import { createServer, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { dirname, join } from 'node:path'
import { createMcpHandler, fromJsonSchema, inputRequired, McpServer } from '@modelcontextprotocol/server'
import { Cancellation } from '../../../src/core/cancel.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import type { Json, Principal, Target } from '../../../src/core/model.ts'
import type { CredentialProvider } from '../../../src/credentials/provider.ts'
import { createEgress, type Egress } from '../../../src/egress/fetch.ts'
import { createUpstreams, type Upstreams } from '../../../src/transports/mcp/upstreams.ts'
import { mcpTransport } from '../../../src/transports/mcp.ts'
import type { Delivered, Delivery, Transport } from '../../../src/transports/transport.ts'
import type { Answer, Recorded } from '../../support/recorder.ts'

export interface Server {
  readonly url: string
  close(): Promise<void>
}

/** `@modelcontextprotocol/server-everything` over streamable HTTP: 2025-11-25, with sessions. */
export async function startEverything(): Promise<Server> {
  const entry = createRequire(import.meta.url).resolve('@modelcontextprotocol/server-everything/package.json')
  const port = await freePort()
  const child = spawn(process.execPath, [join(dirname(entry), 'dist/index.js'), 'streamableHttp'], {
    env: { PORT: String(port) },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  await new Promise<void>((resolve, reject) => {
    let text = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes(`port ${port}`)) resolve()
    })
    child.once('exit', () => reject(new Error(text)))
  })
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    close: () =>
      new Promise((resolve) => {
        child.once('close', () => resolve())
        child.kill('SIGKILL')
      }),
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createTcpServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

export interface ModernServer extends Server {
  /** Adds or removes the tool `extra`, and tells those who listen. */
  toggle(): void
  /** Tells those who subscribed that a resource has changed. */
  update(uri: string): void
  /** Header fields of each request so far. */
  readonly seen: { readonly [name: string]: string | string[] | undefined }[]
}

const anything = fromJsonSchema<{ [name: string]: unknown }>({ type: 'object' })

/** A server of `@modelcontextprotocol/server` 2: 2026-07-28, nothing kept. */
export async function startModern(): Promise<ModernServer> {
  let hasExtra = false
  const seen: ModernServer['seen'] = []
  const handler = createMcpHandler(
    () => {
      const server = new McpServer(
        { name: 'modern', version: '1' },
        { capabilities: { tools: { listChanged: true }, resources: { subscribe: true }, logging: {} } },
      )
      const region = { type: 'string', 'x-mcp-header': 'Region' } as const
      server.registerTool('echo', { inputSchema: anything }, (args) => ({
        content: [{ type: 'text', text: JSON.stringify(args) }],
        structuredContent: args,
      }))
      server.registerTool(
        'regional',
        { inputSchema: fromJsonSchema<{ region: string }>({ type: 'object', properties: { region } }) },
        ({ region: where }) => ({ content: [{ type: 'text', text: where }] }),
      )
      server.registerTool('greet', { inputSchema: anything }, (_args, ctx) => {
        const given = ctx.mcpReq.inputResponses?.['who'] as { content?: { name?: string } } | undefined
        if (given !== undefined) return { content: [{ type: 'text', text: `Hello, ${given.content?.name}` }] }
        const schema = {
          type: 'object' as const,
          properties: { name: { type: 'string' as const } },
          required: ['name'],
        }
        return inputRequired({
          inputRequests: { who: inputRequired.elicit({ message: 'Who are you?', requestedSchema: schema }) },
          requestState: 'the-servers-own',
        })
      })
      server.registerTool('slow', { inputSchema: anything }, async (_args, ctx) => {
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken: ctx.mcpReq._meta?.progressToken ?? 0, progress: 1, total: 2, message: 'halfway' },
        })
        await ctx.mcpReq.log('warning', { saw: 'it' }, 'modern')
        return { content: [{ type: 'text', text: 'done' }] }
      })
      if (hasExtra) server.registerTool('extra', { inputSchema: anything }, () => ({ content: [] }))
      server.registerPrompt('hello', { description: 'Says hello.' }, () => ({
        messages: [{ role: 'user', content: { type: 'text', text: 'Hello.' } }],
      }))
      server.registerResource('note', 'note://one', { mimeType: 'text/plain' }, (uri) => ({
        contents: [{ uri: uri.href, text: 'One.' }],
      }))
      return server
    },
    { legacy: 'reject' },
  )
  const http = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      seen.push(incoming.headers)
      const abort = new AbortController()
      outgoing.on('close', () => abort.abort())
      const headers = new Headers(incoming.headers as { [name: string]: string })
      const body = chunks.length === 0 ? null : Buffer.concat(chunks)
      const request = new Request(`http://${incoming.headers.host}${incoming.url}`, {
        method: incoming.method ?? 'POST',
        headers,
        body,
        signal: abort.signal,
      })
      void pass(handler.fetch(request), outgoing)
    })
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`,
    seen,
    toggle: () => {
      hasExtra = !hasExtra
      handler.notify.toolsChanged()
    },
    update: (uri) => handler.notify.resourceUpdated(uri),
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
}

async function pass(answer: Promise<Response>, outgoing: ServerResponse): Promise<void> {
  const response = await answer
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.flushHeaders()
  try {
    for await (const piece of response.body ?? []) outgoing.write(piece)
  } catch {
    // the other end has gone
  }
  outgoing.end()
}

export const ann: Principal = { tenant: 't', subject: 'ann', client: 'c', scopes: new Set() }
export const bob: Principal = { ...ann, subject: 'bob' }

export const targetAt = (url: string, changes: Partial<Target> = {}): Target => {
  const { origin, pathname } = new URL(url)
  const headers = { set: new Map(), forwardRequest: [], forwardResponse: [] }
  return { name: 'up', kind: 'mcp', origin, basePath: pathname, timeoutMs: 10_000, headers, ...changes }
}

export interface Room {
  readonly egress: Egress
  readonly upstreams: Upstreams
  readonly changed: string[]
  readonly updated: string[]
  transport(target: Target, credential?: CredentialProvider): Transport
  close(): Promise<void>
}

const quiet = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debugs: false,
}

export function openRoom(clock: Clock = systemClock): Room {
  const egress = createEgress({ allow: ['127.0.0.1'], clock })
  const changed: string[] = []
  const updated: string[] = []
  const upstreams = createUpstreams({
    clock,
    log: quiet,
    version: '0',
    onChanged: (target) => changed.push(target),
    onUpdated: (target, uri, caller) => updated.push(`${target} ${uri} ${caller.subject}`),
  })
  return {
    egress,
    upstreams,
    changed,
    updated,
    transport: (target, credential) => mcpTransport(target, credential, egress, upstreams),
    async close() {
      await upstreams.close()
      await egress.close()
    },
  }
}

export const delivery = (changes: Partial<Delivery> = {}): Delivery => ({
  caller: ann,
  name: 'up___tool',
  usageId: 'u',
  messageId: 1,
  idempotent: false,
  capabilities: [],
  signal: new Cancellation(),
  ...changes,
})

export const request = (target: Target, method: string, params: object, headers: readonly [string, string][] = []) => ({
  method: 'POST',
  url: `${target.origin}${target.basePath}`,
  headers: new Map(headers),
  body: JSON.stringify({ method, params }),
})

export const callOf = (target: Target, name: string, args: object = {}, headers: readonly [string, string][] = []) =>
  request(target, 'tools/call', { name, arguments: args }, headers)

export const bodyOf = ({ response }: Delivered): { [name: string]: any } =>
  JSON.parse(response.body.toString('utf8')) as { [name: string]: Json }

/** Waits until it holds, as long as the test may last. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}

interface Rpc {
  readonly id?: number | string
  readonly method?: string
  readonly params?: { readonly [name: string]: any }
  readonly result?: unknown
  readonly error?: unknown
}

export const rpcOf = ({ body }: Recorded): Rpc =>
  body.byteLength === 0 ? {} : (JSON.parse(body.toString('utf8')) as Rpc)

export const sse = (...messages: readonly object[]): string =>
  messages.map((message) => `data: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`).join('')

/** An older server by hand: `initialize` with a session, everything else as `answer` says. */
export const legacyServer =
  (answer: (rpc: Rpc, ...http: Parameters<Answer>) => void, session: string | undefined = 's-1'): Answer =>
  (recorded, response, incoming) => {
    const rpc = rpcOf(recorded)
    const json = (status: number, body: object, headers = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))
    }
    if (recorded.method === 'GET') response.writeHead(405).end()
    else if (recorded.method === 'DELETE') response.writeHead(204).end()
    else if (rpc.method === 'server/discover') json(400, { error: 'initialize first' })
    else if (rpc.method === 'initialize') {
      const result = {
        protocolVersion: '2025-11-25',
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'old', version: '1' },
      }
      json(200, { jsonrpc: '2.0', id: rpc.id, result }, session === undefined ? {} : { 'mcp-session-id': session })
    } else if (rpc.method?.startsWith('notifications/') === true) response.writeHead(202).end()
    else answer(rpc, recorded, response, incoming)
  }
