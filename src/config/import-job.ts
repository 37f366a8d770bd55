/** One import as plain data, so that it can be done in a thread of its own; done here, it is a pure function of the job. */
import { toTools, type ToolSet } from '../catalogue/tools.ts'
import type { ToolOverride } from '../catalogue/tool.ts'
import { adapters } from '../registry.ts'
import type { ImportOptions, Issue } from '../targets/adapter.ts'

export interface ImportJob {
  readonly target: string
  readonly kind: keyof typeof adapters
  readonly bytes: Uint8Array
  readonly options: ImportOptions
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly override: ReadonlyMap<string, ToolOverride>
}

export interface ImportReply {
  readonly format: string
  readonly server: string | undefined
  /** Operations of the description, chosen or not. */
  readonly operations: number
  readonly issues: readonly Issue[]
  readonly tools: ToolSet
}

/** Throws `bad_description` or `over_limit`. */
export async function runImport(job: ImportJob): Promise<ImportReply> {
  const { format, server, operations, issues } = await adapters[job.kind].load(job.bytes, job.options)
  const tools = toTools(job.target, operations, job)
  return { format, server, operations: operations.length, issues, tools }
}
