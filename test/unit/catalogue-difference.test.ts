/** Two catalogues compared: what changed, and that nothing called harmless ever refuses what was taken before. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { difference } from '../../src/catalogue/difference.ts'
import { schemaDifference } from '../../src/catalogue/schema-difference.ts'
import type { ToolDefinition } from '../../src/catalogue/tool.ts'

type Schema = { [keyword: string]: unknown }

const annotations = { readOnlyHint: true, destructiveHint: false, idempotentHint: false, openWorldHint: true }
const closed = (properties: Schema, more: Schema = {}): Schema => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...more,
})
const tool = (inputSchema: Schema, more: Partial<ToolDefinition> = {}): ToolDefinition => ({
  name: 't',
  description: 'd',
  inputSchema,
  annotations,
  ...more,
})
const body = (schema: Schema, more: Schema = {}): Schema => closed({ body: schema }, more)
const text = { type: 'string' }
const count = { type: 'integer' }

/** The changes of one tool as `kind! pointer: message`, with `!` where they break. */
const changes = (before: ToolDefinition, after: ToolDefinition): string[] =>
  difference([before], [after]).changed.flatMap((change) =>
    change.changes.map(
      ({ kind, breaking, pointer, message }) => `${kind}${breaking ? '!' : ''} ${pointer}: ${message}`,
    ),
  )
const input = (before: Schema, after: Schema): string[] => changes(tool(before), tool(after))
const output = (before: Schema | undefined, after: Schema | undefined): string[] =>
  changes(
    tool({}, before === undefined ? {} : { outputSchema: before }),
    tool({}, after === undefined ? {} : { outputSchema: after }),
  )

describe('difference', () => {
  it('names what was added and removed, in order; another name is one of each', () => {
    const named = (...names: string[]): ToolDefinition[] => names.map((name) => tool({}, { name }))
    expect(difference(named('c', 'a', 'old'), named('new', 'b', 'a'))).toEqual({
      added: ['b', 'new'],
      removed: ['c', 'old'],
      changed: [],
    })
  })

  it('tells a changed description, title and annotation, none of which breaks', () => {
    const after = tool(
      {},
      { description: 'e', title: 'T', annotations: { ...annotations, readOnlyHint: false, destructiveHint: true } },
    )
    expect(difference([tool({})], [after])).toEqual({
      added: [],
      removed: [],
      changed: [
        {
          tool: 't',
          breaking: false,
          changes: [
            { pointer: '/description', kind: 'description', breaking: false, message: 'The description changed.' },
            { pointer: '/title', kind: 'title', breaking: false, message: 'The title changed.' },
            {
              pointer: '/annotations',
              kind: 'annotations',
              breaking: false,
              message: '`readOnlyHint` is false, `destructiveHint` is true.',
            },
          ],
        },
      ],
    })
  })

  it.each<[what: string, before: Schema, after: Schema, changes: string[]]>([
    ['an optional argument more', closed({}), closed({ a: text }), ['added /inputSchema/properties/a: `a` is new.']],
    [
      'a required argument more',
      closed({}),
      closed({ a: text }, { required: ['a'] }),
      ['required! /inputSchema/properties/a: `a` is new and required.'],
    ],
    [
      'an argument that became required',
      closed({ a: text }),
      closed({ a: text }, { required: ['a'] }),
      ['required! /inputSchema/properties/a: `a` is required now.'],
    ],
    [
      'an argument that became optional',
      closed({ a: text }, { required: ['a'] }),
      closed({ a: text }),
      ['optional /inputSchema/properties/a: `a` is no longer required.'],
    ],
    [
      'an argument less',
      closed({ a: text }),
      closed({}),
      ['removed! /inputSchema/properties/a: `a` is gone and refused.'],
    ],
    [
      'a type',
      closed({ a: text }),
      closed({ a: count }),
      ['type! /inputSchema/properties/a: `a` is integer, was string.'],
    ],
    [
      'a wider type',
      closed({ a: count }),
      closed({ a: { type: ['number', 'null'] } }),
      ['type /inputSchema/properties/a: `a` is number or null, was integer.'],
    ],
    [
      'values less and more',
      closed({ a: { enum: ['x', 'y'] } }),
      closed({ a: { enum: ['y', 'z'] } }),
      [
        'enum! /inputSchema/properties/a: `a` is no longer "x".',
        'enum /inputSchema/properties/a: `a` may also be "z".',
      ],
    ],
    [
      'values where there were none',
      closed({ a: text }),
      closed({ a: { ...text, enum: ['x'] } }),
      ['enum! /inputSchema/properties/a: `a` is one of "x" now.'],
    ],
    [
      'bounds',
      closed({ a: { ...count, minimum: 1, maximum: 10 }, b: { ...text, maxLength: 5 } }),
      closed({ a: { ...count, exclusiveMinimum: 1, maximum: 20 }, b: text }),
      [
        'bound! /inputSchema/properties/a: `a` is more than 1, was at least 1.',
        'bound /inputSchema/properties/a: `a` is at most 20, was at most 10.',
        'bound /inputSchema/properties/b: `b` is unbounded above, was at most 5 characters.',
      ],
    ],
    [
      'a body that is closed',
      body({ type: 'object' }),
      body({ type: 'object', additionalProperties: false }),
      ['closed! /inputSchema/properties/body/additionalProperties: `body` takes no other members now.'],
    ],
    [
      'a member more of an open body, which nobody sent',
      body({ type: 'object' }),
      body({ type: 'object', properties: { a: text } }),
      ['added /inputSchema/properties/body/properties/a: `body.a` is new.'],
    ],
    [
      'a member that a map’s callers may have sent otherwise',
      body({ type: 'object', additionalProperties: count }),
      body({ type: 'object', additionalProperties: count, properties: { a: text } }),
      [
        'added /inputSchema/properties/body/properties/a: `body.a` is new.',
        'type! /inputSchema/properties/body/properties/a: `body.a` is string, was integer.',
      ],
    ],
    [
      'a change behind a reference, told once',
      closed({ a: { $ref: '#/$defs/Pet' }, b: { $ref: '#/$defs/Pet' } }, { $defs: { Pet: closed({ n: text }) } }),
      closed({ a: { $ref: '#/$defs/Pet' }, b: { $ref: '#/$defs/Pet' } }, { $defs: { Pet: closed({ n: count }) } }),
      ['type! /inputSchema/$defs/Pet/properties/n: `Pet.n` is integer, was string.'],
    ],
    [
      'a schema moved into definitions',
      closed({ a: closed({ n: text }), b: closed({ n: text }) }),
      closed({ a: { $ref: '#/$defs/X' }, b: { $ref: '#/$defs/X' } }, { $defs: { X: closed({ n: text }) } }),
      ['rewritten /inputSchema: The schema is written otherwise and takes the same.'],
    ],
    [
      'a schema with words moved into definitions',
      closed({ a: { ...text, description: 'x' } }),
      closed({ a: { $ref: '#/$defs/X' } }, { $defs: { X: { ...text, description: 'x' } } }),
      ['rewritten /inputSchema: The schema is written otherwise and takes the same.'],
    ],
    [
      'a recursive schema',
      body({ $ref: '#/$defs/T' }, { $defs: { T: closed({ v: text, next: { $ref: '#/$defs/T' } }) } }),
      body(
        { $ref: '#/$defs/T' },
        { $defs: { T: closed({ v: { ...text, minLength: 1 }, next: { $ref: '#/$defs/T' } }) } },
      ),
      ['bound! /inputSchema/$defs/T/properties/v: `T.v` is at least 1 character, was at least 0 characters.'],
    ],
    [
      'a reference that may be null now',
      body({ $ref: '#/$defs/T' }, { $defs: { T: closed({ v: text }) } }),
      body({ anyOf: [{ $ref: '#/$defs/T' }, { type: 'null' }] }, { $defs: { T: closed({ v: text }) } }),
      ['alternative /inputSchema/properties/body/anyOf/1: `body` may also be null.'],
    ],
    [
      'one alternative for another',
      body({ anyOf: [closed({ a: text }, { title: 'A' }), closed({ b: text }, { title: 'B' }), count] }),
      body({ anyOf: [closed({ b: count }, { title: 'B' }), text, closed({ a: text }, { title: 'A' })] }),
      [
        'type! /inputSchema/properties/body/anyOf/0/properties/b: `body.b` is integer, was string.',
        'alternative! /inputSchema/properties/body/anyOf/2: `body` is no longer integer.',
        'alternative /inputSchema/properties/body/anyOf/1: `body` may also be string.',
      ],
    ],
    [
      'an alternative more of those told apart by a mark',
      body({ oneOf: [closed({ k: { const: 'a' } }, { required: ['k'] })] }),
      body({
        oneOf: [
          closed({ k: { const: 'a' } }, { required: ['k'] }),
          closed({ k: { const: 'b' } }, { required: ['k'], title: 'B' }),
        ],
      }),
      ['alternative /inputSchema/properties/body/oneOf/1: `body` may also be `B`.'],
    ],
    [
      'an alternative more of those that overlap, of which one alone may fit',
      body({ oneOf: [count] }),
      body({ oneOf: [count, { type: 'number' }] }),
      ['alternative! /inputSchema/properties/body/oneOf/1: `body` may also be number.'],
    ],
    [
      'a pattern and a format',
      closed({ a: text, b: { ...text, format: 'date' } }),
      closed({ a: { ...text, pattern: '^a' }, b: text }),
      [
        'pattern! /inputSchema/properties/a: `a`: `pattern` is new ("^a").',
        'format /inputSchema/properties/b: `b`: `format` is gone.',
      ],
    ],
    [
      'a description below and a default',
      closed({ a: { ...text, description: 'x', default: 'p' } }),
      closed({ a: { ...text, description: 'y', default: 'q' } }),
      [
        'description /inputSchema/properties/a/description: `a`: its description changed.',
        'default /inputSchema/properties/a/default: `a`: its default changed.',
      ],
    ],
    [
      'a type more, with what concerns that type alone',
      closed({ a: { type: 'object' } }),
      closed({ a: { type: ['object', 'string'], contentEncoding: 'base64', minLength: 1 } }),
      ['type /inputSchema/properties/a: `a` is object or string, was object.'],
    ],
    [
      'items and a `not`, which turns things round',
      closed({ a: { type: 'array', items: text }, b: { not: { type: 'string', minLength: 2 } } }),
      closed({ a: { type: 'array', items: count }, b: { not: { type: 'string', minLength: 1 } } }),
      [
        'type! /inputSchema/properties/a/items: `a[]` is integer, was string.',
        'bound! /inputSchema/properties/b/not: `b` is at least 1 character, was at least 2 characters.',
      ],
    ],
    [
      'what is not compared',
      body({ type: 'object', unevaluatedProperties: false }),
      body({ type: 'object', unevaluatedProperties: false, properties: { a: text } }),
      ['schema! /inputSchema/properties/body: `body` changed in a way that is not compared.'],
    ],
  ])('of arguments: %s', (_what, before, after, wanted) => {
    expect(input(before, after)).toEqual(wanted)
  })

  it.each<[what: string, before: Schema | undefined, after: Schema | undefined, changes: string[]]>([
    ['a shape', undefined, { type: 'object' }, ['output /outputSchema: The shape of the answer is told now.']],
    ['no shape', { type: 'object' }, undefined, ['output! /outputSchema: The shape of the answer is no longer told.']],
    [
      'a required member less',
      { type: 'object', properties: { a: text }, required: ['a'] },
      { type: 'object', properties: {} },
      ['removed! /outputSchema/properties/a: `a` is gone.'],
    ],
    [
      'a member that need not come',
      { type: 'object', properties: { a: text }, required: ['a'] },
      { type: 'object', properties: { a: text } },
      ['optional! /outputSchema/properties/a: `a` is no longer required.'],
    ],
    [
      'a member more',
      { type: 'object', properties: {} },
      { type: 'object', properties: { a: text }, required: ['a'] },
      ['required /outputSchema/properties/a: `a` is new and required.'],
    ],
    [
      'a wider type and a value more',
      { type: 'object', properties: { a: text, b: { enum: ['x'] } } },
      { type: 'object', properties: { a: { type: ['string', 'null'] }, b: { enum: ['x', 'y'] } } },
      [
        'type! /outputSchema/properties/a: `a` is string or null, was string.',
        'enum! /outputSchema/properties/b: `b` may also be "y".',
      ],
    ],
    [
      'a narrower type',
      { type: 'object', properties: { a: { type: 'number' } } },
      { type: 'object', properties: { a: count } },
      ['type /outputSchema/properties/a: `a` is integer, was number.'],
    ],
  ])('of answers: %s', (_what, before, after, wanted) => {
    expect(output(before, after)).toEqual(wanted)
  })
})

/** Small schemas over few names and values, so that random values often fit. */
const names = ['a', 'b', 'c'] as const
const scalars = [null, true, false, 0, 1, 2, 3, 1.5, '', 'a', 'ab', 'abc']
const types = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']
const small = fc.nat({ max: 3 })
const { schema: schemas } = fc.letrec<{ schema: Schema | boolean; object: Schema }>((tie) => {
  const map = fc.dictionary(fc.constantFrom(...names), tie('schema'), { maxKeys: 3 })
  const list = fc.array(tie('schema'), { minLength: 1, maxLength: 3 })
  const keyword = <T>(name: string, value: fc.Arbitrary<T>): fc.Arbitrary<Schema> => value.map((it) => ({ [name]: it }))
  const keywords = fc.oneof(
    keyword(
      'type',
      fc.oneof(fc.constantFrom(...types), fc.uniqueArray(fc.constantFrom(...types), { minLength: 1, maxLength: 4 })),
    ),
    keyword('enum', fc.uniqueArray(fc.constantFrom(...scalars), { minLength: 1, maxLength: 5 })),
    keyword('const', fc.constantFrom(...scalars)),
    ...[
      'minimum',
      'maximum',
      'exclusiveMinimum',
      'exclusiveMaximum',
      'minLength',
      'maxLength',
      'minItems',
      'maxItems',
      'minProperties',
      'maxProperties',
    ].map((name) => keyword(name, small)),
    keyword('multipleOf', fc.constantFrom(1, 2, 0.5, 3)),
    keyword('uniqueItems', fc.boolean()),
    keyword('pattern', fc.constantFrom('a', 'b$')),
    keyword('properties', map),
    keyword('properties', map),
    keyword('required', fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 })),
    keyword('additionalProperties', tie('schema')),
    keyword('patternProperties', fc.dictionary(fc.constantFrom('a', '[bc]'), tie('schema'), { maxKeys: 2 })),
    keyword('propertyNames', tie('schema')),
    keyword('items', tie('schema')),
    keyword('prefixItems', list),
    // never `false` and never beside `prefixItems`: the validator takes an empty list there, against §10.3.1.3
    keyword('contains', tie('object')),
    keyword('minContains', small),
    keyword('maxContains', small),
    keyword('allOf', list),
    keyword('anyOf', list),
    keyword('oneOf', list),
    keyword('not', tie('schema')),
    keyword('if', tie('schema')),
    keyword('then', tie('schema')),
    keyword('else', tie('schema')),
    keyword('dependentRequired', fc.constant({ a: ['b'] })),
    keyword('dependentSchemas', map),
    keyword('unevaluatedProperties', fc.boolean()),
    keyword('$ref', fc.constantFrom('#/$defs/a', '#/$defs/b')),
    keyword('description', fc.constantFrom('x', 'y')),
  )
  return {
    object: fc.array(keywords, { maxLength: 4 }).map((parts) => Object.assign({}, ...parts) as Schema),
    schema: fc.oneof(
      { depthSize: 'small' },
      { arbitrary: fc.boolean(), weight: 1 },
      { arbitrary: tie('object'), weight: 9 },
    ),
  }
})
/** References stand where a value is one step down, or a validator would never end. */
const roots: fc.Arbitrary<Schema> = fc.record({ root: schemas, a: schemas, b: schemas }).map(({ root, a, b }) => {
  const own = typeof root === 'boolean' ? (root ? {} : { not: {} }) : root
  return { ...own, $defs: { a, b } }
})

/** The same schema with something in it replaced, added or taken away. */
const mutate = (root: Schema, pick: number, how: number, spare: Schema | boolean): Schema => {
  const copy = structuredClone(root)
  const nodes: Schema[] = []
  const collect = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return
    if (!Array.isArray(value)) nodes.push(value as Schema)
    Object.values(value).forEach(collect)
  }
  collect(copy)
  const node = nodes[pick % nodes.length] ?? copy
  const keys = Object.keys(node).filter((key) => key !== '$defs')
  const extra = typeof spare === 'boolean' ? {} : structuredClone(spare)
  if (how % 3 === 0) delete node[keys[how % Math.max(1, keys.length)] ?? '']
  else if (how % 3 === 1) Object.assign(node, extra)
  else {
    const [[key, value] = ['', undefined]] = Object.entries(extra)
    if (key !== '') node[key] = value
  }
  return copy
}

const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    { arbitrary: fc.constantFrom(...scalars), weight: 2 },
    { arbitrary: fc.array(tie('value'), { maxLength: 3 }), weight: 1 },
    { arbitrary: fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 3 }), weight: 3 },
  ),
}))

const ajv = new Ajv2020({
  strict: false,
  validateFormats: false,
  validateSchema: false,
  addUsedSchema: false,
  logger: false,
})
const compile = (schema: Schema): ((value: unknown) => boolean) | undefined => {
  try {
    const check = ajv.compile(schema)
    return (value) => check(value)
  } catch {
    return undefined
  }
}
/** Whether a value fits; a schema that refers to itself without a step never ends, and says nothing. */
const fits = (check: (value: unknown) => boolean, value: unknown): boolean | undefined => {
  try {
    return check(value)
  } catch {
    return undefined
  }
}

const company = ['allOf', 'not', 'if', 'dependentSchemas', 'patternProperties', 'propertyNames', 'contains', '$ref']

/** Callers send only members that an open object names, where one schema alone speaks about it. */
const keepsToNames = (root: Schema, schema: unknown, value: unknown, depth = 0): boolean => {
  if (typeof value !== 'object' || value === null || typeof schema !== 'object' || schema === null || depth > 9)
    return true
  const { $ref, ...rest } = schema as Schema
  const defs = root['$defs'] as Schema
  if (typeof $ref === 'string')
    return Object.keys(rest).every((key) => key === 'description' || key === '$defs')
      ? keepsToNames(root, defs[$ref.slice(-1)], value, depth + 1)
      : true
  if (company.some((keyword) => Object.hasOwn(rest, keyword))) return true
  const lists = [rest['anyOf'], rest['oneOf']].filter(Array.isArray) as unknown[][]
  if (lists.length > 0) return lists.flat().every((part) => keepsToNames(root, part, value, depth + 1))
  if (Array.isArray(value)) {
    const prefix = (rest['prefixItems'] ?? []) as unknown[]
    return value.every((item, index) => keepsToNames(root, prefix[index] ?? rest['items'], item, depth + 1))
  }
  const properties = (rest['properties'] ?? {}) as Schema
  const others = rest['additionalProperties'] ?? true
  const isOpen =
    others === true ||
    (typeof others === 'object' && Object.keys(others as Schema).every((key) => key === 'description'))
  return Object.entries(value).every(([key, member]) =>
    Object.hasOwn(properties, key)
      ? keepsToNames(root, properties[key], member, depth + 1)
      : !isOpen && keepsToNames(root, others, member, depth + 1),
  )
}

const runs = Number(process.env['RUNS'] ?? 1_500)

describe('difference, on schemas of any shape', () => {
  it('finds nothing between a schema and itself, whatever the order of its members', () => {
    const turned = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turned)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([key, member]) => [key, turned(member)]),
      )
    }
    fc.assert(
      fc.property(roots, (schema) => {
        const one = tool(schema, { outputSchema: schema })
        expect(difference([one], [structuredClone(one)])).toEqual({ added: [], removed: [], changed: [] })
        expect(difference([one], [turned(one) as ToolDefinition]).changed).toEqual([])
        const root = { schema, pointer: '' }
        expect(schemaDifference(root, { schema: structuredClone(schema), pointer: '' })).toEqual([])
      }),
      { numRuns: runs },
    )
  })

  it('calls nothing harmless that takes less than before, and no answer harmless that gives more', () => {
    let [harmless, checked] = [0, 0]
    const pairs = fc.oneof(
      { arbitrary: fc.tuple(roots, roots), weight: 1 },
      {
        arbitrary: fc
          .tuple(roots, fc.nat(), fc.nat(), schemas)
          .map(([root, pick, how, spare]) => [root, mutate(root, pick, how, spare)] as [Schema, Schema]),
        weight: 4,
      },
    )
    fc.assert(
      fc.property(pairs, fc.array(values, { minLength: 25, maxLength: 25 }), ([before, after], samples) => {
        const found = schemaDifference({ schema: before, pointer: '' }, { schema: after, pointer: '' })
        const narrows = found.some(({ effect }) => effect === 'narrows' || effect === 'both')
        const widens = found.some(({ effect }) => effect === 'widens' || effect === 'both')
        if (narrows && widens) return
        if (
          [before, after].some((schema) =>
            /"contains".*"prefixItems"|"prefixItems".*"contains"/.test(JSON.stringify(schema)),
          )
        )
          return
        const [old, now] = [compile(before), compile(after)]
        if (old === undefined || now === undefined) return
        harmless++
        for (const value of samples) {
          const [was, is] = [fits(old, value), fits(now, value)]
          if (was === undefined || is === undefined || was === is) continue
          checked++
          const shown = JSON.stringify({ before, after, value, found })
          if (was && !narrows && keepsToNames(before, before, value)) expect.fail(`refused now: ${shown}`)
          if (is && !widens) expect.fail(`given now: ${shown}`)
        }
      }),
      { numRuns: runs },
    )
    expect(harmless).toBeGreaterThan(runs / 10)
    expect(checked).toBeGreaterThan(runs / 20)
  })
})
