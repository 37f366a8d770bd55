/** Quotas as the configuration has them: their rules, prices, webhooks, and who is told. */
import { type QuotaConfig, quotaTokenPath } from '../config/quota-schema.ts'
import type { Clock } from '../core/clock.ts'
import { limits } from '../core/limits.ts'
import type { Log } from '../core/log.ts'
import type { Secret } from '../core/secret.ts'
import type { Egress } from '../egress/fetch.ts'
import { formatCost, parsePrice } from '../meter/money.ts'
import { monthOf } from '../meter/months.ts'
import type { PriceList } from '../meter/price-schema.ts'
import { costOf, type Plan, planOf, type PriceLine, split } from '../meter/prices.ts'
import {
  createQuotas,
  type QuotaCall,
  type QuotaPrices,
  type QuotaRule,
  type Quotas,
  type Recount,
  type SendWebhook,
  webhookTo,
} from '../meter/quota.ts'
import type { Records } from '../store/records.ts'

/** An amount of money as the configuration writes it, in 10⁻¹² of the currency unit. */
const amountOf = (text: string): bigint => parsePrice(text) * 1_000n

export const rulesOf = (quotas: readonly QuotaConfig[]): QuotaRule[] =>
  quotas.map(({ name, per, each, warnAt, invocations, cost, tenants, principals, targets, tools }) => ({
    ...(cost === undefined
      ? { unit: 'invocations', limit: BigInt(invocations ?? 0) }
      : { unit: 'cost', limit: amountOf(cost) }),
    name,
    per,
    each,
    warnAt,
    match: { tenants, principals, targets, tools },
  }))

/** The prices of a list, whatever month it is. */
export const pricesOf = (list: PriceList): QuotaPrices => {
  let plan: Plan | undefined
  const lineAt = ({ meter, target, tool }: QuotaCall, at: number): PriceLine | undefined => {
    const month = monthOf(at)
    if (plan?.month !== month) plan = planOf(list, month)
    return plan.versions.findLast(({ from }) => from <= at)?.lineOf(meter, target, tool)
  }
  return {
    volumeOf(call, at) {
      const line = lineAt(call, at)
      return line === undefined || line.tiers.length < 2 ? undefined : line.id
    },
    priceOf(call, at, position) {
      const line = lineAt(call, at)
      return line === undefined ? 0n : costOf(line, split(line.tiers, position, 1n))
    },
  }
}

/** What one call costs now, for people; nothing where that depends on the volume of the month. */
export const costNow = (
  list: PriceList,
  clock: Pick<Clock, 'now'>,
): ((target: string, tool: string) => string | undefined) => {
  const prices = pricesOf(list)
  return (target, tool) => {
    const call = { meter: 'call' as const, target, tool }
    const now = clock.now()
    if (prices.volumeOf(call, now) !== undefined) return undefined
    return `${formatCost(prices.priceOf(call, now, 0n))} ${list.currency}`
  }
}

interface QuotaSettings {
  readonly quotas: readonly QuotaConfig[]
  readonly prices: PriceList
  /** Of webhooks, by their paths in the file (`quotaTokenPath`). */
  readonly secretsFound: ReadonlyMap<string, Secret>
}

export interface QuotaRoom {
  readonly records: Records
  readonly clock: Clock
  readonly log: Log
  readonly currency: string
  readonly recount: Recount
  /** As configured now. */
  egress(): Egress
  readonly metrics: { quotaWarned(quota: string): void; quotaRefused(quota: string): void }
}

export interface GatewayQuotas extends Omit<Quotas, 'apply'> {
  /** The configuration in force from now on. */
  configure(settings: QuotaSettings): void
}

export function openQuotas(room: QuotaRoom): GatewayQuotas {
  const { log, metrics } = room
  let prices: QuotaPrices | undefined
  let hooks: ReadonlyMap<string, SendWebhook> = new Map()
  const refusals = quietly(room.clock)
  const quotas = createQuotas({
    ...room,
    prices: {
      volumeOf: (call, at) => prices?.volumeOf(call, at),
      priceOf: (call, at, position) => prices?.priceOf(call, at, position) ?? 0n,
    },
    hook: (quota) => hooks.get(quota),
    onWarn: ({ quota, fraction, state }) => {
      metrics.quotaWarned(quota)
      log.warn({ quota, fraction, ...state }, 'a quota is used up to a fraction')
    },
    onRefuse: (quota) => {
      metrics.quotaRefused(quota)
      if (refusals(quota)) log.warn({ quota }, 'calls over a quota are refused')
    },
    onFault: (error) => log.error({ error }, 'quotas'),
  })
  return {
    enter: (caller, call) => quotas.enter(caller, call),
    state: (quota) => quotas.state(quota),
    ratios: () => quotas.ratios(),
    close: () => quotas.close(),
    configure(settings) {
      prices = pricesOf(settings.prices)
      hooks = hooksOf(settings, () => room.egress())
      quotas.apply(rulesOf(settings.quotas))
    },
  }
}

const hooksOf = ({ quotas, secretsFound }: QuotaSettings, egress: () => Egress): ReadonlyMap<string, SendWebhook> =>
  new Map(
    quotas.flatMap(({ name, webhook }, index) => {
      if (webhook === undefined) return []
      const token = secretsFound.get(quotaTokenPath(index))
      const headers = new Map(token === undefined ? [] : [['authorization', `Bearer ${token.reveal()}`]])
      return [[name, webhookTo(egress, webhook.url, headers)] as const]
    }),
  )

/** Whether it is time to say the same of a quota again. */
const quietly = (clock: Clock): ((quota: string) => boolean) => {
  const saidAt = new Map<string, number>()
  return (quota) => {
    const now = clock.monotonic()
    if (now - (saidAt.get(quota) ?? Number.NEGATIVE_INFINITY) < limits.quotaSayMs) return false
    saidAt.set(quota, now)
    return true
  }
}
