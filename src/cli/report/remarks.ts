/** What is to be said of many places, grouped: each thing once, with the places it concerns and what to do about it. */
import { limits } from '../../core/limits.ts'
import { count, type Look, number, printable, wrap } from './look.ts'

export interface Entry {
  readonly severity: 'error' | 'warning' | 'note'
  readonly code: string
  readonly message: string
  /** Where it is, for a person: `file:line`, or a tool. */
  readonly where: string
  readonly pointer: string
  readonly hint: string | undefined
}

export interface Group<One extends Entry = Entry> {
  readonly severity: Entry['severity']
  readonly code: string
  readonly hint: string | undefined
  readonly entries: readonly One[]
}

/** By severity and code, errors first, otherwise in the order of the first of each. */
export function grouped<One extends Entry>(entries: readonly One[]): Group<One>[] {
  const groups = new Map<string, { head: One; entries: One[] }>()
  for (const entry of entries) {
    const key = `${entry.severity} ${entry.code} ${entry.hint ?? ''}`
    const group = groups.get(key) ?? { head: entry, entries: [] }
    group.entries.push(entry)
    groups.set(key, group)
  }
  const rank = { error: 0, warning: 1, note: 2 }
  return [...groups.values()]
    .map(({ head: { severity, code, hint }, entries: all }) => ({ severity, code, hint, entries: all }))
    .sort((a, b) => rank[a.severity] - rank[b.severity])
}

/** The entries of a group that are printed: every error, and of the rest the first few. */
export const shown = <One extends Entry>({ severity, entries }: Group<One>): readonly One[] =>
  severity === 'error' || entries.length <= limits.remarksShown + 1 ? entries : entries.slice(0, limits.remarksShown)

const colours = { error: 'red', warning: 'yellow', note: 'dim' } as const

/** One group, two characters in. A message that all its entries share is said once. */
export function groupText(group: Group, look: Look): string {
  const { severity, code, hint, entries } = group
  const times = entries.length === 1 ? '' : ` (${number(entries.length)})`
  const messages = new Set(entries.map(({ message }) => message))
  const list = shown(group)
  const width = Math.max(...list.map(({ where }) => where.length))
  const lines = list.map(({ where, pointer, message }) => {
    const place = `${' '.repeat(messages.size === 1 ? 6 : 4)}${printable(`${where.padEnd(pointer === '' ? 0 : width)}  ${pointer}`.trim())}\n`
    return `${place.trim() === '' ? '' : place}${messages.size === 1 ? '' : wrap(printable(message), 6, look)}`
  })
  return [
    `  ${look.paint(colours[severity], severity)} ${look.paint('bold', code)}${times}\n`,
    messages.size === 1 ? wrap(printable(entries[0]?.message ?? ''), 4, look) : '',
    ...lines,
    entries.length > list.length ? `    and ${number(entries.length - list.length)} more\n` : '',
    hint === undefined ? '' : wrap(`→ ${hint}`, 4, look, 'dim'),
  ].join('')
}

/** `2 errors, 1 warning`; nothing when there is nothing. */
export const tally = (entries: readonly Pick<Entry, 'severity'>[]): string =>
  (['error', 'warning', 'note'] as const)
    .map((severity) => ({ severity, times: entries.filter((entry) => entry.severity === severity).length }))
    .filter(({ times }) => times > 0)
    .map(({ severity, times }) => count(times, severity))
    .join(', ')
