/** What `toolgate usage events` prints, and that a reader may go when it has seen enough. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { createMeter } from '../../src/meter/meter.ts'
import { spoolDir } from '../../src/meter/spool.ts'
import { calls } from './meter/parts.ts'

const program = resolve(import.meta.dirname, '../../bin/toolgate.mjs')
/** More than a pipe holds. */
const recorded = 2_000

let folder = ''
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'events-'))
  writeFileSync(join(folder, 'gateway.config.json'), '{ "dataDir": "data", "inbound": { "type": "none" } }')
  const dir = spoolDir(join(folder, 'data'))
  const meter = createMeter({ dir, durability: 'async', clock: systemClock, onFault: () => undefined })
  await calls(meter, recorded)
  await meter.close()
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const run = (read: (output: NodeJS.ReadableStream & { destroy(): void }) => void) => {
  const child = spawn(process.execPath, [program, 'usage', 'events'], { cwd: folder })
  let complaints = ''
  child.stderr.on('data', (part) => {
    complaints += String(part)
  })
  read(child.stdout)
  return once(child, 'close').then(([code]) => ({ code: Number(code), complaints }))
}

describe('usage events', () => {
  it('are told one a line', async () => {
    let text = ''
    const done = await run((output) => output.on('data', (part) => (text += String(part))))
    expect(done).toEqual({ code: 0, complaints: '' })
    const lines = text.trimEnd().split('\n')
    expect(lines).toHaveLength(recorded)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ outcome: 'ok', units: 1 })
  })

  it('end when their reader does, without a complaint', async () => {
    const done = await run((output) => output.once('data', () => output.destroy()))
    expect(done).toEqual({ code: 0, complaints: '' })
  })
})
