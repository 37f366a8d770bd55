/**
 * One tool's schema from shared definitions: it carries those `$defs` that it uses and no others. A definition used
 * once is spelled out in its place, one used often or recursive stays in `$defs`, so the schema is as small as can be.
 */
import { Circles } from './circles.ts'
import { type Definitions, nameIn } from './schema.ts'
import type { Schema } from './keywords.ts'
import { shareSubtrees } from './share.ts'
import { eachSubschema, mapSubschemas } from './subschemas.ts'

/** A definition this short costs less where it stands than as a reference. */
const inlineChars = 60

interface Facts {
  /** How often each definition is referred to from this one. */
  readonly uses: ReadonlyMap<string, number>
  readonly chars: number
}

/** Made once a document and direction; remembers what each definition refers to. */
export class Assembler {
  readonly #definitions: Definitions
  readonly #shares: boolean
  readonly #facts = new Map<string, Facts>()
  readonly #circles = new Circles((name) => [...this.#factsOf(name).uses.keys()])

  /** `shares`: whether what stands twice without a reference becomes a definition, too; it costs as much as the rest. */
  constructor(definitions: Definitions, shares: boolean) {
    this.#definitions = definitions
    this.#shares = shares
  }

  /** A self-contained copy of `root`. */
  assemble(root: Schema): Schema {
    const counts = new Map<string, number>()
    const reach = this.#reach(usesOf(root), counts)
    if (reach.size === 0) return this.#shares ? shareSubtrees(root) : root
    for (const name of reach) this.#circles.visit(name)
    const spelled = (name: string): boolean =>
      !this.#circles.has(name) && (counts.get(name) === 1 || this.#isShort(name))
    const kept = new Map<string, Schema>()
    const rewrite = (schema: Schema): Schema => {
      const name = nameIn(schema)
      if (name === undefined) return mapSubschemas(schema, rewrite)
      const { $ref, ...beside } = schema
      const rest = mapSubschemas(beside, rewrite)
      const target = this.#definitions.get(name)?.schema ?? {}
      if (spelled(name) && disjoint(target, rest)) return { ...rewrite(target), ...rest }
      if (!kept.has(name)) {
        kept.set(name, {})
        kept.set(name, rewrite(target))
      }
      return { $ref, ...rest }
    }
    const out = rewrite(root)
    const names = [...kept.keys()].sort()
    const whole =
      names.length === 0 ? out : { ...out, $defs: Object.fromEntries(names.map((name) => [name, kept.get(name)])) }
    return this.#shares ? shareSubtrees(whole) : whole
  }

  #reach(from: ReadonlyMap<string, number>, counts: Map<string, number>): Set<string> {
    const reached = new Set<string>()
    const stack: ReadonlyMap<string, number>[] = [from]
    for (let uses = stack.pop(); uses !== undefined; uses = stack.pop()) {
      for (const [name, times] of uses) {
        counts.set(name, (counts.get(name) ?? 0) + times)
        if (reached.has(name)) continue
        reached.add(name)
        stack.push(this.#factsOf(name).uses)
      }
    }
    return reached
  }

  /** One that refers on would grow with each level that is spelled out. */
  #isShort(name: string): boolean {
    const { uses, chars } = this.#factsOf(name)
    return uses.size === 0 && chars <= inlineChars
  }

  #factsOf(name: string): Facts {
    let facts = this.#facts.get(name)
    if (facts === undefined) {
      const schema = this.#definitions.get(name)?.schema ?? {}
      facts = { uses: usesOf(schema), chars: JSON.stringify(schema).length }
      this.#facts.set(name, facts)
    }
    return facts
  }
}

/** Beside a spelled-out definition only prose may stand twice: the words at the reference win. */
const disjoint = (target: Schema, beside: Schema): boolean =>
  Object.keys(beside).every(
    (keyword) => keyword === 'description' || keyword === 'deprecated' || target[keyword] === undefined,
  )

function usesOf(schema: Schema): Map<string, number> {
  const uses = new Map<string, number>()
  const visit = (part: Schema): void => {
    const name = nameIn(part)
    if (name !== undefined) uses.set(name, (uses.get(name) ?? 0) + 1)
    eachSubschema(part, visit)
  }
  visit(schema)
  return uses
}
