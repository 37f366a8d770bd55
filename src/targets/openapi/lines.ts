/**
 * Places of a description → lines of its text. JSON is read by a scanner that goes only where it is asked to, YAML by
 * the events of the parser that the import uses, so that both see the document as the import does.
 */
import { type Event, EVENT_ID, getScalarValue, load, parseEvents, SCALAR_STYLE, YAMLException } from 'js-yaml'
import { limits } from '../../core/limits.ts'

/** The places asked for, as a tree of pointer tokens; `at` is the offset in the text where one was found. */
interface Place {
  readonly children: Map<string, Place>
  at: number | undefined
}

/**
 * The line, from 1, of each JSON Pointer (RFC 6901): where its key or, in a list, its value begins. A place that is not
 * there gives the line of the nearest one above it that is. Nothing for text that is neither JSON nor YAML.
 */
export function linesOf(bytes: Uint8Array, pointers: readonly string[]): readonly (number | undefined)[] {
  if (pointers.length === 0) return []
  const root: Place = { children: new Map(), at: undefined }
  for (const pointer of pointers) {
    let place = root
    for (const token of tokensOf(pointer)) place = childOf(place, token)
  }
  const text = find(decode(bytes), root)
  if (text === undefined) return pointers.map(() => undefined)
  const offsets = pointers.map((pointer) => nearest(root, pointer))
  const lines = toLines(text, offsets)
  return offsets.map((offset) => (offset === undefined ? undefined : lines.get(offset)))
}

export const lineOf = (bytes: Uint8Array, pointer: string): number | undefined => linesOf(bytes, [pointer])[0]

const tokensOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))

function childOf(place: Place, token: string): Place {
  let child = place.children.get(token)
  if (child === undefined) {
    child = { children: new Map(), at: undefined }
    place.children.set(token, child)
  }
  return child
}

function nearest(root: Place, pointer: string): number | undefined {
  let place: Place | undefined = root
  let found = root.at
  for (const token of tokensOf(pointer)) {
    place = place.children.get(token)
    if (place === undefined) break
    found = place.at ?? found
  }
  return found
}

/** Of a key written twice the last counts, with all that is below it. */
function forget(place: Place): void {
  place.at = undefined
  for (const child of place.children.values()) forget(child)
}

function decode(bytes: Uint8Array): string {
  const [a, b] = bytes
  if (a === 0xff && b === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (a === 0xfe && b === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  return new TextDecoder().decode(bytes)
}

/** Looks the places up; gives the text that the offsets are of. */
function find(text: string, root: Place): string | undefined {
  if (/^\s*[{[]/.test(text)) {
    try {
      JSON.parse(text)
      new JsonScanner(text).value(0, root)
      return text
    } catch {
      // flow-style YAML begins the same way
    }
  }
  return findInYaml(text, root)
}

/** One sweep over the text: offset → line. A line ends with LF, CR LF or CR, as editors and YAML 1.2 §5.4 have it. */
function toLines(text: string, offsets: readonly (number | undefined)[]): ReadonlyMap<number, number> {
  const sorted = [...new Set(offsets.filter((offset) => offset !== undefined))].sort((a, b) => a - b)
  const lines = new Map<number, number>()
  const ends = /\r\n|\r|\n/g
  let line = 1
  let end = ends.exec(text)
  for (const offset of sorted) {
    for (; end !== null && end.index + end[0].length <= offset; end = ends.exec(text)) line++
    lines.set(offset, line)
  }
  return lines
}

const quote = 0x22

/** Walks text that is known to be JSON: into what is asked for, past all else. */
class JsonScanner {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** Reads the value at or after `from`; gives the offset behind it. */
  value(from: number, place: Place): number {
    const start = this.#space(from)
    place.at ??= start
    const opener = this.#text[start]
    if (place.children.size === 0 || (opener !== '{' && opener !== '[')) return this.#skip(start)
    return opener === '{' ? this.#object(start + 1, place) : this.#array(start + 1, place)
  }

  #object(from: number, place: Place): number {
    let at = this.#space(from)
    while (this.#text[at] === '"') {
      const end = this.#string(at)
      const child = place.children.get(JSON.parse(this.#text.slice(at, end)) as string)
      const colon = this.#space(end) + 1
      if (child === undefined) at = this.#skip(this.#space(colon))
      else {
        forget(child)
        child.at = at
        at = this.value(colon, child)
      }
      at = this.#space(at)
      if (this.#text[at] === ',') at = this.#space(at + 1)
    }
    return at + 1
  }

  #array(from: number, place: Place): number {
    let at = this.#space(from)
    for (let index = 0; at < this.#text.length && this.#text[at] !== ']'; index++) {
      const child = place.children.get(String(index))
      at = this.#space(child === undefined ? this.#skip(at) : this.value(at, child))
      if (this.#text[at] === ',') at = this.#space(at + 1)
    }
    return at + 1
  }

  #space(from: number): number {
    let at = from
    while (/[ \t\r\n]/.test(this.#text[at] ?? '')) at++
    return at
  }

  #string(from: number): number {
    for (let end = this.#text.indexOf('"', from + 1); end >= 0; end = this.#text.indexOf('"', end + 1)) {
      let slashes = 0
      while (this.#text[end - 1 - slashes] === '\\') slashes++
      if (slashes % 2 === 0) return end + 1
    }
    return this.#text.length
  }

  #skip(from: number): number {
    let depth = 0
    for (let at = from; at < this.#text.length; at++) {
      const code = this.#text.charCodeAt(at)
      if (code === quote) {
        at = this.#string(at) - 1
        if (depth === 0) return at + 1
      } else if (code === 0x7b || code === 0x5b) depth++
      else if (code === 0x7d || code === 0x5d) {
        // a number or a word at the end of a list or an object has ended with it
        if (depth === 0) return at
        if (--depth === 0) return at + 1
      } else if (code === 0x2c && depth === 0) return at
    }
    return this.#text.length
  }
}

/** Reads as the import does: a line that is set back too far is indented and read again, which moves no line. */
function findInYaml(text: string, root: Place): string | undefined {
  const lines = text.split('\n')
  let read = text
  for (let mends = 0; mends <= limits.yamlMends; mends++) {
    try {
      new YamlWalker(read, parseEvents(read, { maxDepth: limits.documentDepth })).find(root)
      return read
    } catch (cause) {
      if (!(cause instanceof YAMLException)) throw cause
      const line = cause.reason === 'deficient indentation' ? cause.mark?.line : undefined
      if (line === undefined) return undefined
      lines[line] = `${' '.repeat(256)}${lines[line] ?? ''}`
      read = lines.join('\n')
    }
  }
  return undefined
}

class YamlWalker {
  readonly #text: string
  readonly #events: readonly Event[]
  /** Index of the event behind each node. */
  readonly #behind: Int32Array
  /** Where each anchor is set, in order: an alias means the last one before it. */
  readonly #anchors = new Map<string, number[]>()

  constructor(text: string, events: readonly Event[]) {
    this.#text = text
    this.#events = events
    this.#behind = new Int32Array(events.length)
    const open: number[] = []
    events.forEach((event, index) => {
      this.#behind[index] = index + 1
      if (event.type === EVENT_ID.POP) this.#behind[open.pop() ?? index] = index + 1
      else if (event.type !== EVENT_ID.SCALAR && event.type !== EVENT_ID.ALIAS) open.push(index)
      if (event.type === EVENT_ID.ALIAS || !('anchorStart' in event) || event.anchorStart < 0) return
      const anchor = this.#anchor(event)
      const set = this.#anchors.get(anchor)
      if (set === undefined) this.#anchors.set(anchor, [index])
      else set.push(index)
    })
  }

  find(root: Place): void {
    const first = this.#events.findIndex(({ type }) => type !== EVENT_ID.DOCUMENT)
    if (first < 0) return
    root.at = this.#start(first)
    this.#walk(first, root)
  }

  #walk(index: number, place: Place): void {
    const node = this.#target(index)
    const type = this.#events[node]?.type
    if (place.children.size === 0) return
    if (type === EVENT_ID.MAPPING) this.#mapping(node, place, new Set())
    else if (type === EVENT_ID.SEQUENCE) {
      let item = node + 1
      for (let number = 0; this.#isNode(item); number++, item = this.#after(item)) {
        const child = place.children.get(String(number))
        if (child === undefined) continue
        child.at = this.#start(item)
        this.#walk(item, child)
      }
    }
  }

  /** Its own keys come first, then those of its merges (`<<`), of which the first that has a key gives it. */
  #mapping(node: number, place: Place, merging: Set<number>): void {
    if (merging.has(node)) return
    const taken = new Set([...place.children].filter(([, child]) => child.at !== undefined).map(([key]) => key))
    const merges: number[] = []
    let key = node + 1
    while (this.#isNode(key)) {
      const value = this.#after(key)
      const name = this.#key(key)
      if (name === '<<') merges.push(value)
      const child = name === undefined || (merging.size > 0 && taken.has(name)) ? undefined : place.children.get(name)
      if (child !== undefined) {
        forget(child)
        child.at = this.#start(key)
        this.#walk(value, child)
      }
      key = this.#after(value)
    }
    for (const merge of merges) {
      const target = this.#target(merge)
      const type = this.#events[target]?.type
      if (type === EVENT_ID.MAPPING) this.#mapping(target, place, new Set([...merging, node]))
      else if (type === EVENT_ID.SEQUENCE)
        for (let item = target + 1; this.#isNode(item); item = this.#after(item))
          this.#mapping(this.#target(item), place, new Set([...merging, node]))
    }
  }

  /** The key as a property name: a plain `200` is a number, and `1.0` is called `1`. */
  #key(index: number): string | undefined {
    const event = this.#events[this.#target(index)]
    if (event?.type !== EVENT_ID.SCALAR) return undefined
    const text = getScalarValue(this.#text, event)
    if (event.style !== SCALAR_STYLE.PLAIN || event.tagStart >= 0) return text
    if (text === '') return 'null'
    return /^(?:[-+.\d~]|null$|true$|false$)/i.test(text) ? String(load(text)) : text
  }

  #target(index: number): number {
    const event = this.#events[index]
    if (event?.type !== EVENT_ID.ALIAS) return index
    return this.#anchors.get(this.#anchor(event))?.findLast((anchored) => anchored < index) ?? index
  }

  #anchor({ anchorStart, anchorEnd }: { readonly anchorStart: number; readonly anchorEnd: number }): string {
    return this.#text.slice(anchorStart, anchorEnd)
  }

  #after(index: number): number {
    return this.#behind[index] ?? this.#events.length
  }

  #isNode(index: number): boolean {
    const type = this.#events[index]?.type
    return type !== undefined && type !== EVENT_ID.POP
  }

  /** Where a node begins, its anchor and tag counted; nothing for an empty one. A block scalar begins with its `|`. */
  #start(index: number): number | undefined {
    const event = this.#events[index]
    if (event === undefined || event.type === EVENT_ID.POP || event.type === EVENT_ID.DOCUMENT) return undefined
    const starts = [event.anchorStart]
    if (event.type === EVENT_ID.SCALAR) {
      const block = event.style === SCALAR_STYLE.LITERAL_BLOCK || event.style === SCALAR_STYLE.FOLDED_BLOCK
      starts.push(event.tagStart, block ? event.valueStart - 1 : event.valueStart)
    } else if (event.type !== EVENT_ID.ALIAS) starts.push(event.tagStart, event.start)
    const known = starts.filter((start) => start >= 0)
    return known.length === 0 ? undefined : Math.min(...known)
  }
}
