/** What stands on the wire, unread by any client: legacy messages, raw bodies, streams of events. */
import { request } from 'node:http'
import { post } from './mcp.ts'

/** JSON as a test reads it. */
export type Loose = ReturnType<typeof JSON.parse>

export const legacyHeaders = (version: string, session?: string): { [name: string]: string } => ({
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': version,
  ...(session === undefined ? {} : { 'mcp-session-id': session }),
})

/** The handshake of an older revision, as far as the session id. */
export async function initialize(url: string, version: string, capabilities: object = {}) {
  const params = { protocolVersion: version, capabilities, clientInfo: { name: 'test', version: '1' } }
  const { 'mcp-protocol-version': _, ...headers } = legacyHeaders(version)
  const answer = await post(url, headers, { jsonrpc: '2.0', id: 0, method: 'initialize', params })
  return { ...answer, session: answer.headers.get('mcp-session-id') ?? '' }
}

export const postLegacy = (url: string, version: string, session: string | undefined, method: string, params = {}) =>
  post(url, legacyHeaders(version, session), { jsonrpc: '2.0', id: 1, method, params })

/** The messages in a stream of events (WHATWG HTML §9.2.6); comments are left out. */
export const messagesIn = (text: string): Loose[] =>
  text
    .split('\n\n')
    .map((block) => block.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : [])))
    .filter((lines) => lines.length > 0)
    .map((lines) => JSON.parse(lines.join('\n')))

/** A POST whose answer is given as the bytes that came. */
export const rawPost = (
  url: string,
  headers: { [name: string]: string },
  body: object,
): Promise<{ status: number; headers: { [name: string]: unknown }; body: Buffer }> =>
  new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    outgoing.on('error', reject)
    outgoing.end(JSON.stringify(body))
  })

/** An open stream of events: its head, and its messages as they come. */
export async function openEvents(url: string, init: RequestInit) {
  const abort = new AbortController()
  const response = await fetch(url, { ...init, signal: abort.signal })
  let text = ''
  let ended = false
  const reading = (async () => {
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk as Uint8Array, { stream: true })
  })()
    .catch(() => undefined)
    .finally(() => {
      ended = true
    })
  return {
    status: response.status,
    headers: response.headers,
    messages: () => messagesIn(text),
    ended: () => ended,
    async close() {
      abort.abort()
      await reading
    },
  }
}
