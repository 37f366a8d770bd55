/** Patterns of the configuration: tool names and operation ids, or `METHOD /path`; `*` within a segment, `**` across. */

export type Matcher = (subject: string) => boolean

/** `*` matches any run without `/`, `**` any run; everything else is itself. */
export function toMatcher(pattern: string): Matcher {
  if (!pattern.includes('*')) return (subject) => subject === pattern
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) => (part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')))
    .join('')
  const expression = new RegExp(`^${source}$`, 'su')
  return (subject) => expression.test(subject)
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
