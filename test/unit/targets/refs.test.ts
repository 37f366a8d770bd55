/** `$ref` within a document: pointers, anchors, chains, rings, and those that lead nowhere. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { References } from '../../../src/targets/openapi/refs.ts'
import { flagged } from '../../../src/targets/openapi/visibility.ts'

const hit = { type: 'string' }
const root = {
  plain: hit,
  'a/b': { 'm~n': hit },
  'with space': hit,
  'per%cent': hit,
  ünï: hit,
  list: [{ no: 1 }, hit],
  '': { inner: hit },
  nothing: null,
  loop: { $ref: '#/loop' },
  ping: { $ref: '#/pong' },
  pong: { $ref: '#/ping' },
  one: { $ref: '#/two' },
  two: { $ref: '#/three', description: 'prose only' },
  three: { $ref: '#/plain', 'x-note': 1 },
  bound: { $ref: '#/plain', maxLength: 3 },
  toBound: { $ref: '#/bound' },
  away: { $ref: 'other.yaml#/X' },
  $self: 'https://api.example.test/openapi',
  named: { $id: 'https://schemas.example.test/pet', $defs: { name: hit }, $anchor: 'pet' },
  anchored: {
    deep: [
      { $anchor: 'here', type: 'integer' },
      { $dynamicAnchor: 'there', type: 'number' },
    ],
  },
}
const refs = new References(root)

describe('what a reference names', () => {
  test.each([
    ['#/plain', hit],
    [' #/plain', hit],
    ['#list/1', hit],
    [
      'https://schemas.example.test/pet',
      { $id: 'https://schemas.example.test/pet', $defs: { name: hit }, $anchor: 'pet' },
    ],
    ['https://schemas.example.test/pet#/$defs/name', hit],
    [
      'https://schemas.example.test/pet#pet',
      { $id: 'https://schemas.example.test/pet', $defs: { name: hit }, $anchor: 'pet' },
    ],
    ['https://api.example.test/openapi#/plain', hit],
    ['https://api.example.test/openapi', root],
    ['#/a~1b/m~0n', hit],
    ['#/a%2Fb/m%7En', hit],
    ['#/with%20space', hit],
    ['#/with space', hit],
    ['#/per%25cent', hit],
    ['#/per%cent', hit],
    ['#/%C3%BCn%C3%AF', hit],
    ['#/ünï', hit],
    ['#/list/1', hit],
    ['#/one', hit],
    ['#/nothing', null],
    ['#here', { $anchor: 'here', type: 'integer' }],
    ['#there', { $dynamicAnchor: 'there', type: 'number' }],
    ['#', root],
  ])('%s', (ref, node) => {
    expect(refs.resolve(ref)).toMatchObject({ ok: true })
    expect(refs.resolve(ref)).toHaveProperty('node', node)
  })

  test.each([
    ['#/missing', 'dangling'],
    ['#/plain/type/deeper', 'dangling'],
    ['#/list/2', 'dangling'],
    ['#/list/-', 'dangling'],
    ['#/list/1e0', 'dangling'],
    ['#/constructor', 'dangling'],
    ['#/__proto__', 'dangling'],
    ['#/list/length', 'dangling'],
    ['#nowhere', 'dangling'],
    ['#/loop', 'ring'],
    ['#/ping', 'ring'],
    ['other.yaml', 'external'],
    ['./other.yaml#/A', 'external'],
    ['/etc/passwd', 'external'],
    ['file:///etc/passwd', 'external'],
    ['C:\\x', 'external'],
    ['http://169.254.169.254/latest', 'external'],
    ['https://example.test/s.json#/A', 'external'],
    ['', 'external'],
    ['#/away', 'external'],
  ])('%s is %s', (ref, reason) => {
    expect(refs.resolve(ref)).toEqual({ ok: false, reason })
  })

  test('a schema with constraints beside its `$ref` is where a chain ends, prose is not', () => {
    expect(refs.resolve('#/toBound', 'schema')).toMatchObject({ ok: true, node: root.bound, pointer: '/bound' })
    expect(refs.resolve('#/toBound')).toMatchObject({ ok: true, node: hit })
    expect(refs.resolve('#/two', 'schema')).toMatchObject({ ok: true, node: hit, pointer: '/plain' })
  })

  test('a chain is followed up to the limit and no further (S06)', () => {
    const chain = (length: number): References =>
      new References(
        Object.fromEntries(
          Array.from({ length: length + 1 }, (_, i) => [`n${i}`, i === length ? hit : { $ref: `#/n${i + 1}` }]),
        ),
      )
    expect(chain(limits.refHops).resolve('#/n0')).toMatchObject({ ok: true, node: hit })
    expect(chain(limits.refHops + 1).resolve('#/n0')).toMatchObject({ ok: false })
    expect(chain(10_000).resolve('#/n0')).toMatchObject({ ok: false })
  })

  test('a node without a `$ref` is itself', () => {
    expect(refs.follow(hit)).toEqual({ ok: true, node: hit, pointer: '' })
    expect(refs.follow(undefined)).toEqual({ ok: true, node: undefined, pointer: '' })
    expect(refs.follow({ $ref: 7 })).toMatchObject({ ok: true, node: { $ref: 7 } })
  })

  test('of two anchors of one name the choice is stable', () => {
    const twice = { a: { $anchor: 'x', type: 'string' }, b: { $anchor: 'x', type: 'integer' } }
    expect(new References(twice).resolve('#x')).toEqual(new References(twice).resolve('#x'))
  })
})

describe('within a schema that has an `$id`', () => {
  test('a pointer begins there (JSON Schema 2020-12 §8.2.1)', () => {
    expect(refs.resolve('#/$defs/name', 'schema', '/named/properties/a')).toEqual({
      ok: true,
      node: hit,
      pointer: '/named/$defs/name',
    })
    expect(refs.resolve('#/$defs/name', 'schema', '/plain')).toEqual({ ok: false, reason: 'dangling' })
    expect(refs.resolve('#/$defs/other', 'schema', '/named')).toEqual({ ok: false, reason: 'dangling' })
  })
})

describe('flags', () => {
  const doc = new References({ s: { readOnly: true }, t: { $ref: '#/s' }, wide: { allOf: [{ $ref: '#/s' }] } })
  test.each<[string, unknown, boolean]>([
    ['on the schema', { readOnly: true }, true],
    ['on what it refers to', { $ref: '#/s' }, true],
    ['at the end of a chain', { $ref: '#/t' }, true],
    ['in a branch of `allOf`', { allOf: [{}, { readOnly: true }] }, true],
    ['on what a branch of `allOf` refers to', { allOf: [{ $ref: '#/s' }] }, true],
    ['on neither', { type: 'string' }, false],
    ['as a text', { readOnly: 'true' }, false],
    ['on the other side', { writeOnly: true }, false],
    ['nowhere, behind a broken reference', { $ref: '#/gone' }, false],
  ])('%s', (_, schema, found) => {
    expect(flagged(doc, schema, 'readOnly')).toBe(found)
  })
})
