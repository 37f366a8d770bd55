/** Which server a request goes to: configuration, operation, path, document, and where the document came from. */
import { describe, expect, test } from 'vitest'
import type { ImportOptions } from '../../../src/targets/adapter.ts'
import { toServer } from '../../../src/targets/openapi/servers.ts'
import { bindingOf, document2, document3, load, only, type Plain, send, target } from './support.ts'

const served = async (servers: unknown, options: ImportOptions = {}): Promise<string | undefined> =>
  (await load(document3({ '/a': { get: {} } }, { servers }), options)).server

describe('a server', () => {
  test.each<[string, string | undefined]>([
    ['https://api.example.test', 'https://api.example.test'],
    ['https://api.example.test/', 'https://api.example.test'],
    ['https://api.example.test/v1/', 'https://api.example.test/v1'],
    ['HTTPS://API.Example.test:443/V1', 'https://api.example.test/V1'],
    ['http://api.example.test:8080/a/b', 'http://api.example.test:8080/a/b'],
    ['https://api.example.test/v1?x=1#y', 'https://api.example.test/v1'],
    ['https://user:pass@api.example.test/', undefined],
    ['ftp://api.example.test/', undefined],
    ['gopher://api.example.test/', undefined],
    ['javascript:alert(1)', undefined],
    ['file:///etc/passwd', undefined],
    ['ws://api.example.test/', undefined],
    ['not a url', undefined],
    ['', undefined],
  ])('%j → %j (S11)', (url, server) => {
    const made = toServer(url)
    expect(made === undefined ? undefined : `${made.origin}${made.basePath}`).toBe(server)
  })
})

describe('the document’s', () => {
  const from = { documentUrl: 'https://docs.example.test/api/openapi.json' }
  test.each<[string, unknown, ImportOptions, string | undefined]>([
    ['is its first', [{ url: 'https://a.test/v1' }, { url: 'https://b.test' }], {}, 'https://a.test/v1'],
    ['is the first that can be used', [{ url: 'ftp://x' }, {}, 7, { url: 'https://b.test' }], {}, 'https://b.test'],
    [
      'is replaced by the configuration’s',
      [{ url: 'https://a.test/v1' }],
      { server: 'https://mine.test/x' },
      'https://mine.test/x',
    ],
    ['is relative to where it came from', [{ url: '/v2' }], from, 'https://docs.example.test/v2'],
    ['may be a neighbour', [{ url: './v2' }], from, 'https://docs.example.test/api/v2'],
    ['is where it came from, if it names none', undefined, from, 'https://docs.example.test'],
    ['is where it came from, if it names none in a list', [], from, 'https://docs.example.test'],
    ['is nowhere, if it came from nowhere', undefined, {}, undefined],
    ['is nowhere, if relative and from nowhere', [{ url: '/v2' }], {}, undefined],
    ['is nowhere, if no list', 'https://a.test', {}, undefined],
  ])('%s', async (_, servers, options, server) => {
    expect(await served(servers, options)).toBe(server)
  })

  const variables = {
    region: { default: 'eu', enum: ['eu', 'us'] },
    port: { default: 8443 },
    stage: { enum: ['live'] },
  }
  test.each<[string, string, { [name: string]: string }, string | undefined]>([
    ['their defaults', 'https://{region}.a.test:{port}', {}, 'https://eu.a.test:8443'],
    ['the configured choice', 'https://{region}.a.test', { region: 'us' }, 'https://us.a.test'],
    [
      'the default, where the choice is none of the enumerated',
      'https://{region}.a.test',
      { region: 'evil.test/' },
      'https://eu.a.test',
    ],
    ['the first of an enumeration without a default', 'https://a.test/{stage}', {}, 'https://a.test/live'],
    ['nothing, where a variable is unknown', 'https://{unknown}.a.test', {}, undefined],
  ])('variables take %s', async (_, url, chosen, server) => {
    expect(await served([{ url, variables }], { serverVariables: new Map(Object.entries(chosen)) })).toBe(server)
  })

  test.each<[Plain, ImportOptions, string | undefined]>([
    [{}, {}, 'https://api.example.test/v1'],
    [{ schemes: ['http'] }, {}, 'http://api.example.test/v1'],
    [{ schemes: ['http', 'https'] }, {}, 'https://api.example.test/v1'],
    [{ schemes: [] }, { documentUrl: 'http://docs.example.test/s.json' }, 'http://api.example.test/v1'],
    [{ basePath: 'v2' }, {}, 'https://api.example.test/v2'],
    [{ basePath: '/' }, {}, 'https://api.example.test'],
    [{ basePath: undefined }, {}, 'https://api.example.test'],
    [
      { host: undefined },
      { documentUrl: 'https://docs.example.test:8443/s.json' },
      'https://docs.example.test:8443/v1',
    ],
    [{ host: undefined }, {}, undefined],
    [{ host: 'user@evil.test' }, {}, undefined],
  ])('Swagger 2.0 of %j and %j is at %j', async (more, options, server) => {
    expect((await load(document2({}, more), options)).server).toBe(server)
  })
})

describe('an operation’s', () => {
  const elsewhere = { servers: [{ url: 'https://files.example.test/up' }] }
  const document = (operation: Plain, item: Plain = {}): Plain => document3({ '/a': { ...item, get: operation } })

  test('wins over its path’s, which wins over the document’s', async () => {
    expect((await send(document(elsewhere), {})).url).toBe('https://files.example.test/up/a')
    expect((await send(document({}, elsewhere), {})).url).toBe('https://files.example.test/up/a')
    expect((await send(document(elsewhere, { servers: [{ url: 'https://other.test' }] }), {})).url).toBe(
      'https://files.example.test/up/a',
    )
    expect((await send(document({}), {})).url).toBe('https://api.example.test/v1/a')
  })

  test('is none, where it is the document’s own or the configuration’s', async () => {
    expect(
      bindingOf(await only(document({ servers: [{ url: 'https://api.example.test/v1/' }] }))).server,
    ).toBeUndefined()
    expect(bindingOf(await only(document(elsewhere), { server: 'https://mine.test' })).server).toBeUndefined()
  })

  test('is appended to, never resolved against (F2)', async () => {
    const at = { ...target, origin: 'https://api.example.test', basePath: '/v1/deep' }
    expect((await send(document({}), {}, at)).url).toBe('https://api.example.test/v1/deep/a')
  })
})

describe('an operation’s `schemes` (Swagger 2.0)', () => {
  const document = (schemes: string[], own: string[]): Plain =>
    document2({ '/a': { get: { schemes: own } } }, { schemes })

  test('win over the document’s', async () => {
    expect((await send(document(['https'], ['http']), {})).url).toBe('http://api.example.test/v1/a')
    expect((await send(document(['http'], ['http', 'https']), {})).url).toBe('https://api.example.test/v1/a')
    expect((await send(document(['https'], []), {})).url).toBe('https://api.example.test/v1/a')
    expect(bindingOf(await only(document(['https'], ['http']), { server: 'https://mine.test' })).server).toBeUndefined()
  })

  test('take the credential along to https, and never to http', async () => {
    expect((await load(document(['http'], ['https']))).origins).toEqual(['https://api.example.test'])
    expect((await load(document(['https'], ['http']))).origins).toEqual([])
  })
})
