/** Rotation: everything sealed comes under the current key, whatever happens meanwhile. */
import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { Records } from '../../../src/store/records.ts'
import { createKeyring } from '../../../src/vault/keyring.ts'
import { rotate } from '../../../src/vault/rotate.ts'
import { createVault, type Vault } from '../../../src/vault/vault.ts'
import { newKey, newRecords, place } from './support.ts'

const setUp = () => {
  const [old, fresh] = [newKey(), newKey()]
  return {
    old,
    fresh,
    before: createVault(createKeyring(old)),
    both: createVault(createKeyring(fresh, [old])),
    after: createVault(createKeyring(fresh)),
  }
}

const at = (name: string) => ({ ...place, name })

/** A record as a room might write it: several texts, more around them. */
const fill = async (records: Records, vault: Vault, count: number): Promise<void> => {
  for (let index = 0; index < count; index++) {
    const name = `c${index}`
    const access = await vault.seal(at(name), 1, new Secret(`access ${index}`))
    const refresh = await vault.seal(at(name), 2, new Secret(`refresh ${index}`))
    await records.put(`connection/${name}`, JSON.stringify({ name, tokens: { access, refresh } }), { expect: 'absent' })
  }
}

const readAll = async (records: Records, vault: Vault): Promise<string[]> => {
  const found: string[] = []
  for (const { value } of await records.list('connection/', { limit: 1_000 })) {
    const { name, tokens } = JSON.parse(value) as { name: string; tokens: { access: string; refresh: string } }
    found.push((await vault.open(at(name), 1, tokens.access)).reveal())
    found.push((await vault.open(at(name), 2, tokens.refresh)).reveal())
  }
  return found
}

describe('a rotation', () => {
  test('brings every sealed text of every record under the current key, and touches nothing else', async () => {
    const records = newRecords()
    const { before, both, after } = setUp()
    const count = limits.rotationPage + 5
    await fill(records, before, count)
    const plain = await records.put('key/abc', '{"name":"tgv1.no","more":1}', { expect: 'absent' })
    expect(await rotate(records, both)).toEqual({ resealed: count, left: 0, unreadable: 0 })
    expect(await readAll(records, after)).toHaveLength(2 * count)
    expect(await records.get('key/abc')).toEqual({ value: '{"name":"tgv1.no","more":1}', version: plain })
    const changes = await records.changes()
    expect(await rotate(records, after)).toEqual({ resealed: 0, left: 0, unreadable: 0 })
    expect(await records.changes()).toBe(changes)
  })

  test('keeps the moment at which a record ends', async () => {
    const records = newRecords()
    const { before, both } = setUp()
    const expiresAt = Date.now() + 1e9
    await records.put('token/a', await before.seal(place, 1, new Secret('x')), { expect: 'absent', expiresAt })
    await rotate(records, both)
    expect((await records.get('token/a'))?.expiresAt).toBe(expiresAt)
  })

  test('killed between any two writes leaves everything readable, and run again ends the work', async () => {
    const count = 6
    for (let writes = 0; writes < count; writes++) {
      const records = newRecords()
      const { before, both, after } = setUp()
      await fill(records, before, count)
      const all = await readAll(records, before)
      let done = 0
      const dying: Records = {
        ...records,
        put: async (...words) => {
          if (done++ === writes) throw new GatewayError('store_unavailable')
          return records.put(...words)
        },
      }
      await expect(rotate(dying, both)).rejects.toMatchObject({ code: 'store_unavailable' })
      expect(await readAll(records, both)).toEqual(all)
      expect(await rotate(records, both)).toEqual({ resealed: count - writes, left: 0, unreadable: 0 })
      expect(await readAll(records, after)).toEqual(all)
    }
  })

  test('loses nothing that is written meanwhile', async () => {
    const records = newRecords()
    const { before, both, after } = setUp()
    await fill(records, before, 2)
    let raced = false
    const racing: Records = {
      ...records,
      put: async (key, value, options) => {
        if (!raced) {
          raced = true
          // a refresh that got in between, still sealing under the older key
          const tokens = {
            access: await before.seal(at('c0'), 1, new Secret('newer access')),
            refresh: await before.seal(at('c0'), 2, new Secret('newer refresh')),
          }
          await records.put(key, JSON.stringify({ name: 'c0', tokens }), options)
        }
        return records.put(key, value, options)
      },
    }
    expect(await rotate(racing, both)).toEqual({ resealed: 2, left: 0, unreadable: 0 })
    expect(await readAll(records, after)).toEqual(['newer access', 'newer refresh', 'access 1', 'refresh 1'])
  })

  test('says what is left when a record never holds still, and passes over one that went away', async () => {
    const records = newRecords()
    const { before, both } = setUp()
    await fill(records, before, 2)
    const restless: Records = {
      ...records,
      put: async (key, value, options) => {
        if (key === 'connection/c1') await records.delete(key)
        return key === 'connection/c0' || key === 'connection/c1' ? undefined : records.put(key, value, options)
      },
    }
    expect(await rotate(restless, both)).toEqual({ resealed: 0, left: 1, unreadable: 0 })
  })

  test('leaves what no key opens as it is, counts it, and does the rest of the record', async () => {
    const records = newRecords()
    const { before, both, after } = setUp()
    const good = await before.seal(place, 1, new Secret('x'))
    const lost = await createVault(createKeyring(newKey())).seal(place, 1, new Secret('y'))
    await records.put('a', JSON.stringify([lost, good, good, 'tgv1.'.padEnd(60, 'A')]), { expect: 'absent' })
    expect(await rotate(records, both)).toEqual({ resealed: 1, left: 0, unreadable: 2 })
    const [still, one, two] = JSON.parse((await records.get('a'))?.value ?? '[]') as string[]
    expect(still).toBe(lost)
    for (const text of [one, two]) expect((await after.open(place, 1, text ?? '')).reveal()).toBe('x')
  })
})
