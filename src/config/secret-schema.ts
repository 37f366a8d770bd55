/** A secret is never written down: it is a reference to where it is. */
import { z } from 'zod'

const forms = '{"env": "NAME"} or {"file": "PATH"}'

export const secretRef = z
  .union(
    [
      z.strictObject({ env: z.string().min(1).describe('Name of an environment variable.') }),
      z.strictObject({ file: z.string().min(1).describe('Path of a file; white space at its ends is left out.') }),
    ],
    { error: `must be a reference to the secret, never the secret: ${forms}` },
  )
  .describe('Where a secret is: an environment variable or a file.')

export type SecretRef = z.infer<typeof secretRef>
