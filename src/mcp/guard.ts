/** Which `Host` and `Origin` a listener answers to: the defence against DNS rebinding and foreign pages. */
import { GatewayError } from '../core/errors.ts'

export interface GuardOptions {
  /** `host[:port]` values that name this listener. */
  readonly hosts: readonly string[]
  /** Further origins, whole, for example of a browser client. */
  readonly origins: readonly string[]
  /** Pages served from this machine may call, whatever their port. Only for a listener on loopback. */
  readonly loopbackOrigins: boolean
}

interface GuardedRequest {
  header(name: string): string | undefined
  times(name: string): number
}

export interface Guard {
  /** The allowed origin, or nothing when the request has none. Throws `bad_host` or `forbidden_origin`. */
  check(request: GuardedRequest): string | undefined
}

const loopbackName = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/

export function createGuard(options: GuardOptions): Guard {
  const hosts = new Set(options.hosts.map((host) => host.toLowerCase()))
  const origins = new Set([
    ...options.origins,
    ...options.hosts.flatMap((host) => [`http://${host}`, `https://${host}`]),
  ])
  return {
    check(request) {
      const host = request.header('host')
      if (host === undefined || request.times('host') !== 1) throw new GatewayError('bad_host')
      if (!hosts.has(host.toLowerCase())) throw new GatewayError('forbidden_origin')
      const origin = request.header('origin')
      if (origin === undefined) return undefined
      const known = origins.has(origin) || (options.loopbackOrigins && loopbackName.test(origin))
      if (!known || request.times('origin') !== 1) throw new GatewayError('forbidden_origin')
      return origin
    },
  }
}

/** The names under which a listener on `host:port` is reached, and that of the public URL. */
export function hostsOf(host: string, port: number, publicUrl: string): string[] {
  const names = isLoopback(host) ? ['127.0.0.1', 'localhost', '[::1]'] : [host.includes(':') ? `[${host}]` : host]
  return [...new Set([...names.map((name) => `${name}:${port}`), new URL(publicUrl).host])]
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host)
