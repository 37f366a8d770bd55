/**
 * Who may see and use which tool. Rules are looked at once for a caller; all callers for whom the same ones hold are
 * one audience, and share whatever is made for it. Another policy engine can stand behind the same two questions.
 */
import { toMatcher } from '../catalogue/pattern.ts'
import { limits } from '../core/limits.ts'
import type { Json, Principal } from '../core/model.ts'
import { targetsOf } from './keys.ts'

export interface AccessRule {
  /** Patterns of subjects, any of which must match; `*` matches any run of characters. */
  readonly principals?: readonly string[]
  /** All of which the caller must have. */
  readonly scopes?: readonly string[]
  /** All of which the caller must have, with the value given or one of those given; of a list, as a member. */
  readonly claims?: { readonly [claim: string]: ClaimValue | readonly ClaimValue[] }
  /** Patterns of tool names, as in views. */
  readonly tools: readonly string[]
  readonly effect: 'allow' | 'deny'
}

type ClaimValue = string | number | boolean

/** What a decision may depend on. */
export interface Accessible {
  readonly name: string
  /** The target's name. */
  readonly target: string
}

export interface Access {
  /**
   * Names all that the decisions for this caller depend on: callers with the same name may use the same tools. Cheap to
   * ask again for the same caller, and short where no key is held to many targets.
   */
  audience(caller: Principal): string
  /** Takes what `audience` gave, of the same `Access` only. Denied is what no rule allows, once there are rules. */
  allows(audience: string, tool: Accessible): boolean
}

type Held = (caller: Principal) => boolean

/** Subjects may hold `/`, which a pattern's single `*` stops at; a rule must not stop at it. */
const subjectMatcher = (pattern: string) => toMatcher(pattern.replace(/\*+/g, '**'))

const isAmong = (found: Json | undefined, wanted: readonly ClaimValue[]): boolean =>
  (Array.isArray(found) ? found : [found]).some((one) => wanted.some((value) => value === one))

/** All that a rule says about the caller; a rule that says nothing holds for everyone. */
const toHeld = ({ principals, scopes = [], claims = {} }: AccessRule): Held => {
  const subjects = principals?.map(subjectMatcher)
  const wanted = Object.entries(claims).map(
    ([claim, value]) => [claim, typeof value === 'object' ? value : [value]] as const,
  )
  return (caller) =>
    (subjects === undefined || subjects.some((matches) => matches(caller.subject))) &&
    scopes.every((scope) => caller.scopes.has(scope)) &&
    wanted.every(([claim, values]) => isAmong(caller.claims?.get(claim), values))
}

/** What an audience's name says: rules by their place, and targets where the caller is held to some. */
interface Audience {
  readonly rules: readonly number[]
  readonly targets?: readonly string[]
}

type Decide = (tool: Accessible) => boolean

export function createAccess(rules: readonly AccessRule[]): Access {
  const parts = rules.map((rule) => ({
    effect: rule.effect,
    holds: toHeld(rule),
    tools: rule.tools.map(toMatcher),
  }))
  const names = new WeakMap<Principal, string>()
  const decisions = new Map<string, Decide>()

  const nameOf = (caller: Principal): string => {
    const holding = parts.flatMap(({ holds }, place) => (holds(caller) ? [place] : []))
    const targets = targetsOf(caller)
    const audience: Audience = {
      rules: holding,
      ...(targets === undefined ? {} : { targets: [...new Set(targets)].toSorted() }),
    }
    return JSON.stringify(audience)
  }

  /** The name says everything, so that forgetting an audience loses nothing. */
  const decide = (name: string): Decide => {
    const audience = JSON.parse(name) as Audience
    const targets = audience.targets === undefined ? undefined : new Set(audience.targets)
    const held = audience.rules.flatMap((place) => parts[place] ?? [])
    const covers = (effect: AccessRule['effect'], tool: string): boolean =>
      held.some((rule) => rule.effect === effect && rule.tools.some((matches) => matches(tool)))
    return ({ name: tool, target }) =>
      (targets === undefined || targets.has(target)) &&
      (parts.length === 0 || (covers('allow', tool) && !covers('deny', tool)))
  }

  const remember = (name: string): Decide => {
    const decision = decide(name)
    if (decisions.size >= limits.audiencesRemembered) {
      const [oldest] = decisions.keys()
      if (oldest !== undefined) decisions.delete(oldest)
    }
    decisions.set(name, decision)
    return decision
  }

  return {
    audience(caller) {
      const known = names.get(caller)
      if (known !== undefined) return known
      const name = nameOf(caller)
      names.set(caller, name)
      return name
    },
    allows: (audience, tool) => (decisions.get(audience) ?? remember(audience))(tool),
  }
}
