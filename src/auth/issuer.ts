/**
 * Who signs callers’ tokens: found by discovery (RFC 8414, OpenID Connect Discovery), its keys fetched through the one
 * way out, kept for a while, and fetched again when a token is signed by none of them.
 */
import { compactVerify, createLocalJWKSet, errors } from 'jose'
import type { JWK, LocalJWKSet } from 'jose'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { nestsDeeper } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import type { InboundResponse } from '../core/model.ts'
import type { Egress } from '../egress/fetch.ts'

/** A GET; any status is an answer. */
export type Get = (url: string) => Promise<InboundResponse>

/** GETs through the one way out, within the bounds of an issuer’s documents. */
export const getThrough =
  (egress: Egress): Get =>
  async (url) => {
    const { origin, href } = egress.check(url)
    const request = { method: 'GET', url: href, headers: new Map([['accept', 'application/json']]) }
    const bodyBytes = Math.max(limits.jwksBytes, limits.issuerMetadataBytes)
    return egress.channel(origin).send(request, { timeoutMs: limits.issuerMs, bodyBytes, repeatable: true })
  }

/** A key that the issuer publishes. The same object as long as the same key is published. */
export interface SigningKey {
  readonly kid: string | undefined
  /** Gives the key to a token whose header fits its `kty`, `use`, `key_ops`, `alg` and curve; else rejects. */
  readonly resolve: LocalJWKSet
}

interface Known {
  readonly issuer: string
  /** By the JSON of the key, as published. */
  readonly keys: ReadonlyMap<string, SigningKey>
  /** For `Issuer.holds`. */
  readonly held: ReadonlySet<SigningKey>
  /** When it was fetched, on the monotonic scale. */
  readonly at: number
}

const wellKnown =
  /^(https?:\/\/[^/?#]+)(\/[^?#]*?)?\/\.well-known\/(?:openid-configuration|oauth-authorization-server)(\/[^?#]*)?$/

/**
 * The issuer that a discovery URL belongs to, with and without a final slash: OpenID Connect Discovery §4.1 takes it
 * off before it appends its path, and so does RFC 8414 §3.1, which puts its own between host and path. Throws
 * `bad_config`.
 */
export function issuersOf(discoveryUrl: string): readonly [string, string] {
  const [, origin, before = '', after = ''] = wellKnown.exec(discoveryUrl) ?? []
  if (origin === undefined || (before !== '' && after !== '')) {
    throw new GatewayError('bad_config', {
      words:
        'discoveryUrl must end in /.well-known/openid-configuration or be a URL of /.well-known/oauth-authorization-server.',
    })
  }
  const issuer = `${origin}${before}${after}`.replace(/\/+$/, '')
  return [issuer, `${issuer}/`]
}

function objectIn({ status, body, cut }: InboundResponse, bytesMax: number): ReadonlyMap<string, unknown> {
  if (status !== 200) throw new Error(`the issuer answered ${status}`)
  if (cut || body.byteLength > bytesMax) throw new Error(`the issuer’s document has more than ${bytesMax} bytes`)
  const text = body.toString('utf8')
  if (nestsDeeper(text, limits.jsonDepth)) throw new Error('the issuer’s document is nested too deep')
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null) throw new Error('the issuer’s document is no JSON object')
  return new Map(Object.entries(value))
}

const isJwk = (value: unknown): value is JWK => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A key that cannot be read takes nothing from the others (RFC 7517 §5). */
function signingKey(jwk: JWK): SigningKey | undefined {
  try {
    return { kid: jwk.kid, resolve: createLocalJWKSet({ keys: [jwk] }) }
  } catch {
    return undefined
  }
}

/** Tries each key that fits, up to a bound. */
async function firstThatVerifies(token: string, keys: Iterable<SigningKey>): Promise<SigningKey | undefined> {
  let tried = 0
  for (const key of keys) {
    if (tried === limits.jwksKeysTried) return undefined
    try {
      // the algorithm was judged before, by the rule that fixes the list; key and algorithm must fit each other here
      await compactVerify(token, key.resolve)
      return key
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) tried += 1
    }
  }
  return undefined
}

export class Issuer {
  /** What its name can be, as the discovery URL gives it. */
  readonly names: readonly [string, string]
  readonly #discoveryUrl: string
  readonly #clock: Clock
  readonly #get: Get
  #known: Known | undefined
  #flight: Promise<boolean> | undefined
  #attemptedAt = -Infinity
  #fault: unknown

  constructor(discoveryUrl: string, clock: Clock, get: Get) {
    this.names = issuersOf(discoveryUrl)
    this.#discoveryUrl = discoveryUrl
    this.#clock = clock
    this.#get = get
  }

  /** Its name, exactly as its metadata and tokens write it. Rejects with `issuer_unavailable`. */
  async name(): Promise<string> {
    return (await this.#current()).issuer
  }

  /** Whether a key is still published, as far as is known. */
  holds(key: SigningKey): boolean {
    return this.#known?.held.has(key) === true
  }

  /**
   * The key that signed a token. When none did, the keys are fetched again, unless they just were
   * (`limits.jwksCoolDownMs`), so that strangers’ tokens cannot make this gateway a load on the issuer. A token without
   * `kid` is tried with every key that fits. Rejects with `issuer_unavailable`.
   */
  async signerOf(token: string, kid: string | undefined): Promise<SigningKey | undefined> {
    const fits = (key: SigningKey): boolean => kid === undefined || key.kid === kid
    const { held } = await this.#current()
    const signer = await firstThatVerifies(token, [...held].filter(fits))
    if (signer !== undefined || !(await this.#refresh())) return signer
    const fresh = [...(this.#known?.held ?? [])].filter((key) => fits(key) && !held.has(key))
    return firstThatVerifies(token, fresh)
  }

  /** What is known, fetched anew past `limits.jwksMs`. An issuer that is down is believed until `limits.jwksStaleMs`. */
  async #current(): Promise<Known> {
    const age = (): number => this.#clock.monotonic() - (this.#known?.at ?? -Infinity)
    if (age() > limits.jwksMs) await this.#refresh()
    if (this.#known === undefined || age() > limits.jwksStaleMs) {
      throw new GatewayError('issuer_unavailable', { cause: this.#fault })
    }
    return this.#known
  }

  /** Whether new knowledge came. One flight at a time, whoever asks; after it a pause. */
  #refresh(): Promise<boolean> {
    if (this.#flight !== undefined) return this.#flight
    const pause = this.#fault === undefined ? limits.jwksCoolDownMs : limits.jwksRetryMs
    if (this.#clock.monotonic() - this.#attemptedAt < pause) return Promise.resolve(false)
    this.#flight = this.#load()
    return this.#flight
  }

  async #load(): Promise<boolean> {
    try {
      this.#known = await this.#fetch()
      this.#fault = undefined
      return true
    } catch (error) {
      this.#fault = error
      return false
    } finally {
      this.#attemptedAt = this.#clock.monotonic()
      this.#flight = undefined
    }
  }

  async #fetch(): Promise<Known> {
    const metadata = objectIn(await this.#get(this.#discoveryUrl), limits.issuerMetadataBytes)
    const issuer = metadata.get('issuer')
    // RFC 8414 §3.3, OpenID Connect Discovery §4.3: or any issuer could speak for another. Microsoft’s shared documents
    // (`common`, `organizations`) name a template, `{tenantid}`, and are refused so: they speak for every tenant there is
    const name = this.names.find((one) => one === issuer)
    if (name === undefined) throw new Error('the metadata names an issuer that does not belong to the discovery URL')
    const jwksUri = metadata.get('jwks_uri')
    if (typeof jwksUri !== 'string') throw new Error('the metadata has no jwks_uri')
    const jwks = objectIn(await this.#get(jwksUri), limits.jwksBytes).get('keys')
    if (!Array.isArray(jwks)) throw new Error('the issuer’s key set has no keys')
    const keys = new Map<string, SigningKey>()
    for (const jwk of jwks.filter(isJwk)) {
      const text = JSON.stringify(jwk)
      const key = this.#known?.keys.get(text) ?? signingKey(jwk)
      if (key !== undefined) keys.set(text, key)
    }
    return { issuer: name, keys, held: new Set(keys.values()), at: this.#clock.monotonic() }
  }
}
