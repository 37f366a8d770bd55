/** All that a server lists, page by page, as the bytes of a listing: the same bytes as long as nothing changed. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'
import { scrubBytes } from '../../credentials/scrub.ts'
import { isDeep } from './bounds.ts'
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
  // what is listed is shown to everyone, and a server may put what it was asked with into it
  const { body } = scrubBytes({ status: 200, headers: new Map(), body: bytes, cut: false }, connection.secrets)
  return body
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
    // an item that nests without end costs only itself
    const sound = list.filter(isItem).filter((item) => !isDeep(item))
    items.push(...sound)
    budget.bytes -= JSON.stringify(sound).length
    if (budget.bytes < 0 || items.length > limits.documentOperations) throw tooMuch()
    const next = result['nextCursor']
    if (typeof next !== 'string') return items
    if (seen.has(next)) throw endless(method)
    seen.add(next)
    cursor = next
  }
  throw endless(method)
}

const isItem = (value: Json): value is { [member: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

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
