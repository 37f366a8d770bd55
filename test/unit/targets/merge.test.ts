/** `allOf` as one schema: where nothing is lost by it, and where it must stay. */
import { describe, expect, test } from 'vitest'
import { mergeAll, same } from '../../../src/targets/openapi/merge.ts'
import type { Schema } from '../../../src/targets/openapi/keywords.ts'
import { asInput, component } from './support.ts'

const text = { type: 'string' }

describe('the conjunction of schemas', () => {
  test.each<[string, Schema[], Schema]>([
    ['of none', [], {}],
    ['of one', [{ type: 'string', minLength: 1 }], { type: 'string', minLength: 1 }],
    [
      'of different keywords',
      [{ type: 'string' }, { minLength: 1 }, { format: 'uuid' }],
      { type: 'string', minLength: 1, format: 'uuid' },
    ],
    [
      'of bounds',
      [
        { minimum: 1, maximum: 9 },
        { minimum: 3, maximum: 12 },
      ],
      { minimum: 3, maximum: 9 },
    ],
    [
      'of lengths',
      [
        { minLength: 1, maxLength: 9 },
        { minLength: 3, maxLength: 5 },
      ],
      { minLength: 3, maxLength: 5 },
    ],
    ['of equal patterns', [{ pattern: 'a' }, { pattern: 'a' }], { pattern: 'a' }],
    ['of members', [{ properties: { a: text } }, { properties: { b: text } }], { properties: { a: text, b: text } }],
    [
      'of one member twice',
      [{ properties: { a: { type: 'string' } } }, { properties: { a: { maxLength: 2 } } }],
      { properties: { a: { type: 'string', maxLength: 2 } } },
    ],
    [
      'of a member that cannot be joined',
      [{ properties: { a: { pattern: 'x' } } }, { properties: { a: { pattern: 'y' } } }],
      { properties: { a: { allOf: [{ pattern: 'x' }, { pattern: 'y' }] } } },
    ],
    ['of requirements', [{ required: ['a', 'b'] }, { required: ['b', 'c'] }], { required: ['a', 'b', 'c'] }],
    ['of types', [{ type: ['string', 'null'] }, { type: 'string' }], { type: 'string' }],
    ['of numbers and whole numbers', [{ type: 'number' }, { type: 'integer' }], { type: 'integer' }],
    [
      'of whole numbers and numbers',
      [{ type: ['integer', 'null'] }, { type: ['number', 'null'] }],
      { type: ['integer', 'null'] },
    ],
    ['of enumerations', [{ enum: ['a', 'b', 'c'] }, { enum: ['c', 'b'] }], { enum: ['b', 'c'] }],
    ['of prose, whose first words stand', [{ description: 'one' }, { description: 'two' }], { description: 'one' }],
    [
      'of members called like the prototype’s',
      [{ properties: { constructor: text } }, { properties: { toString: text } }],
      { properties: { constructor: text, toString: text } },
    ],
  ])('%s', (_, parts, out) => {
    expect(mergeAll(parts)).toEqual(out)
  })

  test.each<[string, Schema[]]>([
    ['types that exclude each other', [{ type: 'string' }, { type: 'object' }]],
    ['enumerations without a common value', [{ enum: ['a'] }, { enum: ['b'] }]],
    ['two patterns', [{ pattern: 'a' }, { pattern: 'b' }]],
    ['two choices', [{ oneOf: [text] }, { oneOf: [{ type: 'integer' }] }]],
    ['two references', [{ $ref: '#/$defs/A' }, { $ref: '#/$defs/B' }]],
    ['two steps', [{ multipleOf: 2 }, { multipleOf: 3 }]],
    ['two constants', [{ const: 1 }, { const: 2 }]],
    ['two negations', [{ not: text }, { not: { type: 'integer' } }]],
    ['two kinds of items', [{ items: text }, { items: { type: 'integer' } }]],
    [
      'a condition and another’s else',
      [
        { if: text, then: { maxLength: 1 } },
        { if: { type: 'integer' }, else: { maxLength: 2 } },
      ],
    ],
  ])('%s cannot be said by one', (_, parts) => {
    expect(mergeAll(parts)).toBeUndefined()
  })

  test('an `else` that binds nothing where it stands does not bind elsewhere', () => {
    expect(mergeAll([{ if: text, then: { maxLength: 1 } }, { else: { minimum: 1 } }])).toBeUndefined()
  })

  test('its parts stay as they were', () => {
    const parts = [
      { properties: { a: text }, required: ['a'] },
      { properties: { b: text }, required: ['b'] },
    ]
    const before = structuredClone(parts)
    mergeAll(parts)
    expect(parts).toEqual(before)
  })

  test.each<[unknown, unknown, boolean]>([
    [1, 1, true],
    [{ a: [1] }, { a: [1] }, true],
    [1, '1', false],
    [null, undefined, false],
  ])('%j and %j are the same: %j', (a, b, equal) => {
    expect(same(a, b)).toBe(equal)
  })
})

describe('`allOf` in a description', () => {
  const schemas = {
    Base: { type: 'object', properties: { id: text }, required: ['id'] },
    Closed: { type: 'object', properties: { c: text }, additionalProperties: false },
    Tree: { type: 'object', properties: { kids: { type: 'array', items: component('Tree') } } },
  }
  test.each<[string, unknown, unknown]>([
    ['of one reference', { allOf: [component('Base')] }, schemas.Base],
    [
      'of one reference, with words of its own',
      { description: 'Mine', allOf: [component('Base')] },
      { description: 'Mine', ...schemas.Base },
    ],
    [
      'inheritance',
      { allOf: [component('Base'), { type: 'object', properties: { x: text } }] },
      { type: 'object', properties: { id: text, x: text }, required: ['id'] },
    ],
    [
      'requirements of their own',
      { allOf: [component('Base'), { required: ['x'] }] },
      { type: 'object', properties: { id: text }, required: ['id', 'x'] },
    ],
    [
      'members beside it',
      { type: 'object', properties: { x: text }, required: ['x'], allOf: [component('Base')] },
      { type: 'object', properties: { x: text, id: text }, required: ['x', 'id'] },
    ],
    [
      'closed branches, which would exclude each other',
      { allOf: [component('Closed'), component('Base')] },
      { type: 'object', properties: { c: text, id: text }, required: ['id'] },
    ],
    ['branches that say nothing', { type: 'string', allOf: [{}, { description: '' }, { 'x-a': 1 }] }, text],
    ['branches of nonsense', { type: 'string', allOf: [7, null, 'x'] }, text],
    ['none', { type: 'string', allOf: [] }, text],
    [
      'what cannot be merged',
      {
        allOf: [
          { type: 'string', pattern: 'a' },
          { type: 'string', pattern: 'b' },
        ],
      },
      {
        allOf: [
          { type: 'string', pattern: 'a' },
          { type: 'string', pattern: 'b' },
        ],
      },
    ],
    [
      'a choice in each branch',
      { allOf: [{ anyOf: [text, { type: 'integer' }] }, { anyOf: [text, { type: 'null' }] }] },
      { allOf: [{ anyOf: [text, { type: 'integer' }] }, { anyOf: [text, { type: 'null' }] }] },
    ],
  ])('%s', async (_, schema, out) => {
    expect((await asInput(schema, { schemas })).schema).toEqual(out)
  })

  test('a branch that refers back to what is under way keeps its reference', async () => {
    const node = {
      Node: { type: 'object', properties: { parent: { allOf: [component('Node'), { description: 'Up' }] } } },
    }
    const { schema, defs } = await asInput(component('Node'), { schemas: node })
    expect(schema).toEqual({ $ref: '#/$defs/Node' })
    expect(JSON.stringify(defs)).toContain('"$ref":"#/$defs/Node"')
  })

  test('a recursive base is spelled out once and refers to itself', async () => {
    const { schema, defs } = await asInput({ allOf: [component('Tree'), { properties: { name: text } }] }, { schemas })
    expect(schema).toMatchObject({
      type: 'object',
      properties: { name: text, kids: { items: { $ref: '#/$defs/Tree' } } },
    })
    expect(Object.keys(defs as object)).toEqual(['Tree'])
  })
})
