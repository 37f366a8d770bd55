/** A small reader of requests, written from the specification's tables alone: it undoes each style (RFC 6570, OAS 3.1.1). */
import * as fc from 'fast-check'
import type { OutboundRequest } from '../../src/core/model.ts'

type Value = string | string[] | { [key: string]: string }

export interface Wire {
  readonly in: 'path' | 'query' | 'header' | 'cookie'
  readonly style: string
  readonly explode: boolean
  readonly shape: 'text' | 'list' | 'object'
  /** Values that this style can carry without ambiguity. */
  readonly values: fc.Arbitrary<Value>
}

/** Characters that a style leaves bare and also uses as a delimiter cannot be told apart; they are left out here. */
const ambiguous: { readonly [style: string]: string } = {
  label: '.',
  spaceDelimited: ' ',
  pipeDelimited: '|',
  deepObject: '[]',
}

const sample = Array.from('abcXYZ019-._~ !"#$%&\'()*+,/:;<=>?@[\\]^`{|}é中🐶\u0300\u00a0')

function texts(place: Wire['in'], style: string): fc.Arbitrary<string> {
  const banned = place === 'header' ? ',=% \t' : (ambiguous[style] ?? '')
  const unit = fc.constantFrom(...sample.filter((char) => !banned.includes(char)))
  // A path part of dots alone is refused, and an empty one too.
  return fc.string({ unit, minLength: 1, maxLength: 12 }).filter((text) => !/^\.+$/.test(text))
}

function valuesOf(place: Wire['in'], style: string, shape: Wire['shape']): fc.Arbitrary<Value> {
  const text = texts(place, style)
  if (shape === 'text') return text
  if (shape === 'list') return fc.array(text, { minLength: 2, maxLength: 5 })
  return fc.dictionary(
    text.filter((key) => !/^\d+$/.test(key)),
    text,
    { minKeys: 1, maxKeys: 4, noNullPrototype: true },
  )
}

const styles: readonly (readonly [Wire['in'], string])[] = [
  ['path', 'simple'],
  ['path', 'label'],
  ['path', 'matrix'],
  ['query', 'form'],
  ['query', 'spaceDelimited'],
  ['query', 'pipeDelimited'],
  ['query', 'deepObject'],
  ['header', 'simple'],
  ['cookie', 'form'],
]
const shapes = ['text', 'list', 'object'] as const

export const wires: readonly Wire[] = styles.flatMap(([place, style]) =>
  [true, false].flatMap((explode) =>
    shapes
      .filter((shape) => style !== 'deepObject' || (explode && shape === 'object'))
      .map((shape) => ({ in: place, style, explode, shape, values: valuesOf(place, style, shape) })),
  ),
)

const decode = (text: string): string => decodeURIComponent(text)

/** `k,v,k,v` */
const alternating = (parts: readonly string[]): Value => {
  const pairs: [string, string][] = []
  for (let index = 0; index < parts.length; index += 2)
    pairs.push([decode(parts[index] ?? ''), decode(parts[index + 1] ?? '')])
  return Object.fromEntries(pairs)
}

/** `k=v` each */
const equations = (parts: readonly string[]): Value =>
  Object.fromEntries(
    parts.map((part) => [decode(part.slice(0, part.indexOf('='))), decode(part.slice(part.indexOf('=') + 1))]),
  )

/** A list or object in one piece, its delimiter known. */
function pieces({ shape, explode }: Wire, parts: readonly string[]): Value {
  if (shape === 'text') return decode(parts[0] ?? '')
  if (shape === 'list') return parts.map(decode)
  return explode ? equations(parts) : alternating(parts)
}

function fromPath(wire: Wire, segment: string): Value {
  switch (wire.style) {
    case 'label':
      return pieces(wire, wire.shape === 'text' ? [segment.slice(1)] : segment.slice(1).split(wire.explode ? '.' : ','))
    case 'matrix': {
      const named = segment.slice(1).split(';')
      if (wire.shape === 'object' && wire.explode) return equations(named)
      const values = named.map((part) => part.slice('p='.length))
      return pieces(
        { ...wire, explode: false },
        wire.shape === 'list' && wire.explode ? values : wire.shape === 'text' ? values : (values[0] ?? '').split(','),
      )
    }
    default:
      return pieces(wire, wire.shape === 'text' ? [segment] : segment.split(','))
  }
}

const delimiters: { readonly [style: string]: string } = { form: ',', spaceDelimited: '%20', pipeDelimited: '%7C' }

function fromPairs(wire: Wire, pairs: readonly string[]): Value {
  if (wire.style === 'deepObject')
    return Object.fromEntries(
      pairs.map((pair) => {
        const [name = '', value = ''] = pair.split('=')
        return [decode(name).slice('p['.length, -1), decode(value)]
      }),
    )
  if (wire.shape === 'object' && wire.explode) return equations(pairs)
  const values = pairs.map((pair) => pair.slice('p='.length))
  if (wire.shape === 'text') return decode(values[0] ?? '')
  if (wire.shape === 'list' && wire.explode) return values.map(decode)
  return pieces({ ...wire, explode: false }, (values[0] ?? '').split(delimiters[wire.style] ?? ','))
}

/** The argument `p`, read from where its parameter says that it is. */
export function readBack(wire: Wire, { url, headers }: OutboundRequest): Value {
  if (wire.in === 'path') return fromPath(wire, url.split('/').at(-2) ?? '')
  if (wire.in === 'query') return fromPairs(wire, url.slice(url.indexOf('?') + 1).split('&'))
  if (wire.in === 'cookie') return fromPairs(wire, (headers.get('cookie') ?? '').split('; '))
  const text = headers.get('p') ?? ''
  return pieces(wire, wire.shape === 'text' ? [text] : text.split(','))
}
