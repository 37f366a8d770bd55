/** `toolgate add`: checks a description and puts it into the folder, where a running gateway picks it up. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createImporter } from '../config/importer.ts'
import { loadSettings, type Settings } from '../config/load.ts'
import { lambdaFile } from '../config/kind.ts'
import { type Description, putFunction, putTarget, type RegistrarRoom } from '../config/registrar.ts'
import { nameOfFile } from '../config/sources.ts'
import { count } from './report/look.ts'
import { systemClock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { createEgress } from '../egress/fetch.ts'

export interface AddOptions {
  readonly config?: string
  readonly name?: string
  readonly credential?: string
  readonly server?: string
  readonly region?: string
  readonly endpoint?: string
  readonly role?: string
  readonly qualifier?: string
  readonly filter?: readonly string[]
  readonly tool?: readonly string[]
  readonly force?: boolean
}

/** Which options go with what is added, besides `config` and `name`. */
const kinds = {
  lambda: ['region', 'endpoint', 'role', 'qualifier', 'force'],
  apigateway: ['region', 'endpoint', 'role', 'filter', 'tool', 'credential', 'server', 'force'],
  file: ['credential', 'server'],
} as const

export async function add(source: string, options: AddOptions): Promise<void> {
  const kind = source.startsWith('lambda:') ? 'lambda' : source.startsWith('apigateway:') ? 'apigateway' : 'file'
  checkOptions(kind, options)
  const settings = loadSettings(options.config, 'left')
  const egress = createEgress({ allow: settings.egress.allow, clock: systemClock })
  const room = { settings: () => settings, importer: createImporter(systemClock), egress: () => egress }
  try {
    await (kind === 'file' ? addFile(room, source, options) : addFromAws(room, source, options))
  } finally {
    await egress.close()
  }
}

function checkOptions(kind: keyof typeof kinds, options: AddOptions): void {
  const mayBe: readonly string[] = [...kinds[kind], 'config', 'name']
  for (const option of Object.keys(options))
    if (!mayBe.includes(option))
      throw new GatewayError('invalid_params', {
        words: `--${option} does not go with ${kind === 'file' ? 'a file or a URL' : `${kind}:`}.`,
      })
}

async function addFile(room: RegistrarRoom, source: string, { name: named, ...options }: AddOptions): Promise<void> {
  const isUrl = /^https?:\/\//i.test(source)
  const name = named ?? nameOfFile(isUrl ? new URL(source).pathname : source)
  if (name === '')
    throw new GatewayError('invalid_params', { words: 'No name can be made of this; give one with --name.' })
  const { credential, server } = options
  const isFunction = !isUrl && lambdaFile.test(source)
  if (isFunction && credential !== undefined)
    throw new GatewayError('invalid_params', {
      words: `What a function is called with is said by targets.${name}.credential of the configuration.`,
    })
  const description: Description = isUrl ? { url: source } : read(source)
  const reply =
    description instanceof Uint8Array && isFunction
      ? await putFunction(room, name, description, server === undefined ? undefined : { server })
      : await putTarget(room, name, description, {
          ...(credential === undefined ? {} : { credential }),
          ...(server === undefined ? {} : { server }),
        })
  warn(reply.issues.map(({ message }) => message))
  process.stdout.write(
    `${name}: ${count(reply.tools.entries.length, 'tool')} of ${count(reply.operations, 'operation')}, in ${room.settings().specs}\n`,
  )
}

async function addFromAws(room: RegistrarRoom, source: string, options: AddOptions): Promise<void> {
  const { importFunction, importStage } = await import('../config/aws-import.ts')
  const log = { warn: (_fields: object, words: string) => warn([words]) }
  const awsRoom = { ...room, clock: systemClock, log }
  const { filter: filters, tool: tools, ...rest } = options
  const isFunction = source.startsWith('lambda:')
  const { name, file, reply, warnings } = isFunction
    ? await importFunction(awsRoom, source, rest)
    : await importStage(awsRoom, source, {
        ...rest,
        ...(filters === undefined ? {} : { filters }),
        ...(tools === undefined ? {} : { tools }),
      })
  warn([...warnings, ...reply.issues.map(({ message }) => message)])
  const path = join(room.settings().specs, file)
  const made = `${count(reply.tools.entries.length, 'tool')} of ${count(reply.operations, 'operation')}`
  process.stdout.write(`${name}: ${made}, in ${path}\n`)
  process.stderr.write(isFunction ? functionNext(path) : stageNext(room.settings()))
}

const functionNext = (path: string): string =>
  `Next: say in ${path} what the tool does (description) and which arguments it takes (inputSchema). Until then a model is
told of none, and whatever a caller sends is passed on. A running gateway takes the file as it is, and each change of it.
`

const stageNext = ({ file }: Settings): string =>
  `A running gateway takes it as it is. ${file} is where its credential belongs, and \`toolgate tools\` shows what there is.\n`

const warn = (words: readonly string[]): void => {
  for (const one of words) process.stderr.write(`warning: ${one}\n`)
}

function read(path: string): Uint8Array {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new GatewayError('bad_description', { words: `${path} cannot be read.`, cause })
  }
}
