/** The argument `body` as bytes of its media type. */
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { bytesOf, codeOf, document2, type Plain, send, textOf, withBody, wordsOf } from './support.ts'

const form = 'application/x-www-form-urlencoded'
const multipart = 'multipart/form-data'
const text = { type: 'string' }

const sent = async (
  type: string,
  body: Json,
  { schema = {}, encoding }: { schema?: unknown; encoding?: Plain } = {},
): Promise<string> => textOf(await send(withBody(schema, type, encoding === undefined ? {} : { encoding }), { body }))

describe('JSON, text and bytes', () => {
  test.each<Json>([{ a: [1, null, 'x'] }, [], '', 0, false, null, 'text', { é: '\u2028' }])(
    'JSON: %j is itself',
    async (value) => {
      const request = await send(withBody({}, 'application/json'), { body: value })
      expect(JSON.parse(textOf(request))).toEqual(value)
      expect(request.headers.get('content-type')).toBe('application/json')
    },
  )

  test('a kind of JSON is sent as that kind', async () => {
    expect((await send(withBody({}, 'application/merge-patch+json'), { body: {} })).headers.get('content-type')).toBe(
      'application/merge-patch+json',
    )
  })

  test('text goes as it is', async () => {
    expect(await sent('text/plain', 'a "b"\né', { schema: text })).toBe('a "b"\né')
  })

  test('base64 goes as its bytes', async () => {
    const { body } = await send(withBody({}, 'image/png'), { body: Buffer.from([0, 255, 10]).toString('base64') })
    expect([...(body as Uint8Array)]).toEqual([0, 255, 10])
    expect(await sent('application/octet-stream', 'aGk')).toBe('hi')
    expect(await sent('application/octet-stream', 'aG\nk=')).toBe('hi')
    expect(await sent('application/octet-stream', '')).toBe('')
  })

  test.each<Json>(['not base64!', 'aGk-', 'a', 'aGk=a', 'YQ=', 'aaaa==', 7, {}, null])(
    '%j is no base64, and is not repeated in the fault',
    async (value) => {
      const work = sent('application/octet-stream', value)
      expect(await wordsOf(work)).toBe('The bytes of `body` must be base64.')
      expect(await codeOf(work)).toBe('request_unbuildable')
    },
  )

  test('no body, where the argument is left out', async () => {
    const request = await send(withBody({}, 'application/json'), {})
    expect(request.body).toBeUndefined()
    expect(request.headers.has('content-type')).toBe(false)
  })
})

describe('forms', () => {
  test.each<[string, Json, string]>([
    ['fields', { a: '1', b: 2, c: true }, 'a=1&b=2&c=true'],
    ['blanks and signs', { 'a b': 'c d', e: 'f+g&h=i' }, 'a+b=c+d&e=f%2Bg%26h%3Di'],
    ['letters beyond ASCII', { é: '中' }, '%C3%A9=%E4%B8%AD'],
    ['an empty text', { a: '' }, 'a='],
    ['null, which is left out', { a: null, b: '1' }, 'b=1'],
    ['a list', { a: ['x', 'y'] }, 'a=x&a=y'],
    ['an empty list', { a: [], b: '1' }, 'b=1'],
    ['structure, as JSON', { a: { b: 1 } }, 'a=%7B%22b%22%3A1%7D'],
    ['nothing', {}, ''],
  ])('%s', async (_, body, wire) => {
    expect(await sent(form, body)).toBe(wire)
  })

  test.each<[string, Plain, Json, string]>([
    ['a list with pipes', { style: 'pipeDelimited', explode: false }, ['x', 'y'], 'f=x%7Cy'],
    ['a list with commas', { style: 'form', explode: false }, ['x', 'y,z'], 'f=x,y%2Cz'],
    ['a list with spaces', { style: 'spaceDelimited', explode: false }, ['x', 'y'], 'f=x+y'],
    ['a deep object', { style: 'deepObject', explode: true }, { a: { b: 'c d' } }, 'f%5Ba%5D%5Bb%5D=c+d'],
    ['an exploded object', { style: 'form', explode: true }, { a: 1, b: 2 }, 'a=1&b=2'],
    ['a JSON text', { contentType: 'application/json' }, 'x', 'f=%22x%22'],
    ['a JSON list', { contentType: 'application/json' }, [1, 2], 'f=%5B1%2C2%5D'],
    ['reserved characters', { allowReserved: true }, 'a/b?c d&e', 'f=a/b?c+d%26e'],
  ])('%s by `encoding`', async (_, encoding, value, wire) => {
    expect((await sent(form, { f: value }, { encoding: { f: encoding } })).replaceAll('%20', '+')).toBe(wire)
  })

  test.each<Json>(['a=b', [1], 7, null])('%j is no form', async (value) => {
    expect(await codeOf(sent(form, value))).toBe('request_unbuildable')
  })

  test('a lone surrogate is no form either (P13)', async () => {
    expect(await codeOf(sent(form, { a: '\ud800' }))).toBe('request_unbuildable')
  })

  test('Swagger’s collection formats hold in a form', async () => {
    const field = (name: string, collectionFormat: string): Plain => ({
      name,
      in: 'formData',
      type: 'array',
      items: text,
      collectionFormat,
    })
    const document = document2({
      '/a': { post: { parameters: [field('a', 'csv'), field('b', 'pipes'), field('c', 'multi')] } },
    })
    expect(textOf(await send(document, { body: { a: ['1', '2'], b: ['3', '4'], c: ['5', '6'] } }))).toBe(
      'a=1,2&b=3%7C4&c=5&c=6',
    )
  })
})

interface Part {
  readonly head: string
  readonly body: string
}

/** RFC 2046 §5.1.1, as little of it as these tests need. */
async function parts(body: Json, more: { schema?: unknown; encoding?: Plain } = {}): Promise<Part[]> {
  const request = await send(
    withBody(more.schema ?? {}, multipart, more.encoding === undefined ? {} : { encoding: more.encoding }),
    { body },
  )
  const boundary = /^multipart\/form-data; boundary=([\w-]{1,70})$/.exec(request.headers.get('content-type') ?? '')?.[1]
  expect(boundary).toBeDefined()
  const whole = textOf(request)
  expect(whole.endsWith(`--${boundary}--\r\n`)).toBe(true)
  return whole
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const [head = '', ...rest] = part.slice(2, -2).split('\r\n\r\n')
      return { head, body: rest.join('\r\n\r\n') }
    })
}

const disposition = (rest: string): string => `Content-Disposition: form-data; ${rest}`

describe('multipart (RFC 7578)', () => {
  test('texts, numbers and structure', async () => {
    expect(await parts({ a: 'x\r\ny', n: 7, yes: true, meta: { k: [1] }, none: null })).toEqual([
      { head: disposition('name="a"'), body: 'x\r\ny' },
      { head: disposition('name="n"'), body: '7' },
      { head: disposition('name="yes"'), body: 'true' },
      { head: `${disposition('name="meta"')}\r\nContent-Type: application/json`, body: '{"k":[1]}' },
    ])
  })

  test('a list is a part each, unless it is JSON', async () => {
    expect((await parts({ a: ['x', 'y', null] })).map(({ body }) => body)).toEqual(['x', 'y'])
    const encoding = { a: { contentType: 'application/json' } }
    expect(await parts({ a: ['x', 'y'] }, { encoding })).toEqual([
      { head: `${disposition('name="a"')}\r\nContent-Type: application/json`, body: '["x","y"]' },
    ])
  })

  const picture = {
    schema: {
      type: 'object',
      properties: {
        f: { type: 'string', format: 'binary' },
        g: { type: 'array', items: { type: 'string', format: 'binary' } },
      },
    },
  }

  test('files, with the name and type that they have', async () => {
    const f = { filename: 'a.txt', contentType: 'text/plain', data: 'aGk=' }
    expect(await parts({ f }, picture)).toEqual([
      { head: `${disposition('name="f"; filename="a.txt"')}\r\nContent-Type: text/plain`, body: 'hi' },
    ])
    expect(await parts({ g: [f, { data: 'aG8=' }] }, picture)).toMatchObject([
      { body: 'hi' },
      { head: `${disposition('name="g"; filename="g"')}\r\nContent-Type: application/octet-stream`, body: 'ho' },
    ])
  })

  test('a file without a type has that of its `encoding`', async () => {
    const [part] = await parts(
      { f: { data: 'aGk=' } },
      { ...picture, encoding: { f: { contentType: 'image/png, image/jpeg' } } },
    )
    expect(part?.head).toContain('Content-Type: image/png')
    const [any] = await parts({ f: { data: 'aGk=' } }, { ...picture, encoding: { f: { contentType: 'image/*' } } })
    expect(any?.head).toContain('Content-Type: application/octet-stream')
  })

  test.each<[string, string]>([
    ['a"b.txt', 'a%22b.txt'],
    ['a\r\nX: y', 'a%0D%0AX: y'],
    ['é.txt', 'é.txt'],
    ['../../etc/passwd', '../../etc/passwd'],
  ])('a file called %j breaks out of nothing', async (filename, shown) => {
    const [part] = await parts({ f: { filename, data: 'aGk=' } }, picture)
    expect(part?.head.split('\r\n')[0]).toBe(disposition(`name="f"; filename="${shown}"`))
  })

  test('a field called to break out breaks out of nothing', async () => {
    const [part] = await parts({ 'a"\r\nX-Admin: 1': 'v' })
    expect(part?.head).toBe(disposition('name="a%22%0D%0AX-Admin: 1"'))
  })

  test.each(['text/plain\r\nX-Admin: 1', 'text', '', 'a/b/c', 'text/plain; x'])(
    '%j is no media type of a file',
    async (contentType) => {
      expect(await codeOf(parts({ f: { contentType, data: 'aGk=' } }, picture))).toBe('request_unbuildable')
    },
  )

  test('a file that is not base64 is refused, naming the field', async () => {
    expect(await wordsOf(parts({ f: { data: '***' } }, picture))).toBe('The bytes of `f` must be base64.')
  })

  test('structure that looks like a file, where the description says otherwise, is structure', async () => {
    const schema = { type: 'object', properties: { meta: { type: 'object', properties: { data: text } } } }
    expect(await parts({ meta: { data: 'hello world' } }, { schema })).toEqual([
      { head: `${disposition('name="meta"')}\r\nContent-Type: application/json`, body: '{"data":"hello world"}' },
    ])
  })

  test('two requests do not share a boundary', async () => {
    const one = await send(withBody({}, multipart), { body: { a: '1' } })
    const two = await send(withBody({}, multipart), { body: { a: '1' } })
    expect(one.headers.get('content-type')).not.toBe(two.headers.get('content-type'))
  })

  test('Swagger’s files and fields', async () => {
    const parameters = [
      { name: 'note', in: 'formData', type: 'string' },
      { name: 'file', in: 'formData', type: 'file', required: true },
    ]
    const request = await send(
      JSON.parse(Buffer.from(bytesOf(document2({ '/a': { post: { parameters } } }))).toString()) as Plain,
      { body: { note: 'n', file: { filename: 'f.bin', data: 'aGk=' } } },
    )
    expect(textOf(request)).toContain(
      `${disposition('name="file"; filename="f.bin"')}\r\nContent-Type: application/octet-stream\r\n\r\nhi\r\n`,
    )
  })
})
