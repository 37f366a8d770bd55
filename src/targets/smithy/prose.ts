/** Documentation traits → plain text. AWS writes them in HTML; Smithy itself in CommonMark, which is text already. */

/** Characters that are read of one trait: what is shown of it is shorter. */
const charsRead = 20_000

const markup = /<\/?[a-z]+\b[^<>]{0,200}>/i
const items = /<li\b[^<>]{0,200}>/gi
const breaks = /<\/?(?:p|br|ul|ol|li|dl|dt|dd|div|note|important|h\d|table|tr|fullname)\b[^<>]{0,200}>/gi
const code = /<code\b[^<>]{0,200}>([^<>]{0,500})<\/code>/gi

/** Paragraphs and list items on lines of their own; tags that are left are the importer's to take out. */
export function plainProse(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.slice(0, charsRead)
  if (!markup.test(text)) return text.trim() === '' ? undefined : text
  const plain = text
    .replace(/\s+/g, ' ')
    .replace(code, '`$1`')
    .replace(items, '\n- ')
    .replace(breaks, '\n')
    .replace(/ *\n\s*/g, '\n')
    .replace(/^- *\n/gm, '- ')
    .trim()
  return plain === '' ? undefined : plain
}

/** What a deprecated shape says of itself. */
export function deprecation(trait: unknown): string | undefined {
  if (typeof trait !== 'object' || trait === null || !('message' in trait)) return undefined
  return plainProse(trait.message)
}
