/** Where the tools of an import lead: the target, and the way to it, by what kind of description it was. */
import type { Route } from '../call/snapshot.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Target } from '../core/model.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import type { Egress } from '../egress/fetch.ts'
import { adapters } from '../registry.ts'
import { type FunctionFacts, lambdaServer, readFunction } from '../targets/lambda/function.ts'
import { toServer } from '../targets/openapi/servers.ts'
import { httpTransport } from '../transports/http.ts'
import { lambdaTransport } from '../transports/lambda.ts'
import type { Upstreams } from '../transports/mcp/upstreams.ts'
import { mcpTransport } from '../transports/mcp.ts'
import type { Made } from './import-job.ts'
import type { Settings } from './load.ts'
import type { TargetConfig } from './schema.ts'
import type { Source } from './sources.ts'

export interface RouteRoom {
  readonly egress: Egress
  readonly upstreams: Upstreams
  readonly clock: Clock
  readonly log: Log
  readonly settings: Pick<Settings, 'name' | 'awsRegion' | 'credentials'>
}

/** A way to a target, and what its operator is shown of where it leads. */
type Reached = Route & { readonly server: string }

/** Throws `bad_description` where nothing says where the target is, `egress_refused` where it must not be. */
export function toRoute(
  source: Source,
  made: Made,
  credential: CredentialProvider | undefined,
  room: RouteRoom,
): Reached {
  if (made.kind === 'lambda' || source.config.lambda !== undefined) return toFunction(source, made, credential, room)
  const { egress, upstreams } = room
  const { kind, origins } = made
  const target = toTarget(source, made)
  const server = `${target.origin}${target.basePath}`
  egress.check(server)
  for (const origin of origins) egress.check(`${origin}/`)
  const transport =
    kind === 'mcp' ? mcpTransport(target, credential, egress, upstreams) : httpTransport(target, credential, egress)
  return { target, adapter: adapters[kind], credential, transport, server }
}

/** A function, for itself or behind an OpenAPI description: what the configuration says of it goes before the file. */
function toFunction(source: Source, made: Made, credential: CredentialProvider | undefined, room: RouteRoom): Reached {
  const { lambda = {}, server: ownServer } = source.config
  // what the file says is of the function that it names, and of no other
  const named = lambda.function === undefined ? made.lambda : readFunction(lambda.function)
  const facts = { ...named, ...given(lambda) }
  const region = facts.region ?? room.settings.awsRegion
  const bad = (words: string): GatewayError => new GatewayError('bad_description', { words })
  if (facts.function === undefined) throw bad(`Nothing names the function. Set targets.${source.name}.lambda.function.`)
  if (region === undefined) throw bad(`Nothing says which region. Set targets.${source.name}.lambda.region.`)
  const contract = made.kind === 'lambda' ? 'agentcore' : 'apiGateway'
  if (facts.contract !== undefined && facts.contract !== contract)
    throw bad(
      made.kind === 'lambda'
        ? 'A tool list is for the contract agentcore; apiGateway needs an OpenAPI description.'
        : 'An OpenAPI description is for the contract apiGateway; agentcore needs a tool list.',
    )
  checkSigner(source, region, room.settings)
  const said = lambda.endpoint ?? (contract === 'agentcore' ? ownServer : undefined)
  const endpoint = said ?? facts.endpoint ?? lambdaServer(region)
  room.egress.check(endpoint)
  const at = toTarget(source, { kind: made.kind, server: endpoint, origins: [] })
  // what operations are built for is the function's own view of where it is
  const target =
    contract === 'agentcore'
      ? at
      : toTarget(source, { ...made, server: made.server ?? `https://${source.name}.lambda` })
  const transport = lambdaTransport(
    {
      target: at,
      function: facts.function,
      region,
      contract,
      gateway: room.settings.name,
      own: target,
      domainName: new URL(target.origin).host,
      headerNames: source.config.headers.forwardRequest,
      ...(facts.qualifier === undefined ? {} : { qualifier: facts.qualifier }),
      ...(lambda.roleArn === undefined ? {} : { roleArn: lambda.roleArn }),
      ...(credential === undefined ? {} : { credential }),
    },
    room,
  )
  const server = `${facts.function}${facts.qualifier === undefined ? '' : `:${facts.qualifier}`}`
  return { target, adapter: adapters[made.kind], credential, transport, server }
}

/** The members that are there. */
const given = ({ region, qualifier, contract }: NonNullable<TargetConfig['lambda']>): FunctionFacts =>
  Object.fromEntries(Object.entries({ region, qualifier, contract }).filter(([, value]) => value !== undefined))

/** AWS Lambda takes no signature for another service or region. Throws `bad_config`. */
function checkSigner({ name, config }: Source, region: string, { credentials }: RouteRoom['settings']): void {
  const { credential = '' } = config
  const entry = Object.hasOwn(credentials, credential) ? credentials[credential] : undefined
  if (entry?.type !== 'sigv4' || (entry.service === 'lambda' && entry.region === region)) return
  throw new GatewayError('bad_config', {
    words: `targets.${name}.credential: ${credential} signs for ${entry.service} in ${entry.region}, and the function is called by a signature for lambda in ${region}.`,
  })
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
