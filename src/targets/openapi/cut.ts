/** Text held to a bound: a JSON list is cut between its items and stays JSON, anything else is cut where it must. */
import type { Content } from '../../core/model.ts'

/** The text as content within `charsMax` characters, what was left out announced. `cut`: it is not whole to begin with. */
export function boundedContent(text: string, cut: boolean, charsMax: number, isJson: boolean): Content[] {
  if (text.length <= charsMax && !cut) return [{ type: 'text', text }]
  const list = isJson ? cutList(text, charsMax) : undefined
  if (list !== undefined)
    return [
      { type: 'text', text: list.text },
      { type: 'text', text: list.note },
    ]
  const head = text.slice(0, charsMax).toWellFormed()
  return [{ type: 'text', text: `${head}\n\n[The answer is longer and was cut here after ${head.length} characters.]` }]
}

/** How many characters of the text fit into so many bytes of UTF-8. */
export function charsIn(text: string, bytesMax: number): number {
  if (Buffer.byteLength(text) <= bytesMax) return text.length
  return Buffer.from(text.slice(0, bytesMax))
    .subarray(0, bytesMax)
    .toString('utf8')
    .replace(/\ufffd+$/, '').length
}

/** The items that fit, read in one pass over the text; nothing when it is no list or not even one item fits. */
function cutList(text: string, charsMax: number): { text: string; note: string } | undefined {
  const start = /^\s*\[/.exec(text)?.[0].length
  if (start === undefined) return undefined
  let depth = 1
  let quoted = false
  let end = -1
  let items = 0
  for (let at = start; at < text.length && at < charsMax; at++) {
    const char = text[at]
    if (quoted) {
      if (char === '\\') at++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if (char === '[' || char === '{') depth++
    else if (char === ']' || char === '}') depth--
    else if (char === ',' && depth === 1) {
      end = at
      items++
    }
    if (depth === 0) break
  }
  if (end < 0) return undefined
  const note = `[The answer is a longer list: these are its first ${items} items. Ask for fewer, or for the next ones, if the tool has arguments for that.]`
  return { text: `${text.slice(0, end)}]`, note }
}
