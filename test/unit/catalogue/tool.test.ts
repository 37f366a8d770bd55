/** Tools of a target: their names, their definitions, which of them are chosen, and the bytes they become. */
import { describe, expect, test } from 'vitest'
import { toMatcher, toSelector } from '../../../src/catalogue/pattern.ts'
import { toDefinition, toolName } from '../../../src/catalogue/tool.ts'
import { toTools } from '../../../src/catalogue/tools.ts'
import type { Effect, Operation } from '../../../src/core/model.ts'

const operation = (id: string, more: Partial<Operation> = {}): Operation => ({
  id,
  label: `GET /${id}`,
  description: `Does ${id}.`,
  input: { type: 'object', properties: {}, additionalProperties: false },
  effect: 'read',
  idempotent: true,
  binding: { method: 'GET' },
  ...more,
})

describe('names', () => {
  test.each([
    ['shop', 'getPet', 'shop___getPet'],
    ['my-shop', 'get-pet_1', 'my-shop___get-pet_1'],
    ['shop', 'pets.list/all', 'shop___pets_list_all'],
    ['shop', 'é🐶', 'shop______'],
    ['s', 'o'.repeat(60), `s___${'o'.repeat(60)}`],
  ])('%s and %s make %s', (target, id, name) => {
    expect(toolName(target, id)).toBe(name)
  })

  test('longer than 64 characters, it is cut and ends in a hash of the whole', () => {
    const name = toolName('shop', 'o'.repeat(61))
    expect(name).toMatch(/^shop___o{48}_[0-9a-f]{8}$/)
    expect(name).toHaveLength(64)
    expect(toolName('shop', 'o'.repeat(61))).toBe(name)
  })

  test('two long ones that begin alike differ, and so do those of two targets', () => {
    const names = ['a', 'b'].flatMap((end) =>
      ['shop', 'shoe'].map((target) => toolName(target, `${'o'.repeat(300)}${end}`)),
    )
    expect(new Set(names).size).toBe(4)
    for (const name of names) expect(name).toMatch(/^[a-zA-Z0-9_-]{64}$/)
  })

  test('the longest target leaves room for a hash', () => {
    const names = ['a', 'b'].map((id) => toolName('t'.repeat(64), id))
    expect(new Set(names).size).toBe(2)
    for (const name of names) expect(name).toMatch(/^[a-zA-Z0-9_-]{64}$/)
  })
})

describe('definitions', () => {
  test.each<[string, Effect, boolean, object]>([
    ['reads', 'read', true, { readOnlyHint: true, destructiveHint: false, openWorldHint: true }],
    [
      'writes',
      'write',
      false,
      { readOnlyHint: false, destructiveHint: false, idempotentHint: false, openWorldHint: true },
    ],
    [
      'replaces',
      'write',
      true,
      { readOnlyHint: false, destructiveHint: false, idempotentHint: true, openWorldHint: true },
    ],
    [
      'deletes',
      'delete',
      true,
      { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
    ],
  ])('an operation that %s says so', (_, effect, idempotent, annotations) => {
    expect(toDefinition('shop', operation('x', { effect, idempotent })).annotations).toMatchObject(annotations)
  })

  test('hold what an operation has, and no more', () => {
    expect(toDefinition('shop', operation('x'))).toEqual({
      name: 'shop___x',
      description: 'Does x.',
      inputSchema: { type: 'object', properties: {}, additionalProperties: false },
      annotations: expect.any(Object),
    })
    const whole = toDefinition('shop', operation('x', { title: 'X', output: { type: 'object' } }))
    expect(whole).toMatchObject({ title: 'X', outputSchema: { type: 'object' }, annotations: { title: 'X' } })
  })

  test('the configuration’s words come first', () => {
    expect(toDefinition('shop', operation('x'), { name: 'find', description: 'Mine.' })).toMatchObject({
      name: 'find',
      description: 'Mine.',
    })
    expect(toDefinition('shop', operation('x'), { description: 'Mine.' })).toMatchObject({
      name: 'shop___x',
      description: 'Mine.',
    })
  })
})

describe('patterns', () => {
  test.each<[string, string, boolean]>([
    ['addPet', 'addPet', true],
    ['addPet', 'addPets', false],
    ['addPet', 'addpet', false],
    ['add*', 'addPet', true],
    ['*Pet', 'addPet', true],
    ['*', 'addPet', true],
    ['*', 'GET /pets', false],
    ['GET /pets/*', 'GET /pets/{id}', true],
    ['GET /pets/*', 'GET /pets', false],
    ['GET /pets/*', 'GET /pets/{id}/photos', false],
    ['GET /pets/**', 'GET /pets/{id}/photos', true],
    ['GET /**', 'GET /pets', true],
    ['GET /**', 'POST /pets', false],
    ['* /pets', 'GET /pets', true],
    ['**', 'GET /a/b/c', true],
    ['GET /a.b', 'GET /a.b', true],
    ['GET /a.b*', 'GET /axb', false],
    ['GET /{id}*', 'GET /{id}', true],
    ['(a+)+*', 'aaaa', false],
    ['', '', true],
    ['', 'x', false],
  ])('%j on %j: %j', (pattern, subject, matches) => {
    expect(toMatcher(pattern)(subject)).toBe(matches)
  })

  const subjects = [
    { id: 'list', label: 'GET /pets' },
    { id: 'make', label: 'POST /pets' },
    { id: 'drop', label: 'DELETE /pets/{id}' },
  ]
  test.each<[string[], string[], string[]]>([
    [[], [], ['list', 'make', 'drop']],
    [['GET /**'], [], ['list']],
    [['list', 'DELETE /**'], [], ['list', 'drop']],
    [[], ['DELETE /**'], ['list', 'make']],
    [['**'], ['make', 'drop'], ['list']],
    [['nothing'], [], []],
    [['list'], ['list'], []],
  ])('include %j, exclude %j → %j', (include, exclude, chosen) => {
    expect(subjects.filter(toSelector({ include, exclude })).map(({ id }) => id)).toEqual(chosen)
  })
})

describe('the tools of a target', () => {
  const rules = { include: [], exclude: [], override: new Map() }
  const decode = ({ entries, bytes }: ReturnType<typeof toTools>): unknown[] =>
    entries.map(({ from, to }) => JSON.parse(Buffer.from(bytes.subarray(from, to)).toString()) as unknown)

  test('come in the order of their names, as bytes of their definitions', () => {
    const operations = [operation('b', { description: 'é 中' }), operation('a')]
    const set = toTools('shop', operations, rules)
    expect(set.entries.map(({ name }) => name)).toEqual(['shop___a', 'shop___b'])
    expect(decode(set)).toEqual([
      toDefinition('shop', operations[1] as Operation),
      toDefinition('shop', operations[0] as Operation),
    ])
    expect(set.entries.at(-1)?.to).toBe(set.bytes.byteLength)
  })

  test('do not depend on the order of the operations', () => {
    const operations = ['c', 'a', 'b'].map((id) => operation(id))
    expect(toTools('shop', operations, rules)).toEqual(toTools('shop', operations.toReversed(), rules))
  })

  test('keep what a call needs, and leave the schemas to the definition', () => {
    const [entry] = toTools('shop', [operation('a')], rules).entries
    expect(entry?.operation).toEqual({
      id: 'a',
      label: 'GET /a',
      effect: 'read',
      idempotent: true,
      binding: { method: 'GET' },
    })
  })

  test('are overridden by id, or by method and path', () => {
    const override = new Map([
      ['a', { name: 'first' }],
      ['GET /b', { name: 'second' }],
    ])
    expect(
      toTools('shop', [operation('a'), operation('b')], { ...rules, override }).entries.map(({ name }) => name),
    ).toEqual(['first', 'second'])
  })

  test('may be none', () => {
    expect(toTools('shop', [], rules)).toEqual({ entries: [], bytes: new Uint8Array() })
  })
})
