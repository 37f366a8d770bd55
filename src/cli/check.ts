/** `toolgate check`: what an import of the configured targets, or of the files named, comes to. */
import { resolve } from 'node:path'
import { type Difference, difference } from '../catalogue/difference.ts'
import { type Finding, isProvider, lint, lintAll, lintSet, type Provider, providers } from '../catalogue/providers.ts'
import type { ToolDefinition } from '../catalogue/tool.ts'
import { createImporter, type Importer } from '../config/importer.ts'
import { importJob, type ImportReply } from '../config/import-job.ts'
import { loadSettings } from '../config/load.ts'
import { readManaged } from '../config/managed.ts'
import type { TargetConfig } from '../config/schema.ts'
import { findSources, nameOfFile, plainTarget, readSource, type Source } from '../config/sources.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import type { Issue } from '../targets/adapter.ts'
import { linesOf } from '../targets/openapi/lines.ts'
import { type Older, readOlder, renamed, savedOf } from './against.ts'
import { definitions } from './print.ts'
import { differenceText } from './report/difference.ts'
import { findingsText } from './report/findings.ts'
import { importReport } from './report/import.ts'
import { count, type Look, lookOf, number, printable } from './report/look.ts'
import { progressOn } from './report/progress.ts'
import { tally } from './report/remarks.ts'

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
  readonly provider?: readonly string[]
  readonly against?: string
}

/** What is asked of every document. */
interface Plan {
  readonly importer: Importer
  readonly documents: readonly Document[]
  /** The documents are served together: what is said of a set of tools is said of all of them. */
  readonly isWhole: boolean
  readonly wanted: readonly Provider[]
  readonly against: { readonly file: string; readonly older: Older } | undefined
  /** Prints one of the two; the other is not made. */
  readonly print: (text: () => string, json: () => readonly object[]) => void
}

/** What the summary and the exit status take from a document. */
interface Checked {
  readonly imported: boolean
  readonly refused: boolean
  readonly tools: readonly string[]
  readonly operations: number
  readonly issues: readonly Issue[]
}

/** Exit status 1 when a document cannot be imported or a provider would refuse a tool; a difference is none. */
export async function check(files: readonly string[], options: CheckOptions): Promise<void> {
  const tokens = { total: 0 }
  const plan = planOf(files, options)
  const progress = progressOn(process.stderr)
  const all: Checked[] = []
  let ahead = importAt(plan, 0)
  for (const [index, document] of plan.documents.entries()) {
    progress.at(`${index + 1}/${plan.documents.length} ${printable(document.source)}`)
    const result = await ahead?.finally(() => progress.clear())
    // The next one is imported while this one is printed.
    ahead = importAt(plan, index + 1)
    if (result !== undefined) all.push(await checkOne(plan, document, result, tokens))
  }
  const together = plan.isWhole ? lintTogether(plan.wanted, all) : []
  if (together.length > 0)
    plan.print(
      () => findingsText(plan.wanted, together, look()),
      () => [{ providers: plan.wanted, findings: together }],
    )
  const gone = goneWith(plan)
  if (gone !== undefined)
    plan.print(
      () => differenceText(gone.against, gone, look()),
      () => [gone],
    )
  plan.print(
    () => summary(all, tokens.total),
    () => [],
  )
  if (all.some(({ imported, refused }) => !imported || refused) || together.some(isError)) process.exitCode = 1
}

const look = (): Look => lookOf(process.stdout)

function importAt({ importer, documents }: Plan, index: number): Promise<Result> | undefined {
  const document = documents[index]
  const result = document === undefined ? undefined : importDocument(importer, document)
  // It is awaited in its turn; until then its failure is nobody’s.
  result?.catch(() => undefined)
  return result
}

function planOf(files: readonly string[], { config, json, provider = [], against }: CheckOptions): Plan {
  const unknown = provider.find((word) => word !== 'all' && !isProvider(word))
  if (unknown !== undefined)
    throw new GatewayError('invalid_params', {
      words: `There are no rules of a provider ${unknown}; there are those of ${providers.join(', ')}, or of all.`,
    })
  const documents = files.length > 0 ? files.map(named) : configured(config)
  const older = against === undefined ? undefined : { file: against, older: readOlder(against) }
  if (older?.older.kind === 'description' && documents.length !== 1)
    throw new GatewayError('invalid_params', {
      words: 'A description is compared with one other; for several, compare with what check --json printed of them.',
    })
  const wanted = providers.filter((name) => provider.includes(name) || provider.includes('all'))
  return {
    importer: createImporter(systemClock),
    documents,
    isWhole: files.length === 0,
    wanted,
    against: older,
    print: (text, objects) => {
      process.stdout.write(
        json === true
          ? objects()
              .map((line) => `${JSON.stringify(line)}\n`)
              .join('')
          : text(),
      )
    },
  }
}

const named = (file: string): Document => ({
  source: file,
  path: resolve(file),
  name: nameOfFile(file) || 'target',
  config: undefined,
})

function configured(config: string | undefined): Document[] {
  const settings = loadSettings(config, 'left')
  return describedOf(findSources(settings, readManaged(settings.dataDir))).map((source) => ({
    source: source.path === '' ? source.name : source.path,
    path: source.path,
    name: source.name,
    config: source.config,
    ...(source.problem === undefined ? {} : { problem: source.problem }),
  }))
}

/** Without the MCP servers that are asked for their tools: only a running gateway has what they are asked with. */
export function describedOf(sources: readonly Source[]): Source[] {
  return sources.filter(({ name, path, config, problem }) => {
    const isAsked = config.mcp !== undefined && path === '' && problem === undefined
    if (isAsked)
      process.stderr.write(`${name}: an MCP server, which the running gateway asks for its tools; left out here\n`)
    return !isAsked
  })
}

type Result = { readonly ok: true; readonly reply: ImportReply } | { readonly ok: false; readonly issue: Issue }

/** Imports one document as the gateway would; without configuration, all of it. */
export async function importDocument(importer: Importer, { path, name, config, problem }: Document): Promise<Result> {
  try {
    if (problem !== undefined) return { ok: false, issue: issueOf('bad_description', problem) }
    const reply = await importer.run(
      importJob(name, readSource(path), { config: config ?? plainTarget(), path, isLook: config === undefined }),
    )
    return { ok: true, reply }
  } catch (thrown) {
    const error = toGatewayError(thrown)
    if (error.code === 'internal') throw error
    return { ok: false, issue: issueOf(error.code, error.message) }
  }
}

const issueOf = (code: string, message: string): Issue => ({ severity: 'error', code, pointer: '', message })

async function checkOne(plan: Plan, document: Document, result: Result, tokens: { total: number }): Promise<Checked> {
  const { source } = document
  if (!result.ok) {
    printFailure(plan, document, result.issue)
    return { imported: false, refused: false, tools: [], operations: 0, issues: [result.issue] }
  }
  const { format, operations, issues } = result.reply
  const tools = definitions(result.reply.tools)
  const plain = tools.map(({ definition }) => definition)
  const findings = findingsOf(plan, plain)
  const changes = await changesOf(plan, document, plain)
  plan.print(
    () => {
      const lines = (some: readonly Issue[]): readonly (number | undefined)[] => linesIn(document, some)
      const report = importReport({ source, format, operations, issues, tools, lines }, look())
      tokens.total += report.tokens
      return [
        report.text,
        plan.wanted.length === 0 ? '' : findingsText(plan.wanted, findings, look()),
        changes === undefined ? '' : differenceText(changes.against, changes, look()),
      ].join('')
    },
    () => {
      const listed = tools.map(({ definition, operation }) => ({ ...definition, operation }))
      return [
        { source, ok: true, format, operations, tools: listed, issues: withLines(document, issues) },
        ...(plan.wanted.length === 0 ? [] : [{ source, providers: plan.wanted, findings }]),
        ...(changes === undefined ? [] : [changes]),
      ]
    },
  )
  const refused = findings.some(isError)
  return { imported: true, refused, tools: plain.map(({ name }) => name), operations, issues }
}

function printFailure({ print }: Plan, document: Document, issue: Issue): void {
  const { source } = document
  print(
    () => {
      const [line] = linesIn(document, [issue])
      const { paint } = look()
      const where = `${printable(source)}${line === undefined ? '' : `:${line}`}`
      return `${paint('bold', printable(source))}: ${paint('red', 'cannot be imported')}\n  ${where}: ${printable(issue.message)}\n\n`
    },
    () => [{ source, ok: false, format: '', operations: 0, tools: [], issues: withLines(document, [issue]) }],
  )
}

const lintTogether = (wanted: readonly Provider[], all: readonly Checked[]): Finding[] => {
  const names = all.flatMap(({ tools }) => tools)
  return wanted.flatMap((provider) => lintSet(names, provider))
}

const isError = ({ severity }: Finding): boolean => severity === 'error'

const findingsOf = ({ wanted, isWhole }: Plan, tools: readonly ToolDefinition[]): Finding[] =>
  wanted.flatMap((provider) =>
    isWhole ? tools.flatMap((definition) => lint(definition, provider)) : lintAll(tools, provider),
  )

interface Changes extends Difference {
  readonly against: string
}

async function changesOf(
  plan: Plan,
  document: Document,
  tools: readonly ToolDefinition[],
): Promise<Changes | undefined> {
  if (plan.against === undefined) return undefined
  const { file, older } = plan.against
  if (older.kind === 'saved') {
    const found = savedOf(older.documents, document, !plan.isWhole && plan.documents.length === 1)
    if (found === undefined && !plan.isWhole)
      throw new GatewayError('bad_description', { words: `${file} says nothing of ${document.source}.` })
    return { against: file, ...difference(found === undefined ? [] : renamed(found, document), tools) }
  }
  const result = await importDocument(plan.importer, { ...document, path: older.path })
  if (!result.ok) throw new GatewayError('bad_description', { words: `${file}: ${result.issue.message}` })
  const before = definitions(result.reply.tools).map(({ definition }) => definition)
  return { against: file, ...difference(before, tools) }
}

/** The tools of saved documents that are no longer among the targets. */
function goneWith({ documents, isWhole, against }: Plan): Changes | undefined {
  if (!isWhole || against === undefined || against.older.kind !== 'saved') return undefined
  const { older, file } = against
  const kept = new Set(documents.map((document) => savedOf(older.documents, document, false)))
  const gone = older.documents.filter((document) => !kept.has(document)).flatMap(({ tools }) => tools)
  return gone.length === 0 ? undefined : { against: file, ...difference(gone, []) }
}

const withLines = (document: Document, issues: readonly Issue[]): object[] => {
  const lines = linesIn(document, issues)
  return issues.map((issue, index) => ({ ...issue, ...(lines[index] === undefined ? {} : { line: lines[index] }) }))
}

/** The parsers’ own words about a document that they could not take to its end name a line. */
const lineInWords = ({ pointer, message }: Issue): number | undefined => {
  const found = /^Line (\d+)\b|\((\d+):\d+\)|\(line (\d+) column \d+\)/.exec(pointer === '' ? message : '')
  const digits = found?.slice(1).find((group) => group !== undefined)
  return digits === undefined ? undefined : Number(digits)
}

/** With overlays, what is said may be of one of them, or of a document that is nowhere written down: no lines then. */
function linesIn({ path, config }: Document, issues: readonly Issue[]): readonly (number | undefined)[] {
  if (issues.length === 0 || (config !== undefined && config.overlay.length > 0)) return issues.map(() => undefined)
  const said = issues.map(lineInWords)
  if (said.every((line) => line !== undefined)) return said
  const bytes = readAgain(path)
  if (bytes === undefined) return said
  const pointers = issues.map(({ pointer }) => pointer)
  return linesOf(bytes, pointers).map((line, index) => said[index] ?? line)
}

/** A file that could not be read has no lines. */
function readAgain(path: string): Buffer | undefined {
  try {
    return readSource(path)
  } catch {
    return undefined
  }
}

function summary(all: readonly Checked[], tokens: number): string {
  const sum = (of: (checked: Checked) => number): number => all.reduce((total, checked) => total + of(checked), 0)
  const tools = sum((checked) => checked.tools.length)
  const remarks = tally(all.flatMap(({ issues }) => issues))
  const facts = [
    `${count(tools, 'tool')} of ${count(
      sum(({ operations }) => operations),
      'operation',
    )}`,
    remarks === '' ? 'no warnings' : remarks,
    `about ${number(tokens)} tokens`,
  ].join(', ')
  const good = all.filter(({ imported }) => imported).length
  const documents = all.length === 1 ? '' : `${number(good)} of ${count(all.length, 'document')} can be imported. `
  return `${documents}${facts.replace(/^./, (letter) => letter.toUpperCase())}.\n`
}
