/** MCP 2026-07-28: no sessions; each request says for itself which revision and capabilities it speaks with. */
import type { Snapshot } from '../call/snapshot.ts'
import { GatewayError } from '../core/errors.ts'
import type { InputRequest, Json, Principal } from '../core/model.ts'
import { capabilityFor } from '../transports/mcp/questions.ts'
import type { ClientCapability } from '../transports/transport.ts'
import type { McpContext } from './context.ts'
import type { Exchange, Headers } from './exchange.ts'
import { isObject, type Message, objectParam, type Params, param, Refusal, resultMessage } from './message.ts'
import type { Asked, Era, ToolCall } from './era.ts'
import { listen } from './listen.ts'
import { answerOffer, isListOfOffers, listOffers } from './offers.ts'
import { readAnswers, sealState } from './resume.ts'
import { answerCall, listTools, readCall } from './tools.ts'
import { meta, modernVersion } from './versions.ts'

type Request = Extract<Message, { kind: 'request' }>

/** How long a client may keep a list before it asks again, in milliseconds. */
const listTtlMs = 60_000

/** The members that 2026-07-28 wants in a list result besides the list. */
export const listFacts = (name: string, version: string): string =>
  `"resultType":"complete","ttlMs":${listTtlMs},"cacheScope":"private","_meta":{${serverInfo(name, version)}}`

const serverInfo = (name: string, version: string): string =>
  `${JSON.stringify(meta.serverInfo)}:${JSON.stringify({ name, version })}`

/** Answers one request or notification. Throws `Refusal`. */
export async function answerModern(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
  message: Message,
  bytesIn: number,
): Promise<void> {
  if (message.kind === 'response') throw new Refusal(new GatewayError('invalid_request'), message.id)
  if (message.kind === 'notification') {
    exchange.send(202, headers)
    return
  }
  const answer = (result: string): void =>
    exchange.send(200, { ...headers, 'content-type': 'application/json' }, resultMessage(message.id, result))
  try {
    const capabilities = checkRequest(exchange, message, context.current().offers.isOffered)
    switch (message.method) {
      case 'tools/call': {
        const call = readCall(message.id, message.params, view, caller, bytesIn)
        await answerCall(
          context,
          exchange,
          headers,
          call,
          era(context, message.params, capabilities),
          readAnswers(context, call),
        )
        return
      }
      case 'tools/list':
        await listTools(context, exchange, headers, view, caller, true, message.id, message.params, bytesIn)
        return
      case 'server/discover':
        answer(discover(context))
        return
      case 'subscriptions/listen':
        await listen(context, exchange, headers, view, caller, message, capabilitiesIn(capabilities), bytesIn)
        return
      default:
        if (isListOfOffers(message.method)) {
          const facts = listFacts(context.current().serverName, context.version)
          answer(await listOffers(context, exchange, view, caller, message.method, message.params, bytesIn, facts))
          return
        }
        await answerOffer(
          context,
          exchange,
          headers,
          message,
          view,
          caller,
          bytesIn,
          era(context, message.params, capabilities),
          offerFacts(context, message.method),
        )
    }
  } catch (error) {
    throw error instanceof GatewayError ? new Refusal(error, message.id) : error
  }
}

/** What this revision wants in a result of an MCP server that is passed through. */
const offerFacts = (context: McpContext, method: string): { readonly [member: string]: Json } => ({
  resultType: 'complete',
  // what a server's resource says is good for as long as it says nothing else
  ...(method === 'resources/read' ? { ttlMs: 0, cacheScope: 'private' } : {}),
  _meta: { [meta.serverInfo]: { name: context.current().serverName, version: context.version } },
})

const methods = new Set(['tools/call', 'tools/list', 'server/discover', 'subscriptions/listen'])
const offerMethods = new Set([
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'completion/complete',
])

/** The parameter that `Mcp-Name` repeats. */
const named: ReadonlyMap<string, string> = new Map([
  ['tools/call', 'name'],
  ['prompts/get', 'name'],
  ['resources/read', 'uri'],
])

/** The checks of the transport, in the order that the specification’s errors want; gives the declared capabilities. */
function checkRequest(exchange: Exchange, message: Request, offers: boolean): { readonly [name: string]: Json } {
  const header = exchange.header('mcp-protocol-version')
  if (header === undefined)
    throw new GatewayError('header_mismatch', { words: 'The header MCP-Protocol-Version is missing.' })
  const declared = objectParam(message.params, '_meta')
  const version = declared?.[meta.version]
  const capabilities = declared?.[meta.capabilities]
  if (typeof version !== 'string' || !isObject(capabilities))
    throw new GatewayError('invalid_params', { words: `\`_meta\` must have ${meta.version} and ${meta.capabilities}.` })
  if (header !== version)
    throw new GatewayError('header_mismatch', { words: 'MCP-Protocol-Version and `_meta` differ.' })
  if (version !== modernVersion)
    throw new GatewayError('unsupported_version', {
      data: { supported: [modernVersion], requested: version.slice(0, 64) },
    })
  if (exchange.header('mcp-method') !== message.method)
    throw new GatewayError('header_mismatch', { words: 'The header Mcp-Method is missing or is not the method.' })
  if (!methods.has(message.method) && !(offers && offerMethods.has(message.method)))
    throw new GatewayError('unknown_method')
  const name = named.get(message.method)
  if (name !== undefined && decodeHeader(exchange.header('mcp-name')) !== param(message.params, name))
    throw new GatewayError('header_mismatch', { words: `The header Mcp-Name is missing or is not \`params.${name}\`.` })
  return capabilities
}

/** A header value, or what its `=?base64?…?=` form stands for; nothing for broken base64. */
function decodeHeader(value: string | undefined): string | undefined {
  const encoded = value === undefined ? undefined : /^=\?base64\?(.*)\?=$/.exec(value)?.[1]
  if (encoded === undefined) return value
  const bytes = Buffer.from(encoded, 'base64')
  return bytes.toString('base64') === encoded ? bytes.toString('utf8') : undefined
}

function discover(context: McpContext): string {
  const { serverName, instructions, offers } = context.current()
  const facts = {
    resultType: 'complete',
    supportedVersions: [modernVersion],
    capabilities: serverCapabilities(offers.isOffered),
    ...(instructions === undefined ? {} : { instructions }),
    ttlMs: listTtlMs,
    cacheScope: 'private',
    _meta: { [meta.serverInfo]: { name: serverName, version: context.version } },
  }
  return JSON.stringify(facts)
}

/** What is declared of this server; prompts and resources where an MCP server is among its targets. */
export const serverCapabilities = (offers: boolean): { readonly [name: string]: object } => ({
  tools: { listChanged: true },
  ...(offers
    ? { prompts: { listChanged: true }, resources: { listChanged: true, subscribe: true }, completions: {} }
    : {}),
})

/** Made once a snapshot: it stands in every result. */
const infos = new WeakMap<Snapshot, string>()

function infoOf(snapshot: Snapshot, version: string): string {
  let info = infos.get(snapshot)
  if (info === undefined) {
    info = serverInfo(snapshot.serverName, version)
    infos.set(snapshot, info)
  }
  return info
}

const weights = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/** Whether a client that set `threshold` wants messages of `level` (RFC 5424 severities). */
export const wantsLevel = (threshold: Json | undefined, level: string): boolean =>
  typeof threshold === 'string' && weights.includes(threshold) && weights.indexOf(threshold) <= weights.indexOf(level)

function era(context: McpContext, params: Params, capabilities: { readonly [name: string]: Json }): Era {
  const threshold = objectParam(params, '_meta')?.[meta.logLevel]
  return {
    modern: true,
    resultMeta: infoOf(context.current(), context.version),
    resultEnd: ',"resultType":"complete"',
    logs: (level) => wantsLevel(threshold, level),
    capabilities: capabilitiesIn(capabilities),
    links: takesUrls(capabilities['elicitation']) ? 'input_required' : 'result',
    ask: (input, call) => Promise.resolve(inputRequired(context, input, call, capabilitiesIn(capabilities))),
  }
}

/** `elicitation: {}` means forms only (2025-11-25 and 2026-07-28, client capabilities). */
const takesUrls = (elicitation: Json | undefined): boolean => isObject(elicitation) && isObject(elicitation['url'])

const takesForms = (elicitation: Json | undefined): boolean =>
  isObject(elicitation) && (isObject(elicitation['form']) || !takesUrls(elicitation))

/** The capabilities that matter to targets, of those that a client declares. */
export const capabilitiesIn = (declared: { readonly [name: string]: Json }): ClientCapability[] => [
  ...(takesForms(declared['elicitation']) ? (['elicitation'] as const) : []),
  ...(['sampling', 'roots'] as const).filter((name) => isObject(declared[name])),
  ...(takesUrls(declared['elicitation']) ? (['elicitation.url'] as const) : []),
]

/** As MCP wants them named. */
const declaring = {
  elicitation: { elicitation: { form: {} } },
  'elicitation.url': { elicitation: { url: {} } },
  sampling: { sampling: {} },
  roots: { roots: {} },
} as const satisfies Record<ClientCapability, object>

/** `input_required` with what the client can be asked. Throws `missing_capability` when that is nothing. */
function inputRequired(
  context: McpContext,
  input: InputRequest,
  call: ToolCall,
  capabilities: readonly ClientCapability[],
): Asked {
  const needed = Object.entries(input.requests).map(
    ([key, request]) => [key, request, capabilityFor(request.method, request.params)] as const,
  )
  const asked = needed.filter(([, , capability]) => capability !== undefined && capabilities.includes(capability))
  if (asked.length === 0) {
    const required = needed.map(([, , capability]) => (capability === undefined ? {} : declaring[capability]))
    throw new GatewayError('missing_capability', { data: { requiredCapabilities: Object.assign({}, ...required) } })
  }
  const result = {
    resultType: 'input_required',
    inputRequests: Object.fromEntries(asked.map(([key, request]) => [key, request])),
    requestState: sealState(context, call, { state: input.state }),
  }
  return { kind: 'result', text: JSON.stringify(result) }
}
