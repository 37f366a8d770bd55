/** What each kind of export sends, to the byte, and how it reads the answers that are its receiver’s own. */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { Secret } from '../../../src/core/secret.ts'
import { cloudEventHours, cloudEvents, type CloudEventsOptions } from '../../../src/meter/export/cloudevents.ts'
import { otlp } from '../../../src/meter/export/otlp.ts'
import type { LedgerEvent } from '../../../src/meter/export/source.ts'
import { stripe, type StripeOptions } from '../../../src/meter/export/stripe.ts'
import { json, type Recorder, startRecorder } from '../../support/recorder.ts'
import {
  event,
  hour,
  ledger,
  recordsIn,
  type RestingClock,
  restingClock,
  roomTo,
  run,
  type Running,
  start,
  tempDir,
  toldLog,
  until,
} from './export-parts.ts'

let receiver: Recorder
let clock: RestingClock

beforeEach(async () => {
  receiver = await startRecorder()
  onTestFinished(() => receiver.close())
  clock = restingClock(start + 1.5 * hour)
})

const id = (last: number): string => `01940000-0000-7000-8000-00000000000${last}`
const usual = (last: number, facts: Partial<LedgerEvent> = {}): LedgerEvent =>
  event(start + last * 60_000, { id: id(last), ...facts })

const options = (): CloudEventsOptions => ({
  url: `${receiver.origin}/api/v1/events?stream=1`,
  headers: new Map<string, string | Secret>([
    ['X-Plan', 'gold'],
    ['X-Key', new Secret('s3cret')],
  ]),
  token: new Secret('t0ken'),
  source: 'https://tools.example.com',
  type: 'toolgate.invocation',
  subject: 'tenant',
  batch: true,
})

const received = async (count: number): Promise<void> => until(clock, () => receiver.requests.length >= count)

describe('CloudEvents', () => {
  it('are one structured batch', async () => {
    const { status: _status, ...silent } = usual(2, { outcome: 'failed', units: 0, snapshot: 7, trace: '4bf9' })
    const source = ledger([usual(1), silent])
    run({
      destination: cloudEvents(options(), roomTo(receiver.address, clock)),
      source,
      clock,
      records: recordsIn(tempDir(), clock),
    })
    await received(1)
    const [request] = receiver.requests
    expect(request).toMatchObject({
      method: 'POST',
      url: '/api/v1/events?stream=1',
      headers: {
        'content-type': 'application/cloudevents-batch+json',
        authorization: 'Bearer t0ken',
        'x-plan': 'gold',
        'x-key': 's3cret',
        'idempotency-key': expect.stringMatching(/^[0-9a-f]{32}$/),
      },
    })
    expect(request?.body.toString()).toBe(
      `[{"specversion":"1.0","id":"${id(1)}","source":"https://tools.example.com","type":"toolgate.invocation",` +
        `"subject":"acme","time":"2026-11-24T10:01:00.000Z","datacontenttype":"application/json",` +
        `"data":{"tenant":"acme","subject":"ann","client":"desk","target":"pets","tool":"pets___get","meter":"call",` +
        `"outcome":"ok","units":1,"status":200,"ms":12,"waitMs":9,"bytesIn":20,"bytesOut":300}},` +
        `{"specversion":"1.0","id":"${id(2)}","source":"https://tools.example.com","type":"toolgate.invocation",` +
        `"subject":"acme","time":"2026-11-24T10:02:00.000Z","datacontenttype":"application/json",` +
        `"data":{"tenant":"acme","subject":"ann","client":"desk","target":"pets","tool":"pets___get","meter":"call",` +
        `"outcome":"failed","units":0,"ms":12,"waitMs":9,"bytesIn":20,"bytesOut":300,"snapshot":7,"trace":"4bf9"}}]`,
    )
  })

  it('go one by one, under the event’s own key, by the caller, where so configured', async () => {
    const destination = cloudEvents(
      { ...options(), batch: false, subject: 'principal' },
      roomTo(receiver.address, clock),
    )
    run({ destination, source: ledger([usual(1), usual(2)]), clock, records: recordsIn(tempDir(), clock) })
    await received(2)
    expect(receiver.requests.map(({ headers }) => [headers['content-type'], headers['idempotency-key']])).toEqual([
      ['application/cloudevents+json', id(1)],
      ['application/cloudevents+json', id(2)],
    ])
    expect(JSON.parse(receiver.requests[0]?.body.toString() ?? '')).toMatchObject({ id: id(1), subject: 'acme/ann' })
  })

  it('of hours are sums by tenant, caller, target, tool, meter and outcome', async () => {
    const source = ledger([
      usual(1),
      usual(2, { outcome: 'target_error', status: 500 }),
      usual(3, { ms: 1, waitMs: 0, bytesIn: 5, bytesOut: 7 }),
    ])
    const destination = cloudEventHours({ ...options(), type: 'toolgate.hour' }, roomTo(receiver.address, clock))
    run({ destination, source, clock, records: recordsIn(tempDir(), clock) })
    await received(1)
    const names = { tenant: 'acme', subject: 'ann', target: 'pets', tool: 'pets___get', meter: 'call' }
    const common = { type: 'toolgate.hour', subject: 'acme', time: '2026-11-24T10:00:00.000Z' }
    expect(JSON.parse(receiver.requests[0]?.body.toString() ?? '')).toMatchObject([
      {
        ...common,
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        data: { ...names, outcome: 'ok', events: 2, units: 2, ms: 13, waitMs: 9, bytesIn: 25, bytesOut: 307 },
      },
      { ...common, data: { ...names, outcome: 'target_error', events: 1, units: 1 } },
    ])
  })

  it('stay below the bound of a batch in bytes', async () => {
    const tool = 'x'.repeat(4_000)
    const source = ledger(Array.from({ length: 300 }, (_, index) => event(start + index, { tool })))
    const destination = cloudEvents(options(), roomTo(receiver.address, clock))
    const { sum } = run({ destination, source, clock, records: recordsIn(tempDir(), clock) })
    await until(clock, () => sum('sent') === 300)
    const sizes = receiver.requests.map(({ body }) => body.length)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(limits.exportBatchBytes + 1)
    expect(sizes).toHaveLength(3)
  })

  it('go nowhere that the operator does not list', async () => {
    const log = toldLog()
    const destination = cloudEvents(options(), roomTo('127.0.0.1:1', clock))
    run({ destination, source: ledger([usual(1)]), clock, records: recordsIn(tempDir(), clock), log })
    await until(clock, () => log.told.some(({ message }) => message === 'an export waits'))
    expect(JSON.stringify(log.told)).toContain('egress_refused')
    expect(receiver.requests).toEqual([])
  })
})

describe('Stripe', () => {
  const stripeOptions = (): StripeOptions => ({
    apiKey: new Secret('sk_test_1'),
    customers: new Map([
      ['acme', 'cus_A'],
      ['beta', 'cus_B'],
    ]),
    eventNames: { call: 'toolgate_call', search: 'tool_search', list: 'toolgate_list' },
    server: `${receiver.origin}/`,
  })
  const begin = (events: LedgerEvent[], log = toldLog()): Running =>
    run({
      destination: stripe(stripeOptions(), roomTo(receiver.address, clock)),
      source: ledger(events),
      clock,
      records: recordsIn(tempDir(), clock),
      log,
    })
  const bodies = (): string[] => receiver.requests.map(({ body }) => body.toString())

  it('gets a meter event for each hour, tenant and meter, whose value is the units', async () => {
    const { sum } = begin([
      usual(1),
      usual(2, { units: 0, outcome: 'unknown' }),
      usual(3, { tool: 'other' }),
      usual(4, { meter: 'search' }),
      usual(5, { tenant: 'beta', units: 3 }),
      usual(6, { tenant: 'free', units: 0 }),
      event(start + hour, { tenant: 'beta' }),
    ])
    await until(clock, () => sum('sent') === 4)
    const at = start / 1000
    const known = bodies().map((body) => body.replace(/identifier=[0-9a-f]{32}/, 'identifier=KEY'))
    expect(known).toEqual([
      `event_name=toolgate_call&identifier=KEY&timestamp=${at}&payload%5Bstripe_customer_id%5D=cus_A&payload%5Bvalue%5D=2`,
      `event_name=tool_search&identifier=KEY&timestamp=${at}&payload%5Bstripe_customer_id%5D=cus_A&payload%5Bvalue%5D=1`,
      `event_name=toolgate_call&identifier=KEY&timestamp=${at}&payload%5Bstripe_customer_id%5D=cus_B&payload%5Bvalue%5D=3`,
      `event_name=toolgate_call&identifier=KEY&timestamp=${at + 3600}&payload%5Bstripe_customer_id%5D=cus_B&payload%5Bvalue%5D=1`,
    ])
    for (const { method, url, headers, body } of receiver.requests) {
      expect([method, url, headers.authorization]).toEqual(['POST', '/v1/billing/meter_events', 'Bearer sk_test_1'])
      expect(headers['content-type']).toBe('application/x-www-form-urlencoded')
      expect(new URLSearchParams(body.toString()).get('identifier')).toBe(headers['idempotency-key'])
    }
    expect(new Set(receiver.requests.map(({ headers }) => headers['idempotency-key'])).size).toBe(4)
  })

  it('gets nothing for tenants without a customer, which are counted and told', async () => {
    const log = toldLog()
    const { sum, put } = begin([usual(1, { tenant: 'zeta' }), usual(2), usual(3, { tenant: 'eta' })], log)
    await until(clock, () => sum('sent') === 1 && log.told.some(({ level }) => level === 'warn'))
    expect(sum('unassigned')).toBe(2)
    expect(log.told.find(({ level }) => level === 'warn')?.fields).toEqual({
      export: 'billing',
      tenants: 2,
      first: ['eta', 'zeta'],
    })
    expect(bodies()).toHaveLength(1)
    expect(put).toEqual([])
  })

  it.each([
    { error: { type: 'invalid_request_error', message: 'An event already exists with identifier 1234.' } },
    { error: { code: 'duplicate_meter_event', message: 'A meter event with this identifier was submitted.' } },
  ])('that has an identifier already has taken it: %j', async (answer) => {
    receiver.answer = json(answer, 400)
    const { sum, put } = begin([usual(1)])
    await until(clock, () => sum('sent') === 1)
    expect(put).toEqual([])
  })

  it('that refuses a customer has it put aside', async () => {
    receiver.answer = json({ error: { message: 'No such customer: cus_A' } }, 400)
    const { sum, put } = begin([usual(1)])
    await until(clock, () => sum('refused') === 1)
    expect(JSON.parse(put[0] ?? '')).toMatchObject({
      reason: '400 Bad Request {"error":{"message":"No such customer: cus_A"}}',
      sum: { hour: start, of: { tenant: 'acme', meter: 'call' }, events: 1, units: 1 },
    })
  })

  it('that gives an old failure back for its key gets another key, and the same identifier', async () => {
    receiver.answer = (_request, response) => {
      const asked = receiver.requests.length
      const replayed = asked === 2 || asked === 3
      response.writeHead(asked <= 3 ? 500 : 200, replayed ? { 'idempotent-replayed': 'true' } : {}).end()
    }
    const { sum } = begin([usual(1)])
    await until(clock, () => sum('sent') === 1)
    const keys = receiver.requests.map(({ headers }) => String(headers['idempotency-key']))
    const [key = ''] = keys
    expect(keys).toEqual([key, key, `${key}-1`, `${key}-2`])
    expect(new Set(bodies()).size).toBe(1)
  })

  it('that is at it with the same key is waited for', async () => {
    receiver.answer = (_request, response) => {
      response.writeHead(receiver.requests.length === 1 ? 409 : 200).end('{}')
    }
    const { sum, put } = begin([usual(1)])
    await until(clock, () => sum('sent') === 1)
    expect(put).toEqual([])
  })
})

describe('OTLP', () => {
  const begin = (events: LedgerEvent[], log = toldLog()): Running =>
    run({
      destination: otlp(
        { url: `${receiver.origin}/v1/metrics`, headers: new Map([['x-scope-orgid', new Secret('org')]]) },
        roomTo(receiver.address, clock),
      ),
      source: ledger(events),
      clock,
      records: recordsIn(tempDir(), clock),
      log,
    })

  it('gets monotonic delta sums of the hour', async () => {
    begin([usual(1), usual(2), usual(3, { outcome: 'unknown', units: 0 })])
    await received(1)
    const [request] = receiver.requests
    expect(request).toMatchObject({
      url: '/v1/metrics',
      headers: { 'content-type': 'application/json', 'x-scope-orgid': 'org' },
    })
    const attributes = (outcome: string): string =>
      `"attributes":[${[
        ['tenant', 'acme'],
        ['target', 'pets'],
        ['tool', 'pets___get'],
        ['outcome', outcome],
        ['meter', 'call'],
      ]
        .map(([key, value]) => `{"key":"toolgate.${key}","value":{"stringValue":"${value}"}}`)
        .join(',')}]`
    const times = `"startTimeUnixNano":"${start}000000","timeUnixNano":"${start + hour - 1}000000"`
    const points = (ok: number, unknown: number): string =>
      `"sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[` +
      `{${attributes('ok')},${times},"asInt":"${ok}"},{${attributes('unknown')},${times},"asInt":"${unknown}"}]}`
    expect(request?.body.toString()).toBe(
      `{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"toolgate"}}]},` +
        `"scopeMetrics":[{"scope":{"name":"toolgate.metering"},"metrics":[` +
        `{"name":"toolgate.invocations","description":"Metered invocations.","unit":"{invocation}",${points(2, 1)}},` +
        `{"name":"toolgate.units","description":"Billable invocations.","unit":"{invocation}",${points(2, 0)}}]}]}]}`,
    )
  })

  it('gets what came late for an hour as a point of another moment in it', async () => {
    const events = [usual(1), event(start + hour)]
    clock = restingClock(start + hour + limits.exportGraceMs)
    const { sum } = begin(events)
    await until(clock, () => sum('sent') === 1)
    events.push(usual(2))
    await until(clock, () => sum('sent') === 3)
    const times = receiver.requests.flatMap(({ body }) => [
      ...body.toString().matchAll(/"timeUnixNano":"(\d+)000000"/g),
    ])
    const moments = new Set(times.map(([, ms]) => Number(ms) - start))
    expect([...moments]).toEqual([hour - 1, hour - 2, 2 * hour - 2])
  })

  it('that takes a part is not asked again; the rest is counted and told', async () => {
    receiver.answer = json({ partialSuccess: { rejectedDataPoints: '2', errorMessage: 'too old' } })
    const log = toldLog()
    const { sum } = begin([usual(1), usual(2, { tenant: 'beta' })], log)
    await until(clock, () => sum('sent') === 1 && sum('refused') === 1)
    expect(log.told).toMatchObject([{ level: 'error', message: 'an export was taken in part' }])
    expect(receiver.requests).toHaveLength(1)
  })
})
