/** Why AWS did not say what was asked, in words for the one who typed the command; AWS's own are the `cause`. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

/** What goes into the words. */
export interface Asked {
  /** For example `the function orders`. */
  readonly what: string
  readonly region: string
  /** What the identity must be allowed to do, on what. */
  readonly permission: string
  /** Said when there is no such thing. */
  readonly missing: string
  /** Said when AWS cannot give it. */
  readonly ungiven?: string
}

const identities: ReadonlyMap<string, string> = new Map([
  ['ExpiredTokenException', 'the session of this AWS identity is over; sign in again'],
  ['ExpiredToken', 'the session of this AWS identity is over; sign in again'],
  ['UnrecognizedClientException', 'it does not know the access key'],
  ['InvalidClientTokenId', 'it does not know the access key'],
  ['InvalidSignatureException', 'the secret access key is wrong, or the clock is'],
  ['SignatureDoesNotMatch', 'the secret access key is wrong, or the clock is'],
])

export function importFault(thrown: unknown, { what, region, permission, missing, ungiven }: Asked): GatewayError {
  if (thrown instanceof GatewayError) return ofTheWay(thrown, what)
  const error = thrown instanceof Error ? thrown : new Error('not an error')
  const name = /^[A-Za-z]{1,64}$/.test(error.name) ? error.name : 'Error'
  const status = statusOf(error)
  const said = (code: 'bad_description' | 'not_found' | 'target_unreachable', words: string): GatewayError =>
    new GatewayError(code, { words, cause: error })
  const identity = identities.get(name)
  if (identity !== undefined) return said('bad_description', `AWS refuses the request for ${what}: ${identity}.`)
  if (/^(?:ResourceNotFound|NotFound)(?:Exception)?$/.test(name)) return said('not_found', missing)
  if (/^(?:AccessDenied|Unauthorized|MissingAuthenticationToken)(?:Exception)?$/.test(name) || status === 403)
    return said('bad_description', `This AWS identity may not read ${what}: it needs ${permission}.`)
  if (status === 404) return said('not_found', missing)
  if (name === 'BadRequestException' && ungiven !== undefined) return said('bad_description', ungiven)
  if (status !== undefined && status >= 400 && status < 500 && status !== 429)
    return said('bad_description', `AWS refuses the request for ${what} in ${region}: ${name}, ${status}.`)
  return said('target_unreachable', `AWS did not give ${what} in ${region}: ${name}. Try again shortly.`)
}

function ofTheWay(error: GatewayError, what: string): GatewayError {
  if (error.code === 'invalid_params' || error.code === 'over_limit') return error
  // whoever reads this is the operator
  const words = error.message.replace(/ (?:Tell the operator|Try again shortly)\.$/, '')
  return new GatewayError(error.code === 'egress_refused' ? 'egress_refused' : 'target_unreachable', {
    words: error.code.startsWith('token_') ? words : `AWS could not be asked for ${what}: ${words}`,
    cause: error,
  })
}

export const unread = (what: string): GatewayError =>
  new GatewayError('over_limit', {
    words: `What AWS says of ${what} cannot be read, or is larger than ${limits.awsExportBytes} bytes.`,
  })

/** What could not be read has no metadata, yet a status. */
function statusOf(error: Error): number | undefined {
  for (const [part, name] of [['$metadata', 'httpStatusCode'] as const, ['$response', 'statusCode'] as const]) {
    const holder: unknown = Reflect.get(error, part)
    const value: unknown = typeof holder === 'object' && holder !== null ? Reflect.get(holder, name) : undefined
    if (typeof value === 'number') return value
  }
  return undefined
}
