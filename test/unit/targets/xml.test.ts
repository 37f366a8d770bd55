/** XML bodies by the hints of their schemas: the examples of OAS 3.1.1 §4.8.26 and 3.2.0 §4.24, and what must be refused. */
import { describe, expect, it } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { openapi } from '../../../src/targets/openapi.ts'
import type { Target } from '../../../src/core/model.ts'

type Plain = { readonly [key: string]: unknown }

const target: Target = {
  name: 't',
  kind: 'openapi',
  origin: 'https://api.example.com',
  basePath: '',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
}

async function send(
  schema: Plain,
  value: Json,
  schemas: Plain = {},
  type = 'application/xml',
  openapiVersion = '3.1.0',
): Promise<string> {
  const document = {
    openapi: openapiVersion,
    info: { title: 'x', version: '1' },
    servers: [{ url: 'https://api.example.com' }],
    paths: { '/x': { post: { operationId: 'x', requestBody: { content: { [type]: { schema } } } } } },
    components: { schemas },
  }
  const { operations } = await openapi.load(Buffer.from(JSON.stringify(document)), {})
  const [operation] = operations
  if (operation === undefined) throw new Error('no operation')
  return String(openapi.prepare(operation, { body: value }, target).body)
}

const object = (properties: Plain, xml?: Plain): Plain => ({
  type: 'object',
  properties,
  ...(xml === undefined ? {} : { xml }),
})
const text = { type: 'string' }
const person = { $ref: '#/components/schemas/Person' }
const animals = (array: Plain, items: Plain = {}): Plain =>
  object({ animals: { type: 'array', items: { ...text, ...items }, ...array } }, { name: 'zoo' })

describe('an XML body', () => {
  it.each<[what: string, schema: Plain, value: Json, xml: string, schemas?: Plain]>([
    [
      'is named by its component',
      person,
      { name: 'A' },
      '<Person><name>A</name></Person>',
      { Person: object({ name: text }) },
    ],
    [
      'is named by its hint',
      person,
      { name: 'A' },
      '<human><name>A</name></human>',
      { Person: object({ name: text }, { name: 'human' }) },
    ],
    ['of a text with a name is an element', { ...text, xml: { name: 'msg' } }, 'a<b', '<msg>a&lt;b</msg>'],
    ['of a number with a name is an element', { type: 'integer', xml: { name: 'n' } }, 5, '<n>5</n>'],
    ['of a text without one is the caller’s', text, '<r/>', '<r/>'],
    ['without a name of its own is called root', object({ a: text }), { a: 'x' }, '<root><a>x</a></root>'],
    ['renames members', object({ a: { ...text, xml: { name: 'b' } } }), { a: 'x' }, '<root><b>x</b></root>'],
    [
      'has attributes',
      object({ id: { type: 'integer', xml: { attribute: true } }, a: text }),
      { a: 'x', id: 1 },
      '<root id="1"><a>x</a></root>',
    ],
    [
      'has attributes by nodeType',
      object({ id: { ...text, xml: { nodeType: 'attribute', name: 'key' } } }),
      { id: 'a"b\n' },
      '<root key="a&quot;b&#xA;"/>',
    ],
    [
      'declares a prefix where it is used',
      object({ a: { ...text, xml: { prefix: 'p', namespace: 'urn:n' } } }),
      { a: 'x' },
      '<root><p:a xmlns:p="urn:n">x</p:a></root>',
    ],
    [
      'declares a namespace once',
      object({
        a: object({ b: { ...text, xml: { prefix: 'p', namespace: 'urn:n' } } }, { prefix: 'p', namespace: 'urn:n' }),
      }),
      { a: { b: 'x' } },
      '<root><p:a xmlns:p="urn:n"><p:b>x</p:b></p:a></root>',
    ],
    [
      'declares a default namespace',
      object({ a: text }, { name: 'r', namespace: 'urn:n' }),
      { a: 'x' },
      '<r xmlns="urn:n"><a>x</a></r>',
    ],
    [
      'repeats a list’s name',
      animals({}),
      { animals: ['cat', 'dog'] },
      '<zoo><animals>cat</animals><animals>dog</animals></zoo>',
    ],
    [
      'names items by their own hint',
      animals({ xml: { name: 'aliens' } }, { xml: { name: 'animal' } }),
      { animals: ['cat', 'dog'] },
      '<zoo><animal>cat</animal><animal>dog</animal></zoo>',
    ],
    [
      'wraps a list in its own name',
      animals({ xml: { wrapped: true } }),
      { animals: ['cat'] },
      '<zoo><animals><animals>cat</animals></animals></zoo>',
    ],
    [
      'wraps a list in another name',
      animals({ xml: { name: 'aliens', wrapped: true } }),
      { animals: ['cat'] },
      '<zoo><aliens><aliens>cat</aliens></aliens></zoo>',
    ],
    [
      'wraps a list of named items',
      animals({ xml: { name: 'aliens', wrapped: true } }, { xml: { name: 'animal' } }),
      { animals: ['cat'] },
      '<zoo><aliens><animal>cat</animal></aliens></zoo>',
    ],
    [
      'wraps a list by nodeType',
      animals({ xml: { nodeType: 'element' } }, { xml: { name: 'animal' } }),
      { animals: ['cat'] },
      '<zoo><animals><animal>cat</animal></animals></zoo>',
    ],
    ['keeps an empty wrapped list', animals({ xml: { wrapped: true } }), { animals: [] }, '<zoo><animals/></zoo>'],
    [
      'can be a list itself',
      { type: 'array', items: { ...text, xml: { name: 'a' } }, xml: { name: 'as' } },
      ['x', 'y'],
      '<as><a>x</a><a>y</a></as>',
    ],
    [
      'has text beside attributes',
      object({ lang: { ...text, xml: { attribute: true } }, value: { ...text, xml: { nodeType: 'text' } } }),
      { lang: 'en', value: 'a<b' },
      '<root lang="en">a&lt;b</root>',
    ],
    [
      'has CDATA',
      object({ value: { ...text, xml: { nodeType: 'cdata' } } }),
      { value: 'a]]>b' },
      '<root><![CDATA[a]]]]><![CDATA[>b]]></root>',
    ],
    ['escapes text', object({ a: text }), { a: '<&>\r\u{1f600}' }, '<root><a>&lt;&amp;&gt;&#xD;\u{1f600}</a></root>'],
    ['leaves null out', object({ a: text, b: text }), { a: null, b: 'x' }, '<root><b>x</b></root>'],
    [
      'writes numbers and truth',
      object({ a: { type: 'number' }, b: { type: 'boolean' } }),
      { a: 1.5, b: false },
      '<root><a>1.5</a><b>false</b></root>',
    ],
    [
      'has members that the schema does not name',
      { type: 'object', additionalProperties: { ...text, xml: { attribute: true } } },
      { a: 'x' },
      '<root a="x"/>',
    ],
    [
      'takes the hints of every branch',
      { allOf: [object({ a: { ...text, xml: { attribute: true } } }), object({ b: text })] },
      { a: '1', b: '2' },
      '<root a="1"><b>2</b></root>',
    ],
    [
      'recurses',
      person,
      { id: '1', child: { id: '2' } },
      '<Person id="1"><child id="2"/></Person>',
      { Person: object({ id: { ...text, xml: { attribute: true } }, child: person }) },
    ],
    [
      'takes a referenced schema’s own name',
      object({ owner: person }),
      { owner: { n: 'A' } },
      '<root><human><n>A</n></human></root>',
      { Person: object({ n: text }, { name: 'human' }) },
    ],
    [
      'reads lists of references',
      object({ all: { type: 'array', items: person, xml: { wrapped: true } } }),
      { all: [{ n: 'A' }] },
      '<root><all><human><n>A</n></human></all></root>',
      { Person: object({ n: text }, { name: 'human' }) },
    ],
    [
      'takes no hint that is no name',
      object({ a: { ...text, xml: { name: 'a b', prefix: '<', namespace: '' } } }),
      { a: 'x' },
      '<root><a>x</a></root>',
    ],
    ['is the caller’s own text where the schema has no structure', text, '<a/>', '<a/>'],
    [
      'goes by the raw names of renamed keys',
      object({ 'a:b': { ...text, xml: { attribute: true } } }),
      { a_b: 'x' },
      '<root a:b="x"/>',
    ],
  ])('%s', async (_what, schema, value, xml, schemas) => {
    expect(await send(schema, value, schemas)).toBe(xml)
  })

  it.each<[what: string, schema: Plain, value: Json]>([
    ['a member that is no element name', { type: 'object', additionalProperties: text }, { 'a b': 'x' }],
    ['a member that would close a tag', { type: 'object', additionalProperties: text }, { 'a><b': 'x' }],
    ['a control character', object({ a: text }), { a: '\u0000' }],
    ['half of a surrogate pair', object({ a: text }), { a: '\ud800' }],
    [
      'an attribute’s name with a quote',
      { type: 'object', additionalProperties: { ...text, xml: { attribute: true } } },
      { 'a"': 'x' },
    ],
  ])('is not built from %s', async (_what, schema, value) => {
    await expect(send(schema, value)).rejects.toMatchObject({ code: 'request_unbuildable' })
  })

  it('stands in a part of its own media type', async () => {
    const document = {
      openapi: '3.1.0',
      info: { title: 'x', version: '1' },
      servers: [{ url: 'https://api.example.com' }],
      paths: {
        '/x': {
          post: {
            operationId: 'x',
            requestBody: {
              content: {
                'multipart/form-data': {
                  schema: object({ meta: object({ id: { ...text, xml: { attribute: true } } }, { name: 'm' }) }),
                  encoding: { meta: { contentType: 'application/xml' } },
                },
              },
            },
          },
        },
      },
    }
    const { operations } = await openapi.load(Buffer.from(JSON.stringify(document)), {})
    const [operation] = operations
    if (operation === undefined) throw new Error('no operation')
    const request = openapi.prepare(operation, { body: { meta: { id: '1' } } }, target)
    expect(Buffer.from(request.body ?? '').toString()).toContain('Content-Type: application/xml\r\n\r\n<m id="1"/>\r\n')
  })
})

describe('XML from 3.2 on', () => {
  const element = (name?: string): Plain => ({ xml: { nodeType: 'element', ...(name === undefined ? {} : { name }) } })
  const attribute = { ...text, xml: { nodeType: 'attribute' } }
  const inner = { ...text, xml: { nodeType: 'text' } }
  const two = { ...object({ unit: attribute, value: inner }), xml: { name: 'Two' } }
  const xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"'

  it.each<[what: string, schema: Plain, value: Json, xml: string]>([
    [
      'items by their places (OAS 3.2.0 §4.24.9, OneTwoThree)',
      {
        type: 'array',
        ...element('OneTwoThree'),
        prefixItems: [{ ...text, xml: { name: 'One' } }, two, { type: ['boolean', 'null'], xml: { name: 'Three' } }],
      },
      ['Some text', { unit: 'cubits', value: '42' }, null],
      `<OneTwoThree><One>Some text</One><Two unit="cubits">42</Two><Three ${xsi}/></OneTwoThree>`,
    ],
    [
      'text between elements (Report)',
      { type: 'array', ...element('Report'), prefixItems: [inner, { ...text, xml: { name: 'data' } }, inner] },
      ['Pre', '42', 'post'],
      '<Report>Pre<data>42</data>post</Report>',
    ],
    [
      'items behind the first ones',
      {
        type: 'array',
        ...element('r'),
        prefixItems: [{ ...text, xml: { name: 'a' } }],
        items: { ...text, xml: { name: 'b' } },
      },
      ['1', '2', '3'],
      '<r><a>1</a><b>2</b><b>3</b></r>',
    ],
    [
      'a component’s name for what refers to it',
      object({ owner: person }, { name: 'r' }),
      { owner: { name: 'A' } },
      '<r><Person><name>A</name></Person></r>',
    ],
    [
      'a component’s name for items that refer to it',
      object({ list: { type: 'array', items: person, ...element() } }, { name: 'r' }),
      { list: [{ name: 'A' }] },
      '<r><list><Person><name>A</name></Person></list></r>',
    ],
    [
      'an element around a reference',
      object({ owner: { ...person, ...element('wrapper') } }, { name: 'r' }),
      { owner: { name: 'A' } },
      '<r><wrapper><Person><name>A</name></Person></wrapper></r>',
    ],
    [
      'an element around the root',
      { ...person, ...element('New') },
      { name: 'A' },
      '<New><Person><name>A</name></Person></New>',
    ],
    [
      'no element for a list that is a component',
      object({ all: { $ref: '#/components/schemas/All' } }, { name: 'r' }),
      { all: ['x'] },
      '<r><i>x</i></r>',
    ],
  ])('has %s', async (_, schema, value, xml) => {
    const schemas = {
      Person: object({ name: text }),
      All: { type: 'array', items: { ...text, xml: { name: 'i' } } },
    }
    expect(await send(schema, value, schemas, 'application/xml', '3.2.0')).toBe(xml)
  })
})

describe('a sequence of JSON values', () => {
  it.each([
    ['application/x-ndjson', '{"a":1}\n{"a":2}\n'],
    ['application/jsonl', '{"a":1}\n{"a":2}\n'],
    ['application/geo+json-seq', '\u001e{"a":1}\n\u001e{"a":2}\n'],
    ['application/json-seq', '\u001e{"a":1}\n\u001e{"a":2}\n'],
  ])('goes one a line as %s', async (type, body) => {
    expect(
      await send({ type: 'array', items: object({ a: { type: 'integer' } }) }, [{ a: 1 }, { a: 2 }], {}, type),
    ).toBe(body)
  })
})
