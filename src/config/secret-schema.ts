/** A secret is never written down: it is a reference to where it is. */
import { z } from 'zod'

const environment = z.strictObject({ env: z.string().min(1).describe('Name of an environment variable.') })
const file = z.strictObject({
  file: z.string().min(1).describe('Path of a file; white space at its ends is left out.'),
})
const vault = z.strictObject({
  vault: z.string().min(1).describe('Name of a secret that `toolgate secret set` keeps.'),
})
const secretsManager = z.strictObject({
  secretsManager: z
    .strictObject({
      secretId: z.string().min(1).describe('Name or ARN.'),
      jsonKey: z.string().min(1).optional().describe('The member, of a secret that is a JSON object.'),
      region: z.string().min(1).optional(),
      endpoint: z.url().optional().describe('In place of AWS’s own address.'),
    })
    .describe('AWS Secrets Manager; read again after a while, and when the target refuses it.'),
})

const never = 'must be a reference to the secret, never the secret'

/** Looked up when the configuration is read. */
export const secretRef = z
  .union([environment, file], { error: `${never}: {"env": "NAME"} or {"file": "PATH"}` })
  .describe('Where a secret is: an environment variable or a file.')

/** Those, and what is looked up when it is needed and followed when it changes. */
export const anySecretRef = z
  .union([environment, file, vault, secretsManager], {
    error: `${never}: {"env": "NAME"}, {"file": "PATH"}, {"vault": "NAME"} or {"secretsManager": {"secretId": "NAME"}}`,
  })
  .describe('Where a secret is.')

/** A vault key: 32 bytes somewhere, or one that a service keeps. */
export const vaultKeyRef = z
  .union(
    [
      environment,
      file,
      z.strictObject({
        kms: z
          .strictObject({
            keyId: z.string().min(1).describe('Id or ARN of a symmetric key, no alias.'),
            region: z.string().min(1).optional(),
            endpoint: z.url().optional().describe('In place of AWS’s own address.'),
          })
          .describe('AWS KMS; the key never leaves it.'),
      }),
    ],
    { error: `${never}: {"env": "NAME"}, {"file": "PATH"} or {"kms": {"keyId": "ARN"}}` },
  )
  .describe('Where a vault key is.')

export type SecretRef = z.infer<typeof secretRef>
export type AnySecretRef = z.infer<typeof anySecretRef>
