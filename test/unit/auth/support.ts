/** What tests of callers' keys share: a clock that is turned by hand, records, a vault, and requests. */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import type { Inbound } from '../../../src/auth/authenticate.ts'
import { createKeys, type Keys } from '../../../src/auth/keys.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { Records } from '../../../src/store/records.ts'
import { openRecords } from '../../../src/store/sqlite-records.ts'
import { createKeyring, localKey } from '../../../src/vault/keyring.ts'
import { createVault } from '../../../src/vault/vault.ts'

export interface HandClock extends Clock {
  /** Moves both scales on. */
  pass(ms: number): void
  /** Runs what was asked to run every so often. */
  tick(): void
}

export function handClock(): HandClock {
  let passed = 0
  const acts: (() => void)[] = []
  const start = Date.UTC(2026, 10, 24, 12)
  return {
    ...systemClock,
    now: () => start + passed,
    monotonic: () => passed,
    every: (_ms, act) => {
      acts.push(act)
      return () => undefined
    },
    pass: (ms) => {
      passed += ms
    },
    tick: () => {
      for (const act of acts) act()
    },
  }
}

const left: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const clean of left.splice(0).toReversed()) await clean()
})

export interface Replica {
  readonly keys: Keys
  readonly records: Records
  /** How often records were asked for anything. */
  readonly asked: () => number
}

/** Gateways on one database and one vault key, each as a process of its own would be. */
export function newReplicas(clock: Clock, count: number): Replica[] {
  const dir = mkdtempSync(join(tmpdir(), 'keys-'))
  left.push(() => rmSync(dir, { recursive: true, force: true }))
  const vault = createVault(createKeyring(localKey(new Secret(randomBytes(32).toString('base64')))))
  return Array.from({ length: count }, () => {
    const records = openRecords(join(dir, 'records.db'), clock)
    left.push(() => records.close())
    let asked = 0
    const counted = new Proxy(records, {
      get(target, name, receiver) {
        asked++
        return Reflect.get(target, name, receiver)
      },
    })
    return { keys: createKeys({ records: counted, vault, clock }), records, asked: () => asked }
  })
}

export function newReplica(clock: Clock): Replica {
  const [replica] = newReplicas(clock, 1)
  if (replica === undefined) throw new Error('no replica')
  return replica
}

/** Fields of which Node keeps the first when they come twice; the others are joined (`message.headers`). */
const keptOnce = new Set(['authorization', 'content-type', 'host', 'user-agent'])

/** A request as the listener hands it over; a header given twice came twice. */
export function inboundOf(parts: {
  readonly method?: string
  readonly url?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string | Buffer
}): Inbound {
  const { method = 'POST', url = '/mcp', headers = [], body = '' } = parts
  const valuesOf = (name: string) => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value)
  return {
    method,
    url,
    header: (name) => {
      const values = valuesOf(name)
      return keptOnce.has(name) || values.length === 0 ? values[0] : values.join(', ')
    },
    times: (name) => valuesOf(name).length,
    names: () => [...new Set(headers.map(([key]) => key.toLowerCase()))],
    body: async () => Buffer.from(body),
  }
}

type Bytes = string | ArrayBuffer | ArrayBufferView

const toBytes = (data: Bytes): string | Uint8Array => {
  if (typeof data === 'string') return data
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data)
}

/** SHA-256 and its HMAC, as AWS's own signer wants them. */
export class Sha256 {
  readonly #hash
  constructor(key?: Bytes) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', toBytes(key))
  }
  update(data: Bytes): void {
    this.#hash.update(toBytes(data))
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
  reset(): void {
    throw new Error('not used again')
  }
}
