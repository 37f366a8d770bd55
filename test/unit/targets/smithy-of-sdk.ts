/**
 * The Smithy model that a client of the AWS SDK was generated from, as far as its own schemas still tell it: shapes,
 * members, HTTP bindings. And values that fit, as the SDK takes them and as JSON does.
 */
import { NormalizedSchema } from '@smithy/core/schema'

type Node = { [key: string]: unknown }

/** `[9, namespace, name, traits, input, output]`: how the SDK writes an operation. */
type OperationSchema = readonly [
  9,
  string,
  string,
  { http?: readonly [string, string, number] },
  () => unknown,
  () => unknown,
]

export const isOperation = (value: unknown): value is OperationSchema => Array.isArray(value) && value[0] === 9

const schemaOf = (value: unknown): NormalizedSchema => NormalizedSchema.of(value as never)

export const inputOf = (operation: OperationSchema): NormalizedSchema => schemaOf(operation[4]())

/** Traits that the SDK keeps, each as the model has it. */
function traitsOf(schema: NormalizedSchema, where: 'member' | 'own'): Node {
  const traits = where === 'member' ? schema.getMemberTraits() : schema.getOwnTraits()
  const found: Node = {}
  for (const [name, value] of Object.entries(traits as Node)) {
    if (name === 'http' || name === 'error') continue
    found[`smithy.api#${name}`] = value === 1 ? {} : value
  }
  return found
}

/** A model of every operation of a client, with the service's traits that are given. */
export function modelOf(client: object, service: Node): Node {
  const shapes: Node = {}
  const operations = Object.values(client).filter(isOperation)
  const target = (schema: NormalizedSchema, hint: string): string => addShape(schema, hint, shapes)
  for (const operation of operations) {
    const [, namespace, name, { http }, input, output] = operation
    shapes[`${namespace}#${name}`] = {
      type: 'operation',
      input: { target: target(schemaOf(input()), `${name}Input`) },
      output: { target: target(schemaOf(output()), `${name}Output`) },
      traits: { 'smithy.api#http': { method: http?.[0], uri: http?.[1], code: http?.[2] } },
    }
  }
  shapes['sdk#Service'] = {
    type: 'service',
    version: '1',
    operations: operations.map(([, namespace, name]) => ({ target: `${namespace}#${name}` })),
    traits: { 'aws.protocols#restJson1': {}, ...service },
  }
  return { smithy: '2.0', shapes }
}

function addShape(schema: NormalizedSchema, hint: string, shapes: Node): string {
  if (schema.isUnitSchema()) return 'smithy.api#Unit'
  const named = schema.isStructSchema() || schema.isListSchema() || schema.isMapSchema()
  const id = named ? `sdk#${schema.getName()?.replace(/^.*#/, '') ?? hint}` : `sdk#${hint}`
  if (Object.hasOwn(shapes, id)) return id
  const shape: Node = { type: typeOf(schema), traits: traitsOf(schema, 'own') }
  if (schema.isStreaming()) shape['traits'] = { 'smithy.api#streaming': {} }
  shapes[id] = shape
  const member = (inner: NormalizedSchema, name: string): Node => ({
    target: addShape(inner, `${id.slice('sdk#'.length)}${name}`, shapes),
    traits: { ...traitsOf(inner, 'member'), ...formatOf(inner) },
  })
  if (schema.isStructSchema())
    shape['members'] = Object.fromEntries(
      [...schema.structIterator()].map(([name, inner]) => [name, member(inner, name)]),
    )
  if (schema.isListSchema()) shape['member'] = member(schema.getValueSchema(), 'Member')
  if (schema.isMapSchema()) {
    shape['key'] = { target: 'smithy.api#String' }
    shape['value'] = member(schema.getValueSchema(), 'Value')
  }
  return id
}

/** How the SDK writes down the format of a time that has one of its own. */
const formats: ReadonlyMap<unknown, string> = new Map([
  [5, 'date-time'],
  [6, 'http-date'],
  [7, 'epoch-seconds'],
])

function formatOf(schema: NormalizedSchema): Node {
  const format = schema.isTimestampSchema() ? formats.get(schema.getSchema()) : undefined
  return format === undefined ? {} : { 'smithy.api#timestampFormat': format }
}

function typeOf(schema: NormalizedSchema): string {
  if (schema.isUnionSchema()) return 'union'
  if (schema.isStructSchema()) return 'structure'
  if (schema.isListSchema()) return 'list'
  if (schema.isMapSchema()) return 'map'
  if (schema.isBlobSchema()) return 'blob'
  if (schema.isTimestampSchema()) return 'timestamp'
  if (schema.isBooleanSchema()) return 'boolean'
  if (schema.isDocumentSchema()) return 'document'
  return schema.isNumericSchema() ? 'double' : 'string'
}

export interface Sample {
  /** As a command of the SDK takes it. */
  readonly sdk: unknown
  /** As JSON. */
  readonly json: unknown
}

const seconds = 1_398_796_238

/** A value for every member, down to a depth. */
export function sampleOf(schema: NormalizedSchema, depth = 0): Sample | undefined {
  if (schema.isUnionSchema() || schema.isStructSchema()) {
    if (depth > 4) return undefined
    const members = [...schema.structIterator()].slice(0, schema.isUnionSchema() ? 1 : undefined)
    return together(members.map(([name, inner]) => [name, sampleOf(inner, depth + 1)]))
  }
  if (schema.isListSchema()) {
    const item = sampleOf(schema.getValueSchema(), depth + 1)
    return item === undefined ? { sdk: [], json: [] } : { sdk: [item.sdk, item.sdk], json: [item.json, item.json] }
  }
  if (schema.isMapSchema()) return together([['a key', sampleOf(schema.getValueSchema(), depth + 1)]])
  if (schema.isBlobSchema())
    return { sdk: Buffer.from('bytes \u00ff'), json: Buffer.from('bytes \u00ff').toString('base64') }
  if (schema.isTimestampSchema()) return { sdk: new Date(seconds * 1_000), json: timeOf(schema) }
  if (schema.isBooleanSchema()) return { sdk: true, json: true }
  if (schema.isDocumentSchema()) return { sdk: { any: [1] }, json: { any: [1] } }
  if (schema.isNumericSchema()) return { sdk: 3, json: 3 }
  // A header has no room for more than ASCII.
  if (schema.getMergedTraits().httpHeader !== undefined) return { sdk: 'a "b",c', json: 'a "b",c' }
  const text = "arn:aws:x:eu-1:1:f/a b+ü!'()*~%41"
  return { sdk: text, json: text }
}

function timeOf(schema: NormalizedSchema): unknown {
  const { httpQuery, httpHeader, httpLabel } = schema.getMergedTraits()
  const format = formats.get(schema.getSchema())
  if (format === 'date-time' || (format === undefined && (httpQuery !== undefined || httpLabel === 1)))
    return '2014-04-29T18:30:38Z'
  return format === 'http-date' || (format === undefined && httpHeader !== undefined)
    ? 'Tue, 29 Apr 2014 18:30:38 GMT'
    : seconds
}

function together(entries: readonly (readonly [string, Sample | undefined])[]): Sample {
  const found = entries.filter((entry): entry is readonly [string, Sample] => entry[1] !== undefined)
  return {
    sdk: Object.fromEntries(found.map(([name, { sdk }]) => [name, sdk])),
    json: Object.fromEntries(found.map(([name, { json }]) => [name, json])),
  }
}
