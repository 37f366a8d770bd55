/** Bytes → a checked OpenAPI document. YAML and JSON, whatever version; bounded in bytes, nodes, depth and aliases. */
import { isUtf8 } from 'node:buffer'
import SwaggerParser from '@apidevtools/swagger-parser'
import type { OpenAPI } from 'openapi-types'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Issue } from '../adapter.ts'
import { applyOverlay } from './overlay.ts'
import { isNode, type Node, nodeAt } from './tree.ts'
import { firstLine, parseYaml } from './yaml.ts'

export type Dialect = '2.0' | '3.0' | '3.1' | '3.2'

export interface Document {
  readonly root: Node
  readonly dialect: Dialect
}

const refuse = (words: string, cause?: unknown): GatewayError => new GatewayError('bad_description', { words, cause })

/**
 * Reads a description and applies overlays to it. Throws `bad_description` or `over_limit` with the reason; lesser
 * faults go to `issues`.
 */
export async function readDocument(
  bytes: Uint8Array,
  issues: Issue[],
  overlays: readonly { readonly name: string; readonly bytes: Uint8Array }[] = [],
): Promise<Document> {
  let root = readTree(bytes, issues)
  for (const overlay of overlays) root = applyOverlay(root, readTree(overlay.bytes, issues), issues)
  const dialect = dialectOf(root)
  await checkHeader(root, dialect, issues)
  return { root, dialect }
}

/** A bounded tree of YAML or JSON. */
function readTree(bytes: Uint8Array, issues: Issue[]): Node {
  if (bytes.byteLength > limits.documentBytes)
    throw new GatewayError('over_limit', { words: `The description is larger than ${limits.documentBytes} bytes.` })
  const root = parse(decode(bytes), issues)
  if (!isNode(root)) throw refuse('The description is not an object.')
  checkSize(root)
  return root
}

/** RFC 8259 §8.1 asks for UTF-8; a byte order mark of UTF-8 or UTF-16 is honoured, anything else is refused. */
function decode(bytes: Uint8Array): string {
  const [a, b] = bytes
  if (a === 0x1f && b === 0x8b) throw refuse('The description is compressed (gzip). Unpack it first.')
  if (a === 0xff && b === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (a === 0xfe && b === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  if (!isUtf8(bytes)) throw refuse('The description is not UTF-8 text.')
  const text = new TextDecoder('utf-8').decode(bytes)
  if (text.trim() === '') throw refuse('The description is empty.')
  if (/^\s*<(?:!doctype|html|\?xml)/i.test(text)) throw refuse('The description is a web page or XML, not OpenAPI.')
  return text
}

function parse(text: string, issues: Issue[]): unknown {
  if (/^\s*[{[]/.test(text)) {
    try {
      return JSON.parse(text)
    } catch (cause) {
      if (hasComments(text))
        throw refuse('The description is JSON with comments, which JSON has not (RFC 8259). Take them out.', cause)
      // Flow-style YAML begins the same way; when that fails too, the JSON parser's words are the better ones.
      try {
        return parseYaml(text, issues)
      } catch (second) {
        if (second instanceof GatewayError && second.code === 'over_limit') throw second
        throw refuse(`The description is not valid JSON: ${firstLine(cause)}`, cause)
      }
    }
  }
  return parseYaml(text, issues)
}

/** Outside quotations, at a line's beginning or behind what JSON is made of. */
const hasComments = (text: string): boolean =>
  /(?:^|[,{}[\]"\w])[ \t]*\/[/*]/m.test(text.replace(/"(?:[^"\\]|\\.)*"/g, '""'))

/** Counts nodes as a walker would meet them: an alias that stands for a thousand nodes counts a thousand (F9). */
function checkSize(root: Node): void {
  let nodes = 0
  const stack: [unknown, number][] = [[root, 0]]
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [value, depth] = top
    if (typeof value !== 'object' || value === null) continue
    if (depth > limits.documentDepth) throw overNodes(`is nested deeper than ${limits.documentDepth} levels`)
    const children = Array.isArray(value) ? value : Object.values(value)
    nodes += children.length + 1
    if (nodes > limits.documentNodes) throw overNodes(`has more than ${limits.documentNodes} nodes`)
    for (const child of children) if (typeof child === 'object' && child !== null) stack.push([child, depth + 1])
  }
}

const overNodes = (what: string): GatewayError => new GatewayError('over_limit', { words: `The description ${what}.` })

function dialectOf(root: Node): Dialect {
  const named = root['openapi'] ?? root['swagger']
  const version = typeof named === 'string' || typeof named === 'number' ? String(named).trim() : ''
  if (root['openapi'] === undefined && /^2(?:\.0)*$/.test(version)) return '2.0'
  const minor = /^3\.(\d+)/.exec(version)?.[1]
  if (minor === '0' || minor === '1' || minor === '2') return `3.${minor}`
  if (version === '3') return '3.0'
  if (version === '') throw refuse('The description names neither an `openapi` nor a `swagger` version.')
  throw refuse('This version of the description is not one of Swagger 2.0 and OpenAPI 3.0, 3.1, 3.2.')
}

/** What the parser knows of each line, so that a patch release or a number in place of a string refuses no document. */
const knownVersion: Record<Dialect, string> = { '2.0': '2.0', '3.0': '3.0.4', '3.1': '3.1.1', '3.2': '3.1.1' }

/**
 * The structural check of `@apidevtools/swagger-parser`, with its resolvers off: it opens no file and no connection.
 * Its verdict is a warning, since an operation may well be usable in a document that is not valid as a whole.
 */
async function checkHeader(root: Node, dialect: Dialect, issues: Issue[]): Promise<void> {
  const paths = root['paths']
  if (paths !== undefined && paths !== null && !isNode(paths)) throw refuse('`paths` is not an object.')
  const version = knownVersion[dialect]
  const header = {
    ...(dialect === '2.0' ? { swagger: version } : { openapi: version }),
    info: { title: '', version: '', ...textsOf(nodeAt(root, 'info')) },
    paths: paths ?? (root['webhooks'] === undefined ? undefined : {}),
  }
  try {
    await SwaggerParser.parse(header as OpenAPI.Document, { resolve: { external: false } })
  } catch (cause) {
    issues.push({ severity: 'warning', code: 'invalid_document', pointer: '', message: firstLine(cause) })
  }
}

const textsOf = (info: Node | undefined): { [key: string]: string } =>
  Object.fromEntries(Object.entries(info ?? {}).map(([key, value]) => [key, String(value)]))
