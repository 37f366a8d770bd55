/** How a client learns where to sign in: the `WWW-Authenticate` challenge (RFC 6750 §3) and RFC 9728 documents. */
import { GatewayError } from '../core/errors.ts'

export interface Challenge {
  /** URL of the RFC 9728 document. */
  readonly resourceMetadata: string
  /** All that the client should ask for; left out when empty. */
  readonly scope: readonly string[]
  readonly error?: 'invalid_request' | 'invalid_token' | 'insufficient_scope'
  readonly description?: string
}

/** RFC 9110 §5.6.4, in ASCII: clients’ parsers know neither escapes nor other encodings, so neither is sent. */
const quoted = (text: string): string =>
  `"${text
    .replace(/’/g, "'")
    .replace(/[^\x20-\x7e]/g, '')
    .replace(/["\\]/g, '')}"`

/** The value of `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1). A request without a token gets no `error`. */
export function bearerChallenge({ resourceMetadata, scope, error, description }: Challenge): string {
  const parameters = [`resource_metadata=${quoted(resourceMetadata)}`]
  if (scope.length > 0) parameters.push(`scope=${quoted([...new Set(scope)].join(' '))}`)
  if (error !== undefined) parameters.push(`error=${quoted(error)}`)
  if (error !== undefined && description !== undefined) parameters.push(`error_description=${quoted(description)}`)
  return `Bearer ${parameters.join(', ')}`
}

/**
 * The same refusal with its challenge; other errors as they are. `presented`: the request came with a token. For
 * `insufficient_scope` give all the scopes, the base ones with those that are missing: clients ask for what the last
 * challenge names and for nothing else.
 */
export function challenged(
  error: GatewayError,
  where: Pick<Challenge, 'resourceMetadata' | 'scope'>,
  presented: boolean,
): GatewayError {
  if (error.code !== 'unauthenticated' && error.code !== 'insufficient_scope') return error
  const challenge = bearerChallenge({
    ...where,
    ...(error.code === 'insufficient_scope' ? { error: error.code } : presented ? { error: 'invalid_token' } : {}),
    description: error.message,
  })
  return new GatewayError(error.code, {
    words: error.message,
    ...(error.data === undefined ? {} : { data: error.data }),
    headers: { ...error.headers, 'www-authenticate': challenge },
    cause: error.cause,
  })
}

/** RFC 9728 §2, as far as this gateway has something to say. */
export interface ResourceMetadata {
  readonly resource: string
  readonly authorization_servers: readonly string[]
  readonly scopes_supported?: readonly string[]
  readonly bearer_methods_supported: readonly ['header']
  readonly resource_name: string
}

export interface Resource {
  readonly resource: string
  readonly issuers: readonly string[]
  /** The base scopes, never `offline_access`, which is no scope of a resource (MCP 2026-07-28). */
  readonly scopes: readonly string[]
  readonly name: string
}

export const resourceMetadata = ({ resource, issuers, scopes, name }: Resource): ResourceMetadata => ({
  resource,
  authorization_servers: [...new Set(issuers)],
  ...(scopes.length === 0 ? {} : { scopes_supported: [...new Set(scopes)] }),
  bearer_methods_supported: ['header'],
  resource_name: name,
})

const wellKnown = '/.well-known/oauth-protected-resource'

/** Where the document for a path of the gateway, such as `/mcp/support`, can be had. `publicUrl` has no final slash. */
export const metadataUrl = (publicUrl: string, path: string): string =>
  `${publicUrl}${wellKnown}${path === '/' ? '' : path}`

/** What a client may call this gateway: the bare URL, with a slash as some clients send it, and each place it serves. */
export const resourceAliases = (publicUrl: string, views: readonly string[]): readonly string[] => [
  publicUrl,
  `${publicUrl}/`,
  `${publicUrl}/mcp`,
  ...views.map((view) => `${publicUrl}/mcp/${view}`),
]

/**
 * The `resource` that the document at a well-known path describes: the alias into which the client put the well-known
 * part (RFC 9728 §3.1), since clients refuse a document that names another URL than theirs (§3.3). `undefined` when
 * that is no alias. Under a public URL with a path, the part may stand before that path or after it, as proxies cut it.
 */
export function resourceFor(path: string, publicUrl: string, aliases: readonly string[]): string | undefined {
  const origin = URL.parse(publicUrl)?.origin
  const base = publicUrl.slice(origin?.length ?? 0)
  const inside = path.startsWith(`${base}${wellKnown}`) ? path.slice(base.length) : path
  if (!inside.startsWith(wellKnown)) return undefined
  const rest = inside.slice(wellKnown.length)
  if (rest !== '' && !rest.startsWith('/')) return undefined
  return [`${publicUrl}${rest}`, `${origin}${rest}`].find((url) => aliases.includes(url))
}
