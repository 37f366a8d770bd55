/** Quotas over real processes on one store, ended by `kill -9` at random moments: what they let through in all. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { limits } from '../../src/core/limits.ts'

let dir: string
const children: ChildProcess[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quota-'))
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(dir, { recursive: true, force: true })
})

const start = (limit: number): ChildProcess => {
  const args = [join(import.meta.dirname, 'quota-child.ts'), dir, String(limit)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  children.push(child)
  return child
}

/** Calls that ended, by all processes so far. */
const counted = (): number =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.ledger'))
    .reduce((sum, name) => sum + readFileSync(join(dir, name)).length, 0)

const reached = async (calls: number): Promise<void> => {
  while (counted() < calls) await new Promise((resolve) => setTimeout(resolve, 2))
}

const kill = async (child: ChildProcess): Promise<void> => {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

const ended = async (child: ChildProcess): Promise<unknown> => child.exitCode ?? (await once(child, 'exit'))[0]

test('one process after the other, each killed: exactly as many as the quota says', { timeout: 30_000 }, async () => {
  const limit = 20_000
  for (let run = 1; run <= 4; run++) {
    const child = start(limit)
    await reached(counted() + Math.floor(Math.random() * 1_500) + 1)
    await kill(child)
  }
  expect(await ended(start(limit))).toBe(0)
  expect(counted()).toBe(limit)
})

test('several at once, some killed: at most a lease each beyond it, and the last one gets the rest', {
  timeout: 30_000,
}, async () => {
  const limit = 20_000
  const lease = limit / limits.quotaLeaseParts
  const [first, second] = [start(limit), start(limit)]
  await reached(3_000)
  await kill(first)
  const third = start(limit)
  await reached(8_000)
  await kill(second)
  expect(await ended(third)).toBe(0)
  expect(counted()).toBeLessThanOrEqual(limit + 3 * lease)
  expect(await ended(start(limit))).toBe(0)
  expect(counted()).toBeLessThanOrEqual(limit + 3 * lease)
  expect(counted()).toBeGreaterThanOrEqual(limit - 3 * lease)
})
