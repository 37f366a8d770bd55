/**
 * A target that is an MCP server: its requests go through the SDK's client, in the revision that the server speaks. The
 * answer is the result's JSON, so that reading it stays with the adapter.
 */
import { principalKey } from '../auth/authenticate.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { InputAnswers, Json, OutboundRequest, Target } from '../core/model.ts'
import type { Secret } from '../core/secret.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import { Call, type Members } from './mcp/call.ts'
import { type Connection, type ConnectOptions, connect } from './mcp/connection.ts'
import { askToOpen, HttpRefusal, missingCapability, refused, RpcRefusal, toolFault } from './mcp/fault.ts'
import { isHeldState } from './mcp/held.ts'
import { checkQuestions } from './mcp/questions.ts'
import type { Lease } from './mcp/sessions.ts'
import type { Upstreams } from './mcp/upstreams.ts'
import { Refused } from './mcp/watches.ts'
import type { Delivered, Delivery, Transport } from './transport.ts'

/** The type of an answer that is a whole MCP result. */
const resultType = 'application/vnd.toolgate.result+json'

/**
 * The body of a request is JSON of `method` (`tools/call`, `prompts/get`, `resources/read`, `completion/complete`,
 * `resources/subscribe`, `resources/unsubscribe`) and `params`. What a server refuses of a tool is an answer; of any other
 * method it is thrown: `unknown_resource`, `invalid_params`, `unknown_method` or `target_bad_answer`, with its words.
 */
export function mcpTransport(
  target: Target,
  credential: CredentialProvider | undefined,
  egress: Egress,
  upstreams: Upstreams,
): Transport {
  const { clock, held, sessions, watches } = upstreams

  return {
    async send(request, delivery): Promise<Delivered> {
      const { method, params } = readRequest(request)
      const place = placeOf(request, delivery)
      if (subscriptions.has(method)) return watch(method, params, place, delivery)
      const { answers, caller, signal } = delivery
      const owner = principalKey(caller)
      const deed = JSON.stringify([method, delivery.name])
      const waiting = held.take(answers?.state, owner, deed)
      if (waiting === undefined && isHeldState(answers?.state))
        throw new GatewayError('invalid_params', { words: 'What was asked before is over. Call again from the start.' })
      const call = waiting ?? new Call(delivery.capabilities)
      call.tell(delivery.onNotice)
      if (waiting === undefined) call.run(make(call, method, params, place, delivery))
      else if (answers !== undefined) call.answer(answers)
      try {
        const step = await call.next(clock, target.timeoutMs, signal)
        if (step.kind === 'result') {
          if (step.result['resultType'] === 'input_required') checkQuestions(step.result)
          return delivered(step.result, call.secrets)
        }
        const { inputRequests } = step
        const requestState = held.hold(call, owner, deed, signal)
        return delivered({ resultType: 'input_required', inputRequests, requestState }, call.secrets)
      } catch (error) {
        return toDelivered(error, method, call, delivery)
      } finally {
        call.tell(undefined)
      }
    },
  }

  /** Makes the request; once more, over a new session, when the old one was over before anything was begun. */
  async function make(call: Call, method: string, params: Members, place: Place, delivery: Delivery): Promise<Members> {
    for (let isFirst = true; ; isFirst = false) {
      const lease = await take(call, place)
      const { connection } = lease
      try {
        return await ask(call, connection, method, params, place, delivery)
      } catch (error) {
        const isLost = error instanceof HttpRefusal && connection.hasSession && error.isLostSession
        if (isLost) connection.dead = true
        else if (isOfAnotherEra(error)) upstreams.learn(target, undefined)
        if (!isLost || !isFirst || call.signal.aborted) throw error
      } finally {
        // what is still to come of a call that was given up must not reach the next one
        lease.release(call.signal.aborted)
      }
    }
  }

  function ask(
    call: Call,
    connection: Connection,
    method: string,
    params: Members,
    place: Place,
    { answers, onNotice }: Delivery,
  ): Promise<Members> {
    const isModern = connection.era === 'modern'
    const heard =
      isModern && onNotice !== undefined ? { _meta: { ...membersOf(params['_meta']), [logLevel]: 'debug' } } : {}
    const again = isModern && answers !== undefined ? answersIn(answers) : {}
    return connection.request(
      method,
      { ...params, ...heard, ...again },
      {
        signal: call.signal,
        ...(isModern ? { headers: place.own } : {}),
        ...(onNotice === undefined ? {} : { onProgress: call.progressed }),
      },
    )
  }

  /** Servers of the newer revision keep nothing, so each call has a client of its own, which costs no request. */
  async function take(call: Call, { key, options }: Place): Promise<Lease> {
    const era = upstreams.eraOf(target)
    const open = async (): Promise<Connection> => {
      const connection = await connect({ ...options, era, ear: call })
      upstreams.learn(target, connection.era)
      return connection
    }
    const lease =
      era === 'modern' ? alone(await open()) : await sessions.take(key, options.capabilities.length === 0, open)
    call.over(lease.connection)
    return lease
  }

  async function watch(method: string, params: Members, place: Place, { signal }: Delivery): Promise<Delivered> {
    const { uri } = params
    if (typeof uri !== 'string' || uri.length > limits.mcpUriChars)
      throw new GatewayError('invalid_params', { words: `${method} needs \`uri\`, a string.` })
    const abort = new AbortController()
    const stop = (): void => abort.abort()
    const stopTimer = clock.after(target.timeoutMs, stop)
    signal.addEventListener('abort', stop, { once: true })
    try {
      const options = { ...place.options, capabilities: [], era: upstreams.eraOf(target) }
      const secrets =
        method === 'resources/subscribe'
          ? await watches.subscribe(place.key, uri, abort.signal, options)
          : await watches.unsubscribe(place.key, uri, abort.signal)
      return delivered({}, secrets)
    } catch (error) {
      throw error instanceof Refused ? refused(method, error.refusal, error.secrets) : error
    } finally {
      stopTimer()
      signal.removeEventListener('abort', stop)
    }
  }

  function placeOf({ headers }: OutboundRequest, { caller, capabilities }: Delivery): Place {
    const own = new Map([...headers].filter(([name]) => isOwn(name)))
    const forwarded = new Map([...headers].filter(([name]) => !isProtocols(name)))
    const server = [
      target.name,
      target.origin,
      target.basePath,
      [...target.headers.set],
      idOf(credential),
      idOf(egress),
    ]
    return {
      key: JSON.stringify([server, principalKey(caller), capabilities.toSorted(), [...forwarded]]),
      own,
      options: {
        way: { target, credential, egress, caller, headers: forwarded, clock },
        capabilities,
        era: undefined,
        version: upstreams.version,
      },
    }
  }
}

interface Place {
  /** Names server, caller, and all that a connection is made with. */
  readonly key: string
  /** Headers of this request alone. */
  readonly own: ReadonlyMap<string, string>
  readonly options: Omit<ConnectOptions, 'ear' | 'signal'>
}

/** Headers that repeat an argument (MCP 2026-07-28, `x-mcp-header`). */
const isOwn = (name: string): boolean => name.startsWith('mcp-param-')

/** No caller's header takes the place of the protocol's own. */
const isProtocols = (name: string): boolean => /^(?:mcp-|last-event-id$)/.test(name)

const logLevel = 'io.modelcontextprotocol/logLevel'
const subscriptions = new Set(['resources/subscribe', 'resources/unsubscribe'])
const methods = new Set(['tools/call', 'prompts/get', 'resources/read', 'completion/complete', ...subscriptions])

/** Throws `internal`: requests are made by the adapter and by this gateway, never by a caller. */
function readRequest({ body }: OutboundRequest): { readonly method: string; readonly params: Members } {
  const text = typeof body === 'string' ? body : Buffer.from(body ?? []).toString('utf8')
  const { method, params } = membersOf(JSON.parse(text) as Json)
  if (typeof method !== 'string' || !methods.has(method))
    throw new GatewayError('internal', { cause: new Error('a request for an MCP server has no method that is known') })
  return { method, params: membersOf(params) }
}

const membersOf = (value: Json | undefined): Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}

const answersIn = ({ responses, state }: InputAnswers): Members => ({
  inputResponses: { ...responses },
  ...(state === undefined ? {} : { requestState: state }),
})

const alone = (connection: Connection): Lease => ({ connection, release: () => void connection.close() })

const isOfAnotherEra = (error: unknown): boolean =>
  error instanceof HttpRefusal ? error.isOfAnotherEra : error instanceof RpcRefusal && error.code === -32022

/** Throws whatever is no refusal of the server. */
function toDelivered(error: unknown, method: string, { secrets }: Call, { capabilities }: Delivery): Delivered {
  if (!(error instanceof RpcRefusal || error instanceof HttpRefusal)) throw error
  const asked = askToOpen(error, capabilities)
  if (asked !== undefined) return delivered(asked, secrets)
  const isCallers = error instanceof RpcRefusal && error.code === missingCapability
  if (method !== 'tools/call' || isCallers) throw refused(method, error, secrets)
  return { response: toolFault(error, resultType), secrets }
}

function delivered(result: Members, secrets: readonly Secret[]): Delivered {
  const headers = new Map([['content-type', resultType]])
  return { response: { status: 200, headers, body: Buffer.from(JSON.stringify(result)), cut: false }, secrets }
}

/** Numbers what has no name: a session is of the credential and the way out that it was opened with. */
const ids = new WeakMap<object, number>()
let count = 0

function idOf(thing: object | undefined): number {
  if (thing === undefined) return 0
  const id = ids.get(thing) ?? ++count
  ids.set(thing, id)
  return id
}
