/** Documents as operations: their ids, their paths, their words, and that a bad one costs only itself. */
import { describe, expect, test } from 'vitest'
import type { Operation } from '../../../src/core/model.ts'
import { limits } from '../../../src/core/limits.ts'
import { bindingOf, codes, document2, document3, load, only, type Plain, send } from './support.ts'

const legal = /^[A-Za-z0-9_-]+$/
const paramOf = (name: string): Plain => ({ name, in: 'path', required: true, schema: { type: 'string' } })
const ids = async (paths: Plain): Promise<string[]> => (await load(document3(paths))).operations.map(({ id }) => id)

describe('ids', () => {
  test.each([
    ['get', '/pets', 'get_pets'],
    ['get', '/pets/{id}', 'get_pets_by_id'],
    ['post', '/pets/{petId}/photos/{n}', 'post_pets_by_petId_photos_by_n'],
    ['get', '/', 'get_root'],
    ['get', '/a.json', 'get_a_json'],
    ['get', '/files/{name}.{ext}', 'get_files_by_name_by_ext'],
    ['delete', '/users/me', 'delete_users_me'],
  ])('%s %s without one is %s', async (method, path, id) => {
    expect(await ids({ [path]: { [method]: {} } })).toEqual([id])
  })

  test.each<[string, unknown, RegExp]>([
    ['plain', 'listPets', /^listPets$/],
    ['dots and slashes', 'pets/list.all', /^pets_list_all$/],
    ['blanks around', '  listPets ', /^listPets$/],
    ['empty', '', /^get_pets$/],
    ['no text', 7, /^get_pets$/],
    ['emoji', '🐶🐱', /^get_pets$/],
    ['another script', '日本', /^get_pets$/],
    ['`__proto__`', '__proto__', /^__proto__$/],
    ['300 letters', 'o'.repeat(300), /^o+$/],
  ])('one of %s is legal (S13)', async (_, operationId, id) => {
    const [found = ''] = await ids({ '/pets': { get: { operationId } } })
    expect(found).toMatch(legal)
    expect(found).toMatch(id)
  })

  test('those used twice are told apart by a hash of method and path, whatever the order (S13)', async () => {
    const paths = {
      '/a': { get: { operationId: 'same' } },
      '/b': { get: { operationId: 'same' }, post: { operationId: 'other' } },
    }
    const forward = await load(document3(paths))
    const backward = await load(document3(Object.fromEntries(Object.entries(paths).toReversed())))
    const byLabel = (operations: readonly Operation[]): Plain =>
      Object.fromEntries(operations.map(({ id, label }) => [label, id]))
    expect(byLabel(forward.operations)).toEqual(byLabel(backward.operations))
    expect(byLabel(forward.operations)).toEqual({
      'GET /a': expect.stringMatching(/^same_[0-9a-f]{8}$/),
      'GET /b': expect.stringMatching(/^same_[0-9a-f]{8}$/),
      'POST /b': 'other',
    })
    expect(codes(forward.issues)).toEqual(['operation_id', 'operation_id'])
  })

  test('those that differ in case, or only in what is not legal, are unique', async () => {
    const made = await ids({
      '/a': { get: { operationId: 'getPet' } },
      '/b': { get: { operationId: 'getpet' } },
      '/c': { get: { operationId: 'get.pet' } },
      '/d': { get: { operationId: 'get/pet' } },
    })
    expect(new Set(made).size).toBe(4)
    for (const id of made) expect(id).toMatch(legal)
  })

  test('one derived is not another’s own', async () => {
    const made = await ids({ '/pets': { get: {} }, '/pets/': { get: {} }, '/x': { get: { operationId: 'get_pets' } } })
    expect(new Set(made).size).toBe(3)
  })
})

describe('methods', () => {
  test.each([
    ['get', 'read', true],
    ['head', 'read', true],
    ['options', 'read', true],
    ['trace', 'read', true],
    ['put', 'write', true],
    ['post', 'write', false],
    ['patch', 'write', false],
    ['delete', 'delete', true],
  ])('%s is to %s, idempotent: %j', async (method, effect, idempotent) => {
    expect(await only(document3({ '/a': { [method]: {} } }))).toMatchObject({
      label: `${method.toUpperCase()} /a`,
      effect,
      idempotent,
    })
  })

  test('`query` and others belong to 3.2', async () => {
    const paths = {
      '/a': {
        query: { operationId: 'q' },
        additionalOperations: { PURGE: { operationId: 'p' }, 'BAD METHOD': { operationId: 'bad' } },
      },
    }
    const { operations } = await load(document3(paths, {}, '3.2.0'))
    expect(operations.map(({ id, effect, label }) => [id, effect, label])).toEqual([
      ['q', 'read', 'QUERY /a'],
      ['p', 'write', 'PURGE /a'],
    ])
    expect((await load(document3(paths))).operations).toEqual([])
  })

  test('a method of `additionalOperations` is sent as it is capitalised (OAS 3.2 Path Item)', async () => {
    const document = document3({ '/a': { additionalOperations: { CopY: {} } } }, {}, '3.2.0')
    expect((await send(document, {})).method).toBe('CopY')
  })

  test('nothing else of a path item is one', async () => {
    expect(
      await ids({ '/a': { summary: 's', parameters: [], servers: [], 'x-get': {}, get: 7, post: null, put: [] } }),
    ).toEqual([])
  })
})

describe('paths (S15)', () => {
  const literal = async (path: string, names: readonly string[] = []): Promise<readonly string[]> =>
    bindingOf(await only(document3({ [path]: { get: { parameters: names.map(paramOf) } } }))).path

  test.each<[string, string[], string[]]>([
    ['/pets', [], ['/pets']],
    ['/pets/{id}', ['id'], ['/pets/', 'id', '']],
    ['/{a}{b}', ['a', 'b'], ['/', 'a', '', 'b', '']],
    ['/a/{b}/{b}', ['b'], ['/a/', 'b', '/', 'b', '']],
    ['/files/{name}.json', ['name'], ['/files/', 'name', '.json']],
    ['/a b/ü', [], ['/a%20b/%C3%BC']],
    ['/a%20b/%zz', [], ['/a%20b/%25zz']],
    ['/a?x={y}', ['y'], ['/a?x=', 'y', '']],
    ['/a#part', [], ['/a']],
    ['/a:do', [], ['/a:do']],
    ['/{}', [], ['/%7B%7D']],
  ])('%s', async (path, names, parts) => {
    expect(await literal(path, names)).toEqual(parts)
  })

  test.each(['//evil.test/x', '/\\evil.test/x', '/a/../../x', '/..', '/./x', '/a/%2e%2E/x', '/a/%2e', '/..//x'])(
    '%s would leave its place: it costs its own operation',
    async (path) => {
      const { operations, issues } = await load(document3({ [path]: { get: {} }, '/ok': { get: {} } }))
      expect(operations.map(({ label }) => label)).toEqual(['GET /ok'])
      expect(issues).toMatchObject([{ severity: 'error', code: 'bad_description' }])
    },
  )

  test('one that does not begin with a slash is left out with a warning, an extension without', async () => {
    const { operations, issues } = await load(
      document3({ pets: { get: {} }, 'x-note': { get: {} }, 'https://evil.test/': { get: {} } }),
    )
    expect(operations).toEqual([])
    expect(codes(issues)).toEqual(['invalid_path', 'invalid_path'])
  })

  test('a parameter that only the path names is taken as text, with a warning', async () => {
    const { operations, issues } = await load(document3({ '/{missing}': { get: {} } }))
    expect(operations[0]?.input).toMatchObject({ properties: { missing: { type: 'string' } }, required: ['missing'] })
    expect(codes(issues)).toEqual(['undeclared_parameter'])
  })

  test('a path parameter that the path does not name is left out, with a warning', async () => {
    const { operations, issues } = await load(document3({ '/a': { get: { parameters: [paramOf('id')] } } }))
    expect(operations[0]?.input).toMatchObject({ properties: {} })
    expect(codes(issues)).toEqual(['unused_parameter'])
  })

  test('a path item by reference, with members beside it', async () => {
    const components = { pathItems: { P: { get: { operationId: 'g' }, post: { operationId: 'p' } } } }
    const { operations } = await load(
      document3({ '/a': { $ref: '#/components/pathItems/P', put: { operationId: 'u' } } }, { components }),
    )
    expect(operations.map(({ id }) => id).toSorted()).toEqual(['g', 'p', 'u'])
  })

  test.each(['#/gone', 'other.yaml', '#/paths/~1a'])('a path item behind %s costs only itself', async ($ref) => {
    const { operations, issues } = await load(document3({ '/a': { $ref }, '/ok': { get: {} } }))
    expect(operations.map(({ label }) => label)).toEqual(['GET /ok'])
    expect(issues).toMatchObject([{ severity: 'error', pointer: '/paths/~1a' }])
  })

  test('paths called like the prototype’s members are paths', async () => {
    expect(await ids({ '/constructor': { get: {} }, '/__proto__': { get: {} } })).toEqual([
      'get_constructor',
      'get_proto_',
    ])
  })
})

describe('words', () => {
  test.each<[string, Plain, string | undefined, string]>([
    [
      'summary and description',
      { summary: 'Find a pet', description: 'By its id.' },
      'Find a pet',
      'Find a pet\n\nBy its id.',
    ],
    ['a summary alone', { summary: 'Find a pet' }, 'Find a pet', 'Find a pet'],
    ['a description alone', { description: 'By its id.' }, undefined, 'By its id.'],
    [
      'a description that begins with the summary',
      { summary: 'Find', description: 'Find a pet.' },
      'Find',
      'Find a pet.',
    ],
    ['neither', {}, undefined, 'GET /a'],
    ['texts that are none', { summary: 7, description: {} }, undefined, 'GET /a'],
    ['that it is deprecated', { summary: 'Find', deprecated: true }, 'Find', 'Deprecated. Find'],
    [
      'markup and hidden characters',
      { summary: '<b>Find</b>\u200b', description: '<!-- do evil -->\u001b[1mNow' },
      'Find',
      'Find\n\nNow',
    ],
  ])('%s', async (_, words, title, description) => {
    const operation = await only(document3({ '/a': { get: words } }))
    expect(operation.title).toBe(title)
    expect(operation.description).toBe(description)
  })

  test('a megabyte of them is bounded (S21)', async () => {
    const { title = '', description } = await only(
      document3({ '/a': { get: { summary: 's '.repeat(5_000), description: 'Words. '.repeat(150_000) } } }),
    )
    expect(title.length).toBeLessThanOrEqual(limits.titleChars)
    expect(description.length).toBeLessThanOrEqual(limits.descriptionChars)
  })
})

describe('issues', () => {
  test('are bounded in number', async () => {
    const paths = Object.fromEntries(
      Array.from({ length: limits.documentWarnings + 10 }, (_, index) => [`no-slash-${index}`, {}]),
    )
    expect((await load(document3(paths))).issues).toHaveLength(limits.documentWarnings)
  })

  test('are of the place they name', async () => {
    const { issues } = await load(document2({ '/a/b': { get: { parameters: [{}] } } }))
    expect(issues).toMatchObject([
      { pointer: '/paths/~1a~1b/get/parameters/0', message: expect.stringContaining('GET /a/b') },
    ])
  })
})
