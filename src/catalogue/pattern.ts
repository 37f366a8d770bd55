/** Patterns of the configuration: tool names and operation ids, or `METHOD /path`; `*` within a segment, `**` across. */

import { toMatcher } from '../core/pattern.ts'

export { toMatcher }

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
