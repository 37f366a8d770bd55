/** Operations → the tools of one target, as bytes ready to be listed and what a call needs of each. */
import type { Operation, OperationRef } from '../core/model.ts'
import { type Selection, toSelector } from './pattern.ts'
import { toDefinition, type ToolDefinition, type ToolOverride } from './tool.ts'

/** What the configuration says of a target's tools. */
export interface ToolRules extends Selection {
  /** By operation id or `METHOD /path`. */
  readonly override: ReadonlyMap<string, ToolOverride>
}

interface ToolEntry {
  readonly name: string
  readonly operation: OperationRef
  /** Where its definition lies in `bytes`. */
  readonly from: number
  readonly to: number
}

/** Plain data: made in the import thread and handed over without a copy. */
export interface ToolSet {
  readonly entries: readonly ToolEntry[]
  readonly bytes: Uint8Array
}

export function toTools(target: string, operations: readonly Operation[], rules: ToolRules): ToolSet {
  const chosen = toSelector(rules)
  const definitions = operations
    .filter(chosen)
    .map((operation) => ({ operation, definition: define(target, operation, rules) }))
    .sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1))
  const texts = definitions.map(({ definition }) => Buffer.from(JSON.stringify(definition)))
  let from = 0
  const entries = definitions.map(({ operation, definition }, index): ToolEntry => {
    const to = from + (texts[index]?.byteLength ?? 0)
    const { id, label, effect, idempotent, binding } = operation
    const entry = { name: definition.name, operation: { id, label, effect, idempotent, binding }, from, to }
    from = to
    return entry
  })
  return { entries, bytes: new Uint8Array(Buffer.concat(texts)) }
}

const define = (target: string, operation: Operation, rules: ToolRules): ToolDefinition =>
  toDefinition(target, operation, rules.override.get(operation.id) ?? rules.override.get(operation.label))
