/** Arguments that the operator settles: out of the schema where they are fixed, in the request always. */
import { describe, expect, it } from 'vitest'
import { type ArgumentRule, applyPresets, shapeArguments } from '../../../src/catalogue/shape.ts'
import type { Json, JsonSchema } from '../../../src/core/model.ts'

const input: JsonSchema = {
  type: 'object',
  properties: {
    limit: { type: 'integer' },
    key: { type: 'string' },
    body: { $ref: '#/$defs/Body' },
    'a/b': { type: 'string' },
  },
  required: ['key', 'body'],
  additionalProperties: false,
  $defs: {
    Body: {
      type: 'object',
      properties: { account: { type: 'string' }, name: { type: 'string' } },
      required: ['account', 'name'],
    },
  },
}
const before = JSON.stringify(input)
const shaped = (rules: { readonly [name: string]: ArgumentRule }): ReturnType<typeof shapeArguments> =>
  shapeArguments(input, new Map(Object.entries(rules)))

describe('a settled argument', () => {
  it('is gone from the schema when it is fixed, and required no longer', () => {
    const { input: out, presets } = shaped({ key: { value: 'k' } })
    expect(out).toMatchObject({ properties: { limit: {} }, required: ['body'] })
    expect(Object.keys(out['properties'] as object)).toEqual(['limit', 'body', 'a/b'])
    expect(presets).toEqual({ fixed: [['/key', 'k']], defaults: [] })
  })

  it('shows its default and may be left out', () => {
    const { input: out, presets } = shaped({ key: { default: 'k', description: 'Which' } })
    expect(out).toMatchObject({
      properties: { key: { type: 'string', default: 'k', description: 'Which' } },
      required: ['body'],
    })
    expect(presets).toEqual({ fixed: [], defaults: [['/key', 'k']] })
  })

  it('may be a member of a body behind a reference, whose definition stays as it is', () => {
    const { input: out, presets } = shaped({ '/body/account': { value: 'acme' } })
    expect(out).toMatchObject({
      properties: { body: { type: 'object', properties: { name: {} }, required: ['name'] } },
    })
    expect(JSON.stringify(out['properties'])).not.toContain('account')
    expect(presets?.fixed).toEqual([['/body/account', 'acme']])
    expect(JSON.stringify(input)).toBe(before)
  })

  it('may have a slash in its name', () => {
    const { presets } = shaped({ 'a/b': { value: 1 } })
    expect(applyPresets({}, presets ?? { fixed: [], defaults: [] })).toEqual({ 'a/b': 1 })
  })

  it.each(['nothing', '/body/nothing', '/limit/x', '/body/account/deeper'])(
    'is told when there is none: %s',
    (name) => {
      expect(shaped({ [name]: { value: 1 } })).toMatchObject({ unknown: [name], presets: undefined })
    },
  )
})

describe('at a call', () => {
  it.each<
    [what: string, fixed: [string, Json][], defaults: [string, Json][], given: { [name: string]: Json }, sent: Json]
  >([
    ['a fixed value is sent whatever the caller says', [['/a', 1]], [], { a: 2 }, { a: 1 }],
    ['a fixed member makes its parent', [['/body/a', 1]], [], {}, { body: { a: 1 } }],
    ['a fixed member joins the caller’s', [['/body/a', 1]], [], { body: { b: 2 } }, { body: { b: 2, a: 1 } }],
    ['a default is sent where the caller is silent', [], [['/a', 1]], {}, { a: 1 }],
    ['a default gives way', [], [['/a', 1]], { a: 2 }, { a: 2 }],
    ['a default gives way to null', [], [['/a', 1]], { a: null }, { a: null }],
    ['a default inside makes no parent', [], [['/body/a', 1]], {}, {}],
    ['a default inside joins', [], [['/body/a', 1]], { body: {} }, { body: { a: 1 } }],
    ['nothing goes into what is no object', [['/body/a', 1]], [], { body: 'text' }, { body: 'text' }],
  ])('%s', (_what, fixed, defaults, given, sent) => {
    const copy = structuredClone(given)
    expect(applyPresets(given, { fixed, defaults })).toEqual(sent)
    expect(given).toEqual(copy)
  })
})
