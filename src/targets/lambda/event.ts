/** The event of an invocation, held to what AWS Lambda takes before anything is sent. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

/** The event as JSON. Throws `request_unbuildable` past AWS Lambda’s bound for synchronous invocations. */
export function toEvent(value: unknown): string {
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.lambdaEventBytes)
    throw new GatewayError('request_unbuildable', {
      words: `The arguments make an event of ${bytes} bytes, and AWS Lambda takes ${limits.lambdaEventBytes} (6 MB). Nothing was sent.`,
    })
  return text
}
