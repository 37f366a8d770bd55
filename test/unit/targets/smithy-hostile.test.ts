/** Models that mean harm, or are broken: each costs itself, never the gateway. */
import { describe, expect, it } from 'vitest'
import type { ImportResult } from '../../../src/targets/adapter.ts'
import { evaluateRules } from '../../../src/targets/smithy/endpoint.ts'
import { plainProse } from '../../../src/targets/smithy/prose.ts'
import { smithy } from '../../../src/targets/smithy.ts'
import { bytesOf, codeOf, codes, type Plain, target } from './support.ts'

const to = (id: string): Plain => ({ target: id })
const http = (uri: string, method = 'POST'): Plain => ({ 'smithy.api#http': { method, uri } })

/** A model of one operation, with these shapes beside it. */
const model = (shapes: Plain, operation: Plain = {}, service: Plain = {}): Plain => ({
  smithy: '2.0',
  shapes: {
    'a#S': { type: 'service', operations: [to('a#Op')], traits: { 'aws.protocols#restJson1': {} }, ...service },
    'a#Op': { type: 'operation', input: to('a#In'), traits: http('/op'), ...operation },
    ...shapes,
  },
})

const load = (description: Plain | string): Promise<ImportResult> =>
  smithy.load(bytesOf(description), { server: 'https://api.example.test' })

describe('a broken model', () => {
  it.each([
    [
      'mixins that lead back',
      { 'a#In': { type: 'structure', mixins: [to('a#M')] }, 'a#M': { type: 'structure', mixins: [to('a#In')] } },
      'shape_circle',
    ],
    [
      'a member whose shape is missing',
      { 'a#In': { type: 'structure', members: { x: to('a#Nowhere') } } },
      'missing_shape',
    ],
    ['a member without a target', { 'a#In': { type: 'structure', members: { x: {} } } }, 'missing_shape'],
    ['an input that is missing', {}, 'unread_operation'],
  ])('of %s is read with a warning', async (_name, shapes, code) => {
    expect(codes((await load(model(shapes))).issues)).toContain(code)
  })

  it.each([
    ['no HTTP binding', { traits: {} }],
    ['a method that is none', { traits: http('/op', 'PO ST') }],
    ['no type', { type: 'structure' }],
  ])('of an operation with %s is read without it', async (_name, operation) => {
    const { operations, issues } = await load(model({ 'a#In': { type: 'structure' } }, operation))
    expect(operations).toEqual([])
    expect(codes(issues)).toEqual(['unread_operation'])
  })

  it('leaves the second of two operations out that are one on the wire', async () => {
    const twin = { type: 'operation', traits: http('/op') }
    const service = { operations: [to('a#Op'), to('a#Twin')] }
    const { operations, issues } = await load(model({ 'a#In': { type: 'structure' }, 'a#Twin': twin }, {}, service))
    expect(operations.map(({ id }) => id)).toEqual(['Op'])
    expect(issues).toEqual([expect.objectContaining({ code: 'unread_operation', pointer: '/shapes/a#Twin' })])
  })

  it('reads the first of several services that speak restJson1', async () => {
    const other = { type: 'service', traits: { 'aws.protocols#restXml': {} } }
    const { operations, issues } = await load(model({ 'a#In': { type: 'structure' }, 'a#Z': other }))
    expect(operations).toHaveLength(1)
    expect(codes(issues)).toEqual(['several_services'])
  })

  it('tells a fault of a schema at the shape that has it', async () => {
    const text = { type: 'string', traits: { 'smithy.api#pattern': '(?i)x' } }
    const shapes = {
      'a#In': { type: 'structure', members: { s: to('a#Inner') } },
      'a#Inner': { type: 'structure', members: { t: to('a#T') } },
      'a#T': text,
    }
    const { issues } = await load(model(shapes))
    expect(issues).toEqual([expect.objectContaining({ code: 'pattern_dropped', pointer: '/shapes/a#Inner' })])
  })
})

describe('names of JavaScript’s own', () => {
  it('are names like any other', async () => {
    const text = `{"smithy":"2.0","shapes":{
      "a#S":{"type":"service","operations":[{"target":"a#constructor"}],"traits":{"aws.protocols#restJson1":{},"__proto__":{"x":1}}},
      "a#constructor":{"type":"operation","input":{"target":"a#__proto__"},"traits":{"smithy.api#http":{"method":"POST","uri":"/{toString}"}}},
      "a#__proto__":{"type":"structure","members":{
        "toString":{"target":"smithy.api#String","traits":{"smithy.api#httpLabel":{},"smithy.api#required":{}}},
        "hasOwnProperty":{"target":"smithy.api#String","traits":{"smithy.api#httpHeader":"X-Own"}},
        "valueOf":{"target":"a#__proto__2"},"__proto__":{"target":"smithy.api#String"}}},
      "a#__proto__2":{"type":"structure","members":{"constructor":{"target":"smithy.api#String"}}},
      "__proto__":{"type":"structure"}}}`
    const { operations } = await load(text)
    const [operation] = operations
    if (operation === undefined) throw new Error('there is one')
    const body = { valueOf: { constructor: 'c' } }
    const request = smithy.prepare(
      operation,
      JSON.parse(JSON.stringify({ toString: 'l', hasOwnProperty: 'h', body })),
      target,
    )
    expect(request.url).toBe('https://api.example.test/v1/l')
    expect(request.headers.get('x-own')).toBe('h')
    expect(request.body).toBe(JSON.stringify(body))
    expect(Object.prototype).not.toHaveProperty('x')
  })
})

describe('a model that unfolds without an end', () => {
  it('of members that many shapes mix in is refused', async () => {
    const members = Object.fromEntries(
      Array.from({ length: 5_000 }, (_, index) => [`m${index}`, to('smithy.api#String')]),
    )
    const shapes: { [id: string]: unknown } = { 'a#In': { type: 'structure', members } }
    for (let index = 0; index < 2_000; index++) {
      shapes[`a#Op${index}`] = { type: 'operation', input: to('a#In'), traits: http(`/op/${index}`) }
    }
    const operations = Array.from({ length: 2_000 }, (_, index) => to(`a#Op${index}`))
    expect(await codeOf(load(model(shapes, {}, { operations })))).toBe('over_limit')
  })

  it.each([
    ['nested too deeply', `{"smithy":"2.0","shapes":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    [
      'of too many operations',
      JSON.stringify(model({}, {}, { operations: Array.from({ length: 20_001 }, (_, index) => to(`a#O${index}`)) })),
    ],
  ])('%s is refused', async (_name, text) => {
    expect(await codeOf(load(text))).toBe('over_limit')
  })

  it('of mixins a thousand deep is read up to a bound', async () => {
    const shapes: { [id: string]: unknown } = { 'a#In': { type: 'structure', mixins: [to('a#M0')] } }
    for (let index = 0; index < 1_000; index++)
      shapes[`a#M${index}`] = {
        type: 'structure',
        mixins: [to(`a#M${index + 1}`)],
        members: { [`m${index}`]: to('smithy.api#String') },
      }
    const { operations, issues } = await load(model(shapes))
    expect(operations).toHaveLength(1)
    expect(codes(issues)).toEqual(['shape_circle'])
  })
})

describe('endpoint rules', () => {
  const call = (fn: string, argv: unknown[], assign?: string): Plain => ({
    fn,
    argv,
    ...(assign === undefined ? {} : { assign }),
  })
  const rules = (conditions: unknown[], url: unknown = 'https://{R}.test'): Plain => ({
    parameters: { R: { builtIn: 'AWS::Region', type: 'string' }, D: { default: 'preset' } },
    rules: [
      { conditions, endpoint: { url } },
      { conditions: [], error: 'no' },
    ],
  })
  const region = new Map([['AWS::Region', 'eu-west-1']])

  it.each([
    ['a template', rules([]), 'https://eu-west-1.test'],
    ['doubled braces', rules([], 'https://{{x}}.test'), 'https://{x}.test'],
    ['a default', rules([], { ref: 'D' }), 'preset'],
    [
      'what a condition assigns',
      rules([call('substring', [{ ref: 'R' }, 0, 2, false], 'x')], 'https://{x}.test'),
      'https://eu.test',
    ],
    ['a part from the end', rules([call('substring', [{ ref: 'R' }, 0, 1, true], 'x')], '{x}'), '1'],
    ['a partition', rules([call('aws.partition', [{ ref: 'R' }], 'p')], '{p#dnsSuffix}'), 'amazonaws.com'],
    ['a host label', rules([call('isValidHostLabel', [{ ref: 'R' }, false])]), 'https://eu-west-1.test'],
    ['not', rules([call('not', [call('isSet', [{ ref: 'none' }])])]), 'https://eu-west-1.test'],
  ])('know %s', (_name, set, url) => {
    expect(evaluateRules(set, region)).toEqual({ url })
  })

  it.each([
    ['an error', rules([call('isSet', [{ ref: 'none' }])]), { error: 'no' }],
    ['nothing for a function that is unknown', rules([call('constructor', [])]), undefined],
    ['nothing for a template without its value', rules([], 'https://{none}.test'), undefined],
    ['nothing for no rules', {}, undefined],
  ])('come to %s', (_name, set, verdict) => {
    expect(evaluateRules(set, region)).toEqual(verdict)
  })

  it('end after a number of steps', () => {
    let nested: Plain = { conditions: [], endpoint: { url: 'https://never.test' } }
    const doubled = [call('isSet', ['x'])]
    for (let depth = 0; depth < 14; depth++) nested = { conditions: doubled, rules: [nested] }
    const wide = { rules: Array.from({ length: 20_000 }, () => ({ conditions: [call('isSet', [{ ref: 'none' }])] })) }
    expect(evaluateRules(wide, region)).toBeUndefined()
    expect(evaluateRules({ rules: [nested] }, region)).toEqual({ url: 'https://never.test' })
  })
})

describe('prose', () => {
  it.each([
    ['<p>One.</p><p>Two\n  words.</p>', 'One.\nTwo words.'],
    ['<ul><li><p>a</p></li><li>b</li></ul>', '- a\n- b'],
    ['Plain *text*.\n\nStays.', 'Plain *text*.\n\nStays.'],
    ['<p/>', undefined],
    [17, undefined],
  ])('of %j is %j', (html, text) => {
    expect(plainProse(html)?.replaceAll(/<\/?\w+>/g, '')).toBe(text)
  })

  it('is read in one pass, whatever it holds', () => {
    expect(plainProse('<code>'.repeat(100_000))?.length).toBeLessThanOrEqual(20_000)
    expect(plainProse(`<p ${' '.repeat(100_000)}`)?.length).toBeLessThanOrEqual(20_000)
  })
})
