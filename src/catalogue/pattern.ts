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
export function toSelector(selection: Selection): (operation: Selectable) => boolean {
  const include = selection.include.map(toOperationMatcher)
  const exclude = selection.exclude.map(toOperationMatcher)
  return (operation) =>
    (include.length === 0 || include.some((matches) => matches(operation))) &&
    !exclude.some((matches) => matches(operation))
}

interface Selectable {
  readonly id: string
  readonly label: string
  readonly tags?: readonly string[]
}

/** An operation by its id, by `METHOD /path`, or by `tag:NAME`. */
function toOperationMatcher(pattern: string): (operation: Selectable) => boolean {
  if (!pattern.startsWith('tag:')) {
    const matches = toMatcher(pattern)
    return ({ id, label }) => matches(id) || matches(label)
  }
  const matches = toMatcher(pattern.slice('tag:'.length))
  return ({ tags }) => tags?.some(matches) === true
}
