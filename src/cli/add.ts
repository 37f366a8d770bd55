/** `toolgate add`: checks a description and puts it into the folder, where a running gateway picks it up. */
import { readFileSync } from 'node:fs'
import { createImporter } from '../config/importer.ts'
import { loadSettings } from '../config/load.ts'
import { type Description, putTarget } from '../config/registrar.ts'
import { nameOfFile } from '../config/sources.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { createEgress } from '../egress/fetch.ts'

export interface AddOptions {
  readonly config?: string
  readonly name?: string
  readonly credential?: string
  readonly server?: string
}

export async function add(source: string, options: AddOptions): Promise<void> {
  const settings = loadSettings(options.config, 'left')
  const egress = createEgress({ allow: settings.egress.allow, clock: systemClock })
  const isUrl = /^https?:\/\//i.test(source)
  const name = options.name ?? nameOfFile(isUrl ? new URL(source).pathname : source)
  if (name === '')
    throw new GatewayError('invalid_params', { words: 'No name can be made of this; give one with --name.' })
  const description: Description = isUrl ? { url: source } : read(source)
  try {
    const room = { settings: () => settings, importer: createImporter(systemClock), egress: () => egress }
    const reply = await putTarget(room, name, description, {
      ...(options.credential === undefined ? {} : { credential: options.credential }),
      ...(options.server === undefined ? {} : { server: options.server }),
    })
    for (const { message } of reply.issues) process.stderr.write(`warning: ${message}\n`)
    process.stdout.write(
      `${name}: ${reply.tools.entries.length} tools of ${reply.operations} operations, in ${settings.specs}\n`,
    )
  } finally {
    await egress.close()
  }
}

function read(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new GatewayError('bad_description', { words: `${path} cannot be read.`, cause })
  }
}
