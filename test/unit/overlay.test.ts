/** What an overlay does to a description: the specification's own cases, what is wrong in it, and attacks by way of it. */
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../src/core/errors.ts'
import { limits } from '../../src/core/limits.ts'
import type { Issue } from '../../src/targets/adapter.ts'
import { applyOverlay } from '../../src/targets/openapi/overlay.ts'

type Plain = { readonly [key: string]: unknown }

const yaml = (text: string): Plain => load(text) as Plain

const overlayOf = (actions: unknown, more: Plain = {}): Plain => ({
  overlay: '1.1.0',
  info: { title: 'An overlay', version: '1.0.0' },
  actions,
  ...more,
})

/** The description with these actions applied, and what was said of them. */
function apply(description: Plain, overlay: unknown, name?: string): { result: Plain; issues: Issue[] } {
  const issues: Issue[] = []
  const before = JSON.stringify(description)
  const result = applyOverlay(description, overlay, issues, name)
  expect(JSON.stringify(description), 'what was read stays as it was').toBe(before)
  return { result, issues }
}

function refusal(description: Plain, overlay: unknown): { code: string; words: string } {
  try {
    applyOverlay(description, overlay, [])
  } catch (error) {
    if (error instanceof GatewayError) return { code: error.code, words: error.message }
    throw error
  }
  return { code: 'none', words: '' }
}

const shop = yaml(`
openapi: 3.1.0
info: { title: Shop, version: '1' }
servers: [{ url: https://shop.example }]
tags: [{ name: goods }, { name: internal }]
paths:
  /goods:
    get:
      summary: Goods
      tags: [goods, dummy]
      parameters:
        - { name: filter, in: query, schema: { type: string } }
        - { name: dummy, in: query, schema: { type: string } }
      responses: { '200': { description: Fine } }
    delete:
      x-internal: true
      responses: { '204': { description: Gone } }
  /orders:
    get:
      x-traits: [paged]
      parameters: [{ name: filter, in: header, schema: { type: string } }]
      responses: { '200': { description: Fine } }
  /about:
    get:
      responses: { '200': { description: Fine } }
`)

describe('an overlay', () => {
  test.each<[does: string, actions: string, expected: string, paths?: string[] | undefined, version?: string]>([
    [
      'mirrors the structure of the description from the root (structured)',
      `
      - target: $
        update:
          info: { x-applied: structured }
          paths:
            /goods: { summary: The goods, get: { summary: List goods, x-rate-limit: 100 } }
            /new: { get: { responses: {} } }
          components:`,
      `
      info: { title: Shop, version: '1', x-applied: structured }
      paths:
        /goods: { summary: The goods, get: { summary: List goods, x-rate-limit: 100, tags: [goods, dummy] }, delete: {} }
        /orders: {}
        /new: { get: { responses: {} } }
      components:`,
      ['/goods', '/orders', '/about', '/new'],
      '1.0.0',
    ],
    [
      'changes single operations and adds what is not there (targeted)',
      `
      - target: $.paths['/goods'].get
        update: { description: New }
      - target: $.paths['/about']
        update: { post: { description: Added, x-safe: false } }`,
      `
      paths:
        /goods: { get: { summary: Goods, description: New } }
        /about: { get: {}, post: { description: Added, x-safe: false } }`,
      undefined,
      '1.0.0',
    ],
    [
      'updates every place that a wildcard or filter selects (wildcard)',
      `
      - target: $.paths.*.get
        update: { x-safe: true }
      - target: $.paths.*.get.parameters[?@.name=='filter' && @.in=='query']
        update: { schema: { maxLength: 9 } }`,
      `
      paths:
        /goods: { get: { x-safe: true, parameters: [{ name: filter, schema: { type: string, maxLength: 9 } }, { name: dummy }] } }
        /orders: { get: { x-safe: true, parameters: [{ name: filter, in: header, schema: { type: string } }] } }
        /about: { get: { x-safe: true } }`,
      undefined,
      '1.0.0',
    ],
    [
      'appends an entry to lists (array modification)',
      `
      - target: $.paths.*.get.parameters
        update: { name: extra, in: query }`,
      `
      paths:
        /goods: { get: { parameters: [{ name: filter }, { name: dummy }, { name: extra, in: query }] } }
        /orders: { get: { parameters: [{ name: filter }, { name: extra, in: query }] } }`,
      undefined,
      '1.0.0',
    ],
    [
      'joins a list to a list, at the target and within',
      `
      - target: $.tags
        update: [{ name: new }, { name: newer }]
      - target: $.paths['/orders']
        update: { get: { parameters: [{ name: a }, { name: b }] } }`,
      `
      tags: [{ name: goods }, { name: internal }, { name: new }, { name: newer }]
      paths: { /orders: { get: { parameters: [{ name: filter }, { name: a }, { name: b }] } } }`,
    ],
    [
      'appends a single value to a list',
      `
      - { target: "$.paths['/goods'].get.tags", update: added }`,
      `
      paths: { /goods: { get: { tags: [goods, dummy, added] } } }`,
    ],
    [
      'replaces single values, null among them',
      `
      - { target: $.paths.*.get.summary, update: The same for all }
      - { target: $.info.version, update: null }`,
      `
      info: { title: Shop, version: null }
      paths: { /goods: { get: { summary: The same for all } } }`,
    ],
    [
      'applies its actions in order, each to the result of the one before',
      `
      - { target: $.servers, remove: true }
      - { target: $, update: { servers: [{ url: http://127.0.0.1:1 }] } }`,
      `
      servers: [{ url: 'http://127.0.0.1:1' }]`,
    ],
    [
      'puts a trait where it is asked for',
      `
      - target: $.paths[?@.get['x-traits'][?@ == 'paged']].get
        update: { parameters: [{ name: top, in: query }] }`,
      `
      paths:
        /goods: { get: { parameters: [{ name: filter }, { name: dummy }] } }
        /orders: { get: { parameters: [{ name: filter }, { name: top, in: query }] } }`,
    ],
    [
      'copies one node into another and leaves what is there (copy)',
      `
      - { target: "$.paths['/about']", copy: "$.paths['/goods']" }`,
      `
      paths:
        /goods: { get: { summary: Goods }, delete: {} }
        /about: { get: { summary: Goods, responses: { '200': { description: Fine } } }, delete: { x-internal: true } }`,
    ],
    [
      'renames by updating, copying and removing (move)',
      `
      - { target: $.paths, update: { /items: {} } }
      - { target: "$.paths['/items']", copy: "$.paths['/goods']" }
      - { target: "$.paths['/items'].get", update: { summary: Items } }
      - { target: "$.paths['/goods'].get", update: { summary: Old } }
      - { target: "$.paths['/goods']", remove: true }`,
      `
      paths:
        /items: { get: { summary: Items }, delete: { x-internal: true } }`,
      ['/orders', '/about', '/items'],
    ],
    [
      'removes where it says both, as if there were no update',
      `
      - { target: "$.paths['/about']", remove: true, update: { summary: never } }`,
      `
      info: { title: Shop }`,
      ['/goods', '/orders'],
    ],
    [
      'applies an action once to a place that is selected twice',
      `
      - { target: "$['tags', 'tags']", update: { name: once } }`,
      `
      tags: [{ name: goods }, { name: internal }, { name: once }]`,
    ],
    [
      'ignores what extends it',
      `
      - { target: $.info, x-why: because, description: why not, update: { x-a: 1 } }`,
      `
      info: { title: Shop, version: '1', x-a: 1 }`,
    ],
  ])('%s', (_, actions, expected, paths = ['/goods', '/orders', '/about'], version = '1.1.0') => {
    const { result, issues } = apply(shop, overlayOf(yaml(`actions: ${actions}`)['actions'], { overlay: version }))
    expect(issues).toEqual([])
    expect(result).toMatchObject(yaml(expected))
    expect(Object.keys(result['paths'] as Plain)).toEqual(paths)
  })

  test.each<[what: string, target: string, left: (result: Plain) => unknown, expected: unknown]>([
    ['a member', '$.paths.*.delete', (result) => Object.keys((result['paths'] as Plain)['/goods'] as Plain), ['get']],
    ['a path', "$.paths['/goods']", (result) => Object.keys(result['paths'] as Plain), ['/orders', '/about']],
    ['an element', "$.tags[?@.name=='internal']", (result) => result['tags'], [{ name: 'goods' }]],
    ['the first element', '$.tags[0]', (result) => result['tags'], [{ name: 'internal' }]],
    ['all elements', '$.tags[*]', (result) => result['tags'], []],
    ['an element twice selected', '$.tags[0,0,-2]', (result) => result['tags'], [{ name: 'internal' }]],
    ['all of everything', '$..*', (result) => result, {}],
    [
      'a single value in a list',
      "$..tags[?@=='dummy']",
      (result) => JSON.stringify(result).includes('"dummy"]'),
      false,
    ],
    ['a parent and its children', "$..['tags', 'name']", (result) => JSON.stringify(result).includes('name'), false],
  ])('removes %s', (_, target, left, expected) => {
    const { result, issues } = apply(shop, overlayOf([{ target, remove: true }], { overlay: '1.0.0' }))
    expect(issues).toEqual([])
    expect(left(result)).toEqual(expected)
  })

  test('takes exactly the matched elements of a list, whatever else moves up', () => {
    const list = Array.from({ length: 10 }, (_, index) => ({ index, inner: [index, index + 1] }))
    const target = '$.list[1, 3, 8, 9]["index", "inner"][0]'
    const { result } = apply(
      { list },
      overlayOf([
        { target: '$.list[1, 3]', remove: true },
        { target, remove: true },
      ]),
    )
    expect((result['list'] as Plain[]).map(({ index }) => index)).toEqual([0, 2, 4, 5, 6, 7, 8, 9])
    expect((result['list'] as Plain[]).map(({ inner }) => (inner as []).length)).toEqual([2, 1, 2, 1, 2, 2, 2, 2])
  })

  test('that matches nothing says so and changes nothing', () => {
    const { result, issues } = apply(
      shop,
      overlayOf([
        { target: '$.nothing', update: { a: 1 } },
        { target: "$.paths['/goods'].put", remove: true },
        { target: '$.nothing', copy: '$.nothing' },
        { target: '$.info' },
        { target: '$.info', remove: false },
      ]),
    )
    expect(result).toEqual(shop)
    expect(issues.map(({ severity, code, pointer }) => [severity, code, pointer])).toEqual([
      ['warning', 'overlay_no_change', '/actions/3'],
      ['warning', 'overlay_no_change', '/actions/4'],
      ['warning', 'overlay_no_match', '/actions/0'],
      ['warning', 'overlay_no_match', '/actions/1'],
      ['warning', 'overlay_no_match', '/actions/2'],
    ])
  })

  test.each<[extended: string, name: string | undefined, warned: boolean]>([
    ['https://a.example/shop.yaml', 'https://a.example/shop.yaml', false],
    ['HTTPS://A.example:443/shop.yaml', 'https://a.example/shop.yaml', false],
    ['https://b.example/shop.yaml', 'https://a.example/shop.yaml', true],
    ['./shop.yaml', 'https://a.example/v1/shop.yaml?raw=1', false],
    ['../api/shop.yaml#', '/etc/toolgate/specs/shop.yaml', false],
    ['https://a.example/shop.yaml', 'specs/shop.yaml', false],
    ['other.yaml', 'specs/shop.yaml', true],
    ['other.yaml', undefined, false],
  ])('made for %s and applied to %s warns: %s', (extended, name, warned) => {
    const { result, issues } = apply(shop, overlayOf([{ target: '$.tags', remove: true }], { extends: extended }), name)
    expect(issues.map(({ code, pointer }) => [code, pointer])).toEqual(warned ? [['overlay_extends', '/extends']] : [])
    expect(result).not.toHaveProperty('tags')
  })
})

describe('a wrong overlay is refused, and the place is named', () => {
  const action = { target: '$.info', update: {} }
  test.each<[overlay: unknown, words: RegExp]>([
    [undefined, /`\/`: it is not an object/],
    [[action], /`\/`: it is not an object/],
    [{ ...overlayOf([action]), overlay: undefined }, /`\/overlay`/],
    [overlayOf([action], { overlay: 1.1 }), /`\/overlay`/],
    [overlayOf([action], { overlay: '1.2.0' }), /`\/overlay`.*1\.0 or 1\.1/],
    [overlayOf([action], { overlay: '2.0.0' }), /`\/overlay`/],
    [overlayOf([action], { overlay: '1.0.0-rc' }), /`\/overlay`/],
    [overlayOf([action], { info: undefined }), /`\/info`/],
    [overlayOf([action], { info: { title: 'only' } }), /`\/info\/version`/],
    [overlayOf([action], { info: { version: '1' } }), /`\/info\/title`/],
    [overlayOf([action], { extends: 7 }), /`\/extends`/],
    [overlayOf([action], { action: [] }), /`\/action`: there is no such field/],
    [overlayOf(undefined), /`\/actions`/],
    [overlayOf({}), /`\/actions`/],
    [overlayOf([]), /`\/actions`.*at least one/],
    [overlayOf([action, 'remove']), /`\/actions\/1`: it is not an object/],
    [overlayOf([action, { update: {} }]), /`\/actions\/1\/target`: it must be a JSONPath/],
    [overlayOf([{ target: '$.a', removed: true }]), /`\/actions\/0\/removed`: there is no such field/],
    [overlayOf([{ target: '$.a', remove: 'yes' }]), /`\/actions\/0\/remove`/],
    [overlayOf([{ target: '$.a', update: 1, copy: '$.b' }]), /`\/actions\/0`.*exclude/],
    [overlayOf([{ target: '$.a', copy: '$.b' }], { overlay: '1.0.0' }), /`\/actions\/0\/copy`.*1\.1\.0/],
    [overlayOf([{ target: '$.info', copy: 7 }]), /`\/actions\/0\/copy`: it must be a JSONPath/],
    [overlayOf([{ target: '$.info', copy: '$.nothing' }]), /`\/actions\/0\/copy`.*none/],
    [overlayOf([{ target: '$.info', copy: '$.paths.*' }]), /`\/actions\/0\/copy`.*several/],
    [overlayOf([{ target: 'info', update: {} }]), /`\/actions\/0\/target`: it is not a JSONPath/],
    [overlayOf([{ target: '/info', update: {} }]), /`\/actions\/0\/target`: it is not a JSONPath/],
    [overlayOf([{ target: '', update: {} }]), /`\/actions\/0\/target`: it is not a JSONPath/],
    [overlayOf([{ target: '$[?unknown(@)]', update: {} }]), /`\/actions\/0\/target`: it is not a JSONPath/],
    [overlayOf([{ target: '$', remove: true }]), /`\/actions\/0`.*whole description/],
    [overlayOf([{ target: '$', update: 'text' }]), /`\/actions\/0\/update`: it is a single value/],
    [overlayOf([{ target: '$', update: [] }]), /`\/actions\/0\/update`: it is a list/],
    [overlayOf([{ target: '$.info.title', update: {} }]), /`\/actions\/0\/update`: it is an object/],
    [overlayOf([{ target: '$.info', update: { title: ['a'] } }]), /`\/actions\/0\/update\/title`: it is a list/],
    [overlayOf([{ target: '$', update: { paths: null } }]), /`\/actions\/0\/update\/paths`.*Remove that first/],
    [overlayOf([{ target: '$.info', copy: '$.tags' }]), /`\/actions\/0\/copy`: it is a list/],
    [overlayOf([{ target: "$['info', 'tags']", update: {} }]), /`\/actions\/0\/target`: it selects objects, lists/],
  ])('%j', (overlay, words) => {
    const { code, words: said } = refusal(shop, overlay)
    expect(said).toMatch(words)
    expect(code).toBe('bad_description')
  })
})

describe('what aliases share', () => {
  const aliased = (): Plain =>
    yaml(`
    common: &common { responses: { '200': { description: Fine } }, tags: &tags [a, b] }
    paths:
      /one: { get: *common }
      /two: { get: *common }
      /three: { get: { tags: *tags } }`)

  test.each<[what: string, action: Plain, changed: (result: Plain) => Plain]>([
    [
      'an update',
      { target: "$.paths['/one'].get", update: { tags: ['c'], responses: { '404': { description: 'None' } } } },
      (result) => ({
        ...result,
        paths: {
          ...(result['paths'] as Plain),
          '/one': {
            get: {
              responses: { '200': { description: 'Fine' }, '404': { description: 'None' } },
              tags: ['a', 'b', 'c'],
            },
          },
        },
      }),
    ],
    [
      'a removal',
      { target: "$.paths['/one'].get.tags[0]", remove: true },
      (result) => ({
        ...result,
        paths: {
          ...(result['paths'] as Plain),
          '/one': { get: { responses: { '200': { description: 'Fine' } }, tags: ['b'] } },
        },
      }),
    ],
  ])('changes by %s where it was matched only', (_, action, changed) => {
    const description = aliased()
    const plain = JSON.parse(JSON.stringify(description)) as Plain
    const { result } = apply(description, overlayOf([action]))
    expect(result).toEqual(changed(plain))
  })

  test('changes at each place that was matched, once', () => {
    const { result } = apply(aliased(), overlayOf([{ target: '$.paths[*].get.tags', update: 'c' }]))
    const unshared = JSON.parse(JSON.stringify(aliased())) as Plain
    expect(result).toEqual(apply(unshared, overlayOf([{ target: '$.paths[*].get.tags', update: 'c' }])).result)
    expect((result['common'] as Plain)['tags']).toEqual(['a', 'b'])
    expect(JSON.stringify(result).match(/"a","b","c"/g)).toHaveLength(3)
  })

  test('and what an action puts into many places, changes later in one', () => {
    const { result } = apply(
      aliased(),
      overlayOf([
        { target: '$.paths[*].get', update: { 'x-limit': { calls: 1 } } },
        { target: "$.paths['/two'].get['x-limit']", update: { calls: 2 } },
        { target: "$.paths['/three']", copy: "$.paths['/two']" },
        { target: "$.paths['/three'].get['x-limit'].calls", update: 3 },
      ]),
    )
    const limit = (path: string): unknown => (((result['paths'] as Plain)[path] as Plain)['get'] as Plain)['x-limit']
    expect([limit('/one'), limit('/two'), limit('/three')]).toEqual([{ calls: 1 }, { calls: 2 }, { calls: 3 }])
  })

  test('a node copied into itself ends', () => {
    const { result } = apply(
      shop,
      overlayOf([
        { target: '$.info', update: { 'x-in': {} } },
        { target: "$.info['x-in']", copy: '$' },
      ]),
    )
    expect((((result['info'] as Plain)['x-in'] as Plain)['info'] as Plain)['x-in']).toEqual({})
  })
})

describe('attacks', () => {
  test.each([
    '{"__proto__": {"polluted": true}}',
    '{"constructor": {"prototype": {"polluted": true}}}',
    '{"nested": {"__proto__": {"polluted": true}}}',
  ])('%s is a member like any other', (text) => {
    const update = JSON.parse(text) as Plain
    for (const description of [{ info: {} }, { info: JSON.parse(text) as unknown }]) {
      const { result } = apply(description, overlayOf([{ target: '$.info', update }]))
      expect(JSON.stringify(result['info'])).toBe(text.replaceAll(': ', ':'))
      expect(Object.getPrototypeOf(result['info'])).toBe(Object.prototype)
    }
    expect(({} as Plain)['polluted']).toBeUndefined()
  })

  test('a place named __proto__ is reached, changed and removed as an own member only', () => {
    const description = JSON.parse('{"info": {"__proto__": {"a": 1}}, "other": {}}') as Plain
    const path = "$.info['__proto__']"
    const { result } = apply(description, overlayOf([{ target: path, update: { b: 2 } }]))
    expect(JSON.stringify(result)).toBe('{"info":{"__proto__":{"a":1,"b":2}},"other":{}}')
    expect(JSON.stringify(apply(description, overlayOf([{ target: path, remove: true }])).result)).toBe(
      '{"info":{},"other":{}}',
    )
    const { issues } = apply(description, overlayOf([{ target: "$.other['__proto__']", update: { b: 2 } }]))
    expect(issues).toMatchObject([{ code: 'overlay_no_match' }])
  })

  const nested = (levels: number): Plain => {
    let value: Plain = {}
    for (let level = 0; level < levels; level++) value = { a: value }
    return value
  }
  const ring: { [key: string]: unknown } = { info: {} }
  ring['self'] = [ring, ring]
  const bomb = yaml(
    `a: &a [x,x,x,x,x,x,x,x,x,x]\n${Array.from('bcdefghi', (name, index) => `${name}: &${name} [${`*${'abcdefgh'[index] ?? ''},`.repeat(10)}]`).join('\n')}`,
  )
  const many = { list: Array.from({ length: limits.overlayMatches + 1 }, () => ({})) }

  test.each<[what: string, description: Plain, actions: unknown]>([
    ['a description that holds itself', ring, [{ target: '$..x', remove: true }]],
    ['an overlay that holds itself', shop, [{ target: '$.info', update: ring }]],
    ['a bomb of aliases in the update', shop, [{ target: '$.info', update: bomb }]],
    ['a bomb of aliases in the description', bomb, [{ target: '$..x', remove: true }]],
    ['an update that is too deep', shop, [{ target: '$.info', update: nested(limits.documentDepth + 1) }]],
    [
      'an update that goes too deep',
      { a: nested(limits.documentDepth - 10) },
      [{ target: `$${'.a'.repeat(limits.documentDepth - 10)}`, update: nested(20) }],
    ],
    ['more places than any description needs', many, [{ target: '$.list[*]', update: {} }]],
    [
      'a large value for many places',
      { list: many.list.slice(0, 5_000) },
      [{ target: '$.list[*]', update: { a: many.list.slice(0, 5_000) } }],
    ],
    [
      'a description doubled again and again',
      { x: {}, a: many.list.slice(0, 1_000) },
      Array.from({ length: 60 }, (_, index) => [
        { target: '$.x', update: { [`k${index}`]: {} } },
        { target: `$.x.k${index}`, copy: '$' },
      ]).flat(),
    ],
    [
      'more actions than are read',
      shop,
      Array.from({ length: limits.overlayActions + 1 }, () => ({ target: '$.info', update: {} })),
    ],
  ])('%s ends with the limit by name', (_, description, actions) => {
    const { code, words } = refusal(description, overlayOf(actions))
    expect(code, words).toBe('over_limit')
    expect(words).toMatch(/\d/)
  })

  test.each<[what: string, target: string, words: RegExp]>([
    ['50,000 brackets', `$${'['.repeat(50_000)}`, /it is not a JSONPath/],
    ['50,000 parentheses', `$[?${'('.repeat(50_000)}`, /it is not a JSONPath/],
    ['3,000 segments', `$${'.a'.repeat(3_000)}`, /it cannot be evaluated/],
  ])('a path of %s is refused with its place', (_, target, words) => {
    const { code, words: said } = refusal(shop, overlayOf([{ target, remove: true }]))
    expect(code).toBe('bad_description')
    expect(said).toMatch(/`\/actions\/0\/target`/)
    expect(said).toMatch(words)
    expect(said.length).toBeLessThan(1_000)
  })
})
