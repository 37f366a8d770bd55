/** What the Lambda API refuses an invocation with, as an error of the table; nothing of AWS’s own words goes into it. */
import { GatewayError } from '../../core/errors.ts'
import { awsFault, readSaid } from '../../credentials/aws/fault.ts'

/** Errors after which the function was provably not begun, and may be shortly. */
const soon: ReadonlyMap<string, string> = new Map([
  ['CodeArtifactUserPendingException', 'it is being set up'],
  ['EC2ThrottledException', 'its network is being set up, and EC2 is slow to'],
  ['ResourceConflictException', 'it is being changed or set up'],
  ['ResourceNotReadyException', 'it was idle, and its network is being set up anew'],
  ['SnapStartNotReadyException', 'it is being initialised'],
  ['SnapStartTimeoutException', 'its snapshot was not restored in time'],
])

/** Why an invocation is throttled (`Reason` of TooManyRequestsException). */
const throttled: ReadonlyMap<string, string> = new Map([
  ['CallerRateLimitExceeded', 'the gateway’s AWS account calls AWS Lambda too often'],
  ['ConcurrentInvocationLimitExceeded', 'the AWS account has as many functions running as it may'],
  ['ConcurrentSnapshotCreateLimitExceeded', 'the AWS account makes as many snapshots as it may'],
  ['FunctionInvocationRateLimitExceeded', 'the function is called more often than it may be'],
  ['ReservedFunctionConcurrentInvocationLimitExceeded', 'as many of it run as are reserved for it'],
  ['ReservedFunctionInvocationRateLimitExceeded', 'the function is called more often than is reserved for it'],
])

/** Errors after which the function was not begun, and will not be until somebody mends it. */
const mend: ReadonlyMap<string, string> = new Map([
  ['CodeArtifactUserDeletedException', 'the user that its code belongs to is gone'],
  ['CodeArtifactUserFailedException', 'the user that its code belongs to could not be made'],
  ['DurableExecutionAlreadyStartedException', 'an execution of this name was started before'],
  ['EC2AccessDeniedException', 'its role may not set up its network'],
  ['EC2UnexpectedException', 'its network could not be set up'],
  ['EFSIOException', 'its file system failed'],
  ['EFSMountConnectivityException', 'its file system cannot be reached'],
  ['EFSMountFailureException', 'its file system cannot be mounted'],
  ['EFSMountTimeoutException', 'its file system was not mounted in time'],
  ['ENILimitReachedException', 'its network has no interface left'],
  ['ENINotReadyException', 'its network interface is not ready'],
  ['InvalidParameterValueException', 'AWS Lambda does not take a parameter of the invocation'],
  ['InvalidRuntimeException', 'its runtime is not supported any more'],
  ['InvalidSecurityGroupIDException', 'its security group does not exist'],
  ['InvalidSubnetIDException', 'its subnet does not exist'],
  ['InvalidZipFileException', 'its code cannot be unpacked'],
  ['KMSAccessDeniedException', 'it may not use the KMS key of its environment'],
  ['KMSDisabledException', 'the KMS key of its environment is disabled'],
  ['KMSInvalidStateException', 'the KMS key of its environment cannot be used as it is'],
  ['KMSNotFoundException', 'the KMS key of its environment does not exist'],
  ['ModeNotSupportedException', 'it cannot be called and waited for'],
  ['NoPublishedVersionException', 'it has no published version'],
  ['RecursiveInvocationException', 'AWS Lambda found that it calls itself in a loop'],
  ['ResourceNotFoundException', 'there is no such function, version or alias'],
  ['S3FilesMountConnectivityException', 'its file system cannot be reached'],
  ['S3FilesMountFailureException', 'its file system cannot be mounted'],
  ['S3FilesMountTimeoutException', 'its file system was not mounted in time'],
  ['ServiceQuotaExceededException', 'a quota of the AWS account is used up'],
  ['SnapStartException', 'its own hook failed while its snapshot was restored'],
  ['SnapStartRegenerationFailureException', 'its snapshot could not be made anew'],
  ['SubnetIPAddressLimitReachedException', 'its subnets have no address left'],
])

/** Of events, not of functions. */
const event: ReadonlyMap<string, string> = new Map([
  ['InvalidRequestContentException', 'AWS Lambda does not take the event that these arguments make.'],
  ['RequestTooLargeException', 'The event that these arguments make is larger than AWS Lambda takes.'],
  ['RequestEntityTooLargeException', 'The event that these arguments make is larger than AWS Lambda takes.'],
  ['SerializedRequestEntityTooLargeException', 'The event that these arguments make is larger than AWS Lambda takes.'],
])

export interface Fault {
  readonly error: GatewayError
  /** Whether asking again makes sense: whatever is asked, what changes nothing, or nothing at all. */
  readonly again: 'always' | 'idempotent' | 'never'
  /** As AWS asks, milliseconds; 0 where it does not. */
  readonly waitMs: number
}

export function lambdaFault(thrown: unknown): Fault {
  const never = (error: GatewayError): Fault => ({ error, again: 'never', waitMs: 0 })
  if (thrown instanceof GatewayError) return never(thrown)
  if (!(thrown instanceof Error)) return never(new GatewayError('internal', { cause: thrown }))
  const { name, status, byService } = readSaid(thrown)
  const cause = new Error(byService ? `${name} (${status}): ${thrown.message}` : name)
  const waitMs = waitOf(thrown)
  if (name === 'TooManyRequestsException' || status === 429)
    return {
      error: notYet(throttled.get(textIn(thrown, 'Reason')) ?? 'it is called too often', cause),
      again: 'always',
      waitMs,
    }
  const later = soon.get(name)
  if (later !== undefined) return { error: notYet(later, cause), again: 'always', waitMs }
  const broken = mend.get(name)
  if (broken !== undefined) return never(notBegun(broken, cause))
  const words = event.get(name)
  if (words !== undefined) return never(new GatewayError('request_unbuildable', { words, cause }))
  if (status !== undefined && status >= 400 && status < 500)
    return never(
      isAboutIdentity(name, status)
        ? awsFault(thrown, 'calling the function')
        : notBegun(`it answered ${name}, ${status}`, cause),
    )
  if (status !== undefined && status >= 500)
    return {
      error: new GatewayError('target_broke_off', {
        words: `AWS Lambda failed (${name}, ${status}). Whether the function acted is not known.`,
        cause,
      }),
      again: 'idempotent',
      waitMs,
    }
  if (name === 'CredentialsProviderError' || thrown.message === 'Region is missing')
    return never(awsFault(thrown, 'calling the function'))
  return never(new GatewayError('target_bad_answer', { cause }))
}

const notYet = (why: string, cause: Error): GatewayError =>
  new GatewayError('target_unreachable', {
    words: `AWS Lambda did not begin the function: ${why}. Try again shortly.`,
    cause,
  })

const notBegun = (why: string, cause: Error): GatewayError =>
  new GatewayError('target_refused', {
    words: `AWS Lambda did not begin the function: ${why}. Tell the operator.`,
    cause,
  })

const isAboutIdentity = (name: string, status: number): boolean =>
  status === 401 || status === 403 || /Token|Signature|UnrecognizedClient|AccessKey|RequestExpired/.test(name)

function waitOf(error: Error): number {
  const seconds = Number(textIn(error, 'retryAfterSeconds'))
  return Number.isFinite(seconds) && seconds > 0 ? Math.ceil(seconds * 1_000) : 0
}

function textIn(error: Error, name: string): string {
  const value: unknown = Reflect.get(error, name)
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
