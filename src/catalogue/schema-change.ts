/** The words in which two schemas are compared: what a change does to what passes, and where it stands. */
import type { Place, Root } from './schema-facts.ts'

/** Whether less or more passes than before. */
export type Effect = 'narrows' | 'widens' | 'both' | 'none'

export interface SchemaChange {
  /** JSON Pointer into the newer definition; into the older one for what is gone. */
  readonly pointer: string
  readonly kind: string
  readonly effect: Effect
  readonly message: string
}

/** How a change at a place bears on the whole. */
export interface Mode {
  /** Under `not`: what narrows here widens the whole. */
  readonly flipped: boolean
  /** Under alternatives of which exactly one may fit: any change may go either way. */
  readonly entangled: boolean
  /**
   * No other schema speaks about the same value, so what an object may hold is what this one names: a member that an
   * open object gains takes nothing from anyone who kept to the names.
   */
  readonly alone: boolean
}

/** A comparison under way. */
export interface Comparing {
  readonly before: Root
  readonly after: Root
  report(mode: Mode, pointer: string, kind: string, effect: Effect, message: string): void
  compare(before: Place, after: Place, mode: Mode): void
}

export const joined = (a: Effect, b: Effect): Effect => {
  if (a === b || b === 'none') return a
  return a === 'none' ? b : 'both'
}

const turned: Readonly<Record<Effect, Effect>> = { narrows: 'widens', widens: 'narrows', both: 'both', none: 'none' }

/** What an effect at a place is to the whole schema. */
export function effectOn({ entangled, flipped }: Mode, effect: Effect): Effect {
  if (entangled && effect !== 'none') return 'both'
  return flipped ? turned[effect] : effect
}

/** `/inputSchema/properties/body/properties/name` → `body.name`, in code quotes. */
export function nameAt(pointer: string, member?: string): string {
  const tokens = pointer
    .split('/')
    .slice(2)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))
  const names: string[] = []
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] ?? ''
    if (token === 'properties' || token === '$defs' || token === 'definitions') names.push(tokens[++index] ?? '')
    else if (token === 'items') names.push(`${names.pop() ?? ''}[]`)
    else if (token === 'prefixItems') names.push(`${names.pop() ?? ''}[${tokens[++index] ?? ''}]`)
    else if (token === 'additionalProperties') names.push('*')
    else if (token === 'anyOf' || token === 'oneOf' || token === 'allOf') index++
    else if (token === 'patternProperties') names.push(`/${tokens[++index] ?? ''}/`)
  }
  if (member !== undefined) names.push(member)
  if (names.length > 0) return `\`${names.join('.')}\``
  return pointer.startsWith('/outputSchema') ? 'The answer' : 'The whole of the arguments'
}
