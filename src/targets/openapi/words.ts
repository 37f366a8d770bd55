/** Prose of a description, made fit for a model: no markup, no control or invisible characters, bounded at a sentence. */

/** What a browser would run or apply is no prose. */
const unread = /<(script|style)\b[^<>]{0,2000}>[^<]{0,20000}<\/\1>/gi
const tags = /<\/?[a-zA-Z][^<>]{0,2000}>/g
const comments = /<!--[^<>]{0,2000}-->/g
/** Control characters but tab and line feed, a terminal's colour sequences whole. */
const control = /\p{Cc}\[[0-9;]{0,20}m|[^\P{Cc}\t\n]/gu
/** Zero-width, bidirectional and tag characters: they hide text from a reader and show it to a model. */
const invisible = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\u{e0000}-\u{e007f}]/gu

const entities = new Map([
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
  ['&#39;', "'"],
  ['&nbsp;', ' '],
  ['&amp;', '&'],
])

/** Cleaned text; runs of white space become one space, paragraphs stay. */
export const clean = (text: string): string => {
  if (text.length > 100_000) text = text.slice(0, 100_000)
  text = text.toWellFormed().replace(invisible, '')
  if (text.includes('<')) text = text.replace(comments, '').replace(unread, '').replace(tags, '')
  if (text.includes('&')) text = text.replace(/&(?:lt|gt|quot|#39|nbsp|amp);/g, (entity) => entities.get(entity) ?? '')
  return text
    .replace(control, '')
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n ?/g, '\n')
    .replace(/\n{2,}/g, '\n\n')
    .trim()
}

/** At most `chars` characters, cut behind a sentence where one ends in the second half, else behind a word. */
export const bound = (text: string, chars: number): string => {
  if (text.length <= chars) return text
  const head = text.slice(0, chars - 1).replace(/[\ud800-\udbff]$/, '')
  const sentence = Math.max(head.lastIndexOf('. '), head.lastIndexOf('.\n'), head.lastIndexOf('\n\n'))
  if (sentence > chars / 2) return head.slice(0, sentence + 1).trimEnd()
  const word = head.lastIndexOf(' ')
  return `${(word > chars / 2 ? head.slice(0, word) : head).trimEnd()}…`
}
