/** What AWS says of a function → the file of tools to fill in. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { FunctionFacts } from './ask.ts'

export interface FunctionFile {
  readonly text: string
  readonly warnings: readonly string[]
}

/** Throws `bad_description` for an answer that names no function. */
export function functionFile(facts: FunctionFacts, qualifier: string | undefined): FunctionFile {
  const name = /^arn:aws[a-z-]{0,16}:lambda:[a-z0-9-]{1,32}:\d{12}:function:([A-Za-z0-9_-]{1,64})$/.exec(facts.arn)?.[1]
  if (name === undefined)
    throw new GatewayError('bad_description', { words: 'AWS’s answer does not say which function it is of.' })
  const description = facts.description
    .replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .slice(0, limits.descriptionChars)
    .trim()
  const file = {
    function: facts.arn,
    region: facts.region,
    ...(qualifier === undefined ? {} : { qualifier }),
    tools: [
      {
        name,
        description: description === '' ? `Calls the AWS Lambda function ${name}.` : description,
        inputSchema: { type: 'object', properties: {} },
      },
    ],
  }
  return { text: `${JSON.stringify(file, null, 2)}\n`, warnings: warningsOf(facts, name) }
}

function warningsOf({ untold, state, timeoutMs }: FunctionFacts, name: string): string[] {
  const found: string[] = []
  if (untold !== undefined) found.push(`${untold} A description among the tags is not taken.`)
  if (state === 'Failed') found.push(`The function ${name} is in the state Failed, and cannot be called.`)
  if (timeoutMs !== undefined && timeoutMs > limits.targetTimeoutMs)
    found.push(
      `The function may run ${timeoutMs / 1_000} seconds, and a call waits ${limits.targetTimeoutMs / 1_000}: set the target’s timeoutMs in the configuration if it needs longer.`,
    )
  return found
}
