import { describe, expect, it } from 'vitest'
import { clientsOf, type CustomClaim, holdsClaim, nameIn, principalOf, scopesOf } from '../../src/auth/claims.ts'
import type { Json } from '../../src/core/model.ts'

const claims = (members: { [name: string]: Json }) => new Map(Object.entries(members))

describe('a custom claim', () => {
  it.each<[operator: CustomClaim['operator'], claim: Json | undefined, value: CustomClaim['value'], holds: boolean]>([
    ['EQUALS', 'eu', 'eu', true],
    ['EQUALS', 'EU', 'eu', false],
    ['EQUALS', 7, '7', true],
    ['EQUALS', true, 'true', true],
    ['EQUALS', 'true', 'true', true],
    ['EQUALS', null, 'null', false],
    ['EQUALS', undefined, 'undefined', false],
    ['EQUALS', ['eu'], 'eu', false],
    ['EQUALS', { eu: 1 }, '[object Object]', false],
    ['EQUALS', 'eu', ['eu'], false],
    ['CONTAINS', ['staff', 'readers'], 'staff', true],
    ['CONTAINS', ['staff', 'readers'], 'staf', false],
    ['CONTAINS', ['staff', 'readers'], ['staff', 'readers'], true],
    ['CONTAINS', ['staff'], ['staff', 'readers'], false],
    ['CONTAINS', ['staff'], [], false],
    ['CONTAINS', [1, 2], '2', true],
    ['CONTAINS', [['staff']], 'staff', false],
    ['CONTAINS', '["staff","readers"]', 'readers', true],
    ['CONTAINS', '["staff"', '["staff"', true],
    ['CONTAINS', '["staff"]', '["staff"]', false],
    ['CONTAINS', '{"staff":1}', 'staff', false],
    ['CONTAINS', 'staff', 'staff', true],
    ['CONTAINS', 'staff readers', 'staff', false],
    ['CONTAINS', 'staff,readers', 'staff', false],
    ['CONTAINS', undefined, 'staff', false],
    ['CONTAINS_ANY', ['staff'], ['admins', 'staff'], true],
    ['CONTAINS_ANY', ['staff'], ['admins', 'owners'], false],
    ['CONTAINS_ANY', '["staff"]', ['admins', 'staff'], true],
    ['CONTAINS_ANY', ['staff'], 'staff', true],
    ['CONTAINS_ANY', ['staff'], [], false],
  ])('%s over %j asked for %j: %s', (operator, claim, value, holds) => {
    expect(holdsClaim(claims(claim === undefined ? {} : { c: claim }), { claim: 'c', operator, value })).toBe(holds)
  })

  it('is never a member of the prototype', () => {
    expect(holdsClaim(claims({}), { claim: 'constructor', operator: 'CONTAINS', value: 'x' })).toBe(false)
  })
})

describe('scopes', () => {
  it.each<[{ [name: string]: Json }, string[]]>([
    [{ scope: 'a b' }, ['a', 'b']],
    [{ scope: '  a   b ' }, ['a', 'b']],
    [{ scope: ['a', 'b c'] }, ['a', 'b c']],
    [{ scp: ['a', 'b'] }, ['a', 'b']],
    [{ scp: 'a b' }, ['a', 'b']],
    [{ scope: 'a', scp: ['b'] }, ['a', 'b']],
    [{ scope: 7 }, []],
    [{ scp: [1, 'a'] }, ['a']],
    [{}, []],
  ])('of %j are %j', (members, scopes) => {
    expect([...scopesOf(claims(members))]).toEqual(scopes)
  })
})

describe('a name in a claim', () => {
  it.each<[Json, string | undefined]>([
    ['alice', 'alice'],
    ['auth0|123', 'auth0|123'],
    ['Zoë', 'Zoë'],
    [7, '7'],
    [2 ** 53, undefined],
    [1.5, undefined],
    [true, undefined],
    ['', undefined],
    ['a\u0000', undefined],
    ['a\u0085b', undefined],
    ['x'.repeat(255), 'x'.repeat(255)],
    ['x'.repeat(256), undefined],
    [['alice'], undefined],
    [null, undefined],
  ])('%j is %j', (value, name) => {
    expect(nameIn(claims({ sub: value }), 'sub')).toBe(name)
  })
})

describe('the principal', () => {
  const token = claims({ iss: 'https://id.test', sub: 'app', azp: 'agent', agent: 'a1', org: 'acme', scope: 'x y' })

  it('is issuer and subject, in the default tenant', () => {
    expect(principalOf(token, {})).toMatchObject({ tenant: 'default', subject: 'https://id.test|app', client: 'agent' })
  })

  it('is refined by the claim that tells apart the users of one client', () => {
    expect(principalOf(token, { principalClaim: 'agent' }).subject).toBe('https://id.test|app|a1')
  })

  it('is of the tenant that is configured or claimed', () => {
    expect(principalOf(token, { tenant: 'ours' }).tenant).toBe('ours')
    expect(principalOf(token, { tenant: 'ours', tenantClaim: 'org' }).tenant).toBe('acme')
  })

  it('has client_id before azp, and none without either', () => {
    expect(principalOf(new Map([...token, ['client_id', 'first']]), {}).client).toBe('first')
    expect(principalOf(claims({ iss: 'i', sub: 's' }), {}).client).toBe('')
    expect(clientsOf(new Map([...token, ['client_id', 'first']]))).toEqual(['first', 'agent'])
  })

  it('carries the claims that a rule can compare and no others', () => {
    const made = principalOf(
      claims({ iss: 'i', sub: 's', n: 1, b: false, list: ['a', 1], deep: [['a']], o: {}, z: null }),
      {},
    )
    expect([...(made.claims ?? [])]).toEqual(Object.entries({ iss: 'i', sub: 's', n: 1, b: false, list: ['a', 1] }))
  })
})
