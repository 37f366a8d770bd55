/** What changed against an older catalogue, for people. */
import type { Difference } from '../../catalogue/difference.ts'
import { count, type Look, printable, wrap } from './look.ts'

export function differenceText(against: string, { added, removed, changed }: Difference, look: Look): string {
  const breaking = changed.filter((tool) => tool.breaking).length
  const facts = [
    ...(added.length > 0 ? [`${count(added.length, 'tool')} added`] : []),
    ...(removed.length > 0 ? [`${count(removed.length, 'tool')} removed (callers break)`] : []),
    ...(changed.length > 0
      ? [`${count(changed.length, 'tool')} changed${breaking > 0 ? ` (${breaking} so that callers break)` : ''}`]
      : []),
  ]
  const names = (sign: string, style: 'green' | 'red', list: readonly string[]): string =>
    list.map((name) => `  ${look.paint(style, `${sign} ${printable(name)}`)}\n`).join('')
  return [
    `Against ${printable(against)}: ${facts.length === 0 ? 'nothing changed' : facts.join(', ')}\n`,
    names('-', 'red', removed),
    names('+', 'green', added),
    ...changed.flatMap(({ tool, breaking: breaks, changes }) => [
      `  ${look.paint(breaks ? 'red' : 'yellow', `~ ${printable(tool)}`)}${breaks ? ' breaks callers' : ''}\n`,
      ...changes.map((change) => {
        const mark = change.breaking ? 'breaks: ' : ''
        return wrap(`${mark}${printable(change.message)}`, 6, look, change.breaking ? 'red' : undefined)
      }),
    ]),
    '\n',
  ].join('')
}
