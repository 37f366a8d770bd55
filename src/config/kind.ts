/** Which adapter reads a description: by what the configuration says of the target, and by what the bytes show. */
import type { adapters } from '../registry.ts'
import type { TargetConfig } from './schema.ts'

export type Kind = keyof typeof adapters

/** A JSON object or list that says so itself; anything else is for the OpenAPI reader, whose errors tell what was expected. */
export function kindOf(bytes: Uint8Array, { mcp, smithy }: TargetConfig): Kind {
  if (mcp !== undefined) return 'mcp'
  if (smithy !== undefined) return 'smithy'
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const first = text
    .subarray(0, 256)
    .toString('latin1')
    .replace(/^(?:\xef\xbb\xbf)?\s*/, '')[0]
  if (first === '[') return 'lambda'
  if (first !== '{') return 'openapi'
  if (isSmithy(text)) return 'smithy'
  if (text.includes('"openapi"') || text.includes('"swagger"')) return 'openapi'
  return ['"tools"', '"function"', '"toolSchema"'].some((word) => text.includes(word)) ? 'lambda' : 'openapi'
}

/** Texts anywhere in a description may hold the word, so its version has to be beside it. */
const isSmithy = (text: Buffer): boolean =>
  text.includes('"smithy"') && text.includes('"shapes"') && /"smithy"\s*:\s*"[12]/.test(text.toString('latin1'))
