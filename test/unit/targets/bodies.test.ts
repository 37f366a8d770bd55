/** Request bodies of every version as the argument `body`: which media type, which schema, which fields are files. */
import { describe, expect, test } from 'vitest'
import {
  bindingOf,
  codes,
  component,
  document2,
  document3,
  load,
  only,
  type Plain,
  requestBody,
  withBody,
} from './support.ts'

const text = { type: 'string' }
const file = {
  type: ['object', 'string'],
  contentEncoding: 'base64',
  properties: { filename: text, contentType: text, data: { type: 'string', contentEncoding: 'base64' } },
  required: ['data'],
}
const bytes = (contentMediaType: string): Plain => ({ type: 'string', contentEncoding: 'base64', contentMediaType })

interface Body {
  readonly schema: unknown
  readonly required: boolean
  readonly binding: unknown
}

async function bodyOf(document: Plain): Promise<Body> {
  const operation = await only(document)
  const { properties, required = [] } = operation.input as { properties: Plain; required?: string[] }
  return { schema: properties['body'], required: required.includes('body'), binding: bindingOf(operation).body }
}

const posting = (body: unknown, more: Plain = {}, version = '3.1.1'): Plain =>
  document3({ '/a': { post: { requestBody: body } } }, more, version)
const offering = (...types: string[]): Plain =>
  posting({ content: Object.fromEntries(types.map((type) => [type, { schema: { type: 'object' } }])) })

describe('the choice of a media type', () => {
  test.each<[string[], string]>([
    [['application/xml', 'application/json'], 'application/json'],
    [['text/plain', 'application/vnd.api+json'], 'application/vnd.api+json'],
    [['application/merge-patch+json', 'application/json'], 'application/json'],
    [['application/json; charset=utf-8'], 'application/json; charset=utf-8'],
    [['APPLICATION/JSON'], 'APPLICATION/JSON'],
    [['application/octet-stream', 'application/x-www-form-urlencoded'], 'application/x-www-form-urlencoded'],
    [['application/octet-stream', 'multipart/form-data'], 'multipart/form-data'],
    [['image/png', 'image/jpeg'], 'image/png'],
    [['*/*'], 'application/json'],
    [['application/*'], 'application/json'],
  ])('%j → %s', async (types, chosen) => {
    expect((await bodyOf(offering(...types))).binding).toMatchObject({ contentType: chosen })
  })

  test.each<[string, unknown, unknown]>([
    ['image/*', {}, { kind: 'binary', contentType: 'application/octet-stream' }],
    ['image/*', { type: 'string', format: 'binary' }, { kind: 'binary', contentType: 'application/octet-stream' }],
    ['*/*', { type: 'string', format: 'binary' }, { kind: 'binary', contentType: 'application/octet-stream' }],
    ['text/*', text, { kind: 'text', contentType: 'text/plain' }],
    ['*/*', { type: 'object' }, { kind: 'json', contentType: 'application/json' }],
  ])('the wildcard %s of %j', async (type, schema, binding) => {
    expect((await bodyOf(withBody(schema, type))).binding).toEqual(binding)
  })

  test('what is no media type is not sent as one (T20)', async () => {
    const { operations } = await load(offering('application/json\r\nX-Admin: 1'))
    for (const operation of operations) expect(JSON.stringify(bindingOf(operation).body ?? {})).not.toContain('X-Admin')
  })

  test.each<[string, Plain]>([
    ['no content', {}],
    ['an empty content', { content: {} }],
    ['a content of nonsense', { content: 7 }],
  ])('%s is no body', async (_, body) => {
    expect(await bodyOf(posting(body))).toEqual({ schema: undefined, required: false, binding: undefined })
  })
})

describe('schemas', () => {
  test('JSON keeps its own, whatever it is', async () => {
    for (const schema of [
      { type: 'array', items: text },
      text,
      { oneOf: [text, { type: 'integer' }] },
      { type: 'object', properties: { a: text }, required: ['a'] },
    ])
      expect(await bodyOf(withBody(schema, 'application/json'))).toMatchObject({
        schema,
        required: true,
        binding: { kind: 'json' },
      })
  })

  test('a body is required only when it says so', async () => {
    expect((await bodyOf(posting({ content: { 'application/json': { schema: text } } }))).required).toBe(false)
  })

  test('its description is the argument’s, unless the schema has one', async () => {
    expect((await bodyOf(posting({ description: 'What to make', ...requestBody(text) }))).schema).toEqual({
      ...text,
      description: 'What to make',
    })
    expect(
      (await bodyOf(posting({ description: 'What to make', ...requestBody({ ...text, description: 'Own' }) }))).schema,
    ).toEqual({ ...text, description: 'Own' })
  })

  test('references lead to a shared body', async () => {
    const components = {
      requestBodies: { New: requestBody(component('New')) },
      schemas: { New: { type: 'object', properties: { a: text } } },
    }
    expect(await bodyOf(posting({ $ref: '#/components/requestBodies/New' }, { components }))).toMatchObject({
      schema: { type: 'object', properties: { a: text } },
      required: true,
    })
  })

  test('behind a broken reference any JSON is taken, with a warning', async () => {
    const { operations, issues } = await load(posting({ $ref: '#/gone' }))
    expect(operations[0]?.input).toMatchObject({ properties: { body: {} } })
    expect(codes(issues)).toEqual(['invalid_body'])
  })

  test.each<[string, unknown, unknown, unknown]>([
    [
      'application/octet-stream',
      {},
      bytes('application/octet-stream'),
      { kind: 'binary', contentType: 'application/octet-stream' },
    ],
    [
      'image/png',
      { type: 'string', format: 'binary' },
      bytes('image/png'),
      { kind: 'binary', contentType: 'image/png' },
    ],
    ['application/pdf', {}, bytes('application/pdf'), { kind: 'binary', contentType: 'application/pdf' }],
    ['text/plain', text, text, { kind: 'text', contentType: 'text/plain' }],
    [
      'text/csv',
      { type: 'string', maxLength: 9 },
      { type: 'string', maxLength: 9 },
      { kind: 'text', contentType: 'text/csv' },
    ],
    ['text/plain', { type: 'object' }, text, { kind: 'text', contentType: 'text/plain' }],
  ])('%s of %j', async (type, schema, shown, binding) => {
    expect(await bodyOf(withBody(schema, type))).toEqual({ schema: shown, required: true, binding })
  })

  test('a GET may have a body, where the description says so', async () => {
    const operation = await only(document3({ '/a': { get: { requestBody: requestBody(text) } } }))
    expect(operation.input).toMatchObject({ properties: { body: text } })
  })
})

describe('forms', () => {
  test('are an object of their fields', async () => {
    const body = await bodyOf(withBody(component('Login'), 'application/x-www-form-urlencoded'))
    expect(body.schema).toMatchObject({ type: 'object' })
    const spelled = document3(
      { '/a': { post: { requestBody: requestBody(component('Login'), 'application/x-www-form-urlencoded') } } },
      { components: { schemas: { Login: { type: 'object', properties: { user: text }, required: ['user'] } } } },
    )
    expect(await bodyOf(spelled)).toEqual({
      schema: { type: 'object', properties: { user: text }, required: ['user'] },
      required: true,
      binding: { kind: 'form', contentType: 'application/x-www-form-urlencoded' },
    })
  })

  test('carry what `encoding` says of a field', async () => {
    const encoding = {
      tags: { style: 'pipeDelimited', explode: false },
      meta: { contentType: 'application/json' },
      path: { allowReserved: true },
      odd: 7,
    }
    const { binding } = await bodyOf(withBody({ type: 'object' }, 'application/x-www-form-urlencoded', { encoding }))
    expect(binding).toMatchObject({
      fields: {
        tags: { style: 'pipeDelimited', explode: false },
        meta: { contentType: 'application/json' },
        path: { style: 'form', explode: true, reserved: true },
      },
    })
  })

  test.each<[string, string, Plain, unknown]>([
    ['`format: binary`', '3.0.3', { type: 'string', format: 'binary' }, file],
    [
      'its description',
      '3.0.3',
      { type: 'string', format: 'binary', description: 'The picture' },
      { ...file, description: 'The picture' },
    ],
    [
      'several',
      '3.0.3',
      { type: 'array', items: { type: 'string', format: 'binary' } },
      { type: 'array', items: file },
    ],
    ['a media type without a type', '3.1.0', { contentMediaType: 'image/png' }, file],
    ['behind a reference', '3.0.3', component('Picture'), file],
    ['none: base64 in a text', '3.0.3', { type: 'string', format: 'byte' }, { type: 'string', format: 'byte' }],
    [
      'none: an encoded text',
      '3.1.0',
      { type: 'string', contentEncoding: 'base64', contentMediaType: 'image/png' },
      { type: 'string', contentEncoding: 'base64', contentMediaType: 'image/png' },
    ],
    [
      'none: JSON of a media type',
      '3.1.0',
      { contentMediaType: 'application/json' },
      { contentMediaType: 'application/json' },
    ],
    ['none: a text', '3.0.3', text, text],
  ])('of a multipart body, a file is known by: %s', async (_, version, member, shown) => {
    const components = { schemas: { Picture: { type: 'string', format: 'binary' } } }
    const document = posting(
      requestBody({ type: 'object', properties: { part: member } }, 'multipart/form-data'),
      { components },
      version,
    )
    expect((await bodyOf(document)).schema).toMatchObject({ properties: { part: shown } })
  })

  test('a file is known by the media type of its `encoding`, where the schema is silent', async () => {
    const document = withBody({ type: 'object', properties: { part: {} } }, 'multipart/form-data', {
      encoding: { part: { contentType: 'image/png, image/jpeg' } },
    })
    expect((await bodyOf(document)).schema).toMatchObject({ properties: { part: file } })
  })

  test('a file stays required, and in `allOf` a file', async () => {
    const schema = {
      allOf: [
        { type: 'object', required: ['a'], properties: { a: { type: 'string', format: 'binary' } } },
        { type: 'object', properties: { b: text } },
      ],
    }
    expect((await bodyOf(withBody(schema, 'multipart/form-data'))).schema).toEqual({
      type: 'object',
      required: ['a'],
      properties: { a: file, b: text },
    })
  })
})

describe('Swagger 2.0', () => {
  const swagger = (parameters: readonly Plain[], consumes?: readonly string[], more: Plain = {}): Plain =>
    document2({ '/a': { post: { parameters, ...(consumes === undefined ? {} : { consumes }) } } }, more)

  test('`in: body` is the argument `body`, whatever its name', async () => {
    const body = await bodyOf(
      swagger([
        {
          name: 'user',
          in: 'body',
          required: true,
          description: 'Whom',
          schema: { type: 'object', properties: { a: text } },
        },
      ]),
    )
    expect(body).toEqual({
      schema: { type: 'object', properties: { a: text }, description: 'Whom' },
      required: true,
      binding: { kind: 'json', contentType: 'application/json' },
    })
  })

  test.each<[readonly string[] | undefined, Plain, unknown]>([
    [['text/plain'], {}, { kind: 'text', contentType: 'text/plain' }],
    [
      undefined,
      { consumes: ['application/vnd.shop+json'] },
      { kind: 'json', contentType: 'application/vnd.shop+json' },
    ],
    [['application/json'], { consumes: ['text/plain'] }, { kind: 'json', contentType: 'application/json' }],
    [[], { consumes: ['text/plain'] }, { kind: 'json', contentType: 'application/json' }],
  ])('`consumes` %j of the operation before %j of the document', async (consumes, more, binding) => {
    expect((await bodyOf(swagger([{ name: 'b', in: 'body', schema: text }], consumes, more))).binding).toEqual(binding)
  })

  test('`formData` is an object of its fields', async () => {
    const fields = [
      { name: 'user', in: 'formData', type: 'string', required: true, description: 'Who' },
      { name: 'tags', in: 'formData', type: 'array', items: text, collectionFormat: 'pipes' },
    ]
    expect(await bodyOf(swagger(fields))).toEqual({
      schema: {
        type: 'object',
        properties: { user: { ...text, description: 'Who' }, tags: { type: 'array', items: text } },
        required: ['user'],
      },
      required: true,
      binding: {
        kind: 'form',
        contentType: 'application/x-www-form-urlencoded',
        fields: { tags: { style: 'pipeDelimited', explode: false } },
      },
    })
  })

  test('a form of optional fields is itself optional', async () => {
    expect((await bodyOf(swagger([{ name: 'a', in: 'formData', type: 'string' }]))).required).toBe(false)
  })

  test('a file makes it multipart, and so does `consumes`', async () => {
    expect(
      await bodyOf(swagger([{ name: 'f', in: 'formData', type: 'file', required: true, description: 'The file' }])),
    ).toMatchObject({
      schema: { properties: { f: { ...file, description: 'The file' } }, required: ['f'] },
      binding: { kind: 'multipart' },
    })
    expect(
      (await bodyOf(swagger([{ name: 'a', in: 'formData', type: 'string' }], ['multipart/form-data']))).binding,
    ).toMatchObject({ kind: 'multipart' })
  })

  test('fields called like the prototype’s members are fields', async () => {
    const { schema } = await bodyOf(
      swagger(['constructor', 'toString'].map((name) => ({ name, in: 'formData', type: 'string' }))),
    )
    expect(Object.keys((schema as { properties: object }).properties)).toEqual(['constructor', 'toString'])
  })
})
