/** How a description says that a parameter or a field is written: `style` and `explode`, or `collectionFormat`. */
import { limits } from '../../core/limits.ts'
import type { Place, Style } from './binding.ts'
import type { Dialect } from './document.ts'
import { type Node, nodeAt, textAt } from './tree.ts'

const styles = new Set<string>([
  'matrix',
  'label',
  'simple',
  'form',
  'spaceDelimited',
  'pipeDelimited',
  'deepObject',
  'cookie',
])

const isStyle = (style: string): style is Style => styles.has(style)

const collection: ReadonlyMap<string, { style: Style; explode: boolean }> = new Map([
  ['csv', { style: 'form', explode: false }],
  ['ssv', { style: 'spaceDelimited', explode: false }],
  ['tsv', { style: 'tabDelimited', explode: false }],
  ['pipes', { style: 'pipeDelimited', explode: false }],
  ['multi', { style: 'form', explode: true }],
] satisfies [string, { style: Style; explode: boolean }][])

const csv = { style: 'form', explode: false } as const

const collectionOf = (node: Node): { style: Style; explode: boolean } =>
  collection.get(textAt(node, 'collectionFormat') ?? 'csv') ?? csv

export interface Written {
  readonly style: Style
  readonly explode: boolean
  /** How the lists in a list are written, from the outermost in. */
  readonly inner?: readonly Style[]
}

/** `style` and `explode` with their defaults (OAS 3.1.1 §4.8.12.2), or Swagger 2.0's `collectionFormat`. */
export function styleOf(node: Node, place: Place, dialect: Dialect): Written {
  const listed = place === 'path' || place === 'header'
  if (dialect === '2.0' || (node['style'] === undefined && node['collectionFormat'] !== undefined)) {
    const inner = innerOf(node)
    const format = collectionOf(node)
    const own = listed && format.style === 'form' ? { style: 'simple' as const, explode: false } : format
    return inner.length === 0 ? own : { ...own, inner }
  }
  const preset = listed ? 'simple' : 'form'
  const named = textAt(node, 'style')
  const style = named !== undefined && isStyle(named) ? named : preset
  const explode = node['explode']
  return { style, explode: typeof explode === 'boolean' ? explode : style === 'form' || style === 'cookie' }
}

/** Each `items` object has a format of its own (OAS 2.0, Items Object). */
function innerOf(node: Node): Style[] {
  const styles: Style[] = []
  let items = nodeAt(node, 'items')
  while (items !== undefined && items['type'] === 'array' && styles.length < limits.schemaDepth) {
    styles.push(collectionOf(items).style)
    items = nodeAt(items, 'items')
  }
  return styles
}
