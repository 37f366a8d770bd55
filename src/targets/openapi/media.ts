/** Media types of request bodies: which one is sent, and what kind of writing it asks for. */
import type { BodyKind } from './binding.ts'
import type { Warn } from './schema.ts'
import { essence, isJsonType, isSequence } from './tree.ts'

/** Texts that are registered under `application`. */
const texts = new Set([
  'csv',
  'ecmascript',
  'graphql',
  'javascript',
  'jose',
  'jwt',
  'n-quads',
  'n-triples',
  'sparql-query',
  'sparql-update',
  'sql',
  'toml',
  'trig',
  'typescript',
  'x-javascript',
  'x-sh',
  'xml-dtd',
])

/** The kind of a media type without parameters. */
export function kindOf(type: string): BodyKind {
  if (isSequence(type)) return 'lines'
  if (isJsonType(type) || looseJson.test(type)) return 'json'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  if (type.startsWith('multipart/')) return 'multipart'
  if (type === 'application/xml' || type === 'text/xml' || type.endsWith('+xml')) return 'xml'
  return type.startsWith('text/') || isApplicationText(type) ? 'text' : 'binary'
}

/** Ranges that JSON is in, and what people write for it. */
const looseJson = /^(?:\*\/\*|application\/\*|[\w*.-]+\/\*\+json|application\/x-json|application\/[\w.-]+\.json|json)$/

/** A text whose media type does not begin with `text/`. */
export const isApplicationText = (type: string): boolean =>
  /[/+](?:x-)?yaml$/.test(type) || (type.startsWith('application/') && texts.has(type.slice('application/'.length)))

/** A media type as the description has it: its key under `content`, and what is sent for it. */
export interface Chosen {
  readonly key: string
  readonly type: string
}

/** What the configuration asks for; JSON first otherwise, since it says most; then the description's own first choice. */
export function chooseType(
  types: readonly string[],
  asked: string | undefined,
  warn: Warn,
  pointer: string,
): Chosen | undefined {
  const named = asked === undefined ? undefined : essence(asked)
  const exact = types.find((type) => essence(type) === named)
  if (exact !== undefined) return { key: exact, type: firstOf(exact) }
  if (named !== undefined && asked !== undefined && types.length > 0) {
    const range = types.find((type) => isWithin(named, essence(type)))
    if (range !== undefined) return { key: range, type: asked }
    warn(
      'content_type',
      pointer,
      `The body is not described as ${named}; ${types.map(essence).join(', ')} can be chosen.`,
    )
  }
  const kind = (type: string): BodyKind => kindOf(essence(firstOf(type)))
  const key =
    types.find((type) => essence(type) === 'application/json') ??
    types.find((type) => isJsonType(essence(type))) ??
    types.find((type) => kind(type) !== 'binary') ??
    types[0]
  return key === undefined ? undefined : { key, type: firstOf(key) }
}

/** Of several media types in one text, the first. */
const firstOf = (type: string): string => (type.includes('"') ? type : (type.split(',', 1)[0] ?? ''))

/** Whether a media type is one of a range such as `image/*` (RFC 9110 §12.5.1) or `application/*+json`. */
function isWithin(type: string, range: string): boolean {
  const [prefix, suffix, ...more] = range.split('*')
  if (range === '*/*') return true
  return (
    suffix !== undefined &&
    more.length === 0 &&
    range.includes('/*') &&
    type.startsWith(prefix ?? '') &&
    type.endsWith(suffix)
  )
}

export const isMediaType = (type: string): boolean =>
  /^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+(?: *; *[\w!#$&^.+-]+=(?:[\w!#$&^.+-]+|"[^"\\\r\n]*"))*$/.test(type.trim())

/** What is sent for a range of media types, and for what is no media type at all. */
export function concrete(type: string, isBinary: () => boolean): string {
  const plain = essence(type)
  if (plain === 'json') return 'application/json'
  if (!isMediaType(type)) return 'application/octet-stream'
  if (!plain.includes('*')) return type.trim()
  if (kindOf(plain) === 'text') return 'text/plain'
  return kindOf(plain) === 'json' && !isBinary() ? 'application/json' : 'application/octet-stream'
}
