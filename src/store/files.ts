/** Small files that must be whole or not there: written beside their place, made durable, then renamed. */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { openSync, writeSync, fsyncSync, closeSync, linkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Secret } from '../core/secret.ts'

/** A directory for the gateway alone (mode 0700). */
export function privateDir(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}

/** Puts `bytes` at `path` so that a reader sees the old file or the new one, never a part. */
export async function replaceFile(path: string, bytes: Uint8Array | string, mode = 0o600): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  const beside = join(dirname(path), `.${randomBytes(8).toString('hex')}.tmp`)
  try {
    const file = await open(beside, 'wx', mode)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
}

export const removeFile = (path: string): Promise<void> => rm(path, { force: true })

/** The secret in a file of mode 0600, made on first use; two processes that start at once agree on one. */
export function secretFile(path: string, make: () => string): { secret: Secret; made: boolean } {
  if (existsSync(path)) return { secret: read(path), made: false }
  privateDir(dirname(path))
  const beside = `${path}.${randomBytes(8).toString('hex')}`
  const file = openSync(beside, 'wx', 0o600)
  try {
    writeSync(file, make())
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  try {
    linkSync(beside, path)
    return { secret: read(path), made: true }
  } catch (error) {
    if (!existsSync(path)) throw error
    return { secret: read(path), made: false }
  } finally {
    rmSync(beside, { force: true })
  }
}

const read = (path: string): Secret => new Secret(readFileSync(path, 'utf8').trim())

/** 32 random bytes in base64url: a token that nobody guesses. */
export const randomToken = (): string => randomBytes(32).toString('base64url')

/** 32 random bytes in base64: a key. */
export const randomKey = (): string => randomBytes(32).toString('base64')
