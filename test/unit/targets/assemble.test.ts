/** One tool's schema: it carries the definitions that it uses, and spells out those used once. */
import { describe, expect, test } from 'vitest'
import { Assembler } from '../../../src/targets/openapi/assemble.ts'
import type { Schema } from '../../../src/targets/openapi/keywords.ts'
import type { Definitions } from '../../../src/targets/openapi/schema.ts'

const to = (name: string): Schema => ({ $ref: `#/$defs/${name}` })
const long = (title: string): Schema => ({
  type: 'object',
  properties: { [title]: { type: 'string', description: `${title} `.repeat(10).trim() } },
})

const assembler = (definitions: { readonly [name: string]: Schema }): Assembler =>
  new Assembler(
    new Map(Object.entries(definitions).map(([name, schema]) => [name, { schema, done: true }])) satisfies Definitions,
    false,
  )

describe('definitions', () => {
  test('none where none is referred to', () => {
    const root = { type: 'object', properties: { a: { type: 'string' } } }
    expect(assembler({ Unused: long('x') }).assemble(root)).toEqual(root)
  })

  test('one that is used once is spelled out', () => {
    expect(assembler({ A: long('a') }).assemble({ items: to('A') })).toEqual({ items: long('a') })
  })

  test('one that is used twice stays one', () => {
    const out = assembler({ A: long('a') }).assemble({ prefixItems: [to('A'), to('A')] })
    expect(out).toEqual({ prefixItems: [to('A'), to('A')], $defs: { A: long('a') } })
  })

  test('a short one costs less where it stands', () => {
    expect(assembler({ Id: { type: 'string' } }).assemble({ prefixItems: [to('Id'), to('Id')] })).toEqual({
      prefixItems: [{ type: 'string' }, { type: 'string' }],
    })
  })

  test('what a definition uses comes along, and nothing else', () => {
    const definitions = { A: { ...long('a'), items: to('B') }, B: { ...long('b'), items: to('B') }, C: long('c') }
    const out = assembler(definitions).assemble({ prefixItems: [to('A'), to('A')] })
    expect(Object.keys(out['$defs'] as object)).toEqual(['A', 'B'])
  })

  test('a recursive one stays a reference, at the root too', () => {
    const tree = { type: 'object', properties: { kids: { type: 'array', items: to('Tree') } } }
    expect(assembler({ Tree: tree }).assemble(to('Tree'))).toEqual({ ...to('Tree'), $defs: { Tree: tree } })
  })

  test('one that only leads to a circle is spelled out, the circle is not', () => {
    const definitions = {
      Way: { type: 'object', properties: { a: to('Ping') } },
      Ping: { items: to('Pong') },
      Pong: { items: to('Ping') },
    }
    const out = assembler(definitions).assemble({ properties: { w: to('Way') } })
    expect(out).toEqual({
      properties: { w: { type: 'object', properties: { a: to('Ping') } } },
      $defs: { Ping: definitions.Ping, Pong: definitions.Pong },
    })
  })

  test('words at the reference win over the definition’s', () => {
    const out = assembler({ A: { type: 'string', description: 'general' } }).assemble({
      items: { ...to('A'), description: 'special' },
    })
    expect(out).toEqual({ items: { type: 'string', description: 'special' } })
  })

  test('constraints at the reference are never lost to the definition’s', () => {
    const out = assembler({ A: { type: 'string', maxLength: 9 } }).assemble({ items: { ...to('A'), maxLength: 3 } })
    expect(out).toEqual({ items: { ...to('A'), maxLength: 3 }, $defs: { A: { type: 'string', maxLength: 9 } } })
  })

  test('their order is that of their names', () => {
    const definitions = { Zed: long('z'), Alpha: long('a') }
    const out = assembler(definitions).assemble({ prefixItems: [to('Zed'), to('Zed'), to('Alpha'), to('Alpha')] })
    expect(Object.keys(out['$defs'] as object)).toEqual(['Alpha', 'Zed'])
  })

  test('a `$ref` within data is data', () => {
    const root = { enum: [to('A')], default: to('A'), const: to('A') }
    expect(assembler({ A: long('a') }).assemble(root)).toEqual(root)
  })

  test('definitions are shared by tools, and no tool changes them for another', () => {
    const definitions = { A: { ...long('a'), items: to('B') }, B: long('b') }
    const before = structuredClone(definitions)
    const one = assembler(definitions)
    const first = one.assemble({ items: to('A') })
    expect(one.assemble({ items: to('A') })).toEqual(first)
    expect(definitions).toEqual(before)
  })

  test('short definitions that refer twice to the next do not multiply (S07)', () => {
    const definitions: { [name: string]: Schema } = { L12: { type: 'string' } }
    for (let level = 0; level < 12; level++)
      definitions[`L${level}`] = { anyOf: [to(`L${level + 1}`), to(`L${level + 1}`)] }
    expect(JSON.stringify(assembler(definitions).assemble({ items: to('L0') })).length).toBeLessThan(4_000)
  })
})
