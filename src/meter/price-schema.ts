/** What a list of prices looks like: in the configuration, and as it is kept for a month that is over. */
import { z } from 'zod'
import { limits } from '../core/limits.ts'
import { priceSyntax } from './money.ts'

const price = z.string().regex(priceSyntax, 'must be a decimal such as "0.005"')

const tier = z.strictObject({
  upTo: z
    .int()
    .min(1)
    .optional()
    .describe('The last unit of the month that has this price; left out in the last tier.'),
  pricePer1000: price,
})

const tiers = z
  .array(tier)
  .min(1)
  .max(limits.priceTiers)
  .superRefine((all, context) => {
    for (const [index, { upTo }] of all.entries()) {
      const isLast = index === all.length - 1
      const before = all[index - 1]?.upTo ?? 0
      const wrong =
        isLast === (upTo === undefined)
          ? upTo !== undefined && upTo <= before && 'must be more than the tier before goes up to'
          : isLast
            ? 'must be left out in the last tier'
            : 'is needed in every tier but the last'
      if (wrong !== false) context.addIssue({ code: 'custom', path: [index, 'upTo'], message: wrong })
    }
  })

const tiered = z.union([price, tiers]).describe('A decimal string, or tiers by the units of a tenant in a month.')

const override = z.strictObject({
  target: z.string().min(1).optional().describe('A pattern of target names.'),
  tools: z.array(z.string().min(1).max(256)).min(1).max(64).optional().describe('Patterns of tool names.'),
  pricePer1000: tiered,
})

const overrides = z.array(override).max(limits.priceOverrides)

/** A day of the calendar, as `2026-12-01`. */
const day = z.iso.date('must be a day such as "2026-12-01"')

/** A call whose end nobody knows is never billed. */
const outcome = z.enum([
  'ok',
  'target_error',
  'invalid_arguments',
  'failed',
  'unreached',
  'cancelled',
  'input_required',
])

const version = z.strictObject({
  from: day.describe('In force from 00:00 UTC of this day.'),
  pricePer1000: z
    .strictObject({ call: tiered.optional(), search: tiered.optional(), list: tiered.optional() })
    .optional()
    .describe('Those that change.'),
  overrides: overrides.optional().describe('In place of all overrides before.'),
})

const versions = z
  .array(version)
  .max(limits.priceVersions)
  .superRefine((all, context) => {
    for (const [index, { from }] of all.entries())
      if (from <= (all[index - 1]?.from ?? ''))
        context.addIssue({ code: 'custom', path: [index, 'from'], message: 'must be later than the one before' })
  })

/** The keys of `metering` that prices are made of. */
export const priceKeys = {
  currency: z
    .string()
    .regex(/^[A-Z]{3}$/, 'must be a code of ISO 4217')
    .default('USD'),
  pricePer1000: z
    .strictObject({ call: tiered.default('0.005'), search: tiered.default('0.025'), list: tiered.default('0.005') })
    .prefault({}),
  overrides: overrides
    .default([])
    .describe(
      'Other prices for some calls; of several that fit, the first. Each is a price line with a volume of its own.',
    ),
  billed: z
    .strictObject({
      outcomes: z.array(outcome).default(['ok', 'target_error', 'failed', 'cancelled']),
    })
    .prefault({})
    .describe('Which calls count as units, from when the gateway was started with it.'),
  prices: versions.default([]).describe('Later prices, in the order of their days; each replaces what it names.'),
}

const priceList = z.strictObject(priceKeys)

/** What calls, searches and listings cost, from when on: plain data, as the configuration has it. */
export type PriceList = z.infer<typeof priceList>

/** One price, or prices by volume. */
export type Tiered = z.infer<typeof tiered>

const keptVersion = z.strictObject({
  from: day.optional(),
  pricePer1000: z.strictObject({ call: tiers, search: tiers, list: tiers }),
  overrides: z.array(override.extend({ pricePer1000: tiers })),
})

/** The prices of one month, complete. The first version may have begun long before it, or always have been in force. */
export const keptPlan = z.strictObject({
  v: z.literal(1),
  month: z.string().regex(/^\d{4}-\d{2}$/),
  currency: z.string(),
  versions: z.array(keptVersion).min(1),
})

export type KeptPlan = z.infer<typeof keptPlan>
