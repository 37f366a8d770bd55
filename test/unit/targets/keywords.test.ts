/** Keywords one by one: what is kept as it is, mended, or left out. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import {
  coerce,
  enumeration,
  plainKeywords,
  prose,
  regularExpression,
  type Schema,
  shortDefault,
  typesOf,
} from '../../../src/targets/openapi/keywords.ts'
import { asInput } from './support.ts'

const kept = (source: Schema): Schema => {
  const out: Schema = {}
  plainKeywords(source, out)
  return out
}

describe('types', () => {
  test.each<[unknown, string[]]>([
    ['string', ['string']],
    [
      ['string', 'null'],
      ['string', 'null'],
    ],
    [['string', 'string'], ['string']],
    ['String', ['string']],
    ['INTEGER', ['integer']],
    ['any', []],
    ['float', []],
    [['integer', 'bogus'], ['integer']],
    [7, []],
    [undefined, []],
    [null, []],
    [{}, []],
  ])('%j → %j', (type, types) => {
    expect(typesOf(type)).toEqual(types)
  })
})

describe('keywords without schemas', () => {
  test.each<[string, Schema, Schema]>([
    ['numbers', { minimum: 1, maximum: 2.5, multipleOf: 0.5 }, { minimum: 1, maximum: 2.5, multipleOf: 0.5 }],
    ['numbers in quotes', { minimum: '1', maxLength: '20' }, { minimum: 1, maxLength: 20 }],
    ['what is no number', { minimum: 'low', maximum: null, multipleOf: true, maxLength: {} }, {}],
    ['what is not finite', { minimum: Number.POSITIVE_INFINITY, maximum: Number.NaN }, {}],
    ['counts that are none', { maxLength: -1, minItems: 1.5, maxProperties: '' }, {}],
    ['a zero that says nothing', { minLength: 0, minItems: 0, minProperties: 0 }, {}],
    [
      'a zero that says something',
      { maxLength: 0, maxItems: 0, minimum: 0, minContains: 0 },
      { maxLength: 0, maxItems: 0, minimum: 0, minContains: 0 },
    ],
    ['steps that are no steps', { multipleOf: 0 }, {}],
    ['a negative step', { multipleOf: -2 }, {}],
    ['truth', { uniqueItems: true }, { uniqueItems: true }],
    ['falsehood', { uniqueItems: false }, {}],
    [
      'short texts',
      { format: 'uuid', contentEncoding: 'base64', contentMediaType: 'image/png' },
      { format: 'uuid', contentEncoding: 'base64', contentMediaType: 'image/png' },
    ],
    ['long texts', { format: 'x'.repeat(300) }, {}],
    ['texts that are none', { format: 3 }, {}],
    [
      'what no one asked for',
      { 'x-mcp-header': 'A', xml: {}, discriminator: {}, example: 1, $id: 'u', $schema: 's' },
      {},
    ],
    [
      'a boolean bound of draft 4',
      { minimum: 3, exclusiveMinimum: true, maximum: 9, exclusiveMaximum: true },
      { exclusiveMinimum: 3, exclusiveMaximum: 9 },
    ],
    ['a boolean bound that is off', { minimum: 3, exclusiveMinimum: false }, { minimum: 3 }],
    ['a boolean bound of nothing', { exclusiveMinimum: true }, {}],
    [
      'a numeric bound of 2020-12',
      { exclusiveMinimum: 0, exclusiveMaximum: 5 },
      { exclusiveMinimum: 0, exclusiveMaximum: 5 },
    ],
    ['both bounds', { minimum: 1, exclusiveMinimum: 0 }, { minimum: 1, exclusiveMinimum: 0 }],
    ['a pattern', { pattern: '^a$' }, { pattern: '^a$' }],
    ['members of the prototype', Object.create({ minimum: 3 }) as Schema, {}],
  ])('%s', (_, source, out) => {
    expect(kept(source)).toEqual(out)
  })
})

describe('patterns (S18)', () => {
  test.each<[string, unknown, string | undefined]>([
    ['plain', '^[a-z]+$', '^[a-z]+$'],
    ['one that backtracks without end, since it is never run here', '^(a+)+$', '^(a+)+$'],
    ['look-ahead', '^(?=.*\\d).+$', '^(?=.*\\d).+$'],
    ['properties of Unicode', '^\\p{Lu}$', '^\\p{Lu}$'],
    ['an escape that the flag `u` forbids', '^[a-z\\_]+\\@x\\-y$', '^[a-z_]+@x-y$'],
    ['a dash that a class needs escaped', '^[\\w\\-.]+$', '^[\\w\\-.]+$'],
    ['escapes of a class within a class', '^[\\[\\]]$', '^[\\[\\]]$'],
    ['a backslash', '^\\\\$', '^\\\\$'],
    ['no expression', '(', undefined],
    ['one of another language', '^[[:alpha:]]+(?i)$', undefined],
    ['empty', '', undefined],
    ['a megabyte', 'a'.repeat(1_000_000), undefined],
    ['no text', 7, undefined],
  ])('%s', (_, value, out) => {
    expect(regularExpression(value)).toBe(out)
  })

  test('one that is left out is told of', async () => {
    const { schema, issues } = await asInput({ type: 'string', pattern: '(' })
    expect(schema).toEqual({ type: 'string' })
    expect(issues).toMatchObject([
      { severity: 'warning', code: 'pattern_dropped', pointer: expect.stringMatching(/\/schema\/pattern$/) },
    ])
  })
})

describe('enumerations', () => {
  test('too many values are left out, and said so', async () => {
    const many = (count: number): unknown[] => Array.from({ length: count }, (_, index) => index)
    const kept = await asInput({ type: 'integer', enum: many(2_500) })
    expect((kept.schema as { enum: unknown[] }).enum).toHaveLength(2_500)
    expect(kept.issues).toEqual([])
    const cut = await asInput({ type: 'integer', enum: many(limits.enumValues + 1) })
    expect(cut.schema).toEqual({ type: 'integer' })
    expect(cut.issues).toMatchObject([{ code: 'enum_dropped' }])
  })

  test.each<[string, unknown, string[], unknown]>([
    ['as they are', ['a', 'b'], ['string'], ['a', 'b']],
    ['without repeats', ['a', 'a'], ['string'], ['a']],
    ['in the declared type', [1, true, '2'], ['string'], ['1', 'true', '2']],
    ['numbers in quotes', ['1', '2.5', 'x'], ['number'], [1, 2.5]],
    ['whole numbers', ['1', 1.5], ['integer'], [1]],
    ['truth in quotes', ['true', 'false'], ['boolean'], [true, false]],
    ['of mixed types, where none is declared', [1, 'a', null, { b: 1 }], [], [1, 'a', null, { b: 1 }]],
    ['null among them', ['a', null], ['string', 'null'], ['a', null]],
    ['null that the type forbids', ['a', null], ['string'], ['a']],
    ['structure', [{ a: 1 }, { a: 1 }], ['object'], [{ a: 1 }]],
    ['nothing that fits', [{}], ['string'], undefined],
    ['none', [], ['string'], undefined],
    ['no list', 'a', ['string'], undefined],
    ['too many (S20)', Array.from({ length: limits.enumValues + 1 }, (_, i) => i), ['integer'], undefined],
  ])('%s', (_, value, types, out) => {
    expect(enumeration(value, types)).toEqual(out)
  })

  test('a million values end in none', () => {
    expect(
      enumeration(
        Array.from({ length: 1_000_000 }, (_, i) => i),
        ['integer'],
      ),
    ).toBeUndefined()
  })
})

describe('single values', () => {
  test.each<[unknown, string[], unknown]>([
    [1, ['integer'], 1],
    [1.5, ['integer'], undefined],
    ['1.5', ['integer'], undefined],
    ['', ['number'], undefined],
    [null, ['null'], null],
    [null, ['string'], undefined],
    [[1], ['array'], [1]],
    [[1], ['object'], undefined],
    [{}, ['array'], undefined],
    [1, ['string', 'number'], 1],
    [undefined, [], undefined],
  ])('%j as %j is %j', (value, types, out) => {
    expect(coerce(value, types)).toEqual(out)
  })

  test.each<[string, unknown, string[], unknown]>([
    ['short', 'a', ['string'], 'a'],
    ['of the wrong type', 'many', ['integer'], undefined],
    ['null', null, ['null'], null],
    ['null that the type forbids', null, ['string'], undefined],
    ['too long to be worth it', 'x'.repeat(200), ['string'], undefined],
    ['zero', 0, ['integer'], 0],
    ['false', false, ['boolean'], false],
  ])('a default that is %s', (_, value, types, out) => {
    expect(shortDefault(value, types)).toEqual(out)
  })

  test('a default that the enumeration excludes is none, since a call with it would be refused', async () => {
    expect((await asInput({ type: 'string', enum: ['a', 'b'], default: 'c' })).schema).toEqual({
      type: 'string',
      enum: ['a', 'b'],
    })
    expect((await asInput({ type: 'string', enum: ['a', 'b'], default: 'b' })).schema).toEqual({
      type: 'string',
      enum: ['a', 'b'],
      default: 'b',
    })
  })

  test('prose is cleaned and bounded, or absent', () => {
    expect(prose('<b>Hi</b>', 10)).toBe('Hi')
    expect(prose('x'.repeat(50), 10)).toHaveLength(10)
    expect(prose('<p></p>', 10)).toBeUndefined()
    expect(prose(7, 10)).toBeUndefined()
  })
})
