/** Which adapter reads a description: by what the configuration says of the target, and by what the bytes show. */
import { GatewayError } from '../core/errors.ts'
import type { adapters } from '../registry.ts'
import type { TargetConfig } from './schema.ts'

export type Kind = keyof typeof adapters

/** How a file says that it is a list of a function’s tools. */
export const lambdaFile = /\.lambda\.json$/i

/**
 * A JSON object or list that says so itself; anything else is for the OpenAPI reader, whose errors tell what was expected.
 * Throws `bad_description` for a list of a function’s tools that nobody here called one: functions are invoked as the
 * gateway itself, without a credential of the configuration, and a description of somebody else’s API may turn into
 * anything. Whoever only looks at a file that he names may look at that, too.
 */
export function kindOf(bytes: Uint8Array, { mcp, smithy, lambda }: TargetConfig, path: string, isLook: boolean): Kind {
  const kind = sniffed(bytes, { mcp, smithy })
  if (kind !== 'lambda' || lambda !== undefined || lambdaFile.test(path) || isLook) return kind
  throw new GatewayError('bad_description', {
    words:
      'It is a list of a Lambda function’s tools. Such a list is called NAME.lambda.json, or belongs to a target that the configuration gives a `lambda`.',
  })
}

function sniffed(bytes: Uint8Array, { mcp, smithy }: Pick<TargetConfig, 'mcp' | 'smithy'>): Kind {
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

/** What the configuration alone says of a target that has no tools yet. */
export const kindSaid = ({ mcp, smithy, lambda }: TargetConfig): Kind => {
  if (mcp !== undefined) return 'mcp'
  if (smithy !== undefined) return 'smithy'
  return lambda === undefined ? 'openapi' : 'lambda'
}
