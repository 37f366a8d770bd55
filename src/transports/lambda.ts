/**
 * AWS Lambda’s Invoke API: AWS’s own client builds the request and reads the answer, which leave and come by the gateway’s
 * way out, signed as every request to AWS is. What was not begun is asked for again, within the call’s time.
 */
import type { InvokeCommandInput, InvokeCommandOutput, LambdaClient } from '@aws-sdk/client-lambda'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { InboundResponse, OutboundRequest, Target } from '../core/model.ts'
import { outboundOf, type SdkRequest } from '../credentials/aws/handler.ts'
import type { AwsRoom } from '../credentials/aws/room.ts'
import type { CredentialProvider } from '../credentials/provider.ts'
import { sigv4 } from '../credentials/sigv4.ts'
import { toEvent } from '../targets/lambda/event.ts'
import type { Contract } from '../targets/lambda/function.ts'
import { httpTransport } from './http.ts'
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
    return {
      send: async (request, delivery) =>
        invoke({ event: textOf(request), context: clientContext(facts, delivery, request.headers) }, delivery),
    }
  const { own = target, domainName = `${target.name}.lambda`, basePath = own.basePath } = options
  return signedTransport(own, credential === signer ? undefined : credential, async (request, delivery) => {
    const event = proxyEvent(request, {
      now: room.clock.now(),
      requestId: delivery.usageId,
      apiId: target.name,
      domainName,
      label: delivery.operation?.label,
      basePath,
    })
    const { response, secrets } = await invoke({ event: toEvent(event) }, delivery)
    return { response: proxyAnswer(response), secrets }
  })
}

const textOf = ({ body = '{}' }: OutboundRequest): string =>
  typeof body === 'string' ? body : Buffer.from(body).toString('utf8')

type Invoke = (invocation: Invocation, delivery: Delivery) => Promise<Delivered>

function invoker(
  { target, function: name, qualifier, region }: LambdaOptions,
  http: Transport,
  room: LambdaRoom,
): Invoke {
  const { clock, log, random = Math.random } = room
  let client: Promise<Client> | undefined

  const once = async ({ event, context }: Invocation, delivery: Delivery): Promise<Delivered> => {
    client ??= newClient(http, region, `${target.origin}${target.basePath}`)
    const send = await client
    const exchange = new Exchange(delivery)
    const output = await send(
      {
        FunctionName: name,
        InvocationType: 'RequestResponse',
        Payload: event,
        ...(qualifier === undefined ? {} : { Qualifier: qualifier }),
        ...(context === undefined ? {} : { ClientContext: context }),
        ...(log.debugs ? { LogType: 'Tail' as const } : {}),
      },
      exchange,
    )
    if (log.debugs && output.LogResult !== undefined)
      log.debug(
        { target: target.name, usageId: delivery.usageId, tail: tailOf(output.LogResult) },
        'the function logged',
      )
    const { response, secrets } = exchange.delivered
    return { response: answerOf(output, response), secrets }
  }

  return async (invocation, delivery) => {
    const deadline = new Deadline(target.timeoutMs, delivery.signal, clock)
    try {
      const within = { ...delivery, signal: deadline.signal }
      for (let attempt = 1; ; attempt++) {
        try {
          return await once(invocation, within)
        } catch (thrown) {
          const { error, again, waitMs } = lambdaFault(thrown)
          if (deadline.isOver) throw new GatewayError('target_timeout', { cause: error })
          const repeats = again === 'always' || (again === 'idempotent' && delivery.idempotent)
          const ms = Math.max(waitMs, backOffMs(attempt, random()))
          // a wait that outlasts the call’s time would only turn a clear answer into a late one
          if (!repeats || attempt >= limits.lambdaAttempts || ms >= deadline.leftMs) throw error
          await deadline.pause(ms)
        }
      }
    } finally {
      deadline.close()
    }
  }
}

/** Doubled with each attempt; its latter half is left to chance, so that callers do not come back all at once. */
const backOffMs = (attempt: number, chance: number): number =>
  Math.min(limits.lambdaBackOffMsMax, limits.lambdaBackOffMs * 2 ** (attempt - 1)) * (0.5 + chance / 2)

type Client = (input: InvokeCommandInput, exchange: Exchange) => Promise<InvokeCommandOutput>

/** One passage through AWS’s client. It hands its options on to whatever carries the request, and so this comes there. */
class Exchange {
  /** The client’s own name for a member, so that it takes this for options. */
  readonly requestTimeout = 0
  readonly delivery: Delivery
  #delivered: Delivered | undefined

  constructor(delivery: Delivery) {
    this.delivery = delivery
  }

  get delivered(): Delivered {
    if (this.#delivered === undefined)
      throw new GatewayError('internal', { cause: new Error('AWS’s client answered without asking') })
    return this.#delivered
  }

  set delivered(delivered: Delivered) {
    this.#delivered = delivered
  }
}

async function newClient(http: Transport, region: string, endpoint: string): Promise<Client> {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda')
  const client: LambdaClient = new LambdaClient({
    region,
    endpoint,
    // attempts, signatures and connections are all the gateway’s own
    maxAttempts: 1,
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
    signer: { sign: async (request) => request },
    logger: silent,
    requestHandler: {
      async handle(request: SdkRequest, exchange?: object) {
        if (!(exchange instanceof Exchange)) throw new GatewayError('internal')
        const delivered = await http.send(outboundOf(request).outbound, exchange.delivery)
        exchange.delivered = delivered
        const { status, headers, body } = delivered.response
        // a view of its own, since the client makes something else of what it gets
        const bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
        return { response: { statusCode: status, headers: Object.fromEntries(headers), body: bytes } }
      },
      updateHttpClientConfig: () => undefined,
      httpHandlerConfigs: () => ({}),
      destroy: () => undefined,
    },
  })
  return (input, exchange) => client.send(new InvokeCommand(input), exchange)
}

const nothing = (): undefined => undefined
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing }

/** What the function answered, with what the Lambda API says of it. */
function answerOf(output: InvokeCommandOutput, { body, cut }: InboundResponse): InboundResponse {
  const said: readonly (readonly [string, string | undefined])[] = [
    ['content-type', 'application/json'],
    ['x-amz-function-error', output.FunctionError],
    ['x-amz-executed-version', output.ExecutedVersion],
    ['x-amz-log-result', output.LogResult],
    ['x-amzn-requestid', output.$metadata.requestId],
  ]
  const headers = new Map(said.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])))
  return { status: 200, headers, body, cut }
}

const tailOf = (base64: string): string =>
  Buffer.from(base64, 'base64').toString('utf8').slice(-limits.lambdaLogBytes).toWellFormed()
