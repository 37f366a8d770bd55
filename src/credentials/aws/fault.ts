/** What AWS or the way to it failed with, as an error of the table; nothing of an answer's content goes into it. */
import { GatewayError } from '../../core/errors.ts'

/** `reading` and `assuming` go into the words: what was being done. */
export type AwsWork =
  | 'reading a secret'
  | 'assuming the role'
  | 'looking for the gateway’s own AWS identity'
  | 'using the vault’s key in KMS'
  | 'calling the function'

const answers: ReadonlyMap<string, string> = new Map([
  ['ResourceNotFoundException', 'there is no such secret'],
  ['AccessDeniedException', 'the gateway’s AWS identity is not allowed to'],
  ['AccessDenied', 'the gateway’s AWS identity is not allowed to'],
  ['DecryptionFailure', 'the key that the secret is encrypted with cannot be used'],
  ['InvalidRequestException', 'the secret is about to be deleted or cannot be read'],
  ['ExpiredTokenException', 'the session of the gateway’s AWS identity is over'],
  ['ExpiredToken', 'the session of the gateway’s AWS identity is over'],
  ['UnrecognizedClientException', 'AWS does not know the access key'],
  ['InvalidClientTokenId', 'AWS does not know the access key'],
  ['InvalidSignatureException', 'the secret access key is wrong, or the clock is'],
  ['SignatureDoesNotMatch', 'the secret access key is wrong, or the clock is'],
  ['RegionDisabledException', 'AWS STS is not enabled in this region'],
])

const throttled = /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|PriorRequestNotComplete|LimitExceeded/

/** What an error of AWS’s clients tells of itself. */
export interface Said {
  readonly name: string
  /** The service answered with an error of its own, whose message it wrote for its client. */
  readonly byService: boolean
  readonly status: number | undefined
}

export function readSaid(error: Error): Said {
  return {
    name: /^[A-Za-z][A-Za-z0-9]{0,63}$/.test(error.name) ? error.name : 'Error',
    byService: '$fault' in error,
    // what could not be read has no metadata, yet a status
    status: numberIn(error, '$metadata', 'httpStatusCode') ?? numberIn(error, '$response', 'statusCode'),
  }
}

function numberIn(error: Error, part: string, name: string): number | undefined {
  const holder: unknown = Reflect.get(error, part)
  const value: unknown = typeof holder === 'object' && holder !== null ? Reflect.get(holder, name) : undefined
  return typeof value === 'number' ? value : undefined
}

/**
 * `token_unavailable` when asking again may help, so that what is known stays good meanwhile; `token_refused` when AWS
 * said no, or when the gateway itself keeps the request in.
 */
export function awsFault(thrown: unknown, work: AwsWork): GatewayError {
  if (thrown instanceof GatewayError) return ofTheWay(thrown, work)
  if (!(thrown instanceof Error)) return unavailable(work, new Error('not an error'))
  const { name, byService, status } = readSaid(thrown)
  // a reader's complaint quotes what it read, and that may be the secret
  const cause = new Error(byService ? `${name} (${status}): ${thrown.message}` : name)
  if (name === 'CredentialsProviderError')
    return new GatewayError('token_unavailable', {
      words: 'No AWS credentials were found where AWS’s default chain looks. Tell the operator.',
      cause: new Error(thrown.message),
    })
  if (thrown.message === 'Region is missing')
    return new GatewayError('token_refused', {
      words: `No AWS region is configured for ${work}. Tell the operator.`,
      cause,
    })
  if (throttled.test(name) || status === undefined || status < 400 || status >= 500 || status === 408 || status === 429)
    return unavailable(work, cause)
  const said = answers.get(name) ?? (status === 403 ? answers.get('AccessDenied') : `AWS answered ${name}, ${status}`)
  return new GatewayError('token_refused', { words: `AWS said no when ${work}: ${said}. Tell the operator.`, cause })
}

function ofTheWay(error: GatewayError, work: AwsWork): GatewayError {
  if (error.code.startsWith('token_') || error.code === 'bad_config') return error
  if (error.code === 'egress_refused')
    return new GatewayError('token_refused', {
      words: `The address of AWS is refused when ${work}: ${error.message}`,
      cause: error,
    })
  return unavailable(work, error)
}

const unavailable = (work: AwsWork, cause: Error): GatewayError =>
  new GatewayError('token_unavailable', { words: `AWS could not be reached when ${work}. Try again shortly.`, cause })
