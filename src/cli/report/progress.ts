/** One line on a terminal that says how far a long command is; nothing in a pipe. */
import type { WriteStream } from 'node:tty'

export interface Progress {
  at(words: string): void
  /** Takes the line away, before anything else is printed. */
  clear(): void
}

export function progressOn(stream: WriteStream): Progress {
  if (!stream.isTTY) return { at: () => undefined, clear: () => undefined }
  return {
    at: (words) => void stream.write(`\r\u001B[K${words.slice(0, Math.max(stream.columns - 1, 20))}`),
    clear: () => void stream.write('\r\u001B[K'),
  }
}
