/**
 * AWS Lambda’s Invoke API: AWS’s own client builds the request and reads the answer, which leave and come by the gateway’s
 * way out, signed as every request to AWS is. What was not begun is asked for again, within the call’s time.
 */
import type { InvokeCommandOutput } from '@aws-sdk/client-lambda'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { InboundResponse, OutboundRequest, Target } from '../core/model.ts'
import { Secret } from '../core/secret.ts'
import type { AwsRoom } from '../credentials/aws/room.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import { scrubText } from '../credentials/scrub.ts'
import { sigv4 } from '../credentials/sigv4.ts'
import { toEvent } from '../targets/lambda/event.ts'
import type { Contract } from '../targets/lambda/function.ts'
import { httpTransport } from './http.ts'
import { type InvokeClient, invokeClient } from './lambda/client.ts'
import { clientContext } from './lambda/context.ts'
import { Deadline } from './lambda/deadline.ts'
import { lambdaFault } from './lambda/fault.ts'
import { proxyAnswer } from './lambda/proxy-answer.ts'
import { proxyEvent } from './lambda/proxy-event.ts'
import { signedTransport } from './signed.ts'
import type { Delivered, Delivery, Transport } from './transport.ts'

export interface LambdaOptions {
  /** Its origin and base path are where the Lambda API is (`lambdaServer`, or an endpoint in its place). */
  readonly target: Target
  /** Name or ARN, without a qualifier. */
  readonly function: string
  /** A version or an alias. */
  readonly qualifier?: string
  /** Signed for. */
  readonly region: string
  readonly contract: Contract
  /** The role that is assumed with what AWS’s default chain finds; for invocations that no credential signs. */
  readonly roleArn?: string
  /**
   * One of kind `sigv4` (service `lambda`, in the function’s region) signs the invocation; without it, AWS’s default chain
   * does. Any other is the function’s own: it goes into the HTTP request that `apiGateway` makes an event of.
   */
  readonly credential?: CredentialProvider
  /** The gateway’s name, as a function is told it. */
  readonly gateway: string
  /**
   * Of `apiGateway`: the target that requests are built for, as the description has it; only what goes to its origins gets
   * the function’s own credential. `target` unless given.
   */
  readonly own?: Target
  /** Of `apiGateway`: the host that the function believes it is at; that of its description. */
  readonly domainName?: string
  /** Of `apiGateway`: the path under which the description’s own paths begin; that of `own` unless given. */
  readonly basePath?: string
  /** How the operator writes the names of headers that are forwarded; lower-case where it says nothing. */
  readonly headerNames?: readonly string[]
}

export interface LambdaRoom extends AwsRoom {
  readonly log: Pick<Log, 'warn' | 'debug' | 'debugs'>
  /** In [0, 1); spreads what is asked for again. */
  readonly random?: () => number
}

/** One event, and what goes with it. */
interface Invocation {
  readonly event: string
  readonly context?: string
  /** What of both must not be written to a log. */
  readonly secrets: readonly Secret[]
}

/** Throws `bad_config` for a credential that has no place. Nothing is looked up before the first call. */
export function lambdaTransport(options: LambdaOptions, room: LambdaRoom): Transport {
  const { target, contract, credential, region, roleArn } = options
  const signer =
    credential?.kind === 'sigv4'
      ? credential
      : sigv4({ service: 'lambda', region, ...(roleArn === undefined ? {} : { roleArn }) }, room)
  if (contract === 'agentcore' && credential !== undefined && credential !== signer)
    throw new GatewayError('bad_config', {
      words: `targets.${target.name}: a Lambda function is called with a credential of type sigv4, or with none (AWS’s default chain).`,
    })
  const invoke = invoker(options, httpTransport(target, signer, room.egress), room)
  const names = new Map((options.headerNames ?? []).map((name) => [name.toLowerCase(), name]))
  const facts = { gateway: options.gateway, target: target.name, headerNames: names }

  if (contract === 'agentcore')
    return inTime(options, room, ({ headers, body }, delivery, deadline) => {
      const context = clientContext(facts, delivery, headers)
      return invoke({ event: textOf(body), context, secrets: valuesOf(headers, headers.keys()) }, delivery, deadline)
    })
  const { own = target, domainName = `${target.name}.lambda`, basePath = own.basePath } = options
  const given = [...own.headers.set.keys(), ...own.headers.forwardRequest]
  return inTime(options, room, (unsigned, call, deadline) =>
    signedTransport(own, credential === signer ? undefined : credential, async (request, delivery, secrets) => {
      const event = proxyEvent(request, {
        now: room.clock.now(),
        requestId: delivery.usageId,
        apiId: target.name,
        domainName,
        label: delivery.operation?.label,
        basePath,
      })
      const invocation = { event: toEvent(event), secrets: [...secrets, ...valuesOf(request.headers, given)] }
      const delivered = await invoke(invocation, delivery, deadline)
      return { ...delivered, response: proxyAnswer(delivered.response) }
    }).send(unsigned, call),
  )
}

const textOf = (body: OutboundRequest['body'] = '{}'): string =>
  typeof body === 'string' ? body : Buffer.from(body).toString('utf8')

/** What the operator sets and callers have forwarded may be keys. */
const valuesOf = (headers: OutboundRequest['headers'], names: Iterable<string>): Secret[] =>
  Array.from(names, (name) => new Secret(headers.get(name) ?? ''))

type Timed<A> = (what: A, delivery: Delivery, deadline: Deadline) => Promise<Delivered>

/** One deadline for all that a call takes, however often it is made or signed anew. */
const inTime = ({ target }: LambdaOptions, { clock }: LambdaRoom, work: Timed<OutboundRequest>): Transport => ({
  async send(request, delivery) {
    const deadline = new Deadline(target.timeoutMs, delivery.signal, clock)
    try {
      return await work(request, { ...delivery, signal: deadline.signal }, deadline)
    } catch (cause) {
      throw deadline.isOver ? new GatewayError('target_timeout', { cause }) : cause
    } finally {
      deadline.close()
    }
  },
})

function invoker(
  { target, function: name, qualifier, region }: LambdaOptions,
  http: Transport,
  { log, random = Math.random }: LambdaRoom,
): Timed<Invocation> {
  let client: Promise<InvokeClient> | undefined
  const newClient = (): Promise<InvokeClient> =>
    invokeClient(http, region, `${target.origin}${target.basePath}`).catch((error: unknown) => {
      client = undefined
      throw error
    })

  const once = async ({ event, context, secrets: told }: Invocation, delivery: Delivery): Promise<Delivered> => {
    client ??= newClient()
    const invoke = await client
    const { output, delivered } = await invoke(
      {
        FunctionName: name,
        InvocationType: 'RequestResponse',
        Payload: event,
        ...(qualifier === undefined ? {} : { Qualifier: qualifier }),
        ...(context === undefined ? {} : { ClientContext: context }),
        ...(log.debugs ? { LogType: 'Tail' as const } : {}),
      },
      delivery,
    )
    const { response, secrets } = delivered
    if (log.debugs && output.LogResult !== undefined)
      log.debug(
        { target: target.name, usageId: delivery.usageId, tail: tailOf(output.LogResult, [...told, ...secrets]) },
        'the function logged',
      )
    return { response: answerOf(output, response), secrets }
  }

  return async (invocation, delivery, deadline) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await once(invocation, delivery)
      } catch (thrown) {
        const { error, again, waitMs } = lambdaFault(thrown)
        const repeats = again === 'always' || (again === 'idempotent' && delivery.idempotent)
        const ms = Math.max(waitMs, backOffMs(attempt, random()))
        // a wait that outlasts the call’s time would only turn a clear answer into a late one
        if (!repeats || attempt >= limits.lambdaAttempts || ms >= deadline.leftMs) throw error
        await deadline.pause(ms)
      }
    }
  }
}

/** Doubled with each attempt; its latter half is left to chance, so that callers do not come back all at once. */
const backOffMs = (attempt: number, chance: number): number =>
  Math.min(limits.lambdaBackOffMsMax, limits.lambdaBackOffMs * 2 ** (attempt - 1)) * (0.5 + chance / 2)

/** What the function answered, with what the Lambda API says of it. */
function answerOf(output: InvokeCommandOutput, { body, cut }: InboundResponse): InboundResponse {
  const said: readonly (readonly [string, string | undefined])[] = [
    ['content-type', 'application/json'],
    ['x-amz-function-error', output.FunctionError],
    ['x-amz-executed-version', output.ExecutedVersion],
    ['x-amzn-requestid', output.$metadata.requestId],
  ]
  const headers = new Map(said.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])))
  return { status: 200, headers, body, cut }
}

/** AWS gives the last bytes of a log, and may cut a secret in two: a line that may lack its beginning is left out. */
function tailOf(base64: string, secrets: readonly Secret[]): string {
  const bytes = Buffer.from(base64, 'base64').subarray(-limits.lambdaLogBytes)
  const begin = bytes.length < limits.lambdaLogBytes ? 0 : bytes.indexOf('\n') + 1 || bytes.length
  return scrubText(bytes.toString('utf8', begin), secrets).toWellFormed()
}
