/** What the configuration says of metering: what is billed, how surely it is on disk, and how long it is kept. */
import { z } from 'zod'
import { limits } from '../core/limits.ts'
import { priceKeys } from '../meter/price-schema.ts'
import { exportsSchema } from './export-schema.ts'
import { quotasSchema } from './quota-schema.ts'

export const meteringSchema = z
  .strictObject({
    ...priceKeys,
    durability: z.enum(['group', 'sync', 'async']).default('group'),
    retentionDays: z
      .int()
      .min(1)
      .max(36_500)
      .default(limits.usageRetentionDays)
      .describe('Days that a segment of the ledger is kept after it was rolled up.'),
    archive: z
      .string()
      .min(1)
      .optional()
      .describe('A folder that segments go to after that, compressed; they are deleted when left out.'),
    exports: exportsSchema,
    quotas: quotasSchema,
  })
  .prefault({})
