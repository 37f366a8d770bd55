/** An export and its receiver: down, slow, choosy, killed in between, two at once. Nothing is left out, repeats look alike. */
import { setImmediate as turn } from 'node:timers/promises'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { GatewayError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { Secret } from '../../../src/core/secret.ts'
import { cloudEvents } from '../../../src/meter/export/cloudevents.ts'
import type { Destination } from '../../../src/meter/export/destination.ts'
import type { EventItem } from '../../../src/meter/export/item.ts'
import type { Records } from '../../../src/store/records.ts'
import { type Recorded, type Recorder, startRecorder } from '../../support/recorder.ts'
import {
  event,
  ledger,
  type ListedLedger,
  recordsIn,
  type RestingClock,
  restingClock,
  roomTo,
  run,
  start,
  tempDir,
  toldLog,
  until,
} from './export-parts.ts'

let receiver: Recorder
let clock: RestingClock
let records: Records
let source: ListedLedger
let destination: Destination<EventItem>
/** Ids of events in the order in which the receiver took them. */
let took: string[]
/** How the receiver answers a request; 204 when it says nothing. */
let answers: (
  ids: readonly string[],
  request: Recorded,
) => { status: number; retryAfter?: string; text?: string } | undefined

const idsOf = (request: Recorded): string[] => {
  const events: { id: string }[] = JSON.parse(request.body.toString())
  return events.map(({ id }) => id)
}
const ids = (from = 0, to = source.events.length): string[] => source.events.slice(from, to).map(({ id }) => id)
const fill = (events: number): void => {
  for (let index = 0; index < events; index += 1) source.events.push(event(start + index))
}

const theToken = 'the-token-of-billing'

beforeEach(async () => {
  took = []
  answers = () => undefined
  receiver = await startRecorder()
  onTestFinished(() => receiver.close())
  receiver.answer = (request, response) => {
    const sent = idsOf(request)
    const answer = answers(sent, request)
    if (answer === undefined || answer.status < 300) took.push(...sent)
    response
      .writeHead(answer?.status ?? 204, answer?.retryAfter === undefined ? {} : { 'retry-after': answer.retryAfter })
      .end(answer?.text)
  }
  clock = restingClock(start + 1_000)
  records = recordsIn(tempDir(), clock)
  source = ledger()
  destination = cloudEvents(
    {
      url: `${receiver.origin}/api/v1/events`,
      headers: new Map(),
      token: new Secret(theToken),
      source: 'toolgate',
      type: 'toolgate.invocation',
      subject: 'tenant',
      batch: true,
    },
    roomTo(receiver.address, clock),
  )
})

const parts = () => ({ destination, source, clock, records })

describe('a receiver that takes everything', () => {
  it('gets all there is in order, and later what comes later', async () => {
    fill(limits.exportBatchItems * 2 + 7)
    const { sum, exporter } = run(parts())
    await until(clock, () => took.length === source.events.length)
    fill(3)
    await until(clock, () => took.length === source.events.length)
    expect(took).toEqual(ids())
    await exporter.close()
    expect(sum('sent')).toBe(took.length)
  })

  it('goes on behind the cursor after a restart, and begins anew at another destination', async () => {
    fill(5)
    const first = run(parts())
    await until(clock, () => took.length === 5)
    await first.exporter.close()
    fill(2)
    const second = run(parts())
    await until(clock, () => took.length === 7)
    await second.exporter.close()
    expect(took).toEqual(ids())
    run({ ...parts(), destination: { ...destination, place: 'elsewhere' } })
    await until(clock, () => took.length === 14)
    expect(took.slice(7)).toEqual(ids())
  })

  it('is told apart by position: nothing, then what is behind it', async () => {
    const { exporter } = run(parts())
    expect(await exporter.position()).toBeUndefined()
    fill(12)
    await until(clock, () => took.length === 12)
    await exporter.close()
    expect(await exporter.position()).toEqual({ segment: 's000001', offset: 2 })
  })
})

describe('a receiver that is down', () => {
  it.each([500, 503, 429, 408, 401, 403, 404, 302])(
    'with %i is waited for, and nothing is put aside',
    async (status) => {
      fill(4)
      let failures = 0
      answers = () => {
        failures += 1
        return failures <= 3 ? { status, text: 'not now' } : undefined
      }
      const log = toldLog()
      const { put } = run({ ...parts(), log })
      await until(clock, () => took.length === 4)
      expect(took).toEqual(ids())
      expect(put).toEqual([])
      expect(clock.waits.filter((ms) => ms <= 4 * limits.exportBackOffMs).slice(0, 3)).toEqual([1_000, 2_000, 4_000])
      await until(clock, () => log.told.length === 2)
      expect(log.told.map(({ message }) => message)).toEqual(['an export waits', 'an export goes on'])
    },
  )

  it('cannot be reached at all: the wait grows to its bound', async () => {
    fill(1)
    const { address } = receiver
    await receiver.close()
    run(parts())
    await until(clock, () => clock.waits.length === 12)
    expect(clock.waits.slice(0, 3)).toEqual([1_000, 2_000, 4_000])
    expect(clock.waits.at(-1)).toBe(limits.exportBackOffMsMax)
    expect(address).toContain('127.0.0.1')
  })

  it.each([
    ['7', 7_000],
    ['0', limits.exportBackOffMs],
    ['99999999', limits.exportRetryAfterMsMax],
    [new Date(start + 91_000).toUTCString(), 90_000],
    ['soon', limits.exportBackOffMs],
  ])('and says Retry-After: %s is come back to then', async (retryAfter, ms) => {
    fill(1)
    let asked = 0
    answers = () => {
      asked += 1
      return asked === 1 ? { status: 503, retryAfter } : undefined
    }
    run(parts())
    await until(clock, () => took.length === 1)
    expect(clock.waits[0]).toBe(ms)
  })

  it('makes the lag grow, which is told once', async () => {
    fill(1)
    answers = () => ({ status: 500 })
    const log = toldLog()
    const { progress } = run({ ...parts(), log })
    await until(clock, () => receiver.requests.length === 25)
    const lags = progress.map(({ lagMs }) => lagMs)
    expect(lags).toEqual(lags.toSorted((one, other) => one - other))
    expect(lags.at(-1)).toBeGreaterThan(limits.exportLagMs)
    expect(log.told.filter(({ message }) => message === 'an export is late')).toHaveLength(1)
  })
})

describe('a receiver that refuses', () => {
  it.each([400, 422])(
    'one event with %i gets all others, in order, and that one is put aside with the reason',
    async (status) => {
      fill(40)
      const [bad = ''] = ids(17)
      answers = (sent) => (sent.includes(bad) ? { status, text: `no such meter; you said ${theToken}` } : undefined)
      const log = toldLog()
      const { put, sum, exporter } = run({ ...parts(), log })
      await until(clock, () => took.length === 39)
      await exporter.close()
      expect(took).toEqual(ids().filter((id) => id !== bad))
      expect(put.map((line) => JSON.parse(line))).toEqual([
        {
          at: new Date(clock.now()).toISOString(),
          reason: expect.stringContaining('no such meter; you said [secret]'),
          key: bad,
          event: source.events[17],
        },
      ])
      expect([sum('sent'), sum('refused')]).toEqual([39, 1])
      expect(JSON.stringify([log.told, put])).not.toContain(theToken)
    },
  )

  it('batches over ten events gets smaller ones from then on', async () => {
    fill(100)
    answers = (sent) => (sent.length > 10 ? { status: 413 } : undefined)
    const { put } = run(parts())
    await until(clock, () => took.length === 100)
    expect(took).toEqual(ids())
    expect(put).toEqual([])
    const sizes = receiver.requests.map((request) => idsOf(request).length)
    expect(sizes.slice(0, 5)).toEqual([100, 50, 25, 13, 7])
    expect(new Set(sizes.slice(4, -1))).toEqual(new Set([7]))
  })

  it('so much that its file is full is waited for', async () => {
    fill(3)
    answers = () => ({ status: 400 })
    let room = 1
    const { put } = run({
      ...parts(),
      aside: () => {
        room -= 1
        return room >= 0
      },
    })
    await until(clock, () => clock.waits.length === 5)
    expect(put).toHaveLength(1)
    room = 2
    await until(clock, () => put.length === 3)
    expect(put.map((line) => JSON.parse(line).key)).toEqual(ids())
  })
})

/** Records whose `n`th write fails, as in a process that is killed before it. */
const failingPut = (fails: (write: number) => boolean): Records => {
  let writes = 0
  return {
    ...records,
    put: async (...args) => {
      writes += 1
      if (fails(writes)) throw new GatewayError('store_unavailable')
      return records.put(...args)
    },
  }
}

describe('killed between two steps', () => {
  it.each([1, 2, 3, 4, 5, 6])(
    'at write %i of its cursor, it repeats with equal keys and leaves no gap',
    async (dies) => {
      fill(limits.exportBatchItems + 20)
      const first = run({ ...parts(), records: failingPut((write) => write === dies) })
      await until(clock, () => clock.waits.length > 0)
      await first.exporter.close()
      // what comes in between must not slip into the batch that is repeated
      fill(10)
      run(parts())
      await until(clock, () => new Set(took).size === source.events.length)
      expect([...new Set(took)]).toEqual(ids())
      const bodies = new Map<unknown, string>()
      for (const { headers, body } of receiver.requests) {
        const key = headers['idempotency-key']
        expect(bodies.get(key) ?? body.toString()).toBe(body.toString())
        bodies.set(key, body.toString())
      }
      const sizes = receiver.requests.map((request) => idsOf(request).length)
      const most = limits.exportBatchItems
      expect(new Set(sizes)).toEqual(new Set(dies >= 5 ? [most, 20, 10] : [most, 30]))
      // a write that fails right behind a send is the one that makes for a repeat
      expect(took.length - new Set(took).size).toBe(dies % 3 === 2 ? (dies === 2 ? limits.exportBatchItems : 20) : 0)
    },
  )

  it('over and over, it still gets everything there', async () => {
    fill(300)
    let writes = 0
    run({
      ...parts(),
      records: failingPut(() => {
        writes += 1
        return writes % 2 === 0
      }),
      destination: { ...destination, itemsMax: 50 },
    })
    await until(clock, () => new Set(took).size === 300)
    expect([...new Set(took)]).toEqual(ids())
  })
})

describe('two exporters at once', () => {
  it('send everything once: the lease is one’s', async () => {
    fill(30)
    const pair = ['one', 'two'].map((owner) => run({ ...parts(), owner }))
    await until(clock, () => took.length >= 30, 2)
    fill(30)
    await until(clock, () => took.length >= 60, 2)
    expect(took).toEqual(ids())
    await Promise.all(pair.map(({ exporter }) => exporter.close()))
    expect(pair.map(({ sum }) => sum('sent')).toSorted((one, other) => one - other)).toEqual([0, 60])
  })

  it('take over from each other: at once from one that closes, after the lease from one that is gone', async () => {
    fill(10)
    const first = run({ ...parts(), owner: 'one' })
    await until(clock, () => took.length === 10)
    await first.exporter.close()
    const second = run({ ...parts(), owner: 'two' })
    fill(10)
    await until(clock, () => took.length === 20)
    await second.exporter.close()
    const gone = await records.list('export/', { limit: 1 })
    expect(await records.lease(gone[0]?.key ?? '', 'gone', limits.exportLeaseMs)).toBeDefined()
    const before = clock.now()
    fill(1)
    run({ ...parts(), owner: 'three' })
    await until(clock, () => took.length === 21)
    expect(clock.now() - before).toBeGreaterThanOrEqual(limits.exportLeaseMs)
    expect(took).toEqual(ids())
  })

  it('one whose lease ran out while it sent does not move the other’s cursor', async () => {
    fill(10)
    let stolen = false
    const log = toldLog()
    const thief: Destination<EventItem> = {
      ...destination,
      async send(batch) {
        const verdict = await destination.send(batch)
        if (!stolen) {
          stolen = true
          const [row] = await records.list('export/', { limit: 1 })
          if (row !== undefined) await records.put(row.key, row.value, { expect: row.version })
        }
        return verdict
      },
    }
    run({ ...parts(), destination: thief, log })
    await until(clock, () => took.length === 20)
    expect(took).toEqual([...ids(), ...ids()])
    expect(receiver.requests[0]?.headers['idempotency-key']).toBe(receiver.requests[1]?.headers['idempotency-key'])
    expect(log.told).toEqual([])
  })
})

describe('a close', () => {
  it('waits for the batch under way, and keeps what came of it', async () => {
    fill(3)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const { exporter } = run({
      ...parts(),
      destination: {
        ...destination,
        async send(batch) {
          const verdict = await destination.send(batch)
          await held
          return verdict
        },
      },
    })
    while (took.length < 3) await turn()
    const closing = exporter.close()
    release()
    await closing
    run(parts())
    fill(1)
    await until(clock, () => took.length === 4)
    expect(took).toEqual(ids())
  })

  it('gives up on a receiver that does not answer, and the next start sends it again', async () => {
    fill(2)
    const { answer } = receiver
    receiver.answer = () => undefined
    const { exporter } = run(parts())
    while (receiver.requests.length < 1) await turn()
    const closing = exporter.close()
    await until(clock, () => clock.waits.includes(limits.exportCloseMs))
    clock.next()
    await closing
    receiver.answer = answer
    run(parts())
    await until(clock, () => took.length === 2)
    expect(took).toEqual(ids())
  })
})

it('a record that is damaged stops the export and says so: to begin anew would bill twice', async () => {
  fill(1)
  const first = run(parts())
  await until(clock, () => took.length === 1)
  await first.exporter.close()
  const [row] = await records.list('export/', { limit: 1 })
  await records.put(row?.key ?? '', '{"sequence":-1}', { expect: row?.version ?? 'absent' })
  const log = toldLog()
  run({ ...parts(), log })
  await until(clock, () => log.told.length > 0)
  expect(log.told).toMatchObject([{ level: 'warn', fields: { error: { code: 'internal' } } }])
  expect(took).toHaveLength(1)
})
