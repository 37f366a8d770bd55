/**
 * A Lambda file, read as hostile input: a list of tools, alone or beside what it says of its function, in this gateway’s
 * words or in those of AgentCore’s target configuration (`lambdaArn`, `toolSchema.inlinePayload`).
 */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { readJson } from '../json.ts'
import { isNode, member, type Node, nodeAt } from '../openapi/tree.ts'

interface LambdaFile {
  readonly tools: readonly unknown[]
  /** Where the list is, as a JSON Pointer. */
  readonly pointer: string
  /** The members that may say something of the function. */
  readonly said: Node
}

/** Throws `bad_description` or `over_limit`. */
export function readFile(bytes: Uint8Array): LambdaFile {
  if (bytes.byteLength > limits.lambdaFileBytes)
    throw new GatewayError('over_limit', { words: `The file has more than ${limits.lambdaFileBytes} bytes.` })
  const file = find(readJson(bytes))
  if (file.tools.length > limits.documentOperations)
    throw new GatewayError('over_limit', { words: `It lists more than ${limits.documentOperations} tools.` })
  return file
}

/** `targetConfiguration.mcp.lambda` of AgentCore’s CreateGatewayTarget, from wherever it was copied. */
const wrappers = ['targetConfiguration', 'mcp', 'lambda']

function find(body: unknown): LambdaFile {
  if (Array.isArray(body)) return { tools: body, pointer: '', said: {} }
  let said = body
  let pointer = ''
  for (const wrapper of wrappers) {
    const inner = nodeAt(said, wrapper)
    if (inner === undefined) continue
    said = inner
    pointer += `/${wrapper}`
  }
  if (!isNode(said)) throw none()
  for (const [place, list] of [
    ['/tools', member(said, 'tools')],
    ['/toolSchema', member(said, 'toolSchema')],
    ['/toolSchema/inlinePayload', member(nodeAt(said, 'toolSchema'), 'inlinePayload')],
    ['/inlinePayload', member(said, 'inlinePayload')],
  ] as const)
    if (Array.isArray(list)) return { tools: list, pointer: `${pointer}${place}`, said: withFunction(said) }
  // one tool is as good as a list of one
  if (typeof member(said, 'name') === 'string' && isNode(member(said, 'inputSchema')))
    return { tools: [said], pointer: '', said: {} }
  throw none()
}

function withFunction(said: Node): Node {
  const arn = member(said, 'lambdaArn')
  return arn === undefined || member(said, 'function') !== undefined ? said : { ...said, function: arn }
}

const none = (): GatewayError =>
  new GatewayError('bad_description', {
    words: 'It has no list of tools: a JSON array of them, or an object with `tools`.',
  })
