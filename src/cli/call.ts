/** `toolgate call`: one tool call on the running gateway, over MCP, by the official client. */
import { readFileSync } from 'node:fs'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js'
import { callerKey, loadSettings } from '../config/load.ts'
import { GatewayError } from '../core/errors.ts'
import { version } from './version.ts'

export interface CallOptions {
  readonly config?: string
  readonly args?: string
  readonly url?: string
  readonly json?: boolean
}

export async function call(tool: string, options: CallOptions): Promise<void> {
  const args = options.args === undefined ? {} : parseArguments(options.args)
  const address = options.url ?? endpoint(options.config)
  if (!URL.canParse(address)) throw new GatewayError('invalid_params', { words: '--url wants an absolute URL.' })
  const url = new URL(address)
  const client = new Client({ name: 'toolgate-cli', version: version() })
  const key = callerKey()
  const transport = new StreamableHTTPClientTransport(
    url,
    key === undefined ? {} : { requestInit: { headers: { authorization: `Bearer ${key.reveal()}` } } },
  )
  try {
    await client.connect(transport)
  } catch (cause) {
    if (isUnauthenticated(cause))
      throw new GatewayError('unauthenticated', {
        words:
          'The gateway wants to know who calls. Make a key with `toolgate key create --name NAME`, and give it as TOOLGATE_KEY.',
        cause,
      })
    throw new GatewayError('target_unreachable', { words: `No gateway answers at ${url.href}. Is it running?`, cause })
  }
  try {
    const result = await client.request(
      { method: 'tools/call', params: { name: tool, arguments: args } },
      CallToolResultSchema,
    )
    if (options.json === true) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
    else
      for (const block of result.content)
        process.stdout.write(block.type === 'text' ? `${block.text}\n` : `[${block.type}] ${JSON.stringify(block)}\n`)
    if (result.isError === true) process.exitCode = 1
  } catch (cause) {
    throw new GatewayError('target_bad_answer', {
      words: cause instanceof Error ? cause.message : String(cause),
      cause,
    })
  } finally {
    await client.close()
  }
}

const isUnauthenticated = (cause: unknown): boolean =>
  cause instanceof Error &&
  (('code' in cause && cause.code === 401) || /\b401\b|unauthorized/i.test(`${cause.name} ${cause.message}`))

function endpoint(config: string | undefined): string {
  const { publicUrl, listen } = loadSettings(config, 'left')
  return `${publicUrl ?? `http://${listen.host}:${listen.port}`}/mcp`
}

function parseArguments(text: string): { [name: string]: unknown } {
  const wrong = (cause?: unknown): GatewayError =>
    new GatewayError('invalid_params', { words: '--args wants a JSON object, or @FILE with one.', cause })
  let value: unknown
  try {
    value = JSON.parse(text.startsWith('@') ? readFileSync(text.slice(1), 'utf8') : text)
  } catch (cause) {
    throw wrong(cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong()
  return { ...value }
}
