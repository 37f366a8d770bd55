/** Parameters of a query or a form (RFC 6749 §3.1, §3.2): bounded, each there once, the empty ones as good as absent. */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { FacadeContext } from './room.ts'
import { OAuthRefusal } from './room.ts'

export type Parameters = ReadonlyMap<string, string>

/** `undefined` when one is there twice: no two programs read that alike. */
function parametersIn(text: string): Parameters | undefined {
  const found = new Map<string, string>()
  const seen = new Set<string>()
  for (const [name, value] of new URLSearchParams(text)) {
    if (seen.has(name)) return undefined
    seen.add(name)
    if (value !== '') found.set(name, value)
  }
  return found
}

/** Throws `invalid_request`, to be shown to the user: nothing in such a query is believed, no redirect URI either. */
export function queryOf(c: FacadeContext): Parameters {
  const { url } = c.req
  const start = url.indexOf('?')
  const text = start < 0 ? '' : url.slice(start + 1)
  const query = text.length > limits.facadeQueryBytes ? undefined : parametersIn(text)
  if (query === undefined) {
    throw new GatewayError('invalid_request', { words: 'The link has a parameter twice, or is too long.' })
  }
  return query
}

/** Throws an `OAuthRefusal`. The body’s bound is set where the route is. */
export async function formOf(c: FacadeContext): Promise<Parameters> {
  if (!/^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(c.req.header('content-type') ?? ''))
    throw new OAuthRefusal('invalid_request', 'Send a form (application/x-www-form-urlencoded).')
  const form = parametersIn(await c.req.text())
  if (form === undefined) throw new OAuthRefusal('invalid_request', 'A parameter is there twice.')
  return form
}
