/** Where the tools of an import lead: the target, and the way to it, by what kind of description it was. */
import type { Route } from '../call/snapshot.ts'
import { GatewayError } from '../core/errors.ts'
import type { Target } from '../core/model.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import { adapters } from '../registry.ts'
import { toServer } from '../targets/openapi/servers.ts'
import { httpTransport } from '../transports/http.ts'
import type { Upstreams } from '../transports/mcp/upstreams.ts'
import { mcpTransport } from '../transports/mcp.ts'
import type { Made } from './import-job.ts'
import type { TargetConfig } from './schema.ts'
import type { Source } from './sources.ts'

export interface RouteRoom {
  readonly egress: Egress
  readonly upstreams: Upstreams
}

/** Throws `bad_description` where nothing says where the target is, `egress_refused` where it must not be. */
export function toRoute(
  source: Source,
  made: Made,
  credential: CredentialProvider | undefined,
  { egress, upstreams }: RouteRoom,
): Route & { readonly server: string } {
  const { kind, origins } = made
  const target = toTarget(source, made)
  const server = `${target.origin}${target.basePath}`
  egress.check(server)
  for (const origin of origins) egress.check(`${origin}/`)
  const transport =
    kind === 'mcp' ? mcpTransport(target, credential, egress, upstreams) : httpTransport(target, credential, egress)
  return { target, adapter: adapters[kind], credential, transport, server }
}

/** Throws `bad_description` where nothing says where the target is. */
export function toTarget({ name, config }: Source, { kind, server, origins }: Omit<Made, 'tools'>): Target {
  const place = server === undefined ? undefined : toServer(server)
  if (place === undefined)
    throw new GatewayError('bad_description', {
      words: `The description names no server. Set targets.${name}.server.`,
    })
  return { name, kind, ...place, ...(origins.length === 0 ? {} : { origins }), ...rulesOf(config) }
}

/** What the configuration says of a target's calls. */
const rulesOf = ({ timeoutMs, headers }: TargetConfig): Pick<Target, 'timeoutMs' | 'headers'> => ({
  timeoutMs,
  headers: {
    set: new Map(Object.entries(headers.set).map(([header, value]) => [header.toLowerCase(), value])),
    forwardRequest: headers.forwardRequest.map((header) => header.toLowerCase()),
    forwardResponse: headers.forwardResponse.map((header) => header.toLowerCase()),
  },
})
