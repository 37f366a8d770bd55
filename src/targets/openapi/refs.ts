/** `$ref` within the document: JSON Pointers and anchors, never a file or a URL; chains and rings are bounded. */
import { limits } from '../../core/limits.ts'
import { isNode, member, type Node, textAt } from './tree.ts'

export type Resolved =
  | { readonly ok: true; readonly node: unknown; readonly pointer: string }
  | { readonly ok: false; readonly reason: 'external' | 'dangling' | 'ring' }

export class References {
  readonly #root: Node
  #anchors: Map<string, { node: Node; pointer: string }> | undefined

  constructor(root: Node) {
    this.#root = root
  }

  /**
   * What a reference names, following references to references up to `limits.refHops`. For a schema, one with
   * siblings that constrain is where it ends: it is a schema of its own (JSON Schema 2020-12 §8.2.3.1).
   */
  resolve(ref: string, place: 'schema' | 'other' = 'other'): Resolved {
    const seen = new Set<string>()
    let current = ref
    for (let hop = 0; hop <= limits.refHops; hop++) {
      if (!current.startsWith('#')) return { ok: false, reason: 'external' }
      if (seen.has(current)) return { ok: false, reason: 'ring' }
      seen.add(current)
      const found = this.#find(current)
      if (found === undefined) return { ok: false, reason: 'dangling' }
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
    if (!ref.startsWith('#/')) return this.#anchor(ref.slice(1))
    let node: unknown = this.#root
    for (const raw of ref.slice(2).split('/')) {
      const plain = raw.replaceAll('~1', '/').replaceAll('~0', '~')
      const key = decoded(raw)
      const child = step(node, key) ?? step(node, plain)
      if (child === undefined) return undefined
      node = child
    }
    return { node, pointer: ref.slice(1) }
  }

  #anchor(name: string): { node: Node; pointer: string } | undefined {
    this.#anchors ??= collectAnchors(this.#root)
    return this.#anchors.get(name)
  }
}

const step = (node: unknown, key: string): unknown =>
  Array.isArray(node) ? (/^\d{1,9}$/.test(key) ? node[Number(key)] : undefined) : member(node, key)

const decoded = (token: string): string => {
  try {
    return decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return token
  }
}

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

function collectAnchors(root: Node): Map<string, { node: Node; pointer: string }> {
  const anchors = new Map<string, { node: Node; pointer: string }>()
  const seen = new Set<unknown>()
  const stack: unknown[] = [root]
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (typeof node !== 'object' || node === null || seen.has(node)) continue
    seen.add(node)
    for (const child of Object.values(node)) if (typeof child === 'object' && child !== null) stack.push(child)
    if (!isNode(node)) continue
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const name = textAt(node, keyword)
      if (name !== undefined && !anchors.has(name)) anchors.set(name, { node, pointer: `#${name}` })
    }
  }
  return anchors
}
