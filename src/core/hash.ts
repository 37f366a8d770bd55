/** Names made of content: short ones for tools and keys, longer ones for versions; none of them guards a secret. */
import { createHash } from 'node:crypto'

/** The first eight hexadecimal characters of the text’s SHA-256. */
export const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)

/** Sixteen hexadecimal characters of the SHA-256 over all parts. */
export function versionOf(parts: Iterable<Uint8Array>): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex').slice(0, 16)
}
