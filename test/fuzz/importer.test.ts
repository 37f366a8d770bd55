/** What holds of the importer for any description and any arguments. FUZZ_SEED and FUZZ_RUNS widen the search. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { toDefinition } from '../../src/catalogue/tool.ts'
import { GatewayError } from '../../src/core/errors.ts'
import type { Json, Operation, OutboundRequest, Target } from '../../src/core/model.ts'
import { openapi } from '../../src/targets/openapi.ts'
import { mutations } from './mutations.ts'
import { seedDocuments } from './seeds.ts'
import { anyJson, anyText } from './values.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? 20_260_824)
const runs = (usual: number): fc.Parameters<unknown> => ({
  seed,
  numRuns: Number(process.env['FUZZ_RUNS'] ?? usual),
  endOnFailure: false,
})

const target: Target = {
  name: 'shop',
  kind: 'openapi',
  origin: 'https://api.example.test',
  basePath: '/v1',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
}

/** The operations of a document, or none where it is refused in the words of the table; anything else thrown is a fault. */
async function operationsOf(bytes: Uint8Array): Promise<readonly Operation[]> {
  try {
    return (await openapi.load(bytes, {})).operations
  } catch (error) {
    if (error instanceof GatewayError && ['bad_description', 'over_limit'].includes(error.code)) return []
    throw error
  }
}

const combinators = ['allOf', 'anyOf', 'oneOf', 'not', '$ref']

/** A definition that is only a reference, by way of others, to itself: no validator ends on it. */
function checkLoops(
  label: string,
  { $defs = {} }: { readonly $defs?: { readonly [name: string]: { readonly $ref?: string } } },
): void {
  for (const start of Object.keys($defs)) {
    const seen = new Set([start])
    for (let to = $defs[start]?.$ref; to !== undefined; to = $defs[to.slice('#/$defs/'.length)]?.$ref) {
      expect(seen.has(to.slice('#/$defs/'.length)), `${label} ${to}`).toBe(false)
      seen.add(to.slice('#/$defs/'.length))
    }
  }
}

function checkTools(operations: readonly Operation[]): void {
  const ajv = new Ajv2020({ strict: false, logger: false, validateFormats: false, addUsedSchema: false })
  const names = new Set<string>()
  for (const operation of operations) {
    const { name, description, inputSchema, outputSchema } = toDefinition('shop', operation)
    expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/)
    expect(names.has(name), name).toBe(false)
    names.add(name)
    expect(description.length).toBeGreaterThan(0)
    for (const schema of outputSchema === undefined ? [inputSchema] : [inputSchema, outputSchema]) {
      expect(schema['type']).toBe('object')
      for (const keyword of combinators) expect(schema, `${operation.label} ${keyword}`).not.toHaveProperty([keyword])
      checkLoops(operation.label, schema)
      ajv.compile(JSON.parse(JSON.stringify(schema)) as object)
    }
    JSON.stringify(operation.binding)
  }
}

describe('any description', () => {
  test('the seeds themselves give every operation', async () => {
    for (const document of seedDocuments) {
      const operations = await operationsOf(Buffer.from(JSON.stringify(document)))
      expect(operations.length).toBeGreaterThan(3)
      checkTools(operations)
    }
  })

  test('a mutated one is imported in part or refused in order, and its tools are sound (S30)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(seedDocuments.length - 1), mutations, async (which, mutate) => {
        checkTools(await operationsOf(Buffer.from(JSON.stringify(mutate(seedDocuments[which] ?? {})))))
      }),
      runs(250),
    )
  })

  test('bytes with a few changed, cut or doubled are no worse', async () => {
    const change = fc.record({
      at: fc.nat(),
      drop: fc.nat(40),
      put: fc.oneof(
        fc.string(),
        fc.constantFrom('{', '}', '[', ']', '"', ':', '\n', '- ', '&a ', '*a', '<<: ', '\0', '\ufeff', '!!js '),
      ),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.nat(seedDocuments.length - 1),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        async (which, changes) => {
          let text = JSON.stringify(seedDocuments[which], null, 1)
          for (const { at, drop, put } of changes)
            text = text.slice(0, at % text.length) + put + text.slice((at % text.length) + drop)
          checkTools(await operationsOf(Buffer.from(text)))
        },
      ),
      runs(100),
    )
  })
})

const path = '/x/{plain}/{left}.{right}/y{a}{b}/{matrix}/{label}/{json}'
const styled: readonly (readonly [string, object])[] = [
  ['plain', {}],
  ['left', {}],
  ['right', {}],
  ['a', {}],
  ['b', { explode: true }],
  ['matrix', { style: 'matrix', explode: true }],
  ['label', { style: 'label' }],
]
const queries: readonly (readonly [string, object])[] = [
  ['form', {}],
  ['flat', { explode: false }],
  ['space', { style: 'spaceDelimited' }],
  ['pipe', { style: 'pipeDelimited' }],
  ['deep', { style: 'deepObject', explode: true }],
  ['reserved', { allowReserved: true }],
]
const document = {
  openapi: '3.1.1',
  info: { title: 't', version: '1' },
  paths: {
    [path]: {
      post: {
        parameters: [
          ...styled.map(([name, more]) => ({ name, in: 'path', required: true, schema: {}, ...more })),
          { name: 'json', in: 'path', required: true, content: { 'application/json': { schema: {} } } },
          ...queries.map(([name, more]) => ({ name, in: 'query', schema: {}, ...more })),
          { name: 'X-Head', in: 'header', schema: {} },
          { name: 'crumb', in: 'cookie', schema: {} },
        ],
        requestBody: {
          content: {
            'multipart/form-data': {
              schema: { type: 'object', properties: { 'illegal key': {}, file: { type: 'string', format: 'binary' } } },
            },
          },
        },
        responses: {},
      },
    },
  },
}
const paths = [...styled.map(([name]) => name), 'json']
const others = [...queries.map(([name]) => name), 'X-Head', 'crumb', 'body']

describe('any arguments', () => {
  let operation: Operation | undefined
  beforeAll(async () => {
    operation = (await operationsOf(Buffer.from(JSON.stringify(document))))[0]
  })

  const build = (args: { readonly [name: string]: Json }): OutboundRequest | undefined => {
    if (operation === undefined) throw new Error('the document gave no operation')
    try {
      return openapi.prepare(operation, args, target)
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'request_unbuildable') return undefined
      throw error
    }
  }

  const segments = `/v1${path}`.split('/').length

  /** T1: the request stays in its place, whatever the arguments are. */
  const check = (request: OutboundRequest | undefined): void => {
    if (request === undefined) return
    expect(request.url).toMatch(/^https:\/\/api\.example\.test\/v1\/x\/[\x21-\x7e]+$/)
    const url = new URL(request.url)
    expect(url.origin).toBe(target.origin)
    expect(url.hash).toBe('')
    expect(url.pathname.split('/')).toHaveLength(segments)
    expect(url.pathname.startsWith('/v1/x/')).toBe(true)
    expect(
      url.pathname
        .split('/')
        .slice(2)
        .every((segment) => segment !== ''),
    ).toBe(true)
    for (const value of request.headers.values()) expect(value).toMatch(/^[\t\x20-\x7e]*$/)
    expect(request.method).toBe('POST')
  }

  test('keep the request’s origin and path, or make none', () => {
    const some = fc.record(
      {
        ...Object.fromEntries(paths.map((name) => [name, fc.oneof(anyText, anyJson)])),
        ...Object.fromEntries(others.map((name) => [name, anyJson])),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(some, (args) => check(build(args as { [name: string]: Json }))),
      runs(1_500),
    )
  })

  test('of harmless texts make a request always', () => {
    const harmless = fc.string({
      unit: fc.constantFrom('a', 'Z', '9', '-', '_', 'é', '中', '/', '?', '#', '%', ' ', '&', ';', ','),
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(
        fc.record(
          Object.fromEntries([...paths, ...others.filter((name) => name !== 'body')].map((name) => [name, harmless])),
        ),
        (args) => {
          const request = build(args)
          expect(request).toBeDefined()
          check(request)
        },
      ),
      runs(300),
    )
  })

  test('that are no arguments at all change nothing', () => {
    const base = Object.fromEntries(paths.map((name) => [name, 'v']))
    fc.assert(
      fc.property(fc.dictionary(anyText, anyJson, { noNullPrototype: true }), (more) => {
        const extra = Object.fromEntries(
          Object.entries(more).filter(([name]) => !paths.includes(name) && !others.includes(name)),
        )
        expect(build({ ...extra, ...base })).toEqual(build(base))
      }),
      runs(300),
    )
  })
})
