/** Prompts, resources and completions of MCP servers, passed through: the same for every revision but for the wrapping. */
import { noted } from '../call/metered.ts'
import { askTarget, type OfferAnswer, type OfferRequest } from '../call/offers.ts'
import type { Snapshot } from '../call/snapshot.ts'
import type { Offered, OfferedPrompt, OfferedResource, OfferedTemplate } from '../catalogue/offers.ts'
import { Cancellation } from '../core/cancel.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Json, Principal, Target } from '../core/model.ts'
import { ownMeta } from '../targets/mcp/result.ts'
import { answer, logged } from './answer.ts'
import type { McpContext } from './context.ts'
import type { Era, ToolCall } from './era.ts'
import type { Exchange, Headers } from './exchange.ts'
import { type Id, isObject, objectParam, type Params, param } from './message.ts'
import { readAnswers } from './resume.ts'
import { checkToken } from './tools.ts'
import { traceOf } from './trace.ts'

/** Members of a result that a revision wants besides. */
type Facts = { readonly [member: string]: Json }

/** What a server is asked, in its own names. */
type Asking = Pick<OfferRequest, 'target' | 'name' | 'method' | 'params'>

interface Room {
  readonly snapshot: Snapshot
  /** All that there is, whoever may use it. */
  readonly offers: Offered
  /** Whether it is in the view and the caller may use it. */
  isSeen(this: void, offer: { readonly name: string; readonly target: Target }): boolean
}

async function roomOf(context: McpContext, view: string, caller: Principal, fresh: boolean): Promise<Room> {
  const snapshot = context.current()
  const { live } = snapshot
  const { offers } = live === undefined ? snapshot : await (fresh ? live.fresh : live.known)(view, caller)
  return { snapshot, offers, isSeen: (offer) => snapshot.mayUse(view, caller, offer) }
}

const bad = (words: string): GatewayError => new GatewayError('invalid_params', { words })

/** Lists, made here from what the servers said last; each is one page, or pages of `listPageSize`. */
const lists: { readonly [method: string]: (room: Room) => readonly [member: string, offers: readonly Definable[]] } = {
  'prompts/list': ({ offers, isSeen }) => ['prompts', offers.prompts(isSeen)],
  'resources/list': ({ offers, isSeen }) => ['resources', offers.resources(isSeen)],
  'resources/templates/list': ({ offers, isSeen }) => ['resourceTemplates', offers.templates(isSeen)],
}

type Definable = OfferedPrompt | OfferedResource | OfferedTemplate

const asks: { readonly [method: string]: (room: Room, params: Params) => Asking } = {
  'prompts/get': (room, params) => {
    const prompt = promptOf(room, param(params, 'name'))
    const given = param(params, 'arguments') ?? {}
    if (!isObject(given)) throw bad('`arguments` of prompts/get is an object.')
    return asking(prompt, 'prompts/get', { name: prompt.own, arguments: given })
  },
  'resources/read': (room, params) => {
    const uri = param(params, 'uri')
    return asking(resourceOf(room, uri), 'resources/read', { uri: uri ?? '' })
  },
  'completion/complete': (room, params) => {
    const reference = objectParam(params, 'ref')
    const rest = Object.entries(params).filter(([name]) => name === 'argument' || name === 'context')
    const ask = (offer: OfferedPrompt | OfferedTemplate, ref: { [name: string]: Json }): Asking => {
      if (!offer.completions) throw new GatewayError('unknown_method', { words: 'Its server completes no arguments.' })
      return asking(offer, 'completion/complete', { ref, ...Object.fromEntries(rest) })
    }
    if (reference?.['type'] === 'ref/prompt') {
      const prompt = promptOf(room, reference['name'])
      return ask(prompt, { type: 'ref/prompt', name: prompt.own })
    }
    if (reference?.['type'] !== 'ref/resource') throw bad('`ref` is of type ref/prompt or ref/resource.')
    const uri = reference['uri']
    const template = typeof uri === 'string' ? room.offers.template(uri, room.isSeen) : undefined
    if (template === undefined) throw new GatewayError('unknown_resource')
    return ask(template, { type: 'ref/resource', uri: template.uriTemplate })
  },
  'resources/subscribe': (room, params) => subscription(room, 'resources/subscribe', param(params, 'uri')),
  'resources/unsubscribe': (room, params) => subscription(room, 'resources/unsubscribe', param(params, 'uri')),
}

const asking = ({ target, name }: { target: Target; name: string }, method: string, params: Params): Asking => ({
  target,
  name,
  method,
  params,
})

export const isListOfOffers = (method: string): boolean => Object.hasOwn(lists, method)

/** Absent and forbidden look alike. */
function promptOf(room: Room, name: Json | undefined): OfferedPrompt {
  const prompt = typeof name === 'string' ? room.offers.prompt(name, room.isSeen) : undefined
  if (prompt === undefined) throw new GatewayError('unknown_prompt')
  return prompt
}

function resourceOf(room: Room, uri: Json | undefined): OfferedResource | OfferedTemplate {
  if (typeof uri !== 'string' || uri.length > limits.mcpUriChars) throw bad('`uri` is a URI.')
  const resource = room.offers.resource(uri, room.isSeen)
  if (resource === undefined) throw new GatewayError('unknown_resource', { data: { uri } })
  return resource
}

function subscription(room: Room, method: string, uri: Json | undefined): Asking {
  const resource = resourceOf(room, uri)
  if (!resource.subscribe)
    throw new GatewayError('unknown_method', { words: 'The server of this resource tells of no changes.' })
  return asking(resource, method, { uri: uri ?? '' })
}

/** The JSON text of a list’s result. `facts` are what the revision wants in it besides. */
export async function listOffers(
  context: McpContext,
  exchange: Exchange,
  view: string,
  caller: Principal,
  method: string,
  params: Params,
  bytesIn: number,
  facts: string,
): Promise<string> {
  const trace = traceOf(params, exchange.header('traceparent'))
  const looking = { meter: 'list' as const, name: method, bytesIn, trace }
  return noted(context.room, context.current(), caller, looking, async () => {
    const room = await roomOf(context, view, caller, param(params, 'cursor') === undefined)
    const [member, seen] = lists[method]?.(room) ?? ['', []]
    const start = startOf(param(params, 'cursor'), seen)
    const end = room.snapshot.listPageSize === 0 ? seen.length : start + room.snapshot.listPageSize
    const page = seen.slice(start, end).map(({ definition }) => definition)
    const last = end < seen.length ? seen[end - 1] : undefined
    const next = last === undefined ? '' : `,"nextCursor":${JSON.stringify(cursorOf(keyOf(last)))}`
    const value = `{${JSON.stringify(member)}:${JSON.stringify(page)}${next}${facts === '' ? '' : `,${facts}`}}`
    return { bytesOut: Buffer.byteLength(value), value }
  })
}

const keyOf = (offer: Definable): string =>
  'uri' in offer ? offer.uri : 'uriTemplate' in offer ? offer.uriTemplate : offer.name

const cursorOf = (key: string): string => Buffer.from(key).toString('base64url')

/** A cursor names what the page before ended with, so that it survives a change of the list. */
function startOf(cursor: Json | undefined, seen: readonly Definable[]): number {
  if (cursor === undefined) return 0
  const key = typeof cursor === 'string' ? Buffer.from(cursor, 'base64url').toString('utf8') : ''
  const start = seen.findIndex((offer) => keyOf(offer) > key)
  if (key === '' || cursorOf(key) !== cursor || start < 1) throw bad('The cursor is none that this list gave.')
  return start
}

/**
 * Asks the server and answers with what it says; `facts` go into the result as they stand. `undo` is called when it refuses.
 * Throws `invalid_params` and what is absent.
 */
export async function answerOffer(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  message: { readonly id: Id; readonly method: string; readonly params: Params },
  view: string,
  caller: Principal,
  bytesIn: number,
  era: Era,
  facts: Facts,
  undo?: () => void,
): Promise<void> {
  checkToken(message.params)
  const { id, method, params } = message
  const room = await roomOf(context, view, caller, false)
  const asked = toAsking(room, method, params)
  const name = `${method} ${asked.name}`
  const call: ToolCall = { id, name, arguments: asked.params, params, view, caller, bytesIn }
  const first = era.modern ? readAnswers(context, call) : undefined
  // No result of these methods can hold a link, or words to a client that cannot be asked: it gets them as an error.
  const way: Era = {
    ...era,
    links: era.links === 'result' ? 'error' : era.links,
    async ask(...input) {
      const asked = await era.ask(...input)
      if (asked.kind === 'result' && !era.modern) throw new GatewayError('missing_capability')
      return asked
    },
  }
  return answer(context, exchange, headers, call, way, first, async (answers, connect, signal, { notice }) => {
    const { result, ask } = await askTarget(
      context.room,
      room.snapshot,
      caller,
      {
        ...asked,
        bytesIn,
        trace: traceOf(params, exchange.header('traceparent')),
        messageId: id,
        capabilities: era.capabilities,
        header: (header) => exchange.header(header),
        ...(answers === undefined ? {} : { answers }),
        ...(connect === undefined ? {} : { connect }),
        ...(notice === undefined ? {} : { onNotice: notice }),
      },
      signal,
    ).catch((error: unknown) => {
      undo?.()
      throw error
    })
    return { ask, text: () => complete(result, facts) }
  })
}

const toAsking = (room: Room, method: string, params: Params): Asking => {
  const asked = Object.hasOwn(asks, method) ? asks[method]?.(room, params) : undefined
  if (asked === undefined) throw new GatewayError('unknown_method')
  return asked
}

/** The server's own members, with what this revision wants in place of what its revision wanted. */
function complete(result: OfferAnswer['result'], facts: Facts): string {
  const { resultType: _type, ttlMs: _ttl, cacheScope: _scope, _meta, ...rest } = result
  const { _meta: own, ...others } = facts
  const meta = { ...ownMeta(isObject(_meta) ? _meta : undefined), ...(isObject(own) ? own : {}) }
  return JSON.stringify({ ...rest, ...others, ...(Object.keys(meta).length === 0 ? {} : { _meta: meta }) })
}

/** By whom a resource is watched, and over which exchange. */
interface Watching {
  readonly context: McpContext
  readonly exchange: Exchange
  readonly view: string
  readonly caller: Principal
  readonly capabilities: Era['capabilities']
  readonly messageId: Id
  readonly bytesIn: number
}

/** Begins, or ends, to hear of changes of a resource: whether its server was told. One that cannot be is not watched. */
export async function watchResource(
  { context, exchange, view, caller, capabilities, messageId, bytesIn }: Watching,
  method: 'resources/subscribe' | 'resources/unsubscribe',
  uri: string,
): Promise<boolean> {
  try {
    const room = await roomOf(context, view, caller, false)
    await askTarget(
      context.room,
      room.snapshot,
      caller,
      {
        ...toAsking(room, method, { uri }),
        bytesIn,
        messageId,
        capabilities,
        header: (name) => exchange.header(name),
      },
      new Cancellation(),
    )
    return true
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (error.code === 'internal') logged(context, error, method)
    return false
  }
}
