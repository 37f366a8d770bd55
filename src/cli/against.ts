/** The older catalogue that `toolgate check --against` compares with: a description, or what `check --json` printed. */
import { resolve } from 'node:path'
import { z } from 'zod'
import type { ToolDefinition } from '../catalogue/tool.ts'
import { nameOfFile, readSource } from '../config/sources.ts'

export interface SavedDocument {
  readonly source: string
  readonly tools: readonly ToolDefinition[]
}

/** Either the documents that were printed, or the path of a description that is still to be imported. */
export type Older =
  | { readonly kind: 'saved'; readonly documents: readonly SavedDocument[] }
  | { readonly kind: 'description'; readonly path: string }

const schemaObject = z.record(z.string(), z.unknown())

const savedTool = z.object({
  name: z.string(),
  title: z.string().optional(),
  description: z.string(),
  inputSchema: schemaObject,
  outputSchema: schemaObject.optional(),
  annotations: z.looseObject({
    title: z.string().optional(),
    readOnlyHint: z.boolean(),
    destructiveHint: z.boolean(),
    idempotentHint: z.boolean(),
    openWorldHint: z.boolean(),
  }),
})

const savedDocument = z.object({ source: z.string(), ok: z.boolean(), tools: z.array(savedTool) })

/** Throws `bad_description` when the file cannot be read. */
export function readOlder(file: string): Older {
  const path = resolve(file)
  const lines = readSource(path)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
  if (saved(lines[0] ?? '') === undefined) return { kind: 'description', path }
  // Lines about providers and differences stand among those about documents.
  return { kind: 'saved', documents: lines.map(saved).filter((document) => document !== undefined) }
}

function saved(line: string): SavedDocument | undefined {
  try {
    const { source, tools } = savedDocument.parse(JSON.parse(line))
    return { source, tools: tools.map(definitionOf) }
  } catch {
    return undefined
  }
}

const definitionOf = ({
  title,
  outputSchema,
  annotations: { title: shown, ...hints },
  ...tool
}: z.infer<typeof savedTool>): ToolDefinition => ({
  ...tool,
  ...(title === undefined ? {} : { title }),
  ...(outputSchema === undefined ? {} : { outputSchema }),
  annotations: { ...hints, ...(shown === undefined ? {} : { title: shown }) },
})

/** A document to be compared: tools are named after its target. */
interface Newer {
  readonly source: string
  readonly name: string
}

/** The saved document that a newer one is compared with: of the same source, of the same target, or the only one. */
export function savedOf(documents: readonly SavedDocument[], newer: Newer, isOnly: boolean): SavedDocument | undefined {
  const alike = documents.filter(({ source }) => targetOf(source) === newer.name)
  return (
    documents.find(({ source }) => source === newer.source) ??
    (alike.length === 1 ? alike[0] : undefined) ??
    (isOnly && documents.length === 1 ? documents[0] : undefined)
  )
}

const targetOf = (source: string): string => nameOfFile(source) || 'target'

/** Saved tools as the newer document would name them: those of a file of another name differ in their target only. */
export function renamed({ source, tools }: SavedDocument, newer: Newer): readonly ToolDefinition[] {
  const prefix = `${targetOf(source)}___`
  if (source === newer.source) return tools
  return tools.map((tool) =>
    tool.name.startsWith(prefix) ? { ...tool, name: `${newer.name}___${tool.name.slice(prefix.length)}` } : tool,
  )
}
