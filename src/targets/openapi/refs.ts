/**
 * `$ref` within the document: JSON Pointers, anchors and the names that the document or a schema of it gives itself;
 * never a file or a URL. Chains and rings are bounded.
 */
import { limits } from '../../core/limits.ts'
import { at, decodeToken, isNode, member, type Node, textAt } from './tree.ts'

export type Resolved =
  | { readonly ok: true; readonly node: unknown; readonly pointer: string }
  | { readonly ok: false; readonly reason: 'external' | 'dangling' | 'ring' }

export class References {
  readonly #root: Node
  #names: Names | undefined

  constructor(root: Node) {
    this.#root = root
  }

  /**
   * What a reference names, following references to references up to `limits.refHops`. For a schema, one with
   * siblings that constrain is where it ends: it is a schema of its own (JSON Schema 2020-12 §8.2.3.1). `from` is the
   * pointer to what refers: within a schema that has an `$id`, a pointer begins there (§8.2.1).
   */
  resolve(ref: string, place: 'schema' | 'other' = 'other', from = ''): Resolved {
    const seen = new Set<string>()
    let current = ref.trim()
    for (let hop = 0; hop <= limits.refHops; hop++) {
      if (seen.has(current)) return { ok: false, reason: 'ring' }
      seen.add(current)
      const isLocal = current.startsWith('#')
      const found = isLocal ? (this.#find(current) ?? this.#within(current, from)) : this.#named(current)
      if (found === undefined) return { ok: false, reason: isLocal ? 'dangling' : 'external' }
      const next = textAt(found.node, '$ref')
      if (next === undefined || (place === 'schema' && hasConstraint(found.node))) return { ok: true, ...found }
      current = next
    }
    return { ok: false, reason: 'ring' }
  }

  /** The node itself, or what its `$ref` names. */
  follow(node: unknown): Resolved {
    const ref = textAt(node, '$ref')
    return ref === undefined ? { ok: true, node, pointer: '' } : this.resolve(ref)
  }

  #find(ref: string): { node: unknown; pointer: string } | undefined {
    if (ref === '#' || ref === '#/') return { node: this.#root, pointer: '' }
    if (ref.startsWith('#/')) return walk({ node: this.#root, pointer: '' }, ref.slice(2))
    // A pointer whose first slash was forgotten is no anchor, which has none.
    return ref.includes('/')
      ? walk({ node: this.#root, pointer: '' }, ref.slice(1))
      : this.#collected.anchors.get(ref.slice(1))
  }

  /** In the innermost schema around `from` that has an `$id`. */
  #within(ref: string, from: string): Place | undefined {
    if (!ref.startsWith('#/') || from === '') return undefined
    let place: Place | undefined = { node: this.#root, pointer: '' }
    let base: Place | undefined
    for (const token of from.slice(1).split('/')) {
      place = walk(place, token)
      if (place === undefined) break
      if (textAt(place.node, '$id') !== undefined) base = place
    }
    return base === undefined ? undefined : walk(base, ref.slice(2))
  }

  /** What the document's `$self` (OAS 3.2.0 §4.1) or a schema's `$id` names, with a pointer into it. */
  #named(ref: string): Place | undefined {
    const [name = '', fragment = ''] = ref.split('#', 2)
    const self = textAt(this.#root, '$self')
    const base =
      self !== undefined && name === self
        ? { node: this.#root, pointer: '' }
        : (this.#collected.ids.get(name) ?? this.#collected.ids.get(absolute(name, self)))
    if (base === undefined || fragment === '') return base
    return fragment.startsWith('/') ? walk(base, fragment.slice(1)) : this.#collected.anchors.get(fragment)
  }

  get #collected(): Names {
    this.#names ??= collectNames(this.#root)
    return this.#names
  }
}

interface Place {
  readonly node: unknown
  readonly pointer: string
}

interface Names {
  readonly anchors: Map<string, Place>
  readonly ids: Map<string, Place>
}

/** What a JSON Pointer without its first slash leads to. */
function walk(from: Place, pointer: string): Place | undefined {
  let { node } = from
  for (const raw of pointer.split('/')) {
    const child = step(node, decodeToken(raw)) ?? step(node, raw.replaceAll('~1', '/').replaceAll('~0', '~'))
    if (child === undefined) return undefined
    node = child
  }
  return { node, pointer: `${from.pointer}/${pointer}` }
}

const absolute = (name: string, base: string | undefined): string =>
  base !== undefined && URL.canParse(name, base) ? new URL(name, base).href : name

const step = (node: unknown, key: string): unknown =>
  Array.isArray(node) ? (/^\d{1,9}$/.test(key) ? node[Number(key)] : undefined) : member(node, key)

const annotations = new Set([
  '$ref',
  'description',
  'summary',
  'title',
  'deprecated',
  'example',
  'examples',
  '$comment',
])

const hasConstraint = (node: unknown): boolean =>
  isNode(node) && Object.keys(node).some((key) => !annotations.has(key) && !key.startsWith('x-'))

function collectNames(root: Node): Names {
  const anchors = new Map<string, Place>()
  const ids = new Map<string, Place>()
  const seen = new Set<unknown>()
  const stack: Place[] = [{ node: root, pointer: '' }]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { node, pointer } = top
    if (typeof node !== 'object' || node === null || seen.has(node)) continue
    seen.add(node)
    for (const [key, child] of Object.entries(node))
      if (typeof child === 'object' && child !== null) stack.push({ node: child, pointer: at(pointer, key) })
    if (!isNode(node)) continue
    const id = textAt(node, '$id')?.replace(/#$/, '')
    if (id !== undefined && !ids.has(id)) ids.set(id, top)
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const name = textAt(node, keyword)
      if (name !== undefined && !anchors.has(name)) anchors.set(name, top)
    }
  }
  return { anchors, ids }
}
