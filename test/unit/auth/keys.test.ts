/** Keys for callers: made once, checked without a look into the database, gone everywhere within a second. */
import { describe, expect, test } from 'vitest'
import { isKeyText, keyHash, newAccessKeyId, newKeyText } from '../../../src/auth/key-text.ts'
import { authenticateKey, type KeyRequest, presentedKey, targetsOf } from '../../../src/auth/keys.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Principal } from '../../../src/core/model.ts'
import type { Secret } from '../../../src/core/secret.ts'
import { handClock, inboundOf, newReplica, newReplicas } from './support.ts'

/** Tests may look at what the caller was shown. */
const shown = (key: Secret): string => key.reveal()
const request: KeyRequest = { name: 'ci', scopes: ['tools:read', 'tools:call'], targets: ['pets', 'orders'] }
const refused = { code: 'unauthenticated', headers: { 'www-authenticate': expect.stringMatching(/^Bearer/) } }

describe('the text of a key', () => {
  test('has a form that scanners find and nobody guesses', () => {
    const texts = Array.from({ length: 200 }, newKeyText)
    for (const text of texts) expect(text).toMatch(/^tg_[0-9A-Za-z]{49}$/)
    expect(new Set(texts).size).toBe(texts.length)
    expect(texts.every(isKeyText)).toBe(true)
    expect(newAccessKeyId()).toMatch(/^TGAK[A-Z2-7]{16}$/)
  })

  test('with any one character changed, or two swapped, is no key', () => {
    const text = newKeyText()
    for (let place = 0; place < text.length; place++) {
      const other = text[place] === 'a' ? 'b' : 'a'
      expect(isKeyText(text.slice(0, place) + other + text.slice(place + 1))).toBe(false)
      const [one, two] = [text[place] ?? '', text[place + 1] ?? '']
      if (one !== two && two !== '')
        expect(isKeyText(text.slice(0, place) + two + one + text.slice(place + 2))).toBe(false)
    }
  })

  test.each([
    '',
    'tg_',
    'tg_short',
    ` ${newKeyText()}`,
    `${newKeyText()}x`,
    newKeyText().slice(0, -1),
    `${newKeyText()}\n`,
  ])('%j is no key', (text) => expect(isKeyText(text)).toBe(false))
})

describe('a key', () => {
  test('makes a principal of its tenant, scopes and targets', async () => {
    const { keys } = newReplica(handClock())
    const { id, key } = await keys.create({ ...request, tenant: 'acme' })
    expect(await keys.check(shown(key))).toEqual({
      tenant: 'acme',
      subject: `key|${id}`,
      client: 'ci',
      scopes: new Set(['tools:read', 'tools:call']),
      claims: new Map([['targets', ['pets', 'orders']]]),
    })
    const plain = await keys.create({ name: 'all' })
    expect(await keys.check(shown(plain.key))).toEqual({
      tenant: 'default',
      subject: `key|${plain.id}`,
      client: 'all',
      scopes: new Set(),
    })
  })

  test('is nowhere in the database, only its hash is', async () => {
    const { keys, records } = newReplica(handClock())
    const { id, key } = await keys.create(request)
    const access = await keys.create({ name: 'aws', sigv4: true })
    const rows = JSON.stringify(await records.list('', { limit: 100 }))
    expect(rows).toContain(keyHash(shown(key)))
    for (const text of [shown(key), shown(key).slice(3, 46), shown(access.key)]) expect(rows).not.toContain(text)
    expect(rows).toContain(id)
  })

  test('that is known costs no look into the database, and is the same principal', async () => {
    const clock = handClock()
    const { keys, asked } = newReplica(clock)
    const text = shown((await keys.create(request)).key)
    const first = await keys.check(text)
    const before = asked()
    for (let count = 0; count < 100; count++) expect(keys.check(text)).toBe(first)
    expect(asked()).toBe(before)
    clock.pass(limits.keyStaleMs)
    // one question for all keys, and no reading, as nothing has changed
    expect(await Promise.all([keys.check(text), keys.check(text)])).toEqual([first, first])
    expect(asked()).toBe(before + 1)
    await keys.create({ name: 'another' })
    clock.pass(limits.keyStaleMs)
    expect(await keys.check(text)).toBe(first)
  })

  test.each([
    ['mistyped', (text: string) => text.replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))],
    ['never made', newKeyText],
    ['lower-case', (text: string) => text.toLowerCase()],
    ['its own hash', keyHash],
    ['empty', () => ''],
    ['a name of the prototype', () => '__proto__'],
  ])('%s is nobody', async (_what, change) => {
    const { keys } = newReplica(handClock())
    const text = shown((await keys.create(request)).key)
    expect(await keys.check(change(text))).toBeUndefined()
    expect(await keys.check(text)).toBeDefined()
  })

  test('is over at its end, and listed for a while', async () => {
    const clock = handClock()
    const { keys } = newReplica(clock)
    const { id, key } = await keys.create({ name: 'a day', expires: clock.now() + 1_000 })
    expect(await keys.check(shown(key))).toBeDefined()
    clock.pass(999)
    expect(await keys.check(shown(key))).toBeDefined()
    clock.pass(1)
    expect(await keys.check(shown(key))).toBeUndefined()
    expect((await keys.list()).map((one) => one.id)).toEqual([id])
    clock.pass(limits.keyEndedKeptMs)
    expect(await keys.list()).toEqual([])
  })

  test('revoked on one replica is refused on all of them within half a second', async () => {
    const clock = handClock()
    const [one, other] = newReplicas(clock, 2)
    if (one === undefined || other === undefined) throw new Error('no replicas')
    const { id, key } = await one.keys.create(request)
    const access = await one.keys.create({ name: 'aws', sigv4: true })
    for (const { keys } of [one, other]) {
      expect(await keys.check(shown(key))).toBeDefined()
      expect(await keys.accessKey(access.id)).toBeDefined()
    }
    expect(await one.keys.revoke(id)).toBe(true)
    expect(await one.keys.revoke(access.id)).toBe(true)
    clock.pass(500)
    for (const { keys } of [one, other]) {
      expect(await keys.check(shown(key))).toBeUndefined()
      expect(await keys.accessKey(access.id)).toBeUndefined()
    }
    expect(await other.keys.revoke(id)).toBe(false)
    expect((await other.keys.list()).map(({ revoked }) => revoked)).toEqual([expect.any(Number), expect.any(Number)])
  })

  test('is not believed while the database cannot be asked', async () => {
    const clock = handClock()
    const { keys, records } = newReplica(clock)
    const text = shown((await keys.create(request)).key)
    expect(await keys.check(text)).toBeDefined()
    await records.close()
    clock.pass(limits.keyStaleMs)
    await expect(keys.check(text)).rejects.toMatchObject({ code: 'store_unavailable' })
  })

  test('whose record was swapped for another’s is nobody', async () => {
    const { keys, records } = newReplica(handClock())
    const [mine, admin] = [await keys.create(request), await keys.create({ name: 'admin' })]
    const index = `keyhash/${keyHash(shown(mine.key))}`
    await records.put(index, admin.id, { expect: (await records.get(index))?.version ?? 0 })
    expect(await keys.check(shown(mine.key))).toBeUndefined()
  })

  test.each<[string, KeyRequest]>([
    ['name', { name: '' }],
    ['name', { name: 'a\nb' }],
    ['name', { name: ' a' }],
    ['name', { name: 'n'.repeat(limits.keyNameChars + 1) }],
    ['tenant', { name: 'a', tenant: '' }],
    ['scopes', { name: 'a', scopes: ['two words'] }],
    ['scopes', { name: 'a', scopes: ['"'] }],
    ['targets', { name: 'a', targets: [] }],
    ['targets', { name: 'a', targets: [''] }],
  ])('with a wrong %s is not made: %j', async (part, wrong) => {
    const { keys } = newReplica(handClock())
    await expect(keys.create(wrong)).rejects.toMatchObject({
      code: 'invalid_params',
      message: `The key’s ${part} is not what it may be.`,
    })
    expect(await keys.list()).toEqual([])
  })

  test.each([0, -1, Number.NaN])('that ends %d ms from now is not made', async (ms) => {
    const clock = handClock()
    await expect(newReplica(clock).keys.create({ name: 'a', expires: clock.now() + ms })).rejects.toMatchObject({
      code: 'invalid_params',
    })
  })

  test.each(['', 'nobody', '../key', 'x'.repeat(1_000), 'a/b'])('%j is not revoked', async (id) => {
    expect(await newReplica(handClock()).keys.revoke(id)).toBe(false)
  })
})

describe('last use', () => {
  test('is written behind the calls, and seen on other replicas', async () => {
    const clock = handClock()
    const [one, other] = newReplicas(clock, 2)
    if (one === undefined || other === undefined) throw new Error('no replicas')
    const { id, key } = await one.keys.create(request)
    expect((await other.keys.list())[0]).not.toHaveProperty('lastUsed')
    clock.pass(5)
    await one.keys.check(shown(key))
    const used = clock.now()
    expect(await one.records.get(`keyused/${id}`)).toBeUndefined()
    expect((await one.keys.list())[0]).toMatchObject({ id, lastUsed: used })
    await one.keys.close()
    expect((await other.keys.list())[0]).toMatchObject({ id, lastUsed: used })
    clock.pass(limits.keyUsedMs)
    await other.keys.check(shown(key))
    clock.tick()
    await expect.poll(async () => (await one.keys.list())[0]?.lastUsed).toBe(clock.now())
  })

  test('is not moved by a key that is refused', async () => {
    const clock = handClock()
    const { keys } = newReplica(clock)
    const { id, key } = await keys.create(request)
    await keys.revoke(id)
    expect(await keys.check(shown(key))).toBeUndefined()
    await keys.close()
    expect((await keys.list())[0]).not.toHaveProperty('lastUsed')
  })

  test('is kept for later when the database cannot be used', async () => {
    const clock = handClock()
    const { keys, records } = newReplica(clock)
    await keys.check(shown((await keys.create(request)).key))
    await records.close()
    await expect(keys.close()).resolves.toBeUndefined()
  })
})

describe('a request', () => {
  const key = newKeyText()
  const caller: Principal = { tenant: 't', subject: 'key|1', client: 'c', scopes: new Set() }
  const authenticate = authenticateKey({ check: (text) => (text === key ? caller : undefined) })
  const other = newKeyText()

  test.each<[string, [string, string][]]>([
    ['as a bearer token', [['Authorization', `Bearer ${key}`]]],
    ['as a bearer token, written otherwise', [['authorization', `bEARER   ${key}`]]],
    ['in X-Api-Key', [['X-Api-Key', key]]],
    [
      'in both, the same',
      [
        ['Authorization', `Bearer ${key}`],
        ['X-Api-Key', key],
      ],
    ],
  ])('may carry its key %s', (_how, headers) => {
    expect(authenticate(inboundOf({ headers }))).toBe(caller)
  })

  test.each<[string, [string, string][], string?]>([
    ['without a key', []],
    [
      'with two that differ',
      [
        ['Authorization', `Bearer ${key}`],
        ['X-Api-Key', other],
      ],
    ],
    [
      'with two that differ, the wrong one first',
      [
        ['Authorization', `Bearer ${other}`],
        ['X-Api-Key', key],
      ],
    ],
    [
      'with two Authorization fields',
      [
        ['Authorization', `Bearer ${key}`],
        ['Authorization', `Bearer ${key}`],
      ],
    ],
    [
      'with two X-Api-Key fields',
      [
        ['X-Api-Key', key],
        ['x-api-key', key],
      ],
    ],
    ['with another scheme', [['Authorization', `Basic ${key}`]]],
    [
      'with another scheme beside a good key',
      [
        ['Authorization', `Basic ${key}`],
        ['X-Api-Key', key],
      ],
    ],
    ['without a scheme', [['Authorization', key]]],
    ['with more behind the key', [['Authorization', `Bearer ${key} x`]]],
    ['with two keys in one field', [['Authorization', `Bearer ${key}, Bearer ${other}`]]],
    [
      'with an empty Authorization beside a good key',
      [
        ['Authorization', ''],
        ['X-Api-Key', key],
      ],
    ],
    ['with its key in the query', [], `/mcp?api_key=${key}&access_token=${key}`],
    ['with its key in a cookie', [['Cookie', `X-Api-Key=${key}`]]],
  ])('%s is refused', async (_how, headers, url = '/mcp') => {
    await expect((async () => authenticate(inboundOf({ headers, url })))()).rejects.toMatchObject(refused)
  })

  test('waits where the key has to be looked up, and is refused after it', async () => {
    const slow = authenticateKey({ check: async (text) => (text === key ? caller : undefined) })
    await expect(slow(inboundOf({ headers: [['X-Api-Key', key]] }))).resolves.toBe(caller)
    await expect(slow(inboundOf({ headers: [['X-Api-Key', other]] }))).rejects.toMatchObject(refused)
  })

  test('that is refused does not repeat what it carried', () => {
    try {
      presentedKey(
        inboundOf({
          headers: [
            ['X-Api-Key', key],
            ['X-Api-Key', key],
          ],
        }),
      )
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(GatewayError)
      expect(JSON.stringify([error, String(error)])).not.toContain(key)
    }
  })
})

describe('the targets of a caller', () => {
  const caller = (subject: string, targets?: unknown): Principal => ({
    tenant: 't',
    subject,
    client: 'c',
    scopes: new Set(),
    ...(targets === undefined ? {} : { claims: new Map([['targets', targets as string[]]]) }),
  })
  test.each<[string, Principal, readonly string[] | undefined]>([
    ['all for a key without', caller('key|1'), undefined],
    ['those of the key', caller('key|1', ['a', 'b']), ['a', 'b']],
    ['none for a key whose list is no list', caller('key|1', 'a'), []],
    ['none that are no names', caller('key|1', ['a', 1, null]), ['a']],
    ['all for who came with a token, whatever claims it has', caller('https://idp|key|1', ['a']), undefined],
  ])('are %s', (_what, principal, targets) => {
    expect(targetsOf(principal)).toEqual(targets)
  })
})
