/** Sealing and opening: what goes in comes out, at its own place only, and key services behind the seam are heard. */
import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createKeyring, type KeyWrapper } from '../../../src/vault/keyring.ts'
import { createVault, sealedTexts } from '../../../src/vault/vault.ts'
import { newKey, place, unreadable } from './support.ts'

const vault = createVault(createKeyring(newKey()))

describe('a sealed secret', () => {
  test.each([
    ['a token', 'gho_16C7e42F292c6912E7710c838347Ae178B4a'],
    ['nothing', ''],
    ['beyond ASCII', 'pä$$ 𝒳 \u0000\n'],
    ['the longest', 's'.repeat(limits.sealedSecretBytes)],
  ])('%s opens as it was', async (_what, text) => {
    const sealed = await vault.seal(place, 7, new Secret(text))
    expect((await vault.open(place, 7, sealed)).reveal()).toBe(text)
  })

  test('is text that fits a record and that rotation finds', async () => {
    const sealed = await vault.seal(place, 1, new Secret('s'.repeat(limits.sealedSecretBytes)))
    expect(sealed).toMatch(/^tgv1\.[\w-]+$/)
    expect(sealed.length).toBeLessThan(limits.recordBytes)
    expect(JSON.stringify({ sealed, more: [sealed] }).match(sealedTexts)).toEqual([sealed, sealed])
    expect(JSON.stringify([await vault.seal(place, 1, new Secret(''))]).match(sealedTexts)).toHaveLength(1)
  })

  test.each([
    ['too long', 's'.repeat(limits.sealedSecretBytes + 1)],
    ['that would be mended', '\ud800'],
  ])('%s is refused', async (_what, text) => {
    await expect(vault.seal(place, 1, new Secret(text))).rejects.toMatchObject({ code: 'over_limit' })
  })

  test('names the key that it needs', async () => {
    const key = newKey()
    expect(
      createVault(createKeyring(key)).keyOf(await createVault(createKeyring(key)).seal(place, 1, new Secret('x'))),
    ).toBe(key.id)
    expect(createVault(createKeyring(key)).currentKey()).toBe(key.id)
    expect(() => vault.keyOf('tgv1.AAAA')).toThrow(expect.objectContaining(unreadable))
  })

  test('is never the same twice', async () => {
    const sealed = await Promise.all(Array.from({ length: 50 }, () => vault.seal(place, 1, new Secret('x'))))
    expect(new Set(sealed).size).toBe(50)
  })
})

describe('wrapping anew', () => {
  test('moves to the current key what an older one sealed, and opens where it did before', async () => {
    const [old, fresh] = [newKey(), newKey()]
    const sealed = await createVault(createKeyring(old)).seal(place, 3, new Secret('x'))
    const both = createVault(createKeyring(fresh, [old]))
    const rewrapped = await both.rewrap(sealed)
    expect(both.keyOf(rewrapped)).toBe(fresh.id)
    const only = createVault(createKeyring(fresh))
    expect((await only.open(place, 3, rewrapped)).reveal()).toBe('x')
    await expect(only.open(place, 4, rewrapped)).rejects.toMatchObject(unreadable)
    await expect(only.open({ ...place, name: 'gitlab' }, 3, rewrapped)).rejects.toMatchObject(unreadable)
    await expect(only.rewrap(sealed)).rejects.toMatchObject(unreadable)
  })
})

describe('a key service behind the seam', () => {
  /** Keeps its key to itself, as a service does: the vault sees handles only. */
  const service = (id: string): KeyWrapper & { forget(): void } => {
    let kept: Uint8Array[] = []
    return {
      id,
      wrap: async (dataKey) => Uint8Array.of(kept.push(Uint8Array.from(dataKey)) - 1),
      unwrap: async ([handle = 0]) => {
        const dataKey = kept[handle]
        if (dataKey === undefined) throw new Error('AccessDenied')
        return Uint8Array.from(dataKey)
      },
      forget: () => {
        kept = []
      },
    }
  }

  test('wraps and unwraps for the vault', async () => {
    const key = service('arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab')
    const vault = createVault(createKeyring(key))
    const sealed = await vault.seal(place, 1, new Secret('x'))
    expect(vault.keyOf(sealed)).toBe(key.id)
    expect((await vault.open(place, 1, sealed)).reveal()).toBe('x')
    key.forget()
    await expect(vault.open(place, 1, sealed)).rejects.toMatchObject(unreadable)
  })

  test('may say itself that it cannot be reached', async () => {
    const down = new GatewayError('store_unavailable', { words: 'The key service cannot be reached.' })
    const key: KeyWrapper = { ...service('kms'), unwrap: () => Promise.reject(down) }
    const vault = createVault(createKeyring(key))
    const sealed = await vault.seal(place, 1, new Secret('x'))
    await expect(vault.open(place, 1, sealed)).rejects.toBe(down)
    await expect(vault.rewrap(sealed)).rejects.toBe(down)
  })

  test.each(['', 'two words', 'ö', 'x'.repeat(201)])('is not taken with the id %j', async (id) => {
    await expect(createVault(createKeyring(service(id))).seal(place, 1, new Secret('x'))).rejects.toMatchObject({
      code: 'internal',
    })
  })
})
