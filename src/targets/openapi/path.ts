/** A path template as literal text and parameters in turn. */
import { GatewayError } from '../../core/errors.ts'
import type { RawParameter } from './parameters.ts'
import type { Warn } from './schema.ts'

export interface Template {
  /** Even places: text, percent-encoded. Odd places: a path parameter’s name. */
  readonly parts: readonly string[]
  /** The parameters, without path parameters that the template lacks, with those that only the template has. */
  readonly parameters: readonly RawParameter[]
}

/** Throws `bad_description` for a path that could leave its place under the server: dot segments, `//` in front. */
export function template(path: string, raw: readonly RawParameter[], warn: Warn, pointer: string): Template {
  const [whole = ''] = path.split('#', 1)
  if (whole !== path) warn('fragment', pointer, 'A fragment is never sent to a server; it is left out of the path.')
  const parts = whole.split(/\{([^{}]+)\}/)
  checkSegments(parts)
  const named = new Set(parts.filter((_, index) => index % 2 === 1))
  const parameters = raw.filter((parameter) => {
    if (parameter.in !== 'path' || named.has(parameter.name)) return true
    warn('unused_parameter', parameter.pointer, 'The path has no place for this path parameter; it is left out.')
    return false
  })
  const declared = new Set(parameters.filter(({ in: place }) => place === 'path').map(({ name }) => name))
  for (const name of named) {
    if (declared.has(name)) continue
    warn('undeclared_parameter', pointer, 'The path names a parameter that is not declared; a string is taken.')
    const node = { name, in: 'path', required: true, schema: { type: 'string' }, type: 'string' }
    parameters.push({ node, name, in: 'path', pointer })
  }
  return { parts: parts.map((part, index) => (index % 2 === 0 ? encodeLiteral(part) : part)), parameters }
}

function checkSegments(parts: readonly string[]): void {
  const shape = parts.map((part, index) => (index % 2 === 0 ? part : 'x')).join('')
  const [pathOnly = ''] = shape.split('?', 1)
  if (pathOnly.startsWith('//') || pathOnly.includes('\\'))
    throw new GatewayError('bad_description', { words: 'its path would name another host.' })
  for (const segment of pathOnly.split('/')) {
    if (/^(?:\.|%2e){1,2}$/i.test(segment))
      throw new GatewayError('bad_description', { words: 'its path has a dot segment.' })
  }
}

/** RFC 3986 §3.3: what a path may not hold as it is gets encoded; triples that are there stay. */
const encodeLiteral = (text: string): string =>
  text
    .toWellFormed()
    .replace(/%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]/gu, (char) => encodeURIComponent(char))
