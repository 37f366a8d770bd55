/** Short, stable names for long things; not for secrets. */
import { createHash } from 'node:crypto'

/** The first eight hexadecimal characters of the text’s SHA-256. */
export const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 8)
