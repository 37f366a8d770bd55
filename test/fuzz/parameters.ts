/**
 * Parameters of every style in every place, of both lines of the specification, and for each the values that its schema
 * allows. Texts hold every character but those that a style both leaves bare and takes for a delimiter: nobody could
 * tell them apart.
 */
import * as fc from 'fast-check'
import type { Parameter, Schema, Value } from './read.ts'

/** A parameter and what it may be given. */
export interface Case {
  readonly parameter: Parameter
  readonly values: fc.Arbitrary<Value>
}

const sample = Array.from('abcXYZ019-._~ !"#$%&\'()*+,/:;<=>?@[\\]^`{|}é中🐶\u0300\u00a0')

/** Characters that an unreserved or undecoded delimiter makes ambiguous, by place or style. */
export const ambiguous: { readonly [what: string]: string } = {
  label: '.',
  spaceDelimited: ' ',
  pipeDelimited: '|',
  deepObject: '[]',
  // a header is not decoded, and white space at its ends is none of it
  header: ',=% \t',
  // RFC 6265 §4.1.1: nothing is escaped, so only cookie octets can be carried
  cookie: ' ",;\\=é中🐶\u0300\u00a0[]{}|%',
  ssv: ' \u00a0',
  tsv: '\t',
  pipes: '|',
  csv: ',',
  allowReserved: '&#%+=[]',
}

export function textOf(banned: string, minLength: number): fc.Arbitrary<string> {
  const unit = fc.constantFrom(...sample.filter((char) => !banned.includes(char)))
  return fc.string({ unit, minLength, maxLength: 10 })
}

const scalarTypes = ['string', 'integer', 'number', 'boolean'] as const
type ScalarType = (typeof scalarTypes)[number]

export const shapes: readonly Schema[] = [
  ...scalarTypes.map((type) => ({ type })),
  ...scalarTypes.map((type) => ({ type: 'array', items: { type } })),
  ...scalarTypes.map((type) => ({ type: 'object', additionalProperties: { type } })),
]

export const nameOfShape = ({ type, items, additionalProperties, properties }: Schema): string => {
  const inner = items ?? Object.values(properties ?? {})[0] ?? additionalProperties
  return typeof inner === 'object' ? `${type} of ${inner.type}` : `${type}`
}

/** Where a number would bring an ambiguous character along, whole ones only. */
function scalarOf(type: ScalarType, banned: string, minLength: number): fc.Arbitrary<Value> {
  if (type === 'boolean') return fc.boolean()
  if (type === 'integer') return fc.oneof(fc.integer(), fc.maxSafeInteger()).map((value) => value + 0)
  if (type === 'string')
    // dots alone would be another path
    return textOf(banned, minLength).filter((text) => minLength === 0 || !/^\.+$/.test(text))
  return banned.includes('.')
    ? fc.integer()
    : fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0))
}

/** Values of a shape; texts of at least `minLength`, lists and objects never empty (RFC 6570 §2.3: undefined). */
export function valuesOf(
  { type = 'string', items, additionalProperties, properties }: Schema,
  banned: string,
  minLength: number,
): fc.Arbitrary<Value> {
  const of = (schema: Schema | boolean | undefined): fc.Arbitrary<Value> =>
    scalarOf((typeof schema === 'object' ? (schema.type ?? 'string') : 'string') as ScalarType, banned, minLength)
  if (type === 'array') return fc.array(of(items), { minLength: 1, maxLength: 4 })
  if (type !== 'object') return of({ type })
  if (properties !== undefined) {
    const members = Object.entries(properties).map(([name, one]) => [name, valuesOf(one, banned, minLength)] as const)
    return fc.record(Object.fromEntries(members)) as fc.Arbitrary<Value>
  }
  const key = textOf(banned, 1).filter((text) => !/^\d+$/.test(text))
  return fc.dictionary(key, of(additionalProperties), { minKeys: 1, maxKeys: 4, noNullPrototype: true })
}

/** Styles by place, and what is left out to have the preset (OAS 3.1.1 §4.8.12.2.2). */
const styles: readonly (readonly [place: string, style: string | undefined])[] = [
  ['path', undefined],
  ['path', 'simple'],
  ['path', 'label'],
  ['path', 'matrix'],
  ['query', undefined],
  ['query', 'form'],
  ['query', 'spaceDelimited'],
  ['query', 'pipeDelimited'],
  ['query', 'deepObject'],
  ['header', undefined],
  ['header', 'simple'],
  ['cookie', undefined],
  ['cookie', 'form'],
  ['cookie', 'cookie'],
]

/** Whether the specification's table has this combination. */
export function isStyled(style: string | undefined, explode: boolean | undefined, { type }: Schema): boolean {
  if (style === 'deepObject') return type === 'object' && explode !== false
  if (style === 'spaceDelimited' || style === 'pipeDelimited')
    return type === 'array' || (type === 'object' && explode !== true)
  return true
}

/** Members spread over a query or over cookies have names of their own there, which must be told in advance. */
export const isSpread = (place: string, style: string | undefined, explode: boolean | undefined): boolean =>
  (place === 'query' || place === 'cookie') &&
  style !== 'deepObject' &&
  (explode ?? (style === undefined || style === 'form' || style === 'cookie'))

export const spreadOf = (name: string, schema: Schema): Schema => {
  const member = schema.additionalProperties
  return schema.type !== 'object' || typeof member !== 'object'
    ? schema
    : { type: 'object', properties: { [`${name}_one`]: member, [`${name}-two`]: member }, additionalProperties: false }
}

function caseOf(
  name: string,
  place: string,
  style: string | undefined,
  explode: boolean | undefined,
  shape: Schema,
): Case {
  const schema = isSpread(place, style, explode) ? spreadOf(name, shape) : shape
  const banned = `${ambiguous[place === 'cookie' ? '' : place] ?? ''}${ambiguous[style ?? ''] ?? ''}`
  return {
    parameter: {
      name,
      in: place,
      ...(place === 'path' ? { required: true } : {}),
      ...(style === undefined ? {} : { style }),
      ...(explode === undefined ? {} : { explode }),
      schema,
    },
    values: valuesOf(schema, banned, place === 'query' ? 0 : 1),
  }
}

const contentCases = (name: string): Case[] =>
  ['path', 'query', 'header', 'cookie'].flatMap((place) => {
    const required = place === 'path' ? { required: true } : {}
    const banned = place === 'header' ? 'é中🐶\u0300\u00a0' : ''
    const of = (type: string, schema: Schema, values: fc.Arbitrary<Value>): Case => ({
      parameter: { name, in: place, ...required, content: { [type]: { schema } } },
      values,
    })
    return [
      of('application/json', {}, jsonOf(banned)),
      of(
        'text/plain',
        { type: 'string' },
        textOf(`${banned}${place === 'header' ? ' %' : ''}`, 1).filter((text) => !/^\.+$/.test(text)),
      ),
    ]
  })

const reservedCase = (name: string): Case => ({
  parameter: { name, in: 'query', allowReserved: true, schema: { type: 'string' } },
  values: textOf(ambiguous['allowReserved'] ?? '', 0),
})

/** The whole query by its media type (OAS 3.2.0 §4.12.3); no parameter of the query stands beside it. */
const wholeQueries = (name: string): Case[] => {
  const fields = {
    q: { type: 'string' },
    page: { type: 'integer' },
    tags: { type: 'array', items: { type: 'string' } },
  }
  const schema: Schema = { type: 'object', properties: fields }
  const of = (type: string, content: Schema, values: fc.Arbitrary<Value>): Case => ({
    parameter: { name, in: 'querystring', content: { [type]: { schema: content } } },
    values,
  })
  return [
    of('application/x-www-form-urlencoded', schema, valuesOf(schema, '', 0)),
    of('application/json', {}, jsonOf('')),
    of('text/plain', { type: 'string' }, textOf('', 1)),
  ]
}

/** Every combination of the specification's table, each for a parameter of this name. */
export const casesOf = (name: string): Case[] => [
  ...styles.flatMap(([place, style]) =>
    [undefined, true, false].flatMap((explode) =>
      shapes
        .filter((shape) => isStyled(style, explode, shape))
        .map((shape) => caseOf(name, place, style, explode, shape)),
    ),
  ),
  ...contentCases(name),
  ...wholeQueries(name),
  reservedCase(name),
]

/** Every combination of Swagger 2.0 that is no part of a body. */
export const swaggerCasesOf = (name: string): Case[] =>
  ['path', 'query', 'header'].flatMap((place) =>
    [undefined, 'csv', 'ssv', 'tsv', 'pipes', ...(place === 'query' ? ['multi'] : [])].flatMap((collectionFormat) =>
      shapes
        .filter(({ type }) => (collectionFormat === undefined ? type !== 'object' : type === 'array'))
        .map((shape): Case => {
          const banned = `${ambiguous[place] ?? ''}${ambiguous[collectionFormat ?? 'csv'] ?? ''}`
          const required = place === 'path' ? { required: true } : {}
          const format = collectionFormat === undefined ? {} : { collectionFormat }
          return {
            parameter: { name, in: place, ...required, ...shape, ...format },
            values: valuesOf(shape, banned, place === 'query' ? 0 : 1),
          }
        }),
    ),
  )

/** JSON whose texts have no such characters; keys that only JavaScript minds are left out. */
export const jsonOf = (banned: string): fc.Arbitrary<Value> =>
  fc.letrec<{ value: Value }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      textOf(banned, 0),
      fc.boolean(),
      fc.integer(),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(textOf(banned, 0), fc.oneof(tie('value'), fc.constant<Value>(null)), {
        maxKeys: 4,
        noNullPrototype: true,
      }),
    ),
  })).value
