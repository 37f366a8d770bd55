/** Parts that the tests of quotas share: a ledger, a clock, several processes on one store. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../../src/core/clock.ts'
import { GatewayError } from '../../../src/core/errors.ts'
import {
  createQuotas,
  type QuotaCall,
  type QuotaCaller,
  type QuotaPrices,
  type QuotaRule,
  type Quotas,
  type QuotasOptions,
  type QuotaWarning,
  type RecountQuestion,
  type Reservation,
  type SendWebhook,
} from '../../../src/meter/quota.ts'
import type { Records } from '../../../src/store/records.ts'
import { openRecords } from '../../../src/store/sqlite-records.ts'
import { type ManualClock, manualClock } from './parts.ts'

interface Entry {
  readonly at: number
  readonly caller: QuotaCaller
  readonly call: QuotaCall
  readonly units: number
  readonly cost: bigint
}

/** Calls that have ended, as a recount reads them. */
class Ledger {
  readonly entries: Entry[] = []
  asked = 0
  failure: Error | undefined

  readonly recount = async ({ from, to }: RecountQuestion) => {
    this.asked++
    if (this.failure !== undefined) throw this.failure
    return this.entries
      .filter(({ at }) => at >= from && at < to)
      .map(({ caller, call, units, cost }) => ({ ...caller, ...call, units, cost }))
  }

  sum(of: 'units' | 'cost', fits: (entry: Entry) => boolean): number {
    return this.entries.filter(fits).reduce((sum, entry) => sum + Number(entry[of]), 0)
  }
}

export const rule = (change: Partial<QuotaRule>): QuotaRule => ({
  ...{ name: 'q', per: 'day', unit: 'invocations', limit: 10n, each: undefined, warnAt: [], match: {} },
  ...change,
})

export const ann: QuotaCaller = { tenant: 'acme', subject: 'https://idp/a|ann' }
export const bob: QuotaCaller = { tenant: 'acme', subject: 'https://idp/a|bob' }
export const eve: QuotaCaller = { tenant: 'globex', subject: 'eve' }
export const getPet: QuotaCall = { meter: 'call', target: 'pets', tool: 'pets___get' }
export const listOrders: QuotaCall = { meter: 'call', target: 'orders', tool: 'orders___list' }

/** 1 unit of money a call. */
export const flat = (price = 1n): QuotaPrices => ({ volumeOf: () => undefined, priceOf: () => price })

export interface World {
  readonly dir: string
  readonly clock: ManualClock
  readonly ledger: Ledger
  readonly records: Records
  /** Pids of processes that run. */
  readonly alive: Set<number>
  /** Another process on the same store; `kill` ends it as `kill -9` does. */
  start(rules: readonly QuotaRule[], change?: Partial<QuotasOptions>): Replica
  close(): Promise<void>
}

export interface Replica {
  readonly quotas: Quotas
  readonly warnings: QuotaWarning[]
  readonly refused: string[]
  readonly faults: unknown[]
  /** One call from its beginning to its end in the ledger: `ok`, or the code of its refusal. */
  call(caller?: QuotaCaller, call?: QuotaCall, units?: number): Promise<string>
  calls(count: number, caller?: QuotaCaller, call?: QuotaCall): Promise<{ ok: number; refused: number }>
  /** Begins a call; what is given ends it. */
  begin(caller?: QuotaCaller, call?: QuotaCall): Promise<(units?: number) => void>
  kill(): void
  readonly isDead: boolean
}

export const openWorld = (start = Date.UTC(2026, 10, 24, 10)): World => {
  const dir = mkdtempSync(join(tmpdir(), 'quota-'))
  const clock = manualClock(start)
  const ledger = new Ledger()
  const alive = new Set<number>()
  const records = openRecords(join(dir, 'records.db'), clock)
  let pids = 100
  return {
    dir,
    clock,
    ledger,
    records,
    alive,
    start(rules, change = {}) {
      const pid = ++pids
      alive.add(pid)
      return startReplica(rules, pid, { clock, ledger, records, alive }, change)
    },
    async close() {
      await records.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

const startReplica = (
  rules: readonly QuotaRule[],
  pid: number,
  world: { clock: ManualClock; ledger: Ledger; records: Records; alive: Set<number> },
  change: Partial<QuotasOptions>,
): Replica => {
  const { clock, ledger, alive } = world
  const warnings: QuotaWarning[] = []
  const refused: string[] = []
  const faults: unknown[] = []
  const prices = change.prices ?? flat()
  let isDead = false
  // a killed process has no timers, and reaches no store
  const own: Clock = { ...clock, every: (ms, act) => clock.every(ms, () => void (isDead || act())) }
  const records = change.records ?? world.records
  const whileAlive = <T>(act: () => Promise<T>): Promise<T> => (isDead ? Promise.reject(new Error('killed')) : act())
  const quotas = createQuotas({
    clock: own,
    recount: ledger.recount,
    prices,
    currency: 'USD',
    hook: (): SendWebhook | undefined => undefined,
    onWarn: (warning) => warnings.push(warning),
    onRefuse: (quota) => refused.push(quota),
    onFault: (error) => faults.push(error),
    self: { machine: 'here', pid, lives: (other) => alive.has(other) },
    ...change,
    records: {
      ...records,
      get: (key) => whileAlive(() => records.get(key)),
      put: (...all) => whileAlive(() => records.put(...all)),
      delete: (...all) => whileAlive(() => records.delete(...all)),
    },
  })
  quotas.apply(rules)

  const begin = async (caller: QuotaCaller = ann, call: QuotaCall = getPet) => {
    const reservation: Reservation | undefined = await quotas.enter(caller, call)
    const at = clock.now()
    return (units = 1) => {
      if (isDead) return
      const before = ledger.sum('units', (entry) => entry.caller.tenant === caller.tenant)
      const price = prices.priceOf(call, at, BigInt(before))
      ledger.entries.push({ at, caller, call, units, cost: price * BigInt(units) })
      reservation?.settle(units)
    }
  }
  const one = async (caller?: QuotaCaller, call?: QuotaCall, units?: number): Promise<string> => {
    try {
      const end = await begin(caller, call)
      end(units)
      return 'ok'
    } catch (error) {
      if (error instanceof GatewayError) return error.code
      throw error
    }
  }
  return {
    quotas,
    warnings,
    refused,
    faults,
    begin,
    call: one,
    async calls(count, caller, call) {
      const answers = await Promise.all(Array.from({ length: count }, () => one(caller, call)))
      const ok = answers.filter((answer) => answer === 'ok').length
      return { ok, refused: answers.filter((answer) => answer === 'quota_exceeded').length }
    },
    get isDead() {
      return isDead
    },
    kill() {
      isDead = true
      alive.delete(pid)
    },
  }
}

/** Lets what a tick began come to its end: everything here is done in turns of the loop. */
export const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
