/** All that a server lists, page by page, as the bytes of a listing: the same bytes as long as nothing changed. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import type { Connection } from './connection.ts'
import { RpcRefusal } from './fault.ts'

type Item = { readonly [member: string]: Json }

const lists = [
  { method: 'tools/list', member: 'tools', key: 'name', of: 'tools' },
  { method: 'prompts/list', member: 'prompts', key: 'name', of: 'prompts' },
  { method: 'resources/list', member: 'resources', key: 'uri', of: 'resources' },
  { method: 'resources/templates/list', member: 'resourceTemplates', key: 'uriTemplate', of: 'resources' },
] as const

/** Throws `over_limit`, `target_bad_answer`, and what `connection.request` throws. */
export async function gatherListing(connection: Connection, signal: AbortSignal): Promise<Uint8Array> {
  const { capabilities, instructions } = connection
  const budget = { bytes: limits.mcpListBytes }
  const listing: { [member: string]: Json } = { mcp: 1 }
  for (const { method, member, key, of } of lists) {
    const isOffered = typeof capabilities[of] === 'object' || of === 'tools'
    const items = isOffered ? await gatherList(connection, method, member, signal, budget) : []
    listing[member] = items.toSorted((a, b) => compare(a[key], b[key]))
  }
  listing['capabilities'] = { ...capabilities }
  if (instructions !== undefined) listing['instructions'] = instructions.slice(0, limits.mcpErrorChars)
  const bytes = Buffer.from(JSON.stringify(listing))
  if (bytes.byteLength > limits.mcpListBytes) throw tooMuch()
  return bytes
}

async function gatherList(
  connection: Connection,
  method: string,
  member: string,
  signal: AbortSignal,
  budget: { bytes: number },
): Promise<Item[]> {
  const items: Item[] = []
  const seen = new Set<string>()
  let cursor: string | undefined
  for (let page = 0; page < limits.mcpListPages; page++) {
    const result = await ask(connection, method, cursor, signal)
    const list = result?.[member]
    if (result === undefined || !Array.isArray(list)) return items
    for (const item of list) if (typeof item === 'object' && item !== null && !Array.isArray(item)) items.push(item)
    budget.bytes -= JSON.stringify(list).length
    if (budget.bytes < 0 || items.length > limits.documentOperations) throw tooMuch()
    const next = result['nextCursor']
    if (typeof next !== 'string') return items
    if (seen.has(next)) throw endless(method)
    seen.add(next)
    cursor = next
  }
  throw endless(method)
}

/** A list that the server does not have after all is an empty one. */
async function ask(
  connection: Connection,
  method: string,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<Item | undefined> {
  try {
    return await connection.request(method, cursor === undefined ? {} : { cursor }, { signal })
  } catch (error) {
    if (error instanceof RpcRefusal && error.code === -32601) return undefined
    throw error
  }
}

const compare = (a: Json | undefined, b: Json | undefined): number => {
  const [left, right] = [JSON.stringify(a ?? null), JSON.stringify(b ?? null)]
  return left < right ? -1 : left > right ? 1 : 0
}

const tooMuch = (): GatewayError =>
  new GatewayError('over_limit', { words: `The server’s lists have more than ${limits.mcpListBytes} bytes.` })

const endless = (method: string): GatewayError =>
  new GatewayError('target_bad_answer', { words: `The server’s answers to ${method} do not come to an end.` })
