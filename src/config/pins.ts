/**
 * What the operator approved of a pinned target: its tools and where they go, whole. A description that comes to anything
 * else is held until it is approved; what was approved last goes on serving, over restarts too.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { ToolSet } from '../catalogue/tools.ts'
import { GatewayError } from '../core/errors.ts'
import { versionOf } from '../core/hash.ts'
import { removeFile, replaceFile } from '../store/files.ts'
import type { Made } from './import-job.ts'

export interface Held {
  /** What serves: the new one when there is nothing to hold. */
  readonly serving: Made
  /** Names what `approve` would take, when something is held. */
  readonly version: string | undefined
  /** For the operator. */
  readonly words: string
}

const file = z.strictObject({
  kind: z.enum(['openapi', 'smithy', 'lambda', 'mcp']).default('openapi'),
  offers: z.looseObject({}).optional(),
  lambda: z.looseObject({}).optional(),
  server: z.string().optional(),
  origins: z.array(z.string()),
  entries: z.array(z.looseObject({ name: z.string(), from: z.int(), to: z.int() })),
  definitions: z.string(),
})

const pathOf = (dataDir: string, target: string): string => join(dataDir, 'pins', `${target}.json`)

const heldPathOf = (dataDir: string, target: string): string => join(dataDir, 'pins', `${target}.held.json`)

const textOf = ({ kind, server, origins, tools, offers, lambda }: Made): string =>
  JSON.stringify({
    ...(kind === 'openapi' ? {} : { kind }),
    ...(offers === undefined ? {} : { offers }),
    ...(lambda === undefined ? {} : { lambda }),
    ...(server === undefined ? {} : { server }),
    origins,
    entries: tools.entries,
    definitions: Buffer.from(tools.bytes).toString('utf8'),
  })

/** Changes with every approval; empty while nothing is pinned. */
export function pinVersion(dataDir: string, target: string): string {
  const path = pathOf(dataDir, target)
  return existsSync(path) ? versionOf([readFileSync(path)]) : ''
}

/** Takes the first for approved. Throws `bad_config` when the file of what was approved is damaged. */
export async function holdBack(dataDir: string, target: string, now: Made): Promise<Held> {
  const path = pathOf(dataDir, target)
  const text = textOf(now)
  if (!existsSync(path)) await replaceFile(path, text)
  const approved = readFileSync(path, 'utf8')
  if (approved === text) {
    await removeFile(heldPathOf(dataDir, target))
    return { serving: now, version: undefined, words: '' }
  }
  // Kept as it was looked at: this is what an approval takes, whatever the description has become meanwhile.
  await replaceFile(heldPathOf(dataDir, target), text)
  const version = versionOf([Buffer.from(text)])
  return { serving: parse(approved, path), version, words: held(parse(approved, path), now, target, version) }
}

/** What was approved last; nothing where nothing was. Throws `bad_config` when its file is damaged. */
export function approvedOf(dataDir: string, target: string): Made | undefined {
  const path = pathOf(dataDir, target)
  return existsSync(path) ? parse(readFileSync(path, 'utf8'), path) : undefined
}

/** Takes the held version of this name. Whether it is the one that is held. */
export async function approveHeld(dataDir: string, target: string, version: string): Promise<boolean> {
  const path = heldPathOf(dataDir, target)
  if (!existsSync(path)) return false
  const text = readFileSync(path, 'utf8')
  if (versionOf([Buffer.from(text)]) !== version) return false
  await replaceFile(pathOf(dataDir, target), text)
  return true
}

function parse(text: string, path: string): Made {
  try {
    const { kind, server, origins, entries, definitions, offers, lambda } = file.parse(JSON.parse(text))
    return {
      kind,
      server,
      origins,
      tools: { entries: entries as never, bytes: Buffer.from(definitions) },
      ...(offers === undefined ? {} : { offers: offers as never }),
      ...(lambda === undefined ? {} : { lambda }),
    }
  } catch (cause) {
    throw new GatewayError('bad_config', { words: `${path} is damaged. Approve the target again.`, cause })
  }
}

function held(before: Made, now: Made, target: string, version: string): string {
  const old = byName(before.tools)
  const fresh = byName(now.tools)
  const added = [...fresh.keys()].filter((name) => !old.has(name)).length
  const removed = [...old.keys()].filter((name) => !fresh.has(name)).length
  const changed = [...fresh].filter(([name, text]) => old.has(name) && old.get(name) !== text).length
  const moved = before.server === now.server ? '' : ' Its server changed, too.'
  const called = JSON.stringify(now.lambda ?? {})
  const other = called === JSON.stringify(before.lambda ?? {}) ? '' : ` Its function would be ${called}.`
  return `The description changed and is held: ${added} tools added, ${removed} removed, ${changed} changed.${moved}${other} What was approved goes on serving. Look at it with \`toolgate check --against\`, then \`toolgate approve ${target} --held ${version}\`.`
}

const byName = ({ entries, bytes }: ToolSet): Map<string, string> =>
  new Map(
    entries.map(({ name, operation, from, to }) => [
      name,
      `${JSON.stringify(operation)}${Buffer.from(bytes.subarray(from, to)).toString('utf8')}`,
    ]),
  )
