/** The bytes of a listing, read as hostile input: what `transports/mcp` gathered, or a `tools/list` answer from a file. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { readJson } from '../json.ts'
import { isNode, listAt, member, type Node, nodeAt } from '../openapi/tree.ts'

export interface Listing {
  readonly tools: readonly unknown[]
  readonly prompts: readonly unknown[]
  readonly resources: readonly unknown[]
  readonly templates: readonly unknown[]
  readonly capabilities: Node
}

/** Throws `bad_description` or `over_limit`. */
export function readListing(bytes: Uint8Array): Listing {
  if (bytes.byteLength > limits.mcpListBytes)
    throw new GatewayError('over_limit', { words: `The listing has more than ${limits.mcpListBytes} bytes.` })
  const body = readJson(bytes)
  // a `tools/list` answer as it came, its result alone, or only the list
  const result = nodeAt(body, 'result') ?? body
  const listing = Array.isArray(result) ? { tools: result } : result
  if (!isNode(listing) || !Array.isArray(member(listing, 'tools')))
    throw new GatewayError('bad_description', { words: 'It has no list of tools (`tools`).' })
  const listings = {
    tools: listAt(listing, 'tools'),
    prompts: listAt(listing, 'prompts'),
    resources: listAt(listing, 'resources'),
    templates: listAt(listing, 'resourceTemplates'),
  }
  for (const [name, list] of Object.entries(listings))
    if (list.length > limits.documentOperations)
      throw new GatewayError('over_limit', { words: `It lists more than ${limits.documentOperations} ${name}.` })
  return { ...listings, capabilities: nodeAt(listing, 'capabilities') ?? {} }
}
