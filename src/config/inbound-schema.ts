/** What the configuration says of callers: how they are known, what they may use, how much of it. */
import { z } from 'zod'
import { httpUrl } from './target-schema.ts'
import { secretRef } from './secret-schema.ts'

const text = z.string().min(1).max(1_024)
const texts = z.array(text).max(256)

const claim = z
  .strictObject({
    claim: text,
    operator: z.enum(['EQUALS', 'CONTAINS', 'CONTAINS_ANY']),
    value: z.union([text, texts.min(1)]),
  })
  .refine(({ operator, value }) => operator !== 'EQUALS' || typeof value === 'string', {
    message: 'EQUALS compares with one value',
  })

const jwt = z
  .strictObject({
    type: z.literal('jwt'),
    discoveryUrl: httpUrl
      .refine((url) => /\/\.well-known\/(?:openid-configuration|oauth-authorization-server)/.test(url), {
        message: 'must be a …/.well-known/openid-configuration or …/.well-known/oauth-authorization-server',
      })
      .describe('Where the identity provider describes itself.'),
    allowedAudience: texts.default([]).describe('One of them stands in `aud`; this gateway’s own URLs when empty.'),
    allowedClients: texts.default([]).describe('`client_id` and `azp`, as far as the token has them, are among them.'),
    allowedScopes: texts
      .default([])
      .describe('The token carries one of them at least; every challenge names them all.'),
    customClaims: z.array(claim).max(64).default([]),
    principalClaim: text.optional().describe('Tells callers behind one client apart, beside `iss` and `sub`.'),
    tenant: text.optional().describe('The tenant of every caller of this provider.'),
    tenantClaim: text.optional().describe('The claim that names the caller’s tenant.'),
    facade: z
      .boolean()
      .default(false)
      .describe('Stand in for a provider that ordinary MCP clients cannot use, as its one client.'),
    clientId: text
      .optional()
      .describe(
        'This gateway’s own client at the provider: for `facade`, and to know users’ browsers on the connect pages.',
      ),
    clientSecret: secretRef.optional(),
    scopes: texts.default([]).describe('With `facade`: asked for at the provider.'),
  })
  .refine(({ facade, clientId }) => !facade || clientId !== undefined, { message: '`facade` needs `clientId`' })
  .refine(({ tenant, tenantClaim }) => tenant === undefined || tenantClaim === undefined, {
    message: '`tenant` and `tenantClaim` exclude each other',
  })

const one = z.discriminatedUnion('type', [
  jwt,
  z.strictObject({ type: z.literal('apiKey') }).describe('Keys made by `toolgate key create`.'),
  z.strictObject({ type: z.literal('sigv4') }).describe('Access keys made by `toolgate key create --sigv4`.'),
])

export type InboundConfig = z.infer<typeof one>
export type JwtConfig = z.infer<typeof jwt>

export const inboundSchema = z
  .union([z.strictObject({ type: z.literal('none') }), one, z.array(one).min(1).max(16)])
  .default({ type: 'none' })
  .describe('Who may call; of several ways any one suffices.')

const value = z.union([z.string(), z.number(), z.boolean()])

export const accessSchema = z
  .array(
    z.strictObject({
      principals: texts.min(1).optional().describe('Patterns of subjects.'),
      scopes: texts.min(1).optional().describe('All of which the caller has.'),
      claims: z.record(z.string(), z.union([value, z.array(value).min(1)])).optional(),
      tools: texts.min(1).describe('Patterns of tool names.'),
      effect: z.enum(['allow', 'deny']),
    }),
  )
  .max(1_024)
  .default([])
  .describe('Who may see and use which tools: all may without rules, with rules whom one allows and none denies.')

const count = z.int().min(1).max(1_000_000).optional()

export const limitsSchema = z
  .array(
    z
      .strictObject({
        by: z.array(z.enum(['principal', 'target', 'tool'])).default([]),
        perSecond: count,
        perMinute: count,
        concurrent: count,
        match: z
          .strictObject({
            principals: texts.min(1).optional(),
            targets: texts.min(1).optional(),
            tools: texts.min(1).optional(),
          })
          .optional(),
      })
      .refine(({ perSecond, perMinute, concurrent }) => (perSecond ?? perMinute ?? concurrent) !== undefined, {
        message: 'needs `perSecond`, `perMinute` or `concurrent`',
      }),
  )
  .max(64)
  .default([])
  .describe('How often callers may call; a refusal says when to come back.')
