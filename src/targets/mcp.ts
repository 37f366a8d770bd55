/** MCP servers over streamable HTTP: a listing → operations and offers, arguments → a `tools/call`, its result → outcome. */
import type { Json } from '../core/model.ts'
import type { Issue, TargetAdapter } from './adapter.ts'
import { tellInto } from './mcp/issues.ts'
import { interpretResult } from './mcp/result.ts'
import type { Binding } from './mcp/tools.ts'

export const mcp: TargetAdapter = {
  kind: 'mcp',

  async load(bytes, options) {
    // What reads descriptions is loaded where one is read: in the import thread, and in no other.
    const [{ readListing }, { readOffers }, { readTools }] = await Promise.all([
      import('./mcp/listing.ts'),
      import('./mcp/offers.ts'),
      import('./mcp/tools.ts'),
    ])
    const issues: Issue[] = []
    const listing = readListing(bytes)
    const operations = readTools(listing.tools, options, tellInto(issues))
    const offers = readOffers(listing, tellInto(issues))
    const { server } = options
    return { format: 'mcp', ...(server === undefined ? {} : { server }), origins: [], operations, issues, offers }
  },

  /** Answers to what the server asked go with the delivery, not with the request. */
  prepare(operation, args, target) {
    const { tool, headers = [] } = operation.binding as unknown as Binding
    const sent = headers.flatMap(([argument, header]): [string, string][] => {
      const value = Object.hasOwn(args, argument) ? headerValue(args[argument]) : undefined
      return value === undefined ? [] : [[`mcp-param-${header.toLowerCase()}`, value]]
    })
    return {
      method: 'POST',
      url: `${target.origin}${target.basePath}`,
      headers: new Map(sent),
      body: JSON.stringify({ method: 'tools/call', params: { name: tool, arguments: args } }),
    }
  },

  interpret: interpretResult,
}

/** MCP 2026-07-28, streamable HTTP: a plain value as it is, any other text in base64 with its mark. */
function headerValue(value: Json | undefined): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'string') return undefined
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value) && !/^=\?base64\?.*\?=$/.test(value)
  return isPlain ? value : `=?base64?${Buffer.from(value).toString('base64')}?=`
}
