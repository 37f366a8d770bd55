/** The part of a JSON answer that an agent needs: by a JMESPath expression, or by JSON Pointers (RFC 6901). */
import { search } from '@aws-lambda-powertools/jmespath'
import { limits } from '../../core/limits.ts'
import type { Json } from '../../core/model.ts'

type Select = string | readonly string[]

/** Why a selection cannot be one; nothing when it can. */
export function selectFault(select: Select): string | undefined {
  if (typeof select !== 'string')
    return select.every((pointer) => pointer === '' || pointer.startsWith('/'))
      ? undefined
      : 'a JSON Pointer is empty or begins with a slash'
  try {
    search(select, {})
    return undefined
  } catch (cause) {
    // A function may refuse what an empty object holds; what cannot be parsed is wrong whatever it is given.
    if (cause instanceof Error && cause.name === 'JMESPathTypeError') return undefined
    return `is not a JMESPath expression: ${cause instanceof Error ? cause.message.slice(0, 200) : ''}`
  }
}

/** `undefined` when the expression cannot be applied to this answer. */
export function selectFrom(value: Json, select: Select): Json | undefined {
  if (typeof select !== 'string') return keep(value, select.map(tokensOf), 0)
  try {
    return (search(select, value) as Json | undefined) ?? null
  } catch {
    return undefined
  }
}

const tokensOf = (pointer: string): readonly string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))

/** Keeps the shape: objects with the members named, lists with each of their items treated the same. */
function keep(value: Json, paths: readonly (readonly string[])[], depth: number): Json {
  if (typeof value !== 'object' || value === null || depth > limits.answerDepth) return value
  if (paths.some((path) => path.length === 0)) return value
  if (Array.isArray(value)) {
    const chosen = new Set(paths.map(([token]) => token))
    const indexed = [...chosen].every((token) => /^(?:0|[1-9]\d*)$/.test(token ?? ''))
    return indexed
      ? value.flatMap((item, index) =>
          chosen.has(String(index)) ? [keep(item, behind(paths, String(index)), depth + 1)] : [],
        )
      : value.map((item) => keep(item, paths, depth + 1))
  }
  const kept: { [key: string]: Json } = {}
  for (const [key, item] of Object.entries(value)) {
    const inner = behind(paths, key)
    if (inner.length > 0 && key !== '__proto__') kept[key] = keep(item, inner, depth + 1)
  }
  return kept
}

const behind = (paths: readonly (readonly string[])[], token: string): (readonly string[])[] =>
  paths.filter(([first]) => first === token).map((path) => path.slice(1))
