/** The two listeners: bounded, ready before there is anything to serve, and drained before they go. */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import { type Clock, sleep } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'

export interface Listener {
  readonly server: Server
  readonly port: number
  serve(app: Hono<{ Bindings: HttpBindings }>): void
  /** Whether an answer, or part of one, has not been taken by its reader yet. */
  isSending(): boolean
}

/** Listens before there is anything to serve, since the parts want to know the port; until then the answer is 503. */
export async function listen(host: string, port: number): Promise<Listener> {
  let serving: Hono<{ Bindings: HttpBindings }> | undefined
  const server = createAdaptorServer({
    fetch(request, env) {
      // Only the origin form of a request target is taken (RFC 9112 §3.2.1): the host comes from one place.
      if (env.incoming.url?.startsWith('/') !== true) return new Response(null, { status: 400 })
      return serving === undefined ? new Response(null, { status: 503 }) : serving.fetch(request, env)
    },
    overrideGlobalObjects: false,
    serverOptions: {
      maxHeaderSize: limits.requestHeaderBytes,
      headersTimeout: limits.requestHeadersMs,
      requestTimeout: limits.requestBodyMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: 1_000,
    },
  }) as Server
  server.maxConnections = limits.connectionsOpen
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new GatewayError('bad_config', { words: `Nothing can listen on ${host}:${port}. Is it in use?`, cause })),
    )
    server.listen(port, host, resolve)
  })
  const address = server.address()
  return {
    server,
    port: typeof address === 'object' && address !== null ? address.port : port,
    serve(app) {
      serving = app
    },
    isSending: () => [...sockets].some((socket) => socket.writableLength > 0),
  }
}

/**
 * Waits until no call is under way and every answer has gone out to its end, at most `limits.drainMs`. Meanwhile the
 * listeners still answer: readiness with 503, new requests with a refusal.
 */
export async function drain(
  listeners: readonly Listener[],
  load: { readonly inFlight: number },
  clock: Clock,
): Promise<void> {
  const until = clock.monotonic() + limits.drainMs
  // An answer is on its way for a moment between the end of its call and its first byte: quiet twice is quiet.
  for (let quiet = 0; quiet < 2 && clock.monotonic() < until; ) {
    await sleep(clock, limits.drainStepMs)
    quiet = load.inFlight === 0 && listeners.every((listener) => !listener.isSending()) ? quiet + 1 : 0
  }
  await Promise.all(
    listeners.map(
      ({ server }) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    ),
  )
}
