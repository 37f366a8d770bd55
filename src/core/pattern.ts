/** Patterns of the configuration: `*` stands for any run of characters within a segment, `**` for any run across them. */

export type Matcher = (subject: string) => boolean

/** `*` matches any run without `/`, `**` any run; everything else is itself. Linear in pattern times subject. */
export function toMatcher(pattern: string): Matcher {
  if (!pattern.includes('*')) return (subject) => subject === pattern
  const parts = pattern.split(/(\*+)/).filter((part) => part !== '')
  return (subject) => matches(parts, subject)
}

/** Keeps the set of places in the subject that the parts so far can end at. */
function matches(parts: readonly string[], subject: string): boolean {
  let ends = new Set([0])
  for (const part of parts) {
    const next = new Set<number>()
    for (const end of ends) {
      if (!part.startsWith('*')) {
        if (subject.startsWith(part, end)) next.add(end + part.length)
        continue
      }
      for (let place = end; place <= subject.length && !next.has(place); place++) {
        next.add(place)
        if (part === '*' && subject[place] === '/') break
      }
    }
    ends = next
  }
  return ends.has(subject.length)
}
