/** What no checker needs and a model reads: a short example, and which value of a discriminator tells which branch. */
import { limits } from '../../core/limits.ts'
import { type Schema, shortExample } from './keywords.ts'
import { listAt, type Node, nodeAt, textAt } from './tree.ts'
import { bound, clean } from './words.ts'

/** Enumerations, defaults and truth values need no example. */
export function hintAt(source: Node, types: readonly string[], out: Schema): void {
  if (out['enum'] !== undefined || out['const'] !== undefined || out['default'] !== undefined) return
  if (types.some((type) => type !== 'string' && type !== 'number' && type !== 'integer' && type !== 'null')) return
  const example = types.length === 0 ? undefined : shortExample(source, types)
  if (example !== undefined) out['examples'] = [example]
}

/**
 * `discriminator` (OAS 3.1.1 §4.8.25) constrains nothing, but a model has to know which value goes with which branch.
 * Named in the description, unless the values are as many as a model would not read.
 */
export function tellBranches(source: Node, out: Schema): void {
  const discriminator = nodeAt(source, 'discriminator')
  const property = textAt(discriminator, 'propertyName')
  const branches = [...listAt(source, 'oneOf'), ...listAt(source, 'anyOf')].map(
    (branch) => textAt(branch, '$ref') ?? '',
  )
  if (property === undefined || branches.length < 2 || branches.length > limits.branchesTold) return
  const mapping = Object.entries(nodeAt(discriminator, 'mapping') ?? {})
  const values = branches.map((ref) => {
    const named = mapping.filter(([, to]) => to === ref || (typeof to === 'string' && lastOf(ref) === to))
    return named.length > 0 ? named.map(([value]) => value) : [lastOf(ref)]
  })
  if (values.some((names) => names.includes(''))) return
  const words = clean(
    `\`${property}\` tells which, in this order: ${values.map((names) => names.join(' or ')).join(', ')}.`,
  )
  const before = typeof out['description'] === 'string' ? `${out['description']} ` : ''
  const whole = `${before}${words}`
  out['description'] =
    whole.length > limits.propertyDescriptionChars ? bound(words, limits.propertyDescriptionChars) : whole
}

const lastOf = (ref: string): string => ref.slice(ref.lastIndexOf('/') + 1)
