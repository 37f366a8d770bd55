/** What a quota is: which calls it counts, in what, up to where, and over which stretch of time. */
import { versionOf } from '../../core/hash.ts'
import type { Principal } from '../../core/model.ts'
import { toMatcher } from '../../core/pattern.ts'
import type { MeterKind } from '../../store/store.ts'

/** What there is a counter of its own for each of. A principal is a tenant’s subject, whatever client it came through. */
export type Dimension = 'tenant' | 'principal' | 'target' | 'tool'

export type QuotaCaller = Pick<Principal, 'tenant' | 'subject'>

/** What is to be counted. A listing has neither target nor tool: they are empty. */
export interface QuotaCall {
  readonly meter: MeterKind
  readonly target: string
  readonly tool: string
}

export interface QuotaRule {
  readonly name: string
  readonly per: 'day' | 'month'
  readonly unit: 'invocations' | 'cost'
  /** Invocations, or 10⁻¹² of the currency unit. */
  readonly limit: bigint
  /** Without it there is one counter for all. */
  readonly each?: Dimension | undefined
  /** Fractions of the limit, above 0 and at most 1. */
  readonly warnAt: readonly number[]
  /** Which calls are counted: any pattern of each list that is given; `*` matches any run of characters. */
  readonly match: {
    readonly tenants?: readonly string[] | undefined
    readonly principals?: readonly string[] | undefined
    readonly targets?: readonly string[] | undefined
    readonly tools?: readonly string[] | undefined
  }
}

/** Whose calls a counter counts, by the rule’s `each`. */
export interface CounterNames {
  readonly tenant?: string
  readonly principal?: string
  readonly target?: string
  readonly tool?: string
}

/** A rule as counters use it. Two that count the same have the same id, whatever their limits. */
export interface CompiledRule {
  /** Printable ASCII. */
  readonly id: string
  /** As configured now: limit and warnings may change while counters go on. */
  spec: QuotaRule
  /** What a recount must tell calls apart by. */
  readonly by: readonly Dimension[]
  about(caller: QuotaCaller, call: QuotaCall): boolean
  /** The same for all calls that share a counter. */
  keyOf(caller: QuotaCaller, call: QuotaCall): string
  namesOf(caller: QuotaCaller, call: QuotaCall): CounterNames
}

const anyOf = (patterns: readonly string[] | undefined): ((text: string) => boolean) => {
  // subjects may hold `/`, which a pattern's single `*` stops at
  const matchers = patterns?.map((pattern) => toMatcher(pattern.replace(/\*+/g, '**')))
  return (text) => matchers === undefined || matchers.some((matches) => matches(text))
}

/** The tenant’s length first, so that no two principals share a key. */
const keys: Record<Dimension, (caller: QuotaCaller, call: QuotaCall) => string> = {
  tenant: ({ tenant }) => tenant,
  principal: ({ tenant, subject }) => `${tenant.length}:${tenant}${subject}`,
  target: (_caller, { target }) => target,
  tool: (_caller, { tool }) => tool,
}

const names: Record<Dimension, (caller: QuotaCaller, call: QuotaCall) => CounterNames> = {
  tenant: ({ tenant }) => ({ tenant }),
  principal: ({ tenant, subject }) => ({ tenant, principal: subject }),
  target: (_caller, { target }) => ({ target }),
  tool: (_caller, { tool }) => ({ tool }),
}

export const idOf = (parts: readonly unknown[]): string => versionOf([Buffer.from(JSON.stringify(parts))])

export const compileRule = (spec: QuotaRule): CompiledRule => {
  const { name, per, unit, each, match } = spec
  const { tenants, principals, targets, tools } = match
  const [tenantFits, subjectFits, targetFits, toolFits] = [tenants, principals, targets, tools].map(anyOf)
  const looksAt = [
    ...(each === undefined ? [] : [each]),
    ...(tenants === undefined ? [] : ['tenant' as const]),
    ...(principals === undefined ? [] : ['principal' as const]),
    ...(targets === undefined ? [] : ['target' as const]),
    ...(tools === undefined ? [] : ['tool' as const]),
  ]
  const wantsTarget = looksAt.includes('target')
  const wantsTool = looksAt.includes('tool')
  return {
    id: idOf([name, per, unit, each, tenants, principals, targets, tools]),
    spec: { ...spec, warnAt: spec.warnAt.toSorted((a, b) => a - b) },
    by: [...new Set(looksAt)],
    about: ({ tenant, subject }, { target, tool }) =>
      tenantFits?.(tenant) === true &&
      subjectFits?.(subject) === true &&
      targetFits?.(target) === true &&
      toolFits?.(tool) === true &&
      !(wantsTarget && target === '') &&
      !(wantsTool && tool === ''),
    keyOf: (caller, call) => (each === undefined ? '' : keys[each](caller, call)),
    namesOf: (caller, call) => (each === undefined ? {} : names[each](caller, call)),
  }
}

/** The volume of one price line by tenant and month: where in its tiers the next unit lies. It has no limit. */
export const volumeRule = (line: string, lineOf: (call: QuotaCall) => string | undefined): CompiledRule => ({
  id: idOf(['volume', line]),
  spec: { name: '', per: 'month', unit: 'invocations', limit: 2n ** 62n, each: 'tenant', warnAt: [], match: {} },
  by: ['tenant', 'target', 'tool'],
  about: (_caller, call) => lineOf(call) === line,
  keyOf: keys.tenant,
  namesOf: names.tenant,
})
