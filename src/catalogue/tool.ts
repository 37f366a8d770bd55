/** Operation → MCP tool definition: its name, its words, its schemas, its annotations. */
import { shortHash } from '../core/hash.ts'
import type { Annotations, JsonSchema, Operation, ResponseRule } from '../core/model.ts'
import type { ArgumentRule } from './shape.ts'

/** What `tools/list` shows of a tool (MCP 2026-07-28 `Tool`). */
export interface ToolDefinition {
  readonly name: string
  readonly title?: string
  readonly description: string
  readonly inputSchema: JsonSchema
  readonly outputSchema?: JsonSchema
  readonly annotations: Annotations
}

/** What the configuration may say otherwise of a tool. */
export interface ToolOverride {
  readonly name?: string | undefined
  readonly title?: string | undefined
  readonly description?: string | undefined
  readonly annotations?: { readonly [hint in keyof Annotations]?: Annotations[hint] | undefined } | undefined
  /** By argument, or by JSON Pointer of a member of one. */
  readonly arguments?: { readonly [argument: string]: ArgumentRule } | undefined
  readonly response?: ResponseRule | undefined
}

const nameChars = 64

/**
 * `target___operation`, of `[A-Za-z0-9_-]`, at most 64 characters: a longer name is cut and ends in eight characters of
 * a hash of the whole, so that it is stable and unique.
 */
export function toolName(target: string, operation: string): string {
  const whole = `${target}___${operation}`.replace(/[^A-Za-z0-9_-]/g, '_')
  return whole.length <= nameChars ? whole : `${whole.slice(0, nameChars - 9)}_${shortHash(`${target}___${operation}`)}`
}

export function toDefinition(target: string, operation: Operation, override: ToolOverride = {}): ToolDefinition {
  const title = override.title ?? operation.title
  const given = Object.entries(override.annotations ?? {}).filter(([, value]) => value !== undefined)
  return {
    name: override.name ?? toolName(target, operation.id),
    ...(title === undefined ? {} : { title }),
    description: override.description ?? operation.description,
    inputSchema: operation.input,
    ...(operation.output === undefined ? {} : { outputSchema: operation.output }),
    annotations: {
      ...(title === undefined ? {} : { title }),
      readOnlyHint: operation.effect === 'read',
      destructiveHint: operation.effect === 'delete',
      idempotentHint: operation.idempotent && operation.effect !== 'read',
      openWorldHint: true,
      ...Object.fromEntries(given),
    },
  }
}
