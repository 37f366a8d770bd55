/** Property keys that every model provider takes, and their way back onto the wire. */
import { describe, expect, test } from 'vitest'
import { Keys } from '../../../src/targets/openapi/keys.ts'
import { writeBack } from '../../../src/targets/openapi/renames.ts'
import {
  bindingOf,
  component,
  document3,
  only,
  requestBody,
  send,
  textOf,
  withBody,
  withParameters,
} from './support.ts'

const legal = /^[a-zA-Z0-9_.-]{1,64}$/
const text = { type: 'string' }
const keysOf = (...names: string[]): Keys =>
  new Keys({ schema: { properties: Object.fromEntries(names.map((name) => [name, {}])) } })

describe('keys', () => {
  test.each([
    ['plain', 'plain'],
    ['a.b-c_d', 'a.b-c_d'],
    ['include[]', 'include'],
    ['filter[name]', 'filter_name'],
    ['$top', 'top'],
    ['@type', 'type'],
    ['with space', 'with_space'],
    ['été', 'e_te'],
    ['größe', 'gro_e'],
    ['日本', 'key'],
    ['🐶', 'key'],
    ['', 'key'],
    ['_x', '_x'],
    ['__proto__', 'proto'],
    ['constructor', 'constructor'],
  ])('%j is shown in letters that are legal', (raw, shown) => {
    expect(shown).toMatch(legal)
    expect(keysOf(raw).safe(raw)).toBe(shown)
  })

  test('a long one is cut and ends in a hash', () => {
    const keys = keysOf('k'.repeat(65), `${'k'.repeat(64)}l`, 'k'.repeat(10_240))
    const shown = ['k'.repeat(65), `${'k'.repeat(64)}l`, 'k'.repeat(10_240)].map((raw) => keys.safe(raw))
    for (const key of shown) expect(key).toMatch(legal)
    expect(new Set(shown).size).toBe(3)
  })

  test('one that takes another’s name ends in a hash; the other keeps it', () => {
    const keys = keysOf('include', 'include[]')
    expect(keys.safe('include')).toBe('include')
    expect(keys.safe('include[]')).toMatch(/^include_[0-9a-f]{8}$/)
  })

  test('two that wish for one name both end in a hash', () => {
    const keys = keysOf('$a', '@a')
    expect(new Set([keys.safe('$a'), keys.safe('@a')]).size).toBe(2)
    expect(keys.safe('$a')).toMatch(/^a_[0-9a-f]{8}$/)
  })

  test('the choice does not depend on the order of the document or of the questions', () => {
    const names = ['a', '$a', '@a', 'b[]', '{b}', 'c d', '日', '本', 'x'.repeat(70)]
    const forward = keysOf(...names)
    const backward = keysOf(...names.toReversed())
    const asked = names.map((name) => forward.safe(name))
    expect(
      names
        .toReversed()
        .map((name) => backward.safe(name))
        .toReversed(),
    ).toEqual(asked)
    expect(new Set(asked).size).toBe(names.length)
  })

  test('parameters’ names count as taken', () => {
    const keys = new Keys({
      parameters: [{ name: 'include', in: 'query' }],
      schema: { properties: { 'include[]': {} } },
    })
    expect(keys.safe('include[]')).not.toBe('include')
  })
})

describe('keys in a tool', () => {
  const schema = {
    type: 'object',
    required: ['@id'],
    properties: {
      '@id': text,
      tags: { type: 'array', items: { type: 'object', properties: { '$ref name': text } } },
      free: { type: 'object', additionalProperties: text },
    },
  }

  test('requirements follow the key', async () => {
    const { input } = await only(withBody(schema, 'application/json'))
    expect(input).toMatchObject({ properties: { body: { required: ['id'], properties: { id: text } } } })
  })

  test('they are written back where they are declared, at any depth, and nowhere else', async () => {
    const request = await send(withBody(schema, 'application/json'), {
      body: { id: '1', tags: [{ ref_name: 'x', id: 'not declared here' }], free: { id: 'a', ref_name: 'b' } },
    })
    expect(JSON.parse(textOf(request))).toEqual({
      '@id': '1',
      tags: [{ '$ref name': 'x', id: 'not declared here' }],
      free: { id: 'a', ref_name: 'b' },
    })
  })

  const inner = { type: 'object', properties: { 'a b': text } }
  test.each<[string, object, object, object]>([
    [
      'a definition',
      { type: 'object', properties: { x: component('Inner'), y: component('Inner') } },
      { x: { a_b: '1' } },
      { x: { 'a b': '1' } },
    ],
    ['a recursive definition', component('Loop'), { next: { next: { a_b: '1' } } }, { next: { next: { 'a b': '1' } } }],
    ['a branch of `oneOf`', { oneOf: [inner, text] }, { a_b: '1' }, { 'a b': '1' }],
    [
      'a branch of `allOf`',
      { allOf: [inner, { type: 'object', properties: { c: { pattern: 'x' } } }] },
      { a_b: '1' },
      { 'a b': '1' },
    ],
    ['a map', { type: 'object', additionalProperties: inner }, { a_b: { a_b: '1' } }, { a_b: { 'a b': '1' } }],
    ['a list', { type: 'array', items: inner }, [{ a_b: '1' }], [{ 'a b': '1' }]],
    ['a tuple', { type: 'array', prefixItems: [inner] }, [{ a_b: '1' }], [{ 'a b': '1' }]],
    [
      'members by pattern',
      { type: 'object', patternProperties: { '^p': inner } },
      { p: { a_b: '1' } },
      { p: { 'a b': '1' } },
    ],
    ['a condition', { type: 'object', if: { required: ['z'] }, then: inner }, { z: 1, a_b: '1' }, { z: 1, 'a b': '1' }],
  ])('within %s', async (_, body, args, wire) => {
    const schemas = {
      Inner: { ...inner, description: 'long enough not to be spelled out twice, one would hope so' },
      Loop: { type: 'object', properties: { 'a b': text, next: component('Loop') } },
    }
    const document = document3({ '/a': { post: { requestBody: requestBody(body) } } }, { components: { schemas } })
    const request = await send(document, { body: args as never })
    expect(JSON.parse(textOf(request))).toEqual(wire)
  })

  test('a key `__proto__` goes out as it is and changes no prototype', async () => {
    const body = JSON.parse(
      '{"type":"object","properties":{"__proto__":{"type":"string"},"a":{"type":"integer"}}}',
    ) as unknown
    const document = JSON.stringify(withBody(body, 'application/json'))
    expect(textOf(await send(document, { body: { proto: 'v', a: 1 } }))).toBe('{"__proto__":"v","a":1}')
  })

  test('a parameter is shown under a legal name and sent under its own', async () => {
    const document = withParameters([{ name: 'include[]', in: 'query', schema: { type: 'array', items: text } }])
    expect((await only(document)).input).toMatchObject({ properties: { include: { type: 'array' } } })
    expect((await send(document, { include: ['a', 'b'] })).url).toBe(
      'https://api.example.test/v1/things?include%5B%5D=a&include%5B%5D=b',
    )
  })

  test('members of an object parameter are written back too', async () => {
    const document = withParameters([
      { name: 'f', in: 'query', style: 'deepObject', schema: { type: 'object', properties: { 'a b': text } } },
    ])
    expect((await send(document, { f: { a_b: '1' } })).url).toBe('https://api.example.test/v1/things?f%5Ba%20b%5D=1')
  })

  test('a tool without such keys carries nothing of them', async () => {
    const document = document3({
      '/a': { post: { operationId: 'a', requestBody: requestBody({ type: 'object', properties: { 'x y': text } }) } },
      '/b': { get: { operationId: 'b' } },
    })
    expect(bindingOf(await only(document, {}, 'b')).renames).toBeUndefined()
    expect(bindingOf(await only(document, {}, 'a')).renames?.keys).toEqual({ x_y: 'x y' })
  })

  test('arguments that no schema declares are left alone', () => {
    const renames = { keys: { a_b: 'a b' }, schema: { properties: {} } }
    expect(writeBack({ other: { a_b: 1 } }, renames)).toEqual({ other: { a_b: 1 } })
  })
})
