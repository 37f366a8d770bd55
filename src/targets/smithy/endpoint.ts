/**
 * Where a service is: the endpoint rules of its model (Smithy 2.0 §Rules engine), as a tree or as a decision diagram,
 * evaluated for a region without dual stack and FIPS. Bounded in steps and in the length of texts; a function that is
 * not known here ends it without an answer.
 */
import { limits } from '../../core/limits.ts'
import { isNode, listAt, member as own, type Node, nodeAt, textAt } from '../openapi/tree.ts'
import { encode } from '../openapi/encode.ts'
import { partitionOf } from './partition.ts'

interface Endpoint {
  readonly url: string
  /** Of the `sigv4` scheme that the rules name, where they do. */
  readonly signingName?: string
  readonly signingRegion?: string
}

/** What the rules come to: an endpoint, the rules' own words for why there is none, or nothing. */
export type Verdict = Endpoint | { readonly error: string } | undefined

type Scope = Map<string, unknown>

class Unknown extends Error {}

/** `rules`: an `endpointRuleSet` or an `endpointBdd`. `builtIns` by name; other parameters have their defaults. */
export function evaluateRules(rules: Node, builtIns: ReadonlyMap<string, unknown>): Verdict {
  const scope: Scope = new Map()
  for (const [name, parameter] of Object.entries(nodeAt(rules, 'parameters') ?? {}))
    scope.set(name, builtIns.get(textAt(parameter, 'builtIn') ?? '') ?? own(parameter, 'default'))
  const evaluation = new Evaluation()
  try {
    const nodes = textAt(rules, 'nodes')
    return nodes === undefined
      ? evaluation.first(listAt(rules, 'rules'), scope)
      : evaluation.walk(rules, Buffer.from(nodes, 'base64'), scope)
  } catch (error) {
    if (error instanceof Unknown) return undefined
    throw error
  }
}

class Evaluation {
  #steps = 0

  /** The first rule whose conditions hold; a tree that begins to hold decides. */
  first(rules: readonly unknown[], outer: Scope): Verdict {
    for (const rule of rules) {
      const scope: Scope = new Map(outer)
      if (!listAt(rule, 'conditions').every((condition) => this.#holds(condition, scope))) continue
      return Array.isArray(own(rule, 'rules')) ? this.first(listAt(rule, 'rules'), scope) : this.#result(rule, scope)
    }
    return undefined
  }

  /** From node to node, each a condition and where to go by its outcome, until a result (§BDD evaluation). */
  walk(rules: Node, nodes: Buffer, scope: Scope): Verdict {
    const conditions = listAt(rules, 'conditions')
    const root = own(rules, 'root')
    let reference = typeof root === 'number' && Number.isSafeInteger(root) ? root : 0
    while (Math.abs(reference) > 1 && reference < firstResult) {
      const place = (Math.abs(reference) - 1) * nodeBytes
      if (place + nodeBytes > nodes.length) throw new Unknown()
      const holds = this.#holds(conditions[nodes.readInt32BE(place)], scope)
      const isComplement = reference < 0
      reference = nodes.readInt32BE(place + (holds === isComplement ? 8 : 4))
    }
    return this.#result(listAt(rules, 'results')[reference - firstResult], scope)
  }

  #result(rule: unknown, scope: Scope): Verdict {
    const error = own(rule, 'error')
    if (error !== undefined) return { error: String(this.#value(error, scope)).slice(0, 200) }
    const endpoint = nodeAt(rule, 'endpoint')
    return endpoint === undefined ? undefined : this.#endpoint(endpoint, scope)
  }

  #endpoint(endpoint: Node, scope: Scope): Verdict {
    const url = this.#value(endpoint['url'], scope)
    if (typeof url !== 'string') return undefined
    const schemes = listAt(nodeAt(endpoint, 'properties'), 'authSchemes')
    const scheme = schemes.find((each) => textAt(each, 'name') === 'sigv4')
    const name = textAt(scheme, 'signingName')
    const region = textAt(scheme, 'signingRegion')
    return {
      url,
      ...(name === undefined ? {} : { signingName: this.#template(name, scope) }),
      ...(region === undefined ? {} : { signingRegion: this.#template(region, scope) }),
    }
  }

  /** Neither absent nor false; what it comes to may be kept under a name. */
  #holds(condition: unknown, scope: Scope): boolean {
    const value = this.#call(condition, scope)
    const name = textAt(condition, 'assign')
    if (name !== undefined) scope.set(name, value)
    return value !== undefined && value !== false
  }

  #value(expression: unknown, scope: Scope): unknown {
    this.#step()
    if (typeof expression === 'string') return this.#template(expression, scope)
    if (Array.isArray(expression)) return expression.map((item) => this.#value(item, scope))
    if (!isNode(expression)) return expression
    const reference = textAt(expression, 'ref')
    return reference === undefined ? this.#call(expression, scope) : scope.get(reference)
  }

  /** `{Region}`, `{Partition#dnsSuffix}`; doubled braces are braces. */
  #template(text: string, scope: Scope): string {
    if (text.length > limits.urlBytes) throw new Unknown()
    const filled = text.replace(/\{\{|\}\}|\{([^{}]{1,200})\}/g, (whole, inside: string | undefined) => {
      if (inside === undefined) return whole.charAt(0)
      const [name = '', path] = inside.split('#', 2)
      const value = path === undefined ? scope.get(name) : attribute(scope.get(name), path)
      if (typeof value !== 'string') throw new Unknown()
      return value
    })
    if (filled.length > limits.urlBytes) throw new Unknown()
    return filled
  }

  #step(): void {
    if (++this.#steps > limits.endpointSteps) throw new Unknown()
  }

  #call(expression: unknown, scope: Scope): unknown {
    this.#step()
    const args = listAt(expression, 'argv').map((argument) => this.#value(argument, scope))
    const name = textAt(expression, 'fn')
    const known = name === undefined ? undefined : functions.get(name)
    if (known === undefined) throw new Unknown()
    return known(args)
  }
}

/** Three integers of 32 bits, big-endian: a condition, the node after it if it holds, and the one if not. */
const nodeBytes = 12

/** References from here on are results. */
const firstResult = 100_000_000

const isSet = (value: unknown): boolean => value !== undefined && value !== null

/** §Rules engine's standard library, and of AWS's what a service without buckets needs. */
const functions: ReadonlyMap<string, (args: readonly unknown[]) => unknown> = new Map<
  string,
  (args: readonly unknown[]) => unknown
>([
  ['isSet', ([value]) => isSet(value)],
  ['not', ([value]) => value === false],
  ['booleanEquals', ([a, b]) => a === b],
  ['stringEquals', ([a, b]) => a === b],
  ['getAttr', ([value, path]) => (typeof path === 'string' ? attribute(value, path) : undefined)],
  ['isValidHostLabel', ([text, dots]) => isHostLabel(text, dots === true)],
  ['coalesce', (values) => values.find(isSet)],
  ['ite', ([condition, yes, no]) => (condition === true ? yes : no)],
  ['substring', ([text, start, end, reverse]) => substring(text, start, end, reverse === true)],
  ['uriEncode', ([text]) => (typeof text === 'string' && text.isWellFormed() ? encode(text) : undefined)],
  ['aws.partition', ([region]) => (typeof region === 'string' ? partitionOf(region) : undefined)],
])

/** `a.b[0]`. */
function attribute(value: unknown, path: string): unknown {
  let found = value
  for (const step of path.split('.')) {
    const [, name = '', index] = /^([^[\]]*)(?:\[(\d{1,6})\])?$/.exec(step) ?? []
    if (name !== '') found = own(found, name)
    if (index !== undefined) found = Array.isArray(found) ? found[Number(index)] : undefined
  }
  return found
}

const isHostLabel = (text: unknown, dots: boolean): boolean =>
  typeof text === 'string' &&
  text.length <= 253 &&
  (dots ? text.split('.') : [text]).every((label) => /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(label))

function substring(text: unknown, start: unknown, end: unknown, reverse: boolean): string | undefined {
  if (typeof text !== 'string' || typeof start !== 'number' || typeof end !== 'number') return undefined
  if (start >= end || text.length < end || /\P{ASCII}/u.test(text)) return undefined
  return reverse ? text.slice(text.length - end, text.length - start) : text.slice(start, end)
}
