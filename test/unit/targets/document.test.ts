/** How bytes become a document: encodings, YAML's dialects, versions, and the bombs among them. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { readDocument } from '../../../src/targets/openapi/document.ts'
import type { Issue } from '../../../src/targets/adapter.ts'
import { codeOf, load, only, wordsOf } from './support.ts'

const json = '{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{}}'
const yaml = 'openapi: 3.1.0\ninfo: {title: t, version: "1"}\npaths: {}\n'

const read = async (bytes: Uint8Array | string): Promise<{ root: unknown; dialect: string; issues: Issue[] }> => {
  const issues: Issue[] = []
  const { root, dialect } = await readDocument(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, issues)
  return { root, dialect, issues }
}

const bigEndian = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()

describe('encodings', () => {
  test.each<[string, Uint8Array]>([
    ['JSON', Buffer.from(json)],
    ['YAML', Buffer.from(yaml)],
    ['JSON with a byte order mark', Buffer.from(`\ufeff${json}`)],
    ['YAML with a byte order mark', Buffer.from(`\ufeff${yaml}`)],
    ['JSON in UTF-16, little end first', Buffer.from(`\ufeff${json}`, 'utf16le')],
    ['JSON in UTF-16, big end first', bigEndian(`\ufeff${json}`)],
    ['YAML in UTF-16', Buffer.from(`\ufeff${yaml}`, 'utf16le')],
    ['white space before JSON', Buffer.from(`\r\n\t ${json}`)],
    [
      'flow-style YAML that begins like JSON',
      Buffer.from('{openapi: 3.1.0, info: {title: t, version: "1"}, paths: {}}'),
    ],
    [
      'flow-style YAML with an address',
      Buffer.from('{openapi: 3.1.0, info: {title: t}, x: {a: //h/p, b: "// c", c: https://h}, paths: {}}'),
    ],
    ['JSON with a trailing comma, which YAML allows', Buffer.from(json.replace('"paths":{}}', '"paths":{},}'))],
    ['YAML with a document marker and an end marker', Buffer.from(`---\n${yaml}...\n`)],
    ['YAML with a directive and Windows line ends', Buffer.from(`%YAML 1.2\n---\n${yaml}`.replaceAll('\n', '\r\n'))],
  ])('%s is read', async (_, bytes) => {
    const { root, dialect, issues } = await read(bytes)
    expect(root).toMatchObject({ info: { title: 't' }, paths: {} })
    expect(dialect).toBe('3.1')
    expect(issues).toEqual([])
  })

  test.each([
    ['closing bracket', 'openapi: 3.1.0\ninfo: {\n  title: t, version: "1"\n}\npaths: {}\n'],
    ['quoted line', 'openapi: 3.1.0\ninfo:\n  title: t\n  description: "one\n  two"\npaths: {}\n'],
  ])('YAML whose %s is set back too far is read, and said so', async (_, text) => {
    const { root, issues } = await read(Buffer.from(text))
    expect(root).toMatchObject({ info: { title: 't' }, paths: {} })
    expect(issues).toMatchObject([{ severity: 'warning', code: 'yaml_indentation' }])
  })

  test.each<[string, string, unknown]>([
    ['a tab before a brace', 'x-it:\t{a: 1}', { a: 1 }],
    ['a tab before a bracket', 'x-it:\n  a:\t[1]', { a: [1] }],
    ['a tag of its own', 'x-it: !foo bar', 'bar'],
    ['an include', 'x-it: [!include a.yaml, 1]', ['a.yaml', 1]],
    ['a tag on a mapping', 'x-it: !map\n  a: 1', { a: 1 }],
    ['a tag on a list', 'x-it: !Seq [a]', ['a']],
    ['a tag of bytes', 'x-it: !!binary aGk=', 'aGk='],
    ['a tag of a time', 'x-it: !!timestamp 2020-01-01', '2020-01-01'],
    ['a tag of a set', 'x-it: !!set {a}', { a: null }],
    ['C1 and DEL', 'x-it: a\u0092b\u007f', 'ab'],
    ['a control character in quotes', 'x-it: "a\u0007b"', 'ab'],
    ['an escape that YAML has not', String.raw`x-it: "\d+ \/ \." `, String.raw`\d+ / \.`],
    ['a text that begins with @', "x-it:\n  - @it's # note", ["@it's"]],
    ['a text that begins with `', 'x-it: `a` b', '`a` b'],
    ['an empty document behind', 'x-it: 1\n---', 1],
  ])('YAML with %s is read, and said so', async (_, more, value) => {
    const { root, issues } = await read(`${yaml}${more}\n`)
    expect(root).toMatchObject({ 'x-it': value })
    expect(issues.length).toBeGreaterThan(0)
    expect(issues.every(({ code, severity }) => code === 'yaml_syntax' && severity === 'warning')).toBe(true)
  })

  test.each<[string, Uint8Array | string, RegExp]>([
    ['an alias of nothing', `${yaml}x-it: *nope\n`, /not valid YAML: unidentified alias/],
    ['a merge of nothing', `${yaml}x-it:\n  <<:\n  a: 1\n`, /not valid YAML: cannot merge/],
    ['more faults than are mended', `${yaml}x-it: [${'!a b, '.repeat(limits.yamlMends + 1)}]\n`, /unknown scalar tag/],
    ['a mapping within a plain text', `${yaml}x-it: @a\n  b: c\n`, /not valid YAML/],
    ['JSON with a comment of a line of its own', json.replace('"info"', '// what it is\n"info"'), /JSON with comments/],
    ['JSON with a comment behind a value', json.replace('"1"', '"1" /* first */'), /JSON with comments/],
    ['JSON with comments at its lines’ ends', json.replace(',"paths"', ', // paths\n"paths"'), /JSON with comments/],
    ['nothing', '', /empty/],
    ['white space', ' \n\t\n', /empty/],
    ['a byte order mark alone', '\ufeff', /empty/],
    ['gzip', gzipSync(json), /gzip/],
    ['Latin-1', Buffer.from('openapi: 3.1.0\ninfo: {title: caf\u00e9}', 'latin1'), /UTF-8/],
    ['random bytes', Buffer.from([0x80, 0x81, 0xfe, 0xff, 0]), /UTF-8/],
    ['a sign-in page', '<!DOCTYPE html><html><body>Sign in</body></html>', /web page/],
    ['a page without a doctype', '\n <html lang="en">', /web page/],
    ['XML', '<?xml version="1.0"?><a/>', /XML/],
    ['an array', '[]', /not an object/],
    ['a word', 'openapi', /not an object/],
    ['a number', '42', /not an object/],
    ['null', 'null', /not an object/],
    ['only a comment', '# later\n', /not an object/],
    ['JSON that breaks off', json.slice(0, 40), /not valid JSON/],
    ['YAML that is none', 'openapi: 3.1.0\n}paths: [', /not valid YAML/],
    ['YAML whose quotation never ends', 'openapi: "3.1.0\ninfo', /not valid YAML/],
    ['YAML indented by no rule', `${yaml}x-it:\n    a: 1\n  b: 2\n`, /not valid YAML/],
    ['YAML whose second mapping begins within a scalar', `${yaml}x-it: 1\n  b: 2\n`, /not valid YAML/],
    ['two YAML documents', `${yaml}---\n${yaml}`, /several/],
    ['no version', '{"info":{"title":"t","version":"1"},"paths":{}}', /neither/],
    ['a version to come', json.replace('3.1.0', '4.0.0'), /version/],
    ['a version of the past', '{"swagger":"1.2","info":{},"paths":{}}', /version/],
    ['paths in an array', json.replace('"paths":{}', '"paths":[]'), /paths/],
  ])('%s is refused with its reason', async (_, bytes, reason) => {
    const work = read(bytes)
    expect(await wordsOf(work)).toMatch(reason)
    expect(await codeOf(work)).toBe('bad_description')
  })
})

describe('versions', () => {
  test.each([
    ['swagger: 2.0.0', '2.0', 'swagger-2.0'],
    ['openapi: 3.0.0', '3.0', 'openapi-3.0'],
    ['openapi: 3.0.9', '3.0', 'openapi-3.0'],
    ['openapi: 3.0', '3.0', 'openapi-3.0'],
    ['openapi: "3.1.2"', '3.1', 'openapi-3.1'],
    ['openapi: 3.1', '3.1', 'openapi-3.1'],
    ['openapi: 3.2.0', '3.2', 'openapi-3.2'],
    ['openapi: 3.2.0-rc1', '3.2', 'openapi-3.2'],
    ['swagger: "2.0"', '2.0', 'swagger-2.0'],
    ['swagger: 2.0', '2.0', 'swagger-2.0'],
    ['swagger: 2', '2.0', 'swagger-2.0'],
  ])('%s is %s', async (line, dialect, format) => {
    const text = `${line}\ninfo: {title: t, version: 1}\npaths: {}\n`
    expect((await read(text)).dialect).toBe(dialect)
    expect((await load(text)).format).toBe(format)
  })

  test('a numeric version of the document itself troubles no one', async () => {
    expect((await read('openapi: 3.0.1\ninfo: {title: 7, version: 1.10}\npaths: {}\n')).issues).toEqual([])
  })

  test('webhooks alone give no operation and no error (S28)', async () => {
    const text = 'openapi: 3.1.0\ninfo: {title: t, version: "1"}\nwebhooks: {ping: {post: {responses: {}}}}\n'
    expect(await load(text)).toMatchObject({ operations: [], issues: [] })
  })

  test('callbacks are no operations', async () => {
    const text = `${yaml.replace('paths: {}', '')}paths: {/a: {post: {operationId: a, responses: {}, callbacks: {done: {'{$url}': {post: {operationId: b}}}}}}}\n`
    expect((await load(text)).operations.map(({ id }) => id)).toEqual(['a'])
  })

  test('a document without paths says so and gives nothing', async () => {
    const { operations, issues } = await load('{"openapi":"3.0.0","info":{"title":"t","version":"1"}}')
    expect(operations).toEqual([])
    expect(issues.every(({ severity }) => severity === 'warning')).toBe(true)
  })
})

describe('YAML 1.2 scalars (S24)', () => {
  test.each([
    ['no', 'no'],
    ['yes', 'yes'],
    ['on', 'on'],
    ['2026-01-01', '2026-01-01'],
    ['1:30', '1:30'],
    ['0x1f', 31],
    ['0o17', 15],
    ['012', 12],
    ['1_000', '1_000'],
    ['1e3', 1000],
    ['~', null],
    ['true', true],
    ['True', true],
    ['"no"', 'no'],
    ["'012'", '012'],
  ])('%s is %j', async (scalar, value) => {
    const { root } = await read(`${yaml}x-it: ${scalar}\n`)
    expect(root).toMatchObject({ 'x-it': value })
  })

  test('keys stay texts', async () => {
    const { root } = await read(`${yaml}x-it:\n  no: 1\n  200: 2\n  2026-01-01: 3\n  true: 4\n`)
    expect((root as { 'x-it': object })['x-it']).toEqual({ no: 1, 200: 2, '2026-01-01': 3, true: 4 })
  })

  test('merge keys and aliases are followed', async () => {
    const { root } = await read(`${yaml}x-base: &b {a: 1, b: 2}\nx-it: {<<: *b, b: 3}\nx-too: *b\n`)
    expect(root).toMatchObject({ 'x-it': { a: 1, b: 3 }, 'x-too': { a: 1, b: 2 } })
  })

  test('the last of two equal keys stands, as in JSON', async () => {
    expect((await read(`${yaml}x-it: 1\nx-it: 2\n`)).root).toMatchObject({ 'x-it': 2 })
  })

  test('a key `__proto__` changes no prototype', async () => {
    for (const text of [
      `${yaml}x-it: {__proto__: {polluted: true}}\n`,
      json.replace('"paths"', '"x-it":{"__proto__":{"polluted":true}},"paths"'),
    ]) {
      const it = ((await read(text)).root as { 'x-it': object })['x-it']
      expect(Object.getPrototypeOf(it)).toBe(Object.prototype)
      expect('polluted' in {}).toBe(false)
    }
  })

  test.each(['!!js/function "function () {}"', '!!python/object:os.system [ls]', '!!js/regexp /a/'])(
    'the tag of %s is refused (S25)',
    async (tagged) => {
      expect(await codeOf(read(`${yaml}x-it: ${tagged}\n`))).toBe('bad_description')
    },
  )

  test('a tag is refused as well where the YAML needs leniency', async () => {
    expect(await codeOf(read(`${yaml}x-other: {\n  a: 1\n}\nx-it: !!js/function "f"\n`))).toBe('bad_description')
  })

  test('an unquoted default keeps the type that its schema says', async () => {
    const text = `${yaml.replace('paths: {}', '')}paths:\n  /a:\n    get:\n      parameters:\n        - {name: country, in: query, schema: {type: string, enum: [no, 1.5, true, 012]}}\n      responses: {}\n`
    const { input } = await only(text)
    expect(input).toMatchObject({ properties: { country: { enum: ['no', '1.5', 'true', '12'] } } })
  })
})

describe('bombs end in `over_limit` or a plain refusal', () => {
  const aliases = (levels: number): string =>
    [
      `a0: &a0 [x, x, x, x, x, x, x, x, x]`,
      ...Array.from({ length: levels }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`),
    ].join('\n')

  test.each<[string, string, string]>([
    ['aliases of aliases (S01)', `${yaml}${aliases(9)}\n`, 'over_limit'],
    ['20,000 brackets (S02)', '['.repeat(20_000), 'over_limit'],
    ['20,000 closed brackets', `${'['.repeat(20_000)}${']'.repeat(20_000)}`, 'bad_description'],
    [
      '20,000 brackets within an object',
      `{"openapi":"3.1.0","x":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
      'over_limit',
    ],
    ['20,000 brackets within YAML', `openapi: 3.1.0\nx: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`, 'over_limit'],
    ['a merge of 100,000 aliases (S03)', `${yaml}a: &a {b: 1}\nx: {<<: [${'*a,'.repeat(100_000)}]}\n`, 'over_limit'],
    ['an alias to itself', `${yaml}x-a: &a [*a]\n`, 'over_limit'],
  ])('%s', async (_, text, code) => {
    expect(await codeOf(load(text))).toBe(code)
  })

  test('more bytes than the limit are refused by name (S04)', async () => {
    expect(await wordsOf(read(new Uint8Array(limits.documentBytes + 1)))).toContain(String(limits.documentBytes))
  })

  test('more operations than the limit are refused by name (S04)', async () => {
    const paths = Object.fromEntries(
      Array.from({ length: limits.documentOperations + 1 }, (_, index) => [`/p${index}`, { get: {} }]),
    )
    const work = load({ openapi: '3.1.0', info: { title: 't', version: '1' }, paths })
    expect(await wordsOf(work)).toContain(String(limits.documentOperations))
    expect(await codeOf(work)).toBe('over_limit')
  })
})
