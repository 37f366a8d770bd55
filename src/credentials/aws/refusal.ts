/** What an answer of AWS says of the signature or the key in the request; other answers say nothing of them. */
import { limits } from '../../core/limits.ts'
import type { InboundResponse } from '../../core/model.ts'

/** `identity`: another key or session may do. `time`: the two clocks differ. */
export type Refusal = 'identity' | 'time'

const identity: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidToken',
  'TokenRefreshRequired',
  'UnrecognizedClientException',
])

const time: ReadonlySet<string> = new Set([
  'RequestExpired',
  'RequestInTheFuture',
  'RequestTimeTooSkewed',
  'RequestTimeTooSkewedException',
])

/** Said of a wrong signature, too; only the words tell. */
const signature: ReadonlySet<string> = new Set(['InvalidSignatureException', 'SignatureDoesNotMatch'])

/** JSON protocols name the error in `__type` or `code`, XML protocols in `Code`, API Gateway in a header only. */
const inBody = /"(?:__type|[cC]ode)"\s*:\s*"([^"]{1,128})"|<Code>([^<]{1,128})<\/Code>/

export function refusalOf({ status, headers, body }: InboundResponse): Refusal | undefined {
  if (status !== 400 && status !== 401 && status !== 403) return undefined
  const text = body.toString('latin1', 0, limits.awsErrorBytes)
  const [, json, xml] = inBody.exec(text) ?? []
  // `com.amazonaws.x#Name` and `Name:http://…` are `Name`
  const code = (headers.get('x-amzn-errortype') ?? json ?? xml ?? '').replace(/:.*$/s, '').replace(/^.*#/s, '')
  if (time.has(code)) return 'time'
  if (signature.has(code)) return /Signature (?:expired|not yet current)/.test(text) ? 'time' : undefined
  // a plain 401 is no word of AWS's, but it is one about the credential
  return identity.has(code) || status === 401 ? 'identity' : undefined
}
