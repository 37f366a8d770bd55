/** One import as plain data, so that it can be done in a thread of its own; done here, it is a pure function of the job. */
import { type OfferSet, ofTools, toOffers } from '../catalogue/offers.ts'
import { type ToolRules, toTools, type ToolSet, type Unknown } from '../catalogue/tools.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import { adapters } from '../registry.ts'
import type { ImportOptions, Issue } from '../targets/adapter.ts'
import type { FunctionFacts } from '../targets/lambda/function.ts'
import { type Kind, kindOf } from './kind.ts'
import type { TargetConfig } from './schema.ts'
import { readSource } from './sources.ts'

export interface ImportJob {
  readonly target: string
  readonly kind: Kind
  readonly bytes: Uint8Array
  readonly options: ImportOptions
  readonly rules: ToolRules
}

/** What calls are made of: approved as one where a target is pinned. */
export interface Made {
  readonly kind: Kind
  readonly server: string | undefined
  readonly origins: readonly string[]
  readonly tools: ToolSet
  /** Of an MCP server. */
  readonly offers?: OfferSet
  /** What a Lambda file says of its function. */
  readonly lambda?: FunctionFacts
}

export interface ImportReply extends Made {
  readonly format: string
  /** Operations of the description, chosen or not. */
  readonly operations: number
  readonly issues: readonly Issue[]
}

/** Throws `bad_description` or `over_limit`. */
export async function runImport({ target, kind, bytes, options, rules }: ImportJob): Promise<ImportReply> {
  const { format, server, origins, operations, issues, offers, lambda } = await adapters[kind].load(bytes, options)
  const all: Issue[] = [...issues]
  const unknown: Unknown = (message) =>
    all.push({ severity: 'warning', code: 'override_no_match', pointer: '', message })
  const offered = offers === undefined ? undefined : toOffers(target, offers, rules, unknown)
  const tools = toTools(target, operations, offered === undefined ? rules : ofTools(rules), unknown)
  return {
    kind,
    format,
    server,
    origins,
    operations: operations.length,
    issues: all,
    tools,
    ...(offered === undefined ? {} : { offers: offered }),
    ...(lambda === undefined ? {} : { lambda }),
  }
}

/** What is known of a target besides its description. */
interface Around {
  readonly config: TargetConfig
  /** Of the file that the description is from, or will be in; only its name matters. */
  readonly path?: string
  /** Only looked at, and named by whoever looks: a list of a function's tools whatever the file is called. */
  readonly isLook?: boolean
  /** Where its credential goes. */
  readonly place?: CredentialProvider['place'] | undefined
  /** In place of what the configuration says. */
  readonly server?: string | undefined
}

/**
 * What the configuration of a target makes of its description. Reads its overlays: `bad_description` when one is not
 * there, and for a description that may not be what it is.
 */
export function importJob(
  target: string,
  bytes: Uint8Array,
  { config, path = '', isLook = false, place, server = config.mcp?.url ?? config.server }: Around,
): ImportJob {
  const { tools } = config
  const contentTypes = Object.entries(tools.override).flatMap(([name, { contentType }]) =>
    contentType === undefined ? [] : [[name, contentType] as const],
  )
  return {
    target,
    kind: kindOf(bytes, config, path, isLook),
    bytes,
    options: {
      ...(server === undefined ? {} : { server }),
      serverVariables: new Map(Object.entries(config.serverVariables)),
      serverArguments: config.serverArguments,
      overlays: config.overlay.map((path) => ({ name: path, bytes: readSource(path) })),
      contentTypes: new Map([
        ...(config.contentType === undefined ? [] : [['', config.contentType] as const]),
        ...contentTypes,
      ]),
      descriptionChars: config.descriptionChars,
      ...(place === undefined ? {} : { credentialPlace: { ...place } }),
    },
    rules: {
      include: tools.include,
      exclude: tools.exclude,
      override: new Map(Object.entries(tools.override)),
      ...(config.response === undefined ? {} : { response: config.response }),
    },
  }
}
