/** Access rules: the table of cases, and the whole against a naive reading of the same rules. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Access, type AccessRule, type Accessible, createAccess } from '../../../src/auth/authorize.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Json, Principal } from '../../../src/core/model.ts'

const caller = (change: {
  subject?: string
  scopes?: readonly string[]
  claims?: Record<string, Json>
}): Principal => ({
  tenant: 't',
  client: 'c',
  subject: change.subject ?? 'https://idp.test/realm|ann',
  scopes: new Set(change.scopes),
  ...(change.claims === undefined ? {} : { claims: new Map(Object.entries(change.claims)) }),
})
const tool = (name: string): Accessible => ({ name, target: name.split('___', 1)[0] ?? '' })
const may = (access: Access, who: Principal, name: string): boolean => access.allows(access.audience(who), tool(name))

const ann = caller({ scopes: ['read', 'write'], claims: { team: 'core', groups: ['dev', 'ops'], level: 3, on: true } })
const allow = (rule: Partial<AccessRule>): AccessRule => ({ tools: ['*'], effect: 'allow', ...rule })
const deny = (rule: Partial<AccessRule>): AccessRule => ({ tools: ['*'], effect: 'deny', ...rule })

describe('access', () => {
  test.each<[string, AccessRule[], Principal, string, boolean]>([
    ['without a rule allows', [], ann, 'pets___get', true],
    ['with a rule that does not cover the tool denies', [allow({ tools: ['orders___*'] })], ann, 'pets___get', false],
    ['with a rule that does not hold denies', [allow({ principals: ['bob'] })], ann, 'pets___get', false],
    ['with a rule for everyone allows', [allow({})], ann, 'pets___get', true],
    ['with a denial only denies everything', [deny({ tools: ['orders___*'] })], ann, 'pets___get', false],
    ['lets a denial win that comes first', [deny({ tools: ['*_del'] }), allow({})], ann, 'pets___del', false],
    ['lets a denial win that comes last', [allow({}), deny({ tools: ['*_del'] })], ann, 'pets___del', false],
    ['keeps a denial to its tools', [allow({}), deny({ tools: ['*_del'] })], ann, 'pets___get', true],
    ['keeps a denial to its callers', [allow({}), deny({ principals: ['*|bob'] })], ann, 'pets___get', true],
    ['reads a subject across slashes', [allow({}), deny({ principals: ['https:*|ann'] })], ann, 'pets___get', false],
    ['reads a subject whole', [allow({ principals: ['ann'] })], ann, 'pets___get', false],
    ['takes any of the principals', [allow({ principals: ['bob', '*|ann'] })], ann, 'pets___get', true],
    ['takes no one for an empty list of principals', [allow({ principals: [] })], ann, 'pets___get', false],
    ['needs all scopes', [allow({ scopes: ['read', 'admin'] })], ann, 'pets___get', false],
    ['is content with all scopes', [allow({ scopes: ['read', 'write'] })], ann, 'pets___get', true],
    ['compares a claim', [allow({ claims: { team: 'core' } })], ann, 'pets___get', true],
    ['compares a claim exactly', [allow({ claims: { team: 'cor' } })], ann, 'pets___get', false],
    ['compares a claim with its case', [allow({ claims: { team: 'Core' } })], ann, 'pets___get', false],
    ['takes any of a claim’s values', [allow({ claims: { team: ['web', 'core'] } })], ann, 'pets___get', true],
    ['takes none of no values', [allow({ claims: { team: [] } })], ann, 'pets___get', false],
    ['looks into a claim’s list', [allow({ claims: { groups: 'ops' } })], ann, 'pets___get', true],
    ['looks into a claim’s list for any', [allow({ claims: { groups: ['qa', 'dev'] } })], ann, 'pets___get', true],
    ['does not take a list for its text', [allow({ claims: { groups: 'dev,ops' } })], ann, 'pets___get', false],
    ['compares numbers', [allow({ claims: { level: 3 } })], ann, 'pets___get', true],
    ['does not take a number for a text', [allow({ claims: { level: '3' } })], ann, 'pets___get', false],
    ['compares truth', [allow({ claims: { on: true } })], ann, 'pets___get', true],
    ['needs every claim', [allow({ claims: { team: 'core', level: 4 } })], ann, 'pets___get', false],
    ['does not find a claim that is absent', [allow({ claims: { absent: 'x' } })], ann, 'pets___get', false],
    ['does not find what the prototype has', [allow({ claims: { constructor: 'x' } })], caller({}), 'a___b', false],
    [
      'needs principal, scope and claim at once',
      [allow({ principals: ['*|ann'], scopes: ['read'], claims: { team: 'web' } })],
      ann,
      'pets___get',
      false,
    ],
    ['covers no tool without a pattern', [allow({ tools: [] })], ann, 'pets___get', false],
    ['reads a tool’s pattern whole', [allow({ tools: ['pets'] })], ann, 'pets___get', false],
  ])('%s', (_what, rules, who, name, expected) => {
    expect(may(createAccess(rules), who, name)).toBe(expected)
  })

  const key = (targets: Json) => caller({ subject: 'key|1', claims: { targets } })
  test.each<[string, AccessRule[], Principal, string, boolean]>([
    ['reaches its targets', [], key(['pets']), 'pets___get', true],
    ['reaches no other', [], key(['pets']), 'orders___get', false],
    ['reaches no other, whatever the rules allow', [allow({})], key(['pets']), 'orders___get', false],
    ['reaches in its target what the rules allow', [allow({ tools: ['*_get'] })], key(['pets']), 'pets___del', false],
    ['whose list is no list reaches nothing', [], key('pets'), 'pets___get', false],
    ['without a list reaches everything', [], caller({ subject: 'key|1' }), 'orders___get', true],
  ])('a key that is held to targets %s', (_what, rules, who, name, expected) => {
    expect(may(createAccess(rules), who, name)).toBe(expected)
  })

  test('takes a claim of that name in a token for a claim like others', () => {
    expect(may(createAccess([]), caller({ claims: { targets: ['pets'] } }), 'orders___get')).toBe(true)
  })
})

describe('an audience', () => {
  const access = createAccess([allow({ scopes: ['read'], tools: ['*_get'] }), allow({ principals: ['*|bob'] })])

  test('is the same for all for whom the same rules hold', () => {
    const one = caller({ subject: 'x|ann', scopes: ['read'] })
    const other = caller({ subject: 'y|eve', scopes: ['read', 'more'], claims: { team: 'web' } })
    expect(access.audience(one)).toBe(access.audience(other))
    expect(access.audience(one)).not.toBe(access.audience(caller({ subject: 'x|bob', scopes: ['read'] })))
    expect(access.audience(one)).not.toBe(access.audience(caller({})))
  })

  test('does not depend on the order in which a key’s targets are listed', () => {
    const of = (targets: string[]) => access.audience(caller({ subject: 'key|1', claims: { targets } }))
    expect(of(['a', 'b'])).toBe(of(['b', 'a', 'b']))
    expect(of(['a', 'b'])).not.toBe(of(['a,b']))
    expect(of([])).not.toBe(access.audience(caller({ subject: 'key|1' })))
  })

  test('that is remembered no more is decided as before', () => {
    const access = createAccess([])
    const audiences = Array.from({ length: limits.audiencesRemembered + 5 }, (_, index) =>
      access.audience(caller({ subject: 'key|1', claims: { targets: [`t${index}`] } })),
    )
    for (let round = 0; round < 2; round++)
      for (const [index, audience] of audiences.entries()) {
        expect(access.allows(audience, tool(`t${index}___get`))).toBe(true)
        expect(access.allows(audience, tool('other___get'))).toBe(false)
      }
  })
})

describe('every decision', () => {
  const subjects = ['idp/a|ann', 'idp/a|bob', 'idp/b|ann', 'key|1']
  const names = ['pets___get', 'pets___del', 'orders___get', 'orders___list']
  const rule = fc.record(
    {
      principals: fc.array(fc.constantFrom('*', '*|ann', 'idp/a|*', 'key|1'), { maxLength: 2 }),
      scopes: fc.array(fc.constantFrom('r', 'w'), { maxLength: 2 }),
      claims: fc.dictionary(fc.constantFrom('team', 'n'), fc.constantFrom('x', 'y', 1, ['x', 'z']), { maxKeys: 2 }),
      tools: fc.array(fc.constantFrom('*', 'pets___*', '*___get', 'orders___list'), { maxLength: 2 }),
      effect: fc.constantFrom('allow' as const, 'deny' as const),
    },
    { requiredKeys: ['tools', 'effect'] },
  )
  const who = fc.record({
    subject: fc.constantFrom(...subjects),
    scopes: fc.uniqueArray(fc.constantFrom('r', 'w')),
    claims: fc.dictionary(
      fc.constantFrom('team', 'n', 'targets'),
      fc.constantFrom<Json>('x', 'z', 1, ['x', 'y'], ['pets']),
    ),
  })

  const glob = (pattern: string, text: string): boolean =>
    new RegExp(`^${pattern.replace(/[|/]/g, '\\$&').replaceAll('*', '.*')}$`).test(text)

  /** The rules as one would explain them, looked at one by one for each question. */
  const naive = (rules: readonly AccessRule[], { subject, scopes, claims }: Principal, asked: Accessible): boolean => {
    if (subject.startsWith('key|') && claims?.has('targets')) {
      const targets = claims.get('targets')
      if (!Array.isArray(targets) || !targets.includes(asked.target)) return false
    }
    if (rules.length === 0) return true
    const applying = rules.filter((rule) => {
      if (rule.principals && !rule.principals.some((pattern) => glob(pattern, subject))) return false
      if (rule.scopes?.some((scope) => !scopes.has(scope))) return false
      for (const [claim, value] of Object.entries(rule.claims ?? {})) {
        const found = [claims?.get(claim)].flat()
        if (![value].flat().some((one) => found.includes(one))) return false
      }
      return rule.tools.some((pattern) => glob(pattern, asked.name))
    })
    return applying.length > 0 && applying.every(({ effect }) => effect === 'allow')
  }

  test('is that of a naive reading of the rules', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 5 }), fc.array(who, { maxLength: 4 }), (rules, callers) => {
        const access = createAccess(rules)
        for (const one of callers.map(caller))
          for (const name of names) expect(may(access, one, name)).toBe(naive(rules, one, tool(name)))
      }),
      { numRuns: 1_000 },
    )
  })
})
