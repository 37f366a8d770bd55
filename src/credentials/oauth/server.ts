/**
 * An authorization server: its addresses from a vendor row, from its own metadata (RFC 8414, OpenID Connect Discovery
 * 1.0) or from the configuration. Metadata is asked for once and kept for as long as its answer allows.
 */
import * as oauth from 'oauth4webapi'
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { TokenFault } from './fault.ts'
import type { OAuthOptions, OAuthRoom } from './room.ts'
import type { Vendor } from './vendor.ts'
import { fill, vendorNamed } from './vendors.ts'
import { createWire } from './wire.ts'

export interface Server {
  readonly as: oauth.AuthorizationServer
  /** Whether its issuer is its own word or the operator's, and not one made up here from an address. */
  readonly knowsIssuer: boolean
  /** Whether `code_challenge` is sent. */
  readonly pkce: boolean
  readonly discovered: boolean
}

export interface Servers {
  readonly vendor: Vendor | undefined
  /** Rejects with a `TokenFault`, or with `egress_refused` when one of its addresses may not be called. */
  current(): Promise<Server>
}

/** Throws `bad_config` when the options do not say where the server is. */
export function createServers(options: OAuthOptions, room: OAuthRoom): Servers {
  const vendor = options.vendor === undefined ? undefined : vendorNamed(options.vendor)
  const at = (template: string | undefined): string | undefined =>
    template === undefined || vendor === undefined ? template : fill(template, vendor, options.vendorParameters)
  const url = options.discoveryUrl ?? (options.tokenEndpoint === undefined ? at(vendor?.discovery) : undefined)
  if (url !== undefined) return { vendor, current: discovering(new Discovery(url, options, vendor, room)) }
  const fixed = fixedServer(options, vendor, at)
  return {
    vendor,
    current: async () => {
      checkAddresses(room, fixed.as)
      return fixed
    },
  }
}

const discovering = (discovery: Discovery) => (): Promise<Server> => discovery.current()

function fixedServer(
  options: OAuthOptions,
  vendor: Vendor | undefined,
  at: (template: string | undefined) => string | undefined,
): Server {
  const token = options.tokenEndpoint ?? at(vendor?.token)
  const authorization = options.authorizationEndpoint ?? at(vendor?.authorization)
  const revocation = options.revocationEndpoint ?? at(vendor?.revocation)
  if (token === undefined || !URL.canParse(token))
    throw bad(options, 'needs vendor, discoveryUrl, or tokenEndpoint with issuer and authorizationEndpoint')
  if (options.grant === 'authorizationCode' && authorization === undefined)
    throw bad(options, 'needs an authorizationEndpoint')
  const { issuer } = options
  return {
    as: {
      issuer: issuer ?? new URL(token).origin,
      token_endpoint: token,
      ...(authorization === undefined ? {} : { authorization_endpoint: authorization }),
      ...(revocation === undefined ? {} : { revocation_endpoint: revocation }),
    },
    knowsIssuer: issuer !== undefined,
    pkce: vendor?.pkce ?? true,
    discovered: false,
  }
}

const bad = (options: OAuthOptions, what: string): GatewayError =>
  new GatewayError('bad_config', { words: `The credential ${options.name} ${what}.` })

/** `javascript:`, plain http, addresses inside: nothing of it is called, and no browser is sent there. */
function checkAddresses(room: OAuthRoom, as: oauth.AuthorizationServer): void {
  for (const url of [as.token_endpoint, as.authorization_endpoint, as.revocation_endpoint, as.jwks_uri])
    if (url !== undefined) room.egress.check(url)
}

const suffix = /\/\.well-known\/(?:openid-configuration|oauth-authorization-server)/

/** The issuer that a discovery address stands for: RFC 8414 §3.1 puts the path behind, OpenID Connect before. */
export function issuerOf(discoveryUrl: string): string {
  const url = URL.parse(discoveryUrl)
  if (url === null || !suffix.test(url.pathname))
    throw new GatewayError('bad_config', {
      words: 'discoveryUrl must end in /.well-known/openid-configuration or /.well-known/oauth-authorization-server.',
    })
  const [before = '', behind = ''] = url.pathname.split(suffix)
  return `${url.origin}${before}${behind}`
}

class Discovery {
  readonly #url: string
  readonly #issuer: string
  readonly #options: OAuthOptions
  readonly #vendor: Vendor | undefined
  readonly #room: OAuthRoom
  #server: Server | undefined
  /** On the monotonic clock. */
  #freshUntil = 0
  #keptUntil = 0
  #asking: Promise<Server> | undefined

  constructor(url: string, options: OAuthOptions, vendor: Vendor | undefined, room: OAuthRoom) {
    this.#url = url
    this.#issuer = issuerOf(url)
    this.#options = options
    this.#vendor = vendor
    this.#room = room
  }

  async current(): Promise<Server> {
    const now = this.#room.clock.monotonic()
    if (this.#server !== undefined && now < this.#freshUntil) return this.#server
    try {
      this.#asking ??= this.#ask().finally(() => {
        this.#asking = undefined
      })
      return await this.#asking
    } catch (error) {
      // a server that says something else now is believed; one that says nothing is taken at its last word for a while
      const silent = error instanceof TokenFault && error.fate !== 'refused'
      if (silent && this.#server !== undefined && now < this.#keptUntil) return this.#server
      throw error
    }
  }

  async #ask(): Promise<Server> {
    const wire = createWire(this.#room.egress, { bodyBytes: limits.metadataBytes })
    let response: Response
    try {
      response = await wire.fetch(this.#url, {
        method: 'GET',
        headers: { accept: 'application/json' },
        body: undefined,
        redirect: 'manual',
      })
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'egress_refused') throw error
      throw new TokenFault('unsent', 'discovery_failed', error)
    }
    const age = /\bmax-age=(\d{1,9})/.exec(response.headers.get('cache-control') ?? '')?.[1]
    const as = await this.#read(response)
    checkAddresses(this.#room, as)
    const server: Server = { as, knowsIssuer: true, pkce: this.#pkce(as), discovered: true }
    const ms = age === undefined ? limits.metadataMs : Number(age) * 1_000
    const now = this.#room.clock.monotonic()
    this.#server = server
    this.#freshUntil = now + Math.min(Math.max(ms, limits.metadataMsMin), limits.metadataMsMax)
    this.#keptUntil = now + limits.metadataMsMax
    return server
  }

  async #read(response: Response): Promise<oauth.AuthorizationServer> {
    if (response.status >= 500 || response.status === 429)
      throw new TokenFault('unsent', `discovery_${response.status}`)
    try {
      const options = this.#options
      const said: unknown = await response.clone().json()
      const found = await oauth.processDiscoveryResponse(new URL(this.#expected(said)), response)
      return {
        issuer: found.issuer,
        ...texts(found, 'jwks_uri'),
        ...texts({ ...found, ...given(options) }, 'token_endpoint', 'authorization_endpoint', 'revocation_endpoint'),
        ...lists(found, 'id_token_signing_alg_values_supported', 'token_endpoint_auth_methods_supported'),
        ...lists(found, 'code_challenge_methods_supported', 'scopes_supported'),
        ...(found.authorization_response_iss_parameter_supported === true
          ? { authorization_response_iss_parameter_supported: true }
          : {}),
      }
    } catch {
      // O12: the name in the metadata must be the name that was asked for
      throw new TokenFault('refused', 'bad_metadata')
    }
  }

  /** A final slash of an issuer is lost on the way to its metadata (OpenID Connect Discovery 1.0 §4.1). */
  #expected(said: unknown): string {
    if (this.#options.issuer !== undefined) return this.#options.issuer
    const slashed = `${this.#issuer}/`
    return typeof said === 'object' && said !== null && 'issuer' in said && said.issuer === slashed
      ? slashed
      : this.#issuer
  }

  /** O16: a server that does not say S256 would take the code without it (RFC 9700 §2.1.1). */
  #pkce(as: oauth.AuthorizationServer): boolean {
    if (this.#vendor !== undefined) return this.#vendor.pkce
    if (this.#options.grant === 'authorizationCode' && as.code_challenge_methods_supported?.includes('S256') !== true)
      throw new TokenFault('refused', 'no_pkce')
    return true
  }
}

/** Addresses in the configuration go before those of the metadata. */
const given = (options: OAuthOptions): { [name: string]: string } => ({
  ...(options.tokenEndpoint === undefined ? {} : { token_endpoint: options.tokenEndpoint }),
  ...(options.authorizationEndpoint === undefined ? {} : { authorization_endpoint: options.authorizationEndpoint }),
  ...(options.revocationEndpoint === undefined ? {} : { revocation_endpoint: options.revocationEndpoint }),
})

const texts = (from: { readonly [name: string]: unknown }, ...names: string[]): { [name: string]: string } => {
  const found: { [name: string]: string } = {}
  for (const name of names) {
    const value = from[name]
    if (typeof value === 'string') found[name] = value
  }
  return found
}

const lists = (from: { readonly [name: string]: unknown }, ...names: string[]): { [name: string]: string[] } => {
  const found: { [name: string]: string[] } = {}
  for (const name of names) {
    const value = from[name]
    if (Array.isArray(value)) found[name] = value.filter((one) => typeof one === 'string')
  }
  return found
}
