/** Which server an operation is sent to: configuration, operation, path, document, in this order (OAS 3.1.1 §4.8.5). */
import type { ImportOptions } from '../adapter.ts'
import { limits } from '../../core/limits.ts'
import type { Binding } from './binding.ts'
import type { Dialect } from './document.ts'
import type { Keys } from './keys.ts'
import { prose, type Schema } from './keywords.ts'
import { listAt, type Node, nodeAt, textAt } from './tree.ts'

export interface Server {
  readonly origin: string
  /** Without a trailing slash. */
  readonly basePath: string
}

/** An absolute http(s) URL split into what never changes and what operations append to; `undefined` for anything else. */
export function toServer(url: string): Server | undefined {
  // A variable without a value is left in braces, which no host has.
  if (/[{}]/.test(url) || !URL.canParse(url)) return undefined
  const parsed = new URL(url)
  if ((parsed.protocol !== 'https:' && parsed.protocol !== 'http:') || parsed.username !== '' || parsed.password !== '')
    return undefined
  return { origin: parsed.origin, basePath: parsed.pathname.replace(/\/+$/, '') }
}

/** The document's own server. */
export function documentServer(root: Node, dialect: Dialect, options: ImportOptions): Server | undefined {
  if (options.server !== undefined) return toServer(options.server)
  if (dialect === '2.0') return swaggerServer(root, options.documentUrl)
  return (
    firstServer(root, options) ?? (options.documentUrl === undefined ? undefined : resolved('/', options.documentUrl))
  )
}

/** The first server that an object's own `servers` names. */
export function firstServer(owner: Node, options: ImportOptions): Server | undefined {
  for (const server of listAt(owner, 'servers')) {
    const found = serverOf(server, options)
    if (found !== undefined) return found
  }
  return undefined
}

function serverOf(server: unknown, options: ImportOptions): Server | undefined {
  const url = textAt(server, 'url')
  if (url === undefined) return undefined
  return resolved(substitute(url, nodeAt(server, 'variables'), options.serverVariables), options.documentUrl)
}

/** Server variables as arguments: what a caller may choose, and where each choice leads. */
export interface ServerChoice {
  readonly schemas: readonly (readonly [argument: string, schema: Schema])[]
  readonly binding: NonNullable<Binding['servers']>
}

/** Of the owner's first usable server, the enumerated variables that the configuration offers to callers. */
export function serverChoice(
  owner: Node,
  options: ImportOptions,
  keys: Keys,
  taken: ReadonlySet<string>,
): ServerChoice | undefined {
  const server = listAt(owner, 'servers').find((entry) => serverOf(entry, options) !== undefined)
  const variables = nodeAt(server, 'variables')
  const offered = (options.serverArguments ?? []).flatMap((name) => {
    const values = listAt(nodeAt(variables, name), 'enum').filter((value) => typeof value === 'string')
    const argument = keys.safe(taken.has(name) ? `${name}_server` : name)
    return values.length === 0 ? [] : [{ name, argument, values }]
  })
  const total = offered.reduce((product, { values }) => product * values.length, 1)
  if (offered.length === 0 || total > limits.serverChoices) return undefined
  const chosen = options.serverVariables ?? new Map<string, string>()
  let combinations: readonly ReadonlyMap<string, string>[] = [chosen]
  for (const { name, values } of offered)
    combinations = combinations.flatMap((before) => values.map((value) => new Map(before).set(name, value)))
  const choices = combinations.flatMap((variablesChosen) => {
    const found = serverOf(server, { ...options, serverVariables: variablesChosen })
    return found === undefined ? [] : [{ values: offered.map(({ name }) => variablesChosen.get(name) ?? ''), ...found }]
  })
  return {
    schemas: offered.map(({ name, argument, values }) => {
      const variable = nodeAt(variables, name)
      const preset = chosen.get(name) ?? textAt(variable, 'default')
      const description = prose(variable?.['description'], limits.propertyDescriptionChars)
      return [
        argument,
        {
          type: 'string',
          ...(description === undefined ? {} : { description }),
          enum: values,
          ...(preset !== undefined && values.includes(preset) ? { default: preset } : {}),
        },
      ]
    }),
    binding: {
      arguments: offered.map(({ name, argument }) => ({
        argument,
        preset: chosen.get(name) ?? textAt(nodeAt(variables, name), 'default') ?? '',
      })),
      choices,
    },
  }
}

/** A chosen value must be one of an enumerated variable's; otherwise its default stands. */
function substitute(url: string, variables: Node | undefined, chosen: ReadonlyMap<string, string> | undefined): string {
  return url.replace(/\{([^{}]+)\}/g, (whole, name: string) => {
    const variable = nodeAt(variables, name)
    const allowed = listAt(variable, 'enum')
    const choice = chosen?.get(name)
    if (choice !== undefined && (allowed.length === 0 || allowed.includes(choice))) return choice
    const preset = variable === undefined ? undefined : variable['default']
    if (typeof preset === 'string' || typeof preset === 'number') return String(preset)
    const [first] = allowed
    return typeof first === 'string' ? first : whole
  })
}

function resolved(url: string, documentUrl: string | undefined): Server | undefined {
  const absolute = /^[a-z][a-z0-9+.-]*:/i.test(url)
  if (absolute) return toServer(url)
  if (documentUrl === undefined || !URL.canParse(url, documentUrl)) return undefined
  return toServer(new URL(url, documentUrl).href)
}

/** Swagger 2.0 §Swagger Object: `host` and `schemes` default to where the document came from. */
function swaggerServer(root: Node, documentUrl: string | undefined): Server | undefined {
  const from = documentUrl !== undefined && URL.canParse(documentUrl) ? new URL(documentUrl) : undefined
  const host = textAt(root, 'host') ?? from?.host
  if (host === undefined) return undefined
  const schemes = listAt(root, 'schemes')
  const scheme = schemes.includes('https') ? 'https' : schemes.includes('http') ? 'http' : from?.protocol.slice(0, -1)
  const basePath = textAt(root, 'basePath') ?? '/'
  return toServer(`${scheme ?? 'https'}://${host}${basePath.startsWith('/') ? '' : '/'}${basePath}`)
}
