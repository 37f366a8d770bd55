/** What the gateway offers: an immutable set of tools, found by name in constant time, listed from bytes made once. */
import { versionOf } from '../core/hash.ts'
import { limits } from '../core/limits.ts'
import type { Target, Tool } from '../core/model.ts'
import { type Listing, toListing } from './listing.ts'
import type { ToolSet } from './tools.ts'

/** The tools of a target, bound to it. */
export function bindTools(target: Target, set: ToolSet): Tool[] {
  return set.entries.map(({ name, operation, from, to }) => ({
    name,
    target,
    operation,
    definition: set.bytes.subarray(from, to),
  }))
}

const cursorOf = (name: string): string => Buffer.from(name).toString('base64url')

export interface Page {
  /** Complete but for `"id"` and what stands after it. */
  readonly modern: Listing
  readonly legacy: Listing
}

export interface ListingFacts {
  /** JSON members that 2026-07-28 wants in the result besides `tools`, for example `"resultType":"complete"`. */
  readonly modern: string
}

/** The catalogue of one view. */
export class Catalogue {
  readonly tools: readonly Tool[]
  /** Changes exactly when a tool or the order does. */
  readonly version: string
  readonly #byName: ReadonlyMap<string, Tool>
  readonly #pageSize: number
  readonly #facts: ListingFacts
  readonly #pages = new Map<number, Page>()

  /** `pageSize` 0 means one page. Where two targets give one name, the first in the order of targets keeps it. */
  constructor(tools: readonly Tool[], facts: ListingFacts, pageSize = 0) {
    const byName = new Map<string, Tool>()
    for (const tool of tools) if (!byName.has(tool.name)) byName.set(tool.name, tool)
    this.#byName = byName
    this.tools = [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    this.#pageSize = pageSize === 0 ? this.tools.length : pageSize
    this.#facts = facts
    this.version = versionOf(this.tools.map((tool) => tool.definition))
  }

  find(name: string): Tool | undefined {
    return this.#byName.get(name)
  }

  /** The page that begins at a cursor (`''` for the first); `undefined` for a cursor that this catalogue never gave. */
  page(cursor: string | undefined): Page | undefined {
    const start = cursor === undefined ? 0 : this.#start(cursor)
    if (start === undefined) return undefined
    let page = this.#pages.get(start)
    if (page === undefined) {
      page = this.#make(start)
      this.#pages.set(start, page)
      if (this.#pages.size > limits.pagesKept)
        for (const oldest of this.#pages.keys().take(1)) this.#pages.delete(oldest)
    }
    return page
  }

  /** A cursor names the tool that the page before ended with, so that it survives a change of the catalogue. */
  #start(cursor: string): number | undefined {
    if (cursor === '') return 0
    if (this.#pageSize >= this.tools.length) return undefined
    const name = Buffer.from(cursor, 'base64url').toString('utf8')
    if (cursorOf(name) !== cursor) return undefined
    const index = this.tools.findIndex((tool) => tool.name > name)
    return this.#byName.has(name) && index > 0 ? index : undefined
  }

  #make(start: number): Page {
    const end = Math.min(start + Math.max(1, this.#pageSize), this.tools.length)
    const parts: Uint8Array[] = [Buffer.from('{"jsonrpc":"2.0","result":{"tools":[')]
    const comma = Buffer.from(',')
    for (let index = start; index < end; index++) {
      const tool = this.tools[index]
      if (tool === undefined) break
      if (index > start) parts.push(comma)
      parts.push(tool.definition)
    }
    const last = this.tools[end - 1]
    const cursor = last === undefined || end >= this.tools.length ? undefined : cursorOf(last.name)
    const next = cursor === undefined ? '' : `,"nextCursor":${JSON.stringify(cursor)}`
    const list = Buffer.concat(parts)
    const ending = (members: string): Listing =>
      toListing(Buffer.concat([list, Buffer.from(`]${next}${members}},"id":`)]))
    return { modern: ending(`,${this.#facts.modern}`), legacy: ending('') }
  }
}
