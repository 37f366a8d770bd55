/**
 * A recorded request as what it says, for comparison: URLs normalised as RFC 3986 §6.2.2 has it, bodies taken apart by
 * their media type. Written from the specifications alone; nothing of the gateway is used.
 */

export interface Url {
  readonly scheme: string
  readonly authority: string
  readonly path: string
  /** Values by name, raw and in order; null for a name without `=`. */
  readonly query: { readonly [name: string]: readonly (string | null)[] }
  readonly fragment: string | null
}

export interface Part {
  readonly name: string
  readonly filename: string | undefined
  readonly contentType: string | undefined
  readonly bytes: Buffer
}

export interface Element {
  /** `{namespace}local`. */
  readonly name: string
  readonly attributes: { readonly [name: string]: string }
  readonly children: readonly (Element | string)[]
}

/** RFC 3986 §6.2.2.1 and §6.2.2.2: upper-case triples, those of unreserved characters decoded. */
const normalise = (text: string): string =>
  text.replace(/%[0-9a-f]{2}/gi, (triple) => {
    const char = String.fromCharCode(Number.parseInt(triple.slice(1), 16))
    return /[A-Za-z0-9\-._~]/.test(char) ? char : triple.toUpperCase()
  })

/** Values by name, in order. */
export function group<Value>(pairs: readonly (readonly [string, Value])[]): { [name: string]: Value[] } {
  const groups = new Map<string, Value[]>()
  for (const [name, value] of pairs) groups.set(name, [...(groups.get(name) ?? []), value])
  return Object.fromEntries(groups)
}

const pairOf = (text: string): [string, string | null] => {
  const equals = text.indexOf('=')
  return equals === -1 ? [text, null] : [text.slice(0, equals), text.slice(equals + 1)]
}

const defaultPort: { readonly [scheme: string]: RegExp } = { http: /:80$/, https: /:443$/ }

/** RFC 3986 appendix B, with the query as `name=value` pairs. */
export function readUrl(text: string): Url {
  const found = /^([^:/?#]+):\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/.exec(text)
  if (found === null) throw new Error(`not an absolute URL: ${text}`)
  const [, scheme = '', authority = '', path = '', query, fragment] = found
  const lower = scheme.toLowerCase()
  return {
    scheme: lower,
    authority: authority.toLowerCase().replace(defaultPort[lower] ?? /$^/, ''),
    path: normalise(path) || '/',
    query: group(query === undefined || query === '' ? [] : normalise(query).split('&').map(pairOf)),
    fragment: fragment ?? null,
  }
}

const formText = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '))

/** WHATWG URL §5.1: the pairs of a form, decoded. Throws at a broken triple. */
export const readForm = (text: string): [string, string][] =>
  text === '' ? [] : text.split('&').map((pair) => [formText(pairOf(pair)[0]), formText(pairOf(pair)[1] ?? '')])

/** The pairs of the one `Cookie` header (RFC 6265 §4.2.1). */
export const readCookies = (header: string | undefined): [string, string][] =>
  (header ?? '') === '' ? [] : (header ?? '').split('; ').map((pair) => [pairOf(pair)[0], pairOf(pair)[1] ?? ''])

/** Type and subtype, without parameters (RFC 9110 §8.3.1). */
export const mediaType = (value: string | undefined): string =>
  (value ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''

/** A parameter of a header, a quoted string or a token (RFC 9110 §5.6.6). */
const parameter = (header: string, name: string): string | undefined => {
  const found = new RegExp(`;\\s*${name}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;]*))`, 'i').exec(header)
  return found?.[1]?.replace(/\\(.)/g, '$1') ?? found?.[2]
}

/** RFC 2046 §5.1.1 and RFC 7578: the parts between the boundaries. Throws when it is not framed as it must be. */
export function readMultipart(body: Buffer, contentType: string | undefined): Part[] {
  const boundary = parameter(contentType ?? '', 'boundary')
  if (boundary === undefined || boundary === '') throw new Error(`no boundary in ${contentType}`)
  const pieces = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary}`)
  if (pieces.shift() !== '') throw new Error('there is a preamble')
  if (!/^--(?:\r\n)?$/.test(pieces.pop() ?? '')) throw new Error('the last boundary is not closed')
  return pieces.map((piece) => {
    const [head = '', ...rest] = piece.split('\r\n\r\n')
    if (!head.startsWith('\r\n') || rest.length === 0) throw new Error('a part has no head')
    const fields = new Map(
      head
        .slice(2)
        .split('\r\n')
        .map((line): [string, string] => [
          line.slice(0, line.indexOf(':')).toLowerCase(),
          line.slice(line.indexOf(':') + 1).trim(),
        ]),
    )
    // RFC 7578 §5.1: names are UTF-8 as they are
    const disposition = Buffer.from(fields.get('content-disposition') ?? '', 'latin1').toString('utf8')
    if (!/^form-data(?:;|$)/.test(disposition)) throw new Error(`not form data: ${disposition}`)
    return {
      name: parameter(disposition, 'name') ?? '',
      filename: parameter(disposition, 'filename'),
      contentType: fields.get('content-type'),
      bytes: Buffer.from(rest.join('\r\n\r\n'), 'latin1'),
    }
  })
}

const entities: { readonly [name: string]: string } = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }

const unescaped = (text: string): string =>
  text.replace(/&(#x?)?(\w+);/g, (whole, number: string | undefined, name: string) =>
    number === undefined
      ? (entities[name] ?? whole)
      : String.fromCodePoint(Number.parseInt(name, number === '#x' ? 16 : 10)),
  )

/** XML 1.0 with namespaces, without a document type: elements, attributes and text. White space alone is no text. */
export function readXml(text: string): Element {
  const root: { children: (Element | string)[] } = { children: [] }
  const open: { tag: string; children: (Element | string)[]; scope: { [prefix: string]: string } }[] = [
    { tag: '', children: root.children, scope: { '': '', xml: 'http://www.w3.org/XML/1998/namespace' } },
  ]
  const token =
    /<\?xml[^?]*\?>|<!\[CDATA\[(.*?)\]\]>|<\/([^\s>]+)\s*>|<([^\s/>!?]+)((?:\s+[^\s=]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/gsy
  const plain = text.replace(/^\uFEFF/, '')
  while (token.lastIndex < plain.length) {
    const at = token.lastIndex
    const found = token.exec(plain)
    const parent = open.at(-1)
    if (found === null || parent === undefined) throw new Error(`not XML from ${plain.slice(at, at + 40)}`)
    const [, data, end, start, attributes = '', empty, words] = found
    if (data !== undefined) parent.children.push(data)
    if (words !== undefined && words.trim() !== '') parent.children.push(unescaped(words.trim()))
    if (end !== undefined && open.pop()?.tag !== end) throw new Error(`</${end}> closes another element`)
    if (start === undefined) continue
    const { element, children, scope } = readTag(start, attributes, parent.scope)
    parent.children.push(element)
    if (empty === '') open.push({ tag: start, children, scope })
  }
  const [element] = root.children
  if (open.length !== 1 || root.children.length !== 1 || typeof element !== 'object') throw new Error('not one element')
  return element
}

function readTag(tag: string, text: string, outer: { [prefix: string]: string }) {
  const pairs = [...text.matchAll(/([^\s=]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map(
    ([, name = '', double, single]): [string, string] => [name, unescaped(double ?? single ?? '')],
  )
  const declared = pairs.filter(([name]) => name === 'xmlns' || name.startsWith('xmlns:'))
  const scope = {
    ...outer,
    ...Object.fromEntries(declared.map(([name, value]) => [name.slice('xmlns:'.length), value])),
  }
  const resolved = (name: string, unprefixed: string): string => {
    const colon = name.indexOf(':')
    const namespace = colon === -1 ? unprefixed : scope[name.slice(0, colon)]
    if (namespace === undefined) throw new Error(`the prefix of ${name} is not declared`)
    return `{${namespace}}${name.slice(colon + 1)}`
  }
  const children: (Element | string)[] = []
  const element: Element = {
    name: resolved(tag, scope[''] ?? ''),
    attributes: Object.fromEntries(
      pairs.filter((pair) => !declared.includes(pair)).map(([name, value]) => [resolved(name, ''), value]),
    ),
    children,
  }
  return { element, children, scope }
}
