/** The client context of an invocation, as AgentCore’s gateway gives it to its Lambda targets. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Delivery } from '../transport.ts'

export interface ContextFacts {
  /** The gateway’s name. */
  readonly gateway: string
  /** The target’s name. */
  readonly target: string
  /** How the operator writes the names of headers, by their lower-case form. */
  readonly headerNames: ReadonlyMap<string, string>
}

/**
 * Base64 of the JSON that a runtime shows as `context.clientContext` (Python: `client_context`). A function strips
 * `target___` from the tool’s name: it is told its own name for it, whatever the operator calls the tool. Headers are left
 * out where there are none, since runtimes that take `custom` for a map of texts would stumble. Throws
 * `request_unbuildable` past AWS Lambda’s bound.
 */
export function clientContext(
  { gateway, target, headerNames }: ContextFacts,
  { name, operation, usageId, messageId }: Delivery,
  headers: ReadonlyMap<string, string>,
): string {
  const propagated = [...headers].map(([header, value]) => [headerNames.get(header) ?? header, value] as const)
  const custom = {
    bedrockAgentCoreMessageVersion: '1.0',
    bedrockAgentCoreAwsRequestId: usageId,
    bedrockAgentCoreMcpMessageId: String(messageId),
    bedrockAgentCoreGatewayId: gateway,
    bedrockAgentCoreTargetId: target,
    bedrockAgentCoreToolName: operation === undefined ? name : `${target}___${operation.id}`,
    ...(propagated.length === 0 ? {} : { bedrockAgentCorePropagatedHeaders: Object.fromEntries(propagated) }),
  }
  const text = Buffer.from(JSON.stringify({ custom })).toString('base64')
  if (text.length > limits.lambdaContextBytes)
    throw new GatewayError('request_unbuildable', {
      words: `The headers that go on to the function are too long: AWS Lambda takes ${limits.lambdaContextBytes} bytes of client context. Nothing was sent.`,
    })
  return text
}
