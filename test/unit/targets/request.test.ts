/** Arguments as a request: every style on the wire, what is encoded and where, and arguments that mean harm. */
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { limits } from '../../../src/core/limits.ts'
import { codeOf, document2, type Plain, send, target, withParameters, wordsOf } from './support.ts'

const base = 'https://api.example.test/v1'
const list = ['blue', 'black', 'brown']
const object = { R: 100, G: 200 }
/** `undefined`: no request can be built, since the path would lose a part. */
type Wire = string | undefined

const inPlace = (where: string, more: Plain, name = 'color'): Plain =>
  withParameters(
    [{ name, in: where, required: where === 'path', schema: {}, ...more }],
    where === 'path' ? `/x/{${name}}/y` : '/x',
    '3.2.0',
  )

async function urlOf(where: string, more: Plain, value: Json, name = 'color'): Promise<Wire> {
  try {
    return (await send(inPlace(where, more, name), { [name]: value })).url.slice(base.length)
  } catch (error) {
    expect(error).toMatchObject({ code: 'request_unbuildable' })
    return undefined
  }
}

describe('the table of styles (OAS 3.1.1 §4.8.12.3)', () => {
  const path: [string, boolean, Wire, Wire, Wire, Wire][] = [
    // style, explode, empty text, text, list, object
    ['matrix', false, ';color', ';color=blue', ';color=blue,black,brown', ';color=R,100,G,200'],
    ['matrix', true, ';color', ';color=blue', ';color=blue;color=black;color=brown', ';R=100;G=200'],
    ['label', false, undefined, '.blue', '.blue,black,brown', '.R,100,G,200'],
    ['label', true, undefined, '.blue', '.blue.black.brown', '.R=100.G=200'],
    ['simple', false, undefined, 'blue', 'blue,black,brown', 'R,100,G,200'],
    ['simple', true, undefined, 'blue', 'blue,black,brown', 'R=100,G=200'],
  ]
  test.each(path)('path, %s, explode %j', async (style, explode, empty, text, array, pairs) => {
    const wire = (value: Json): Promise<Wire> => urlOf('path', { style, explode }, value)
    const whole = (part: Wire): Wire => (part === undefined ? undefined : `/x/${part}/y`)
    expect(await wire('')).toBe(whole(empty))
    expect(await wire('blue')).toBe(whole(text))
    expect(await wire(list)).toBe(whole(array))
    expect(await wire(object)).toBe(whole(pairs))
  })

  const query: [string, boolean, string, string, string, string][] = [
    ['form', false, 'color=', 'color=blue', 'color=blue,black,brown', 'color=R,100,G,200'],
    ['form', true, 'color=', 'color=blue', 'color=blue&color=black&color=brown', 'R=100&G=200'],
    ['spaceDelimited', false, 'color=', 'color=blue', 'color=blue%20black%20brown', 'color=R%20100%20G%20200'],
    ['pipeDelimited', false, 'color=', 'color=blue', 'color=blue%7Cblack%7Cbrown', 'color=R%7C100%7CG%7C200'],
    ['spaceDelimited', true, 'color=', 'color=blue', 'color=blue&color=black&color=brown', 'R=100&G=200'],
    [
      'deepObject',
      true,
      'color=',
      'color=blue',
      'color=blue&color=black&color=brown',
      'color%5BR%5D=100&color%5BG%5D=200',
    ],
  ]
  test.each(query)('query, %s, explode %j', async (style, explode, empty, text, array, pairs) => {
    const wire = (value: Json): Promise<Wire> => urlOf('query', { style, explode }, value)
    expect(await wire('')).toBe(`/x?${empty}`)
    expect(await wire('blue')).toBe(`/x?${text}`)
    expect(await wire(list)).toBe(`/x?${array}`)
    expect(await wire(object)).toBe(`/x?${pairs}`)
  })

  test.each<[string, boolean]>([
    ['form', true],
    ['form', false],
    ['spaceDelimited', false],
    ['pipeDelimited', false],
    ['deepObject', true],
  ])(
    'query, %s, explode %j: an empty list or object, or null, is undefined (RFC 6570 §2.3)',
    async (style, explode) => {
      for (const value of [[], {}, null, [null], { a: null }])
        expect(await urlOf('query', { style, explode }, value)).toBe('/x')
    },
  )

  test.each<[string, boolean]>(
    ['matrix', 'label', 'simple'].flatMap((style) => [
      [style, true],
      [style, false],
    ]),
  )('path, %s, explode %j: an empty list or object, or null, leaves no path', async (style, explode) => {
    for (const value of [[], {}, null]) expect(await urlOf('path', { style, explode }, value)).toBeUndefined()
  })

  test('a path argument that is missing leaves no path', async () => {
    expect(await codeOf(send(inPlace('path', {}), {}))).toBe('request_unbuildable')
  })

  test.each<[Json, string]>([
    [0, '0'],
    [-1.5, '-1.5'],
    [1e21, '1e%2B21'],
    [true, 'true'],
    [false, 'false'],
    [[1, true], '1,true'],
    [[['a', 'b']], '%5B%22a%22%2C%22b%22%5D'],
  ])('%j in a path is %s', async (value, wire) => {
    expect(await urlOf('path', {}, value)).toBe(`/x/${wire}/y`)
  })

  test('deep objects nest, lists within them repeat, null is left out', async () => {
    const value = { a: { b: { c: 1 } }, list: ['x', 'y'], none: null, of: [{ k: 1 }] }
    expect(decodeURIComponent((await urlOf('query', { style: 'deepObject', explode: true }, value, 'f')) ?? '')).toBe(
      '/x?f[a][b][c]=1&f[list]=x&f[list]=y&f[of][k]=1',
    )
  })

  test('members keep the order they came in', async () => {
    expect(await urlOf('query', { explode: false }, { z: 1, a: 2 })).toBe('/x?color=z,1,a,2')
  })
})

describe('encoding', () => {
  const every = ' !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~é中🐶'

  test.each<[string, Plain, string]>([
    [
      'path',
      {},
      '/x/%20%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E_%60%7B%7C%7D~%C3%A9%E4%B8%AD%F0%9F%90%B6/y',
    ],
    [
      'query',
      {},
      '/x?color=%20%21%22%23%24%25%26%27%28%29%2A%2B%2C-.%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E_%60%7B%7C%7D~%C3%A9%E4%B8%AD%F0%9F%90%B6',
    ],
    [
      'query',
      { allowReserved: true },
      "/x?color=%20!%22%23$%25%26'()*+,-./:;%3C=%3E?@%5B%5C%5D%5E_%60%7B%7C%7D~%C3%A9%E4%B8%AD%F0%9F%90%B6",
    ],
  ])('in the %s, %j', async (where, more, url) => {
    expect(await urlOf(where, more, every)).toBe(url)
  })

  test('reserved expansion keeps triples, and never makes another parameter', async () => {
    expect(await urlOf('query', { allowReserved: true }, 'a%20b%2Fc%')).toBe('/x?color=a%20b%2Fc%25')
    expect(await urlOf('query', { allowReserved: true }, 'a&admin=1#x')).toBe('/x?color=a%26admin=1%23x')
  })

  test('delimiters stand bare, the same characters within an item do not', async () => {
    expect(await urlOf('query', { explode: false }, ['a,b', 'c'])).toBe('/x?color=a%2Cb,c')
    expect(await urlOf('path', { style: 'simple' }, ['a,b', 'c'])).toBe('/x/a%2Cb,c/y')
    expect(await urlOf('path', { style: 'matrix', explode: true }, { 'a;b': 'c=d' })).toBe('/x/;a%3Bb=c%3Dd/y')
  })

  test('names are encoded as values are', async () => {
    const document = withParameters([{ name: 'filter[a]&b=c', in: 'query', schema: {} }])
    expect((await send(document, { filter_a_b_c: 'v' })).url).toBe(`${base}/things?filter%5Ba%5D%26b%3Dc=v`)
  })

  test('a query that the path has already is kept', async () => {
    const parameters = [
      { name: 'y', in: 'path', required: true, schema: {} },
      { name: 'q', in: 'query', schema: {} },
    ]
    const document = withParameters(parameters, '/x?fixed=1&y={y}')
    expect((await send(document, { y: 'a&b', q: 'c' })).url).toBe(`${base}/x?fixed=1&y=a%26b&q=c`)
  })

  test.each([
    ['ssv', '%20'],
    ['tsv', '%09'],
    ['pipes', '%7C'],
    ['csv', ','],
  ])('Swagger’s %s in a path is encoded there too', async (collectionFormat, separator) => {
    const parameter = {
      name: 'id',
      in: 'path',
      required: true,
      type: 'array',
      items: { type: 'string' },
      collectionFormat,
    }
    expect((await send(document2({ '/x/{id}': { get: { parameters: [parameter] } } }), { id: ['a', 'b'] })).url).toBe(
      `${base}/x/a${separator}b`,
    )
  })

  test.each([
    ['ssv', '%20'],
    ['tsv', '%09'],
    ['pipes', '%7C'],
    ['csv', ','],
  ])('Swagger’s %s in a query', async (collectionFormat, separator) => {
    const parameter = { name: 'id', in: 'query', type: 'array', items: { type: 'string' }, collectionFormat }
    expect((await send(document2({ '/x': { get: { parameters: [parameter] } } }), { id: ['a', 'b'] })).url).toBe(
      `${base}/x?id=a${separator}b`,
    )
  })
})

describe('by media type in place of a style', () => {
  const content = (type: string): Plain => ({ schema: undefined, content: { [type]: { schema: {} } } })
  test.each<[string, string, Json, string]>([
    ['query', 'application/json', { a: [1, 'x y'] }, '/x?color=%7B%22a%22%3A%5B1%2C%22x%20y%22%5D%7D'],
    ['query', 'application/json', 'text', '/x?color=%22text%22'],
    ['query', 'text/plain', 'a b', '/x?color=a%20b'],
    ['path', 'application/json', [1], '/x/%5B1%5D/y'],
    ['querystring', 'application/x-www-form-urlencoded', { 'a b': 'c&d', e: [1, 2] }, '/x?a+b=c%26d&e=1&e=2'],
    ['querystring', 'application/x-www-form-urlencoded', { a: null, b: '1' }, '/x?b=1'],
    ['querystring', 'application/x-www-form-urlencoded', { foo: 'a + b', bar: true }, '/x?foo=a+%2B+b&bar=true'],
    ['querystring', 'application/json', { a: 1 }, '/x?%7B%22a%22%3A1%7D'],
    ['querystring', 'text/plain', 'a=b', '/x?a%3Db'],
  ])('%s, %s of %j', async (where, type, value, url) => {
    expect(await urlOf(where, content(type), value)).toBe(url)
  })
})

describe('`allowReserved` outside a query', () => {
  const path = (version: string): Plain =>
    withParameters([{ name: 'q', in: 'path', required: true, schema: {}, allowReserved: true }], '/x/{q}', version)

  test('holds in a path from 3.2 on, where what would end the segment is still encoded', async () => {
    const { url } = await send(path('3.2.0'), { q: 'a/b:c@d,e?f#g%20[h]' })
    expect(url).toBe(`${base}/x/a%2Fb:c@d,e%3Ff%23g%20%5Bh%5D`)
    expect((await send(path('3.1.1'), { q: 'a:b' })).url).toBe(`${base}/x/a%3Ab`)
  })

  test('opens no way out of the path (F1)', async () => {
    expect(await codeOf(send(path('3.2.0'), { q: '%2e%2E' }))).toBe('request_unbuildable')
    expect(await codeOf(send(path('3.2.0'), { q: '..' }))).toBe('request_unbuildable')
  })
})

describe('a query that is a form', () => {
  test('is written as `encoding` says', async () => {
    const schema = { type: 'object', properties: { ids: { type: 'array' }, f: { type: 'object' } } }
    const encoding = { ids: { explode: false }, f: { style: 'deepObject' } }
    const content = { 'application/x-www-form-urlencoded': { schema, encoding } }
    const { url } = await send(inPlace('querystring', { schema: undefined, content }), {
      color: { ids: [1, 2], f: { a: 1 } },
    })
    expect(url).toBe(`${base}/x?ids=1,2&f%5Ba%5D=1`)
  })
})

describe('headers and cookies', () => {
  const headerOf = async (more: Plain, value: Json): Promise<string | undefined> =>
    (await send(inPlace('header', more, 'X-Color'), { 'X-Color': value })).headers.get('x-color')
  const cookieOf = async (more: Plain, value: Json): Promise<string | undefined> =>
    (await send(inPlace('cookie', more), { color: value })).headers.get('cookie')

  test.each<[Plain, Json, string]>([
    [{}, 'blue', 'blue'],
    [{}, '', ''],
    [{}, list, 'blue,black,brown'],
    [{}, object, 'R,100,G,200'],
    [{ explode: true }, object, 'R=100,G=200'],
    [{}, 12, '12'],
    [{}, 'a, b; c="d" %20', 'a, b; c="d" %20'],
    [{ schema: undefined, content: { 'application/json': { schema: {} } } }, { a: 1 }, '{"a":1}'],
    [
      { schema: undefined, content: { 'application/json': { schema: {} } } },
      'é\u007f🐶',
      String.raw`"\u00e9\u007f\ud83d\udc36"`,
    ],
  ])('a header, %j of %j', async (more, value, text) => {
    expect(await headerOf(more, value)).toBe(text)
  })

  test.each<Json>([[], {}, [null]])('of an empty list or object no header is sent: %j', async (value) => {
    expect(await headerOf({}, value)).toBeUndefined()
  })

  test.each<[string, string]>([
    ['é', '%C3%A9'],
    ['中文', '%E4%B8%AD%E6%96%87'],
    [' a ', '%20a%20'],
    ['\ta', '%09a'],
    ['a\u0085b', 'a%C2%85b'],
  ])('of a header %j goes as %s (P14)', async (value, text) => {
    expect(await headerOf({}, value)).toBe(text)
  })

  test.each<[Plain, Json, string]>([
    [{}, 'blue', 'color=blue'],
    [{}, list, 'color=blue; color=black; color=brown'],
    [{ explode: false }, list, 'color=blue,black,brown'],
    [{}, object, 'R=100; G=200'],
    [{ explode: false }, object, 'color=R,100,G,200'],
    [{}, 'a;b=c d', 'color=a%3Bb%3Dc%20d'],
    [{ allowReserved: true }, 'a/b=c;d,e%20[f]', 'color=a/b=c%3Bd%2Ce%20[f]'],
    [{ style: 'cookie' }, 'a=b/c?d', 'color=a=b/c?d'],
    [{ style: 'cookie' }, 'a;b', 'color=a%3Bb'],
    [{ style: 'cookie' }, list, 'color=blue; color=black; color=brown'],
  ])('a cookie, %j of %j', async (more, value, text) => {
    expect(await cookieOf(more, value)).toBe(text)
  })

  test('cookies share one field', async () => {
    const document = withParameters(['a', 'b'].map((name) => ({ name, in: 'cookie', schema: {} })))
    expect((await send(document, { a: '1', b: '2' })).headers.get('cookie')).toBe('a=1; b=2')
  })

  test('what the configuration sets is sent, over an argument of the same name', async () => {
    const to = {
      ...target,
      headers: {
        ...target.headers,
        set: new Map([
          ['x-color', 'fixed'],
          ['x-version', '1'],
        ]),
      },
    }
    const { headers } = await send(inPlace('header', {}, 'X-Color'), { 'X-Color': 'mine' }, to)
    expect([headers.get('x-color'), headers.get('x-version')]).toEqual(['fixed', '1'])
  })

  test('an argument left out leaves nothing', async () => {
    const { headers, url } = await send(inPlace('header', {}, 'X-Color'), {})
    expect([...headers.keys()]).toEqual(['accept'])
    expect(url).toBe(`${base}/x`)
  })
})

describe('arguments that mean harm', () => {
  const evil: [string, string, Wire][] = [
    ['P01', '..', undefined],
    ['P02', '.', undefined],
    ['P03', '%2e%2e', '%252e%252e'],
    ['P04', '..%2fadmin', '..%252fadmin'],
    ['P05', 'a/../../admin', 'a%2F..%2F..%2Fadmin'],
    ['P06', '..\\admin', '..%5Cadmin'],
    ['P07', '?admin=1', '%3Fadmin%3D1'],
    ['P08', '#x', '%23x'],
    ['P09', ';matrix', '%3Bmatrix'],
    ['P10', '\r\nX-Admin: 1', '%0D%0AX-Admin%3A%201'],
    ['P11', '\0', '%00'],
    ['P11 encoded', '%00', '%2500'],
    ['P12', 'http://evil/', 'http%3A%2F%2Fevil%2F'],
    ['P13', '\ud800', undefined],
  ]
  test.each(evil)('%s in a path', async (_, value, wire) => {
    const url = await urlOf('path', {}, value)
    expect(url).toBe(wire === undefined ? undefined : `/x/${wire}/y`)
    if (url !== undefined) expect(new URL(base + url).pathname.split('/')).toHaveLength(`/v1/x/{}/y`.split('/').length)
  })

  test.each<[string, Json]>([
    ['a lone surrogate (P13)', '\udc00'],
    ['one within a list', ['a', '\ud800']],
    ['one as a key', { '\ud800': 'a' }],
  ])('%s is refused wherever it stands', async (_, value) => {
    for (const document of [
      inPlace('query', {}),
      inPlace('query', { allowReserved: true }),
      inPlace('query', { style: 'deepObject', explode: true }),
      inPlace('header', {}),
      inPlace('cookie', {}),
      inPlace('cookie', { style: 'cookie' }),
    ])
      expect(await codeOf(send(document, { color: value }))).toBe('request_unbuildable')
  })

  test.each(['a\r\nX-Admin: 1', 'a\nb', '\0', 'a\u007f', '\u001b'])('%j is no header (P10, P11)', async (value) => {
    const words = await wordsOf(send(inPlace('header', {}, 'X-Color'), { 'X-Color': value }))
    expect(words).toContain('X-Color')
    expect(words).not.toContain('Admin')
  })

  test('two arguments that only together are a dot segment', async () => {
    const two = ['a', 'b'].map((name) => ({ name, in: 'path', required: true, schema: {} }))
    expect(await codeOf(send(withParameters(two, '/x/{a}{b}/y'), { a: '.', b: '.' }))).toBe('request_unbuildable')
    expect(await codeOf(send(withParameters(two.slice(0, 1), '/x/.{a}/y'), { a: '.' }))).toBe('request_unbuildable')
    expect(await codeOf(send(withParameters(two.slice(0, 1), '/x/%2e{a}/y'), { a: '.' }))).toBe('request_unbuildable')
  })

  test('a label of one dot', async () => {
    expect(await urlOf('path', { style: 'label' }, '.')).toBeUndefined()
  })

  test('a URL is bounded (P15)', async () => {
    const many = Array.from({ length: 100_000 }, (_, index) => index)
    expect(await wordsOf(send(inPlace('query', {}), { color: many }))).toContain(String(limits.urlBytes))
    expect(await codeOf(send(inPlace('query', {}), { color: many }))).toBe('request_unbuildable')
  })

  test('keys of a deep object are encoded (P16)', async () => {
    const url = await urlOf('query', { style: 'deepObject', explode: true }, { 'a]&admin=1#[': 'b&c=d' })
    expect(url).toBe('/x?color%5Ba%5D%26admin%3D1%23%5B%5D=b%26c%3Dd')
  })

  test('members of the prototype are no arguments', async () => {
    const document = withParameters(
      ['constructor', 'toString', 'hasOwnProperty'].map((name) => ({ name, in: 'query', schema: {} })),
    )
    expect((await send(document, {})).url).toBe(`${base}/things`)
    expect(
      (
        await send(
          withParameters([{ name: 'color', in: 'query', schema: {} }]),
          JSON.parse('{"__proto__":{"color":"x"}}') as { [name: string]: Json },
        )
      ).url,
    ).toBe(`${base}/things`)
  })
})
