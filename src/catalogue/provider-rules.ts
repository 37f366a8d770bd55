/** The single rules that providers' lists are made of: each looks at one tool's definition and says what it has against it. */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { isSchemaNode, pointerTo, resolveRef, type SchemaNode, walk } from './schema-walk.ts'
import type { ToolDefinition } from './tool.ts'

/**
 * `error`: the provider refuses the request. `warning`: it ignores a part, or a documented bound is passed that is not
 * enforced everywhere. `note`: only a mode that a client may choose, such as strict, does not take it.
 */
export type Severity = 'error' | 'warning' | 'note'

export interface Remark {
  readonly severity: Severity
  /** JSON Pointer into the tool's definition. */
  readonly pointer: string
  readonly rule: string
  readonly message: string
  /** What to do about it. */
  readonly hint: string
}

export type Rule = (tool: ToolDefinition) => Iterable<Remark>

const input = '/inputSchema'

const remark = (severity: Severity, rule: string, pointer: string, message: string, hint: string): Remark => ({
  severity,
  rule,
  pointer,
  message,
  hint,
})

export const rename =
  'Give the tool another name with `tools.override` in the configuration, or shorten its `operationId`.'

export const name =
  (severity: Severity, pattern: RegExp, words: string): Rule =>
  (tool) =>
    pattern.test(tool.name) ? [] : [remark(severity, 'name', '/name', `The name is not ${words}.`, rename)]

export const rootType: Rule = ({ inputSchema }) =>
  inputSchema['type'] === 'object'
    ? []
    : [
        remark(
          'error',
          'root-type',
          `${input}/type`,
          'The root is not of `type: object`.',
          'Wrap the arguments in an object.',
        ),
      ]

export const rootKeywords =
  (severity: Severity, keywords: readonly string[]): Rule =>
  ({ inputSchema }) =>
    keywords
      .filter((keyword) => Object.hasOwn(inputSchema, keyword))
      .map((keyword) =>
        remark(
          severity,
          'root-combinator',
          pointerTo(input, keyword),
          `\`${keyword}\` stands at the root.`,
          'Move the alternatives into one argument, or say the condition in the description.',
        ),
      )

export const itemsEverywhere: Rule = function* ({ inputSchema }) {
  for (const [schema, pointer] of walk(inputSchema, input)) {
    const { type, items } = schema
    if ((type === 'array' || (Array.isArray(type) && type.includes('array'))) && items === undefined)
      yield remark(
        'error',
        'array-items',
        pointer,
        'An array has no `items`.',
        'Say what the array holds with `items`.',
      )
  }
}

const keyPattern = /^[a-zA-Z0-9_.-]{1,64}$/

/** One remark for the arguments, one for keys further down. */
export const keys = (ofArguments: Severity, below: Severity): Rule =>
  function* ({ inputSchema }) {
    for (const [schema, pointer] of walk(inputSchema, input)) {
      const { properties } = schema
      if (!isSchemaNode(properties)) continue
      for (const key of Object.keys(properties))
        if (!keyPattern.test(key))
          yield remark(
            pointer === input ? ofArguments : below,
            'property-key',
            pointerTo(pointer, 'properties', key),
            'The key is not 1 to 64 characters of a–z, A–Z, 0–9, `_`, `.`, `-`.',
            'Rename the property.',
          )
    }
  }

let ajv: Ajv2020 | undefined

export const draft2020: Rule = ({ inputSchema }) => {
  ajv ??= new Ajv2020({ strict: false, validateFormats: false, logger: false })
  if (ajv.validateSchema(inputSchema) === true) return []
  const [error] = ajv.errors ?? []
  const pointer = `${input}${error?.instancePath ?? ''}`
  const words = `The schema is not one of draft 2020-12: it ${error?.message ?? 'does not fit the meta-schema'}.`
  return [remark('error', 'draft-2020-12', pointer, words, 'Write it as JSON Schema 2020-12.')]
}

/** One remark a tool for all keywords that are not known, at the first of them. */
export const knownKeywords =
  (severity: Severity, rule: string, known: ReadonlySet<string>, verb: string, hint: string): Rule =>
  ({ inputSchema }) => {
    const unknown = new Map<string, string>()
    for (const [schema, pointer] of walk(inputSchema, input))
      for (const keyword of Object.keys(schema))
        if (!known.has(keyword) && !unknown.has(keyword)) unknown.set(keyword, pointerTo(pointer, keyword))
    const [first] = unknown.values()
    if (first === undefined) return []
    const list = [...unknown.keys()].sort().map((keyword) => `\`${keyword}\``)
    return [remark(severity, rule, first, `${verb} ${list.join(', ')}.`, hint)]
  }

export const enums = (
  severity: Severity,
  rule: string,
  bad: (value: unknown) => boolean,
  message: string,
  hint: string,
): Rule =>
  function* ({ inputSchema }) {
    for (const [schema, pointer] of walk(inputSchema, input)) {
      const values: unknown[] = Array.isArray(schema['enum']) ? schema['enum'] : []
      const index = values.findIndex(bad)
      if (index >= 0) yield remark(severity, rule, pointerTo(pointer, 'enum', index), message, hint)
    }
  }

export const description =
  (severity: Severity, isGood: (text: string) => boolean, message: string): Rule =>
  (tool) =>
    isGood(tool.description)
      ? []
      : [
          remark(
            severity,
            'description',
            '/description',
            message,
            'Write the operation’s `summary` and `description`, or give one with `tools.override`.',
          ),
        ]

/** "If $ref is set on a sub-schema, no other properties, except for those starting as a $, may be set." */
export const loneRefs: Rule = function* ({ inputSchema }) {
  for (const [schema, pointer] of walk(inputSchema, input)) {
    if (!Object.hasOwn(schema, '$ref')) continue
    const beside = Object.keys(schema).filter(
      (keyword) => !keyword.startsWith('$') && keyword !== 'description' && keyword !== 'default',
    )
    if (beside.length > 0)
      yield remark(
        'error',
        'ref-siblings',
        pointer,
        `Beside a \`$ref\` stands ${beside.map((keyword) => `\`${keyword}\``).join(', ')}.`,
        'Put what stands beside the `$ref` into the schema that it names.',
      )
  }
}

/** "Cyclic references […] may only be used within non-required properties." */
export const optionalCycles: Rule = function* ({ inputSchema }) {
  const open = new Set<SchemaNode>()
  const done = new Set<SchemaNode>()
  const found: string[] = []
  const visit = (schema: unknown, pointer: string): void => {
    if (!isSchemaNode(schema) || done.has(schema)) return
    if (open.has(schema)) {
      found.push(pointer)
      return
    }
    open.add(schema)
    const target = resolveRef(inputSchema, schema['$ref'])
    if (target !== undefined) visit(target.schema, `${input}${target.path}`)
    const required: unknown[] = Array.isArray(schema['required']) ? schema['required'] : []
    const properties = isSchemaNode(schema['properties']) ? schema['properties'] : {}
    for (const [key, value] of Object.entries(properties))
      if (required.includes(key)) visit(value, pointerTo(pointer, 'properties', key))
    for (const keyword of ['anyOf', 'oneOf', 'prefixItems']) {
      const list = schema[keyword]
      if (Array.isArray(list)) list.forEach((part, index) => visit(part, pointerTo(pointer, keyword, index)))
    }
    visit(schema['items'], pointerTo(pointer, 'items'))
    visit(schema['additionalProperties'], pointerTo(pointer, 'additionalProperties'))
    open.delete(schema)
    done.add(schema)
  }
  for (const [schema, pointer] of walk(inputSchema, input)) visit(schema, pointer)
  for (const pointer of found)
    yield remark(
      'error',
      'required-cycle',
      pointer,
      'A required property leads back to its own schema.',
      'Make a property on the way optional, or hide the argument.',
    )
}

export const refsAtAll: Rule = ({ inputSchema }) => {
  const [, pointer] = walk(inputSchema, input).find(([schema]) => Object.hasOwn(schema, '$ref')) ?? []
  return pointer === undefined
    ? []
    : [
        remark(
          'note',
          'parameters-ref',
          pointer,
          'The schema has references, which the older field `parameters` does not take.',
          'Use a client that sends it as `parametersJsonSchema`; those of 2025 and older flatten or drop the schema.',
        ),
      ]
}

/** OpenAI's strict mode, by its published limits; one note a tool, with the first reason. */
export const strictMode: Rule = ({ inputSchema }) => {
  let properties = 0
  let values = 0
  let letters = 0
  for (const [schema, pointer] of walk(inputSchema, input)) {
    const reason = notStrict(schema)
    if (reason !== undefined) return [strictNote(pointer, reason)]
    const own = isSchemaNode(schema['properties']) ? Object.keys(schema['properties']) : []
    const choices: unknown[] = Array.isArray(schema['enum']) ? schema['enum'] : []
    const lengthOf = (texts: readonly unknown[]): number =>
      texts.reduce<number>((sum, text) => sum + (typeof text === 'string' ? text.length : 0), 0)
    if (choices.length > 250 && lengthOf(choices) > 15_000) return [strictNote(pointer, 'a long `enum` of long texts')]
    properties += own.length
    values += choices.length
    letters += lengthOf(own) + lengthOf(choices)
    if (properties > 5_000) return [strictNote(pointer, 'more than 5,000 properties')]
    if (values > 1_000) return [strictNote(pointer, 'more than 1,000 `enum` values')]
    if (letters > 120_000) return [strictNote(pointer, 'more than 120,000 characters of names and values')]
    if (pointer.split('/properties/').length > 11) return [strictNote(pointer, 'more than 10 levels')]
  }
  return []
}

const strictNote = (pointer: string, reason: string): Remark =>
  remark(
    'note',
    'strict',
    pointer,
    `The tool cannot be used with \`strict: true\`: it has ${reason}.`,
    'Use it without strict mode, which is what MCP clients do.',
  )

const notInStrict = ['allOf', 'oneOf', 'not', 'dependentRequired', 'dependentSchemas', 'if', 'then', 'else']

function notStrict(schema: SchemaNode): string | undefined {
  const keyword = notInStrict.find((word) => Object.hasOwn(schema, word))
  if (keyword !== undefined) return `\`${keyword}\``
  const { type, properties, required, additionalProperties } = schema
  if (type !== 'object' && !isSchemaNode(properties)) return undefined
  if (additionalProperties !== false) return 'an object that is open to other members'
  const names = isSchemaNode(properties) ? Object.keys(properties) : []
  return names.every((key) => Array.isArray(required) && required.includes(key)) ? undefined : 'optional properties'
}
