/** Where a model's service is: endpoint rules as a decision diagram, hosts with a prefix, and what counts for neither. */
import { describe, expect, it } from 'vitest'
import type { ImportOptions, ImportResult } from '../../../src/targets/adapter.ts'
import { evaluateRules } from '../../../src/targets/smithy/endpoint.ts'
import { smithy } from '../../../src/targets/smithy.ts'
import { bytesOf, codes, type Plain } from './support.ts'

const result = (index: number): number => 100_000_000 + index

/** Nodes as the trait has them: a condition, where to go if it holds, where if not; the first is never gone to. */
const nodesOf = (...nodes: readonly (readonly [number, number, number])[]): string => {
  const bytes = Buffer.alloc((nodes.length + 1) * 12)
  for (const [index, value] of [[-1, 1, -1], ...nodes].flat().entries()) bytes.writeInt32BE(value, index * 4)
  return bytes.toString('base64')
}

const isSet = (name: string): Plain => ({ fn: 'isSet', argv: [{ ref: name }] })
const isTrue = (name: string): Plain => ({ fn: 'booleanEquals', argv: [{ ref: name }, true] })

/** The usual diagram: no region, FIPS or not. */
const diagram = (more: Plain = {}): Plain => ({
  version: '1.1',
  parameters: {
    Region: { type: 'string', builtIn: 'AWS::Region' },
    UseFIPS: { type: 'boolean', builtIn: 'AWS::UseFIPS', required: true, default: false },
  },
  conditions: [
    isSet('Region'),
    { fn: 'aws.partition', argv: [{ ref: 'Region' }], assign: 'Partition' },
    isTrue('UseFIPS'),
  ],
  results: [
    { conditions: [], error: 'Missing Region', type: 'error' },
    { conditions: [], endpoint: { url: 'https://s-fips.{Region}.{Partition#dnsSuffix}' }, type: 'endpoint' },
    { conditions: [], endpoint: { url: 'https://s.{Region}.{Partition#dnsSuffix}' }, type: 'endpoint' },
  ],
  root: 2,
  nodeCount: 4,
  nodes: nodesOf([0, 3, result(0)], [1, 4, -1], [2, result(1), result(2)]),
  ...more,
})

const region = new Map<string, unknown>([['AWS::Region', 'eu-west-1']])

describe('a decision diagram', () => {
  it.each([
    ['the endpoint of a region', region, { url: 'https://s.eu-west-1.amazonaws.com' }],
    ['what a parameter chooses', new Map([...region, ['AWS::UseFIPS', true]]), { url: /^https:\/\/s-fips\./ }],
    ['an error where there is no region', new Map<string, unknown>(), { error: 'Missing Region' }],
  ])('leads to %s', (_name, builtIns, expected) => {
    const verdict = evaluateRules(diagram(), builtIns)
    for (const [key, value] of Object.entries(expected))
      expect((verdict as { [key: string]: string })[key]).toMatch(value)
  })

  it('goes the other way at a complemented reference', () => {
    const nodes = nodesOf([0, -3, result(0)], [2, result(1), result(2)])
    const conditions = [isSet('Region'), isSet('Region'), isSet('Region')]
    const results = ['a', 'b', 'c'].map((error) => ({ error }))
    expect(evaluateRules(diagram({ nodes, conditions, results }), region)).toEqual({ error: 'c' })
  })

  it.each([
    ['ends where nothing matches', { nodes: nodesOf([0, -1, 1]) }],
    ['names a node that is not there', { nodes: nodesOf([0, 99, 99]) }],
    ['names a node far below', { nodes: nodesOf([0, -2_147_483_648, 3]) }],
    ['names a condition that is not there', { nodes: nodesOf([77, 3, 3]) }],
    ['names a result that is not there', { nodes: nodesOf([0, result(50), 3]) }],
    ['leads to itself', { nodes: nodesOf([0, 2, 2]) }],
    ['has a root that is no reference', { root: 2.5 }],
    ['has no root', { root: 'constructor' }],
    ['has nodes that are cut off', { nodes: nodesOf([0, 3, 3]).slice(0, 20) }],
    ['has no nodes', { nodes: '' }],
  ])('comes to nothing where it %s', (_name, more) => {
    expect(evaluateRules(diagram(more), region)).toBeUndefined()
  })

  it.each([
    ['ite', [isSet('Region'), 'yes', 'no'], 'yes'],
    ['ite', [isSet('nothing'), 'yes', 'no'], 'no'],
    ['coalesce', [{ ref: 'nothing' }, 'second', 'third'], 'second'],
    ['uriEncode', ["a b!'()*/~"], 'a%20b%21%27%28%29%2A%2F~'],
  ])('knows %s of %j', (fn, argv, error) => {
    const more = { conditions: [{ fn, argv, assign: 'x' }], results: [{ error: '{x}' }] }
    expect(evaluateRules(diagram({ ...more, nodes: nodesOf([0, result(0), -1]) }), region)).toEqual({ error })
  })

  it('cannot make a text grow without an end', () => {
    const conditions = [
      { fn: 'uriEncode', argv: ['a'], assign: 'x' },
      { fn: 'uriEncode', argv: ['{x}{x}'], assign: 'x' },
    ]
    const nodes = nodesOf([0, 3, -1], [1, 3, -1])
    expect(evaluateRules(diagram({ conditions, nodes }), region)).toBeUndefined()
  })
})

const model = (traits: Plain, operation: Plain = {}): Plain => ({
  smithy: '2.0',
  shapes: {
    'a#S': {
      type: 'service',
      operations: [{ target: 'a#Op' }],
      traits: { 'aws.protocols#restJson1': {}, 'aws.auth#sigv4': { name: 'sign' }, ...traits },
    },
    'a#Op': {
      type: 'operation',
      traits: { 'smithy.api#http': { method: 'GET', uri: '/op' }, ...operation },
    },
  },
})

const load = (description: Plain, options: ImportOptions = {}): Promise<ImportResult> =>
  smithy.load(bytesOf(description), { serverVariables: new Map([['region', 'eu-west-1']]), ...options })

const prefixed = (hostPrefix: string): Plain => ({ 'smithy.api#endpoint': { hostPrefix } })

describe('a service', () => {
  it('is where its diagram says if it has no rule set', async () => {
    const { server, issues } = await load(model({ 'smithy.rules#endpointBdd': diagram() }))
    expect(server).toBe('https://s.eu-west-1.amazonaws.com')
    expect(codes(issues)).toEqual(['signing_name'])
  })

  it.each([
    ['endpointPrefix', { endpointPrefix: 'data.thing', arnNamespace: 'thing' }, 'data.thing'],
    ['arnNamespace', { arnNamespace: 'thing' }, 'thing'],
  ])('without rules is called by its %s', async (_name, service, prefix) => {
    const { server } = await load(model({ 'aws.api#service': service }))
    expect(server).toBe(`https://${prefix}.eu-west-1.amazonaws.com`)
  })

  it.each([
    ['a file of the machine', 'file:///etc/passwd'],
    ['a host that a user name hides', 'https://shop.test@evil.test'],
    ['no URL', 'shop'],
  ])('is nowhere if its rules lead to %s', async (_name, url) => {
    const rules = { parameters: {}, rules: [{ conditions: [], endpoint: { url } }] }
    const { server, issues } = await load(model({ 'smithy.rules#endpointRuleSet': rules }))
    expect(server).toBeUndefined()
    expect(codes(issues)).toEqual(['no_endpoint', 'signing_name'])
  })

  it('is not where its model was found', async () => {
    const { server } = await load(model({}), { documentUrl: 'https://models.example.test/a/model.json' })
    expect(server).toBeUndefined()
  })

  it('is signed for as its rules say: by the sigv4 scheme, whichever others come first', async () => {
    const authSchemes = [
      { name: 'sigv4a', signingName: 'wrong', signingRegionSet: ['*'] },
      { name: 'sigv4', signingName: 'right', signingRegion: 'us-east-1' },
    ]
    const endpoint = { url: 'https://s.test', properties: { authSchemes } }
    const rules = { parameters: {}, rules: [{ conditions: [], endpoint }] }
    const { issues } = await load(model({ 'smithy.rules#endpointRuleSet': rules }))
    expect(issues[0]?.message).toContain('the service `right` and region `us-east-1`')
  })
})

describe('a host prefix', () => {
  const named = { 'aws.api#service': { endpointPrefix: 'shop' } }

  it('makes a host that the credential is for as well', async () => {
    const { origins } = await load(model(named, prefixed('data.')))
    expect(origins).toEqual(['https://data.shop.eu-west-1.amazonaws.com'])
  })

  it.each([
    ['holds an argument', '{account}.'],
    ['ends the host', 'evil.test/'],
    ['is a user name', 'evil.test@'],
    ['is longer than any host', `${'a'.repeat(5_000)}!`],
  ])('that %s leaves the operation out', async (_name, prefix) => {
    const { operations, origins } = await load(model(named, prefixed(prefix)))
    expect(operations).toEqual([])
    expect(origins).toEqual([])
  })
})
