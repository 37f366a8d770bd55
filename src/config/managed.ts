/** What `toolgate add` and the admin API say of dropped targets besides their description: credential and server. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { GatewayError } from '../core/errors.ts'
import { replaceFile } from '../store/files.ts'
import { targetName } from './schema.ts'

const entry = z.strictObject({ credential: z.string().optional(), server: z.url().optional() })

export type ManagedTarget = { readonly credential?: string; readonly server?: string }

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

const without = ({ credential, server }: z.infer<typeof entry>): ManagedTarget => ({
  ...(credential === undefined ? {} : { credential }),
  ...(server === undefined ? {} : { server }),
})

/** Sets or, without `value`, removes what is kept of a target. */
export async function writeManaged(dataDir: string, name: string, value: ManagedTarget | undefined): Promise<void> {
  const next = new Map(readManaged(dataDir))
  if (value === undefined) {
    if (!next.delete(name)) return
  } else next.set(name, value)
  await replaceFile(fileIn(dataDir), `${JSON.stringify(Object.fromEntries(next), null, 2)}\n`)
}
