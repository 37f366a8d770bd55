/** What an operation answers: when there is an output schema, and what the request says it accepts. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { asOutput, bindingOf, codes, component, document2, document3, load, only, type Plain } from './support.ts'

const text = { type: 'string' }
const shape = { type: 'object', properties: { a: text }, required: ['a'] }
const shown = { type: 'object', properties: { a: text } }
const json = (schema: unknown): Plain => ({ description: '', content: { 'application/json': { schema } } })
const answering = (responses: Plain, more: Plain = {}): Plain => document3({ '/a': { get: { responses } } }, more)
const outputOf = async (responses: Plain, more: Plain = {}): Promise<unknown> =>
  (await only(answering(responses, more))).output

describe('an output schema', () => {
  test.each<[string, Plain]>([
    ['an object', { 200: json(shape) }],
    ['an object of a kind of JSON', { 200: { content: { 'application/vnd.api+json': { schema: shape } } } }],
    ['any success', { '2XX': json(shape) }],
    ['something made', { 201: json(shape) }],
    ['the same twice', { 200: json(shape), 201: json(shape) }],
    ['an object, or nothing', { 200: json(shape), 204: { description: 'gone' } }],
    ['an object, or a refusal', { 200: json(shape), 404: json({ type: 'array' }), default: json(text) }],
    [
      'JSON or XML, as one likes',
      { 200: { content: { 'application/xml': { schema: {} }, 'application/json': { schema: shape } } } },
    ],
  ])('is there for %s, and requires nothing at its root', async (_, responses) => {
    expect(await outputOf(responses)).toEqual(shown)
  })

  test.each<[string, Plain]>([
    ['no response', {}],
    ['none that is described', { 200: { description: 'fine' } }],
    ['only a refusal', { 400: json(shape) }],
    ['only a default', { default: json(shape) }],
    ['an array', { 200: json({ type: 'array', items: shape }) }],
    ['a text', { 200: json(text) }],
    ['an object of unknown shape', { 200: json({ type: 'object' }) }],
    ['a map', { 200: json({ type: 'object', additionalProperties: text }) }],
    ['an object that may be null', { 200: json({ ...shape, type: ['object', 'null'] }) }],
    ['a choice of objects', { 200: json({ oneOf: [shape, { ...shape, properties: { b: text } }] }) }],
    ['members and a choice', { 200: json({ ...shape, anyOf: [shape, text] }) }],
    ['two shapes', { 200: json(shape), 201: json({ type: 'object', properties: { b: text } }) }],
    ['XML', { 200: { content: { 'application/xml': { schema: shape } } } }],
    ['JSON in one case, a file in the other', { 200: json(shape), 206: { content: { 'application/pdf': {} } } }],
    ['JSON without a schema', { 200: { content: { 'application/json': {} } } }],
    ['nonsense', { 200: 7, 201: null }],
    ['a broken reference', { 200: { $ref: '#/gone' } }],
  ])('is not there for %s', async (_, responses) => {
    expect(await outputOf(responses)).toBeUndefined()
  })

  test('is spelled out of its reference, with the definitions that it needs', async () => {
    const schemas = {
      Tree: { type: 'object', properties: { kids: { type: 'array', items: component('Tree') } } },
      Unused: shape,
    }
    expect(await asOutput(component('Tree'), { schemas })).toEqual({
      type: 'object',
      properties: { kids: { type: 'array', items: { $ref: '#/$defs/Tree' } } },
      $defs: { Tree: { type: 'object', properties: { kids: { type: 'array', items: { $ref: '#/$defs/Tree' } } } } },
    })
  })

  test('is merged of `allOf`', async () => {
    expect(await asOutput({ allOf: [shape, { type: 'object', properties: { b: text } }] })).toEqual({
      type: 'object',
      properties: { a: text, b: text },
    })
  })

  test('keeps what is required further in', async () => {
    expect(await asOutput({ type: 'object', properties: { in: shape } })).toEqual({
      type: 'object',
      properties: { in: shape },
    })
  })

  test('is found behind a reference to a response', async () => {
    expect(
      await outputOf(
        { 200: { $ref: '#/components/responses/Ok' } },
        { components: { responses: { Ok: json(shape) } } },
      ),
    ).toEqual(shown)
  })

  test('too large is none, with a warning', async () => {
    const properties = Object.fromEntries(
      Array.from({ length: 3_000 }, (_, i) => [`member${i}`, { ...text, description: 'x'.repeat(60) }]),
    )
    const { operations, issues } = await load(answering({ 200: json({ type: 'object', properties }) }))
    expect(JSON.stringify(properties).length).toBeGreaterThan(limits.outputSchemaChars)
    expect(operations[0]).not.toHaveProperty('output')
    expect(codes(issues)).toEqual(['output_too_large'])
  })

  test('has the keys that the answer will have, since nothing rewrites an answer', async () => {
    const inner = { type: 'object', properties: { '@id': text }, required: ['@id'], additionalProperties: false }
    expect(await asOutput({ type: 'object', properties: { '@id': text, inner } })).toEqual({
      type: 'object',
      properties: { '@id': text, inner },
    })
  })
})

describe('Swagger 2.0', () => {
  const swagger = (
    produces: readonly string[] | undefined,
    response: Plain = { description: '', schema: shape },
  ): Plain =>
    document2({ '/a': { get: { ...(produces === undefined ? {} : { produces }), responses: { 200: response } } } })

  test.each<[string, readonly string[] | undefined, unknown]>([
    ['JSON', ['application/json'], shown],
    ['JSON or XML', ['application/xml', 'application/json'], shown],
    ['who knows what', undefined, shown],
    ['XML', ['application/xml'], undefined],
    ['text', ['text/plain', 'text/csv'], undefined],
  ])('an operation that produces %s', async (_, produces, output) => {
    expect((await only(swagger(produces))).output).toEqual(output)
  })

  test('a file is no JSON', async () => {
    expect((await only(swagger(undefined, { description: '', schema: { type: 'file' } }))).output).toBeUndefined()
  })

  test('`produces` of the document counts where the operation is silent', async () => {
    const document = document2({ '/a': { get: { responses: {} } } }, { produces: ['text/csv'] })
    expect(bindingOf(await only(document)).accept).toBe('text/csv, */*;q=0.5')
  })
})

describe('what is accepted', () => {
  const content = (...types: string[]): Plain => ({
    200: { description: '', content: Object.fromEntries(types.map((type) => [type, {}])) },
  })
  test.each<[string, Plain, string]>([
    ['nothing described', {}, 'application/json, */*;q=0.8'],
    ['JSON', content('application/json'), 'application/json, */*;q=0.5'],
    ['JSON first', content('text/plain', 'application/json'), 'application/json, text/plain, */*;q=0.5'],
    ['a picture', content('image/png'), 'image/png, */*;q=0.5'],
    ['anything', content('*/*'), 'application/json, */*;q=0.8'],
    [
      'a refusal',
      { 400: { description: '', content: { 'application/problem+json': {} } } },
      'application/json, */*;q=0.8',
    ],
    ['what is no media type', content('text/html\r\nX-Admin: 1', 'json', 'text/plain'), 'text/plain, */*;q=0.5'],
    [
      'more than anyone reads',
      content('a/1', 'a/2', 'a/3', 'a/4', 'a/5', 'a/6', 'a/7'),
      'a/1, a/2, a/3, a/4, a/5, */*;q=0.5',
    ],
  ])('%s', async (_, responses, accept) => {
    expect(bindingOf(await only(answering(responses))).accept).toBe(accept)
  })
})
