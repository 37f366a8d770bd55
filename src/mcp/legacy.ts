/**
 * MCP 2025-11-25, 2025-06-18 and 2025-03-26: the `initialize` handshake, served without a table of sessions. The session
 * id is a sealed token of what was agreed, so that any replica serves it; it is bound to the principal and expires.
 */
import { principalKey } from '../auth/authenticate.ts'
import type { CancelSignal } from '../core/cancel.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InputRequest, Json, Principal } from '../core/model.ts'
import { capabilityFor } from '../transports/mcp/questions.ts'
import type { ClientCapability } from '../transports/transport.ts'
import type { McpContext } from './context.ts'
import type { Exchange, Headers } from './exchange.ts'
import {
  errorMessage,
  isObject,
  type Message,
  notificationMessage,
  objectParam,
  type Params,
  param,
  Refusal,
  requestMessage,
  resultMessage,
} from './message.ts'
import { capabilitiesIn, serverCapabilities, wantsLevel } from './modern.ts'
import type { Reply } from './reply.ts'
import type { Asked, Era } from './era.ts'
import { answerOffer, isListOfOffers, listOffers, watchResource } from './offers.ts'
import { answerCall, listTools, readCall } from './tools.ts'
import type { SessionNotes } from './session-notes.ts'
import { isLegacyVersion, legacyVersions } from './versions.ts'

type Request = Extract<Message, { kind: 'request' }>

interface Session {
  /** The sealed token; empty for a client that sends none. */
  readonly id: string
  /** Names of the capabilities that the client declared. */
  readonly capabilities: readonly ClientCapability[]
}

/** Answers one message. Throws `Refusal`. */
export async function answerLegacy(
  context: McpContext,
  notes: SessionNotes,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
  message: Message,
  bytesIn: number,
): Promise<void> {
  const id = message.kind === 'notification' ? undefined : message.id
  try {
    if (message.kind === 'request' && message.method === 'initialize') {
      initialize(context, exchange, headers, caller, message)
      return
    }
    const session = openSession(context, notes, exchange, caller)
    if (message.kind === 'request')
      await answerRequest(context, notes, exchange, headers, view, caller, session, message, bytesIn)
    else {
      if (message.kind === 'response') context.asks.answer(message.id, askOwner(session, caller), message)
      else if (message.method === 'notifications/cancelled') withdraw(notes, session, message.params)
      exchange.send(202, headers)
    }
  } catch (error) {
    throw error instanceof GatewayError ? new Refusal(error, id) : error
  }
}

async function answerRequest(
  context: McpContext,
  notes: SessionNotes,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
  session: Session,
  message: Request,
  bytesIn: number,
): Promise<void> {
  const answer = (text: string): void => exchange.send(200, { ...headers, 'content-type': 'application/json' }, text)
  try {
    switch (message.method) {
      case 'tools/call': {
        const call = readCall(message.id, message.params, view, caller, bytesIn)
        await answerCall(context, exchange, headers, call, era(context, notes, session, caller), undefined)
        return
      }
      case 'tools/list':
        await listTools(context, exchange, headers, view, caller, false, message.id, message.params, bytesIn)
        return
      case 'ping':
        answer(resultMessage(message.id, '{}'))
        return
      case 'logging/setLevel':
        setLevel(notes, session, param(message.params, 'level'))
        answer(resultMessage(message.id, '{}'))
        return
      default:
        if (!context.current().offers.isOffered) throw new GatewayError('unknown_method')
        if (isListOfOffers(message.method)) {
          const list = await listOffers(context, exchange, view, caller, message.method, message.params, bytesIn, '')
          answer(resultMessage(message.id, list))
          return
        }
        const noted = noteSubscription(notes, session, message)
        if (noted === 'already') {
          answer(resultMessage(message.id, '{}'))
          return
        }
        const way = era(context, notes, session, caller)
        try {
          await answerOffer(context, exchange, headers, message, view, caller, bytesIn, way, {}, noted)
        } catch (error) {
          noted?.()
          throw error
        }
    }
  } catch (error) {
    // Older clients take any status but 200 for a broken transport; what a method refuses is an answer.
    if (!(error instanceof GatewayError)) throw error
    answer(errorMessage(message.id, error, false))
  }
}

function initialize(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  caller: Principal,
  message: Request,
): void {
  const asked = param(message.params, 'protocolVersion')
  const version = typeof asked === 'string' && isLegacyVersion(asked) ? asked : legacyVersions[0]
  const declared = objectParam(message.params, 'capabilities') ?? {}
  // only 2025-11-25 knows links
  const capabilities = capabilitiesIn(declared).filter((name) => name !== urlCapability || version === '2025-11-25')
  const until = context.clock.now() + limits.sessionMs
  const session = context.seal.close({ version, capabilities, until }, 'session', principalKey(caller))
  const { serverName, instructions, offers } = context.current()
  const result = {
    protocolVersion: version,
    capabilities: { ...serverCapabilities(offers.isOffered), logging: {} },
    serverInfo: { name: serverName, version: context.version },
    ...(instructions === undefined ? {} : { instructions }),
  }
  exchange.send(
    200,
    { ...headers, 'content-type': 'application/json', 'mcp-session-id': session },
    resultMessage(message.id, JSON.stringify(result)),
  )
}

const capabilityNames: readonly ClientCapability[] = ['elicitation', 'elicitation.url', 'sampling', 'roots']

/** The session that a request names, or that of a client which names none. Throws `unknown_session`. */
function openSession(context: McpContext, notes: SessionNotes, exchange: Exchange, caller: Principal): Session {
  const id = exchange.header('mcp-session-id')
  if (id === undefined) return { id: '', capabilities: [] }
  const opened = id.length <= limits.sessionBytes ? context.seal.open(id, 'session', principalKey(caller)) : undefined
  if (
    !isObject(opened) ||
    typeof opened['until'] !== 'number' ||
    opened['until'] < context.clock.now() ||
    notes.hasEnded(id)
  )
    throw new GatewayError('unknown_session')
  const names: Json = opened['capabilities'] ?? []
  return { id, capabilities: capabilityNames.filter((name) => Array.isArray(names) && names.includes(name)) }
}

function setLevel(notes: SessionNotes, session: Session, level: Json | undefined): void {
  if (typeof level !== 'string' || !wantsLevel('debug', level))
    throw new GatewayError('invalid_params', { words: 'The level is not one of the eight of RFC 5424.' })
  if (session.id !== '') notes.setLevel(session.id, level)
}

/**
 * What a session wants to hear of is known before its server may tell of it: gives what undoes that, should the server
 * refuse. A session counts once for a resource, so that what it has, or has not, already is nothing for the server.
 */
function noteSubscription(
  notes: SessionNotes,
  { id }: Session,
  { method, params }: Request,
): (() => void) | 'already' | undefined {
  const uri = param(params, 'uri')
  if (typeof uri !== 'string' || uri.length > limits.mcpUriChars || id === '') return undefined
  if (method === 'resources/subscribe') return notes.watch(id, uri) ? () => void notes.unwatch(id, uri) : 'already'
  return method === 'resources/unsubscribe' && !notes.unwatch(id, uri) ? 'already' : undefined
}

/** MCP 2025-11-25, cancellation: a client that gives up a call says so, and may leave its stream open. */
function withdraw(notes: SessionNotes, session: Session, params: Params): void {
  const id = param(params, 'requestId')
  if (typeof id === 'string' || typeof id === 'number') notes.withdraw(session.id, id)
}

/** `GET`: a stream that says when the list of tools has changed. */
export function openStream(
  context: McpContext,
  notes: SessionNotes,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
): void {
  const session = openSession(context, notes, exchange, caller)
  const remove = context.hub.add({
    view,
    owner: principalKey(caller),
    changed: (list) => {
      if (list === 'tools' || context.current().offers.isOffered)
        events.send(notificationMessage(`notifications/${list}/list_changed`, {}))
    },
    updated: (uri) => {
      if (notes.watches(session.id, uri)) events.send(notificationMessage('notifications/resources/updated', { uri }))
    },
    close: () => events.end(),
  })
  const events = exchange.events(headers)
  exchange.onHangUp(remove)
}

/** `DELETE`: the session is over in this process, and its token is refused from now on. */
export function endSession(
  context: McpContext,
  notes: SessionNotes,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
): void {
  const { id, capabilities } = openSession(context, notes, exchange, caller)
  const left = id === '' ? [] : notes.end(id)
  const watching = { context, exchange, view, caller, capabilities, messageId: '', bytesIn: 0 }
  for (const uri of left) void watchResource(watching, 'resources/unsubscribe', uri)
  exchange.send(204, headers)
}

function era(context: McpContext, notes: SessionNotes, session: Session, caller: Principal): Era {
  const threshold = notes.level(session.id)
  return {
    modern: false,
    resultMeta: '',
    resultEnd: '',
    logs: (level) => wantsLevel(threshold, level),
    capabilities: session.capabilities,
    links: session.capabilities.includes(urlCapability) ? 'error' : 'result',
    begun: (id, withdraw) => notes.begun(session.id, id, withdraw),
    ask: (input, _call, reply, signal) => askClient(context, input, session, caller, reply, signal),
  }
}

const urlCapability: ClientCapability = 'elicitation.url'

const askOwner = (session: Session, caller: Principal): string => JSON.stringify([principalKey(caller), session.id])

/** Asks over the stream of the call itself and waits for the answers, which arrive as requests of their own. */
async function askClient(
  context: McpContext,
  input: InputRequest,
  session: Session,
  caller: Principal,
  reply: Reply,
  signal: CancelSignal,
): Promise<Asked> {
  const requests = Object.entries(input.requests).filter(([, { method, params }]) =>
    session.capabilities.some((name) => name === capabilityFor(method, params)),
  )
  if (requests.length === 0 || !reply.streams || session.id === '') {
    const text = 'The target needs an answer from you, and this client has not declared that it can be asked.'
    return { kind: 'result', text: JSON.stringify({ content: [{ type: 'text', text }], isError: true }) }
  }
  const responses = await Promise.all(
    requests.map(async ([key, { method, params }]) => {
      const { id, answer } = context.asks.ask(askOwner(session, caller), signal)
      reply.ahead(requestMessage(id, method, params))
      const { result } = await answer
      // A refusal of the client is an answer too; the target decides what it means.
      return [key, isObject(result) ? result : { action: 'cancel' }] as const
    }),
  )
  return {
    kind: 'answers',
    answers: { responses: Object.fromEntries(responses), ...(input.state === undefined ? {} : { state: input.state }) },
  }
}
