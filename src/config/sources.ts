/** Which descriptions there are: those that the configuration names, those dropped into `specs/`, and our own. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Settings } from './load.ts'
import type { Managed, ManagedTarget } from './managed.ts'
import { configSchema, descriptionOf, type TargetConfig } from './schema.ts'

export interface Source {
  readonly name: string
  /** Absolute path; empty for an MCP server that is asked, and for a target whose description is nowhere. */
  readonly path: string
  readonly config: TargetConfig
  /** Our own admin API, which is called with its own credential. */
  readonly own: boolean
  /** Why it cannot be a target. */
  readonly problem?: string
}

/** Our own description, wherever the package lies. */
const ownDescription = (): string => {
  const here = import.meta.dirname
  return [join(here, '../../specs/toolgate.yaml'), join(here, '../../../specs/toolgate.yaml')].find(existsSync) ?? ''
}

export const ownTarget = 'toolgate'

/** The reading half of the admin API. */
const ownOperations = ['list_targets', 'list_tools', 'get_usage']

/** A target that the configuration says nothing of. */
export const plainTarget = (): TargetConfig => {
  const parsed = configSchema.parse({ targets: { x: {} } }).targets['x']
  if (parsed === undefined) throw new GatewayError('internal')
  return parsed
}

/** A target that only `toolgate add` and the admin API say something of. */
export function managedTarget({ tools, ...rest }: ManagedTarget = {}): TargetConfig {
  const plain = plainTarget()
  const chosen = tools === undefined ? {} : { include: [...tools.include], override: { ...tools.override } }
  return { ...plain, ...rest, tools: { ...plain.tools, ...chosen } }
}

/** `Pet Store v2.yaml` → `Pet-Store-v2`; empty when nothing legal is left. */
export const nameOfFile = (file: string): string =>
  basename(file)
    .replace(/\.(?:(?:lambda|smithy)\.)?(?:ya?ml|json)$/i, '')
    .replace(/[^A-Za-z0-9-]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 64)
    .replace(/-+$/, '')

/** Files of the folder for descriptions, by name; none when the folder is not there. Throws `over_limit`. */
export function specFiles(folder: string): string[] {
  if (!existsSync(folder)) return []
  const files = readdirSync(folder)
    .filter((file) => /\.(?:ya?ml|json)$/i.test(file) && !file.startsWith('.'))
    .sort()
  if (files.length > limits.specFiles)
    throw new GatewayError('over_limit', { words: `${folder} has more than ${limits.specFiles} descriptions.` })
  return files
    .map((file) => join(folder, file))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true)
}

export function findSources(settings: Settings, managed: Managed): Source[] {
  const own = ownDescription()
  const sources = new Map<string, Source>()
  const named = new Set(Object.values(settings.targets).map(descriptionOf))
  for (const path of specFiles(settings.specs)) {
    if (named.has(path) || resolve(path) === own) continue
    const name = nameOfFile(path)
    const configured = Object.hasOwn(settings.targets, name) ? settings.targets[name] : undefined
    const config = configured ?? managedTarget(managed.get(name))
    const problem = problemOf(name, sources, configured)
    sources.set(problem === undefined ? name : `${name} ${basename(path)}`, {
      name: name === '' ? basename(path) : name,
      path,
      config,
      own: false,
      ...(problem === undefined ? {} : { problem }),
    })
  }
  for (const [name, config] of Object.entries(settings.targets)) {
    if (sources.has(name)) continue
    const path = descriptionOf(config)
    const problem =
      path === undefined && config.mcp === undefined
        ? `No description: put one into ${settings.specs} or name it as targets.${name}.openapi.`
        : undefined
    sources.set(name, {
      name,
      path: path ?? '',
      config,
      own: false,
      ...(problem === undefined ? {} : { problem }),
    })
  }
  if (settings.admin.tools && own !== '' && !sources.has(ownTarget)) {
    const config = plainTarget()
    sources.set(ownTarget, {
      name: ownTarget,
      path: own,
      config: { ...config, tools: { ...config.tools, include: ownOperations } },
      own: true,
    })
  }
  return [...sources.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function problemOf(
  name: string,
  taken: ReadonlyMap<string, Source>,
  configured: TargetConfig | undefined,
): string | undefined {
  if (name === '') return 'The file’s name has no letter or digit that a target’s name could be made of.'
  if (configured !== undefined && (configured.mcp ?? descriptionOf(configured)) !== undefined)
    return `The configuration gives the target ${name} another description; this one is not served.`
  return taken.has(name) ? `Another file gives the target name ${name}; this one is not served.` : undefined
}

/** The bytes of a description. Throws `bad_description` or `over_limit`. */
export function readSource(path: string): Buffer {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat?.isFile() !== true) throw new GatewayError('bad_description', { words: `There is no file ${path}.` })
  if (stat.size > limits.documentBytes)
    throw new GatewayError('over_limit', { words: `The description is larger than ${limits.documentBytes} bytes.` })
  return readFileSync(path)
}

/** Which files are being written: one is settled when it looks the same as it did `limits.watchSettledMs` ago. */
export class Settling {
  readonly #seen = new Map<string, { readonly look: string; readonly since: number }>()

  /** Those of the files that changed a moment ago. `now` is on the monotonic clock. */
  unsettled(paths: readonly string[], now: number): Set<string> {
    const found = new Set<string>()
    for (const path of paths) {
      const stat = statSync(path, { throwIfNoEntry: false })
      const look = stat === undefined ? '' : `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`
      const before = this.#seen.get(path)
      if (before?.look !== look) this.#seen.set(path, { look, since: now })
      else if (now - before.since >= limits.watchSettledMs) continue
      found.add(path)
    }
    const present = new Set(paths)
    for (const path of this.#seen.keys()) if (!present.has(path)) this.#seen.delete(path)
    return found
  }

  /** Takes the files as they are for whole: what stands there when the gateway starts. */
  trust(paths: readonly string[]): void {
    this.unsettled(paths, -Infinity)
  }
}
