/**
 * `gateway.config.json`: its one schema. Types, strict checks and the JSON Schema for editors all come from here. Every
 * object is strict: an unknown key is an error that names its path.
 */
import { z } from 'zod'
import { parseAllowList } from '../egress/address.ts'
import { credentialSchema } from './credential-schema.ts'
import { accessSchema, inboundSchema, limitsSchema } from './inbound-schema.ts'
import { meteringSchema } from './metering-schema.ts'
import { secretRef, vaultKeyRef } from './secret-schema.ts'
import { httpUrl, targetName, targetSchema } from './target-schema.ts'

export type { CredentialConfig } from './credential-schema.ts'
export type { InboundConfig, JwtConfig } from './inbound-schema.ts'
export type { AnySecretRef, SecretRef } from './secret-schema.ts'
export { descriptionOf, targetName, type TargetConfig } from './target-schema.ts'

const port = z.int().min(0).max(65_535)
const vaultSchema = z
  .strictObject({
    key: vaultKeyRef
      .optional()
      .describe('32 bytes in base64, or a key of KMS; made in `dataDir/vault-key` when left out.'),
    retiredKeys: z.array(vaultKeyRef).max(16).default([]).describe('Keys that still open what they sealed.'),
  })
  .prefault({})
  .describe('What seals connections, access keys and managed secrets at rest.')

export const configSchema = z.strictObject({
  $schema: z.string().optional(),
  name: z.string().min(1).max(128).default('toolgate').describe('`serverInfo.name`.'),
  instructions: z.string().max(8_192).optional().describe('Sent to clients.'),
  publicUrl: httpUrl
    .optional()
    .describe('Where clients reach the gateway; `http://127.0.0.1:<port>` by default. Never taken from a request.'),
  listen: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: port.default(8080),
      allowedHosts: z
        .array(z.string().min(1))
        .default([])
        .describe('Further `Host` values that this listener answers to.'),
      allowedOrigins: z.array(z.string().min(1)).default([]).describe('Further `Origin` values, for browser clients.'),
    })
    .prefault({}),
  admin: z
    .strictObject({
      host: z.string().min(1).default('127.0.0.1'),
      port: port.default(8081),
      token: secretRef.optional().describe('Made in `dataDir/admin-token` when left out.'),
      tools: z
        .boolean()
        .optional()
        .describe(
          'Serve the reading half of the admin API as tools of the target `toolgate`: by default only where everyone may call anyway (`inbound` `none`).',
        ),
    })
    .prefault({}),
  dataDir: z.string().min(1).default('.toolgate'),
  store: z.literal('sqlite').default('sqlite'),
  specs: z.string().min(1).default('specs'),
  inbound: inboundSchema,
  access: accessSchema,
  limits: limitsSchema,
  vault: vaultSchema,
  credentials: z
    .record(
      z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, dots, hyphens, underscores'),
      credentialSchema,
    )
    .default({}),
  targets: z.record(targetName, targetSchema).default({}),
  views: z
    .record(
      z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 _ -'),
      z.strictObject({ targets: z.array(z.string()).default([]), tools: z.array(z.string().min(1)).default([]) }),
    )
    .default({})
    .describe('Parts of the catalogue, each served at `/mcp/{view}`.'),
  egress: z
    .strictObject({
      allow: z
        .array(
          z.string().refine((entry) => {
            try {
              return parseAllowList([entry]) !== undefined
            } catch {
              return false
            }
          }, 'must be an address, a network or a host name, each with or without a port'),
        )
        .default([])
        .describe('Private addresses, and addresses reached over plain http, that targets may have.'),
    })
    .prefault({}),
  listPageSize: z.int().min(0).max(10_000).default(0).describe('Tools a page of `tools/list`; 0 for all on one page.'),
  metering: meteringSchema,
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info') }).prefault({}),
})

export type Config = z.infer<typeof configSchema>

/** The JSON Schema (2020-12) of the configuration, for editors. */
export const configJsonSchema = (): object => ({
  title: 'toolgate configuration',
  ...z.toJSONSchema(configSchema, { io: 'input' }),
})
