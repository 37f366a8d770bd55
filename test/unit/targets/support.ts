/** Descriptions in the making: a few lines in, what the importer makes of them and the request they build out. */
import { GatewayError } from '../../../src/core/errors.ts'
import type { Json, Operation, OutboundRequest, Target } from '../../../src/core/model.ts'
import type { ImportOptions, ImportResult, Issue } from '../../../src/targets/adapter.ts'
import type { Binding } from '../../../src/targets/openapi/binding.ts'
import { openapi } from '../../../src/targets/openapi.ts'

export type Plain = { readonly [key: string]: unknown }

export const target: Target = {
  name: 'shop',
  kind: 'openapi',
  origin: 'https://api.example.test',
  basePath: '/v1',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
}

/** An OpenAPI 3 document with these paths. */
export const document3 = (paths: Plain, more: Plain = {}, openapiVersion = '3.1.1'): Plain => ({
  openapi: openapiVersion,
  info: { title: 'Shop', version: '1' },
  servers: [{ url: 'https://api.example.test/v1' }],
  paths,
  ...more,
})

/** A Swagger 2.0 document with these paths. */
export const document2 = (paths: Plain, more: Plain = {}): Plain => ({
  swagger: '2.0',
  info: { title: 'Shop', version: '1' },
  host: 'api.example.test',
  basePath: '/v1',
  schemes: ['https'],
  paths,
  ...more,
})

export const bytesOf = (document: Plain | string): Uint8Array =>
  Buffer.from(typeof document === 'string' ? document : JSON.stringify(document))

export const load = (document: Plain | string, options: ImportOptions = {}): Promise<ImportResult> =>
  openapi.load(bytesOf(document), options)

/** The only operation of a document, or the one of this id. */
export async function only(document: Plain | string, options: ImportOptions = {}, id?: string): Promise<Operation> {
  const { operations } = await load(document, options)
  const found = id === undefined ? operations[0] : operations.find((operation) => operation.id === id)
  if (found === undefined) throw new Error('the document gave no such operation')
  return found
}

export const bindingOf = (operation: Operation): Binding => operation.binding as unknown as Binding

/** A request body of one schema under one media type. */
export const requestBody = (schema: unknown, type = 'application/json', media: Plain = {}): Plain => ({
  required: true,
  content: { [type]: { schema, ...media } },
})

export const component = (name: string): Plain => ({ $ref: `#/components/schemas/${name}` })

export interface Converted {
  /** What the argument `body` takes. */
  readonly schema: unknown
  readonly defs: unknown
  readonly issues: readonly Issue[]
}

interface Setting {
  readonly version?: string
  readonly schemas?: Plain
  readonly type?: string
}

/** A schema as the body of a request becomes. */
export async function asInput(
  schema: unknown,
  { version = '3.1.1', schemas = {}, type }: Setting = {},
): Promise<Converted> {
  const paths = {
    '/things': { post: { requestBody: requestBody(schema, type), responses: { 204: { description: '' } } } },
  }
  const { operations, issues } = await load(document3(paths, { components: { schemas } }, version))
  const input = operations[0]?.input as { properties?: Plain; $defs?: unknown } | undefined
  return { schema: input?.properties?.['body'], defs: input?.$defs, issues }
}

/** A schema as the answer of an operation becomes. */
export async function asOutput(
  schema: unknown,
  { version = '3.1.1', schemas = {}, type = 'application/json' }: Setting = {},
): Promise<unknown> {
  const responses = { 200: { description: '', content: { [type]: { schema } } } }
  const { operations } = await load(
    document3({ '/things': { get: { responses } } }, { components: { schemas } }, version),
  )
  return operations[0]?.output
}

/** A `GET` with these parameters, and a path that suits them. */
export const withParameters = (parameters: readonly Plain[], path = '/things', version = '3.1.1'): Plain =>
  document3({ [path]: { get: { parameters, responses: { 204: { description: '' } } } } }, {}, version)

/** A `POST` with this body. */
export const withBody = (schema: unknown, type: string, media: Plain = {}): Plain =>
  document3({
    '/things': { post: { requestBody: requestBody(schema, type, media), responses: { 204: { description: '' } } } },
  })

/** The request that arguments build for a document's only operation. */
export async function send(
  document: Plain | string,
  args: { readonly [name: string]: Json },
  to: Target = target,
): Promise<OutboundRequest> {
  return openapi.prepare(await only(document), args, to)
}

export const textOf = (request: OutboundRequest): string =>
  request.body === undefined ? '' : Buffer.from(request.body).toString('utf8')

/** The code of the error that a promise rejects with; anything but a `GatewayError` fails the test. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof GatewayError) return error.code
    throw error
  }
  return 'nothing was thrown'
}

/** The words of the error that a promise rejects with. */
export async function wordsOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    if (error instanceof GatewayError) return error.message
    throw error
  }
  return 'nothing was thrown'
}

export const codes = (issues: readonly Issue[]): string[] => issues.map(({ code }) => code)
