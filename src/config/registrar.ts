/** Registers and removes dropped targets: a description that imports is put into the folder, then taken into force. */
import { join } from 'node:path'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Egress } from '../egress/fetch.ts'
import { removeFile, replaceFile } from '../store/files.ts'
import type { Importer } from './importer.ts'
import { importJob, type ImportReply } from './import-job.ts'
import type { Settings } from './load.ts'
import { type ManagedTarget, writeManaged } from './managed.ts'
import { approveHeld } from './pins.ts'
import { descriptionOf, targetName } from './schema.ts'
import { managedTarget, nameOfFile, ownTarget, specFiles } from './sources.ts'

export interface RegistrarRoom {
  settings(): Settings
  readonly importer: Importer
  egress(): Egress
}

export type Description = Uint8Array | { readonly url: string }

/** Checks a description and puts it into the folder. Gives what was imported. */
export async function putTarget(
  room: RegistrarRoom,
  name: string,
  description: Description,
  options: ManagedTarget,
): Promise<ImportReply> {
  const settings = room.settings()
  checkFree(settings, name)
  if (options.credential !== undefined && !Object.hasOwn(settings.credentials, options.credential))
    throw new GatewayError('invalid_params', {
      words: `There is no credential ${options.credential} in the configuration.`,
    })
  const url = description instanceof Uint8Array ? undefined : description.url
  const bytes = description instanceof Uint8Array ? description : await fetchDescription(room.egress(), description.url)
  const job = importJob(name, bytes, { config: managedTarget(options), server: options.server })
  const reply = await room.importer.run({
    ...job,
    options: { ...job.options, ...(url === undefined ? {} : { documentUrl: url }) },
  })
  if (reply.server === undefined)
    throw new GatewayError('bad_description', {
      words: 'The description names no server; give one (`server`, or `--server` on the command line).',
    })
  checkServer(room.egress(), reply.server)
  // A server that was found relative to where the description came from is kept: the file alone no longer tells.
  const server = options.server ?? (url === undefined ? undefined : reply.server)
  const json = /^\s*[{[]/.test(Buffer.from(bytes.subarray(0, 64)).toString('utf8'))
  await put(settings, name, `${name}.${json ? 'json' : 'yaml'}`, bytes, {
    ...options,
    ...(server === undefined ? {} : { server }),
  })
  return reply
}

/** Checks a function's file of tools, which says itself which function it is of, and puts it into the folder. */
export async function putFunction(
  room: RegistrarRoom,
  name: string,
  bytes: Uint8Array,
  managed: Pick<ManagedTarget, 'server'> | undefined,
): Promise<ImportReply> {
  const settings = room.settings()
  checkFree(settings, name)
  const path = `${name}.lambda.json`
  const reply = await room.importer.run(importJob(name, bytes, { config: managedTarget(managed), path }))
  await put(settings, name, path, bytes, managed)
  return reply
}

async function put(
  settings: Settings,
  name: string,
  base: string,
  bytes: Uint8Array,
  managed: ManagedTarget | undefined,
): Promise<void> {
  const file = join(settings.specs, base)
  if (isNamed(settings, file))
    throw new GatewayError('conflict', { words: 'A target of the configuration has the file that this would replace.' })
  await writeManaged(settings.dataDir, name, managed)
  await replaceFile(file, bytes, 0o644)
  for (const path of filesOf(settings, name)) if (path !== file) await removeFile(path)
}

/** Takes a dropped description away. Throws `not_found`, or `conflict` for a target of the configuration. */
export async function removeTarget(room: RegistrarRoom, name: string): Promise<void> {
  const settings = room.settings()
  const files = filesOf(settings, name)
  checkFree(settings, name)
  if (files.length === 0) throw new GatewayError('not_found')
  for (const path of files) await removeFile(path)
  await writeManaged(settings.dataDir, name, undefined)
}

/** Takes what is held of a pinned target. Throws `not_found`, or `conflict` when something else is held by now. */
export async function approveTarget(
  settings: Settings,
  targets: readonly { readonly name: string; readonly held?: string }[],
  name: string,
  version: string | undefined,
): Promise<void> {
  const held = targets.find((target) => target.name === name)?.held
  if (held === undefined) throw new GatewayError('not_found', { words: 'Nothing of a target of this name is held.' })
  const asked = version ?? held
  if (asked !== held || !(await approveHeld(settings.dataDir, name, asked)))
    throw new GatewayError('conflict', { words: `Another version is held by now: ${held}. Look at it again.` })
}

/** Here the address is part of what was asked for, not of a way out that failed. */
function checkServer(egress: Egress, server: string): void {
  try {
    egress.check(server)
  } catch (cause) {
    throw new GatewayError('bad_description', {
      words: cause instanceof Error ? cause.message : 'The server is refused.',
      cause,
    })
  }
}

/** A file that a target of the configuration has is not a dropped one. */
const isNamed = (settings: Settings, path: string): boolean =>
  Object.values(settings.targets).some((target) => descriptionOf(target) === path)

/** The dropped files of a target. */
export const filesOf = (settings: Settings, name: string): string[] =>
  specFiles(settings.specs).filter((path) => nameOfFile(path) === name && !isNamed(settings, path))

/** Throws `invalid_params` for what is no name, `conflict` for a target of the configuration. */
export function checkFree(settings: Settings, name: string): void {
  if (!targetName.safeParse(name).success)
    throw new GatewayError('invalid_params', { words: 'A target’s name is 1 to 64 letters, digits and hyphens.' })
  const configured = Object.hasOwn(settings.targets, name) ? settings.targets[name] : undefined
  const isDefined = configured !== undefined && (configured.mcp ?? descriptionOf(configured)) !== undefined
  if (isDefined || (name === ownTarget && settings.admin.tools))
    throw new GatewayError('conflict', { words: 'This target is defined by the configuration; change it there.' })
}

/** The bytes of a description by URL: https or an allowed address, one answer, no redirect, bounded. */
async function fetchDescription(egress: Egress, url: string): Promise<Uint8Array> {
  const from = egress.check(url)
  const response = await egress.channel(from.origin).send(
    {
      method: 'GET',
      url: from.href,
      headers: new Map([['accept', 'application/json, application/yaml, */*;q=0.5']]),
    },
    { timeoutMs: limits.targetTimeoutMs, bodyBytes: limits.documentBytes, repeatable: true },
  )
  if (response.status !== 200)
    throw new GatewayError('bad_description', {
      words: `The description’s address answered ${response.status}, not 200.`,
    })
  if (response.cut)
    throw new GatewayError('over_limit', { words: `The description is larger than ${limits.documentBytes} bytes.` })
  return response.body
}
