/** The vault under attack: rows V01 to V13 of the threat tables. */
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { inspect } from 'node:util'
import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { GatewayError } from '../../src/core/errors.ts'
import { Secret } from '../../src/core/secret.ts'
import type { Records } from '../../src/store/records.ts'
import { openRecords } from '../../src/store/sqlite-records.ts'
import { createKeyring, folderKeyring, localKey } from '../../src/vault/keyring.ts'
import { rotate } from '../../src/vault/rotate.ts'
import { createVault, type Place } from '../../src/vault/vault.ts'
import { newDir, newKey, newRecords, place, unreadable } from '../unit/vault/support.ts'

const canary = 'canary-4f1d9a-secret'
const vault = createVault(createKeyring(newKey()))
const sealed = await vault.seal(place, 1, new Secret(canary))
const bytes = Buffer.from(sealed.slice('tgv1.'.length), 'base64url')
const asText = (raw: Buffer): string => `tgv1.${raw.toString('base64url')}`

/** The error is the one and only, and nothing of the secret hangs on it. */
const refuses = async (attempt: Promise<unknown>): Promise<void> => {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(GatewayError)
  expect(error).toMatchObject(unreadable)
  expect(inspect(error, { depth: null, showHidden: true })).not.toContain(canary)
}

describe('a sealed text', () => {
  test('V01 does not open under another key', async () => {
    await refuses(createVault(createKeyring(newKey())).open(place, 1, sealed))
    await refuses(createVault(createKeyring({ ...newKey(), id: vault.keyOf(sealed) })).open(place, 1, sealed))
  })

  test('V02 does not open with any one bit flipped, wherever', async () => {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      await refuses(vault.open(place, 1, asText(flipped)))
    }
    expect((await vault.open(place, 1, asText(bytes))).reveal()).toBe(canary)
  })

  test('V02 does not open with any one bit of its text flipped, the version among them', async () => {
    const text = Buffer.from(sealed, 'latin1')
    for (let bit = 0; bit < text.length * 8; bit++) {
      const flipped = Buffer.from(text)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      await refuses(vault.open(place, 1, flipped.toString('latin1')))
    }
  })

  test('V03 does not open with its tag cut, and V04 with anything cut', async () => {
    for (let length = 0; length < bytes.length; length++)
      await refuses(vault.open(place, 1, asText(bytes.subarray(0, length))))
    for (const kept of [4, 8, 12])
      await refuses(vault.open(place, 1, asText(bytes.subarray(0, bytes.length - 16 + kept))))
  })

  test.each([
    ['empty', ''],
    ['only its beginning', 'tgv1.'],
    ['of another version', sealed.replace('tgv1.', 'tgv2.')],
    ['with something behind', `${sealed}A`],
    ['with the last character’s spare bits set', sealed.replace(/.$/, (last) => (last === 'A' ? 'B' : `${last}=`))],
    ['with white space', ` ${sealed}`],
    ['in the other base64', `tgv1.${bytes.toString('base64')}=`],
    ['with bytes behind', asText(Buffer.concat([bytes, Buffer.of(0)]))],
    ['of 64 MiB', `tgv1.${'A'.repeat(64 * 1024 * 1024)}`],
    ['of a key id that is not text', asText(Buffer.concat([Buffer.of(255), Buffer.alloc(400, 255)]))],
  ])('V04 does not open when it is %s', async (_what, text) => {
    await refuses(vault.open(place, 1, text))
    // wrapping anew looks at the key only: what it gives back opens no more than before
    await refuses(vault.rewrap(text).then((rewrapped) => vault.open(place, 1, rewrapped)))
  })

  test('V04 that is too long is not even decoded', async () => {
    const decoding = vi.spyOn(Buffer, 'from')
    await refuses(vault.open(place, 1, `tgv1.${'A'.repeat(1024 * 1024)}`))
    expect(decoding).not.toHaveBeenCalled()
    decoding.mockRestore()
  })

  const elsewhere: readonly [string, Place][] = [
    ['tenant', { ...place, tenant: 'evil' }],
    ['user', { ...place, principal: 'https://idp.test|eve' }],
    ['target', { ...place, name: 'gitlab' }],
    ['kind', { ...place, kind: 'secret' }],
    ['parts, the border between them moved', { ...place, tenant: `acme","${place.principal}`, principal: place.name }],
    ['parts, in another order', { ...place, tenant: place.principal, principal: place.tenant }],
  ]
  test.each(elsewhere)('V05 moved to another %s does not open', async (_what, other) => {
    await refuses(vault.open(other, 1, sealed))
  })

  test('V05 made of parts of two does not open', async () => {
    const other = await vault.seal(place, 1, new Secret('another of 20 chars.'))
    const otherBytes = Buffer.from(other.slice('tgv1.'.length), 'base64url')
    expect(otherBytes.length).toBe(bytes.length)
    for (let cut = 1; cut < bytes.length; cut++) {
      // before the cut they are the same: the key’s id
      if (bytes.subarray(0, cut).equals(otherBytes.subarray(0, cut))) continue
      const mixed = Buffer.concat([bytes.subarray(0, cut), otherBytes.subarray(cut)])
      if (mixed.equals(bytes) || mixed.equals(otherBytes)) continue
      await refuses(vault.open(place, 1, asText(mixed)))
    }
  })

  test('V06 of an older version put back does not open, and cannot be put back unseen', async () => {
    const newer = await vault.seal(place, 2, new Secret('newer'))
    await refuses(vault.open(place, 2, sealed))
    await refuses(vault.open(place, 1, newer))
    const records = newRecords()
    const first = (await records.put('connection/a', sealed, { expect: 'absent' })) ?? 0
    await records.put('connection/a', newer, { expect: first })
    expect(await records.put('connection/a', sealed, { expect: first })).toBeUndefined()
  })

  test('V07 opens under a retired key; under one that is gone it is an error, not absent', async () => {
    const [old, fresh] = [newKey(), newKey()]
    const text = await createVault(createKeyring(old)).seal(place, 1, new Secret(canary))
    expect((await createVault(createKeyring(fresh, [old])).open(place, 1, text)).reveal()).toBe(canary)
    await refuses(createVault(createKeyring(fresh)).open(place, 1, text))
  })
})

describe('the vault', () => {
  test('V08 opens both halves of a rotation that was killed, and ends it', async () => {
    const [old, fresh] = [newKey(), newKey()]
    const [before, both, after] = [[old], [fresh, old], [fresh]].map(([current = old, ...retired]) =>
      createVault(createKeyring(current, retired)),
    )
    const records = newRecords()
    const names = ['a', 'b', 'c', 'd']
    for (const name of names)
      await records.put(name, (await before?.seal({ ...place, name }, 1, new Secret(name))) ?? '', { expect: 'absent' })
    const dying: Records = {
      ...records,
      put: async (key, ...rest) => {
        if (key === 'c') throw new GatewayError('store_unavailable')
        return records.put(key, ...rest)
      },
    }
    const read = async (with_: typeof both) =>
      Promise.all(
        names.map(async (name) =>
          (await with_?.open({ ...place, name }, 1, (await records.get(name))?.value ?? ''))?.reveal(),
        ),
      )
    if (both === undefined) throw new Error('no vault')
    await expect(rotate(dying, both)).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await read(both)).toEqual(names)
    expect(await rotate(records, both)).toEqual({ resealed: 2, left: 0, unreadable: 0 })
    expect(await read(after)).toEqual(names)
  })

  const key = Buffer.alloc(32, 0xa5)
  test.each([
    ['31 bytes', key.subarray(1).toString('base64')],
    ['33 bytes', Buffer.concat([key, Buffer.of(1)]).toString('base64')],
    ['hexadecimal', key.toString('hex')],
    ['base64url', key.fill(0xff).toString('base64url')],
    ['without its padding', key.toString('base64').replace('=', '')],
    ['white space before', ` ${key.toString('base64')}`],
    ['white space behind', `${key.toString('base64')}\n`],
    ['white space within', key.toString('base64').replace(/^.{8}/, '$& ')],
    ['two of them', `${key.toString('base64')}${key.toString('base64')}`],
    ['a passphrase', 'correct horse battery staple'],
    ['empty', ''],
  ])('V09 does not start with a key of %s', (_what, text) => {
    const refused = expect.objectContaining({
      code: 'bad_config',
      message: expect.stringContaining('32 bytes in base64'),
    })
    expect(() => localKey(new Secret(text))).toThrow(refused)
    const dir = newDir()
    writeFileSync(join(dir, 'vault-key'), `${text}\n`)
    expect(() => folderKeyring(dir)).toThrow(refused)
    try {
      localKey(new Secret(text))
    } catch (error) {
      if (text !== '') expect(inspect(error, { depth: null, showHidden: true })).not.toContain(text)
    }
  })

  test('V10 uses no nonce, no salt and no data key twice', async () => {
    const seals = 5_000
    const head = 1 + vault.currentKey().length + 2
    const salts = new Set<string>()
    const wrapNonces = new Set<string>()
    const nonces = new Set<string>()
    const wrappedKeys = new Set<string>()
    for (let count = 0; count < seals; count++) {
      const raw = Buffer.from((await vault.seal(place, 1, new Secret('x'))).slice('tgv1.'.length), 'base64url')
      const part = (from: number, to: number): string => raw.toString('latin1', head + from, head + to)
      salts.add(part(0, 16))
      wrapNonces.add(part(16, 28))
      wrappedKeys.add(part(28, 76))
      nonces.add(part(76, 88))
    }
    expect([salts, wrapNonces, nonces, wrappedKeys].map(({ size }) => size)).toEqual([seals, seals, seals, seals])
  })

  test('V11 gives a secret that prints as nothing', async () => {
    const secret = await vault.open(place, 1, sealed)
    const error = new Error('failed', { cause: secret })
    const shown = [
      String(secret),
      JSON.stringify({ secret, list: [secret] }),
      inspect({ secret }, { depth: null, showHidden: true }),
      inspect(error, { depth: null, showHidden: true }),
      inspect(new Map([[secret, secret]])),
      JSON.stringify(Object.entries(secret)),
      inspect(vault, { depth: null, showHidden: true }),
    ].join('\n')
    expect(shown).toContain('[secret]')
    expect(shown).not.toContain(canary)
  })

  test('V12 leaves no secret and no key in the files of the database', async () => {
    const dir = newDir()
    const ring = folderKeyring(join(dir, 'keys'))
    const own = createVault(ring)
    const records = openRecords(join(dir, 'data', 'records.db'), systemClock)
    const seal = (version: number) => own.seal(place, version, new Secret(`${canary} ${version}`))
    let version = (await records.put('connection/a', await seal(1), { expect: 'absent' })) ?? 0
    for (let count = 2; count < 20; count++)
      version = (await records.put('connection/a', await seal(count), { expect: version })) ?? 0
    const keyText = readFileSync(join(dir, 'keys', 'vault-key'), 'utf8').trim()
    const needles = [canary, keyText].flatMap((text) => [
      text,
      Buffer.from(text).toString('base64').replace(/=+$/, ''),
      Buffer.from(text).toString('hex'),
    ])
    const search = (): void => {
      for (const name of readdirSync(join(dir, 'data'))) {
        const content = readFileSync(join(dir, 'data', name), 'latin1')
        for (const needle of [...needles, Buffer.from(keyText, 'base64').toString('latin1')])
          expect(content.includes(needle)).toBe(false)
      }
    }
    search()
    await records.close()
    search()
  })
})

describe('V13 the file of the records', () => {
  const made = async (): Promise<string> => {
    const file = join(newDir(), 'records.db')
    const records = openRecords(file, systemClock)
    for (let count = 0; count < 50; count++) await records.put(`k/${count}`, 'x'.repeat(2_000), { expect: 'absent' })
    await records.close()
    return file
  }
  const typed = { code: 'store_unavailable' }

  test('with a corrupt page is a typed error at its use', async () => {
    const file = await made()
    const content = readFileSync(file)
    content.fill(0xa5, 8 * 4_096)
    writeFileSync(file, content)
    const records = openRecords(file, systemClock)
    await expect(records.list('k/', { limit: 100 })).rejects.toMatchObject({
      ...typed,
      message: 'The database file is damaged.',
    })
    await records.close()
  })

  test.skipIf(process.getuid?.() === 0)('that is read-only is a typed error at the start', async () => {
    const file = await made()
    chmodSync(file, 0o400)
    expect(() => openRecords(file, systemClock)).toThrow(expect.objectContaining(typed))
  })

  test('that is locked is a typed error, reading goes on', async () => {
    const file = await made()
    let waited = 0
    const records = openRecords(file, { ...systemClock, monotonic: () => (waited += 60_000) })
    const other = new DatabaseSync(file)
    other.exec('BEGIN IMMEDIATE')
    await expect(records.delete('k/1')).rejects.toMatchObject({
      ...typed,
      message: 'The database is locked by another process.',
    })
    expect(await records.get('k/1')).toBeDefined()
    other.close()
    await records.close()
  })
})
