/** Prompts and resources of MCP servers: which are offered, under what names, and whose a resource is. */
import { describe, expect, it } from 'vitest'
import { Offered, ofTools, toOffers } from '../../../src/catalogue/offers.ts'
import type { ToolRules } from '../../../src/catalogue/tools.ts'
import type { Target } from '../../../src/core/model.ts'
import type { Offers } from '../../../src/targets/adapter.ts'

const target = (name: string): Target => ({
  name,
  kind: 'mcp',
  origin: 'https://mcp.example.com',
  basePath: '/mcp',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
})

const offers: Offers = {
  prompts: [
    { name: 'greet', description: 'Says hello.', arguments: [{ name: 'who' }] },
    { name: 'draft mail', description: 'Writes.' },
  ],
  resources: [
    { uri: 'notes://a', name: 'a' },
    { uri: 'notes://b/secret', name: 'b' },
  ],
  templates: [{ uriTemplate: 'notes://{id}/lines/{+range}', name: 'lines' }],
  completions: true,
  subscribe: false,
}

const rules = (some: Partial<ToolRules> = {}): ToolRules => ({
  include: [],
  exclude: [],
  override: new Map(),
  ...some,
})

const made = (some?: Partial<ToolRules>) => {
  const told: string[] = []
  return { set: toOffers('notes', offers, rules(some), (what) => told.push(what)), told }
}

describe('what a server offers', () => {
  it('is named after its target, in letters that every client takes; a resource keeps its URI', () => {
    const { set, told } = made()
    expect(set.prompts.map(({ name, own, definition }) => [name, own, definition['name']])).toEqual([
      ['notes___greet', 'greet', 'notes___greet'],
      ['notes___draft_mail', 'draft mail', 'notes___draft_mail'],
    ])
    expect(set.resources.map(({ uri, definition }) => [uri, definition])).toEqual([
      ['notes://a', offers.resources[0]],
      ['notes://b/secret', offers.resources[1]],
    ])
    expect(told).toEqual([])
  })

  it('can be called otherwise by `prompt NAME`; one that is not there is told', () => {
    const { set, told } = made({
      override: new Map([
        ['prompt greet', { name: 'hello', description: 'Greets.', title: 'Hello' }],
        ['prompt gone', { name: 'x' }],
        ['greet', { name: 'a_tool' }],
      ]),
    })
    expect(set.prompts[0]).toMatchObject({
      name: 'hello',
      own: 'greet',
      definition: { name: 'hello', description: 'Greets.', title: 'Hello', arguments: [{ name: 'who' }] },
    })
    expect(told).toEqual(['tools.override names prompt gone, and there is no such thing.'])
  })

  it.each<[string, Partial<ToolRules>, readonly string[], readonly string[]]>([
    [
      'all, where the rules speak of tools only',
      { include: ['get_*'], exclude: ['x'] },
      ['greet', 'draft mail'],
      ['notes://a', 'notes://b/secret'],
    ],
    ['no prompt that an exclude means', { exclude: ['prompt draft*'] }, ['greet'], ['notes://a', 'notes://b/secret']],
    [
      'no resource that an exclude means',
      { exclude: ['resource notes://b/**'] },
      ['greet', 'draft mail'],
      ['notes://a'],
    ],
    [
      'only the prompts that an include means',
      { include: ['prompt greet'] },
      ['greet'],
      ['notes://a', 'notes://b/secret'],
    ],
  ])('is %s', (_, some, prompts, resources) => {
    const { set } = made(some)
    expect(set.prompts.map(({ own }) => own)).toEqual(prompts)
    expect(set.resources.map(({ uri }) => uri)).toEqual(resources)
  })

  it('is none of the rules that are left for tools', () => {
    const left = ofTools(
      rules({ include: ['prompt a', 'b'], exclude: ['resource c', 'd'], override: new Map([['prompt e', {}]]) }),
    )
    expect([left.include, left.exclude, [...left.override.keys()]]).toEqual([['b'], ['d'], []])
  })
})

describe('all offers together', () => {
  const one = { target: target('one'), set: made().set, priority: 10 }
  const two = { target: target('two'), set: made().set, priority: 5 }

  it('give a resource that two servers have to the one with the lower number', () => {
    const offered = new Offered([one, two])
    expect(offered.resource('notes://a')?.target.name).toBe('two')
    expect(offered.resources()).toHaveLength(2)
  })

  it.each([
    ['notes://7/lines/1-3', true],
    ['notes://7/lines/1/3', true],
    ['notes://7/8/lines/1', false],
    ['notes://7/words/1', false],
    ['other://7/lines/1', false],
  ])('find %s by its template: %s', (uri, found) => {
    expect(new Offered([one]).resource(uri) !== undefined).toBe(found)
  })

  it('change their version exactly with what they list', () => {
    const before = new Offered([one])
    const other = { ...one, set: { ...one.set, prompts: one.set.prompts.slice(1) } }
    const after = new Offered([other])
    expect(after.promptsVersion).not.toBe(before.promptsVersion)
    expect(after.resourcesVersion).toBe(before.resourcesVersion)
    expect(new Offered([one]).promptsVersion).toBe(before.promptsVersion)
  })
})
