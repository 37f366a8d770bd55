/** Values as strangers would send them: texts that have meaning somewhere on the way, and any JSON. */
import * as fc from 'fast-check'
import type { Json } from '../../src/core/model.ts'

const nasty = fc.constantFrom(
  '',
  '.',
  '..',
  '%2e',
  '%2e%2e',
  '..%2f',
  '../../admin',
  '..\\',
  '/',
  '//evil.test',
  '\\evil',
  '?a=1',
  '#x',
  ';x',
  '@evil.test',
  'http://evil.test/',
  '\0',
  '%00',
  '\r\nX: 1',
  '\ud800',
  '\udc00x',
  'é',
  '中',
  '🐶',
  ' ',
  '\t',
  '%',
  '%zz',
  '[',
  ']',
  '&',
  '=',
  '__proto__',
  'constructor',
)

export const anyText = fc.oneof(nasty, fc.string({ unit: 'binary' }), fc.string())

export const anyJson: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    anyText,
    fc.constantFrom<Json>(null, true, false, 0, -0, 1e300, 1.5),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(anyText, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).value
