/** Schema objects of every version as JSON Schema 2020-12: types, null, members, choices, what is stripped. */
import { describe, expect, test } from 'vitest'
import { asInput, asOutput, codes, component } from './support.ts'

const text = { type: 'string' }

describe('null', () => {
  test.each<[string, unknown, unknown]>([
    ['beside a type', { type: 'string', nullable: true }, { type: ['string', 'null'] }],
    [
      'beside an enumeration',
      { type: 'string', enum: ['a'], nullable: true },
      { type: ['string', 'null'], enum: ['a', null] },
    ],
    [
      'beside an enumeration that has it',
      { type: 'string', enum: ['a', null], nullable: true },
      { type: ['string', 'null'], enum: ['a', null] },
    ],
    ['that is off', { type: 'string', nullable: false }, { type: 'string' }],
    ['without a type, where anything goes already', { nullable: true, description: 'x' }, { description: 'x' }],
    ['beside a reference', { ...component('Name'), nullable: true }, { anyOf: [text, { type: 'null' }] }],
    ['beside `allOf`', { nullable: true, allOf: [component('Name')] }, { anyOf: [text, { type: 'null' }] }],
    [
      'beside an object',
      { type: 'object', nullable: true, properties: { a: text } },
      { type: ['object', 'null'], properties: { a: text } },
    ],
  ])('%s, in 3.0', async (_, schema, out) => {
    expect((await asInput(schema, { version: '3.0.3', schemas: { Name: text } })).schema).toEqual(out)
  })

  test('beside a reference and a constraint, all three count', async () => {
    const { schema } = await asInput(
      { ...component('Name'), nullable: true, minLength: 2 },
      { schemas: { Name: text } },
    )
    expect(schema).not.toEqual({ anyOf: [{ minLength: 2 }, { type: 'null' }] })
    expect(JSON.stringify(schema)).toContain('"string"')
  })

  test('types of 3.1 stay a list', async () => {
    expect((await asInput({ type: ['integer', 'null'], minimum: 1 })).schema).toEqual({
      type: ['integer', 'null'],
      minimum: 1,
    })
    expect((await asInput({ type: 'null' })).schema).toEqual({ type: 'null' })
  })
})

describe('objects', () => {
  test.each<[string, unknown, unknown]>([
    [
      'members and what is required',
      { type: 'object', properties: { a: text, b: {} }, required: ['a'] },
      { type: 'object', properties: { a: text, b: {} }, required: ['a'] },
    ],
    ['no type but members', { properties: { a: text } }, { type: 'object', properties: { a: text } }],
    ['no type but a map', { additionalProperties: text }, { type: 'object', additionalProperties: text }],
    ['closed', { type: 'object', additionalProperties: false }, { type: 'object', additionalProperties: false }],
    ['open', { type: 'object', additionalProperties: true }, { type: 'object' }],
    ['open by an empty schema', { type: 'object', additionalProperties: {} }, { type: 'object' }],
    [
      'patterns',
      { type: 'object', patternProperties: { '^x-': text, '(': {} } },
      { type: 'object', patternProperties: { '^x-': text } },
    ],
    [
      'a draft-3 `required`',
      { type: 'object', properties: { a: { type: 'string', required: true } } },
      { type: 'object', properties: { a: text }, required: ['a'] },
    ],
    [
      'a `required` that is no list',
      { type: 'object', required: 'a', properties: { a: text } },
      { type: 'object', properties: { a: text } },
    ],
    [
      'repeats and strangers in `required`',
      { type: 'object', required: ['a', 'a', 7], properties: { a: text } },
      { type: 'object', properties: { a: text }, required: ['a'] },
    ],
    [
      'members called like the prototype’s',
      { type: 'object', properties: { constructor: text, toString: text }, required: ['constructor'] },
      { type: 'object', properties: { constructor: text, toString: text }, required: ['constructor'] },
    ],
    [
      'members of nonsense',
      { type: 'object', properties: { a: 7, b: null, c: [] } },
      { type: 'object', properties: { a: {}, b: {}, c: {} } },
    ],
    [
      'boolean schemas',
      { type: 'object', properties: { a: true, b: false } },
      { type: 'object', properties: { a: {}, b: { not: {} } } },
    ],
    [
      'dependencies between members',
      { type: 'object', dependentRequired: { a: ['b'] } },
      { type: 'object', dependentRequired: { a: ['b'] } },
    ],
    [
      'no member beside those declared',
      { type: 'object', properties: { a: text }, unevaluatedProperties: false },
      { type: 'object', properties: { a: text }, unevaluatedProperties: false },
    ],
  ])('%s', async (_, schema, out) => {
    expect((await asInput(schema)).schema).toEqual(out)
  })
})

describe('objects by what they say of members', () => {
  test.each<[string, object]>([
    ['requirements', { required: ['a'] }],
    ['patterns', { patternProperties: { '^x-': text } }],
  ])('no type but %s', async (_, schema) => {
    expect((await asInput(schema)).schema).toMatchObject(schema)
  })
})

describe('arrays', () => {
  test.each<[string, unknown, unknown]>([
    ['of something', { type: 'array', items: text }, { type: 'array', items: text }],
    ['of anything', { type: 'array' }, { type: 'array', items: {} }],
    ['without a type', { items: text }, { type: 'array', items: text }],
    [
      'bounded',
      { type: 'array', items: text, minItems: 1, maxItems: 2, uniqueItems: true },
      { type: 'array', items: text, minItems: 1, maxItems: 2, uniqueItems: true },
    ],
    [
      'as a tuple',
      { type: 'array', prefixItems: [text, { type: 'integer' }], items: false },
      { type: 'array', prefixItems: [text, { type: 'integer' }], items: { not: {} } },
    ],
    [
      'as a tuple of draft 4',
      { type: 'array', items: [text, {}] },
      { type: 'array', prefixItems: [text, {}], items: {} },
    ],
    ['as a tuple without a type', { prefixItems: [text] }, { type: 'array', prefixItems: [text], items: {} }],
    [
      'holding one of a kind',
      { type: 'array', items: {}, contains: text, minContains: 2 },
      { type: 'array', items: {}, contains: text, minContains: 2 },
    ],
  ])('%s', async (_, schema, out) => {
    expect((await asInput(schema)).schema).toEqual(out)
  })
})

describe('choices', () => {
  const a = { type: 'object', properties: { a: text } }
  const b = { type: 'object', properties: { b: text } }
  test.each<[string, unknown, unknown]>([
    ['oneOf', { oneOf: [a, b] }, { oneOf: [a, b] }],
    ['anyOf', { anyOf: [a, text] }, { anyOf: [a, text] }],
    [
      'oneOf beside members',
      { type: 'object', properties: { k: text }, oneOf: [a, b] },
      { type: 'object', properties: { k: text }, oneOf: [a, b] },
    ],
    ['a choice of one', { description: 'Which', oneOf: [text] }, { description: 'Which', type: 'string' }],
    ['a choice of one reference', { oneOf: [component('T')] }, text],
    [
      'either member required',
      { ...a, anyOf: [{ required: ['a'] }, { required: ['b'] }] },
      { ...a, anyOf: [{ required: ['a'] }, { required: ['b'] }] },
    ],
    ['not', { type: 'string', not: { enum: ['x'] } }, { type: 'string', not: { enum: ['x'] } }],
    [
      'if, then, else',
      { if: { type: 'string' }, then: { maxLength: 3 }, else: { type: 'integer' } },
      { if: text, then: { maxLength: 3 }, else: { type: 'integer' } },
    ],
    ['boolean branches', { anyOf: [true, text] }, { anyOf: [{}, text] }],
    ['branches of nonsense', { oneOf: [7, null, text, b] }, { oneOf: [text, b] }],
    ['a constant', { const: 'x' }, { const: 'x' }],
    [
      'a discriminator, which JSON Schema does not know',
      { oneOf: [a, b], discriminator: { propertyName: 'kind' } },
      { anyOf: [a, b] },
    ],
  ])('%s', async (_, schema, out) => {
    expect((await asInput(schema, { schemas: { T: text } })).schema).toEqual(out)
  })

  test('keywords of 2020-12 say nothing in 3.0', async () => {
    const { schema } = await asInput(
      { type: 'string', if: { minLength: 1 }, then: { maxLength: 3 } },
      { version: '3.0.3' },
    )
    expect(schema).toEqual(text)
  })
})

describe('what is written by one side only', () => {
  const schemas = {
    Id: { type: 'integer', readOnly: true },
    User: {
      type: 'object',
      required: ['id', 'password', 'name'],
      properties: {
        id: component('Id'),
        password: { type: 'string', writeOnly: true },
        name: text,
        made: { type: 'string', readOnly: true },
      },
    },
  }

  test('what only answers have is no argument, required or not', async () => {
    const { schema } = await asInput(component('User'), { schemas })
    expect(schema).toEqual({
      type: 'object',
      properties: { password: text, name: text },
      required: ['password', 'name'],
    })
  })

  test('what only requests have is in no answer', async () => {
    expect(await asOutput(component('User'), { schemas })).toEqual({
      type: 'object',
      properties: { id: { type: 'integer' }, name: text, made: text },
    })
  })

  test('it is not required either where another branch of `allOf` says so', async () => {
    const { schema } = await asInput(
      { allOf: [component('User'), { type: 'object', required: ['id', 'made', 'name'] }] },
      { schemas },
    )
    expect((schema as { required: string[] }).required.toSorted()).toEqual(['name', 'password'])
  })
})

describe('what is stripped', () => {
  test('extensions, dialects, identifiers and annotations that no model needs (S19, S23, T30)', async () => {
    const schema = {
      $schema: 'http://json-schema.org/draft-03/schema#',
      $id: 'https://evil.test/a',
      $anchor: 'x',
      $comment: 'c',
      title: 'T',
      type: 'object',
      'x-mcp-header': 'X-Evil',
      'x-internal': true,
      externalDocs: { url: 'u' },
      xml: { name: 'n' },
      example: {},
      examples: [{}],
      properties: { a: { type: 'string', 'x-mcp-header': 'Authorization', $id: 'b', description: 'A' } },
    }
    expect(await asInput(schema)).toEqual({
      schema: { type: 'object', properties: { a: { type: 'string', description: 'A' } } },
      defs: undefined,
      issues: [],
    })
  })

  test('two schemas of one `$id` and one `$anchor` do not meet', async () => {
    const part = (type: string): unknown => ({ $id: 'same', $anchor: 'same', type })
    const { schema } = await asInput({ type: 'object', properties: { a: part('string'), b: part('integer') } })
    expect(schema).toEqual({ type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' } } })
  })

  test('no issue is made of a schema that is as it should be', async () => {
    expect(
      codes(
        (await asInput({ type: 'object', properties: { a: { type: 'integer', format: 'int32', default: 3 } } })).issues,
      ),
    ).toEqual([])
  })
})
