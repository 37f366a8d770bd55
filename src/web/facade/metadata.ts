/** What the façade says of itself as an authorization server (RFC 8414 §2). */
import type { FacadeRoom } from './room.ts'

/** Client ID Metadata Documents are not among it: clients that know them register instead. */
export const serverMetadata = ({ publicUrl, provider }: Pick<FacadeRoom, 'publicUrl' | 'provider'>): object => ({
  issuer: publicUrl,
  authorization_endpoint: `${publicUrl}/authorize`,
  token_endpoint: `${publicUrl}/token`,
  registration_endpoint: `${publicUrl}/register`,
  ...(provider.scopes.length === 0 ? {} : { scopes_supported: provider.scopes }),
  response_types_supported: ['code'],
  response_modes_supported: ['query'],
  grant_types_supported: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_methods_supported: ['none'],
  code_challenge_methods_supported: ['S256'],
  authorization_response_iss_parameter_supported: true,
})
