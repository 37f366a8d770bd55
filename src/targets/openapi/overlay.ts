/**
 * OpenAPI Overlay 1.0 and 1.1: changes that a second document makes to a description, in order, each at the places that
 * a JSONPath (RFC 9535) selects. Nothing is changed in place: containers on the way to a changed place are copied first.
 * So an anchor of YAML, which its aliases share as one object, changes only where an action matched it.
 */
import { JSONPathEnvironment, type JSONPathNode, type JSONPathQuery } from 'json-p3'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Issue } from '../adapter.ts'
import { at, isNode, type Node } from './tree.ts'

type Location = JSONPathNode['location']

interface Place {
  readonly location: Location
  readonly value: unknown
}

type Change =
  | { readonly kind: 'update'; readonly value: unknown }
  | { readonly kind: 'copy'; readonly source: JSONPathQuery }
  | { readonly kind: 'remove' }

interface Action {
  /** Its place in the overlay, such as `/actions/0`. */
  readonly pointer: string
  readonly target: JSONPathQuery
  readonly change: Change
}

/** One level more than a document may have, so that its deepest nodes are visited too. */
const jsonPath = new JSONPathEnvironment({ maxRecursionDepth: limits.documentDepth + 2 })

const wrong = (pointer: string, words: string, cause?: unknown): GatewayError =>
  new GatewayError('bad_description', {
    words: `The overlay is wrong at \`${pointer.slice(0, 200) || '/'}\`: ${words}`,
    cause,
  })

const overLimit = (words: string): GatewayError => new GatewayError('over_limit', { words })

/**
 * The description with every action of the overlay applied, a new tree that shares with the old one what did not change.
 * `documentName`, the URL or path that the description came from, is what `extends` is compared with. Throws
 * `bad_description` with the place in the overlay that is wrong (Overlay 1.1.0 §4.4), and `over_limit`; an action without
 * effect is a warning whose pointer is into the overlay. Arrays are concatenated under both versions: 1.0 speaks only of
 * one entry to append, and 1.1 of both.
 */
export function applyOverlay(root: Node, overlay: unknown, issues: Issue[], documentName?: string): Node {
  const actions = readActions(overlay, documentName, issues)
  weigh(root, 'The description')
  let draft = new Draft(root)
  // What is put in is counted while it is put in: ever larger copies of copies must not come to be before they are found.
  let added = 0
  for (const action of actions) {
    const places = select(action.target, draft.root, at(action.pointer, 'target'))
    if (places.length === 0) {
      issues.push(warning('overlay_no_match', action.pointer, 'The target of this action matches nothing.'))
      continue
    }
    if (action.change.kind === 'remove') {
      remove(draft, places, action.pointer)
      continue
    }
    // What is copied stands in two places from now on, so nothing of it may be written to as if it were in one.
    if (action.change.kind === 'copy') draft = new Draft(draft.root)
    const value = action.change.kind === 'copy' ? sourceOf(action.change.source, draft, action) : action.change.value
    added += weigh(value, 'What the overlay puts in') * places.length
    if (added > limits.documentNodes) throw overLimit(`The overlay puts in more than ${limits.documentNodes} nodes.`)
    update(draft, places, value, action)
  }
  weigh(draft.root, 'The description with its overlay')
  if (!isNode(draft.root)) throw wrong('/actions', 'they leave no object as the description.')
  return draft.root
}

// Reading the overlay

const version = /^1\.([01])(?:\.\d+)?$/
const extension = /^x-/

function readActions(overlay: unknown, documentName: string | undefined, issues: Issue[]): Action[] {
  if (!isNode(overlay)) throw wrong('', 'it is not an object.')
  weigh(overlay, 'The overlay')
  const named = overlay['overlay']
  const minor = typeof named === 'string' ? version.exec(named)?.[1] : undefined
  if (minor === undefined) throw wrong('/overlay', 'it must be a version of Overlay 1.0 or 1.1, such as `1.0.0`.')
  onlyFields(overlay, ['overlay', 'info', 'extends', 'actions'], '')
  checkInfo(overlay['info'], minor === '1')
  checkExtends(overlay['extends'], documentName, issues)
  const actions = overlay['actions']
  if (!Array.isArray(actions) || actions.length === 0)
    throw wrong('/actions', 'it must be a list of at least one action.')
  if (actions.length > limits.overlayActions)
    throw overLimit(`The overlay has more than ${limits.overlayActions} actions.`)
  return actions.flatMap((action: unknown, index) => readAction(action, at('/actions', index), minor === '1', issues))
}

function onlyFields(node: Node, known: readonly string[], pointer: string): void {
  const stray = Object.keys(node).find((key) => !known.includes(key) && !extension.test(key))
  if (stray !== undefined) throw wrong(at(pointer, stray.slice(0, 100)), 'there is no such field.')
}

/** A version such as `1.0`, which YAML takes for a number, is let pass: nothing depends on it. */
function checkInfo(info: unknown, described: boolean): void {
  if (!isNode(info)) throw wrong('/info', 'it must be an object with `title` and `version`.')
  onlyFields(info, described ? ['title', 'version', 'description'] : ['title', 'version'], '/info')
  if (typeof info['title'] !== 'string') throw wrong('/info/title', 'it must be a string.')
  if (typeof info['version'] !== 'string' && typeof info['version'] !== 'number')
    throw wrong('/info/version', 'it must be a string.')
}

/** Nothing is loaded from `extends`; the configuration says which description an overlay is for. */
function checkExtends(named: unknown, documentName: string | undefined, issues: Issue[]): void {
  if (named === undefined) return
  if (typeof named !== 'string') throw wrong('/extends', 'it must be a URI reference.')
  if (documentName === undefined || sameDocument(named, documentName)) return
  issues.push(
    warning('overlay_extends', '/extends', 'The overlay was made for another document; it is applied to this.'),
  )
}

/** Two absolute URLs must be equal; of anything relative, whose base is not known, the last segment. */
const sameDocument = (one: string, other: string): boolean =>
  URL.canParse(one) && URL.canParse(other)
    ? new URL(one).href === new URL(other).href
    : lastSegment(one) === lastSegment(other)

const lastSegment = (reference: string): string => /([^/\\]*)$/.exec(reference.replace(/[?#].*$/s, ''))?.[1] ?? ''

/** One action, or none where it asks for nothing. */
function readAction(action: unknown, pointer: string, copies: boolean, issues: Issue[]): readonly Action[] {
  if (!isNode(action)) throw wrong(pointer, 'it is not an object.')
  if (!copies && Object.hasOwn(action, 'copy')) throw wrong(at(pointer, 'copy'), 'this needs `overlay: 1.1.0`.')
  onlyFields(action, ['target', 'description', 'update', 'copy', 'remove'], pointer)
  const target = pathAt(action, 'target', pointer)
  const remove = action['remove'] ?? false
  if (typeof remove !== 'boolean') throw wrong(at(pointer, 'remove'), 'it must be true or false.')
  if (remove) return [{ pointer, target, change: { kind: 'remove' } }]
  const updates = Object.hasOwn(action, 'update')
  if (updates && Object.hasOwn(action, 'copy')) throw wrong(pointer, '`update` and `copy` exclude each other.')
  if (updates) return [{ pointer, target, change: { kind: 'update', value: action['update'] } }]
  if (Object.hasOwn(action, 'copy'))
    return [{ pointer, target, change: { kind: 'copy', source: pathAt(action, 'copy', pointer) } }]
  issues.push(warning('overlay_no_change', pointer, 'This action neither updates nor removes anything.'))
  return []
}

function pathAt(action: Node, key: 'target' | 'copy', pointer: string): JSONPathQuery {
  const path = action[key]
  if (typeof path !== 'string') throw wrong(at(pointer, key), 'it must be a JSONPath.')
  try {
    return jsonPath.compile(path)
  } catch (cause) {
    throw wrong(at(pointer, key), `it is not a JSONPath of RFC 9535 (${firstLine(cause)}).`, cause)
  }
}

const firstLine = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]?.slice(0, 200) ?? ''

const warning = (code: string, pointer: string, message: string): Issue => ({
  severity: 'warning',
  code,
  pointer,
  message: `Overlay: ${message}`,
})

// Finding places

/** The places that a path selects, each once: a list of nodes may hold one twice (RFC 9535 §2.1.2). */
function select(path: JSONPathQuery, tree: unknown, pointer: string): readonly Place[] {
  const places = new Map<string, Place>()
  try {
    // What was read from JSON or YAML and weighed is a JSON value.
    for (const { location, value } of path.lazyQuery(tree as JSONPathNode['value'])) {
      if (places.size >= limits.overlayMatches)
        throw overLimit(`An action of the overlay matches more than ${limits.overlayMatches} places (\`${pointer}\`).`)
      places.set(JSON.stringify(location), { location, value })
    }
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause
    throw wrong(pointer, `it cannot be evaluated (${firstLine(cause)}).`, cause)
  }
  return [...places.values()]
}

function sourceOf(source: JSONPathQuery, { root }: Draft, { pointer }: Action): unknown {
  const [place, second] = select(source, root, at(pointer, 'copy'))
  if (place === undefined || second !== undefined)
    throw wrong(
      at(pointer, 'copy'),
      `it must select one node, and selects ${place === undefined ? 'none' : 'several'}.`,
    )
  return place.value
}

// Changing places

/** Marks an element of an array that is taken out once all of them are known, so that no index shifts before. */
const gone = Symbol('gone')

/**
 * A tree in the making: what it was made of stays as it is. A container is copied when it is first written to, and
 * written to in place from then on, since nothing else refers to the copy.
 */
class Draft {
  #root: unknown
  readonly #own = new WeakSet<object>()

  constructor(root: unknown) {
    this.#root = root
  }

  get root(): unknown {
    return this.#root
  }

  set root(value: unknown) {
    this.#root = value
  }

  /** The container at a location, ready to be written to; undefined when it is no longer there. */
  open(location: Location): Node | unknown[] | undefined {
    let container = this.#ownCopy(this.#root)
    if (container === undefined) return undefined
    this.#root = container
    for (const key of location) {
      const child = this.#ownCopy(get(container, key))
      if (child === undefined) return undefined
      put(container, key, child)
      container = child
    }
    return container
  }

  #ownCopy(value: unknown): Node | unknown[] | undefined {
    if (!isNode(value) && !Array.isArray(value)) return undefined
    if (this.#own.has(value)) return value
    const copy = Array.isArray(value) ? value.slice() : { ...value }
    this.#own.add(copy)
    return copy
  }
}

const get = (container: Node | readonly unknown[], key: string | number): unknown =>
  Object.hasOwn(container, key) ? Reflect.get(container, key) : undefined

/** Defined, not assigned: a member may be called `__proto__`. */
const put = (container: object, key: string | number, value: unknown): void => {
  Object.defineProperty(container, key, { value, enumerable: true, configurable: true, writable: true })
}

function remove(draft: Draft, places: readonly Place[], pointer: string): void {
  const arrays = new Set<unknown[]>()
  for (const { location } of places) {
    const key = location.at(-1)
    if (key === undefined) throw wrong(pointer, 'the whole description cannot be removed.')
    const container = draft.open(location.slice(0, -1))
    if (container === undefined) continue
    if (!Array.isArray(container)) Reflect.deleteProperty(container, key)
    else {
      put(container, key, gone)
      arrays.add(container)
    }
  }
  for (const array of arrays) {
    const kept = array.filter((element) => element !== gone)
    array.length = 0
    for (const element of kept) array.push(element)
  }
}

function update(draft: Draft, places: readonly Place[], value: unknown, { pointer, change }: Action): void {
  const kinds = new Set(places.map((place) => kindOf(place.value)))
  if (kinds.size > 1) throw wrong(at(pointer, 'target'), 'it selects objects, lists and single values together.')
  const from = at(pointer, change.kind)
  for (const { location } of places) {
    const key = location.at(-1)
    if (key === undefined) {
      draft.root = atTarget(draft.root, value, from)
      continue
    }
    const container = draft.open(location.slice(0, -1))
    if (container !== undefined) put(container, key, atTarget(get(container, key), value, from))
  }
}

type Kind = 'an object' | 'a list' | 'a single value'

const kindOf = (value: unknown): Kind =>
  Array.isArray(value) ? 'a list' : isNode(value) ? 'an object' : 'a single value'

/** A selected list takes an entry too; anything else is as within (Overlay 1.1.0 §4.4.3). */
const atTarget = (target: unknown, value: unknown, pointer: string): unknown =>
  Array.isArray(target) && !Array.isArray(value) ? [...target, value] : merged(target, value, pointer)

/** Objects merge, lists are concatenated, single values replace each other; anything else does not fit. */
function merged(target: unknown, value: unknown, pointer: string): unknown {
  if (Array.isArray(target) && Array.isArray(value)) return target.concat(value)
  if (isNode(target) && isNode(value)) {
    const result = { ...target }
    for (const [key, child] of Object.entries(value))
      put(result, key, Object.hasOwn(target, key) ? merged(target[key], child, at(pointer, key)) : child)
    return result
  }
  if (kindOf(target) !== 'a single value' || kindOf(value) !== 'a single value')
    throw wrong(
      pointer,
      `it is ${kindOf(value)}, and would meet ${kindOf(target)} in the description. Remove that first.`,
    )
  return value
}

/**
 * The number of nodes as a walker would meet them: what aliases share counts at each of its places. Throws `over_limit`
 * beyond the bounds of a description, and so ends on a ring.
 */
function weigh(value: unknown, what: string): number {
  let nodes = 1
  const stack: [unknown, number][] = [[value, 0]]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [node, depth] = top
    if (typeof node !== 'object' || node === null) continue
    if (depth > limits.documentDepth) throw overLimit(`${what} is nested deeper than ${limits.documentDepth} levels.`)
    const children = Array.isArray(node) ? node : Object.values(node)
    nodes += children.length
    if (nodes > limits.documentNodes) throw overLimit(`${what} has more than ${limits.documentNodes} nodes.`)
    for (const child of children) if (typeof child === 'object' && child !== null) stack.push([child, depth + 1])
  }
  return nodes
}
