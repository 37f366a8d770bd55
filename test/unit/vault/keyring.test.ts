/** Where the vault's keys come from: given ones exactly as they must be, own ones made once, newer ones noticed. */
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../../src/core/secret.ts'
import {
  addFolderKey,
  createKeyring,
  dropRetiredFolderKeys,
  folderKeyring,
  localKey,
} from '../../../src/vault/keyring.ts'
import { createVault } from '../../../src/vault/vault.ts'
import { newDir, newKey, place } from './support.ts'

const run = promisify(execFile)

describe('a key', () => {
  test('has a name that depends on the key alone', () => {
    const text = Buffer.alloc(32, 7).toString('base64')
    expect(localKey(new Secret(text)).id).toBe(localKey(new Secret(text)).id)
    expect(localKey(new Secret(text)).id).toMatch(/^[0-9a-f]{16}$/)
    expect(newKey().id).not.toBe(newKey().id)
  })

  test('unwraps what it wrapped, each time under another key made of it', async () => {
    const key = newKey()
    const dataKey = Buffer.alloc(32, 1)
    const wrapped = await Promise.all([key.wrap(dataKey), key.wrap(dataKey)])
    expect(await key.unwrap(wrapped[0] ?? dataKey)).toEqual(dataKey)
    expect(Buffer.from(wrapped[0] ?? []).equals(wrapped[1] ?? dataKey)).toBe(false)
    await expect(newKey().unwrap(wrapped[0] ?? dataKey)).rejects.toThrow()
    await expect(key.unwrap(Buffer.alloc(3))).rejects.toThrow()
  })

  test('is not to be seen on the ring', () => {
    const text = Buffer.alloc(32, 7).toString('base64')
    const ring = createKeyring(localKey(new Secret(text)))
    expect(JSON.stringify(ring.current())).not.toContain(text)
    expect(Object.keys(ring.current())).toEqual(['id', 'wrap', 'unwrap'])
  })
})

describe('the keys of a folder', () => {
  test('begin with one that is made on first use, for its owner alone', () => {
    const dir = join(newDir(), 'data')
    const first = folderKeyring(dir).current()
    expect(readdirSync(dir)).toEqual(['vault-key'])
    expect(statSync(join(dir, 'vault-key')).mode & 0o777).toBe(0o600)
    expect(folderKeyring(dir).current().id).toBe(first.id)
  })

  test('are current by their number, not by their name or age', () => {
    const dir = newDir()
    const keys = new Map<string, string>()
    for (const name of ['vault-key.10', 'vault-key.9', 'vault-key', 'vault-key.2']) {
      const text = Buffer.alloc(32, name).toString('base64')
      writeFileSync(join(dir, name), `${text}\n`)
      keys.set(name, localKey(new Secret(text)).id)
    }
    writeFileSync(join(dir, 'vault-key.old'), 'not a key')
    writeFileSync(join(dir, 'vault-key.0123456789012345'), 'half written')
    const ring = folderKeyring(dir)
    expect(ring.current().id).toBe(keys.get('vault-key.10'))
    for (const id of keys.values()) expect(ring.find(id)?.id).toBe(id)
  })

  test('that another process adds are noticed, for sealing and for opening', async () => {
    const dir = newDir()
    const [here, there] = [folderKeyring(dir), folderKeyring(dir)]
    const first = here.current().id
    addFolderKey(dir)
    expect(there.current().id).not.toBe(first)
    const sealed = await createVault(there).seal(place, 1, new Secret('x'))
    expect((await createVault(here).open(place, 1, sealed)).reveal()).toBe('x')
    expect(here.current().id).toBe(there.current().id)
    expect(here.find(first)?.id).toBe(first)
  })

  test('lose none when several processes add one at once', async () => {
    const dir = newDir()
    folderKeyring(dir)
    const script = `
      import { addFolderKey, folderKeyring } from ${JSON.stringify(join(import.meta.dirname, '../../../src/vault/keyring.ts'))}
      addFolderKey(process.argv[1])
      console.log(folderKeyring(process.argv[1]).current().id)`
    const used = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script, dir])
        return stdout.trim()
      }),
    )
    const ring = folderKeyring(dir)
    for (const id of used) expect(ring.find(id)?.id).toBe(id)
    expect(used).toContain(ring.current().id)
  })

  test('are dropped but for the current one, and numbers go on', async () => {
    const dir = newDir()
    folderKeyring(dir)
    addFolderKey(dir)
    addFolderKey(dir)
    const current = folderKeyring(dir).current().id
    expect(await dropRetiredFolderKeys(dir)).toBe(2)
    expect(readdirSync(dir)).toEqual(['vault-key.3'])
    expect(folderKeyring(dir).current().id).toBe(current)
    addFolderKey(dir)
    expect(readdirSync(dir).toSorted()).toEqual(['vault-key.3', 'vault-key.4'])
  })

  test('are served from memory when the folder goes away', async () => {
    const dir = newDir()
    const vault = createVault(folderKeyring(dir))
    const sealed = await vault.seal(place, 1, new Secret('x'))
    rmSync(dir, { recursive: true })
    expect((await vault.open(place, 1, sealed)).reveal()).toBe('x')
    expect((await vault.open(place, 2, await vault.seal(place, 2, new Secret('y')))).reveal()).toBe('y')
  })

  test('that cannot be read stop the start, with words', () => {
    const dir = newDir()
    mkdirSync(join(dir, 'vault-key'))
    expect(() => folderKeyring(dir)).toThrow(
      expect.objectContaining({ code: 'bad_config', message: 'A vault key’s file cannot be read.' }),
    )
  })
})
