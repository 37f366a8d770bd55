/** `toolgate check`: what an import of the configured targets, or of the files named, comes to. */
import { resolve } from 'node:path'
import { createImporter } from '../config/importer.ts'
import type { ImportReply } from '../config/import-job.ts'
import { loadSettings } from '../config/load.ts'
import { readManaged } from '../config/managed.ts'
import { findSources, nameOfFile, readSource } from '../config/sources.ts'
import type { TargetConfig } from '../config/schema.ts'
import { systemClock } from '../core/clock.ts'
import { toGatewayError } from '../core/errors.ts'
import type { Issue } from '../targets/adapter.ts'
import type { Importer } from '../config/importer.ts'
import { definitions, table, tokensOf } from './print.ts'

interface Document {
  readonly source: string
  readonly path: string
  readonly name: string
  readonly config: TargetConfig | undefined
  readonly problem?: string
}

export interface CheckOptions {
  readonly config?: string
  readonly json?: boolean
}

export async function check(files: readonly string[], options: CheckOptions): Promise<void> {
  const importer = createImporter(systemClock)
  const documents = files.length > 0 ? files.map(named) : configured(options.config)
  let failed = 0
  for (const document of documents) {
    const result = await importDocument(importer, document)
    if (!result.ok) failed++
    process.stdout.write(options.json === true ? jsonLine(document, result) : report(document, result))
  }
  if (options.json !== true && documents.length > 1)
    process.stdout.write(`${documents.length - failed} of ${documents.length} documents can be imported.\n`)
  if (failed > 0) process.exitCode = 1
}

const named = (file: string): Document => ({
  source: file,
  path: resolve(file),
  name: nameOfFile(file) || 'target',
  config: undefined,
})

function configured(config: string | undefined): Document[] {
  const settings = loadSettings(config, 'left')
  return findSources(settings, readManaged(settings.dataDir)).map((source) => ({
    source: source.path === '' ? source.name : source.path,
    path: source.path,
    name: source.name,
    config: source.config,
    ...(source.problem === undefined ? {} : { problem: source.problem }),
  }))
}

type Result = { readonly ok: true; readonly reply: ImportReply } | { readonly ok: false; readonly issue: Issue }

/** Imports one document as the gateway would; without configuration, all of it. */
export async function importDocument(importer: Importer, { path, name, config, problem }: Document): Promise<Result> {
  try {
    if (problem !== undefined) return { ok: false, issue: issueOf('bad_description', problem) }
    const reply = await importer.run({
      target: name,
      kind: 'openapi',
      bytes: readSource(path),
      options: {
        ...(config?.server === undefined ? {} : { server: config.server }),
        serverVariables: new Map(Object.entries(config?.serverVariables ?? {})),
      },
      include: config?.tools.include ?? [],
      exclude: config?.tools.exclude ?? [],
      override: new Map(Object.entries(config?.tools.override ?? {})) as never,
    })
    return { ok: true, reply }
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (error.code === 'internal') throw error
    return { ok: false, issue: issueOf(error.code, error.message) }
  }
}

const issueOf = (code: string, message: string): Issue => ({ severity: 'error', code, pointer: '', message })

function jsonLine({ source }: Document, result: Result): string {
  const line = result.ok
    ? {
        source,
        ok: true,
        format: result.reply.format,
        operations: result.reply.operations,
        tools: definitions(result.reply.tools).map(({ definition, operation }) => ({ ...definition, operation })),
        issues: result.reply.issues,
      }
    : { source, ok: false, format: '', operations: 0, tools: [], issues: [result.issue] }
  return `${JSON.stringify(line)}\n`
}

function report({ source }: Document, result: Result): string {
  if (!result.ok) return `${source}: cannot be imported\n  ${result.issue.message}\n\n`
  const { reply } = result
  const rows = reply.tools.entries.map(({ name, operation, from, to }) => [
    operation.label,
    name,
    String(tokensOf(to - from)),
  ])
  const total = tokensOf(reply.tools.bytes.byteLength)
  const issues = reply.issues.map(
    ({ severity, pointer, message }) => `  ${severity} ${pointer === '' ? '' : `at ${pointer}: `}${message}\n`,
  )
  return [
    `${source}: ${reply.format}, ${rows.length} tools of ${reply.operations} operations, about ${total} tokens\n`,
    table(['OPERATION', 'TOOL', 'TOKENS'], rows),
    issues.length === 0 ? '' : `\n${issues.join('')}`,
    '\n',
  ].join('')
}
