/** RFC 8707: a token that was asked for one resource is not taken for another, as far as it can be read (RFC 9068 §3). */
import type { Secret } from '../../core/secret.ts'

/** Whether a token says that it is for this resource, or says nothing of it. */
export function isFor(token: Secret, resource: string | undefined): boolean {
  const audience = resource === undefined ? undefined : audienceOf(token.reveal())
  return resource === undefined || audience === undefined || audience.includes(resource)
}

function audienceOf(token: string): readonly string[] | undefined {
  const parts = token.split('.')
  if (parts.length !== 3) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'))
    if (typeof claims !== 'object' || claims === null || !('aud' in claims)) return undefined
    const audience = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
    return audience.filter((one) => typeof one === 'string')
  } catch {
    return undefined
  }
}
