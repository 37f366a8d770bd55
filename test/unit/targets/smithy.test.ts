/** A Smithy model of a restJson1 service becomes operations: what each trait comes to, in schemas and on the wire. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Json, Operation, OutboundRequest } from '../../../src/core/model.ts'
import type { ImportOptions, ImportResult } from '../../../src/targets/adapter.ts'
import { smithy } from '../../../src/targets/smithy.ts'
import { bytesOf, codeOf, codes, type Plain, target, textOf, wordsOf } from './support.ts'

const fixture = (name: string): Buffer => readFileSync(join(import.meta.dirname, '../../fixtures/smithy', name))
const inRegion = (region: string): ImportOptions => ({ serverVariables: new Map([['region', region]]) })

let shop: ImportResult

beforeAll(async () => {
  shop = await smithy.load(fixture('shop.json'), inRegion('eu-central-1'))
})

function find(id: string, from: ImportResult = shop): Operation {
  const found = from.operations.find((operation) => operation.id === id)
  if (found === undefined) throw new Error(`the model gave no ${id}`)
  return found
}

const send = (id: string, args: { readonly [name: string]: Json }): OutboundRequest =>
  smithy.prepare(find(id), args, target)

const pathOf = ({ url }: OutboundRequest): string => url.slice('https://api.example.test/v1'.length)

const thrown = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return 'nothing was thrown'
}

const inputOf = (id: string): { properties: Plain; required?: string[]; $defs?: Plain } =>
  find(id).input as unknown as { properties: Plain; required?: string[]; $defs?: Plain }

describe('the operations', () => {
  it('are those of the service and of its resources, each once, though a resource holds itself', () => {
    expect(shop.operations.map(({ id }) => id).sort()).toEqual(
      [
        ...['CancelOrder', 'CountOrders', 'CreateOrder', 'Describe', 'GetLine', 'GetOrder', 'GetReport', 'Legacy'],
        ...['ListOrders', 'PutNote', 'Routed', 'SearchItems', 'ShipOrder', 'UploadPhoto'],
      ].sort(),
    )
    expect(shop.format).toBe('smithy-2.0')
  })

  it.each([
    ['SearchItems', 'read', true],
    ['Describe', 'read', true],
    ['PutNote', 'write', true],
    ['CreateOrder', 'write', false],
    ['CancelOrder', 'delete', true],
    ['ShipOrder', 'write', false],
  ])('%s has the effect that its traits tell: %s', (id, effect, idempotent) => {
    expect(find(id)).toMatchObject({ effect, idempotent })
  })

  it('are told in plain text', () => {
    expect(find('SearchItems').description).toBe('Finds items.\nAll of them.')
    expect(find('Legacy').description).toBe('Deprecated. Use Describe.\n\nOld.')
  })

  it('that stream or choose their host are left out, each with a reason', () => {
    const left = shop.issues.filter(({ code }) => code === 'unread_operation')
    expect(left.map(({ pointer }) => pointer)).toEqual([
      '/shapes/example.shop#Watch',
      '/shapes/example.shop#Upload',
      '/shapes/example.shop#HostBound',
    ])
  })

  it('come of Smithy 1.0 as well', async () => {
    const old = await smithy.load(fixture('blocks-1.0.json'), inRegion('us-gov-west-1'))
    expect(old).toMatchObject({ format: 'smithy-1.0', server: 'https://blocks.us-gov-west-1.amazonaws.com' })
    expect(find('ListBlocks', old).input).toMatchObject({
      properties: {
        SnapshotId: { type: 'string' },
        Checksum: { enum: ['SHA256'] },
        body: { properties: { Size: { type: 'integer' } } },
      },
      required: ['SnapshotId'],
    })
  })
})

describe('the input schema', () => {
  it('names arguments as the model names members, with the constraints of both', () => {
    expect(inputOf('SearchItems').properties).toMatchObject({
      nextToken: { type: 'string', description: 'From the page before.' },
      maxResults: { type: 'integer', minimum: 1, maximum: 10 },
      words: { type: 'array', items: { type: 'string' } },
      when: { type: 'string', format: 'date-time' },
      since: { type: 'number' },
      color: { enum: ['red', 'green'] },
      size: { type: 'integer', enum: [1, 2] },
      more: { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
    })
  })

  it('tells structures, unions, recursion and every simple shape', () => {
    const { Item, Payment } = inputOf('Describe').$defs ?? {}
    expect(Item).toEqual({
      type: 'object',
      properties: {
        'item-id': { type: 'string' },
        name: {
          type: 'string',
          description: 'What it is called.\n- short\n- `lower` case & plain',
          minLength: 1,
          maxLength: 64,
          pattern: '^[a-z]+$',
        },
        color: { type: 'string', enum: ['red', 'green'] },
        size: { type: 'integer', enum: [1, 2] },
        grade: { type: 'string', enum: ['A', 'B'] },
        price: { type: 'number', default: 0 },
        made: { type: 'number', description: 'Seconds since 1970-01-01T00:00:00Z.' },
        sold: { type: 'string', format: 'date-time' },
        picture: { type: 'string', contentEncoding: 'base64' },
        secret: { type: 'string', format: 'password' },
        parts: { $ref: '#/$defs/Items' },
        labels: { type: 'array', maxItems: 5, uniqueItems: true, items: { type: 'string' } },
        gaps: { type: 'array', items: { type: ['string', 'null'] } },
        tags: { type: 'object', maxProperties: 50, additionalProperties: { type: 'string' } },
        extra: {},
        payment: { $ref: '#/$defs/Payment' },
        old: { type: 'string', description: 'Use name.', deprecated: true },
      },
      required: ['item-id'],
      additionalProperties: false,
    })
    const tagged = (Payment as { oneOf: { required: string[] }[] }).oneOf
    expect(tagged.map(({ required }) => required)).toEqual([['card'], ['cash'], ['rest']])
  })

  it('asks for no idempotency token', () => {
    expect(inputOf('CreateOrder').required).toEqual(['body'])
    expect((inputOf('CreateOrder').properties['body'] as { required: string[] }).required).toEqual(['item'])
  })
})

describe('the output schema', () => {
  it('has what the body holds, and leaves room for values that the model does not know yet', () => {
    const output = find('SearchItems').output as { properties: Plain; $defs: { [name: string]: Plain } }
    expect(Object.keys(output.properties)).toEqual(['items', 'nextToken'])
    expect(output.$defs['Item_output']).toMatchObject({ properties: { color: { type: ['string', 'null'] } } })
    expect(output.$defs['Item_output']).not.toHaveProperty('required')
  })

  it('is that of the payload where there is one, and none for bytes', () => {
    expect(find('UploadPhoto').output).toMatchObject({ properties: { 'item-id': {} } })
    expect(find('GetReport').output).toBeUndefined()
  })
})

describe('a request', () => {
  it.each([
    ['repeats a list', { words: ['a b', 'ü'] }, '&w=a%20b&w=%C3%BC'],
    [
      'writes a time as its format says',
      { when: '2024-01-01T00:00:00Z', since: 5 },
      '&when=2024-01-01T00%3A00%3A00Z&since=5',
    ],
    ['spreads a map, but never over a parameter', { more: { q: ['1', '2'], w: ['x'], plain: ['y'] } }, '&q=1&q=2'],
    ['leaves out null and an empty list', { words: [], exact: null }, ''],
  ])('%s in the query', (_name, args, query) => {
    expect(pathOf(send('SearchItems', args))).toBe(`/items?list-type=2&plain${query}`)
  })

  it('puts headers as restJson1 writes them', () => {
    const { headers } = send('SearchItems', {
      flags: ['plain', 'a, b', 'say "x"'],
      note: '{"a":1}',
      wants: 'text/csv',
      ifModified: 'Tue, 29 Apr 2014 18:30:38 GMT',
    })
    expect(Object.fromEntries(headers)).toEqual({
      accept: 'text/csv',
      'x-flags': 'plain,"a, b","say \\"x\\""',
      'x-note': Buffer.from('{"a":1}').toString('base64'),
      'if-modified-since': 'Tue, 29 Apr 2014 18:30:38 GMT',
    })
  })

  it('keeps the slashes of a greedy label and no others', () => {
    const args = { bucket: 'a/b', key: 'x y/z?/{1}', body: 'hello', meta: { Color: 'red' }, type: 'text/markdown' }
    const request = send('PutNote', args)
    expect(pathOf(request)).toBe('/notes/a%2Fb/x%20y/z%3F/%7B1%7D')
    expect(request.body).toBe('hello')
    expect(Object.fromEntries(request.headers)).toMatchObject({
      'content-type': 'text/markdown',
      'x-meta-color': 'red',
      'content-md5': createHash('md5').update('hello').digest('base64'),
    })
  })

  it.each([
    ['leaves the path', { bucket: 'b', key: 'a/../../c', body: '' }, /must not be `\.` or `\.\.`/],
    ['is empty', { bucket: 'b', key: '', body: '' }, /`key` is part of the path/],
    [
      'sets a header with a line break',
      { bucket: 'b', key: 'k', body: '', meta: { a: 'x\r\ny: z' } },
      /control characters/,
    ],
    ['names no header', { bucket: 'b', key: 'k', body: '', meta: { 'a b': 'x' } }, /not the name of a header/],
  ])('is refused where an argument %s', (_name, args, words) => {
    expect(thrown(() => send('PutNote', args))).toMatch(words)
  })

  it('has bytes under their media type', () => {
    const request = send('UploadPhoto', { body: Buffer.from([1, 2]).toString('base64') })
    expect([...Buffer.from(request.body ?? '')]).toEqual([1, 2])
    expect(request.headers.get('content-type')).toBe('image/png')
  })

  it('has an empty object for a structure that is left out', () => {
    expect(send('Describe', {}).body).toBe('{}')
  })

  it('fills tokens that are left out, and only those', () => {
    const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
    const filled = send('CreateOrder', { body: { item: { 'item-id': '1' } } })
    expect(JSON.parse(textOf(filled))).toEqual({ item: { 'item-id': '1' }, clientToken: expect.stringMatching(uuid) })
    expect(filled.headers.get('x-token')).toMatch(uuid)
    const own = send('CreateOrder', { body_header: 'b', orderToken: 't', body: { item: {}, clientToken: 'c' } })
    expect(JSON.parse(textOf(own))).toEqual({ item: {}, clientToken: 'c' })
    expect(own.headers.get('x-token')).toBe('t')
    expect(own.headers.get('x-body')).toBe('b')
  })

  it('leaves the credential’s place to the credential', async () => {
    const guarded = await smithy.load(fixture('shop.json'), {
      ...inRegion('eu-central-1'),
      credentialPlace: { in: 'header', name: 'x-token' },
    })
    expect(codes(guarded.issues)).toContain('credential_parameter')
    const request = smithy.prepare(find('CreateOrder', guarded), { body: { item: {} } }, target)
    expect(request.headers.has('x-token')).toBe(false)
    for (const place of [{ in: 'header', name: 'X-Meta-Key' } as const, { in: 'query', name: 'key' } as const]) {
      const { operations } = await smithy.load(fixture('shop.json'), { credentialPlace: place })
      const [note, search] = ['PutNote', 'SearchItems'].map((id) => operations.find((each) => each.id === id))
      if (note === undefined || search === undefined) throw new Error('both are there')
      if (place.in === 'query')
        expect(pathOf(smithy.prepare(search, { more: { key: ['k'] } }, target))).toBe('/items?list-type=2&plain')
      else
        expect(
          thrown(() => smithy.prepare(note, { bucket: 'b', key: 'k', body: '', meta: { KEY: 'k' } }, target)),
        ).toMatch(/not the name of a header/)
    }
  })
})

describe('the server', () => {
  it.each([
    ['eu-central-1', 'https://shop.eu-central-1.amazonaws.com', 'shop'],
    ['cn-north-1', 'https://shop.cn-north-1.amazonaws.com.cn', 'shop'],
    ['us-gov-west-1', 'https://shop.us-gov-west-1.amazonaws.com', 'shop-gov'],
  ])('in %s is %s, signed for %s', async (region, server, signing) => {
    const result = await smithy.load(fixture('shop.json'), inRegion(region))
    expect(result.server).toBe(server)
    const told = result.issues.find(({ code }) => code === 'signing_name')
    expect(told?.message).toContain(`the service \`${signing}\` and region \`${region}\``)
  })

  it('of an operation with a host prefix is its own', () => {
    expect(find('Routed').binding).toMatchObject({ server: { origin: 'https://data.shop.eu-central-1.amazonaws.com' } })
  })

  it.each([
    ['no region', {}, 'The model says: Invalid Configuration: Missing Region'],
    ['a region that is no host', inRegion('evil.example/'), 'not a host label'],
  ])('is not there with %s, and the reason is told', async (_name, options, words) => {
    const result = await smithy.load(fixture('shop.json'), options)
    expect(result.server).toBeUndefined()
    expect(result.issues.find(({ code }) => code === 'no_endpoint')?.message).toContain(words)
  })

  it('is the configured one before any', async () => {
    const result = await smithy.load(fixture('shop.json'), { server: 'http://127.0.0.1:9/base' })
    expect(result.server).toBe('http://127.0.0.1:9/base')
    expect(codes(result.issues)).not.toContain('no_endpoint')
    expect(find('Routed', result).binding).not.toHaveProperty('server')
  })
})

describe('a model that is not read', () => {
  const service = (...protocols: string[]): Plain => ({
    smithy: '2.0',
    shapes: { 'a#S': { type: 'service', traits: Object.fromEntries(protocols.map((name) => [name, {}])) } },
  })

  it.each([
    ['awsJson1_0', service('aws.protocols#awsJson1_0')],
    ['awsJson1_1', service('aws.protocols#awsJson1_1')],
    ['restXml', service('aws.protocols#restXml')],
    ['awsQuery', service('aws.protocols#awsQuery')],
    ['ec2Query', service('aws.protocols#ec2Query')],
    ['rpcv2Cbor', service('smithy.protocols#rpcv2Cbor')],
    ['no protocol that is known here', service('aws.protocols#httpChecksum')],
  ])('speaks %s, and is told so', async (name, model) => {
    const words = await wordsOf(smithy.load(bytesOf(model), {}))
    expect(words).toBe(`The service of this Smithy model speaks ${name}; only restJson1 is read.`)
  })

  it.each([
    ['no JSON', '$version: "2"\nnamespace a'],
    ['a list', '[]'],
    ['another version', '{"smithy":"3.0","shapes":{}}'],
    ['no shapes', '{"smithy":"2.0"}'],
    ['no service', '{"smithy":"2.0","shapes":{}}'],
  ])('is %s', async (_name, text) => {
    expect(await codeOf(smithy.load(bytesOf(text), {}))).toBe('bad_description')
  })
})
