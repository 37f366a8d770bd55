/** A target that remembers what it was sent and answers as the test says. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

export interface Recorded {
  readonly method: string
  /** As it stood in the request line. */
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

export type Answer = (request: Recorded, response: ServerResponse, incoming: IncomingMessage) => void

export interface Recorder {
  readonly origin: string
  /** `host:port`, for `egress.allow`. */
  readonly address: string
  readonly requests: Recorded[]
  /** How later requests are answered; JSON `{"ok":true}` at first. */
  answer: Answer
  readonly server: Server
  close(): Promise<void>
}

export const json =
  (value: unknown, status = 200): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }

export async function startRecorder(): Promise<Recorder> {
  const requests: Recorded[] = []
  const recorder: { answer: Answer } = { answer: json({ ok: true }) }
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('error', () => undefined)
    incoming.on('end', () => {
      const { method = '', url = '', headers, rawHeaders } = incoming
      const request = { method, url, headers, rawHeaders, body: Buffer.concat(chunks) }
      requests.push(request)
      recorder.answer(request, response, incoming)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return Object.assign(recorder, {
    origin: `http://127.0.0.1:${port}`,
    address: `127.0.0.1:${port}`,
    requests,
    server,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  })
}
