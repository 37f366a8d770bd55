/** Answers as MCP content: what is kept verbatim, what is pruned, what is an error. */
import { describe, expect, test } from 'vitest'
import { outputCheck } from '../../../src/catalogue/validate.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Outcome, Tool } from '../../../src/core/model.ts'
import { interpretAnswer } from '../../../src/targets/openapi/answer.ts'
import { openapi } from '../../../src/targets/openapi.ts'
import { only, target, withParameters } from './support.ts'

const operation = {
  id: 'get_it',
  label: 'GET /it',
  effect: 'read',
  idempotent: true,
  binding: { speaksMcp: true },
} as const

const checkOf = (outputSchema: object): ReturnType<typeof outputCheck> => {
  const definition = Buffer.from(
    JSON.stringify({ name: 'shop___get_it', description: '', inputSchema: { type: 'object' }, outputSchema }),
  )
  return outputCheck({ name: 'shop___get_it', target, operation, definition } satisfies Tool)
}

interface Sent {
  readonly type?: string
  readonly status?: number
  readonly cut?: boolean
  readonly headers?: { readonly [name: string]: string }
  readonly output?: object
}

function answer(
  body: string | Uint8Array,
  { type, status = 200, cut = false, headers = {}, output }: Sent = {},
): Outcome {
  const all = new Map([...Object.entries(headers), ...(type === undefined ? [] : [['content-type', type] as const])])
  return interpretAnswer(
    operation,
    { status, headers: all, body: Buffer.from(body), cut },
    output === undefined ? undefined : checkOf(output),
  )
}

const textIn = ({ content }: Outcome): string => (content[0]?.type === 'text' ? content[0].text : '')
const json = 'application/json'

const output = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    name: { type: 'string' },
    tags: { type: 'array', items: { type: 'string' } },
    owner: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] },
  },
  additionalProperties: false,
}

describe('JSON', () => {
  test('is text, verbatim', () => {
    const body = '{ "id" : 9007199254740993,\n "pi": 3.1400, "e": 1E400 }'
    expect(answer(body, { type: json })).toEqual({
      isError: false,
      status: 200,
      content: [{ type: 'text', text: body }],
    })
  })

  test('of an object with an output schema it is structured as well, down to the digits of large numbers (F13)', () => {
    const body = '{"id":12345678901234567890,"name":"a"}'
    expect(answer(body, { type: json, output })).toMatchObject({ structured: body, content: [{ text: body }] })
  })

  test.each<[string, string, string]>([
    ['a member of the wrong type', '{"id":"x","name":"a"}', '{"name":"a"}'],
    ['a member that is not described', '{"id":1,"extra":2}', '{"id":1}'],
    ['a list with a wrong item', '{"id":1,"tags":["a",2]}', '{"id":1}'],
    ['an object that lacks what it needs', '{"id":1,"owner":{"name":"x"}}', '{"id":1}'],
    ['everything', '{"x":1}', '{}'],
  ])('loses %s from what is structured, and says so; the text stays whole', (_, body, structured) => {
    const outcome = answer(body, { type: json, output })
    expect(outcome.structured).toBe(structured)
    expect(textIn(outcome)).toBe(body)
    expect(outcome.meta).toEqual({ 'toolgate/output': expect.any(String) })
    expect(outcome.isError).toBe(false)
  })

  test.each<[string, string]>([
    ['an array', '[1]'],
    ['a text', '"a"'],
    ['null', 'null'],
    ['no JSON', '{"a":'],
    ['HTML under the name of JSON', '<html>'],
  ])('of %s an output schema gets an empty object, with the reason', (_, body) => {
    const outcome = answer(body, { type: json, output })
    expect(outcome).toMatchObject({ isError: false, structured: '{}', meta: { 'toolgate/output': expect.any(String) } })
    expect(textIn(outcome)).toBe(body)
  })

  test('kinds of JSON are JSON, and one without a name is read too', () => {
    for (const type of ['application/hal+json; charset=utf-8', 'APPLICATION/JSON', 'text/json', undefined])
      expect(answer('{"id":1}', { ...(type === undefined ? {} : { type }), output }).structured).toBe('{"id":1}')
  })

  test('a byte order mark is not part of it', () => {
    expect(answer('\ufeff{"id":1}', { type: json, output })).toMatchObject({
      structured: '{"id":1}',
      content: [{ text: '{"id":1}' }],
    })
  })

  test('nested deeper than any stack it is a misfit, not a crash (F11)', () => {
    const node = { type: 'object', properties: { next: { $ref: '#/$defs/Node' } } }
    const deep = `${'{"next":'.repeat(100_000)}1${'}'.repeat(100_000)}`
    expect(answer(deep, { type: json, output: { ...node, $defs: { Node: node } } })).toMatchObject({
      isError: false,
      structured: expect.any(String),
    })
  })

  test('keys of the prototype are keys', () => {
    const outcome = answer('{"__proto__":{"polluted":true},"constructor":1,"id":2}', { type: json, output })
    expect(outcome.structured).toBe('{"id":2}')
    expect('polluted' in {}).toBe(false)
  })
})

describe('text', () => {
  test.each<[string, Uint8Array | string, string]>([
    ['text/plain', 'héllo', 'héllo'],
    ['text/plain; charset=utf-8', 'héllo', 'héllo'],
    ['text/plain; charset=iso-8859-1', Buffer.from('héllo', 'latin1'), 'héllo'],
    ['text/plain; charset="windows-1252"', Buffer.from([0x80]), '€'],
    ['text/plain; charset=utf-16le', Buffer.from('hé', 'utf16le'), 'hé'],
    ['text/plain; charset=klingon', 'héllo', 'héllo'],
    ['text/plain', Buffer.from([0x61, 0xff]), 'a\ufffd'],
    ['text/html', '<p>Hi</p>', '<p>Hi</p>'],
    ['application/xml', '<a/>', '<a/>'],
    ['application/atom+xml', '<a/>', '<a/>'],
    ['image/svg+xml', '<svg/>', '<svg/>'],
    ['application/x-ndjson', '{}\n{}', '{}\n{}'],
    ['application/yaml', 'a: 1', 'a: 1'],
    ['application/x-yaml', 'a: 1', 'a: 1'],
    ['application/javascript', 'f()', 'f()'],
  ])('%s of %j', (type, body, text) => {
    expect(answer(body, { type })).toEqual({ isError: false, status: 200, content: [{ type: 'text', text }] })
  })

  test('an unnamed body is text, if its bytes are', () => {
    expect(answer('hi').content).toEqual([{ type: 'text', text: 'hi' }])
    expect(answer(new Uint8Array([0xff, 0xfe, 0])).content).toMatchObject([{ type: 'resource' }])
  })

  test('longer than a result may be, it is cut and says so', () => {
    const text = textIn(answer('x'.repeat(limits.resultTextChars + 1), { type: 'text/plain' }))
    expect(text.length).toBeLessThan(limits.resultTextChars + 200)
    expect(text).toMatch(/cut here after \d+ characters\.\]$/)
  })

  test('a body that was cut says so, and is not taken for structure', () => {
    const outcome = answer('{"id":1', { type: json, cut: true, output })
    expect(textIn(outcome)).toMatch(/^\{"id":1\n\n\[The answer is longer/)
    expect(outcome.structured).toBe('{}')
  })

  test('cut within a character, an unnamed body is text still', () => {
    expect(textIn(answer(Buffer.from('hé').subarray(0, 2), { cut: true }))).toContain('h')
  })
})

describe('other bytes', () => {
  const bytes = new Uint8Array([0x89, 0x50, 0, 0xff])
  const data = Buffer.from(bytes).toString('base64')

  test.each(['image/png', 'image/jpeg', 'IMAGE/WebP; q=1'])('%s is an image', (type) => {
    expect(answer(bytes, { type }).content).toEqual([
      { type: 'image', data, mimeType: type.split(';')[0]?.toLowerCase() },
    ])
  })

  test('audio is audio', () => {
    expect(answer(bytes, { type: 'audio/ogg' }).content).toEqual([{ type: 'audio', data, mimeType: 'audio/ogg' }])
  })

  test.each(['application/pdf', 'application/octet-stream', 'video/mp4', 'application/zip'])(
    '%s is a resource',
    (type) => {
      const { content } = answer(bytes, { type })
      expect(content).toEqual([
        { type: 'resource', resource: { uri: expect.stringMatching(/^toolgate:/), mimeType: type, blob: data } },
      ])
    },
  )

  test('a tool that owes structure gives an empty one', () => {
    expect(answer(bytes, { type: 'image/png', output }).structured).toBe('{}')
  })
})

describe('an empty answer', () => {
  test.each([200, 202, 204])('%i says so', (status) => {
    const outcome = answer('', { status })
    expect(outcome).toMatchObject({ isError: false, status })
    expect(textIn(outcome)).toContain(String(status))
    expect(outcome).not.toHaveProperty('structured')
  })

  test('owes an empty structure, where there is an output schema', () => {
    expect(answer('', { status: 204, output }).structured).toBe('{}')
  })
})

describe('a refusal', () => {
  test.each<[number, RegExp]>([
    [301, /301.*redirects are not followed/],
    [304, /304/],
    [400, /400 Bad Request/],
    [404, /404 Not Found/],
    [418, /418/],
    [503, /503 Service Unavailable/],
    [599, /599/],
  ])('%i is an error with its status and its body', (status, words) => {
    const outcome = answer('{"why":"because"}', { status, type: json, output })
    expect(outcome).toMatchObject({ isError: true, status })
    expect(textIn(outcome)).toMatch(words)
    expect(textIn(outcome)).toContain('{"why":"because"}')
    expect(outcome).not.toHaveProperty('structured')
  })

  test('tells when to come again, if that is a time', () => {
    expect(textIn(answer('', { status: 429, headers: { 'retry-after': '120' } }))).toContain('Retry after: 120.')
    expect(textIn(answer('', { status: 429, headers: { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' } }))).toContain(
      'Wed, 21 Oct 2026',
    )
    expect(textIn(answer('', { status: 429, headers: { 'retry-after': '<script>' } }))).not.toContain('script')
  })

  test('does not follow or repeat a redirect’s place', () => {
    expect(textIn(answer('', { status: 302, headers: { location: 'http://169.254.169.254/' } }))).not.toContain(
      '169.254',
    )
  })

  test('of bytes is its status alone', () => {
    expect(textIn(answer(new Uint8Array([0, 255]), { status: 500, type: 'image/png' }))).toBe(
      'The target answered 500 Internal Server Error.',
    )
  })

  test('is bounded', () => {
    expect(textIn(answer('x'.repeat(limits.resultTextChars * 2), { status: 500 })).length).toBeLessThan(
      limits.resultTextChars + 300,
    )
  })
})

describe('a target that knows MCP', () => {
  const type = 'application/vnd.toolgate.result+json'
  const native = (value: unknown, more: Sent = {}): Outcome => answer(JSON.stringify(value), { type, ...more })
  const text = { type: 'text', text: 'hi' }

  test('answers with a whole result', () => {
    const content = [
      text,
      { type: 'image', data: 'aGk=', mimeType: 'image/png' },
      { type: 'resource', resource: { uri: 'shop:1', mimeType: 'text/plain', text: 'x' } },
      { type: 'resource', resource: { uri: 'shop:2', blob: 'aGk=' } },
    ]
    expect(native({ content, structuredContent: { a: 1 } })).toEqual({
      isError: false,
      status: 200,
      content,
      structured: '{"a":1}',
    })
    expect(native({ content: [], isError: true })).toEqual({ isError: true, status: 200, content: [] })
  })

  test.each<[string, unknown]>([
    ['no content', { structuredContent: {} }],
    ['a block of no known type', { content: [{ type: 'video' }] }],
    ['a text without text', { content: [{ type: 'text' }] }],
    ['an image without a type', { content: [{ type: 'image', data: 'aGk=' }] }],
    ['a resource without an address', { content: [{ type: 'resource', resource: { text: 'x' } }] }],
    ['an array', [1]],
    ['null', null],
  ])('a result with %s is shown as the JSON that it is', (_, value) => {
    expect(native(value)).toEqual({
      isError: false,
      status: 200,
      content: [{ type: 'text', text: JSON.stringify(value) }],
    })
  })

  test('a block is only what it may be', () => {
    expect(native({ content: [{ ...text, annotations: { x: 1 }, _meta: {} }], _meta: { a: 1 } }).content).toEqual([
      text,
    ])
  })

  test('what it structures is held against the output schema as well', () => {
    expect(native({ content: [text], structuredContent: { id: 'x', name: 'a' } }, { output }).structured).toBe(
      '{"name":"a"}',
    )
    expect(native({ content: [text] }, { output }).structured).toBe('{}')
  })

  test('its text is bounded as every text is', () => {
    const outcome = native({ content: [{ type: 'text', text: 'x'.repeat(limits.resultTextChars + 1_000) }] })
    expect(textIn(outcome).length).toBeLessThan(limits.resultTextChars + 200)
  })

  test('may ask the client first', () => {
    const ask = {
      resultType: 'input_required',
      inputRequests: { name: { method: 'elicitation/create', params: { message: 'Who?' } } },
      requestState: 's',
    }
    expect(native(ask)).toEqual({
      isError: false,
      status: 200,
      content: [],
      ask: { requests: { name: { method: 'elicitation/create', params: { message: 'Who?' } } }, state: 's' },
    })
  })

  test.each<[string, unknown]>([
    ['nothing', {}],
    ['what no client answers', { a: { method: 'tools/call', params: {} } }],
    ['under a name that is none', { 'a b': { method: 'roots/list' } }],
  ])('a question for %s is shown as the JSON that it is', (_, inputRequests) => {
    expect(native({ resultType: 'input_required', inputRequests })).not.toHaveProperty('ask')
  })

  test('a refusal is a refusal, whatever it says of itself', () => {
    expect(native({ content: [text], isError: false }, { status: 500 })).toMatchObject({ isError: true, status: 500 })
  })

  test('the answers go back in two headers', async () => {
    const request = openapi.prepare(await only(withParameters([])), {}, target, {
      responses: { name: { action: 'accept', content: { n: 'é' } } },
      state: 's\n',
    })
    const decode = (name: string): string => Buffer.from(request.headers.get(name) ?? '', 'base64url').toString()
    expect(JSON.parse(decode('toolgate-input-responses'))).toEqual({ name: { action: 'accept', content: { n: 'é' } } })
    expect(decode('toolgate-request-state')).toBe('s\n')
  })
})
