/**
 * `inbound: sigv4`: requests signed with AWS Signature Version 4, by an access key that this gateway gave out. The
 * signature covers the method, the path, the query, the host and the whole body; which region it names is all the same.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Secret } from '../core/secret.ts'
import type { Authenticate, Inbound } from './authenticate.ts'
import type { Keys } from './keys.ts'
import { type Claim, readClaim, refusal, type Scope, stringToSign } from './sigv4-request.ts'

export interface SigV4Parts {
  readonly keys: Pick<Keys, 'accessKey' | 'used'>
  readonly clock: Clock
  /** The service that the signature is for; `bedrock-agentcore` unless given. */
  readonly service?: string
}

const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** The key of one secret for one day, region and service. */
export const signingKey = (secret: Secret, { date, region, service }: Scope): Buffer =>
  [region, service, 'aws4_request'].reduce(hmac, hmac(`AWS4${secret.reveal()}`, date))

/** In hexadecimal digits. */
export const signatureOf = (key: Buffer, text: string): string => hmac(key, text).toString('hex')

/** Milliseconds since the Unix epoch; `NaN` for a day or an hour that there is not. */
const timeOf = (at: string): number => {
  const iso = at.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6.000Z')
  const time = Date.parse(iso)
  // the 31st of a shorter month is taken for the 1st of the next
  return Number.isNaN(time) || new Date(time).toISOString() !== iso ? Number.NaN : time
}

const checkTime = ({ at, expires }: Claim, now: number): void => {
  if (expires !== undefined && expires > limits.presignedSeconds)
    throw refusal(`A signed URL is taken for ${limits.presignedSeconds} seconds at most.`)
  const since = now - timeOf(at)
  const until = expires === undefined ? limits.signatureSkewMs : expires * 1_000
  // written so that NaN is refused
  if (!(since >= -limits.signatureSkewMs && since <= until))
    throw refusal('The signature’s time is over or too far off. Check the clock, and sign again.')
}

/**
 * Signers resolve `//`, `/./` and `/../` before they sign, and a router may resolve them otherwise: one signature would
 * be good for two places. Nobody who means well asks for such a path here.
 */
const checkPath = (url: string): void => {
  if (/\/(?:\.{0,2}\/|\.{1,2}$)/.test(url.replace(/\?.*$/s, '')))
    throw refusal('The path must be without empty and dotted segments.')
}

const checkCover = (claim: Claim, inbound: Inbound): void => {
  const names = inbound.names?.()
  if (names === undefined)
    throw new GatewayError('internal', { cause: new Error('the names of the headers are unknown') })
  const signed = new Set(claim.signedHeaders)
  if (!signed.has('host') || names.some((name) => name.startsWith('x-amz-') && !signed.has(name)))
    throw refusal('The signature must cover the host and every x-amz- header.')
}

/**
 * The body is what is being asked for, so a signature that leaves it out (`UNSIGNED-PAYLOAD`) or signs it in pieces
 * (`STREAMING-…`) is not taken, over `https` neither: between here and the client may stand others than TLS’s two ends.
 */
const checkDeclared = (inbound: Inbound, bodyHash: string): void => {
  const declared = inbound.header('x-amz-content-sha256')
  if (declared !== undefined && declared !== bodyHash)
    throw refusal('The signature must cover the body: x-amz-content-sha256 is not the body’s SHA-256.')
}

/** Keys of the day. Only a signature that was right puts one here, so that nobody else can push them out. */
function createSigningKeys() {
  const remembered = new Map<string, { readonly secret: Secret; readonly key: Buffer }>()
  const nameOf = (id: string, { date, region, service }: Scope): string => [id, date, region, service].join('/')
  return {
    of(id: string, secret: Secret, scope: Scope): Buffer {
      const known = remembered.get(nameOf(id, scope))
      return known?.secret === secret ? known.key : signingKey(secret, scope)
    },
    keep(id: string, secret: Secret, scope: Scope, key: Buffer): void {
      remembered.set(nameOf(id, scope), { secret, key })
      if (remembered.size <= limits.signingKeysRemembered) return
      const [oldest] = remembered.keys()
      if (oldest !== undefined) remembered.delete(oldest)
    },
  }
}

/** An access key that is unknown and a signature that is wrong are told apart by nobody outside. */
const unknown = (): GatewayError => refusal('The signature is not one of an access key that this gateway knows.')

export function authenticateSigV4({ keys, clock, service = 'bedrock-agentcore' }: SigV4Parts): Authenticate {
  const signingKeys = createSigningKeys()
  return async (inbound) => {
    const claim = readClaim(inbound)
    if (claim.scope.service !== service) throw refusal(`The signature must be for the service ${service}.`)
    checkTime(claim, clock.now())
    checkPath(inbound.url)
    checkCover(claim, inbound)
    const access = await keys.accessKey(claim.accessKeyId)
    if (access === undefined) throw unknown()

    const bodyHash = hash('sha256', await inbound.body(limits.requestBodyBytes), 'hex')
    checkDeclared(inbound, bodyHash)
    const key = signingKeys.of(access.id, access.secret, claim.scope)
    const expected = signatureOf(key, stringToSign(inbound, claim, bodyHash))
    if (!timingSafeEqual(Buffer.from(expected), Buffer.from(claim.signature))) throw unknown()

    signingKeys.keep(access.id, access.secret, claim.scope, key)
    keys.used(access.id)
    return access.principal
  }
}
