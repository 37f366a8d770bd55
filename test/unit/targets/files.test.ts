/** The members of forms: which are files, wherever the description hides them, and which are written item by item. */
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { openapi } from '../../../src/targets/openapi.ts'
import { toDefinition } from '../../../src/catalogue/tool.ts'
import { checkArguments } from '../../../src/catalogue/validate.ts'
import { component, document3, only, type Plain, requestBody, target, textOf } from './support.ts'

const text = { type: 'string' }
const binary = { type: 'string', format: 'binary' }
const object = (properties: Plain, more: Plain = {}): Plain => ({ type: 'object', properties, ...more })
const upload = { data: 'aGk=', filename: 'a.txt', contentType: 'text/plain' }
const list = (items: unknown): Plain => ({ type: 'array', items })

interface Setting {
  readonly type?: string
  readonly version?: string
  readonly encoding?: Plain
}

/** The parts that a body makes, `name[ filename][ type]: text`; whether the tool's schema takes it, too. */
async function partsOf(
  schema: unknown,
  body: Json,
  { type = 'multipart/form-data', version = '3.1.1', encoding = {} }: Setting = {},
): Promise<string[]> {
  const paths = { '/x': { post: { requestBody: requestBody(schema, type, { encoding }) } } }
  const schemas = { File: binary, Upload: object({ file: binary }) }
  const operation = await only(document3(paths, { components: { schemas } }, version))
  const definition = Buffer.from(JSON.stringify(toDefinition('shop', operation)))
  expect(checkArguments({ name: 'x', target, operation, definition }, { body }).faults).toEqual([])
  const sent = textOf(openapi.prepare(operation, { body }, target))
  if (!type.startsWith('multipart')) return sent.split('&')
  return sent
    .split(/--toolgate-[\w-]+(?:--)?\r\n/)
    .filter((part) => part !== '')
    .map((part) => {
      const [, name, file, mediaType, value] =
        /name="([^"]*)"(?:; filename="([^"]*)")?(?:\r\nContent-Type: ([^\r]*))?\r\n\r\n([^]*)\r\n$/.exec(part) ?? []
      return `${[name, file, mediaType].filter((word) => word !== undefined).join(' ')}: ${value}`
    })
}

const asFile = ['file a.txt text/plain: hi']

describe('a file', () => {
  test.each<[string, unknown]>([
    ['or null, as FastAPI has it', object({ file: { anyOf: [binary, { type: 'null' }] } })],
    ['behind `oneOf`', object({ file: { oneOf: [binary, { type: 'null' }] } })],
    ['behind `allOf` and a reference', object({ file: { allOf: [component('File')], description: 'It' } })],
    ['or the address of one', object({ file: { anyOf: [binary, { type: 'string', format: 'uri' }] } })],
    ['in a branch of the body', { anyOf: [object({ file: binary }), object({ url: text }, { required: ['url'] })] }],
    ['in a part of the body', { allOf: [component('Upload'), object({ url: text })] }],
    ['of any name', { type: 'object', additionalProperties: binary }],
    ['that nothing is said of', object({ file: {} })],
    ['that may be null', object({ file: { type: ['string', 'null'], format: 'binary' } })],
  ])('%s', async (_, schema) => {
    expect(await partsOf(schema, { file: upload })).toEqual(asFile)
  })

  test.each<[string, unknown]>([
    ['of files', list(binary)],
    ['of files, or null', { anyOf: [list(binary), { type: 'null' }] }],
    ['of what nothing is said of (OAS 3.1.1, Multipart Form with Multiple Files)', list({})],
  ])('a list %s', async (_, schema) => {
    expect(await partsOf(object({ file: schema }), { file: [upload, { data: 'aG8=' }] })).toEqual([
      ...asFile,
      'file file application/octet-stream: ho',
    ])
  })

  test('that may be something else is told by its looks', async () => {
    const schema = object({ file: { anyOf: [binary, { type: 'string', format: 'uri' }] }, any: {} })
    expect(await partsOf(schema, { file: 'https://x.test', any: 'text' })).toEqual([
      'file: https://x.test',
      'any: text',
    ])
    expect(await partsOf(schema, { any: { a: 1 } })).toEqual(['any application/json: {"a":1}'])
  })

  test('is not what says nothing, where 3.0 has no word for it', async () => {
    expect(await partsOf(object({ file: {} }), { file: { data: 'aGk=' } }, { version: '3.0.4' })).toEqual([
      'file application/json: {"data":"aGk="}',
    ])
  })

  test('that only answers have is none of the body’s', async () => {
    const schema = object({ file: { ...binary, readOnly: true }, note: text })
    const { input } = await only(
      document3({ '/x': { post: { requestBody: requestBody(schema, 'multipart/form-data') } } }),
    )
    expect(input).toMatchObject({ properties: { body: { properties: { note: text } } } })
    expect(JSON.stringify(input)).not.toContain('"file"')
  })
})

describe('a text that is encoded', () => {
  const schema = object({ icon: { type: 'string', contentEncoding: 'base64' } })
  test('is of no certain type from 3.1 on, unless `encoding` says', async () => {
    expect(await partsOf(schema, { icon: 'aGk=' })).toEqual(['icon application/octet-stream: aGk='])
    const encoding = { icon: { contentType: 'image/png' } }
    expect(await partsOf(schema, { icon: 'aGk=' }, { encoding })).toEqual(['icon image/png: aGk='])
    expect(await partsOf(schema, { icon: 'aGk=' }, { version: '3.0.4' })).toEqual(['icon: aGk='])
  })
})

describe('parts without names (OAS 3.2.0 §4.14.3.2)', () => {
  const documentOf = (media: Plain, version = '3.2.0'): Plain =>
    document3(
      { '/x': { post: { requestBody: { required: true, content: { 'multipart/mixed': media } } } } },
      {},
      version,
    )
  const sent = async (media: Plain, body: Json): Promise<string> => {
    const operation = await only(documentOf(media))
    const definition = Buffer.from(JSON.stringify(toDefinition('shop', operation)))
    expect(checkArguments({ name: 'x', target, operation, definition }, { body }).faults).toEqual([])
    return textOf(openapi.prepare(operation, { body }, target)).replaceAll(/toolgate-[\w-]{36}/g, 'B')
  }

  test('alike, by `itemSchema` and `itemEncoding`', async () => {
    const media = { itemSchema: object({ a: text }), itemEncoding: { contentType: 'application/geo+json' } }
    expect(await sent(media, [{ a: '1' }, { a: '2' }])).toBe(
      '--B\r\nContent-Type: application/geo+json\r\n\r\n{"a":"1"}\r\n' +
        '--B\r\nContent-Type: application/geo+json\r\n\r\n{"a":"2"}\r\n--B--\r\n',
    )
  })

  test('each by its place, by `prefixItems` and `prefixEncoding`', async () => {
    const media = {
      schema: { type: 'array', prefixItems: [object({ a: text }), {}, text] },
      prefixEncoding: [{}, { contentType: 'image/png' }],
    }
    expect(await sent(media, [{ a: '1' }, { data: 'aGk=', filename: 'a.png' }, 'note'])).toBe(
      '--B\r\nContent-Type: application/json\r\n\r\n{"a":"1"}\r\n' +
        '--B\r\nContent-Disposition: attachment; filename="a.png"\r\nContent-Type: image/png\r\n\r\nhi\r\n' +
        '--B\r\n\r\nnote\r\n--B--\r\n',
    )
  })

  test('are a list', async () => {
    const operation = await only(documentOf({ itemSchema: text }))
    expect(() => openapi.prepare(operation, { body: { a: 1 } }, target)).toThrow(/must be a list of parts/)
  })
})

describe('a list under a content type', () => {
  const json = { t: { contentType: 'application/json' } }
  test.each<[string, Setting, string[]]>([
    ['a part each', { encoding: json }, ['t application/json: 1', 't application/json: 2']],
    ['a part each, in 3.0', { encoding: json, version: '3.0.4' }, ['t application/json: 1', 't application/json: 2']],
    ['a pair in a form', { encoding: json, type: 'application/x-www-form-urlencoded' }, ['t=%5B1%2C2%5D']],
    [
      'a pair each in a form of 3.2',
      { encoding: json, type: 'application/x-www-form-urlencoded', version: '3.2.0' },
      ['t=1', 't=2'],
    ],
  ])('of JSON is %s', async (_, setting, parts) => {
    expect(await partsOf(object({ t: list({ type: 'integer' }) }), { t: [1, 2] }, setting)).toEqual(parts)
  })

  test('of XML has its items’ name', async () => {
    const items = object({ x: text }, { xml: { name: 'hist' } })
    const encoding = { h: { contentType: 'application/xml' } }
    expect(await partsOf(object({ h: list(items) }), { h: [{ x: '1' }, { x: '2' }] }, { encoding })).toEqual([
      'h application/xml: <hist><x>1</x></hist>',
      'h application/xml: <hist><x>2</x></hist>',
    ])
  })
})
