/** What `toolgate usage verify` prints, and its exit status. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { usageVerify } from '../../src/cli/usage-verify.ts'
import { systemClock } from '../../src/core/clock.ts'
import { createMeter } from '../../src/meter/meter.ts'
import { spoolDir } from '../../src/meter/spool.ts'
import { calls } from './meter/parts.ts'

let folder = ''
let config = ''
let printed = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'verify-'))
  config = join(folder, 'gateway.config.json')
  writeFileSync(config, '{ "dataDir": "data", "inbound": { "type": "none" } }')
  printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += String(text)
    return true
  })
})
afterEach(() => {
  vi.restoreAllMocks()
  process.exitCode = undefined
  rmSync(folder, { recursive: true, force: true })
})

const dir = () => spoolDir(join(folder, 'data'))
const record = async () => {
  const meter = createMeter({ dir: dir(), durability: 'async', clock: systemClock, onFault: () => undefined })
  await calls(meter, 3)
  await meter.close()
}

describe('usage verify', () => {
  it('says that all is right, and a head that is taken again later', async () => {
    await record()
    await usageVerify({ config })
    expect(printed).toMatch(/^Nothing was altered or removed\. 3 events in 1 segment\.\nhead {2}[0-9a-f]{64}\n$/)
    const head = printed.slice(-65, -1)
    await record()
    printed = ''
    await usageVerify({ config, head, json: true })
    expect(JSON.parse(printed)).toMatchObject({ ok: true, segments: 2, events: 6, faults: [] })
    expect(process.exitCode).toBeUndefined()
  })

  it('names what was altered and exits with 1', async () => {
    await record()
    await usageVerify({ config })
    const [name = ''] = readdirSync(dir())
    const path = join(dir(), name)
    writeFileSync(path, readFileSync(path, 'utf8').replace('"bytesOut":20', '"bytesOut":2'))
    printed = ''
    await usageVerify({ config })
    const [fault, verdict] = printed.split('\n')
    expect(fault).toMatch(new RegExp(`^altered {2}${name}, line \\d+, byte \\d+: Line \\d+ was altered\\.$`))
    expect(verdict).toBe('The ledger is not what was written. 3 events in 1 segment.')
    expect(process.exitCode).toBe(1)
  })

  it('says when history does not lead to the head that was kept', async () => {
    await record()
    await usageVerify({ config, head: 'f'.repeat(64) })
    expect(printed).toMatch(/^head_unknown {2}The chain in the database does not lead to the head/)
    expect(process.exitCode).toBe(1)
  })

  it.each(['', 'abc', 'F'.repeat(64)])('takes no head such as %j', async (head) => {
    await expect(usageVerify({ config, head })).rejects.toMatchObject({ code: 'invalid_params' })
  })
})
