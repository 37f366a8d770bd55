/** The requests that a Smithy model builds are those that the AWS SDK's own client builds of the same model. */
import * as apiGateway from '@aws-sdk/client-api-gateway'
import * as lambda from '@aws-sdk/client-lambda'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Json, Operation, OutboundRequest } from '../../../src/core/model.ts'
import { partitionOf } from '../../../src/targets/smithy/partition.ts'
import { smithy } from '../../../src/targets/smithy.ts'
import { inputOf, isOperation, modelOf, type Sample, sampleOf } from './smithy-of-sdk.ts'
import { bindingOf, bytesOf, codes, target } from './support.ts'

const home = 'eu-central-1'

interface Sent {
  readonly method: string
  readonly path: string
  readonly query: readonly (readonly [string, string])[]
  readonly headers: { readonly [name: string]: string }
  readonly body: string
  readonly host: string
}

/** What signs and what tells of the sender; an `accept` counts where the operation has one. */
const aside =
  /^(?:authorization|x-amz-(?:date|content-sha256|security-token|user-agent)|user-agent|amz-sdk-.*|host|content-length|accept)$/

/** Without a body, its type says nothing; the SDK sends one all the same where the payload is bytes. */
const meant = (sent: Sent): Sent => {
  const { 'content-type': _type, ...headers } = sent.headers
  return sent.body === '' ? { ...sent, headers } : sent
}

const kept = (headers: Iterable<readonly [string, string]>): Sent['headers'] =>
  Object.fromEntries(
    [...headers].map(([name, value]) => [name.toLowerCase(), value]).filter(([name = '']) => !aside.test(name)),
  )

/** A byte a character; made-up tokens are as good as each other. */
const textOf = (body: unknown): string =>
  body === undefined
    ? ''
    : Buffer.from(body as Uint8Array)
        .toString('latin1')
        .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID')

interface HttpRequest {
  method: string
  path: string
  hostname: string
  query: { [name: string]: string | string[] | null }
  headers: { [name: string]: string }
  body?: unknown
}

/** Sends a command into a handler that keeps the request and answers nothing. */
async function bySdk(client: 'lambda' | 'apiGateway', name: string, input: unknown, region = home): Promise<Sent> {
  let seen: HttpRequest | undefined
  const requestHandler = {
    handle: (request: HttpRequest): Promise<never> => {
      seen = request
      return Promise.reject(new Error('kept'))
    },
  }
  const settings = { region, maxAttempts: 1, credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, requestHandler }
  const module: { [name: string]: unknown } = client === 'lambda' ? { ...lambda } : { ...apiGateway }
  const Client = client === 'lambda' ? lambda.LambdaClient : apiGateway.APIGatewayClient
  const Command = module[`${name}Command`] as new (input: unknown) => never
  const sdk = new Client(settings)
  await sdk.send(new Command(input)).catch((error: unknown) => {
    if (seen === undefined) throw error
  })
  sdk.destroy()
  if (seen === undefined) throw new Error('nothing was sent')
  const query = Object.entries(seen.query).flatMap(([key, value]) =>
    [value].flat().map((item) => [key, item ?? ''] as const),
  )
  return {
    method: seen.method,
    path: seen.path,
    query: query.sort(byText),
    headers: kept(Object.entries(seen.headers)),
    body: textOf(seen.body),
    host: seen.hostname,
  }
}

const byText = (a: readonly string[], b: readonly string[]): number => (a.join() < b.join() ? -1 : 1)

function byUs(request: OutboundRequest): Sent {
  const url = new URL(request.url)
  return {
    method: request.method,
    path: request.url.slice(url.origin.length).split('?')[0] ?? '',
    query: [...url.searchParams].sort(byText),
    headers: kept(request.headers),
    body: textOf(request.body),
    host: url.host,
  }
}

/** Members of the body are the argument `body`; what the parameters are, the tool's schema tells. */
function argumentsOf(operation: Operation, sample: Sample): { [name: string]: Json } {
  const properties = (operation.input as { properties?: { [name: string]: unknown } }).properties ?? {}
  const payload = [...(inputs.get(operation.id) ?? [])]
  const args: { [name: string]: Json } = {}
  const rest: { [name: string]: Json } = {}
  for (const [name, value] of Object.entries(sample.json as { [name: string]: Json })) {
    if (payload.includes(name)) args['body'] = value
    else if (name !== 'body' && Object.hasOwn(properties, name)) args[name] = value
    else rest[jsonNames.get(`${operation.id} ${name}`) ?? name] = value
  }
  return Object.keys(rest).length === 0 ? args : { ...args, body: rest }
}

/** Operation → its members that are the payload; operation and member → the name in a body. */
const inputs = new Map<string, string[]>()
const jsonNames = new Map<string, string>()

const clients = [
  { client: 'lambda', module: lambda, prefix: 'lambda', count: 84 },
  { client: 'apiGateway', module: apiGateway, prefix: 'apigateway', count: 124 },
] as const

describe.each(clients)('every operation of $client', ({ client, module, prefix, count }) => {
  const schemas = Object.values(module).filter(isOperation)
  const operations = new Map<string, Operation>()
  let server: string | undefined

  beforeAll(async () => {
    const service = { 'aws.api#service': { endpointPrefix: prefix }, 'aws.auth#sigv4': { name: prefix } }
    const loaded = await smithy.load(bytesOf(modelOf(module, service)), {
      serverVariables: new Map([['region', home]]),
    })
    for (const operation of loaded.operations) operations.set(operation.id, operation)
    server = loaded.server
    expect(new Set(codes(loaded.issues))).toEqual(
      new Set(['signing_name', ...(count === 84 ? ['unread_operation'] : [])]),
    )
    for (const schema of schemas)
      for (const [name, member] of inputOf(schema).structIterator()) {
        const { httpPayload, jsonName } = member.getMergedTraits()
        if (httpPayload === 1) inputs.set(schema[2], [name])
        if (typeof jsonName === 'string') jsonNames.set(`${schema[2]} ${name}`, jsonName)
      }
  })

  it('is there, but for those that stream', () => {
    expect(operations.size).toBeGreaterThanOrEqual(count)
  })

  it.each(schemas.map((schema) => [schema[2], schema] as const))(
    '%s is sent as the SDK sends it',
    async (name, schema) => {
      const operation = operations.get(name)
      if (operation === undefined) {
        expect(name).toMatch(/^Invoke(?:Async|WithResponseStream)$/)
        return
      }
      const whole = sampleOf(inputOf(schema)) ?? { sdk: {}, json: {} }
      const labels = new Set(bindingOf(operation).path.filter((_, index) => index % 2 === 1))
      const least = Object.fromEntries(Object.entries(whole.json as object).filter(([key]) => labels.has(key)))
      for (const sample of [whole, { sdk: least, json: least }]) {
        const to = { ...target, kind: 'smithy', origin: server ?? '', basePath: '' }
        const ours = byUs(smithy.prepare(operation, argumentsOf(operation, sample), to))
        expect(meant(ours)).toEqual(meant(await bySdk(client, name, sample.sdk)))
      }
    },
  )
})

describe('the partition of a region', () => {
  it.each([
    'us-east-1',
    'cn-north-1',
    'us-gov-west-1',
    'eusc-de-east-1',
    'us-iso-east-1',
    'us-isob-east-1',
    'eu-isoe-west-1',
    'us-isof-south-1',
    'xx-new-9',
  ])('of %s is the SDK’s', async (region) => {
    const { host } = await bySdk('lambda', 'ListFunctions', {}, region)
    expect(`lambda.${region}.${partitionOf(region).dnsSuffix}`).toBe(host)
  })
})
