/** Media types of bodies: which is sent, which kind of writing it is, and what of the schema is kept under it. */
import { describe, expect, test } from 'vitest'
import type { Json } from '../../../src/core/model.ts'
import { openapi } from '../../../src/targets/openapi.ts'
import { concrete, kindOf } from '../../../src/targets/openapi/media.ts'
import {
  asInput,
  bindingOf,
  document3,
  load,
  only,
  type Plain,
  requestBody,
  send,
  target,
  textOf,
  withBody,
} from './support.ts'

const text = { type: 'string' }
const object = { type: 'object', properties: { a: text }, required: ['a'] }

describe('the kind of a media type', () => {
  test.each([
    ['application/json', 'json'],
    ['application/vnd.shop.v1+json', 'json'],
    ['application/*+json', 'json'],
    ['application/x-json', 'json'],
    ['application/vnd.shop.json', 'json'],
    ['json', 'json'],
    ['*/*', 'json'],
    ['application/geo+json-seq', 'lines'],
    ['application/json-seq', 'lines'],
    ['text/csv', 'text'],
    ['application/graphql', 'text'],
    ['application/sparql-query', 'text'],
    ['application/javascript', 'text'],
    ['application/jwt', 'text'],
    ['application/toml', 'text'],
    ['application/x-yaml', 'text'],
    ['application/octet-stream', 'binary'],
    ['application/pdf', 'binary'],
    ['image/svg+xml', 'xml'],
  ])('%s is %s', (type, kind) => {
    expect(kindOf(type)).toBe(kind)
  })

  test.each([
    ['application/*+json', 'application/json'],
    ['json', 'application/json'],
    ['image/*', 'application/octet-stream'],
    ['text/*', 'text/plain'],
    ['application/pdf; a="b"', 'application/pdf; a="b"'],
    ['text/plain\r\nx: y', 'application/octet-stream'],
    ['nothing', 'application/octet-stream'],
  ])('for %j %s is sent', (type, sent) => {
    expect(concrete(type, () => false)).toBe(sent)
  })
})

describe('the type that the configuration asks for', () => {
  test.each([
    ['image/*', 'image/png', 'image/png', []],
    ['*/*', 'application/pdf', 'application/pdf', []],
    ['application/*+json', 'application/geo+json', 'application/geo+json', []],
    ['image/*', 'text/csv', 'application/octet-stream', ['content_type']],
  ])('of %s, %s', async (described, asked, sent, codes) => {
    const contentTypes = new Map([['', asked]])
    const { operations, issues } = await load(withBody({}, described), { contentTypes })
    expect(operations[0]?.binding).toMatchObject({ body: { contentType: sent } })
    expect(issues.map(({ code }) => code)).toEqual(codes)
  })

  test('of several in one name, the first', async () => {
    expect(bindingOf(await only(withBody(object, 'application/json, text/json'))).body).toMatchObject({
      kind: 'json',
      contentType: 'application/json',
    })
  })
})

describe('text', () => {
  test.each<[Plain, Json, string]>([
    [{ type: 'integer', minimum: 1 }, 42, '42'],
    [{ type: 'number' }, 1.5, '1.5'],
    [{ type: 'boolean' }, false, 'false'],
    [{ type: ['string', 'integer'] }, 7, '7'],
    [{ type: 'string', enum: ['a'] }, 'a', 'a'],
  ])('under text/plain %j is kept', async (schema, value, wire) => {
    const operation = await only(withBody(schema, 'text/plain'))
    expect(operation.input).toMatchObject({ properties: { body: schema } })
    expect(textOf(openapi.prepare(operation, { body: value }, target))).toBe(wire)
  })

  test('of an object, the caller writes it', async () => {
    expect((await asInput(object, { type: 'text/plain' })).schema).toEqual(text)
  })

  test('in base64 is the body itself from 3.1 on, and bytes before', async () => {
    const schema = { type: 'string', contentEncoding: 'base64', contentMediaType: 'image/png' }
    const at = (version: string): Plain =>
      document3({ '/x': { post: { requestBody: requestBody(schema, 'image/png') } } }, {}, version)
    expect(textOf(await send(at('3.1.0'), { body: 'aGk=' }))).toBe('aGk=')
    expect(textOf(await send(at('3.0.4'), { body: 'aGk=' }))).toBe('hi')
  })
})

describe('an object under a media type that says nothing of objects', () => {
  test.each([
    ['application/octet-stream', 'application/octet-stream'],
    ['application/x-protobuf', 'application/x-protobuf'],
    ['application/graphql', 'application/graphql'],
    ['default', 'application/json'],
  ])('%s: JSON, as %s, and said so', async (described, contentType) => {
    const { operations, issues } = await load(withBody(object, described))
    expect(operations[0]).toMatchObject({
      input: { properties: { body: object } },
      binding: { body: { kind: 'json', contentType } },
    })
    expect(issues.map(({ code }) => code)).toEqual(['json_assumed'])
  })

  test('bytes stay bytes', async () => {
    expect((await asInput({ type: 'string', format: 'binary' }, { type: 'application/zip' })).schema).toMatchObject({
      contentEncoding: 'base64',
    })
  })
})
