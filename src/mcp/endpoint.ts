/** `/mcp` and `/mcp/{view}`: from a raw HTTP exchange to the revision that the message speaks. */
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Hono } from 'hono'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { McpContext } from './context.ts'
import { Exchange, type Headers } from './exchange.ts'
import { answerLegacy, endSession, openStream } from './legacy.ts'
import { errorMessage, type Message, objectParam, parseMessage, Refusal } from './message.ts'
import { answerModern } from './modern.ts'
import { logged } from './answer.ts'
import { SessionNotes } from './session-notes.ts'
import { isLegacyVersion, meta, modernVersion } from './versions.ts'

const exposed = 'Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After'
const allowed =
  'Content-Type, Accept, Authorization, X-Api-Key, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, traceparent'

/**
 * The MCP routes. Hono routes; the answer is written to Node's own response, since the hot path and the lists that are
 * sent from shared bytes gain nothing from Web streams.
 */
export function mcpRoutes(context: McpContext): Hono<{ Bindings: HttpBindings }> {
  const notes = new SessionNotes()
  const app = new Hono<{ Bindings: HttpBindings }>()
  const route = async (env: HttpBindings, view: string): Promise<Response> => {
    await answer(context, notes, new Exchange(env.incoming, env.outgoing, context.clock), view)
    return RESPONSE_ALREADY_SENT
  }
  app.all('/mcp', (c) => route(c.env, ''))
  app.all('/mcp/:view', (c) => route(c.env, c.req.param('view')))
  return app
}

async function answer(context: McpContext, notes: SessionNotes, exchange: Exchange, view: string): Promise<void> {
  let headers: Headers = {}
  try {
    const origin = context.guard.check(exchange)
    if (origin !== undefined) headers = cors(origin)
    if (context.draining()) throw new GatewayError('draining')
    await dispatch(context, notes, exchange, headers, view)
  } catch (thrown) {
    const refusal = thrown instanceof Refusal ? thrown : new Refusal(toGatewayError(thrown))
    const error = refusal.error.code === 'internal' ? logged(context, refusal.error, exchange.method) : refusal.error
    const extra: Headers = error.code === 'method_not_allowed' ? { allow: 'POST' } : (error.headers ?? challenge(error))
    exchange.send(
      error.http,
      { ...headers, ...extra, 'content-type': 'application/json' },
      errorMessage(refusal.id, error),
    )
  }
}

async function dispatch(
  context: McpContext,
  notes: SessionNotes,
  exchange: Exchange,
  headers: Headers,
  view: string,
): Promise<void> {
  if (exchange.method === 'OPTIONS' && exchange.header('origin') !== undefined) {
    exchange.send(204, {
      ...headers,
      'access-control-allow-methods': 'POST, GET, DELETE',
      'access-control-allow-headers': allowed,
    })
    return
  }
  const caller = await context.authenticate(exchange)
  // Which views there are is for callers to know.
  if (context.current().catalogue(view) === undefined) throw new GatewayError('not_found')
  if (exchange.method !== 'POST') {
    const modern = exchange.header('mcp-protocol-version') === modernVersion
    if (exchange.method === 'GET' && !modern && /text\/event-stream/.test(exchange.header('accept') ?? ''))
      openStream(context, notes, exchange, headers, view, caller)
    else if (exchange.method === 'DELETE' && !modern) endSession(context, notes, exchange, headers, view, caller)
    else throw new GatewayError('method_not_allowed')
    return
  }
  checkMedia(exchange)
  const body = await exchange.body(limits.requestBodyBytes)
  const message = parseMessage(body)
  if (isLegacy(exchange, message))
    await answerLegacy(context, notes, exchange, headers, view, caller, message, body.byteLength)
  else await answerModern(context, exchange, headers, view, caller, message, body.byteLength)
}

/** A request is of an older revision when its header says so, or when neither header nor `_meta` says anything. */
function isLegacy(exchange: Exchange, message: Message): boolean {
  const version = exchange.header('mcp-protocol-version')
  if (version !== undefined && !isLegacyVersion(version)) return false
  return message.kind === 'response' || objectParam(message.params, '_meta')?.[meta.version] === undefined
}

function checkMedia(exchange: Exchange): void {
  const type = exchange.header('content-type') ?? ''
  if (!/^application\/json(?:\s*;|$)/i.test(type)) throw new GatewayError('unsupported_media_type')
  if (exchange.header('content-encoding') !== undefined) throw new GatewayError('unsupported_media_type')
  const accept = exchange.header('accept') ?? '*/*'
  if (!/application\/(?:json|\*)|\*\/\*|text\/event-stream/.test(accept)) throw new GatewayError('not_acceptable')
}

/** RFC 9110 §11.6.1: a 401 says how to be let in. */
const challenge = ({ code }: GatewayError): Headers =>
  code === 'unauthenticated' ? { 'www-authenticate': 'Bearer' } : {}

const cors = (origin: string): Headers => ({
  'access-control-allow-origin': origin,
  'access-control-expose-headers': exposed,
  vary: 'Origin',
})
