/** What an import came to, for people: its operations as a table, then its remarks with line and hint. */
import type { ToolDefinition } from '../../catalogue/tool.ts'
import type { Issue } from '../../targets/adapter.ts'
import { hintFor } from '../../targets/hints.ts'
import { table, tokensOf } from '../print.ts'
import { count, type Look, number, printable } from './look.ts'
import { type Entry, grouped, groupText, shown, tally } from './remarks.ts'

/** One document that could be imported. */
export interface Imported {
  readonly source: string
  readonly format: string
  /** Operations of the description, chosen or not. */
  readonly operations: number
  readonly issues: readonly Issue[]
  readonly tools: readonly { readonly definition: ToolDefinition; readonly operation: string }[]
  /** The line of each issue that is known. */
  readonly lines: (issues: readonly Issue[]) => readonly (number | undefined)[]
}

/** What a tool costs whoever lists it to a model, roughly: its answer's schema stays with the client. */
const tokensOfTool = ({ name, description, inputSchema }: ToolDefinition): number =>
  tokensOf(Buffer.byteLength(JSON.stringify({ name, description, inputSchema })))

/** The text, and the tokens that all tools together come to. */
export function importReport(imported: Imported, look: Look): { readonly text: string; readonly tokens: number } {
  const { source, format, operations, issues, tools } = imported
  const tokens = tools.map(({ definition }) => tokensOfTool(definition))
  const total = tokens.reduce((sum, one) => sum + one, 0)
  const remarks = tally(issues)
  const facts = [
    format,
    `${number(tools.length)} ${tools.length === 1 ? 'tool' : 'tools'} of ${count(operations, 'operation')}`,
    `about ${number(total)} tokens`,
    ...(remarks === '' ? [] : [remarks]),
  ]
  const times = remarksByOperation(imported)
  const rows = tools.map(({ definition, operation }, index) => [
    printable(operation),
    printable(definition.name),
    number(tokens[index] ?? 0),
    times.has(operation) ? number(times.get(operation) ?? 0) : '-',
  ])
  const head = ['OPERATION', 'TOOL', 'TOKENS', 'WARNINGS']
  const text = [
    `${look.paint('bold', printable(source))}: ${facts.join(', ')}\n`,
    rows.length === 0 ? '' : table(head, rows, { width: look.width, cut: [0, 1], right: [2, 3] }),
    issues.length === 0 ? '' : `\n${issuesText(imported, look)}`,
    '\n',
  ].join('')
  return { text, tokens: total }
}

/** One place in the description and all operations that met it. */
interface Remark extends Entry {
  readonly issue: Issue
  readonly operations: string[]
}

/** What several operations say of one place is said once. Only the places that are printed are looked up. */
function issuesText({ source, issues, lines }: Imported, look: Look): string {
  const remarks = new Map<string, Remark>()
  for (const issue of issues) {
    const { severity, code, pointer } = issue
    const { operation, message } = withoutOperation(issue.message)
    const key = JSON.stringify([severity, code, pointer, pointer === '' ? issue.message : message])
    const remark = remarks.get(key) ?? {
      severity,
      code,
      pointer,
      // its number is printed beside it
      message: message.replace(/^Line \d+ /, 'This line '),
      where: source,
      hint: hintFor(code),
      issue,
      operations: [],
    }
    if (operation !== undefined) remark.operations.push(operation)
    remarks.set(key, remark)
  }
  return grouped([...remarks.values()])
    .map((group) => {
      const list = shown(group)
      const found = lines(list.map(({ issue }) => issue))
      const placed = new Map(list.map((remark, index) => [remark, inPlace(remark, found[index])]))
      return groupText({ ...group, entries: group.entries.map((remark) => placed.get(remark) ?? remark) }, look)
    })
    .join('')
}

function inPlace({ operations, ...entry }: Remark, line: number | undefined): Entry {
  const [first, ...others] = operations
  const met =
    first === undefined || entry.pointer.startsWith('/paths/')
      ? ''
      : ` (${first}${others.length === 0 ? '' : ` and ${number(others.length)} more`})`
  return {
    ...entry,
    where: line === undefined ? entry.where : `${entry.where}:${line}`,
    pointer: `${entry.pointer}${met}`,
  }
}

/** `GET /pets: …` and `GET /pets is left out: …` say of many operations one thing. */
function withoutOperation(message: string): { operation: string | undefined; message: string } {
  const found = /^([A-Za-z!#$%&'*+.^`|~-]+ \/.*?)(?:: | is left out: )/s.exec(message)
  const [whole, operation] = found ?? []
  if (whole === undefined || operation === undefined) return { operation: undefined, message }
  const rest = message.slice(whole.length)
  return { operation, message: whole.endsWith(' is left out: ') ? `Left out: ${rest}` : rest }
}

function remarksByOperation({ issues }: Imported): ReadonlyMap<string, number> {
  const times = new Map<string, number>()
  for (const issue of issues) {
    const operation = withoutOperation(issue.message).operation ?? operationAt(issue.pointer)
    if (operation !== undefined) times.set(operation, (times.get(operation) ?? 0) + 1)
  }
  return times
}

/** `/paths/~1pets/get/…` → `GET /pets`. */
function operationAt(pointer: string): string | undefined {
  const [, path, method] = /^\/paths\/([^/]+)\/(?:additionalOperations\/)?([^/]+)/.exec(pointer) ?? []
  return path === undefined || method === undefined
    ? undefined
    : `${method.toUpperCase()} ${path.replaceAll('~1', '/').replaceAll('~0', '~')}`
}
