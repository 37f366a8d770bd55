/**
 * What a request says is what the arguments said: for descriptions of every style and kind of body, and arguments that
 * their schemas allow, a reader that knows the description alone gets the arguments back. And whatever the arguments,
 * the request stays at its server and in its path. FUZZ_SEED and FUZZ_RUNS widen the search.
 */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toDefinition } from '../../src/catalogue/tool.ts'
import { checkArguments } from '../../src/catalogue/validate.ts'
import { GatewayError } from '../../src/core/errors.ts'
import type { Json, Operation, OutboundRequest, Target, Tool } from '../../src/core/model.ts'
import type { Binding } from '../../src/targets/openapi/binding.ts'
import { openapi } from '../../src/targets/openapi.ts'
import type { BodyCase } from './bodies.ts'
import { modernOperations, type OperationCase, type ServerCase, swaggerOperations } from './operations.ts'
import { type Case, casesOf, nameOfShape, swaggerCasesOf } from './parameters.ts'
import {
  type Parameter,
  readBase64,
  readFormBody,
  readJson,
  readLines,
  readMultipartBody,
  readParameter,
  readSwaggerForm,
  readSwaggerParameter,
  readText,
  type Schema,
  type Value,
} from './read.ts'
import { anyJson, anyText } from './values.ts'

const seed = Number(process.env['FUZZ_SEED'] ?? 20_260_901)
const runs = (usual: number): fc.Parameters<unknown> => ({ seed, numRuns: Number(process.env['FUZZ_RUNS'] ?? usual) })

interface Args {
  readonly [name: string]: Json
}

interface Loaded {
  readonly operation: Operation
  readonly binding: Binding
  readonly target: Target
  readonly tool: Tool
}

async function load(
  document: object,
  { variables, offered }: Pick<ServerCase, 'variables' | 'offered'> = { variables: {}, offered: [] },
): Promise<Loaded> {
  const options = { serverVariables: new Map(Object.entries(variables)), serverArguments: offered }
  const { operations, server } = await openapi.load(Buffer.from(JSON.stringify(document)), options)
  const [operation] = operations
  if (operation === undefined || server === undefined) throw new Error('the description gave no operation')
  const { origin, pathname } = new URL(server)
  const target: Target = {
    name: 'any',
    kind: 'openapi',
    origin,
    basePath: pathname.replace(/\/+$/, ''),
    timeoutMs: 1_000,
    headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
  }
  const definition = Buffer.from(JSON.stringify(toDefinition('any', operation)))
  const tool = { name: 'any', target, operation, definition }
  return { operation, target, tool, binding: operation.binding as unknown as Binding }
}

/** What the gateway calls a parameter. */
function argumentOf({ binding }: Loaded, { name, in: place }: Parameter): string {
  const found = binding.parameters.find((one) => one.name === name && one.in === place)
  if (found === undefined) throw new Error(`${name} in ${place} is no argument`)
  return found.argument
}

/** The request of arguments, which the tool’s schema must allow. */
function build({ operation, target, tool }: Loaded, args: Args): OutboundRequest {
  const { faults, healed } = checkArguments(tool, args)
  expect(faults).toEqual([])
  expect(healed).toEqual([])
  return openapi.prepare(operation, args, target)
}

const nameOf = ({ parameter }: Case): string => {
  const { in: place, style, explode, content, collectionFormat, allowReserved, schema = parameter } = parameter
  const how = content === undefined ? (style ?? collectionFormat ?? 'preset') : (Object.keys(content)[0] ?? '')
  const spread = explode === undefined ? '' : `, explode ${explode}`
  return `${place}, ${how}${spread}${allowReserved === true ? ', allowReserved' : ''}: ${nameOfShape(schema)}`
}

describe.each([
  ['OpenAPI 3', casesOf('p'), readParameter],
  ['Swagger 2.0', swaggerCasesOf('p'), readSwaggerParameter],
] as const)('a parameter of %s reads back', (line, cases, read) => {
  test.each(cases.map((one) => [nameOf(one), one] as const))('%s', async (_, { parameter, values }) => {
    const template = parameter.in === 'path' ? '/x/{p}/y' : '/x'
    const head =
      line === 'OpenAPI 3'
        ? { openapi: '3.2.0', servers: [{ url: 'https://api.example.test/v1' }] }
        : { swagger: '2.0', host: 'api.example.test', basePath: '/v1', schemes: ['https'] }
    const loaded = await load({
      ...head,
      info: { title: 'Any', version: '1' },
      paths: { [template]: { get: { parameters: [parameter], responses: {} } } },
    })
    const argument = argumentOf(loaded, parameter)
    fc.assert(
      fc.property(values, (value) => {
        expect(read(parameter, template, build(loaded, { [argument]: value }))).toEqual(value)
      }),
      runs(12),
    )
  })
})

/** An operation and values for some of its parameters, all of those of its path among them. */
interface Call {
  readonly one: OperationCase
  readonly values: ReadonlyMap<Case, Value>
  readonly body: Value | undefined
  readonly form: { readonly [name: string]: Value }
}

const someOf = (cases: readonly Case[]): fc.Arbitrary<ReadonlyMap<Case, Value>> =>
  fc
    .tuple(
      ...cases.map((one) =>
        (one.parameter.required === true ? one.values : fc.option(one.values, { nil: undefined })).map(
          (value) => [one, value] as const,
        ),
      ),
    )
    .map((pairs) => new Map(pairs.filter((pair): pair is [Case, Value] => pair[1] !== undefined)))

/** The description and the values, as a report shows them. */
const tell = ({ one, values, body, form }: Call): string =>
  JSON.stringify({
    document: one.document,
    server: one.server,
    values: [...values].map(([{ parameter }, value]) => [parameter.in, parameter.name, value]),
    body,
    form,
  })

const callOf = (one: OperationCase): fc.Arbitrary<Call> =>
  fc
    .record({
      one: fc.constant(one),
      values: someOf(one.parameters),
      body: one.body?.values ?? fc.constant(undefined),
      form: someOf(one.form).map((values) =>
        Object.fromEntries([...values].map(([{ parameter }, value]) => [parameter.name, value])),
      ),
    })
    .map((call) => Object.defineProperty(call, fc.toStringMethod, { value: () => tell(call) }))

/** Declared members whose keys a tool may not show as they are go under other names, at any depth. */
function shown(loaded: Loaded, { properties = {} }: Schema, value: Value): Value {
  const { renames } = loaded.binding
  if (renames === undefined || typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const names = new Map(Object.entries(renames.keys).map(([name, key]) => [key, name]))
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => {
      const declared = Object.entries(properties).find(([name]) => name === key)?.[1]
      return declared === undefined ? [key, member] : [names.get(key) ?? key, shown(loaded, declared, member)]
    }),
  )
}

/** The parameters of a form as the one schema that they make. */
const formSchema = (form: readonly Case[]): Schema => ({
  properties: Object.fromEntries(form.map(({ parameter }) => [parameter.name, parameter])),
})

function readBody({ type, schema, encoding }: BodyCase, request: OutboundRequest): Value {
  switch (type) {
    case 'application/x-www-form-urlencoded':
      return readFormBody(schema, encoding, request)
    case 'multipart/form-data':
      return readMultipartBody(schema, encoding, request)
    case 'text/plain':
      return readText(request)
    case 'application/octet-stream':
      return readBase64(request)
    case 'application/x-ndjson':
      return readLines(request)
    default:
      return readJson(request)
  }
}

describe.each([
  ['OpenAPI 3', modernOperations, readParameter],
  ['Swagger 2.0', swaggerOperations, readSwaggerParameter],
] as const)('an operation of %s', (_, operations, read) => {
  test('makes requests that read back to the arguments that its schema allows', async () => {
    await fc.assert(
      fc.asyncProperty(operations.chain(callOf), async ({ one, values, body, form }) => {
        const loaded = await load(one.document, one.server)
        const args: { [name: string]: Json } = { ...one.server.args }
        for (const [{ parameter }, value] of values) {
          args[argumentOf(loaded, parameter)] = shown(loaded, parameter.schema ?? parameter, value)
        }
        if (one.body !== undefined && body !== undefined) args['body'] = shown(loaded, one.body.schema, body)
        if (Object.keys(form).length > 0) args['body'] = shown(loaded, formSchema(one.form), form)
        const request = build(loaded, args)
        expect(request.url.startsWith(`${one.server.url}/x`), request.url).toBe(true)
        for (const each of one.parameters)
          expect(read(each.parameter, one.template, request), nameOf(each)).toEqual(values.get(each))
        if (one.body !== undefined && body !== undefined) expect(readBody(one.body, request)).toEqual(body)
        if (Object.keys(form).length > 0)
          expect(
            readSwaggerForm(
              one.form.map(({ parameter }) => parameter),
              request,
            ),
          ).toEqual(form)
      }),
      runs(300),
    )
  })

  /** T1: whatever the arguments are. */
  test('keeps server and path of its requests, or makes none, for any arguments at all', async () => {
    const any = fc.infiniteStream(fc.oneof(anyText, anyJson))
    await fc.assert(
      fc.asyncProperty(operations, fc.array(any, { minLength: 5, maxLength: 5 }), async (one, streams) => {
        const loaded = await load(one.document, one.server)
        for (const stream of streams) {
          const args: { [name: string]: Json } = { ...one.server.args }
          for (const { argument } of loaded.binding.parameters) args[argument] = stream.next().value as Json
          args['body'] = stream.next().value as Json
          const request = attempt(loaded, args)
          if (request === undefined) continue
          const url = new URL(request.url)
          const template = new URL(`${one.server.url}${one.template.replace(/\{[^}]*\}/g, 'v')}`)
          expect(url.origin).toBe(template.origin)
          expect(url.hash).toBe('')
          expect(url.pathname.split('/').map((segment) => segment === '')).toEqual(
            template.pathname.split('/').map((segment) => segment === ''),
          )
          expect(url.pathname.startsWith(new URL(`${one.server.url}/x`).pathname)).toBe(true)
          for (const value of request.headers.values()) expect(value).toMatch(/^[\t\x20-\x7e]*$/)
          expect(request.method).toBe('POST')
        }
      }),
      runs(300),
    )
  })
})

/** The request, or none where the arguments make none. */
function attempt({ operation, target }: Loaded, args: Args): OutboundRequest | undefined {
  try {
    return openapi.prepare(operation, args, target)
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'request_unbuildable') return undefined
    throw error
  }
}
