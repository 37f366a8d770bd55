/**
 * Limits per caller: calls per second and minute, and calls at once, by principal, target or tool. Points are counted by
 * rate-limiter-flexible in fixed windows that begin with the first call in them; a refusal says when to come back.
 */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { toMatcher } from '../catalogue/pattern.ts'
import type { Clock } from '../core/clock.ts'
import { GatewayError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import type { Principal } from '../core/model.ts'

export interface LimitRule {
  /** Calls that are alike in all of these share the limit; all calls do where there is none. */
  readonly by: readonly ('principal' | 'target' | 'tool')[]
  /** These three are whole numbers from 1. */
  readonly perSecond?: number
  readonly perMinute?: number
  /** In this process. */
  readonly concurrent?: number
  /** Which calls the rule is about: any pattern of each list that is given; `*` matches any run of characters. */
  readonly match?: {
    readonly principals?: readonly string[]
    readonly targets?: readonly string[]
    readonly tools?: readonly string[]
  }
}

export interface Called {
  readonly name: string
  /** The target's name. */
  readonly target: string
}

export interface Throttle {
  /**
   * Takes a place and a point under every limit that the call falls under, or nothing at all. What it gives is called
   * once the call is over. Throws, or rejects with, `rate_limited` with `retry-after` in whole seconds; answers
   * without a promise where no rule is about calls by rate.
   */
  enter(caller: Principal, tool: Called): (() => void) | Promise<() => void>
}

/** Points in windows of one length, one count a key. A shared form keeps them elsewhere. */
interface Window {
  /** Milliseconds until there are points again; `undefined` when one was taken. What is refused counts, too. */
  take(key: string): Promise<number | undefined>
  /** Takes back a `take`, whatever it answered. */
  giveBack(key: string): Promise<void>
}

export type MakeWindow = (name: string, points: number, seconds: number) => Window

type LimitName = 'perSecond' | 'perMinute' | 'concurrent'

/** Windows in this process. Keys go when their window is over; beyond a bound of them, new callers are refused. */
const memoryWindows =
  (clock: Clock): MakeWindow =>
  (_name, points, seconds) => {
    const limiter = new RateLimiterMemory({ points, duration: seconds, keyPrefix: '' })
    const ms = seconds * 1_000
    let began = clock.monotonic()
    let made = 0
    let madeBefore = 0
    /** Keys made in this window and in the one before are at least those that are there. */
    const keysAtMost = (): number => {
      const windows = Math.floor((clock.monotonic() - began) / ms)
      if (windows > 0) {
        madeBefore = windows === 1 ? made : 0
        made = 0
        began += windows * ms
      }
      return made + madeBefore
    }
    return {
      async take(key) {
        if (keysAtMost() >= limits.throttleKeys && (await limiter.get(key)) === null) return ms
        try {
          if ((await limiter.consume(key)).isFirstInDuration) made++
          return undefined
        } catch (refused) {
          if (refused instanceof RateLimiterRes) return refused.msBeforeNext
          throw new GatewayError('internal', { cause: refused })
        }
      },
      async giveBack(key) {
        // where its window is over meanwhile, there is nothing to give back to
        if ((await limiter.get(key)) !== null) await limiter.reward(key)
      },
    }
  }

const refused = (limit: LimitName, ms: number): GatewayError => {
  const retryAfter = Math.max(1, Math.ceil(ms / 1_000))
  return new GatewayError('rate_limited', {
    data: { retryAfter, limit },
    headers: { 'retry-after': String(retryAfter) },
  })
}

interface Rule {
  readonly about: (caller: Principal, tool: Called) => boolean
  readonly keyOf: (caller: Principal, tool: Called) => string
  readonly windows: readonly { readonly limit: LimitName; readonly window: Window }[]
  readonly concurrent: number
  /** Calls under way by key; a key without any is not there. */
  readonly running: Map<string, number>
}

const anyOf = (patterns: readonly string[] | undefined): ((text: string) => boolean) => {
  // subjects may hold `/`, which a pattern's single `*` stops at
  const matchers = patterns?.map((pattern) => toMatcher(pattern.replace(/\*+/g, '**')))
  return (text) => matchers === undefined || matchers.some((matches) => matches(text))
}

/**
 * A principal is a tenant's subject here, whatever client it came through: whoever may register clients could have as
 * many limits as he likes.
 */
const keyParts = {
  principal: ({ tenant, subject }: Principal) => [tenant, subject],
  target: (_caller: Principal, { target }: Called) => [target],
  tool: (_caller: Principal, { name }: Called) => [name],
} as const

const toRule = (rule: LimitRule, place: number, makeWindow: MakeWindow): Rule => {
  const principals = anyOf(rule.match?.principals)
  const targets = anyOf(rule.match?.targets)
  const tools = anyOf(rule.match?.tools)
  const rates = [
    { limit: 'perSecond', points: rule.perSecond, seconds: 1 },
    { limit: 'perMinute', points: rule.perMinute, seconds: 60 },
  ] as const
  return {
    about: ({ subject }, { name, target }) => principals(subject) && targets(target) && tools(name),
    keyOf: (caller, tool) => JSON.stringify(rule.by.flatMap((part) => keyParts[part](caller, tool))),
    windows: rates.flatMap(({ limit, points, seconds }) =>
      points === undefined ? [] : [{ limit, window: makeWindow(`${place}.${limit}`, points, seconds) }],
    ),
    concurrent: rule.concurrent ?? Infinity,
    running: new Map(),
  }
}

type Applying = readonly { readonly rule: Rule; readonly key: string }[]

/** Takes a place under each rule, or throws and takes none. */
const takePlaces = (applying: Applying): (() => void) => {
  const counted = applying.filter(({ rule }) => rule.concurrent !== Infinity)
  for (const { rule, key } of counted)
    if ((rule.running.get(key) ?? 0) >= rule.concurrent) throw refused('concurrent', 0)
  for (const { rule, key } of counted) rule.running.set(key, (rule.running.get(key) ?? 0) + 1)
  let left = false
  return () => {
    if (left) return
    left = true
    for (const { rule, key } of counted) {
      const running = (rule.running.get(key) ?? 1) - 1
      if (running === 0) rule.running.delete(key)
      else rule.running.set(key, running)
    }
  }
}

/** Takes a point from each window, or throws and takes none. */
const takePoints = async (applying: Applying): Promise<void> => {
  const taken: { window: Window; key: string }[] = []
  try {
    for (const { rule, key } of applying)
      for (const { limit, window } of rule.windows) {
        const ms = await window.take(key)
        taken.push({ window, key })
        if (ms !== undefined) throw refused(limit, ms)
      }
  } catch (error) {
    for (const { window, key } of taken) await window.giveBack(key)
    throw error
  }
}

const nothing = (): void => undefined

export function createThrottle(
  rules: readonly LimitRule[],
  clock: Clock,
  makeWindow: MakeWindow = memoryWindows(clock),
): Throttle {
  const all = rules.map((rule, place) => toRule(rule, place, makeWindow))

  const takePointsOrLeave = async (applying: Applying, leave: () => void): Promise<() => void> => {
    try {
      await takePoints(applying)
      return leave
    } catch (error) {
      leave()
      throw error
    }
  }

  return {
    enter(caller, tool) {
      if (all.length === 0) return nothing
      const applying = all
        .filter((rule) => rule.about(caller, tool))
        .map((rule) => ({ rule, key: rule.keyOf(caller, tool) }))
      const leave = takePlaces(applying)
      return applying.some(({ rule }) => rule.windows.length > 0) ? takePointsOrLeave(applying, leave) : leave
    },
  }
}
