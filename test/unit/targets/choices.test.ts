/** What the configuration chooses at import: servers by argument, media types, words; and schemas made smaller. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, it } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { openapi } from '../../../src/targets/openapi.ts'
import { shareSubtrees } from '../../../src/targets/openapi/share.ts'
import { document3, load, only, type Plain, requestBody, target } from './support.ts'

describe('server variables that callers choose', () => {
  const servers = [
    {
      url: 'https://{region}.example.test/{stage}',
      variables: {
        region: { enum: ['eu', 'us'], default: 'eu', description: 'Where the data lies' },
        stage: { enum: ['v1', 'beta'], default: 'v1' },
        free: { default: 'x' },
      },
    },
  ]
  const pets = (more: Plain = {}): Plain =>
    document3({ '/pets': { get: { operationId: 'pets', ...more } } }, { servers })
  const urlOf = async (
    args: { [name: string]: Json },
    serverArguments: string[],
    more: Plain = {},
  ): Promise<string> => {
    const operation = await only(pets(more), { serverArguments })
    return openapi.prepare(operation, args, { ...target, origin: 'https://eu.example.test', basePath: '/v1' }).url
  }

  it('become arguments with their values, defaults and words', async () => {
    const { input } = await only(pets(), { serverArguments: ['region'] })
    expect(input['properties']).toEqual({
      region: { type: 'string', description: 'Where the data lies', enum: ['eu', 'us'], default: 'eu' },
    })
    expect(input['required']).toBeUndefined()
  })

  it.each<[args: { [name: string]: Json }, names: string[], url: string]>([
    [{}, ['region'], 'https://eu.example.test/v1/pets'],
    [{ region: 'us' }, ['region'], 'https://us.example.test/v1/pets'],
    [{ stage: 'beta' }, ['region', 'stage'], 'https://eu.example.test/beta/pets'],
    [{ region: 'us', stage: 'beta' }, ['region', 'stage'], 'https://us.example.test/beta/pets'],
  ])('lead %j with %j to %s', async (args, names, url) => {
    expect(await urlOf(args, names)).toBe(url)
  })

  it('have their default from the configuration', async () => {
    const operation = await only(pets(), { serverArguments: ['region'], serverVariables: new Map([['region', 'us']]) })
    expect(operation.input).toMatchObject({ properties: { region: { default: 'us' } } })
    expect(openapi.prepare(operation, {}, target).url).toBe('https://us.example.test/v1/pets')
  })

  it('are named apart from a parameter', async () => {
    const parameters = [{ name: 'region', in: 'query', schema: { type: 'string' } }]
    expect(await urlOf({ region: 'r', region_server: 'us' }, ['region'], { parameters })).toBe(
      'https://us.example.test/v1/pets?region=r',
    )
  })

  it('must be one of the values', async () => {
    await expect(urlOf({ region: 'evil.test#' }, ['region'])).rejects.toMatchObject({ code: 'request_unbuildable' })
  })

  it('are no arguments unless they are asked for, enumerated, and no server is configured', async () => {
    for (const options of [
      {},
      { serverArguments: ['free'] },
      { serverArguments: ['region'], server: 'https://a.test' },
    ])
      expect((await only(pets(), options)).input['properties']).toEqual({})
  })

  it('tell where the credential may go besides', async () => {
    expect((await load(pets(), { serverArguments: ['region'] })).origins).toEqual(['https://us.example.test'])
    expect((await load(pets())).origins).toEqual([])
  })
})

describe('a media type that is asked for', () => {
  const body = {
    required: true,
    content: {
      'application/json': { schema: { type: 'object' } },
      'application/x-www-form-urlencoded': { schema: { type: 'object', properties: { a: { type: 'string' } } } },
      'application/octet-stream': {},
    },
  }
  const operation = (contentTypes: [string, string][]) =>
    only(document3({ '/x': { post: { operationId: 'x', requestBody: body } } }), {
      contentTypes: new Map(contentTypes),
    })

  it.each<[asked: [string, string][], sent: string]>([
    [[], 'application/json'],
    [[['', 'application/octet-stream']], 'application/octet-stream'],
    [[['x', 'application/x-www-form-urlencoded']], 'application/x-www-form-urlencoded'],
    [
      [
        ['POST /x', 'application/octet-stream'],
        ['', 'application/json'],
      ],
      'application/octet-stream',
    ],
    [[['', 'text/plain']], 'application/json'],
  ])('%j', async (asked, sent) => {
    const made = await operation(asked)
    expect(
      openapi
        .prepare(made, { body: sent.endsWith('stream') ? 'AA==' : { a: '1' } }, target)
        .headers.get('content-type'),
    ).toBe(sent)
  })

  it('and is not there is told, with those that are', async () => {
    const document = document3({ '/x': { post: { operationId: 'x', requestBody: body } } })
    const { issues } = await load(document, { contentTypes: new Map([['x', 'text/plain']]) })
    expect(issues).toMatchObject([
      { code: 'content_type', message: expect.stringContaining('application/octet-stream') },
    ])
  })
})

describe('the words of a tool', () => {
  const words = async (operation: Plain, chars?: number): Promise<string> =>
    (await only(document3({ '/x': { get: operation } }), chars === undefined ? {} : { descriptionChars: chars }))
      .description

  it.each<[what: string, operation: Plain, description: string]>([
    [
      'what comes back, where that is told',
      { summary: 'Look up', responses: { 200: { description: 'The order with its lines.' } } },
      'Look up\n\nReturns: The order with its lines.',
    ],
    [
      'its first sentence only',
      { summary: 'Look up', responses: { 200: { description: 'The order with its lines. Lines are sorted.' } } },
      'Look up\n\nReturns: The order with its lines.',
    ],
    [
      'its summary first (3.2)',
      { summary: 'Look up', responses: { 200: { summary: 'One whole order', description: 'x' } } },
      'Look up\n\nReturns: One whole order',
    ],
    [
      'nothing that says nothing',
      { summary: 'Look up', responses: { 200: { description: 'A successful response.' } } },
      'Look up',
    ],
    [
      'nothing said before',
      { summary: 'Get the order with lines', responses: { 200: { description: 'the order with lines' } } },
      'Get the order with lines',
    ],
    [
      'nothing of a failure',
      { summary: 'Look up', responses: { 404: { description: 'There is no such order.' } } },
      'Look up',
    ],
  ])('name %s', async (_what, operation, description) => {
    expect(await words(operation)).toBe(description)
  })

  it('are as many as the configuration allows', async () => {
    const description = 'A sentence of words. '.repeat(20)
    expect((await words({ description }, 100)).length).toBeLessThanOrEqual(100)
    expect((await words({ description }, 100)).endsWith('.')).toBe(true)
    expect((await words({ description })).length).toBeGreaterThan(300)
  })
})

describe('hints for a model', () => {
  const member = async (schema: Plain): Promise<unknown> => {
    const { input } = await only(
      document3({ '/x': { post: { requestBody: requestBody({ type: 'object', properties: { a: schema } }) } } }),
    )
    return (input as { properties: { body: { properties: { a: unknown } } } }).properties.body.properties.a
  }

  it.each<[what: string, schema: Plain, examples: unknown]>([
    ['a short one', { type: 'string', example: 'ORD-1' }, ['ORD-1']],
    ['a number', { type: 'integer', example: 7 }, [7]],
    ['the first of several', { type: 'string', examples: ['a', 'b'] }, ['a']],
    ['none that is long', { type: 'string', example: 'x'.repeat(33) }, undefined],
    ['none beside an enumeration', { type: 'string', enum: ['a'], example: 'a' }, undefined],
    ['none beside a default', { type: 'string', default: 'a', example: 'b' }, undefined],
    ['none of another type', { type: 'integer', example: 'x' }, undefined],
    ['none of an object', { type: 'object', example: { a: 1 } }, undefined],
  ])('an example: %s', async (_what, schema, examples) => {
    expect(((await member(schema)) as { examples?: unknown }).examples).toEqual(examples)
  })

  it('tell which value of a discriminator goes with which branch', async () => {
    const { input } = await only(
      document3(
        {
          '/x': {
            post: {
              requestBody: requestBody({
                oneOf: [{ $ref: '#/components/schemas/Cat' }, { $ref: '#/components/schemas/Dog' }],
                discriminator: { propertyName: 'kind', mapping: { hound: '#/components/schemas/Dog', dog: 'Dog' } },
              }),
            },
          },
        },
        { components: { schemas: { Cat: { type: 'object' }, Dog: { type: 'object' } } } },
      ),
    )
    expect(input).toMatchObject({
      properties: { body: { description: '`kind` tells which, in this order: Cat, hound or dog.' } },
    })
  })
})

describe('an enumeration on a list', () => {
  it('is one of its items', async () => {
    const { input } = await only(
      document3({
        '/x': {
          get: {
            parameters: [
              { name: 'a', in: 'query', schema: { type: 'array', items: { type: 'string' }, enum: ['x', 'y'] } },
            ],
          },
        },
      }),
    )
    expect(input['properties']).toMatchObject({ a: { type: 'array', items: { type: 'string', enum: ['x', 'y'] } } })
  })
})

describe('subtrees that stand twice', () => {
  const address = (): Plain => ({
    type: 'object',
    properties: {
      street: { type: 'string', description: 'Street and number, as on a letter' },
      city: { type: 'string' },
      zip: { type: 'string', pattern: '^[0-9]{5}$' },
    },
    required: ['street', 'city'],
  })
  const order = { type: 'object', properties: { from: address(), to: address(), note: { type: 'string' } } }

  it('become one definition, called like the member they were met under', () => {
    expect(shareSubtrees(order)).toEqual({
      type: 'object',
      properties: { from: { $ref: '#/$defs/from' }, to: { $ref: '#/$defs/from' }, note: { type: 'string' } },
      $defs: { from: address() },
    })
  })

  it('stay where they are when they are short, or differ in a word', () => {
    const small = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } }
    expect(shareSubtrees(small)).toBe(small)
    const differing = { ...order, properties: { from: address(), to: { ...address(), description: 'Where to' } } }
    expect(shareSubtrees(differing)).toBe(differing)
  })

  it('of definitions that are there are referred to by their names', () => {
    const out = shareSubtrees({ ...order, $defs: { Address: address(), Same: address(), from: { type: 'null' } } })
    expect(out).toMatchObject({ $defs: { Address: address(), Same: address(), from: { type: 'null' } } })
    const { from } = out['properties'] as { from: { $ref: string } }
    expect(['#/$defs/Address', '#/$defs/Same']).toContain(from.$ref)
  })

  it('leave what the schema means as it was', () => {
    const ajv = new Ajv2020({ strict: false })
    const before = ajv.compile(order)
    const after = ajv.compile(shareSubtrees(order))
    for (const value of [
      { from: { street: 'a', city: 'b' } },
      { from: { street: 'a' } },
      { to: { street: 'a', city: 'b', zip: 'x' } },
      {},
      { to: 1 },
    ])
      expect(after(value)).toBe(before(value))
  })
})
