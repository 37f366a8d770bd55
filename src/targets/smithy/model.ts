/**
 * A Smithy JSON AST model (Smithy 2.0 and 1.0, §JSON AST): bytes → shapes with their mixins and applied traits in them.
 * Bounded in bytes and depth before it is parsed, in members as it is flattened; a broken or circular shape is a warning.
 */
import { isUtf8 } from 'node:buffer'
import { GatewayError } from '../../core/errors.ts'
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import type { Issue } from '../adapter.ts'
import { at, isNode, listAt, type Node, nodeAt, textAt } from '../openapi/tree.ts'

export type Traits = ReadonlyMap<string, unknown>

export interface Member {
  readonly name: string
  /** The shape ID of its target. */
  readonly target: string
  readonly traits: Traits
}

export interface Shape {
  readonly id: string
  readonly type: string
  /** The node of the AST, for what mixins do not add to. */
  readonly node: Node
  readonly members: ReadonlyMap<string, Member>
  readonly traits: Traits
  /** Targets of `operations`, `resources`, `errors` and their like, those of mixins first. */
  readonly lists: ReadonlyMap<string, readonly string[]>
}

const refuse = (words: string, cause?: unknown): GatewayError => new GatewayError('bad_description', { words, cause })

/** Shapes of `smithy.api` that every model has (Smithy 2.0 §Prelude). */
const prelude: ReadonlyMap<string, string> = new Map([
  ['String', 'string'],
  ['Blob', 'blob'],
  ['BigInteger', 'bigInteger'],
  ['BigDecimal', 'bigDecimal'],
  ['Timestamp', 'timestamp'],
  ['Document', 'document'],
  ['Boolean', 'boolean'],
  ['PrimitiveBoolean', 'boolean'],
  ['Byte', 'byte'],
  ['PrimitiveByte', 'byte'],
  ['Short', 'short'],
  ['PrimitiveShort', 'short'],
  ['Integer', 'integer'],
  ['PrimitiveInteger', 'integer'],
  ['Long', 'long'],
  ['PrimitiveLong', 'long'],
  ['Float', 'float'],
  ['PrimitiveFloat', 'float'],
  ['Double', 'double'],
  ['PrimitiveDouble', 'double'],
  ['Unit', 'structure'],
])

const listKeywords = ['operations', 'collectionOperations', 'resources', 'errors'] as const

const nothing: Node = {}

export class Model {
  /** `1.0` or `2.0`. */
  readonly version: string
  readonly #shapes: Node
  readonly #issues: Issue[]
  readonly #applied = new Map<string, Node>()
  readonly #flat = new Map<string, Shape>()
  readonly #open = new Set<string>()
  readonly #missing = new Set<string>()
  #spent = 0

  /** Throws `bad_description` or `over_limit`. */
  constructor(bytes: Uint8Array, issues: Issue[]) {
    const root = parse(bytes)
    this.version = versionOf(root)
    const shapes = nodeAt(root, 'shapes')
    if (shapes === undefined) throw refuse('The Smithy model has no `shapes`.')
    this.#shapes = shapes
    this.#issues = issues
    for (const [id, node] of Object.entries(shapes))
      if (textAt(node, 'type') === 'apply') this.#applied.set(id, nodeAt(node, 'traits') ?? nothing)
  }

  /** Shape IDs in the model's order. */
  ids(type: string): string[] {
    return Object.entries(this.#shapes).flatMap(([id, node]) => (textAt(node, 'type') === type ? [id] : []))
  }

  pointer(id: string, ...more: readonly string[]): string {
    return at('/shapes', id, ...more)
  }

  warn(code: string, id: string, message: string): void {
    if (this.#issues.length < limits.documentWarnings)
      this.#issues.push({ severity: 'warning', code, pointer: this.pointer(id), message })
  }

  /** Counts what is made of the model, so that members shared by many shapes cannot multiply without an end. */
  spend(nodes: number): void {
    this.#spent += nodes
    if (this.#spent > limits.documentNodes)
      throw new GatewayError('over_limit', { words: `The model unfolds to more than ${limits.documentNodes} nodes.` })
  }

  /** The shape of an ID, flattened; `undefined` where the model has none, with a warning. */
  shape(id: string): Shape | undefined {
    const known = this.#flat.get(id)
    if (known !== undefined) return known
    const node = nodeAt(this.#shapes, id)
    const type = textAt(node, 'type')
    if (node !== undefined && type !== undefined && type !== 'apply') return this.#flatten(id, type, node)
    const simple = id.startsWith('smithy.api#') ? prelude.get(id.slice('smithy.api#'.length)) : undefined
    if (simple !== undefined) {
      const shape = { id, type: simple, node: nothing, members: new Map(), traits: new Map(), lists: new Map() }
      this.#flat.set(id, shape)
      return shape
    }
    if (!this.#missing.has(id)) {
      this.#missing.add(id)
      this.warn('missing_shape', id, `The model has no shape \`${id.slice(0, 200)}\`; anything is taken in its place.`)
    }
    return undefined
  }

  /** Mixins in order, then the shape's own (Smithy 2.0 §Mixins). */
  #flatten(id: string, type: string, node: Node): Shape {
    this.#open.add(id)
    const members = new Map<string, Member>()
    const traits = new Map<string, unknown>()
    const lists = new Map<string, string[]>()
    for (const mixin of targets(node, 'mixins')) {
      const from = this.#mixin(mixin, id)
      if (from === undefined) continue
      this.spend(from.members.size + from.traits.size + [...from.lists.values()].flat().length + 1)
      for (const [name, member] of from.members) members.set(name, member)
      const local = new Set(listAt(nodeOf(from.traits.get('smithy.api#mixin')), 'localTraits'))
      for (const [name, value] of from.traits)
        if (name !== 'smithy.api#mixin' && !local.has(name)) traits.set(name, value)
      for (const [keyword, list] of from.lists) lists.set(keyword, [...(lists.get(keyword) ?? []), ...list])
    }
    for (const [name, value] of Object.entries(nodeAt(node, 'traits') ?? nothing)) traits.set(name, value)
    for (const [name, member] of ownMembers(node)) this.#addMember(id, name, member, members)
    for (const [name, member] of members) this.#applyTo(id, name, member, members)
    for (const keyword of listKeywords) {
      const own = targets(node, keyword)
      if (own.length > 0) lists.set(keyword, [...new Set([...(lists.get(keyword) ?? []), ...own])])
    }
    this.spend(members.size + traits.size + 1)
    this.#open.delete(id)
    const shape = { id, type, node, members, traits, lists }
    this.#flat.set(id, shape)
    return shape
  }

  #mixin(mixin: string, id: string): Shape | undefined {
    if (!this.#open.has(mixin) && this.#open.size <= limits.refHops) return this.shape(mixin)
    this.warn('shape_circle', id, 'The mixins of this shape lead back to it, or to no end; they are left out.')
    return undefined
  }

  #addMember(id: string, name: string, node: Node, into: Map<string, Member>): void {
    const inherited = into.get(name)
    const target = textAt(node, 'target') ?? inherited?.target
    if (target === undefined) {
      this.warn('missing_shape', id, `The member \`${name.slice(0, 200)}\` has no target; it is left out.`)
      return
    }
    const traits = new Map([...(inherited?.traits ?? []), ...Object.entries(nodeAt(node, 'traits') ?? nothing)])
    into.set(name, { name, target, traits })
  }

  #applyTo(id: string, name: string, member: Member, into: Map<string, Member>): void {
    const applied = this.#applied.get(`${id}$${name}`)
    if (applied !== undefined)
      into.set(name, { ...member, traits: new Map([...member.traits, ...Object.entries(applied)]) })
  }
}

const nodeOf = (value: unknown): Node | undefined => (isNode(value) ? value : undefined)

/** Shape IDs of a list of `{target}`. */
const targets = (node: unknown, keyword: string): string[] =>
  listAt(node, keyword).flatMap((entry) => textAt(entry, 'target') ?? [])

/** Members of aggregates by name; those of lists and maps by what the AST calls them. */
function* ownMembers(node: Node): Generator<[string, Node]> {
  for (const name of ['member', 'key', 'value']) {
    const member = nodeAt(node, name)
    if (member !== undefined) yield [name, member]
  }
  for (const [name, member] of Object.entries(nodeAt(node, 'members') ?? nothing))
    if (isNode(member)) yield [name, member]
}

function parse(bytes: Uint8Array): Node {
  if (bytes.byteLength > limits.documentBytes)
    throw new GatewayError('over_limit', { words: `The model is larger than ${limits.documentBytes} bytes.` })
  if (!isUtf8(bytes)) throw refuse('The model is not UTF-8 text.')
  const text = new TextDecoder('utf-8').decode(bytes)
  if (nestsDeeper(text, limits.documentDepth))
    throw new GatewayError('over_limit', { words: `The model is nested deeper than ${limits.documentDepth} levels.` })
  let root: unknown
  try {
    root = JSON.parse(text)
  } catch (cause) {
    throw refuse('The model is not valid JSON: a Smithy model is read in its JSON form (`smithy ast`).', cause)
  }
  if (!isNode(root)) throw refuse('The model is not an object.')
  return root
}

function versionOf(root: Node): string {
  const named = textAt(root, 'smithy') ?? ''
  const version = /^([12])(?:\.0)*$/.exec(named.trim())?.[1]
  if (version === undefined) throw refuse('The model’s `smithy` version is not 1.0 or 2.0.')
  return `${version}.0`
}
