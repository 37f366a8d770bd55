/** Lines of places in a description: the one that an author finds under the cursor, or an honest one above it. */
import * as fc from 'fast-check'
import { dump, load } from 'js-yaml'
import { describe, expect, it } from 'vitest'
import { lineOf, linesOf } from '../../src/targets/openapi/lines.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const token = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')
const lines = (...text: string[]): string => text.join('\n')

describe('lineOf', () => {
  const yaml = lines(
    '# a comment: with a colon', // 1
    'openapi: 3.1.0',
    'paths:', // 3
    '  /pets/{id}:',
    '    get: # here', // 5
    '      description: |',
    '        paths:',
    '          /pets/{id}: no key',
    '',
    '      "parameters":', // 10
    '      - name: id',
    "        'in': path",
    '      -', // 13
    '        # the next one',
    '        { name: q, in: query, schema: {type: string,', // 15
    '          enum: [a, b,',
    '            c]}}',
    '      - |-', // 18
    '        text',
    '      - &shared !!map', // 20
    '        deep: 1',
    '      - *shared', // 22
    '      -', // 23
    '      responses:',
    '        200: {}', // 25
    '        1.0: {}',
    '        ? long key', // 27
    '        : value',
    'merged:', // 29
    '  <<: [{a: 1}, *shared]',
    '  own: 2', // 31
  )

  it.each<[pointer: string, line: number]>([
    ['', 2],
    ['/paths', 3],
    ['/paths/~1pets~1{id}/get', 5],
    ['/paths/~1pets~1{id}/get/description', 6],
    ['/paths/~1pets~1{id}/get/parameters', 10],
    ['/paths/~1pets~1{id}/get/parameters/0', 11],
    ['/paths/~1pets~1{id}/get/parameters/0/in', 12],
    ['/paths/~1pets~1{id}/get/parameters/1', 15],
    ['/paths/~1pets~1{id}/get/parameters/1/schema/enum', 16],
    ['/paths/~1pets~1{id}/get/parameters/1/schema/enum/2', 17],
    ['/paths/~1pets~1{id}/get/parameters/2', 18],
    ['/paths/~1pets~1{id}/get/parameters/3', 20],
    ['/paths/~1pets~1{id}/get/parameters/3/deep', 21],
    ['/paths/~1pets~1{id}/get/parameters/4', 22],
    ['/paths/~1pets~1{id}/get/parameters/4/deep', 21],
    ['/paths/~1pets~1{id}/get/parameters/5', 10],
    ['/paths/~1pets~1{id}/get/responses/200', 25],
    ['/paths/~1pets~1{id}/get/responses/1', 26],
    ['/paths/~1pets~1{id}/get/responses/long key', 27],
    ['/merged/own', 31],
    ['/merged/deep', 21],
    ['/merged/a', 30],
    ['/paths/~1pets~1{id}/get/nothing/at/all', 5],
    ['/paths/~1pets~1{id}/get/parameters/17/name', 10],
    ['/nowhere', 2],
  ])('YAML: %s is on line %i', (pointer, line) => {
    expect(lineOf(bytes(yaml), pointer)).toBe(line)
  })

  it.each<[text: string, pointer: string, line: number | undefined]>([
    ['{"a":1}', '/a', 1],
    ['\n\n {"a": "\\"},\\n{",\n"b": [1,\n{"c": null}, true\n]}', '/b/1/c', 5],
    ['{"a": [10\n,20\n]\n, "b": false}', '/a/1', 2],
    ['{"a": {"x": 1},\n "a": {\n"y": 2}}', '/a', 2],
    ['{"a": {"x": 1},\n "a": {\n"y": 2}}', '/a/x', 2],
    ['{"\\u0061":\n{"": 1,\n"~/": 2}}', '/a/~0~1', 3],
    ['{"a":1,\r\n"b":2,\r"c":3}', '/c', 3],
    ['\uFEFF{\n"a":1}', '/a', 2],
    // flow-style YAML that begins as JSON does
    ["{\n  a: 'it}\"s',\n  b: {c: 1},\n}", '/b/c', 3],
    // set back too far, which the import mends
    ['a:\n  b: "one\ntwo"\n  c: 1\n', '/a/c', 4],
    ['a: 1\n---\nb: 2', '/a', 1],
    ['a: {}\na:\n  b: 1', '/a/b', 3],
    ['a: &x\n  b: *x', '/a/b/b/b/c', 2],
    ['a: [', '/a', undefined],
    ['', '/a', undefined],
    ['- 1\n- 2', '/1', 2],
    ['just words', '/a', 1],
  ])('%j: %s is on line %j', (text, pointer, line) => {
    expect(lineOf(bytes(text), pointer)).toBe(line)
  })

  it('reads UTF-16 as the import does', () => {
    const text = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('{"ä":\n{"b": 1}}', 'utf16le')])
    expect(lineOf(text, '/ä/b')).toBe(2)
  })

  it('finds many places at once, in the order asked', () => {
    expect(linesOf(bytes('a: 1\nb:\n  c: 2'), ['/b/c', '/a', '/b', '/a'])).toEqual([3, 1, 2, 1])
    expect(linesOf(bytes('a: 1'), [])).toEqual([])
  })

  it('ends on merges that go in a circle', () => {
    expect(lineOf(bytes('a: &a\n  <<: *a\n  b: 1'), '/a/c')).toBe(1)
  })
})

/** A document made for the test: everything in it is known by where it was written. */
type Tree = string | { readonly list: readonly Tree[] } | { readonly map: readonly (readonly [string, Tree])[] }

const decoys = [
  'a',
  'b: 1',
  '"a": {',
  '- x',
  '# no comment',
  "it's",
  'a\nb:\n  - c\n',
  '{',
  ']',
  '',
  ' ',
  'null',
  '7',
  '~/',
]
const tree: fc.Arbitrary<Tree> = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(...decoys),
    fc.array(tie('tree'), { maxLength: 4 }).map((list) => ({ list })),
    fc
      .uniqueArray(fc.tuple(fc.constantFrom(...decoys, 'b', 'c', 'x/y', 'true'), tie('tree')), {
        maxLength: 4,
        selector: ([key]) => key,
      })
      .map((map) => ({ map })),
  ),
})).tree

const plain = (node: Tree): unknown => {
  if (typeof node === 'string') return node
  return 'list' in node ? node.list.map(plain) : Object.fromEntries(node.map.map(([key, value]) => [key, plain(value)]))
}

/** Writes a tree and notes the line of each place. `choose(n)` is a number below n. */
class Writer {
  text = ''
  readonly lines = new Map<string, number>()
  readonly #choose: (below: number) => number

  constructor(choose: (below: number) => number) {
    this.#choose = choose
  }

  #note(pointer: string): void {
    this.lines.set(pointer, this.text.split('\n').length)
  }

  #gap(): void {
    this.text += ['', '', ' ', '\n', '\n  ', '\n\t\n'][this.#choose(6)] ?? ''
  }

  json(node: Tree, pointer: string): void {
    if (!this.lines.has(pointer)) this.#note(pointer)
    if (typeof node === 'string') {
      this.text += JSON.stringify(node)
      return
    }
    const isList = 'list' in node
    this.text += isList ? '[' : '{'
    const entries = isList ? node.list.map((item, index) => [String(index), item] as const) : node.map
    entries.forEach(([key, value], index) => {
      if (index > 0) this.text += ','
      this.#gap()
      const place = `${pointer}/${token(key)}`
      this.#note(place)
      if (!isList) {
        this.text += JSON.stringify(key)
        this.#gap()
        this.text += ':'
        this.#gap()
      }
      this.json(value, place)
      this.#gap()
    })
    this.text += isList ? ']' : '}'
  }

  /** A block-style node after its key or dash, with comments, empty lines and steps of any width. */
  yaml(node: Tree, pointer: string, indent: number): void {
    if (typeof node === 'string') return this.#scalar(node, indent)
    const isList = 'list' in node
    const entries = isList ? node.list.map((item, index) => [String(index), item] as const) : node.map
    if (entries.length === 0 || this.#choose(5) === 0) {
      this.text += ` ${JSON.stringify(plain(node))}\n`
      this.#all(node, pointer, this.text.split('\n').length - 1)
      return
    }
    this.text += ['\n', ' # {"a": 1}\n', ' &anchor\n'][this.#choose(3)] ?? ''
    const inner = ' '.repeat(indent)
    for (const [key, value] of entries) {
      this.text += ['', '', '\n', `${inner}# a: b\n`][this.#choose(4)] ?? ''
      const place = `${pointer}/${token(key)}`
      this.text += inner
      // an item is where its value begins; for a scalar and for text in one line that is the line of its dash
      if (!isList) {
        this.#note(place)
        this.text += `${JSON.stringify(key)}:`
        this.yaml(value, place, indent + 1 + this.#choose(4))
      } else {
        this.text += '-'
        if (typeof value === 'string') this.#note(place)
        this.yaml(value, place, indent + 1 + this.#choose(4))
      }
    }
  }

  #all(node: Tree, pointer: string, line: number): void {
    if (typeof node === 'string') return
    const entries = 'list' in node ? node.list.map((item, index) => [String(index), item] as const) : node.map
    for (const [key, value] of entries) {
      this.lines.set(`${pointer}/${token(key)}`, line)
      this.#all(value, `${pointer}/${token(key)}`, line)
    }
  }

  #scalar(text: string, indent: number): void {
    if (/^[^\s].*\n$/s.test(text) && this.#choose(2) === 0) {
      const inner = ' '.repeat(indent)
      this.text += ` |\n${text.trimEnd().replace(/^/gm, inner)}\n`
    } else this.text += ` ${JSON.stringify(text)}\n`
  }
}

const chooser = (numbers: readonly number[]): ((below: number) => number) => {
  let next = 0
  return (below) => (numbers[next++ % numbers.length] ?? 0) % below
}
const choices = fc.array(fc.nat({ max: 59 }), { minLength: 7, maxLength: 40 }).map(chooser)

describe('lineOf, on documents of any shape', () => {
  it('knows the line of every place of a JSON text', () => {
    fc.assert(
      fc.property(tree, choices, (node, choose) => {
        const writer = new Writer(choose)
        writer.json(node, '')
        expect(JSON.parse(writer.text)).toEqual(plain(node))
        const pointers = [...writer.lines.keys()]
        expect(linesOf(bytes(writer.text), pointers)).toEqual([...writer.lines.values()])
      }),
      { numRuns: 400 },
    )
  })

  it('knows the line of every place of a YAML text', () => {
    fc.assert(
      fc.property(tree, choices, (node, choose) => {
        const writer = new Writer(choose)
        writer.yaml({ map: [['root', node]] }, '', 0)
        expect(load(writer.text)).toEqual({ root: plain(node) })
        const pointers = [...writer.lines.keys()]
        expect(linesOf(bytes(writer.text), pointers)).toEqual([...writer.lines.values()])
      }),
      { numRuns: 400 },
    )
  })

  it('knows the line of every key and value that js-yaml and JSON.stringify wrote', () => {
    // Each name stands once in the text, so the line that holds it is the one.
    const named = (node: Tree, next: { number: number }): unknown => {
      if (typeof node === 'string') return `v${next.number++}. ${node}`
      if ('list' in node) return node.list.map((item) => named(item, next))
      return Object.fromEntries(node.map.map(([key, value]) => [`k${next.number++}. ${key}`, named(value, next)]))
    }
    const places = (value: unknown, pointer: string): [pointer: string, name: string][] => {
      if (typeof value !== 'object' || value === null) return []
      return Object.entries(value).flatMap(([key, member]): [string, string][] => {
        const place = `${pointer}/${token(key)}`
        const name = Array.isArray(value) ? member : key
        const own =
          typeof name === 'string' ? ([[place, /^[kv]\d+\./.exec(name)?.[0] ?? '']] as [string, string][]) : []
        return [...own, ...places(member, place)]
      })
    }
    const styles = fc.oneof(
      fc.record({ json: fc.constantFrom(0, 1, 2, '\t') }),
      fc.record({
        indent: fc.integer({ min: 1, max: 6 }),
        flowLevel: fc.integer({ min: -1, max: 3 }),
        lineWidth: fc.constantFrom(-1, 80, 1),
        seqNoIndent: fc.boolean(),
        seqInlineFirst: fc.boolean(),
        quoteStyle: fc.constantFrom('single' as const, 'double' as const),
        forceQuotes: fc.boolean(),
      }),
    )
    fc.assert(
      fc.property(tree, styles, (node, style) => {
        const value = { root: named(node, { number: 0 }) }
        const text = 'json' in style ? JSON.stringify(value, null, style.json) : dump(value, style)
        const written = text.split('\n')
        const wanted = places(value, '').filter(([, name]) => name !== '')
        const found = linesOf(
          bytes(text),
          wanted.map(([pointer]) => pointer),
        )
        wanted.forEach(([pointer, name], index) => {
          const line = written.findIndex((row) => row.includes(name)) + 1
          // an item in block style begins with its `|` or `>`, a line above its first word
          const begins =
            /(?:^|[-:?] )[|>][-+\d]*$/.test(written[line - 2] ?? '') && name.startsWith('v') ? line - 1 : line
          expect([pointer, found[index]]).toEqual([pointer, begins])
        })
      }),
      { numRuns: 400 },
    )
  })
})
