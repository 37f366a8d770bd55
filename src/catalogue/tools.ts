/** Operations → the tools of one target, as bytes ready to be listed and what a call needs of each. */
import type { Operation, OperationRef, ResponseRule } from '../core/model.ts'
import { type Selection, toSelector } from './pattern.ts'
import { shapeArguments } from './shape.ts'
import { toDefinition, type ToolDefinition, type ToolOverride } from './tool.ts'

/** What the configuration says of a target's tools. */
export interface ToolRules extends Selection {
  /** By operation id or `METHOD /path`. */
  readonly override: ReadonlyMap<string, ToolOverride>
  /** What of answers is passed on, where a tool's own rule says nothing. */
  readonly response?: ResponseRule
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

/** A rule that names nothing in the description. */
export type Unknown = (what: string) => void

export function toTools(
  target: string,
  operations: readonly Operation[],
  rules: ToolRules,
  unknown: Unknown = () => undefined,
): ToolSet {
  const chosen = toSelector(rules)
  for (const name of rules.override.keys())
    if (!operations.some(({ id, label }) => id === name || label === name))
      unknown(`tools.override names ${name}, and there is no such operation.`)
  for (const [key, patterns] of [['include', rules.include] as const, ['exclude', rules.exclude] as const])
    for (const pattern of patterns)
      if (!operations.some(toSelector({ include: [pattern], exclude: [] })))
        unknown(`tools.${key} has ${pattern}, and no operation is meant by it.`)
  const made = operations
    .filter(chosen)
    .flatMap((operation) => make(target, operation, rules, unknown) ?? [])
    .sort((a, b) => (a.definition.name < b.definition.name ? -1 : 1))
  const texts = made.map(({ definition }) => Buffer.from(JSON.stringify(definition)))
  let from = 0
  const entries = made.map(({ operation, definition }, index): ToolEntry => {
    const to = from + (texts[index]?.byteLength ?? 0)
    const entry = { name: definition.name, operation, from, to }
    from = to
    return entry
  })
  return { entries, bytes: new Uint8Array(Buffer.concat(texts)) }
}

function make(
  target: string,
  operation: Operation,
  rules: ToolRules,
  unknown: Unknown,
): { operation: OperationRef; definition: ToolDefinition } | undefined {
  const override = rules.override.get(operation.id) ?? rules.override.get(operation.label) ?? {}
  const settled = shapeArguments(operation.input, new Map(Object.entries(override.arguments ?? {})))
  for (const name of settled.unknown) {
    const isFixed = override.arguments?.[name]?.value !== undefined
    const result = isFixed ? ' What was to be fixed would be anyone’s choice, so the tool is left out.' : ''
    unknown(`${operation.label} has no argument ${name}, which tools.override names.${result}`)
    if (isFixed) return undefined
  }
  const response = { ...rules.response, ...override.response }
  const { output, ...rest } = { ...operation, input: settled.input }
  // What a selection leaves is of another shape than the description promises.
  const shown: Operation = output === undefined || response.select !== undefined ? rest : { ...rest, output }
  const { id, label, effect, idempotent, binding } = operation
  return {
    operation: {
      id,
      label,
      effect,
      idempotent,
      binding,
      ...(settled.presets === undefined ? {} : { presets: settled.presets }),
      ...(Object.keys(response).length === 0 ? {} : { response }),
    },
    definition: toDefinition(target, shown, override),
  }
}
