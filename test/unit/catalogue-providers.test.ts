/** Each provider's rules: what it refuses, what it ignores, and that an ordinary tool passes everywhere. */
import { describe, expect, it } from 'vitest'
import { isProvider, lint, lintAll, lintSet, type Provider, providers } from '../../src/catalogue/providers.ts'
import type { ToolDefinition } from '../../src/catalogue/tool.ts'

type Schema = { [keyword: string]: unknown }

const tool = (inputSchema: Schema = {}, more: Partial<ToolDefinition> = {}): ToolDefinition => ({
  name: 'pets___get',
  description: 'Gets a pet.',
  inputSchema: { type: 'object', properties: {}, additionalProperties: false, ...inputSchema },
  annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: false, openWorldHint: true },
  ...more,
})
const args = (properties: Schema, more: Schema = {}): ToolDefinition =>
  tool({ properties, required: Object.keys(properties), ...more })
const told = (definition: ToolDefinition, provider: Provider): string[] =>
  lint(definition, provider).map(({ severity, rule, pointer }) => `${severity} ${rule} ${pointer}`)
const text = { type: 'string' }
const long = (length: number): string => 'n'.repeat(length)
const nested = (depth: number): Schema =>
  depth === 0
    ? text
    : { type: 'object', properties: { a: nested(depth - 1) }, required: ['a'], additionalProperties: false }

describe('lint', () => {
  it.each(providers)('%s takes an ordinary tool as it is', (provider) => {
    expect(lint(args({ id: text, tags: { type: 'array', items: text } }), provider)).toEqual([])
  })

  it('names the provider and the tool, and says what to do', () => {
    expect(lint(tool({}, { name: 'a b' }), 'openai')).toEqual([
      {
        provider: 'openai',
        severity: 'error',
        tool: 'a b',
        pointer: '/name',
        rule: 'name',
        message: 'The name is not 1 to 64 characters of a–z, A–Z, 0–9, `_`, `-`.',
        hint: 'Give the tool another name with `tools.override` in the configuration, or shorten its `operationId`.',
      },
    ])
  })

  it.each<[provider: Provider, what: string, tool: ToolDefinition, told: string[]]>([
    ['anthropic', 'a name of 65 characters', tool({}, { name: long(65) }), ['warning name /name']],
    ['anthropic', 'a name of 129', tool({}, { name: long(129) }), ['error name /name', 'warning name /name']],
    ['anthropic', 'no description', tool({}, { description: ' ' }), ['warning description /description']],
    ['anthropic', 'alternatives at the root', tool({ anyOf: [{}] }), ['error root-combinator /inputSchema/anyOf']],
    ['anthropic', 'alternatives below it', args({ a: { anyOf: [text] } }), []],
    ['anthropic', 'a root that is a list', tool({ type: 'array' }), ['error root-type /inputSchema/type']],
    ['anthropic', 'an argument’s key', args({ 'a[]': text }), ['error property-key /inputSchema/properties/a[]']],
    [
      'anthropic',
      'a longer key',
      args({ [long(65)]: text }),
      [`error property-key /inputSchema/properties/${long(65)}`],
    ],
    [
      'anthropic',
      'a key further down',
      args({ a: { properties: { 'x/y': text } } }),
      ['warning property-key /inputSchema/properties/a/properties/x~1y'],
    ],
    [
      'anthropic',
      'a keyword of an older draft',
      args({ a: { type: 'number', exclusiveMinimum: true } }),
      ['error draft-2020-12 /inputSchema/properties/a/exclusiveMinimum'],
    ],
    ['openai', 'a name of 65 characters', tool({}, { name: long(65) }), ['error name /name']],
    [
      'openai',
      'a description of 1,024 characters, whatever their width',
      tool({}, { description: '🐕'.repeat(1_024) }),
      [],
    ],
    ['openai', 'a longer one', tool({}, { description: long(1_025) }), ['error description /description']],
    [
      'openai',
      '`not` at the root',
      tool({ not: {} }),
      ['error root-combinator /inputSchema/not', 'note strict /inputSchema'],
    ],
    [
      'openai',
      'a list without items',
      args({ a: { type: ['array', 'null'] } }),
      ['error array-items /inputSchema/properties/a'],
    ],
    [
      'openai',
      'a list without items behind a reference',
      args({ a: { $ref: '#/$defs/A' } }, { $defs: { A: { type: 'array' } } }),
      ['error array-items /inputSchema/$defs/A'],
    ],
    ['openai', 'an optional argument', tool({ properties: { a: text } }), ['note strict /inputSchema']],
    ['openai', 'an open object', args({ a: { type: 'object' } }), ['note strict /inputSchema/properties/a']],
    ['openai', 'ten levels', args({ a: nested(9) }), []],
    ['openai', 'eleven levels', args({ a: nested(11) }), [`note strict /inputSchema${'/properties/a'.repeat(11)}`]],
    [
      'openai',
      'more values than strict mode takes',
      args({ a: { enum: Array.from({ length: 1_001 }, (_, index) => index) } }),
      ['note strict /inputSchema/properties/a'],
    ],
    [
      'openai',
      'values too long for strict mode',
      args({ a: { enum: Array.from({ length: 251 }, (_, index) => long(60) + String(index)) } }),
      ['note strict /inputSchema/properties/a'],
    ],
    ['gemini', 'a name that begins with a digit', tool({}, { name: '3d___get' }), ['error name /name']],
    ['gemini', 'a name with a dot', tool({}, { name: 'a.b:c' }), []],
    ['gemini', 'a list without items', args({ a: { type: 'array' } }), ['error array-items /inputSchema/properties/a']],
    [
      'gemini',
      'a reference with words beside it',
      args({ a: { $ref: '#/$defs/A', description: 'x' } }, { $defs: { A: text } }),
      ['note parameters-ref /inputSchema/properties/a'],
    ],
    [
      'gemini',
      'a reference with assertions beside it',
      args({ a: { $ref: '#/$defs/A', type: 'string' } }, { $defs: { A: text } }),
      ['error ref-siblings /inputSchema/properties/a', 'note parameters-ref /inputSchema/properties/a'],
    ],
    [
      'gemini',
      'a recursion that can end',
      args(
        { a: { $ref: '#/$defs/A' } },
        { $defs: { A: { type: 'object', properties: { next: { $ref: '#/$defs/A' } } } } },
      ),
      ['note parameters-ref /inputSchema/properties/a'],
    ],
    [
      'gemini',
      'a recursion that is required',
      args(
        { a: { $ref: '#/$defs/A' } },
        { $defs: { A: { type: 'object', properties: { next: { $ref: '#/$defs/A' } }, required: ['next'] } } },
      ),
      ['error required-cycle /inputSchema/$defs/A', 'note parameters-ref /inputSchema/properties/a'],
    ],
    [
      'gemini',
      'keywords that it does not read, told once',
      args({ a: { ...text, pattern: 'x', minLength: 1 }, b: { ...text, pattern: 'y', default: 'y' } }),
      ['warning ignored-keywords /inputSchema/properties/a/pattern'],
    ],
    ['gemini', 'properties that are called like keywords', args({ pattern: text, not: text, properties: text }), []],
    [
      'gemini',
      'a truth value to choose',
      args({ a: { enum: [true] } }),
      ['warning enum-type /inputSchema/properties/a/enum/0'],
    ],
    [
      'gemini',
      'nothing to choose',
      args({ a: { enum: ['x', ''] } }),
      ['warning enum-empty /inputSchema/properties/a/enum/1'],
    ],
    ['bedrock', 'a name of 65 characters', tool({}, { name: long(65) }), ['error name /name']],
    ['bedrock', 'an empty description', tool({}, { description: '' }), ['error description /description']],
    ['bedrock', 'no type at the root', tool({ type: undefined }), ['error root-type /inputSchema/type']],
    ['bedrock', 'alternatives at the root', tool({ oneOf: [{}] }), ['warning root-combinator /inputSchema/oneOf']],
  ])('%s: %s', (provider, _what, definition, wanted) => {
    expect(told(definition, provider)).toEqual(wanted)
  })
})

describe('lintSet', () => {
  const names = (length: number): string[] => Array.from({ length }, (_, index) => `t${index}`)

  it.each<[provider: Provider, tools: number, severity: string | undefined]>([
    ['anthropic', 50, undefined],
    ['anthropic', 51, 'note'],
    ['openai', 128, undefined],
    ['openai', 129, 'error'],
    ['gemini', 128, undefined],
    ['gemini', 129, 'warning'],
    ['gemini', 513, 'error'],
    ['bedrock', 5_000, undefined],
  ])('%s, %i tools in one request: %s', (provider, tools, severity) => {
    expect(lintSet(names(tools), provider).map((finding) => finding.severity)).toEqual(severity ? [severity] : [])
  })

  it.each(providers)('%s: no name comes twice', (provider) => {
    expect(lintSet(['a', 'b', 'a', 'a'], provider)).toMatchObject([
      { severity: 'error', rule: 'unique-names', tool: '' },
    ])
  })
})

describe('lintAll', () => {
  it('says of each tool what concerns it, then what concerns all', () => {
    const found = lintAll([tool({}, { name: 'a b' }), tool({}, { name: 'a b' })], 'bedrock')
    expect(found.map(({ rule, tool: name }) => [rule, name])).toEqual([
      ['name', 'a b'],
      ['name', 'a b'],
      ['unique-names', ''],
    ])
  })
})

describe('isProvider', () => {
  it('knows its own', () => {
    expect(['openai', 'all', 'constructor', ''].map(isProvider)).toEqual([true, false, false, false])
  })
})
