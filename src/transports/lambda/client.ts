/**
 * AWS’s own client, for Invoke and nothing else: it writes the request and reads the answer, and the gateway carries both.
 * What it does besides (attempts, signatures, host and user agent, logging) is taken out: the way out has its own.
 */
import type { InvokeCommandInput, InvokeCommandOutput } from '@aws-sdk/client-lambda'
import { GatewayError } from '../../core/errors.ts'
import { outboundOf, type SdkRequest } from '../../credentials/aws/handler.ts'
import type { Delivered, Delivery, Transport } from '../transport.ts'

interface Invoked {
  readonly output: InvokeCommandOutput
  /** The Lambda API’s answer, as it came. */
  readonly delivered: Delivered
}

/** Throws what `Transport.send` throws, and the client’s own errors. */
export type InvokeClient = (input: InvokeCommandInput, delivery: Delivery) => Promise<Invoked>

/** Names of the client’s middleware; one that a later client does not have is no error. */
const needless = [
  'contentLengthMiddleware',
  'getUserAgentMiddleware',
  'hostHeaderMiddleware',
  'httpAuthSchemeMiddleware',
  'httpSigningMiddleware',
  'loggerMiddleware',
  'recursionDetectionMiddleware',
  'retryMiddleware',
]

const nothing = (): undefined => undefined

/** The Lambda API is asked at `endpoint` by `http`. */
export async function invokeClient(http: Transport, region: string, endpoint: string): Promise<InvokeClient> {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda')
  const { middlewareStack, config } = new LambdaClient({
    region,
    endpoint,
    // even if some day one of the names above is another, nothing is signed, logged or asked for twice here
    maxAttempts: 1,
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
    signer: { sign: async (request) => request },
    logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
    requestHandler: {
      handle: () => Promise.reject(new GatewayError('internal')),
      updateHttpClientConfig: nothing,
      httpHandlerConfigs: () => ({}),
      destroy: nothing,
    },
  })
  for (const name of needless) middlewareStack.remove(name)

  /** By the input, which all of the middleware is given. */
  const passages = new WeakMap<object, { readonly delivery: Delivery; delivered?: Delivered }>()
  middlewareStack.add(
    () =>
      async ({ input, request }) => {
        const passage = passages.get(input)
        if (passage === undefined) throw new GatewayError('internal')
        const delivered = await http.send(outboundOf(request as SdkRequest).outbound, passage.delivery)
        passage.delivered = delivered
        const { status, headers, body } = delivered.response
        // a view of its own, since the client makes something else of what it gets
        const bytes = new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
        return { response: { statusCode: status, headers: Object.fromEntries(headers), body: bytes } }
      },
    { step: 'deserialize', priority: 'low', name: 'carry' },
  )
  // put together once: each `LambdaClient.send` would do so anew
  const invoke = new InvokeCommand({ FunctionName: undefined }).resolveMiddleware(middlewareStack, config, {})

  return async (input, delivery) => {
    const passage: { readonly delivery: Delivery; delivered?: Delivered } = { delivery }
    passages.set(input, passage)
    const { output } = await invoke({ input })
    if (passage.delivered === undefined)
      throw new GatewayError('internal', { cause: new Error('AWS’s client answered without asking') })
    return { output, delivered: passage.delivered }
  }
}
