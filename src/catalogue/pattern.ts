/** Patterns of the configuration: tool names and operation ids, or `METHOD /path`; `*` within a segment, `**` across. */

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

export interface Selection {
  readonly include: readonly string[]
  readonly exclude: readonly string[]
}

/** Whether an operation is chosen: by any `include` (all when there is none) and no `exclude`. */
export function toSelector(
  selection: Selection,
): (operation: { readonly id: string; readonly label: string }) => boolean {
  const include = selection.include.map(toMatcher)
  const exclude = selection.exclude.map(toMatcher)
  const any = (matchers: readonly Matcher[], id: string, label: string): boolean =>
    matchers.some((matches) => matches(id) || matches(label))
  return ({ id, label }) => (include.length === 0 || any(include, id, label)) && !any(exclude, id, label)
}
