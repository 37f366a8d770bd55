/** `metering.quotas`: how much may be called, or spent, in a day or a month. */
import { z } from 'zod'
import { limits } from '../core/limits.ts'
import { priceSyntax } from '../meter/money.ts'
import { type SecretRef, secretRef } from './secret-schema.ts'
import { httpUrl } from './target-schema.ts'

const patterns = z.array(z.string().min(1).max(1_024)).min(1).max(256)

const quota = z
  .strictObject({
    name: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, dots, hyphens, underscores')
      .describe('Told to callers who are refused, and to the webhook.'),
    tenants: patterns.optional().describe('Patterns of tenants whose calls are counted; all when left out.'),
    principals: patterns.optional().describe('Patterns of subjects whose calls are counted; all when left out.'),
    targets: patterns.optional().describe('Patterns of targets whose calls are counted; all when left out.'),
    tools: patterns.optional().describe('Patterns of tools whose calls are counted; all when left out.'),
    each: z
      .enum(['tenant', 'principal', 'target', 'tool'])
      .optional()
      .describe('A counter of its own for each of them; one for all when left out.'),
    per: z.enum(['day', 'month']).describe('Of the calendar, in UTC.'),
    invocations: z.int().min(1).max(1_000_000_000_000).optional().describe('Billed units.'),
    cost: z
      .string()
      .regex(priceSyntax, 'must be a decimal such as "25.00"')
      .refine((text) => /[1-9]/.test(text), 'must be more than nothing')
      .optional()
      .describe('In `metering.currency`, by the prices in force.'),
    warnAt: z
      .array(z.number().min(0.01).max(1))
      .max(10)
      .default([0.8])
      .describe('Fractions of the quota at which a warning goes out, once each in a day or month.'),
    webhook: z
      .strictObject({ url: httpUrl, token: secretRef.optional().describe('Sent as a bearer token.') })
      .optional()
      .describe('Is sent the warnings, as CloudEvents by POST.'),
  })
  .refine(({ invocations, cost }) => (invocations === undefined) !== (cost === undefined), {
    message: 'needs one of `invocations` and `cost`',
  })

export const quotasSchema = z
  .array(quota)
  .max(limits.quotaRules)
  .refine((quotas) => new Set(quotas.map(({ name }) => name)).size === quotas.length, {
    message: 'two quotas have the same name',
  })
  .default([])
  .describe('How much may be called, or spent, in a day or a month; beyond it calls are refused until it is over.')

export type QuotaConfig = z.infer<typeof quota>

/** The path of a webhook’s token in the file, for the quota at this place. */
export const quotaTokenPath = (index: number): string => `metering.quotas.${index}.webhook.token`

/** The secrets that quotas refer to, by their paths in the file. */
export const quotaReferences = (quotas: readonly QuotaConfig[]): (readonly [path: string, ref: SecretRef])[] =>
  quotas.flatMap(({ webhook }, index) =>
    webhook?.token === undefined ? [] : [[quotaTokenPath(index), webhook.token] as const],
  )
