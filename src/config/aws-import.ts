/**
 * Targets from what is in AWS already: a function's configuration becomes a file of tools to fill in, a stage of a REST
 * API becomes a description with the filters and names that were asked for. What AWS says is a stranger's word here.
 */
import { basename } from 'node:path'
import { toSelector } from '../catalogue/pattern.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { askFunction, type AskRoom, askStage, type AwsPlace } from './aws-import/ask.ts'
import { functionFile } from './aws-import/function.ts'
import { guardWarnings } from './aws-import/guards.ts'
import { parseExport, readStage, type Stage, titleOf } from './aws-import/stage.ts'
import { cleanName, filterOf, functionOf, shown, stageOf, toolOf } from './aws-import/words.ts'
import type { ImportReply } from './import-job.ts'
import type { Settings } from './load.ts'
import { type ManagedTarget, type ManagedTools, readManaged } from './managed.ts'
import type { TargetConfig } from './schema.ts'
import { checkFree, filesOf, putFunction, putTarget, type RegistrarRoom } from './registrar.ts'

export interface AwsImportRoom extends RegistrarRoom, Pick<AskRoom, 'clock' | 'log' | 'identity'> {}

interface ImportOptions extends AwsPlace {
  /** The target's name; made of the function's or the API's unless given. */
  readonly name?: string
  /** Whether a description that is there already is replaced. */
  readonly force?: boolean
}

export interface FunctionOptions extends ImportOptions {
  readonly qualifier?: string
}

export interface StageOptions extends ImportOptions {
  /** As `--filter` has them. */
  readonly filters?: readonly string[]
  /** As `--tool` has them. */
  readonly tools?: readonly string[]
  readonly credential?: string
  /** In place of the stage's own address. */
  readonly server?: string
}

export interface Imported {
  readonly name: string
  /** Name of the file in the folder for descriptions. */
  readonly file: string
  readonly reply: ImportReply
  readonly warnings: readonly string[]
}

const roomFor = (room: AwsImportRoom): AskRoom => ({ ...room, egress: room.egress() })

/** Throws `invalid_params` for wrong words, `conflict` when there is one of the name, and what AWS said in its place. */
export async function importFunction(room: AwsImportRoom, source: string, options: FunctionOptions): Promise<Imported> {
  const ref = functionOf(source, options.qualifier)
  if (ref.region !== undefined && options.region !== undefined && ref.region !== options.region)
    throw new GatewayError('invalid_params', {
      words: `The function is in ${ref.region}, and --region says otherwise.`,
    })
  const settings = room.settings()
  const name = options.name ?? cleanName(ref.name)
  checkPlace(settings, name, options)
  const region = options.region ?? ref.region
  const place = { ...options, ...(region === undefined ? {} : { region }) }
  const { endpoint } = options
  const { text, warnings } = functionFile(await askFunction(roomFor(room), place, ref), ref.qualifier)
  // where credentials sign is no matter of a file
  const managed = endpoint === undefined ? undefined : { server: endpoint }
  const reply = await putFunction(room, name, Buffer.from(text), managed)
  const unkept = endpoint === undefined ? [] : unkeptEndpoint(settings, name, endpoint)
  return { name, file: `${name}.lambda.json`, reply, warnings: [...warnings, ...unkept] }
}

function unkeptEndpoint(settings: Settings, name: string, endpoint: string): string[] {
  const { configured } = knownOf(settings, name)
  if (configured === undefined || (configured.lambda?.endpoint ?? configured.server) !== undefined) return []
  return [
    `The configuration has targets.${name}, and what it says of the server is what counts: set targets.${name}.server to ${endpoint}.`,
  ]
}

/**
 * The same of a stage. Filters and names of before stay where none are given, since they only narrow; what was to be
 * called, and with what, is said anew.
 */
export async function importStage(room: AwsImportRoom, source: string, options: StageOptions): Promise<Imported> {
  const ref = stageOf(source)
  const given = givenTools(options)
  const settings = room.settings()
  checkCredential(settings, options.credential)
  if (options.name !== undefined) checkPlace(settings, options.name, options)
  const { bytes, region } = await askStage(roomFor(room), options, ref)
  const document = parseExport(bytes)
  const name = options.name ?? nameOf(titleOf(document), ref.api)
  checkPlace(settings, name, options)
  const { configured, before } = knownOf(settings, name)
  if (configured !== undefined && (given.include ?? given.override) !== undefined) throw inConfiguration(name, given)
  const tools = { include: [], override: {}, ...before.tools, ...given }
  const server = options.server ?? `https://${ref.api}.execute-api.${region}.${suffixOf(region)}/${ref.stage}`
  const stage = readStage(document, server, configured?.tools.include ?? tools.include)
  checkChosen(options, given, stage)
  const reply = await putTarget(room, name, stage.bytes, {
    ...(options.credential === undefined ? {} : { credential: options.credential }),
    // without it the file says where the stage is
    ...(options.server === undefined ? {} : { server: options.server }),
    ...((before.tools ?? given.include ?? given.override) === undefined ? {} : { tools }),
  })
  const credential = options.credential ?? configured?.credential
  const guards = guardWarnings(settings, stage.chosen, credential, region)
  return {
    name,
    file: `${name}.json`,
    reply,
    warnings: [...stage.warnings, ...changes(before, given, options), ...guards],
  }
}

/** What became of that which was kept of the target before. */
function changes(before: ManagedTarget, given: Partial<ManagedTools>, options: StageOptions): string[] {
  const said: string[] = []
  if (before.tools !== undefined && given.include === undefined) said.push('The filters of before are kept.')
  if (before.credential !== undefined && options.credential === undefined)
    said.push(`The credential of before, ${before.credential}, is not kept: name it with --credential.`)
  if (before.server !== undefined && options.server === undefined)
    said.push(`The server of before, ${before.server}, is not kept: name it with --server.`)
  return said
}

/** What the configuration says of the target, and what is kept of it. */
const knownOf = (
  settings: Settings,
  name: string,
): { readonly configured: TargetConfig | undefined; readonly before: ManagedTarget } => ({
  configured: Object.hasOwn(settings.targets, name) ? settings.targets[name] : undefined,
  before: readManaged(settings.dataDir).get(name) ?? {},
})

/** Not much is asked of AWS for what cannot be put anywhere. */
function checkPlace(settings: Settings, name: string, { force }: ImportOptions): void {
  checkFree(settings, name)
  const [there] = filesOf(settings, name)
  if (there !== undefined && force !== true)
    throw new GatewayError('conflict', {
      words: `There is ${basename(there)} already. Give another --name, or --force to replace it.`,
    })
}

function checkCredential({ credentials }: Settings, name: string | undefined): void {
  if (name !== undefined && !Object.hasOwn(credentials, name))
    throw new GatewayError('invalid_params', { words: `There is no credential ${name} in the configuration.` })
}

function nameOf(title: string, api: string): string {
  const made = cleanName(title)
  return made === '' ? api : made
}

const suffixOf = (region: string): string => (region.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com')

/** What was asked for. Throws `invalid_params`. */
function givenTools({ filters = [], tools = [] }: StageOptions): Partial<ManagedTools> {
  const include = [...new Set(filters.flatMap(filterOf))]
  const override = tools.map(toolOf)
  if (include.length > limits.awsFilters || override.length > limits.awsFilters)
    throw new GatewayError('over_limit', { words: `At most ${limits.awsFilters} filters and names are kept.` })
  if (new Set(override.map(([operation]) => operation)).size < override.length)
    throw new GatewayError('invalid_params', { words: 'Two of --tool name the same method.' })
  return {
    ...(include.length === 0 ? {} : { include }),
    ...(override.length === 0 ? {} : { override: Object.fromEntries(override) }),
  }
}

const inConfiguration = (name: string, tools: Partial<ManagedTools>): GatewayError =>
  new GatewayError('conflict', {
    words: `The configuration has targets.${name}, and what it says of its tools is what counts. Put this there: "tools": ${JSON.stringify(tools)}`,
  })

/** An allowlist with a slip of the pen is no allowlist. */
function checkChosen(
  { filters = [] }: StageOptions,
  { override = {} }: Partial<ManagedTools>,
  { chosen, warnings }: Stage,
): void {
  const labels = [...chosen.keys()].map((label) => ({ id: '', label }))
  for (const filter of filters)
    if (!labels.some(toSelector({ include: filterOf(filter), exclude: [] })))
      throw new GatewayError('invalid_params', {
        words: `--filter “${shown(filter)}” chooses no method of the stage that can be a tool.`,
      })
  for (const operation of Object.keys(override))
    if (!chosen.has(operation))
      throw new GatewayError('invalid_params', {
        words: `--tool names ${shown(operation)}, which the stage has not or the filters do not choose.`,
      })
  if (chosen.size === 0)
    throw new GatewayError('bad_description', {
      words: ['No method of the stage becomes a tool.', ...warnings].join(' '),
    })
}
