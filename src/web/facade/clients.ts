/**
 * Clients of the façade (RFC 7591). A registration is kept by the client itself: its id is the sealed text of what it
 * registered, so that strangers who register fill no store.
 */
import { z } from 'zod'
import { isRedirectUri, isRegistered } from '../../auth/facade-redirect.ts'
import { nestsDeeper } from '../../core/json.ts'
import { limits } from '../../core/limits.ts'
import { hashed } from '../../credentials/oauth/record.ts'
import type { FacadeRoom } from './room.ts'
import { OAuthRefusal } from './room.ts'

export interface FacadeClient {
  readonly id: string
  /** Names it where its whole id would be too long. */
  readonly hash: string
  /** What it calls itself, which anyone may. */
  readonly name: string | undefined
  readonly redirectUris: readonly string[]
}

const asked = z.object({
  redirect_uris: z.array(z.string()),
  client_name: z.string().optional(),
  grant_types: z.array(z.string()).optional(),
  response_types: z.array(z.string()).optional(),
})

const sealed = z.object({
  redirectUris: z.array(z.string()),
  name: z.string().optional(),
  createdAt: z.number(),
  expiresAt: z.number(),
})

const purpose = 'façade client'

const schemesOf = (room: FacadeRoom): ReadonlySet<string> => new Set(room.redirectSchemes)

/** Control characters, and those that turn the direction of writing, have no place in a name that is shown. */
function shownName(name: string): string | undefined {
  const clean = name.replaceAll(/[\p{C}\p{Z}\s]+/gu, ' ').trim()
  return clean.slice(0, limits.facadeNameChars).toWellFormed() || undefined
}

function readMetadata(text: string): z.infer<typeof asked> {
  try {
    if (nestsDeeper(text, limits.jsonDepth)) throw new Error('nested too deep')
    return asked.parse(JSON.parse(text))
  } catch {
    throw new OAuthRefusal('invalid_client_metadata', 'Send a JSON object with redirect_uris, a list of texts.')
  }
}

/** The answer to a registration. Throws an `OAuthRefusal`. */
export function registerClient(
  room: FacadeRoom,
  text: string,
): { readonly client: FacadeClient; readonly answer: object } {
  const metadata = readMetadata(text)
  const redirectUris = [...new Set(metadata.redirect_uris)]
  if (metadata.grant_types?.includes('authorization_code') === false)
    throw new OAuthRefusal('invalid_client_metadata', 'Only clients of the authorization_code grant register here.')
  if (metadata.response_types?.includes('code') === false)
    throw new OAuthRefusal('invalid_client_metadata', 'The only response type is code.')
  const isBounded =
    redirectUris.length > 0 &&
    redirectUris.length <= limits.facadeRedirects &&
    redirectUris.join('').length <= limits.facadeRedirectsChars
  const schemes = schemesOf(room)
  if (!isBounded || !redirectUris.every((uri) => isRedirectUri(uri, schemes)))
    throw new OAuthRefusal(
      'invalid_redirect_uri',
      `Give at most ${limits.facadeRedirects} redirect URIs in normal form: https, http on loopback, or a private-use scheme with a dot; no fragment, no wildcard, no user name.`,
    )
  const name = metadata.client_name === undefined ? undefined : shownName(metadata.client_name)
  const createdAt = room.clock.now()
  const kept = {
    redirectUris,
    ...(name === undefined ? {} : { name }),
    createdAt,
    expiresAt: createdAt + limits.facadeClientMs,
  }
  const id = room.seal.close(kept, purpose, room.publicUrl)
  return {
    client: { id, hash: hashed(id), name, redirectUris },
    // RFC 7591 §3.2.1: what was registered, which may be other than what was asked for
    answer: {
      client_id: id,
      client_id_issued_at: Math.floor(createdAt / 1_000),
      ...(name === undefined ? {} : { client_name: name }),
      redirect_uris: redirectUris,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
  }
}

/** `undefined` for an id that was not made here, was changed, or whose time is over. */
export function openClient(room: FacadeRoom, id: string | undefined): FacadeClient | undefined {
  const found = id === undefined ? undefined : sealed.safeParse(room.seal.open(id, purpose, room.publicUrl)).data
  if (id === undefined || found === undefined || room.clock.now() >= found.expiresAt) return undefined
  return { id, hash: hashed(id), name: found.name, redirectUris: found.redirectUris }
}

export const mayRedirect = (room: FacadeRoom, client: FacadeClient, redirectUri: string): boolean =>
  isRegistered(redirectUri, client.redirectUris, schemesOf(room))
