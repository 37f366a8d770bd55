/** What `toolgate add` and the admin API say of dropped targets besides their description: credential, server, tools. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { replaceFile } from '../store/files.ts'
import { targetName } from './schema.ts'

const tools = z.strictObject({
  include: z.array(z.string().min(1).max(limits.urlBytes)).max(limits.awsFilters),
  override: z.record(
    z.string().min(1),
    z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
      description: z.string().min(1).max(limits.toolProseChars).optional(),
    }),
  ),
})

const entry = z.strictObject({
  credential: z.string().optional(),
  server: z.url().optional(),
  tools: tools.optional(),
})

/** As `tools.include` and `tools.override` of the configuration. */
export interface ManagedTools {
  readonly include: readonly string[]
  readonly override: { readonly [operation: string]: { readonly name: string; readonly description?: string } }
}

export interface ManagedTarget {
  readonly credential?: string
  readonly server?: string
  readonly tools?: ManagedTools
}

export type Managed = ReadonlyMap<string, ManagedTarget>

const fileIn = (dataDir: string): string => join(dataDir, 'targets.json')

/** Throws `bad_config` when the file was damaged. */
export function readManaged(dataDir: string): Managed {
  const path = fileIn(dataDir)
  if (!existsSync(path)) return new Map()
  try {
    const parsed = z.record(targetName, entry).parse(JSON.parse(readFileSync(path, 'utf8')))
    return new Map(Object.entries(parsed).map(([name, value]) => [name, without(value)]))
  } catch (cause) {
    throw new GatewayError('bad_config', { words: `${path} is damaged. Mend or remove it.`, cause })
  }
}

const without = ({ credential, server, tools }: z.infer<typeof entry>): ManagedTarget => ({
  ...(credential === undefined ? {} : { credential }),
  ...(server === undefined ? {} : { server }),
  ...(tools === undefined ? {} : { tools: { include: tools.include, override: overridesOf(tools.override) } }),
})

const overridesOf = (given: z.infer<typeof tools>['override']): ManagedTools['override'] =>
  Object.fromEntries(
    Object.entries(given).map(([operation, { name, description }]) => [
      operation,
      { name, ...(description === undefined ? {} : { description }) },
    ]),
  )

/** Sets or, without `value`, removes what is kept of a target. */
export async function writeManaged(dataDir: string, name: string, value: ManagedTarget | undefined): Promise<void> {
  const next = new Map(readManaged(dataDir))
  if (value === undefined) {
    if (!next.delete(name)) return
  } else next.set(name, value)
  await replaceFile(fileIn(dataDir), `${JSON.stringify(Object.fromEntries(next), null, 2)}\n`)
}
