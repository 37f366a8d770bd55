/** Where in a sealed group of lines something was changed, once its hash has told that something was. Pure. */
import { parseLine } from './line.ts'

/** What was done to a group of lines, as far as its seal’s list tells. */
export interface Difference {
  readonly kind: 'altered' | 'removed' | 'inserted' | 'swapped'
  /** The first line that it concerns, from 0. */
  readonly line: number
  /** One behind the last line that it may concern. */
  readonly until: number
}

const commonStart = (one: readonly string[], other: readonly string[]): number => {
  const at = one.findIndex((tag, index) => tag !== other[index])
  return at === -1 ? one.length : Math.min(at, other.length)
}

/** `lines` are there, with these `tags`; `sealed` are the tags that the seal lists. */
export const differenceOf = (
  lines: readonly string[],
  tags: readonly string[],
  sealed: readonly string[],
): Difference => {
  const start = commonStart(tags, sealed)
  if (start === tags.length && start === sealed.length) {
    // every line has its id and its length: a line that is none gives itself away, any other may be it
    const broken = lines.findIndex((line) => parseLine(line) === undefined)
    return broken === -1
      ? { kind: 'altered', line: 0, until: Math.max(1, tags.length) }
      : { kind: 'altered', line: broken, until: broken + 1 }
  }
  const end = Math.min(commonStart(tags.toReversed(), sealed.toReversed()), tags.length - start, sealed.length - start)
  const place = { line: start, until: Math.max(start + 1, tags.length - end) }
  if (tags.length < sealed.length) return { kind: 'removed', ...place }
  if (tags.length > sealed.length) return { kind: 'inserted', ...place }
  const same = tags.toSorted().join() === sealed.toSorted().join()
  return { kind: same ? 'swapped' : 'altered', ...place }
}
