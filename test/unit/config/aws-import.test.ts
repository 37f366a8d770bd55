/** What is typed to import from AWS, and what of an export becomes a description: words and documents, no network. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { functionFile } from '../../../src/config/aws-import/function.ts'
import { guardWarnings } from '../../../src/config/aws-import/guards.ts'
import { type Guard, parseExport, readStage } from '../../../src/config/aws-import/stage.ts'
import { cleanName, filterOf, functionOf, shown, stageOf, toolOf } from '../../../src/config/aws-import/words.ts'
import { readManaged, writeManaged } from '../../../src/config/managed.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { managedTarget } from '../../../src/config/sources.ts'

describe('a function', () => {
  const arn = 'arn:aws:lambda:eu-central-1:123456789012:function:orders'

  it.each<[source: string, ref: object]>([
    ['lambda:orders', { id: 'orders', name: 'orders' }],
    ['lambda:orders:live', { id: 'orders', name: 'orders', qualifier: 'live' }],
    ['lambda:orders:$LATEST', { id: 'orders', name: 'orders', qualifier: '$LATEST' }],
    ['lambda:function:orders', { id: 'orders', name: 'orders' }],
    ['lambda:123456789012:function:orders:7', { id: '123456789012:function:orders', name: 'orders', qualifier: '7' }],
    [`lambda:${arn}`, { id: arn, name: 'orders', region: 'eu-central-1' }],
    [`lambda:${arn}:live`, { id: arn, name: 'orders', region: 'eu-central-1', qualifier: 'live' }],
    [
      'lambda:arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:o',
      { id: 'arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:o', name: 'o', region: 'us-gov-west-1' },
    ],
  ])('is named by %s', (source, ref) => {
    expect(functionOf(source)).toEqual(ref)
  })

  it.each([
    'lambda:',
    'lambda:a b',
    'lambda:a/b',
    'lambda:../x',
    'lambda:a:b:c',
    'lambda:arn:aws:s3:::bucket',
    `lambda:${'a'.repeat(141)}`,
  ])('is not named by %s', (source) => {
    expect(() => functionOf(source)).toThrow(/name or the ARN of a function/)
  })

  it('has one qualifier', () => {
    expect(functionOf('lambda:a:1', '1')).toMatchObject({ qualifier: '1' })
    expect(() => functionOf('lambda:a:1', '2')).toThrow(/--qualifier says 2/)
    expect(() => functionOf('lambda:a', '../x')).toThrow(/version or an alias/)
  })

  it('is described in words that are bounded and fit for a line', () => {
    const description = `\u001b[31mLooks\u202e up\n${'x'.repeat(5_000)}`
    const { text } = functionFile({ region: 'eu-central-1', arn, description }, undefined)
    const [tool] = JSON.parse(text).tools
    expect(tool.description).toMatch(/^\[31mLooks up x+$/)
    expect(tool.description.length).toBeLessThanOrEqual(1_024)
  })

  it.each(['', 'arn:aws:lambda:x', `${arn}/../x`, 'arn:aws:lambda:eu-central-1:123456789012:function:'])(
    'is not what an answer with the ARN %j is of',
    (wrong) => {
      expect(() => functionFile({ region: 'eu-central-1', arn: wrong, description: '' }, undefined)).toThrow(
        /which function/,
      )
    },
  )
})

describe('a stage', () => {
  it('is named by the id of its API and its own', () => {
    expect(stageOf('apigateway:a1b2c3d4e5/prod')).toEqual({ api: 'a1b2c3d4e5', stage: 'prod' })
    for (const wrong of [
      'apigateway:',
      'apigateway:a1',
      'apigateway:a1/',
      'apigateway:a1/../x',
      'apigateway:a1/b/c',
      'apigateway:a-1/b',
    ])
      expect(() => stageOf(wrong)).toThrow(/one of its stages/)
  })
})

describe('a filter', () => {
  it.each<[text: string, include: readonly string[]]>([
    ['/pets:GET', ['GET /pets']],
    ['/pets/{petId}:get,Delete,GET', ['GET /pets/{petId}', 'DELETE /pets/{petId}']],
    ['/pets/*:GET,POST', ['GET /pets/**', 'POST /pets/**']],
    ['/*', ['* /**']],
    ['/', ['* /']],
    ['/pets', ['* /pets']],
    ['/pets:cancel', ['* /pets:cancel']],
    ['/pets:cancel:POST', ['POST /pets:cancel']],
  ])('%s is %j', (text, include) => {
    expect(filterOf(text)).toEqual(include)
  })

  it.each(['', 'pets', '*', '/a*', '/a/*/b:GET', '/a**', '/a b', `/${'a'.repeat(20_000)}`, '/a/*:', 'GET /a'])(
    'is not %j',
    (text) => {
      expect(() => filterOf(text)).toThrow(/--filter is a path and methods/)
    },
  )
})

describe('a name for a tool', () => {
  it.each<[text: string, tool: unknown]>([
    ['GET /pets/{petId}=get_pet:Look up: one', ['GET /pets/{petId}', { name: 'get_pet', description: 'Look up: one' }]],
    ['post  /pets=new-pet', ['POST /pets', { name: 'new-pet' }]],
    ['GET /pets=a: ', ['GET /pets', { name: 'a' }]],
  ])('%s is %j', (text, tool) => {
    expect(toolOf(text)).toEqual(tool)
  })

  it.each([
    '',
    'GET /pets',
    'GET /pets=',
    'GET /pets=a b',
    '/pets=a',
    'ANY /pets=a',
    'GET /pets/*=a',
    `GET /a=${'a'.repeat(65)}`,
    `GET /a=a:${'x'.repeat(9_000)}`,
  ])('is not %j', (text) => {
    expect(() => toolOf(text)).toThrow(/--tool is a method/)
  })
})

describe('words of strangers', () => {
  it('become names of targets, or none', () => {
    expect(cleanName('Pet Store (v2) — «x»')).toBe('Pet-Store-v2-x')
    expect(cleanName('../../etc')).toBe('etc')
    expect(cleanName('日本')).toBe('')
    expect(cleanName('a'.repeat(1_000))).toHaveLength(64)
  })

  it('are shown without what moves a terminal, and cut', () => {
    expect(shown('/a\u001b[2J\n')).toBe('/a?[2J?')
    expect(shown('x'.repeat(1_000))).toHaveLength(200)
  })
})

describe('an export', () => {
  const read = (document: object, ...include: string[]) => {
    const stage = readStage(
      parseExport(Buffer.from(JSON.stringify({ openapi: '3.0.1', ...document }))),
      'https://x/prod',
      include,
    )
    return { ...stage, document: JSON.parse(stage.bytes.toString()) }
  }
  const any = { 'x-amazon-apigateway-any-method': { operationId: 'all', summary: 'any' } }

  it('has what ANY stands for where a filter asks for it, and what stands beside it as it is', () => {
    const paths = { '/a': { ...any, get: { operationId: 'own' }, parameters: [] } }
    expect(read({ paths }, 'GET /a', 'POST /a').document.paths).toEqual({
      '/a': { parameters: [], get: { operationId: 'own' }, post: { summary: 'any' } },
    })
    const { document, warnings } = read({ paths })
    expect(document.paths).toEqual({ '/a': { parameters: [], get: { operationId: 'own' } } })
    expect(warnings).toEqual([expect.stringMatching(/^ANY \/a: left out.*--filter/)])
    expect(read({ paths }, '* /a').warnings).toHaveLength(1)
    expect(read({ paths }, 'GET /b').warnings).toEqual([])
  })

  it('has preflight requests only where a filter names them', () => {
    const paths = { '/a': { options: {}, get: {} } }
    expect(Object.keys(read({ paths }).document.paths['/a'])).toEqual(['get'])
    expect(Object.keys(read({ paths }, '* /a').document.paths['/a'])).toEqual(['get'])
    expect([...read({ paths }, 'OPTIONS /a').chosen.keys()]).toEqual(['OPTIONS /a'])
  })

  it('has one server, whatever it says itself', () => {
    const elsewhere = { servers: [{ url: 'https://elsewhere.example' }] }
    const paths = { '/a': { ...elsewhere, get: { ...elsewhere } } }
    const { document } = read({ ...elsewhere, paths })
    expect(document).toMatchObject({ servers: [{ url: 'https://x/prod' }], paths: { '/a': { get: {} } } })
    expect(JSON.stringify(document)).not.toContain('elsewhere')
  })

  it('tells how each chosen method is guarded', () => {
    const scheme = (name: string, more: object = {}) => ({ type: 'apiKey', in: 'header', name, ...more })
    const secure = (...names: string[]) => ({ security: names.map((name) => ({ [name]: [] })) })
    const { chosen, warnings } = read({
      components: {
        securitySchemes: {
          sigv4: scheme('Authorization', { 'x-amazon-apigateway-authtype': 'awsSigv4' }),
          key: scheme('X-API-Key'),
          own: scheme('Authorization', { 'x-amazon-apigateway-authtype': 'custom' }),
        },
      },
      paths: {
        '/a': {
          get: secure('sigv4'),
          put: secure('key'),
          post: secure('own', 'key'),
          delete: { 'x-amazon-apigateway-auth': { type: 'AWS_IAM' } },
          patch: { security: [{ sigv4: [], key: [] }] },
          head: secure('unheard-of'),
        },
      },
    })
    expect([...chosen].map(([label, guards]) => [label, ...guards])).toEqual([
      ['GET /a', 'iam'],
      ['PUT /a', 'apiKey'],
      ['POST /a', 'authorizer', 'apiKey'],
      ['DELETE /a', 'iam'],
      ['HEAD /a'],
    ])
    expect(warnings).toEqual([expect.stringMatching(/^PATCH \/a: left out/)])
  })

  it('is told of in few words, whatever is in it', () => {
    const paths = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, index) => [`/\u001b${index}/{proxy+}`, { get: {} }]),
    )
    const { warnings } = read({ paths })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/^\/\?0\/\{proxy\+\}, .* and 1995 more: left out/)
  })

  it.each<[what: string, document: object]>([
    ['paths that are none', { paths: [] }],
    ['items that are none', { paths: { '/a': null, '/b': 7, '/c': [] } }],
    ['operations that are none', { paths: { '/a': { get: 'x', put: null, post: [] } } }],
    ['security that is none', { paths: { '/a': {} }, security: 'x', components: { securitySchemes: 7 } }],
    [
      'names of prototypes',
      JSON.parse('{"paths":{"__proto__":{"get":{}}},"components":{"securitySchemes":{"__proto__":{}}}}'),
    ],
  ])('with %s is read', (_, document) => {
    expect(() => read(document)).not.toThrow()
    expect(({} as { get?: unknown }).get).toBeUndefined()
  })

  it.each(['', 'null', '[]', '{}', '{"openapi":3}', '{"swagger":"2.0"}', '{"openapi":"3.0.1"', '[[['.repeat(50_000)])(
    'is not %.20s',
    (text) => {
      expect(() => parseExport(Buffer.from(text))).toThrow(expect.objectContaining({ name: 'GatewayError' }))
    },
  )
})

describe('what methods want to be called with', () => {
  const { credentials } = configSchema.parse({
    credentials: {
      signed: { type: 'sigv4', service: 'execute-api', region: 'us-east-1' },
      elsewhere: { type: 'sigv4', service: 'execute-api', region: 'eu-west-1' },
      service: { type: 'sigv4', service: 's3', region: 'us-east-1' },
      key: { type: 'apiKey', in: 'header', name: 'X-Api-Key', value: { env: 'X' } },
      token: { type: 'apiKey', in: 'header', name: 'Authorization', prefix: 'Bearer', value: { env: 'X' } },
    },
  })

  it.each<[guards: readonly Guard[], credential: string | undefined, said: readonly RegExp[]]>([
    [[], undefined, []],
    [['iam'], undefined, [/want IAM’s signature.*us-east-1/]],
    [['iam'], 'signed', []],
    [['iam'], 'elsewhere', [/want IAM’s signature/]],
    [['iam'], 'service', [/want IAM’s signature/]],
    [['iam'], 'gone', [/want IAM’s signature/]],
    [['apiKey'], 'key', []],
    [['apiKey'], 'token', [/want an API key/]],
    [['authorizer'], 'token', []],
    [['authorizer'], undefined, [/guarded by an authorizer/]],
    [['iam', 'apiKey'], 'signed', [/want an API key/, /add the stage once for each/]],
  ])('%j with %s: %j', (guards, credential, said) => {
    const chosen = new Map(guards.map((guard, index) => [`GET /${index}`, new Set([guard])]))
    expect(guardWarnings({ credentials }, chosen, credential, 'us-east-1')).toEqual(
      said.map((one) => expect.stringMatching(one)),
    )
  })
})

describe('what is kept of a target', () => {
  let dir: string
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'toolgate-managed-'))
  })
  afterAll(() => rmSync(dir, { recursive: true, force: true }))
  const tools = {
    include: ['GET /a'],
    override: { 'GET /a': { name: 'a', description: 'A' }, 'GET /b': { name: 'b' } },
  }

  it('comes back as it was, and is what the target’s configuration says', async () => {
    await writeManaged(dir, 'one', { credential: 'c', server: 'https://x.example', tools })
    await writeManaged(dir, 'two', {})
    expect(Object.fromEntries(readManaged(dir))).toEqual({
      one: { credential: 'c', server: 'https://x.example', tools },
      two: {},
    })
    expect(managedTarget(readManaged(dir).get('one'))).toMatchObject({
      credential: 'c',
      tools: { include: ['GET /a'], exclude: [], override: tools.override },
      timeoutMs: 30_000,
    })
    expect(managedTarget().tools).toEqual({ include: [], exclude: [], override: {} })
  })

  it.each<[what: string, entry: object]>([
    ['an unknown part', { tools: { ...tools, exclude: [] } }],
    ['no list', { tools: { override: {} } }],
    ['a name that is none', { tools: { include: [], override: { 'GET /a': { name: 'a b' } } } }],
    ['a name that is missing', { tools: { include: [], override: { 'GET /a': { description: 'x' } } } }],
    [
      'more of an override than a name and a description',
      { tools: { include: [], override: { x: { name: 'a', arguments: {} } } } },
    ],
    ['too many patterns', { tools: { include: Array.from({ length: 2_000 }, () => 'GET /a'), override: {} } }],
  ])('is damaged by %s', (_, entry) => {
    writeFileSync(join(dir, 'targets.json'), JSON.stringify({ one: entry }))
    expect(() => readManaged(dir)).toThrow(/damaged/)
  })
})
