/** Reading a parsed document without trusting its shape: own members only, the type that was asked for or nothing. */

export type Node = { readonly [key: string]: unknown }

export const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** An own member; `constructor` and its like are never found on the prototype. */
export const member = (node: unknown, key: string): unknown =>
  isNode(node) && Object.hasOwn(node, key) ? node[key] : undefined

export const nodeAt = (node: unknown, key: string): Node | undefined => {
  const value = member(node, key)
  return isNode(value) ? value : undefined
}

export const listAt = (node: unknown, key: string): readonly unknown[] => {
  const value = member(node, key)
  return Array.isArray(value) ? value : []
}

export const textAt = (node: unknown, key: string): string | undefined => {
  const value = member(node, key)
  return typeof value === 'string' ? value : undefined
}

/** RFC 6901 §3: one reference token. */
const escapeToken = (token: string): string => token.replaceAll('~', '~0').replaceAll('/', '~1')

/** A reference token of a URL's fragment (RFC 6901 §6); the token itself where it does not decode. */
export const decodeToken = (token: string): string => {
  try {
    return decodeURIComponent(token).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return token
  }
}

export const at = (pointer: string, ...tokens: readonly (string | number)[]): string =>
  tokens.reduce<string>((path, token) => `${path}/${escapeToken(String(token))}`, pointer)

/** Media types are compared without parameters and case (RFC 9110 §8.3.1). */
export const essence = (mediaType: string): string => (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase()

/** Sequences of JSON values, one a line (OAS 3.2.0 §4.14.2, sequential media types). */
export const isSequence = (type: string): boolean =>
  /^application\/(?:x-)?(?:ndjson|jsonl|jsonlines|json-lines)$/.test(type) || /[/+]json-seq$/.test(type)

export const isJsonType = (type: string): boolean =>
  type === 'application/json' || type === 'text/json' || /^[\w.-]+\/[\w.+-]*\+json$/.test(type)
