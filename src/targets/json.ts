/** Descriptions that are JSON: bytes that nobody vouches for → a value, with the place of what is wrong. */
import { GatewayError } from '../core/errors.ts'
import { nestsDeeper } from '../core/json.ts'
import { limits } from '../core/limits.ts'

/** Throws `bad_description` for what is not UTF-8, nested too deeply, or not JSON. */
export function readJson(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new GatewayError('bad_description', { words: 'It is not UTF-8.', cause })
  }
  if (nestsDeeper(text, limits.answerDepth))
    throw new GatewayError('bad_description', { words: `It is nested deeper than ${limits.answerDepth}.` })
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new GatewayError('bad_description', { words: `It is not JSON${placeOf(cause, text)}.`, cause })
  }
}

/** V8 tells the position of a fault, in characters. */
function placeOf(cause: unknown, text: string): string {
  const position = cause instanceof Error ? /at position (\d+)/.exec(cause.message)?.[1] : undefined
  if (position === undefined) return ''
  const before = text.slice(0, Number(position)).split('\n')
  return `: line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`
}
