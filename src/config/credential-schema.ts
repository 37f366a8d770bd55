/** What the configuration says of a credential: as whom the gateway calls a target. */
import { z } from 'zod'
import { vendorNames } from '../credentials/oauth/vendors.ts'
import { anySecretRef, secretRef } from './secret-schema.ts'
import { httpUrl } from './target-schema.ts'

const text = z.string().min(1).max(2_048)
const visible = z.string().regex(/^[!-~]+$/, 'must be visible ASCII')

const apiKey = z.strictObject({
  type: z.literal('apiKey'),
  in: z.enum(['header', 'query', 'cookie']),
  name: visible.max(128),
  prefix: visible.max(64).optional().describe('For example `Bearer`.'),
  value: anySecretRef,
})

const basic = z.strictObject({ type: z.literal('basic'), username: anySecretRef, password: anySecretRef })

/** A discovery document may stand anywhere; an endpoint may carry a query. */
const endpoint = z.string().refine((address) => {
  const url = URL.parse(address)
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.username === '' && url.hash === ''
}, 'must be an absolute http(s) URL without user and fragment')

const oauth2 = z
  .strictObject({
    type: z.literal('oauth2'),
    grant: z.enum(['clientCredentials', 'authorizationCode', 'tokenExchange', 'jwtBearer']),
    vendor: z
      .enum(['custom', ...vendorNames])
      .optional()
      .describe('A preset for a known service.'),
    vendorParameters: z
      .record(z.string(), text)
      .default({})
      .describe('What a preset’s addresses leave open, for example `tenantId` or `domain`.'),
    discoveryUrl: endpoint.optional(),
    issuer: httpUrl.optional(),
    authorizationEndpoint: endpoint.optional(),
    tokenEndpoint: endpoint.optional(),
    revocationEndpoint: endpoint.optional(),
    clientId: text,
    clientSecret: anySecretRef.optional(),
    privateKey: secretRef.optional().describe('PEM or JWK, for `private_key_jwt` and for assertions.'),
    clientAuthentication: z.enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none']).optional(),
    scopes: z.array(text).max(256).default([]),
    optionalScopes: z
      .array(text)
      .max(256)
      .default([])
      .describe('What a target may have asked for besides, with 403 `insufficient_scope`.'),
    audience: text.optional(),
    resource: text.optional().describe('RFC 8707.'),
    parameters: z
      .strictObject({
        authorization: z.record(z.string(), text).default({}),
        token: z.record(z.string(), text).default({}),
      })
      .prefault({})
      .describe('Further parameters for the two endpoints.'),
    assertion: z
      .strictObject({
        subject: text.optional(),
        audience: text.optional(),
        claims: z.record(z.string(), text).default({}),
      })
      .optional()
      .describe('`jwtBearer` with a `privateKey`: what the assertion says.'),
    actorToken: z
      .strictObject({ token: secretRef, type: text.optional() })
      .optional()
      .describe('`tokenExchange`: who acts for the caller.'),
  })
  .refine(
    ({ vendor, discoveryUrl, issuer, tokenEndpoint }) =>
      [vendor, discoveryUrl, issuer ?? tokenEndpoint].some((given) => given !== undefined && given !== 'custom'),
    { message: 'needs `vendor`, `discoveryUrl`, or `issuer` with its endpoints' },
  )

const sigv4 = z
  .strictObject({
    type: z.literal('sigv4'),
    service: text.describe('The signing name, for example `execute-api`.'),
    region: text,
    accessKeyId: anySecretRef.optional(),
    secretAccessKey: anySecretRef.optional().describe('With `accessKeyId`; AWS’s default chain is asked otherwise.'),
    sessionToken: anySecretRef.optional(),
    roleArn: text.optional().describe('The role to assume.'),
    roleSessionName: text.optional(),
    stsEndpoint: endpoint.optional(),
  })
  .refine(({ accessKeyId, secretAccessKey }) => (accessKeyId === undefined) === (secretAccessKey === undefined), {
    message: '`accessKeyId` and `secretAccessKey` go together',
  })

export const credentialSchema = z.discriminatedUnion('type', [apiKey, basic, oauth2, sigv4])

export type CredentialConfig = z.infer<typeof credentialSchema>
