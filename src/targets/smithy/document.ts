/** A model's restJson1 service → an OpenAPI 3.1 document, with what that cannot say beside it. */
import type { ImportOptions, Issue } from '../adapter.ts'
import { at, isNode, type Node, textAt } from '../openapi/tree.ts'
import { toServer } from '../openapi/servers.ts'
import { evaluateRules, type Verdict } from './endpoint.ts'
import { Model, type Shape } from './model.ts'
import { describeOperation, type Facts } from './operation.ts'
import { partitionOf } from './partition.ts'
import { plainProse } from './prose.ts'
import { ShapeSchemas } from './schemas.ts'
import { chooseService, closureOf } from './service.ts'

export interface SmithyDocument {
  /** `smithy-1.0` or `smithy-2.0`. */
  readonly format: string
  readonly openapi: Node
  /** By the label that the operation has in OpenAPI: `GET /path`. */
  readonly facts: ReadonlyMap<string, Facts>
  /** Pointer into the OpenAPI document, of three tokens → pointer into the model. */
  readonly sources: ReadonlyMap<string, string>
}

/** Throws `bad_description` or `over_limit`; lesser faults go to `issues`. */
export function toOpenApi(bytes: Uint8Array, options: ImportOptions, issues: Issue[]): SmithyDocument {
  const model = new Model(bytes, issues)
  const service = chooseService(model)
  const server = serverOf(service, model, options)
  const { operations, deletes } = closureOf(service, model)
  const input = new ShapeSchemas(model, 'input', '#/components/schemas')
  const output = new ShapeSchemas(model, 'output', '#/x-output/schemas')
  const paths = new Map<string, Map<string, unknown>>()
  const facts = new Map<string, Facts>()
  const sources = new Map<string, string>()
  for (const id of operations) {
    const described = describeOperation(id, { model, input, output, options, deletes })
    if (described === undefined) continue
    const { method, path, operation } = described
    const item = paths.get(path) ?? new Map<string, unknown>()
    if (item.has(method)) {
      model.warn('unread_operation', id, 'Another operation has the same method and path; this one is left out.')
      continue
    }
    paths.set(path, item.set(method, { ...operation, ...ownServer(server, described.facts.hostPrefix) }))
    facts.set(`${method.toUpperCase()} ${path}`, described.facts)
    sources.set(at('/paths', path, method), model.pointer(id))
  }
  const inputs = schemasOf(input, model, '/components/schemas', sources)
  const outputs = schemasOf(output, model, '/x-output/schemas', sources)
  return {
    format: `smithy-${model.version}`,
    openapi: {
      openapi: '3.1.1',
      info: { title: titleOf(service), version: textAt(service.node, 'version') ?? '' },
      ...(server === undefined ? {} : { servers: [{ url: server }] }),
      paths: Object.fromEntries([...paths].map(([path, item]) => [path, Object.fromEntries(item)])),
      components: { schemas: inputs },
      'x-output': { schemas: outputs },
    },
    facts,
    sources,
  }
}

function schemasOf(schemas: ShapeSchemas, model: Model, pointer: string, sources: Map<string, string>): Node {
  const found = new Map<string, unknown>()
  for (const { name, id, schema } of schemas.all()) {
    found.set(name, schema)
    sources.set(at(pointer, name), model.pointer(id))
  }
  return Object.fromEntries(found)
}

const titleOf = (service: Shape): string =>
  plainProse(service.traits.get('smithy.api#title')) ?? service.id.slice(service.id.indexOf('#') + 1)

/** The service's URL, and a word to the operator about what a credential has to know of it. */
function serverOf(service: Shape, model: Model, options: ImportOptions): string | undefined {
  const region = options.serverVariables?.get('region')
  const verdict = options.server === undefined || region !== undefined ? endpointOf(service, region) : undefined
  const found = verdict !== undefined && 'url' in verdict ? verdict : undefined
  const usable = found !== undefined && toServer(found.url) !== undefined ? found.url : undefined
  if (options.server === undefined && usable === undefined) {
    const why = verdict !== undefined && 'error' in verdict ? ` The model says: ${verdict.error}` : ''
    model.warn(
      'no_endpoint',
      service.id,
      `The model gives no endpoint ${region === undefined ? 'without a region' : 'for this region'}.${why}`,
    )
  }
  const name = found?.signingName ?? textAt(service.traits.get('aws.auth#sigv4'), 'name')
  if (name !== undefined) {
    const where = found?.signingRegion ?? region
    const told = where === undefined ? '' : ` and region \`${where.slice(0, 63)}\``
    model.warn(
      'signing_name',
      service.id,
      `Requests are signed (AWS Signature Version 4) for the service \`${name.slice(0, 100)}\`${told}.`,
    )
  }
  return usable
}

/** By the rules of the model, in either form; where it has none, as AWS's services are called by their prefix. */
function endpointOf(service: Shape, region: string | undefined): Verdict {
  if (region !== undefined && !/^[a-z0-9-]{1,63}$/.test(region)) return { error: 'The region is not a host label.' }
  const rules = service.traits.get('smithy.rules#endpointRuleSet') ?? service.traits.get('smithy.rules#endpointBdd')
  const parameters = new Map<string, unknown>(region === undefined ? [] : [['AWS::Region', region]])
  const verdict = isNode(rules) ? evaluateRules(rules, parameters) : undefined
  if (verdict !== undefined) return verdict
  const aws = service.traits.get('aws.api#service')
  const prefix = textAt(aws, 'endpointPrefix') ?? textAt(aws, 'arnNamespace')
  if (region === undefined || prefix === undefined || !/^[a-z0-9.-]{1,100}$/i.test(prefix)) return undefined
  return { url: `https://${prefix}.${region}.${partitionOf(region).dnsSuffix}` }
}

/** An operation whose host begins with a prefix has a server of its own. */
function ownServer(server: string | undefined, prefix: string | undefined): Node {
  if (server === undefined || prefix === undefined || prefix === '') return {}
  const url = new URL(server)
  url.host = `${prefix}${url.host}`
  return { servers: [{ url: url.href }] }
}
