/** How results are printed. */
import type { ToolDefinition } from '../catalogue/tool.ts'
import type { ToolSet } from '../catalogue/tools.ts'

/** Columns padded to their widest cell, two spaces apart. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  return [head, ...rows]
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}

/** RFC 4180 §2. */
export const csv = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, ...rows]
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
