/** The program's version. */
import { readFileSync } from 'node:fs'

/** As in `package.json`, which lies beside `src` and beside `dist`. */
export const version = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
