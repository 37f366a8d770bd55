/** `readOnly` and `writeOnly`: which members a caller may send, and which come back. */
import type { Keys } from './keys.ts'
import type { References } from './refs.ts'
import { listAt, member, nodeAt } from './tree.ts'

/** `input` is what a caller may send, `output` what comes back. */
export type Direction = 'input' | 'output'

/** The flag of what a direction leaves out. */
export const flagOf = (direction: Direction): 'readOnly' | 'writeOnly' =>
  direction === 'input' ? 'readOnly' : 'writeOnly'

/** Whether a schema or what it refers to carries a flag such as `readOnly`. */
export const flagged = (refs: References, schema: unknown, flag: 'readOnly' | 'writeOnly'): boolean => {
  if (member(schema, flag) === true) return true
  const target = refs.follow(schema)
  if (target.ok && member(target.node, flag) === true) return true
  return listAt(target.ok ? target.node : schema, 'allOf').some((part) => {
    const branch = refs.follow(part)
    return branch.ok && member(branch.node, flag) === true
  })
}

/** Names, as shown, of the members that one direction leaves out, through `allOf` and references. */
export function hiddenMembers(
  refs: References,
  schema: unknown,
  direction: Direction,
  keys: Keys,
  depth: number,
): Set<string> {
  const hidden = new Set<string>()
  const found = refs.follow(schema)
  if (!found.ok || depth > 10) return hidden
  for (const [name, member] of Object.entries(nodeAt(found.node, 'properties') ?? {}))
    if (flagged(refs, member, flagOf(direction))) hidden.add(direction === 'input' ? keys.safe(name) : name)
  for (const part of listAt(found.node, 'allOf'))
    for (const name of hiddenMembers(refs, part, direction, keys, depth + 1)) hidden.add(name)
  return hidden
}
