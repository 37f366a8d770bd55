/** The ways in that the configuration names, as one check: each request is judged by the way that it came. */
import { type Authenticate, authenticateNone, type Inbound } from '../auth/authenticate.ts'
import { authenticateBearer, bearerToken } from '../auth/bearer.ts'
import { callerToken, keepCallerToken } from '../auth/caller-token.ts'
import {
  challenged,
  metadataUrl,
  resourceAliases,
  resourceFor,
  type ResourceMetadata,
  resourceMetadata,
} from '../auth/challenge.ts'
import { getThrough } from '../auth/issuer.ts'
import { jwtCheck, type TokenCheck } from '../auth/jwt.ts'
import { isKeyText } from '../auth/key-text.ts'
import { authenticateKey, type Keys } from '../auth/keys.ts'
import { RememberedTokens } from '../auth/remember.ts'
import { authenticateSigV4 } from '../auth/sigv4.ts'
import { isSigned } from '../auth/sigv4-request.ts'
import { inboundsOf, type Settings } from '../config/load.ts'
import type { JwtConfig } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError, toGatewayError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Principal } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import type { Egress } from '../egress/fetch.ts'

export interface InboundRoom {
  readonly settings: Settings
  readonly egress: Egress
  readonly clock: Clock
  readonly log: Log
  /** Without a final slash. */
  readonly publicUrl: string
  readonly keys: Keys
}

export interface Inbounds {
  /** Tells it from one of other settings. */
  readonly key: string
  readonly authenticate: Authenticate
  /** The RFC 9728 document for a well-known path; nothing where there is none. */
  describe(path: string): Promise<ResourceMetadata | undefined>
  /** What judges the tokens of this way. */
  checkOf(way: JwtConfig): TokenCheck | undefined
}

/** `before` itself where the settings say the same of callers: what it knows of issuers and tokens stays known. */
export function createInbound(room: InboundRoom, before: Inbounds | undefined): Inbounds {
  const { settings, keys, clock, publicUrl } = room
  const key = JSON.stringify([
    settings.inbound,
    Object.keys(settings.views),
    settings.name,
    settings.egress.allow,
    exchanges(settings),
  ])
  if (before?.key === key) return before
  const ways = inboundsOf(settings)
  if (ways.length === 0) return { key, ...nobodyAsked }
  const aliases = resourceAliases(publicUrl, Object.keys(settings.views))
  const tokens = ways.filter((way) => way.type === 'jwt')
  const checks = tokenChecks(room, tokens, aliases)
  const byToken =
    checks.length === 0
      ? undefined
      : authenticateBearer({ checks, resourceMetadata: ({ url }) => metadataUrl(publicUrl, placeOf(url)) })
  const byKey = ways.some(({ type }) => type === 'apiKey') ? authenticateKey(keys) : undefined
  const bySignature = ways.some(({ type }) => type === 'sigv4') ? authenticateSigV4({ keys, clock }) : undefined

  const bases = [...new Set(checks.flatMap(({ scopes }) => scopes))]
  /** Whoever comes with a key that is none hears how to sign in instead, where that is a way. */
  const told = (thrown: unknown, { url }: Inbound): unknown => {
    const error = toGatewayError(thrown)
    if (checks.length === 0 || error.headers?.['www-authenticate']?.includes('resource_metadata') === true)
      return thrown
    return challenged(error, { resourceMetadata: metadataUrl(publicUrl, placeOf(url)), scope: bases }, true)
  }
  const keeps = exchanges(settings)
  /** Only where a credential exchanges it is the caller's token kept beside the caller. */
  const kept = (caller: Principal, inbound: Inbound): Principal => {
    if (keeps && callerToken(caller) === undefined) {
      const token = bearerToken(inbound)
      if (token !== undefined && !isKeyText(token)) keepCallerToken(caller, new Secret(token))
    }
    return caller
  }
  const chosen = (inbound: Inbound): Authenticate => {
    if (bySignature !== undefined && isSigned(inbound)) return bySignature
    if (byKey !== undefined && isKeyed(inbound)) return byKey
    return byToken ?? byKey ?? bySignature ?? refuse
  }
  return {
    key,
    checkOf: (way) => checks[tokens.indexOf(way)],
    authenticate(inbound) {
      try {
        const caller = chosen(inbound)(inbound)
        if (!(caller instanceof Promise)) return kept(caller, inbound)
        return caller.then(
          (found) => kept(found, inbound),
          (thrown: unknown) => {
            throw told(thrown, inbound)
          },
        )
      } catch (thrown) {
        throw told(thrown, inbound)
      }
    },
    async describe(path) {
      const resource = resourceFor(path, publicUrl, aliases)
      if (checks.length === 0 || resource === undefined) return undefined
      const issuers = await Promise.all(
        tokens.map(async ({ facade }, index) => (facade ? publicUrl : ((await checks[index]?.issuer()) ?? publicUrl))),
      )
      return resourceMetadata({
        resource,
        issuers,
        scopes: checks.flatMap(({ scopes }) => scopes),
        name: settings.name,
      })
    },
  }
}

/** `none`: everyone is let in, and there is nothing to describe. */
const nobodyAsked: Omit<Inbounds, 'key'> = {
  authenticate: authenticateNone,
  describe: () => Promise.resolve(undefined),
  checkOf: () => undefined,
}

/** Whether any credential sends the caller's token to an authorization server. */
const exchanges = ({ credentials }: Settings): boolean =>
  Object.values(credentials).some(
    (entry) => entry.type === 'oauth2' && (entry.grant === 'tokenExchange' || entry.grant === 'jwtBearer'),
  )

/** Where no way fits, nobody gets in. */
const refuse: Authenticate = () => {
  throw new GatewayError('unauthenticated')
}

/** What claims to be a key of ours wherever it comes; anything else in the field of keys only where there is no token beside it. */
function isKeyed(inbound: Inbound): boolean {
  const field = inbound.header('x-api-key')
  const authorization = inbound.header('authorization')
  if (field !== undefined && (authorization === undefined || field.startsWith('tg_'))) return true
  return isKeyText(/^bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '')
}

/** The path of a request, `/mcp` or that of a view. */
const placeOf = (url: string): string => {
  const path = url.split('?', 1)[0] ?? ''
  return /^\/mcp(?:\/[A-Za-z0-9_-]{1,64})?$/.test(path) ? path : '/mcp'
}

function tokenChecks(
  { egress, clock, log }: InboundRoom,
  ways: readonly JwtConfig[],
  aliases: readonly string[],
): readonly TokenCheck[] {
  const remembered = new RememberedTokens(clock)
  return ways.map((way) => {
    const check = jwtCheck(
      {
        discoveryUrl: way.discoveryUrl,
        audiences: way.allowedAudience.length > 0 ? way.allowedAudience : aliases,
        clients: way.allowedClients,
        scopes: way.allowedScopes,
        customClaims: way.customClaims,
        ...(way.principalClaim === undefined ? {} : { principalClaim: way.principalClaim }),
        ...(way.tenant === undefined ? {} : { tenant: way.tenant }),
        ...(way.tenantClaim === undefined ? {} : { tenantClaim: way.tenantClaim }),
      },
      { clock, fetch: getThrough(egress), remembered },
    )
    check
      .ready()
      .catch((error: unknown) =>
        log.warn(
          { error, discoveryUrl: way.discoveryUrl },
          'the identity provider cannot be read yet; it is asked again',
        ),
      )
    return check
  })
}
