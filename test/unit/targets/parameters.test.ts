/** Parameters of every version as arguments: their names, their schemas, what is left out and why. */
import { describe, expect, test } from 'vitest'
import type { Json, Operation } from '../../../src/core/model.ts'
import {
  bindingOf,
  codes,
  document2,
  document3,
  load,
  only,
  type Plain,
  requestBody,
  send,
  textOf,
  withParameters,
} from './support.ts'

const text = { type: 'string' }
const parameter = (name: string, where: string, more: Plain = {}): Plain => ({
  name,
  in: where,
  required: where === 'path',
  schema: text,
  ...more,
})

const argumentsOf = ({ input }: Operation): string[] => Object.keys((input as { properties: object }).properties)
const requiredOf = ({ input }: Operation): unknown => (input as { required?: unknown }).required
const places = (operation: Operation): string[] =>
  bindingOf(operation).parameters.map(({ argument, in: where, name }) => `${argument} = ${where} ${name}`)

describe('names of arguments', () => {
  test('each goes by its own', async () => {
    const operation = await only(
      withParameters(
        [parameter('id', 'path'), parameter('q', 'query'), parameter('X-Trace', 'header'), parameter('seen', 'cookie')],
        '/a/{id}',
      ),
    )
    expect(argumentsOf(operation)).toEqual(['id', 'q', 'X-Trace', 'seen'])
    expect(requiredOf(operation)).toEqual(['id'])
  })

  test('one name in several places is told apart by them', async () => {
    const all = ['path', 'query', 'header', 'cookie'].map((where) => parameter('id', where))
    expect(places(await only(withParameters(all, '/a/{id}')))).toEqual([
      'id_path = path id',
      'id_query = query id',
      'id_header = header id',
      'id_cookie = cookie id',
    ])
  })

  test('a parameter called `body` makes room for the body, where there is one', async () => {
    const withIt = document3({
      '/a': { post: { parameters: [parameter('body', 'query')], requestBody: requestBody(text) } },
    })
    expect(argumentsOf(await only(withIt))).toEqual(['body_query', 'body'])
    expect(argumentsOf(await only(withParameters([parameter('body', 'query')])))).toEqual(['body'])
  })

  test('a name that another’s place would give stays with its owner, in either order', async () => {
    const trio = [parameter('id', 'query'), parameter('id', 'header'), parameter('id_query', 'query')]
    for (const order of [trio, trio.toReversed()]) {
      const operation = await only(withParameters(order))
      expect(new Set(argumentsOf(operation)).size).toBe(3)
      expect(places(operation)).toContain('id_query = query id_query')
    }
  })

  test('names of the prototype, of no letters and of 10 KiB are kept apart (S16)', async () => {
    const names = ['__proto__', 'constructor', 'toString', '[]', '$', 'n'.repeat(10_240)]
    const operation = await only(withParameters(names.map((name) => parameter(name, 'query'))))
    const shown = argumentsOf(operation)
    expect(new Set(shown).size).toBe(names.length)
    for (const name of shown) expect(name).toMatch(/^[a-zA-Z0-9_.-]{1,64}$/)
    expect(bindingOf(operation).parameters.map(({ name }) => name)).toEqual(names)
  })
})

describe('which parameters count', () => {
  test('the operation’s win over the path’s by name and place', async () => {
    const document = document3({
      '/a/{id}': {
        parameters: [
          parameter('id', 'path'),
          parameter('q', 'query', { description: 'path' }),
          parameter('q', 'header'),
        ],
        get: { parameters: [parameter('q', 'query', { description: 'own', required: true })] },
      },
    })
    const operation = await only(document)
    expect(places(operation)).toEqual(['id = path id', 'q_query = query q', 'q_header = header q'])
    expect(operation.input).toMatchObject({
      properties: { q_query: { description: 'own' } },
      required: ['id', 'q_query'],
    })
  })

  test('references are followed, to parameters and within them', async () => {
    const components = {
      parameters: {
        Page: parameter('page', 'query', { schema: { $ref: '#/components/schemas/Page' } }),
        Alias: { $ref: '#/components/parameters/Page' },
      },
      schemas: { Page: { type: 'integer', minimum: 1 } },
    }
    const { input } = await only(
      document3({ '/a': { get: { parameters: [{ $ref: '#/components/parameters/Alias' }] } } }, { components }),
    )
    expect(input).toMatchObject({ properties: { page: { type: 'integer', minimum: 1 } } })
  })

  test.each<[string, unknown]>([
    ['without a name', { in: 'query', schema: text }],
    ['without a place', { name: 'a', schema: text }],
    ['behind a broken reference', { $ref: '#/components/parameters/Gone' }],
    ['in another file', { $ref: 'other.yaml#/a' }],
    ['that is no object', 7],
  ])('one %s is left out with a warning, its operation stays', async (_, broken) => {
    const { operations, issues } = await load(withParameters([broken as Plain, parameter('ok', 'query')]))
    expect(operations.map(argumentsOf)).toEqual([['ok']])
    expect(issues).toMatchObject([
      { severity: 'warning', code: 'invalid_parameter', pointer: '/paths/~1things/get/parameters/0' },
    ])
  })

  test('one in a place that does not exist is no argument', async () => {
    expect(argumentsOf(await only(withParameters([parameter('a', 'matrix'), parameter('ok', 'query')])))).toEqual([
      'ok',
    ])
  })

  test.each([
    'Authorization',
    'cookie',
    'HOST',
    'Content-Length',
    'Transfer-Encoding',
    'Connection',
    'Upgrade',
    'TE',
    'Bad Header',
    'X-A\r\nX-B',
    'é',
  ])('the header %j is left out with a warning (S17)', async (name) => {
    const { operations, issues } = await load(
      withParameters([parameter(name, 'header', { required: true }), parameter('X-Ok', 'header')]),
    )
    expect(operations.map(argumentsOf)).toEqual([['X-Ok']])
    expect(requiredOf(operations[0] as Operation)).toBeUndefined()
    expect(codes(issues)).toEqual(['reserved_header'])
  })

  test.each(['Accept', 'content-type'])(
    'the header %s, which the specification ignores, is left out without a word',
    async (name) => {
      const { operations, issues } = await load(withParameters([parameter(name, 'header')]))
      expect(operations.map(argumentsOf)).toEqual([[]])
      expect(issues).toEqual([])
    },
  )

  test.each<['header' | 'query' | 'cookie', string, string, boolean]>([
    ['header', 'X-Api-Key', 'x-api-key', true],
    ['query', 'key', 'key', true],
    ['query', 'key', 'KEY', false],
    ['cookie', 'sid', 'sid', true],
    ['query', 'key', 'other', false],
  ])('the credential in the %s %s fills the parameter %s: %j', async (where, name, declared, filled) => {
    const { operations, issues } = await load(withParameters([parameter(declared, where, { required: true })]), {
      credentialPlace: { in: where, name },
    })
    expect(operations.map(argumentsOf)).toEqual([filled ? [] : [declared]])
    expect(codes(issues)).toEqual(filled ? ['credential_parameter'] : [])
  })

  test('a credential in another place fills nothing', async () => {
    const { operations } = await load(withParameters([parameter('key', 'query')]), {
      credentialPlace: { in: 'header', name: 'key' },
    })
    expect(operations.map(argumentsOf)).toEqual([['key']])
  })
})

describe('schemas and words', () => {
  test.each<[string, Plain, unknown]>([
    ['its description', { description: '<i>How</i> many' }, { ...text, description: 'How many' }],
    [
      'its own words before the schema’s',
      { description: 'mine', schema: { ...text, description: 'general' } },
      { ...text, description: 'mine' },
    ],
    [
      'the schema’s words where it has none',
      { schema: { ...text, description: 'general' } },
      { ...text, description: 'general' },
    ],
    ['that it is deprecated', { deprecated: true, description: 'Old' }, { ...text, description: 'Deprecated. Old' }],
    [
      'a media type in place of a schema',
      { schema: undefined, content: { 'application/json': { schema: { type: 'object', properties: { a: text } } } } },
      { type: 'object', properties: { a: text } },
    ],
    ['nothing', { schema: undefined }, {}],
  ])('%s', async (_, more, schema) => {
    expect((await only(withParameters([parameter('p', 'query', more)]))).input).toMatchObject({
      properties: { p: schema },
    })
  })

  test('the root is an object without choices, closed', async () => {
    const { input } = await only(
      withParameters([parameter('p', 'query', { schema: { oneOf: [text, { type: 'integer' }] } })]),
    )
    expect(input).toEqual({
      type: 'object',
      properties: { p: { oneOf: [text, { type: 'integer' }] } },
      additionalProperties: false,
    })
  })
})

describe('styles and their defaults', () => {
  test.each<[string, Plain, unknown]>([
    ['path', {}, { style: 'simple', explode: false }],
    ['query', {}, { style: 'form', explode: true }],
    ['header', {}, { style: 'simple', explode: false }],
    ['cookie', {}, { style: 'form', explode: true }],
    ['path', { style: 'matrix' }, { style: 'matrix', explode: false }],
    ['path', { style: 'label', explode: true }, { style: 'label', explode: true }],
    ['query', { style: 'form', explode: false }, { style: 'form', explode: false }],
    ['query', { style: 'pipeDelimited' }, { style: 'pipeDelimited', explode: false }],
    ['query', { style: 'deepObject', explode: true }, { style: 'deepObject', explode: true }],
    ['query', { style: 'nonsense', explode: 'yes' }, { style: 'form', explode: true }],
    ['query', { allowReserved: true }, { reserved: true }],
    [
      'query',
      { schema: undefined, content: { 'Application/JSON; charset=utf-8': { schema: {} } } },
      { content: 'application/json' },
    ],
  ])('%s %j', async (where, more, binding) => {
    const operation = await only(withParameters([parameter('p', where, more)], where === 'path' ? '/a/{p}' : '/a'))
    expect(bindingOf(operation).parameters[0]).toMatchObject(binding as object)
  })
})

describe('Swagger 2.0', () => {
  const swagger = (parameters: readonly Plain[], path = '/a'): Plain => document2({ [path]: { get: { parameters } } })

  test('keywords beside the parameter’s own become its schema', async () => {
    const { input } = await only(
      swagger([
        {
          name: 'n',
          in: 'query',
          type: 'integer',
          format: 'int32',
          minimum: 1,
          exclusiveMinimum: true,
          default: 5,
          description: 'How many',
          required: true,
          'x-a': 1,
          allowEmptyValue: true,
        },
      ]),
    )
    expect(input).toEqual({
      type: 'object',
      properties: { n: { type: 'integer', format: 'int32', exclusiveMinimum: 1, default: 5, description: 'How many' } },
      required: ['n'],
      additionalProperties: false,
    })
  })

  test.each<[string, string | undefined, unknown]>([
    ['query', undefined, { style: 'form', explode: false }],
    ['query', 'csv', { style: 'form', explode: false }],
    ['query', 'ssv', { style: 'spaceDelimited', explode: false }],
    ['query', 'tsv', { style: 'tabDelimited', explode: false }],
    ['query', 'pipes', { style: 'pipeDelimited', explode: false }],
    ['query', 'multi', { style: 'form', explode: true }],
    ['query', 'nonsense', { style: 'form', explode: false }],
    ['header', 'csv', { style: 'simple', explode: false }],
    ['header', 'pipes', { style: 'pipeDelimited', explode: false }],
    ['path', undefined, { style: 'simple', explode: false }],
  ])('a list in the %s by `collectionFormat: %s`', async (where, collectionFormat, binding) => {
    const list = {
      name: 'p',
      in: where,
      required: true,
      type: 'array',
      items: text,
      ...(collectionFormat === undefined ? {} : { collectionFormat }),
    }
    const operation = await only(swagger([list], where === 'path' ? '/a/{p}' : '/a'))
    expect(bindingOf(operation).parameters[0]).toMatchObject(binding as object)
    expect(operation.input).toMatchObject({ properties: { p: { type: 'array', items: text } } })
  })

  test('`x-nullable` is null as well', async () => {
    expect((await only(swagger([{ name: 'p', in: 'query', type: 'string', 'x-nullable': true }]))).input).toMatchObject(
      { properties: { p: { type: ['string', 'null'] } } },
    )
  })
})

describe('lists in lists (Swagger 2.0, Items Object)', () => {
  const list = (where: string, outer: string | undefined, inner: string | undefined): Plain => ({
    name: 't',
    in: where,
    required: where === 'path',
    type: 'array',
    ...(outer === undefined ? {} : { collectionFormat: outer }),
    items: { type: 'array', items: text, ...(inner === undefined ? {} : { collectionFormat: inner }) },
  })
  const value = [
    ['a b', '2'],
    ['3', '4'],
  ]

  test.each([
    ['query', 'pipes', undefined, '/a?t=a%20b,2%7C3,4'],
    ['query', undefined, 'pipes', '/a?t=a%20b%7C2,3%7C4'],
    ['query', 'multi', 'csv', '/a?t=a%20b,2&t=3,4'],
    ['path', undefined, 'ssv', '/a/a%20b%202,3%204'],
  ])('in a %s, %s of %s', async (where, outer, inner, url) => {
    const document = document2({
      [where === 'path' ? '/a/{t}' : '/a']: { get: { parameters: [list(where, outer, inner)] } },
    })
    expect((await send(document, { t: value })).url).toBe(`https://api.example.test/v1${url}`)
  })

  test('in a header and a form', async () => {
    const header = document2({ '/a': { get: { parameters: [list('header', 'pipes', 'csv')] } } })
    expect((await send(header, { t: value })).headers.get('t')).toBe('a b,2|3,4')
    const form = document2({ '/a': { post: { parameters: [list('formData', 'pipes', 'csv')] } } })
    expect(textOf(await send(form, { body: { t: value } }))).toBe('t=a+b,2%7C3,4')
  })
})

describe('one version’s keywords in another', () => {
  test('a parameter of OpenAPI 3 without `schema` has that of Swagger 2.0', async () => {
    const old = { name: 'p', in: 'query', type: 'array', items: text, collectionFormat: 'csv' }
    const { operations, issues } = await load(withParameters([old]))
    expect(operations[0]?.input).toMatchObject({ properties: { p: { type: 'array', items: text } } })
    expect(codes(issues)).toEqual(['swagger_keywords'])
    expect((await send(withParameters([old]), { p: ['a', 'b'] })).url).toMatch(/\?p=a,b$/)
  })

  test('a parameter of Swagger 2.0 with `schema` has that', async () => {
    const parameters = [{ name: 'p', in: 'query', type: 'string', schema: { type: 'integer' } }]
    const { input } = await only(document2({ '/a': { get: { parameters } } }))
    expect(input).toMatchObject({ properties: { p: { type: 'integer' } } })
  })

  test('a body of Swagger 2.0 without `schema` has its own keywords', async () => {
    const parameters = [{ name: 'b', in: 'body', type: 'array', items: text }]
    const { input } = await only(document2({ '/a': { post: { parameters } } }))
    expect(input).toMatchObject({ properties: { body: { type: 'array', items: text } } })
  })

  test.each<[string, readonly Plain[], Json, string]>([
    ['body', [{ name: 'b', in: 'body', required: true, schema: { type: 'object' } }], { a: 1 }, '{"a":1}'],
    ['formData', [{ name: 'n', in: 'formData', type: 'string', required: true }], { n: 'x y' }, 'n=x+y'],
  ])('`in: %s` of OpenAPI 3 is the body, where there is no other', async (_, parameters, body, wire) => {
    const document = document3({ '/a': { post: { parameters } } })
    const { operations, issues } = await load(document)
    expect(operations[0]?.input).toMatchObject({ required: ['body'] })
    expect(codes(issues)).toEqual(['swagger_keywords'])
    expect(textOf(await send(document, { body }))).toBe(wire)
    const both = document3({ '/a': { post: { parameters, requestBody: requestBody(text, 'text/plain') } } })
    expect(textOf(await send(both, { body: 'x' }))).toBe('x')
  })
})

describe('OpenAPI 3.2', () => {
  test('a media type may be a reference', async () => {
    const whole = { name: 'q', in: 'query', content: { 'application/json': { $ref: '#/components/mediaTypes/J' } } }
    const components = { mediaTypes: { J: { schema: { type: 'object', properties: { a: text } } } } }
    const operation = await only(
      document3(
        {
          '/a': {
            post: {
              parameters: [whole],
              requestBody: { content: { 'application/json': { $ref: '#/components/mediaTypes/J' } } },
              responses: {
                200: { description: '', content: { 'application/json': { $ref: '#/components/mediaTypes/J' } } },
              },
            },
          },
        },
        { components },
        '3.2.0',
      ),
    )
    const shape = { properties: { a: text } }
    expect(operation.input).toMatchObject({ properties: { q: shape, body: shape } })
    expect(operation.output).toMatchObject(shape)
  })

  test('`querystring` is one argument for the whole query', async () => {
    const whole = {
      name: 'filter',
      in: 'querystring',
      content: { 'application/x-www-form-urlencoded': { schema: { type: 'object', properties: { a: text } } } },
    }
    const operation = await only(withParameters([whole], '/a', '3.2.0'))
    expect(operation.input).toMatchObject({ properties: { filter: { type: 'object', properties: { a: text } } } })
    expect(bindingOf(operation).parameters[0]).toMatchObject({
      in: 'querystring',
      content: 'application/x-www-form-urlencoded',
    })
  })

  test('the style `cookie` is its own', async () => {
    const operation = await only(withParameters([parameter('c', 'cookie', { style: 'cookie' })], '/a', '3.2.0'))
    expect(bindingOf(operation).parameters[0]).toMatchObject({ style: 'cookie', explode: true })
  })
})
