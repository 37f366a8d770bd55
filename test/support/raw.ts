/** HTTP/1.1 by hand on a bare socket, for what `fetch` would never send. */
import { connect, type Socket } from 'node:net'

export interface RawRequest {
  readonly method?: string
  /** As it stands in the request line. */
  readonly target?: string
  /** The first header lines; `Host` of the listener unless given. */
  readonly host?: readonly string[]
  /** Further header lines, as they are. */
  readonly lines?: readonly string[]
  readonly body?: string
  /** Whether the listener is asked to close afterwards; it is by default. */
  readonly last?: boolean
}

/** The bytes of one request; a body comes with its right length. */
export function rawRequest(url: string, request: RawRequest = {}): string {
  const { method = 'POST', target = '/mcp', host = [`Host: ${new URL(url).host}`], lines = [], body, last } = request
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  const close = last === false ? [] : ['Connection: close']
  const head = [`${method} ${target} HTTP/1.1`, ...host, ...lines, ...length, ...close].join('\r\n')
  return `${head}\r\n\r\n${body ?? ''}`
}

export interface RawAnswer {
  /** One for each answer that came. */
  readonly statuses: readonly number[]
  readonly text: string
}

/** A connection to the listener of `url`; errors end it and are not told. */
export function rawSocket(url: string): Socket {
  const { hostname, port } = new URL(url)
  return connect(Number(port), hostname).on('error', () => undefined)
}

/** What a socket is sent until the other end closes it. Rejects when that takes longer than `ms`. */
export function untilClosed(socket: Socket, ms = 15_000): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let text = ''
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`the connection was still open after ${ms} ms: ${text.slice(0, 500)}`))
    }, ms)
    socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')))
    socket.once('close', () => {
      clearTimeout(timer)
      resolve({ statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status)), text })
    })
  })
}

/** Writes bytes and gives what comes back until the connection is closed. */
export function rawExchange(url: string, bytes: string | Buffer): Promise<RawAnswer> {
  const socket = rawSocket(url)
  socket.write(bytes)
  return untilClosed(socket)
}
