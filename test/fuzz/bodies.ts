/** Bodies of every kind, their fields in every style, and for each the values that its schema allows. */
import * as fc from 'fast-check'
import { ambiguous, type Case, isSpread, isStyled, jsonOf, shapes, spreadOf, textOf, valuesOf } from './parameters.ts'
import type { Encoding, Schema, Value } from './read.ts'

/** A body: its media type and Media Type Object, what it may be given, and how it is read. */
export interface BodyCase {
  readonly type: string
  readonly schema: Schema
  readonly encoding: { readonly [name: string]: Encoding }
  readonly values: fc.Arbitrary<Value>
}

const base64 = fc.uint8Array({ maxLength: 20 }).map((bytes): Value => Buffer.from(bytes).toString('base64'))
const file = fc.record({
  filename: textOf('"\\%', 1),
  contentType: fc.constantFrom('text/plain', 'image/png', 'application/vnd.a+json; charset=utf-8'),
  data: base64,
}) as fc.Arbitrary<Value>

/** An object of fields, any of them left out. */
const someOf = (fields: { readonly [name: string]: fc.Arbitrary<Value> }): fc.Arbitrary<Value> =>
  fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<Value>

interface Field {
  readonly schema: Schema
  readonly encoding?: Encoding
  readonly values: fc.Arbitrary<Value>
}

const plainField = (schema: Schema, banned = ''): Field => ({ schema, values: valuesOf(schema, banned, 0) })

const objectField: Field = {
  schema: { type: 'object' },
  values: fc.dictionary(textOf('', 1), jsonOf(''), { noNullPrototype: true }),
}

const styledField = (name: string, shape: Schema, style: string | undefined, explode: boolean | undefined): Field => {
  const schema = isSpread('query', style, explode) ? spreadOf(name, shape) : shape
  return {
    schema,
    encoding: { ...(style === undefined ? {} : { style }), ...(explode === undefined ? {} : { explode }) },
    values: valuesOf(schema, ambiguous[style ?? ''] ?? '', 0),
  }
}

const formFields: readonly ((name: string) => Field)[] = [
  ...shapes.filter(({ type }) => type !== 'object').map((shape) => () => plainField(shape)),
  () => objectField,
  () => ({ ...objectField, encoding: { contentType: 'application/json' } }),
  () => ({ ...plainField({ type: 'string' }), encoding: { contentType: 'application/json' } }),
  () => ({
    ...plainField({ type: 'array', items: { type: 'string' } }),
    encoding: { contentType: 'application/json' },
  }),
  () => ({
    schema: { type: 'array', items: { type: 'object' } },
    values: fc.array(objectField.values, { minLength: 1, maxLength: 3 }),
  }),
  ...['form', 'spaceDelimited', 'pipeDelimited', 'deepObject'].flatMap((style) =>
    [undefined, true, false].flatMap((explode) =>
      shapes
        .filter((shape) => isStyled(style, explode, shape))
        .map((shape) => (name: string) => styledField(name, shape, style, explode)),
    ),
  ),
  () => styledField('flat', { type: 'array', items: { type: 'string' } }, undefined, false),
]

const multipartFields: readonly ((name: string) => Field)[] = [
  ...shapes.filter(({ type }) => type !== 'object').map((shape) => () => plainField(shape)),
  () => objectField,
  () => ({
    ...plainField({ type: 'array', items: { type: 'integer' } }),
    encoding: { contentType: 'application/json' },
  }),
  () => ({ ...plainField({ type: 'string' }), encoding: { contentType: 'text/markdown' } }),
  () => ({
    schema: { type: 'array', items: { type: 'object' } },
    values: fc.array(objectField.values, { minLength: 1, maxLength: 3 }),
  }),
  () => ({ schema: { type: 'string', format: 'binary' }, values: file }),
  () => ({ schema: { type: 'string', format: 'binary' }, encoding: { contentType: 'image/*' }, values: file }),
  () => ({
    schema: { type: 'array', items: { type: 'string', format: 'binary' } },
    values: fc.array(file, { minLength: 1, maxLength: 3 }),
  }),
]

const fieldNames = ['plain', 'two words', 'brackets[]', 'ü', 'quote"d', 'a.b', 'semi;colon']

function bodyOfFields(type: string, kinds: readonly ((name: string) => Field)[]): fc.Arbitrary<BodyCase> {
  return fc
    .subarray(fieldNames, { minLength: 1, maxLength: 4 })
    .chain((names) =>
      fc.tuple(...names.map((name) => fc.constantFrom(...kinds).map((make) => [name, make(name)] as const))),
    )
    .map((fields) => ({
      type,
      schema: { type: 'object', properties: Object.fromEntries(fields.map(([name, { schema }]) => [name, schema])) },
      encoding: Object.fromEntries(
        fields.flatMap(([name, { encoding }]) => (encoding === undefined ? [] : [[name, encoding]])),
      ),
      values: someOf(Object.fromEntries(fields.map(([name, { values }]) => [name, values]))),
    }))
}

const wholeBody = (type: string, schema: Schema, values: fc.Arbitrary<Value>): fc.Arbitrary<BodyCase> =>
  fc.constant({ type, schema, encoding: {}, values })

export const bodies: fc.Arbitrary<BodyCase> = fc.oneof(
  wholeBody('application/json', {}, jsonOf('')),
  wholeBody('application/vnd.shop.v1+json; charset=utf-8', { type: 'object' }, objectField.values),
  wholeBody('application/merge-patch+json', {}, jsonOf('')),
  wholeBody('application/x-ndjson', { type: 'array', items: {} }, fc.array(jsonOf(''), { minLength: 1, maxLength: 3 })),
  wholeBody('text/plain', { type: 'string' }, textOf('', 0)),
  wholeBody('application/octet-stream', { type: 'string', format: 'binary' }, base64),
  bodyOfFields('application/x-www-form-urlencoded', formFields),
  bodyOfFields('multipart/form-data', multipartFields),
)

/** The fields of a Swagger 2.0 form, and whether it has files. */
export const swaggerForms: fc.Arbitrary<readonly Case[]> = fc
  .subarray(fieldNames, { minLength: 1, maxLength: 4 })
  .chain((names) =>
    fc.tuple(
      ...names.map((name) =>
        fc.constantFrom(...swaggerFieldsOf(name), {
          parameter: { name, in: 'formData', type: 'file' },
          values: file,
        } satisfies Case),
      ),
    ),
  )

const swaggerFieldsOf = (name: string): Case[] =>
  [undefined, 'csv', 'ssv', 'tsv', 'pipes', 'multi'].flatMap((collectionFormat) =>
    shapes
      .filter(({ type }) => (collectionFormat === undefined ? type !== 'object' : type === 'array'))
      .map((shape) => ({
        parameter: {
          name,
          in: 'formData',
          ...shape,
          ...(collectionFormat === undefined ? {} : { collectionFormat }),
        },
        values: valuesOf(
          shape,
          shape.type === 'array' && collectionFormat !== 'multi' ? (ambiguous[collectionFormat ?? 'csv'] ?? '') : '',
          0,
        ),
      })),
  )
