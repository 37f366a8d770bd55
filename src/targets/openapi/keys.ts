/**
 * Property keys that every model provider takes (`^[a-zA-Z0-9_.-]{1,64}$`). A key outside that is given another name
 * in the schema, the same for the whole document whatever the order of its keys, and written back in the request.
 */
import { shortHash } from '../../core/hash.ts'
import type { Schema } from './keywords.ts'
import { eachSubschema } from './subschemas.ts'
import { isNode, type Node, nodeAt, textAt } from './tree.ts'

const legal = /^[a-zA-Z0-9_.-]{1,64}$/

export class Keys {
  readonly #root: Node
  #taken: Set<string> | undefined
  readonly #safe = new Map<string, string>()

  constructor(root: Node) {
    this.#root = root
  }

  /** The key to show for a raw one; the raw one itself where it is legal. */
  safe(raw: string): string {
    if (legal.test(raw) && raw !== '__proto__') return raw
    let key = this.#safe.get(raw)
    if (key === undefined) {
      key = this.#choose(raw)
      this.#safe.set(raw, key)
    }
    return key
  }

  /** Shown key → key on the wire for those that a finished schema uses; `undefined` where it uses none. */
  renamesIn(schema: Schema): { [shown: string]: string } | undefined {
    if (this.#safe.size === 0) return undefined
    const raw = new Map([...this.#safe].map(([wire, shown]) => [shown, wire]))
    const used: { [shown: string]: string } = {}
    const visit = (part: Schema): void => {
      for (const key of Object.keys(nodeAt(part, 'properties') ?? {})) {
        const wire = raw.get(key)
        if (wire !== undefined) used[key] = wire
      }
      eachSubschema(part, visit)
    }
    visit(schema)
    for (const part of Object.values(nodeAt(schema, '$defs') ?? {})) if (isNode(part)) visit(part)
    return Object.keys(used).length === 0 ? undefined : used
  }

  #choose(raw: string): string {
    this.#taken ??= takenIn(this.#root)
    const wish = candidate(raw)
    return wish.length <= 64 && !this.#taken.has(wish) ? wish : `${wish.slice(0, 55)}_${shortHash(raw)}`
  }
}

const candidate = (raw: string): string =>
  raw
    .normalize('NFKD')
    .replace(/[^a-zA-Z0-9_.-]+/g, '_')
    .replace(/^_+|_+$/g, '') || 'key'

/** Legal keys in use, and the wishes that two different illegal keys share. */
function takenIn(root: Node): Set<string> {
  const taken = new Set<string>()
  const wishes = new Map<string, string>()
  const note = (key: string): void => {
    if (legal.test(key)) {
      taken.add(key)
      return
    }
    const wish = candidate(key)
    const other = wishes.get(wish)
    if (other === undefined) wishes.set(wish, key)
    else if (other !== key) taken.add(wish)
  }
  const seen = new Set<object>()
  const stack: object[] = [root]
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue
    seen.add(node)
    for (const child of Object.values(node)) if (typeof child === 'object' && child !== null) stack.push(child)
    if (!isNode(node)) continue
    const properties = node['properties']
    if (isNode(properties)) for (const key of Object.keys(properties)) note(key)
    const name = textAt(node, 'name')
    if (name !== undefined && typeof node['in'] === 'string') note(name)
  }
  return taken
}
