/** `subscriptions/listen` of MCP 2026-07-28: a stream that first says what it will tell, then tells it, each time with its own id. */
import { principalKey } from '../auth/authenticate.ts'
import { limits } from '../core/limits.ts'
import type { Json, Principal } from '../core/model.ts'
import type { ClientCapability } from '../transports/transport.ts'
import type { McpContext } from './context.ts'
import type { Events, Exchange, Headers } from './exchange.ts'
import type { List } from './hub.ts'
import { type Message, notificationMessage, objectParam, resultMessage } from './message.ts'
import { watchResource } from './offers.ts'
import { isAmong } from './session-notes.ts'
import { meta } from './versions.ts'

type Request = Extract<Message, { kind: 'request' }>

/** The notification that says that a list has changed, and the name by which a client asks for it. */
const listChanges = {
  tools: ['toolsListChanged', 'notifications/tools/list_changed'],
  prompts: ['promptsListChanged', 'notifications/prompts/list_changed'],
  resources: ['resourcesListChanged', 'notifications/resources/list_changed'],
} as const satisfies Record<List, readonly [string, string]>

export async function listen(
  context: McpContext,
  exchange: Exchange,
  headers: Headers,
  view: string,
  caller: Principal,
  message: Request,
  capabilities: readonly ClientCapability[],
  bytesIn: number,
): Promise<void> {
  const asked = objectParam(message.params, 'notifications') ?? {}
  const wants = (list: List): boolean =>
    asked[listChanges[list][0]] === true && (list === 'tools' || context.current().offers.isOffered)
  const tag = { _meta: { [meta.subscription]: message.id } }
  const watching = { context, exchange, view, caller, capabilities, messageId: message.id, bytesIn }
  const watched = new Set<string>()
  let events: Events | undefined
  const remove = context.hub.add({
    view,
    owner: principalKey(caller),
    changed: (list) => {
      if (wants(list)) events?.send(notificationMessage(listChanges[list][1], tag))
    },
    updated: (uri) => {
      if (isAmong(watched, uri)) events?.send(notificationMessage('notifications/resources/updated', { ...tag, uri }))
    },
    close: () => {
      events?.send(resultMessage(message.id, '{"resultType":"complete"}'))
      events?.end()
    },
  })
  const leave = (): void => {
    remove()
    for (const uri of watched) void watchResource(watching, 'resources/unsubscribe', uri)
    watched.clear()
  }
  exchange.onHangUp(leave)
  for (const uri of urisIn(asked['resourceSubscriptions']))
    if (!exchange.hungUp && (await watchResource(watching, 'resources/subscribe', uri))) watched.add(uri)
  // who has gone meanwhile is told nothing, and what was begun for him ends
  if (exchange.hungUp) return leave()
  events = exchange.events(headers)
  const notifications: { [name: string]: Json } = Object.fromEntries(
    (['tools', 'prompts', 'resources'] as const).filter(wants).map((list) => [listChanges[list][0], true]),
  )
  if (watched.size > 0) notifications['resourceSubscriptions'] = [...watched]
  events.send(notificationMessage('notifications/subscriptions/acknowledged', { ...tag, notifications }))
}

/** At most `limits.resourcesWatched` of them. */
const urisIn = (uris: Json | undefined): Set<string> =>
  new Set(
    (Array.isArray(uris) ? uris : [])
      .filter((uri): uri is string => typeof uri === 'string' && uri.length <= limits.mcpUriChars)
      .slice(0, limits.resourcesWatched),
  )
