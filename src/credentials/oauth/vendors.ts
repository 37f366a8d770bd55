/** What a vendor does in its own way, and how that is turned into what the RFCs describe. The facts are in the table. */
import { GatewayError } from '../../core/errors.ts'
import type { Json } from '../../core/model.ts'
import type { Mended, Quirk, Vendor } from './vendor.ts'
import { vendorTable } from './vendor-table.ts'

/** Throws `bad_config` for a vendor that is not in the table. */
export function vendorNamed(name: string): Vendor {
  const vendor = vendorTable.get(name.toLowerCase())
  if (vendor === undefined)
    throw new GatewayError('bad_config', {
      words: `There is no vendor called ${name}; known: ${vendorNames.join(', ')}.`,
    })
  return vendor
}

export const vendorNames: readonly string[] = [...vendorTable.keys()]

/** All `graveErrors` of the table. */
export const graveErrors: readonly string[] = [...vendorTable.values()].flatMap((vendor) => vendor.graveErrors ?? [])

/** The names in the addresses of a vendor that the configuration must or may give. */
export const parametersOf = (vendor: Vendor): readonly string[] => [
  ...new Set(
    [vendor.discovery, vendor.authorization, vendor.token, vendor.revocation].flatMap((text) =>
      [...(text ?? '').matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name),
    ),
  ),
]

/** Fills `{name}`. A value is one label or a host name, so that it cannot lead anywhere else. Throws `bad_config`. */
export function fill(template: string, vendor: Vendor, given: ReadonlyMap<string, string>): string {
  return template.replaceAll(/\{(\w+)\}/g, (_all, name: string) => {
    const value = given.get(name) ?? vendor.defaults?.[name]
    if (value === undefined)
      throw new GatewayError('bad_config', { words: `${vendor.title} needs the parameter ${name}.` })
    if (!/^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(value) || value.includes('..') || value.length > 253)
      throw new GatewayError('bad_config', { words: `The parameter ${name} is no name, host or id.` })
    return value
  })
}

/** An answer of a token endpoint as RFC 6749 §5 describes it. `vendor` is undefined for servers that keep to it. */
export function mendToken(vendor: Vendor | undefined, status: number, raw: { [name: string]: Json }): Mended {
  const has = (quirk: Quirk): boolean => vendor?.quirks?.includes(quirk) === true
  const error = has('statusError') ? (raw['error'] ?? raw['status']) : raw['error']
  // some say no with 200
  const isError = status === 200 ? raw['access_token'] === undefined || has('errorWithSuccess') : status < 500
  if (isError && typeof error === 'string') return { status: status === 200 ? 400 : status, body: { error } }
  if (status !== 200) return { status, body: raw }
  const body = new Map(Object.entries(has('authedUser') ? userOf(raw) : raw))
  const type = body.get('token_type')
  if (has('userTokenType') || (has('noTokenType') && type === undefined)) body.set('token_type', 'bearer')
  const scope = body.get('scope')
  if (has('scopeList') && Array.isArray(scope))
    body.set('scope', scope.filter((one) => typeof one === 'string').join(' '))
  if (vendor?.commaScopes !== undefined && typeof scope === 'string') body.set('scope', scope.split(/[,\s]+/).join(' '))
  for (const name of ['scope', 'refresh_token', 'id_token', 'expires_in'])
    if (body.get(name) === null || body.get(name) === '') body.delete(name)
  const expires = body.get('expires_in')
  if (expires !== undefined && !isLifetime(expires)) body.delete('expires_in')
  return { status, body: Object.fromEntries(body) }
}

/** A life of no seconds, or of fewer, is how some say that they do not tell. */
const isLifetime = (value: Json): boolean => Number(typeof value === 'string' ? value.trim() : value) > 0

/** Slack: the workspace's own token stands outside, the user's inside (absent when only the first was asked for). */
function userOf(raw: { [name: string]: Json }): { [name: string]: Json } {
  const user = raw['authed_user']
  return typeof user === 'object' && user !== null && !Array.isArray(user) && typeof user['access_token'] === 'string'
    ? user
    : raw
}
