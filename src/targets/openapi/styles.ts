/** Parameter styles (OAS 3.1.1 §4.8.12.3, RFC 6570) and Swagger 2.0's collection formats, as text on the wire. */
import type { Json } from '../../core/model.ts'
import type { Style } from './binding.ts'

type Encode = (text: string) => string
type Inner = readonly Style[] | undefined
export type Pair = readonly [name: string, value: string]

/** A scalar as the wire has it; what has structure, where no style reaches it, as JSON. */
export const scalar = (value: Json): string =>
  typeof value === 'string'
    ? value
    : typeof value === 'object' && value !== null
      ? JSON.stringify(value)
      : String(value)

/** Undefined in RFC 6570 §2.3 terms: left out of any list. */
const present = (value: Json | undefined): value is Exclude<Json, null> => value !== null && value !== undefined

/** Lists in a list are JSON, unless `inner` says how each level is written. */
const items = (value: readonly Json[], encode: Encode, inner?: Inner): string[] => {
  const [style] = inner ?? []
  return style === undefined
    ? value.filter(present).map((item) => encode(scalar(item)))
    : value
        .filter(present)
        .map((item) =>
          Array.isArray(item)
            ? items(item, encode, inner?.slice(1)).join(separatorOf(style, encode))
            : encode(scalar(item)),
        )
}

const members = (value: { readonly [key: string]: Json }, encode: Encode): Pair[] =>
  Object.entries(value)
    .filter(([, item]) => present(item))
    .map(([key, item]) => [encode(key), encode(scalar(item))])

const joined = (pairs: readonly Pair[], between: string, separator: string): string =>
  pairs.map(([key, value]) => `${key}${between}${value}`).join(separator)

/** `simple`, `label` and `matrix` in a path; `simple` in a header, with an `encode` that leaves text alone. */
export function pathStyle(
  name: string,
  value: Json,
  style: Style,
  explode: boolean,
  encode: Encode,
  inner?: Inner,
): string {
  if (style === 'matrix') return matrix(encode(name), value, explode, encode)
  if (style === 'label') return label(value, explode, encode)
  return simple(value, explode, encode, separatorOf(style, encode), inner)
}

const listSeparator: ReadonlyMap<Style, string> = new Map<Style, string>([
  ['spaceDelimited', ' '],
  ['pipeDelimited', '|'],
  ['tabDelimited', '\t'],
])

/** A comma is a border as it is; what a URL cannot hold is encoded. */
const separatorOf = (style: Style, encode: Encode): string => {
  const separator = listSeparator.get(style)
  return separator === undefined ? ',' : encode(separator)
}

function simple(value: Json, explode: boolean, encode: Encode, separator: string, inner: Inner): string {
  if (Array.isArray(value)) return items(value, encode, inner).join(separator)
  if (typeof value === 'object' && value !== null) return joined(members(value, encode), explode ? '=' : ',', ',')
  return encode(scalar(value))
}

function label(value: Json, explode: boolean, encode: Encode): string {
  if (Array.isArray(value)) return `.${items(value, encode).join(explode ? '.' : ',')}`
  if (typeof value === 'object' && value !== null)
    return `.${explode ? joined(members(value, encode), '=', '.') : joined(members(value, encode), ',', ',')}`
  return `.${encode(scalar(value))}`
}

function matrix(name: string, value: Json, explode: boolean, encode: Encode): string {
  const pair = (key: string, text: string): string => (text === '' ? `;${key}` : `;${key}=${text}`)
  if (Array.isArray(value)) {
    const list = items(value, encode)
    return explode ? list.map((item) => pair(name, item)).join('') : pair(name, list.join(','))
  }
  if (typeof value === 'object' && value !== null) {
    const pairs = members(value, encode)
    return explode ? pairs.map(([key, text]) => pair(key, text)).join('') : pair(name, joined(pairs, ',', ','))
  }
  return pair(name, encode(scalar(value)))
}

/** `form`, the delimited styles and `deepObject`, as encoded name–value pairs. An undefined value gives none. */
export function queryStyle(
  name: string,
  value: Json,
  style: Style,
  explode: boolean,
  encode: Encode,
  encodeName: Encode,
  inner?: Inner,
): Pair[] {
  if (!present(value)) return []
  const key = encodeName(name)
  if (style === 'deepObject' && typeof value === 'object') return deep(key, value, encode, encodeName)
  const separator = style === 'form' || style === 'cookie' ? ',' : encode(listSeparator.get(style) ?? ',')
  if (Array.isArray(value)) {
    const list = items(value, encode, inner)
    if (list.length === 0) return []
    return explode ? list.map((item) => [key, item]) : [[key, list.join(separator)]]
  }
  if (typeof value === 'object') {
    const pairs = Object.entries(value)
      .filter(([, item]) => present(item))
      .map(([inner, item]): Pair => [encodeName(inner), encode(scalar(item))])
    if (pairs.length === 0) return []
    return explode ? pairs : [[key, joined(pairs, separator, separator)]]
  }
  return [[key, encode(scalar(value))]]
}

/** `name[a]=1&name[b][c]=2`: beyond one level the specification is silent, and this is what servers read. */
function deep(key: string, value: Json, encode: Encode, encodeName: Encode): Pair[] {
  if (!present(value)) return []
  if (Array.isArray(value)) return value.flatMap((item) => deep(key, item, encode, encodeName))
  if (typeof value === 'object')
    return Object.entries(value).flatMap(([inner, item]) =>
      deep(`${key}${encodeName('[')}${encodeName(inner)}${encodeName(']')}`, item, encode, encodeName),
    )
  return [[key, encode(scalar(value))]]
}
