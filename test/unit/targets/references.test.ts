/** References in schemas of a description: recursion, rings, what dangles, and bounds on it all. */
import { describe, expect, test } from 'vitest'
import { asInput, component, document3, load, only, requestBody } from './support.ts'

const text = { type: 'string' }

describe('references', () => {
  test('a tree keeps its recursion in `$defs`', async () => {
    const schemas = {
      Tree: { type: 'object', properties: { value: text, children: { type: 'array', items: component('Tree') } } },
    }
    const { schema, defs } = await asInput(component('Tree'), { schemas })
    expect(schema).toEqual({ $ref: '#/$defs/Tree' })
    expect(defs).toEqual({
      Tree: {
        type: 'object',
        properties: { value: text, children: { type: 'array', items: { $ref: '#/$defs/Tree' } } },
      },
    })
  })

  test('two schemas may hold each other (S05)', async () => {
    const schemas = {
      A: { type: 'object', properties: { b: component('B') } },
      B: { type: 'object', properties: { a: component('A') } },
    }
    const { defs } = await asInput(component('A'), { schemas })
    expect(Object.keys(defs as object)).toEqual(['A', 'B'])
  })

  test.each<[string, string, string]>([
    ['one that dangles', '#/components/schemas/Gone', 'dangling_ref'],
    ['a file', 'file:///etc/passwd', 'external_ref'],
    ['a neighbour', './other.yaml#/A', 'external_ref'],
    ['an address', 'http://169.254.169.254/x.json', 'external_ref'],
    ['a ring', '#/components/schemas/Ring', 'ring_ref'],
  ])('%s is any value, with a warning that names the place (S08, S09)', async (_, $ref, code) => {
    const { schema, issues } = await asInput(
      { type: 'object', properties: { a: { $ref, description: 'Words' } } },
      { schemas: { Ring: component('Ring') } },
    )
    expect(schema).toEqual({ type: 'object', properties: { a: { description: 'Words' } } })
    expect(issues).toMatchObject([{ severity: 'warning', code, pointer: expect.stringMatching(/\/properties\/a$/) }])
  })

  test('what stands beside a `$ref` counts from 3.1 on; before, only its prose', async () => {
    const schemas = { Name: { type: 'string', description: 'A name', minLength: 1 } }
    const schema = { type: 'object', properties: { n: { ...component('Name'), description: 'Yours', maxLength: 9 } } }
    const modern = await asInput(schema, { schemas })
    expect(modern.schema).toEqual({
      type: 'object',
      properties: { n: { type: 'string', description: 'Yours', minLength: 1, maxLength: 9 } },
    })
    const old = await asInput(schema, { schemas, version: '3.0.3' })
    expect(old.schema).toEqual({
      type: 'object',
      properties: { n: { type: 'string', description: 'Yours', minLength: 1 } },
    })
  })

  test('a reference within example data is data', async () => {
    const { schema, issues } = await asInput({
      type: 'object',
      default: { $ref: '#/gone' },
      example: { $ref: '#/gone' },
    })
    expect(schema).toEqual({ type: 'object', default: { $ref: '#/gone' } })
    expect(issues).toEqual([])
  })

  test.each<[string, { [name: string]: unknown }]>([
    ['is all of itself', { A: { allOf: [component('A')] } }],
    ['is one of itself', { A: { oneOf: [component('A')] } }],
    ['is itself by way of another', { A: { allOf: [component('B')] }, B: { anyOf: [component('A')] } }],
    [
      'refers in a ring with constraints',
      { A: { ...component('B'), minLength: 1 }, B: { ...component('A'), maxLength: 3 } },
    ],
  ])('a schema that %s ends without a bare loop (S05)', async (_, schemas) => {
    const responses = { 200: { description: '', content: { 'application/json': { schema: component('A') } } } }
    const { operations } = await load(
      document3(
        { '/a': { post: { requestBody: requestBody(component('A')), responses } } },
        { components: { schemas } },
      ),
    )
    const { $defs = {}, properties } = (operations[0]?.input ?? {}) as {
      $defs?: { [name: string]: { $ref?: string } }
      properties?: { body: { $ref?: string } }
    }
    const seen = new Set<string>()
    for (let at = properties?.body.$ref; at !== undefined; at = $defs[at.slice('#/$defs/'.length)]?.$ref) {
      expect(seen.has(at)).toBe(false)
      seen.add(at)
    }
  })

  test('definitions called like the prototype’s members stay apart', async () => {
    const schemas = { constructor: { type: 'object', properties: { self: component('constructor') } } }
    const { schema, defs } = await asInput(component('constructor'), { schemas })
    expect(schema).toEqual({ $ref: '#/$defs/constructor' })
    expect(Object.keys(defs as object)).toEqual(['constructor'])
  })
})

describe('bounds', () => {
  const chain = (length: number): { [name: string]: unknown } => ({
    ...Object.fromEntries(
      Array.from({ length }, (_, i) => [`L${i}`, { type: 'object', properties: { next: component(`L${i + 1}`) } }]),
    ),
    [`L${length}`]: { type: 'object', properties: { end: text } },
  })
  const two = (schemas: unknown): ReturnType<typeof document3> =>
    document3(
      {
        '/a': { post: { requestBody: requestBody(component('L0')) } },
        '/b': { post: { requestBody: requestBody(component('L0')) } },
      },
      { components: { schemas } },
    )

  test('a schema nested too deep costs its operation alone', async () => {
    let schema: unknown = text
    for (let i = 0; i < 150; i++) schema = { type: 'array', items: schema }
    const { operations, issues } = await load(
      document3({ '/a': { post: { requestBody: requestBody(schema) } }, '/b': { get: {} } }),
    )
    expect(operations.map(({ label }) => label)).toEqual(['GET /b'])
    expect(issues).toMatchObject([{ severity: 'error', code: 'over_limit', pointer: '/paths/~1a/post' }])
  })

  test('what one operation gave up on is no empty schema for the next', async () => {
    const { operations, issues } = await load(two(chain(200)))
    for (const { input } of operations) expect(input).toMatchObject({ properties: { body: { type: 'object' } } })
    expect(operations.length + issues.filter(({ severity }) => severity === 'error').length).toBe(2)
  })

  test('levels that each refer twice to the next stay small (S07)', async () => {
    const schemas = {
      ...Object.fromEntries(
        Array.from({ length: 14 }, (_, i) => [`L${i}`, { oneOf: [component(`L${i + 1}`), component(`L${i + 1}`)] }]),
      ),
      L14: text,
    }
    const { input } = await only(two(schemas))
    expect(JSON.stringify(input).length).toBeLessThan(5_000)
  })
})
