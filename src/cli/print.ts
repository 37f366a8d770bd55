/** How results are printed. */
import type { ToolDefinition } from '../catalogue/tool.ts'
import type { ToolSet } from '../catalogue/tools.ts'

interface TableLook {
  /** Characters a line; cells are cut to keep to it. */
  readonly width: number
  /** Columns that may be cut in their middle, and columns of numbers. */
  readonly cut: readonly number[]
  readonly right: readonly number[]
}

const plainTable: TableLook = { width: Infinity, cut: [], right: [] }

/** Columns padded to their widest cell, two spaces apart. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { width, cut, right }: TableLook = plainTable,
): string {
  const widths = head.map((title, column) =>
    rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), title.length),
  )
  for (let over = widths.reduce((sum, one) => sum + one + 2, -2) - width; over > 0; over--) {
    const widest = cut.reduce((one, other) => ((widths[other] ?? 0) > (widths[one] ?? 0) ? other : one), cut[0] ?? 0)
    if (!cut.includes(widest) || (widths[widest] ?? 0) <= 20) break
    widths[widest] = (widths[widest] ?? 0) - 1
  }
  const cell = (text: string, column: number): string => {
    const room = widths[column] ?? 0
    const shown =
      text.length <= room ? text : `${text.slice(0, Math.ceil(room / 2) - 1)}…${text.slice(-Math.floor(room / 2))}`
    return right.includes(column) ? shown.padStart(room) : shown.padEnd(room)
  }
  return [head, ...rows].map((row) => `${row.map(cell).join('  ').trimEnd()}\n`).join('')
}

/** What a spreadsheet would take for a formula is marked as text; numbers stay. (OWASP, CSV injection.) */
const harmless = (cell: string): string =>
  /^[=+\-@\t\r\n]/.test(cell) && !/^[+-]?\d+(?:\.\d+)?$/.test(cell) ? `'${cell}` : cell

/** RFC 4180 §2. */
export const csv = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, ...rows.map((row) => row.map(harmless))]
    .map(
      (row) => `${row.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(',')}\r\n`,
    )
    .join('')

/** A rough count of what a model pays for so many bytes of JSON. */
export const tokensOf = (bytes: number): number => Math.round(bytes / 4)

export const definitions = (set: ToolSet): { definition: ToolDefinition; operation: string }[] =>
  set.entries.map(({ operation, from, to }) => ({
    definition: JSON.parse(Buffer.from(set.bytes.subarray(from, to)).toString('utf8')) as ToolDefinition,
    operation: operation.label,
  }))
