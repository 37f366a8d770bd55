/** What a model reads of an operation: title, description, tags. */
import { limits } from '../../core/limits.ts'
import { successes } from './responses.ts'
import type { References } from './refs.ts'
import { listAt, type Node, textAt } from './tree.ts'
import { bound, clean } from './words.ts'

export function titleOf(operation: Node): string | undefined {
  const title = bound(clean(textAt(operation, 'summary') ?? ''), limits.titleChars)
  return title === '' ? undefined : title
}

/**
 * Summary, then description, unless one says what the other does, then what success is where that says something; the
 * method and path where all are silent.
 */
export function describe(operation: Node, refs: References, label: string, chars: number): string {
  const summary = clean(textAt(operation, 'summary') ?? '')
  const description = clean(textAt(operation, 'description') ?? '')
  const both = description.startsWith(summary) || summary === '' ? description : `${summary}\n\n${description}`.trim()
  const words = bound((operation['deprecated'] === true ? `Deprecated. ${both}` : both).trim() || label, chars)
  const returns = returned(operation, refs)
  const whole = returns === '' || says(words, returns) ? words : `${words}\n\nReturns: ${returns}`
  return whole.length > chars ? words : whole
}

/** Words that every API says of every answer. */
const idle =
  /^(?:(?:an? |the )?(?:ok(?:ay)?|succe\w*|done|created|accepted|updated|deleted|default|expected|normal|empty|no content|resource|request|response|operation|result|returned|completed|retrieved|\d{3}|of|was|is|with|and|has been|status|code|http)[ .:,/!_-]*)+$/i

const returnsChars = 160

/** The first sentence of the first success, `summary` before `description` (OAS 3.2.0 §4.17), when it tells something. */
function returned(operation: Node, refs: References): string {
  const [first] = successes(operation, refs)
  const text = clean(textAt(first?.node, 'summary') ?? textAt(first?.node, 'description') ?? '')
  const sentence = text.split(/(?<=[.!?])\s|\n/, 1)[0] ?? ''
  const isTelling = sentence.split(' ').length > 2 && sentence.length <= returnsChars && !idle.test(sentence)
  return isTelling ? sentence : ''
}

const says = (words: string, sentence: string): boolean =>
  plain(words).includes(plain(sentence).replace(/^(?:returns?|a|an|the) /, ''))

const plain = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()

export const tagsOf = (operation: Node): { tags?: readonly string[] } => {
  const tags = listAt(operation, 'tags').filter((tag) => typeof tag === 'string')
  return tags.length === 0 ? {} : { tags }
}
