/**
 * A stage's export → the description of a target: what can be no tool is left out, and so is everything that API
 * Gateway's extensions tell of what is behind the stage (addresses, roles, mappings, which may hold keys).
 */
import { toSelector } from '../../catalogue/pattern.ts'
import { GatewayError } from '../../core/errors.ts'
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { shown } from './words.ts'

/** How a method is guarded: signed by IAM, by an API key, or by an authorizer (Cognito, or a function of their own). */
export type Guard = 'iam' | 'apiKey' | 'authorizer'

export interface Stage {
  readonly bytes: Uint8Array
  /** Methods that are tools by `include`, as `METHOD /path`. */
  readonly chosen: ReadonlyMap<string, ReadonlySet<Guard>>
  readonly warnings: readonly string[]
}

/** An export as it was parsed. */
export interface Node {
  readonly [member: string]: unknown
}

const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch'] as const
const extension = 'x-amazon-apigateway-'
const anyMethod = `${extension}any-method`

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value)
const nodeAt = (owner: unknown, member: string): Node => {
  const value = isNode(owner) && Object.hasOwn(owner, member) ? owner[member] : undefined
  return isNode(value) ? value : {}
}

/** What is left out of the description, and why. */
class LeftOut {
  readonly #paths = new Map<string, string[]>()

  note(why: string, label: string): void {
    const labels = this.#paths.get(why)
    if (labels === undefined) this.#paths.set(why, [label])
    else labels.push(label)
  }

  warnings(): string[] {
    return [...this.#paths].map(([why, labels]) => {
      const more = labels.length > limits.remarksShown ? ` and ${labels.length - limits.remarksShown} more` : ''
      return `${labels.slice(0, limits.remarksShown).map(shown).join(', ')}${more}: left out, ${why}`
    })
  }
}

/** Throws `bad_description` and `over_limit`. */
export function parseExport(bytes: Uint8Array): Node {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  if (nestsDeeper(text, limits.documentDepth))
    throw new GatewayError('over_limit', { words: `The export is nested deeper than ${limits.documentDepth}.` })
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (cause) {
    throw new GatewayError('bad_description', { words: 'What API Gateway exported is not JSON.', cause })
  }
  if (!isNode(document) || typeof document['openapi'] !== 'string')
    throw new GatewayError('bad_description', { words: 'What API Gateway exported is no OpenAPI 3 description.' })
  return document
}

/** What the API is called. */
export function titleOf(document: Node): string {
  const title = nodeAt(document, 'info')['title']
  return typeof title === 'string' ? title : ''
}

/** `server` is where the stage is, `include` that of the target. */
export function readStage(document: Node, server: string, include: readonly string[]): Stage {
  const reader = createReader(document, include)
  const paths = Object.fromEntries(
    Object.entries(nodeAt(document, 'paths')).flatMap(([path, item]) => {
      const kept = reader.item(path, item)
      return kept === undefined ? [] : [[path, kept]]
    }),
  )
  const text = JSON.stringify(
    { ...document, servers: [{ url: server }], paths },
    (key: string, value: unknown) => (key.startsWith(extension) ? undefined : value),
    2,
  )
  return { bytes: Buffer.from(`${text}\n`), chosen: reader.chosen, warnings: reader.left.warnings() }
}

function createReader(document: Node, include: readonly string[]) {
  const guardsOf = guardReader(document)
  const isChosen = toSelector({ include, exclude: [] })
  const named = include.filter((pattern) => !pattern.startsWith('* '))
  const isNamed = toSelector({ include: named, exclude: [] })
  /** Whether a filter asks for this very method. */
  const names = (label: string): boolean => named.length > 0 && isNamed({ id: '', label })
  const chosen = new Map<string, ReadonlySet<Guard>>()
  const left = new LeftOut()

  const operation = (label: string, found: Node): Node | undefined => {
    const guards = guardsOf(found)
    const isTool = isChosen({ id: '', label })
    if (guards.has('iam') && guards.has('apiKey')) {
      if (isTool) left.note('since IAM’s signature and an API key are wanted, and a target has one credential.', label)
      return undefined
    }
    if (isTool) chosen.set(label, guards)
    return without(found, ['servers'])
  }

  /** The methods of a path, those that only `ANY` stands for where a filter asks for them. */
  const operations = (path: string, item: Node): [method: string, operation: Node][] => {
    const any = item[anyMethod]
    return methods.flatMap((method) => {
      const label = `${method.toUpperCase()} ${path}`
      const own = Object.hasOwn(item, method) ? item[method] : undefined
      const found = own ?? (isNode(any) && names(label) ? without(any, ['operationId']) : undefined)
      // of preflight requests, which browsers make
      if (!isNode(found) || (method === 'options' && !names(label))) return []
      const made = operation(label, found)
      return made === undefined ? [] : [[method, made]]
    })
  }

  return {
    chosen,
    left,
    /** A path with what of it can be tools. */
    item(path: string, item: unknown): Node | undefined {
      if (!isNode(item)) return undefined
      const labels = methods.map((method) => `${method.toUpperCase()} ${path}`)
      const isMeant = labels.some((label) => isChosen({ id: '', label }))
      if (path.includes('+}')) {
        if (isMeant) left.note('since what is behind a {proxy+} is not told. Describe it in a file of your own.', path)
        return undefined
      }
      if (isNode(item[anyMethod]) && isMeant && !labels.some(names))
        left.note('since any method will do. Name those wanted, such as --filter "/path:GET,POST".', `ANY ${path}`)
      const kept = operations(path, item)
      const rest = without(item, ['servers', anyMethod, ...methods])
      return kept.length === 0 ? undefined : { ...rest, ...Object.fromEntries(kept) }
    },
  }
}

const without = (owner: Node, members: readonly string[]): Node =>
  Object.fromEntries(Object.entries(owner).filter(([member]) => !members.includes(member)))

/** By the security schemes of the export. API Gateway lists what a method wants as alternatives, and wants all of it. */
function guardReader(document: Node): (operation: Node) => ReadonlySet<Guard> {
  const schemes = nodeAt(nodeAt(document, 'components'), 'securitySchemes')
  const kinds = new Map(Object.entries(schemes).map(([name, scheme]) => [name, guardOf(scheme)]))
  return (operation) => {
    const security = operation['security'] ?? document['security']
    const names = Array.isArray(security) ? security.filter(isNode).flatMap((one) => Object.keys(one)) : []
    const found = new Set(names.flatMap((name) => kinds.get(name) ?? []))
    if (nodeAt(operation, `${extension}auth`)['type'] === 'AWS_IAM') found.add('iam')
    return found
  }
}

function guardOf(scheme: unknown): Guard {
  const { [`${extension}authtype`]: authType, type, in: place, name } = isNode(scheme) ? scheme : {}
  if (authType === 'awsSigv4') return 'iam'
  const isKey = type === 'apiKey' && place === 'header' && typeof name === 'string' && /^x-api-key$/i.test(name)
  return isKey && authType === undefined ? 'apiKey' : 'authorizer'
}
