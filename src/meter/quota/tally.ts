/**
 * A counter’s record in the store. What is counted is `base` and, for each process that holds a share, what it has spent
 * and what it holds besides: units in its hands that are spent or will be. A process writes its own share as it stands
 * now, never as a difference, so that writing it twice, or late, does no harm.
 */
import { GatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { CounterNames } from './rule.ts'

interface Share {
  readonly spent: bigint
  readonly held: bigint
}

/** Amounts are invocations, or 10⁻¹² of the currency unit. */
export interface Tally {
  readonly base: bigint
  readonly shares: ReadonlyMap<string, Share>
}

const sum = (amounts: Iterable<bigint>): bigint => {
  let total = 0n
  for (const amount of amounts) total += amount
  return total
}

const others = ({ shares }: Tally, me: string): Share[] =>
  [...shares].flatMap(([id, share]) => (id === me ? [] : [share]))

/** What everyone but `me` has spent, as far as it is written down. */
export const usedByOthers = (tally: Tally, me: string): bigint =>
  tally.base + sum(others(tally, me).map(({ spent }) => spent))

/** What everyone but `me` has spent or may spend without asking. */
export const takenByOthers = (tally: Tally, me: string): bigint =>
  usedByOthers(tally, me) + sum(others(tally, me).map(({ held }) => held))

export const withShare = ({ base, shares }: Tally, me: string, share: Share): Tally => ({
  base,
  shares: new Map(shares).set(me, share),
})

/** With the share of `me` gone and all that it has spent in the base. */
export const withoutShare = ({ base, shares }: Tally, me: string, spent: bigint): Tally => ({
  base: base + spent,
  shares: new Map([...shares].filter(([id]) => id !== me)),
})

/** Others who hold something. */
export const holders = ({ shares }: Tally, me: string): string[] =>
  [...shares].flatMap(([id, { held }]) => (id !== me && held > 0n ? [id] : []))

/**
 * The dead hold nothing any more. Of what they held so much was spent as the ledger, which counts `counted` in all, has
 * beyond what is written down here; more than they held it cannot be. A share stays for a while, in case its owner was
 * only thought dead and comes back.
 */
export const withoutDead = (tally: Tally, dead: ReadonlySet<string>, counted: bigint): Tally => {
  let beyond = counted - usedByOthers(tally, '')
  let { base } = tally
  const shares = new Map<string, Share>()
  for (const [id, share] of tally.shares) {
    if (!dead.has(id)) {
      shares.set(id, share)
      continue
    }
    const more = beyond < 0n ? 0n : beyond < share.held ? beyond : share.held
    beyond -= more
    if (tally.shares.size > limits.quotaShares) base += share.spent + more
    else shares.set(id, { spent: share.spent + more, held: 0n })
  }
  return { base, shares }
}

/** How much to take when `left` is there and `wanted` is waited for: little where little is left, never more than that. */
export const leaseOf = (limit: bigint, left: bigint, wanted: bigint, most: bigint): bigint => {
  const part = limit / BigInt(limits.quotaLeaseParts)
  const tail = left / BigInt(limits.quotaTailParts)
  const usual = [part, tail, most].reduce((least, one) => (one < least ? one : least))
  const lease = usual > wanted ? usual : wanted
  return left <= 0n ? 0n : lease < left ? lease : left
}

export const printTally = ({ base, shares }: Tally, names: CounterNames): string =>
  JSON.stringify({
    v: 1,
    of: names,
    base: String(base),
    shares: Object.fromEntries([...shares].map(([id, { spent, held }]) => [id, [String(spent), String(held)]])),
  })

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Debts stand as negative numbers. */
const amount = (value: unknown): bigint => {
  if (typeof value !== 'string' || !/^-?\d{1,40}$/.test(value)) throw new TypeError('This is no amount.')
  return BigInt(value)
}

const share = ([id, pair]: [string, unknown]): [string, Share] => {
  if (!Array.isArray(pair)) throw new TypeError('This is no share.')
  return [id, { spent: amount(pair[0]), held: amount(pair[1]) }]
}

const name = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Throws `store_unavailable` for what is no tally: a counter that cannot be read lets nobody through. */
export const readTally = (text: string): Tally & { readonly names: CounterNames } => {
  try {
    const value: unknown = JSON.parse(text)
    if (!isObject(value) || value['v'] !== 1 || !isObject(value['shares'])) throw new TypeError('This is no tally.')
    const of = isObject(value['of']) ? value['of'] : {}
    const found = (['tenant', 'principal', 'target', 'tool'] as const).flatMap((key) => {
      const text = name(of[key])
      return text === undefined ? [] : [[key, text] as const]
    })
    return {
      base: amount(value['base']),
      shares: new Map(Object.entries(value['shares']).map(share)),
      names: Object.fromEntries(found),
    }
  } catch (cause) {
    throw new GatewayError('store_unavailable', {
      words: 'A quota’s counter cannot be read. Tell the operator.',
      cause,
    })
  }
}
