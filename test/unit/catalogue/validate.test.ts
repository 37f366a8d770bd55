/** Arguments and answers against a tool's schemas: every fault by its path, never by its value; patterns in linear time. */
import { describe, expect, test } from 'vitest'
import { checkArguments, outputCheck } from '../../../src/catalogue/validate.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Json, Tool } from '../../../src/core/model.ts'

const toolOf = (inputSchema: object, outputSchema?: object): Tool => ({
  name: 'shop___x',
  target: {
    name: 'shop',
    kind: 'openapi',
    origin: 'https://shop.test',
    basePath: '',
    timeoutMs: 1_000,
    headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
  },
  operation: { id: 'x', label: 'GET /x', effect: 'read', idempotent: true, binding: {} },
  definition: Buffer.from(
    JSON.stringify({
      name: 'shop___x',
      description: '',
      inputSchema,
      ...(outputSchema === undefined ? {} : { outputSchema }),
      annotations: {},
    }),
  ),
})

const check = (inputSchema: object, args: Json): readonly string[] => checkArguments(toolOf(inputSchema), args).faults
const secret = 's3cret-value'

describe('faults', () => {
  const schema = {
    type: 'object',
    required: ['id'],
    additionalProperties: false,
    properties: {
      id: { type: 'integer', minimum: 1 },
      kind: { enum: ['a', 'b'] },
      fixed: { const: 'x' },
      name: { type: 'string', maxLength: 3, pattern: '^[a-z]+$' },
      list: {
        type: 'array',
        items: { type: 'object', required: ['k'], properties: { k: { type: 'boolean' } } },
        maxItems: 2,
        uniqueItems: true,
      },
      either: { oneOf: [{ type: 'integer' }, { type: 'boolean' }] },
      'a/b~c': { type: 'string' },
    },
  }
  test.each<[Json, string[]]>([
    [{ id: 1 }, []],
    [{}, ['arguments/id: is required']],
    [{ id: secret }, ['arguments/id: must be integer']],
    [{ id: 0 }, ['arguments/id: must be >= 1']],
    [{ id: 1, kind: secret }, ['arguments/kind: must be one of ["a","b"]']],
    [{ id: 1, fixed: secret }, ['arguments/fixed: must be "x"']],
    [
      { id: 1, name: secret },
      ['arguments/name: must NOT have more than 3 characters', 'arguments/name: must match pattern "^[a-z]+$"'],
    ],
    [{ id: 1, list: [{}, { k: secret }] }, ['arguments/list/0/k: is required', 'arguments/list/1/k: must be boolean']],
    [{ id: 1, extra: secret }, ['arguments/extra: is not an argument here']],
    [{ id: 1, 'a/b~c': 7 }, ['arguments/a~1b~0c: must be string']],
    [[secret], ['arguments: must be object']],
    [secret, ['arguments: must be object']],
    [null, ['arguments: must be object']],
  ])('%j', (args, faults) => {
    const found = check(schema, args)
    expect(found).toEqual(faults)
    expect(found.join()).not.toContain(secret)
  })

  test.each<Json>([
    { id: 1, either: secret },
    {
      id: 1,
      list: [
        { k: true, s: secret },
        { k: true, s: secret },
      ],
    },
    { id: 1, list: [secret, secret, secret] },
  ])('no fault of %j holds a value', (args) => {
    const found = check(schema, args)
    expect(found.length).toBeGreaterThan(0)
    expect(found.join()).not.toContain(secret)
  })

  test('are bounded in number, and in length', () => {
    const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`no${index}`, 1]))
    expect(check(schema, { id: 1, ...many })).toHaveLength(limits.faultsShown)
    const [fault = ''] = check(schema, { id: 1, ['k'.repeat(100_000)]: 1 })
    expect(fault.length).toBeLessThan(1_000)
  })

  test('are the same the second time, and another tool’s are its own', () => {
    const tool = toolOf(schema)
    expect(checkArguments(tool, {})).toEqual(checkArguments(tool, {}))
    expect(checkArguments(toolOf({ type: 'object' }), {}).faults).toEqual([])
  })

  test('of members of the prototype are found (F12, J13)', () => {
    const closed = { type: 'object', properties: { a: {} }, additionalProperties: false }
    expect(check(closed, JSON.parse('{"__proto__":{"polluted":1}}') as Json)).toEqual([
      'arguments/__proto__: is not an argument here',
    ])
    expect(check({ type: 'object', required: ['constructor', 'toString'] }, {})).toEqual([
      'arguments/constructor: is required',
      'arguments/toString: is required',
    ])
    expect('polluted' in {}).toBe(false)
  })
})

describe('what schemas may say', () => {
  test.each<[string, object]>([
    ['a format that no one knows', { type: 'string', format: 'no-such-format' }],
    ['a keyword that no one knows', { type: 'string', 'no-such-keyword': 1 }],
    ['an encoding', { type: 'string', contentEncoding: 'base64', contentMediaType: 'image/png' }],
    ['a union of types', { type: ['string', 'null'] }],
    ['definitions called like the prototype’s members', { $ref: '#/$defs/constructor' }],
  ])('%s', (_, property) => {
    expect(
      check({ type: 'object', properties: { a: property }, $defs: { constructor: { type: 'string' } } }, { a: 'x' }),
    ).toEqual([])
  })

  test('`format` is an annotation (JSON Schema 2020-12 §7.2.1)', () => {
    expect(check({ type: 'object', properties: { a: { type: 'string', format: 'uuid' } } }, { a: 'no uuid' })).toEqual(
      [],
    )
  })

  test('two tools of one `$defs` name are apart', () => {
    const of = (type: string): object => ({
      type: 'object',
      properties: { a: { $ref: '#/$defs/T' } },
      $defs: { T: { type } },
    })
    expect(check(of('string'), { a: 'x' })).toEqual([])
    expect(check(of('integer'), { a: 'x' })).toEqual(['arguments/a: must be integer'])
  })

  test('recursion, as deep as a request may be', () => {
    const schema = {
      type: 'object',
      properties: { n: { $ref: '#/$defs/N' } },
      $defs: { N: { type: 'object', properties: { n: { $ref: '#/$defs/N' } }, additionalProperties: false } },
    }
    let value: Json = {}
    for (let depth = 0; depth < limits.jsonDepth; depth++) value = { n: value }
    expect(check(schema, value)).toEqual([])
  })

  test('more tools than are remembered still work, old ones again', () => {
    const first = toolOf({ type: 'object', required: ['a'] })
    expect(checkArguments(first, {}).faults).toHaveLength(1)
    for (let index = 0; index <= limits.compiledSchemas; index++)
      expect(check({ type: 'object', required: [`a${index}`] }, {})).toHaveLength(1)
    expect(checkArguments(first, {}).faults).toEqual(['arguments/a: is required'])
  })
})

describe('patterns', () => {
  const matches = (pattern: string, text: string): boolean =>
    check({ type: 'object', properties: { s: { type: 'string', pattern } } }, { s: text }).length === 0

  test.each<[string, string, boolean]>([
    ['^[a-z]+$', 'abc', true],
    ['^[a-z]+$', 'ABC', false],
    ['b', 'abc', true],
    ['^\\d{3}-\\d{4}$', '555-1234', true],
    ['^\\p{L}+$', 'éß中', true],
    ['^\\p{L}+$', '1', false],
    ['^(a|b)*c?$', 'ababc', true],
    ['^\\S+@\\S+$', 'a@b', true],
    ['^[\\w\\-.]+$', 'a-b.c', true],
    ['^\\/x$', '/x', true],
    ['^\\/x$', 'x', false],
  ])('%s on %j: %j', (pattern, text, fits) => {
    expect(matches(pattern, text)).toBe(fits)
  })

  test.each(['^(a+)+$', '^(a|a)*$', '^(.*a){20}$', '^([a-zA-Z]+)*$', '^(\\w+\\s?)*$'])(
    '%s answers for a text that would take a backtracking engine for ever (F10, J17)',
    (pattern) => {
      expect(matches(pattern, `${'a'.repeat(20_000)}!`)).toBe(false)
    },
  )

  test.each(['^(?=.*\\d)(?=.*[a-z]).{8,}$', '^(?!admin).*$', '(?<=a)b', '^(a)\\1$'])(
    '%s, which needs backtracking, is left to the target',
    (pattern) => {
      expect(matches(pattern, 'anything at all')).toBe(true)
    },
  )
})

describe('answers', () => {
  const output = {
    type: 'object',
    properties: {
      id: { type: 'integer' },
      list: { type: 'array', items: { $ref: '#/$defs/Item' } },
      map: { type: 'object', additionalProperties: { type: 'integer' } },
      deep: {
        type: 'object',
        properties: { in: { type: 'object', properties: { x: { type: 'string' } }, additionalProperties: false } },
      },
    },
    $defs: { Item: { type: 'object', properties: { k: { type: 'string' }, n: { type: 'integer' } }, required: ['k'] } },
  }
  const conform = (value: Json): { value: Json; whole: boolean } | undefined =>
    outputCheck(toolOf({ type: 'object' }, output))?.conform(value)

  test('a tool without an output schema has no check', () => {
    expect(outputCheck(toolOf({ type: 'object' }))).toBeUndefined()
  })

  test('what conforms is itself, whole', () => {
    const value = { id: 1, list: [{ k: 'a', n: 1 }], other: true }
    const result = conform(value)
    expect(result?.value).toBe(value)
    expect(result?.whole).toBe(true)
  })

  test.each<[string, Json, Json]>([
    ['a member', { id: 'x', other: 1 }, { other: 1 }],
    ['a member of a member', { id: 1, map: { a: 1, b: 'x' } }, { id: 1, map: { a: 1 } }],
    ['a member that is not described', { deep: { in: { x: 'a', y: 1 } } }, { deep: { in: { x: 'a' } } }],
    ['an optional member of an item', { list: [{ k: 'a', n: 'x' }, { k: 'b' }] }, { list: [{ k: 'a' }, { k: 'b' }] }],
    ['a list whose item lacks what it needs', { id: 1, list: [{ k: 'a' }, {}] }, { id: 1 }],
    ['a list that is none', { id: 1, list: 'x' }, { id: 1 }],
    ['several at once', { id: 'x', list: 7, map: 8, deep: 9, ok: 1 }, { ok: 1 }],
    ['an array in place of an object', [1], {}],
    ['null in place of an object', null, {}],
  ])('%s at fault is left out', (_, value, left) => {
    const before = structuredClone(value)
    expect(conform(value)).toEqual({ value: left, whole: false })
    expect(value).toEqual(before)
  })

  test('what is left conforms', () => {
    const check = outputCheck(toolOf({ type: 'object' }, output))
    for (const value of [
      { id: [], list: [[]], map: [], deep: { in: 1 } },
      { list: [{ k: 1 }, { k: 'a', n: [] }] },
    ] as Json[]) {
      const left = check?.conform(value)
      expect(check?.conform(left?.value ?? null)).toMatchObject({ whole: true })
    }
  })

  test('an answer deeper than the stack is a misfit, not a crash (F11)', () => {
    const node = { type: 'object', properties: { n: { $ref: '#/$defs/Node' } } }
    const recursive = { ...node, $defs: { Node: node } }
    const deep = JSON.parse(`${'{"n":'.repeat(100_000)}1${'}'.repeat(100_000)}`) as Json
    expect(outputCheck(toolOf({ type: 'object' }, recursive))?.conform(deep)).toMatchObject({ whole: false })
  })

  test('members of the prototype are left out without harm', () => {
    const closed = { type: 'object', properties: { a: { type: 'integer' } }, additionalProperties: false }
    expect(
      outputCheck(toolOf({ type: 'object' }, closed))?.conform(
        JSON.parse('{"__proto__":{"x":1},"constructor":2,"a":1}') as Json,
      ),
    ).toEqual({ value: { a: 1 }, whole: false })
    expect('x' in {}).toBe(false)
  })
})

describe('JSON that a model put into a string', () => {
  const object = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] }
  const schema = (member: object): object => ({
    type: 'object',
    properties: { x: member },
    additionalProperties: false,
  })
  test.each<[what: string, schema: object, given: Json, taken: Json, places: readonly string[]]>([
    ['an object', schema(object), { x: '{"a":1}' }, { x: { a: 1 } }, ['/x']],
    ['a list', schema({ type: 'array', items: { type: 'string' } }), { x: '["a"]' }, { x: ['a'] }, ['/x']],
    ['a number', schema({ type: 'number' }), { x: '1.5' }, { x: 1.5 }, ['/x']],
    ['an integer', schema({ type: 'integer' }), { x: '7' }, { x: 7 }, ['/x']],
    ['a truth value', schema({ type: 'boolean' }), { x: 'true' }, { x: true }, ['/x']],
    ['null', schema({ type: ['integer', 'null'] }), { x: 'null' }, { x: null }, ['/x']],
    ['all arguments at once', schema(object), '{"x":{"a":1}}', { x: { a: 1 } }, ['']],
    [
      'an item',
      schema({ type: 'array', items: object }),
      { x: [{ a: 1 }, '{"a":2}'] },
      { x: [{ a: 1 }, { a: 2 }] },
      ['/x/1'],
    ],
    ['a string in a string’s object', schema(object), { x: '{"a":"1"}' }, { x: { a: 1 } }, ['/x', '/x/a']],
    [
      'a key with a slash',
      { type: 'object', properties: { 'a/b': { type: 'integer' } } },
      { 'a/b': '1' },
      { 'a/b': 1 },
      ['/a~1b'],
    ],
  ])('is taken for what it says: %s', (_what, inputSchema, given, taken, places) => {
    expect(checkArguments(toolOf(inputSchema), given)).toEqual({ faults: [], args: taken, healed: places })
  })

  test.each<[what: string, schema: object, given: Json]>([
    ['a string where a string is wanted', schema({ type: 'string' }), { x: '{"a":1}' }],
    ['a string where a string may be', schema({ type: ['string', 'integer'] }), { x: '7' }],
  ])('is left alone: %s', (_what, inputSchema, given) => {
    expect(checkArguments(toolOf(inputSchema), given)).toEqual({ faults: [], args: given, healed: [] })
  })

  test.each<[what: string, schema: object, given: Json]>([
    ['the other way round', schema({ type: 'string' }), { x: 7 }],
    ['an object where a string is wanted', schema({ type: 'string' }), { x: { a: 1 } }],
    ['what is no JSON', schema(object), { x: '{a:1}' }],
    ['a number that would lose digits', schema({ type: 'integer' }), { x: '12345678901234567890' }],
    ['a number with words', schema({ type: 'integer' }), { x: '7 pieces' }],
    ['a fraction for an integer', schema({ type: 'integer' }), { x: '1.5' }],
    ['an object that does not fit either', schema(object), { x: '{"b":1}' }],
    ['a deep nest', schema({ type: 'array' }), { x: '['.repeat(1_000) + ']'.repeat(1_000) }],
  ])('is not made of %s', (_what, inputSchema, given) => {
    const checked = checkArguments(toolOf(inputSchema), given)
    expect(checked.faults.length).toBeGreaterThan(0)
    expect(checked.args).toBe(given)
  })
})
