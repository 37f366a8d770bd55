/** Quotas from the configuration to the answer: what may be written, which rules come of it, prices, webhooks, the API. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { quotaReferences, quotasSchema } from '../../../src/config/quota-schema.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { Secret } from '../../../src/core/secret.ts'
import { createEgress } from '../../../src/egress/fetch.ts'
import { openQuotas, pricesOf, type QuotaRoom, rulesOf } from '../../../src/gateway/quotas.ts'
import type { PriceList } from '../../../src/meter/price-schema.ts'
import { type QuotaCall, webhookTo } from '../../../src/meter/quota.ts'
import { quotaRoutes } from '../../../src/web/admin-quotas.ts'
import { json, type Recorder, startRecorder } from '../../support/recorder.ts'
import { ann, getPet, openWorld, rule, turns, type World } from './quota-parts.ts'

const daily = { name: 'daily', per: 'day', invocations: 10 }

describe('in the configuration', () => {
  const wrong: readonly [string, object, string][] = [
    ['neither invocations nor cost', { name: 'a', per: 'day' }, 'needs one of `invocations` and `cost`'],
    ['both', { ...daily, cost: '1' }, 'needs one of `invocations` and `cost`'],
    ['a cost of nothing', { name: 'a', per: 'day', cost: '0.00' }, 'must be more than nothing'],
    ['a cost as a number', { name: 'a', per: 'day', cost: 25 }, 'expected string'],
    ['a week', { ...daily, per: 'week' }, 'expected one of "day"|"month"'],
    ['a fraction over one', { ...daily, warnAt: [1.2] }, 'expected number to be <=1'],
    ['an unknown key', { ...daily, tenant: 'a' }, 'Unrecognized key'],
    ['no patterns in a list', { ...daily, tools: [] }, 'expected array to have >=1 items'],
    ['a token in the file', { ...daily, webhook: { url: 'https://a.example/', token: 'abc' } }, 'must be a reference'],
  ]
  test.each(wrong)('%s is refused', (_name, quota, words) => {
    const parsed = quotasSchema.safeParse([quota])
    expect(parsed.success).toBe(false)
    expect(JSON.stringify(parsed.error?.issues)).toContain(JSON.stringify(words).slice(1, -1))
  })

  test('two of one name are refused', () => {
    expect(quotasSchema.safeParse([daily, { ...daily, per: 'month' }]).success).toBe(false)
  })

  test('a quota becomes a rule, money exact to the last digit', () => {
    const quotas = quotasSchema.parse([
      { ...daily, tools: ['pets___*'], each: 'principal' },
      { name: 'budget', per: 'month', cost: '25.000000001', warnAt: [0.5, 1] },
    ])
    expect(rulesOf(quotas)).toEqual([
      {
        ...{ name: 'daily', per: 'day', unit: 'invocations', limit: 10n, each: 'principal', warnAt: [0.8] },
        match: { tenants: undefined, principals: undefined, targets: undefined, tools: ['pets___*'] },
      },
      {
        ...{
          name: 'budget',
          per: 'month',
          unit: 'cost',
          limit: 25_000_000_001_000n,
          each: undefined,
          warnAt: [0.5, 1],
        },
        match: { tenants: undefined, principals: undefined, targets: undefined, tools: undefined },
      },
    ])
    expect(quotasSchema.parse(undefined)).toEqual([])
  })

  test('the secrets of webhooks are named by their paths', () => {
    const webhook = { url: 'https://a.example/', token: { env: 'HOOK' } }
    expect(quotaReferences(quotasSchema.parse([daily, { ...daily, name: 'b', webhook }]))).toEqual([
      ['metering.quotas.1.webhook.token', { env: 'HOOK' }],
    ])
  })
})

const list: PriceList = {
  currency: 'USD',
  pricePer1000: { call: '0.005', search: '0.025', list: '0.005' },
  overrides: [{ target: 'orders', pricePer1000: [{ upTo: 2, pricePer1000: '0' }, { pricePer1000: '3' }] }],
  billed: { outcomes: ['ok'] },
  prices: [{ from: '2026-12-01', pricePer1000: { call: '0.01' } }],
}

test('prices are those in force at the time, by volume where they have tiers', () => {
  const prices = pricesOf(list)
  const [november, december] = [Date.UTC(2026, 10, 30), Date.UTC(2026, 11, 1)]
  const order: QuotaCall = { meter: 'call', target: 'orders', tool: 'orders___list' }
  expect(prices.volumeOf(getPet, november)).toBeUndefined()
  expect(prices.priceOf(getPet, november, 99n)).toBe(5_000_000n)
  expect(prices.priceOf(getPet, december, 0n)).toBe(10_000_000n)
  expect(prices.priceOf({ meter: 'search', target: '', tool: '' }, december, 0n)).toBe(25_000_000n)
  expect(prices.volumeOf(order, november)).toBe(prices.volumeOf(order, december))
  expect([0n, 1n, 2n].map((at) => prices.priceOf(order, november, at))).toEqual([0n, 0n, 3_000_000_000n])
})

describe('over real parts', () => {
  let world: World
  let receiver: Recorder
  beforeEach(async () => {
    world = openWorld()
    receiver = await startRecorder()
  })
  afterEach(async () => {
    await receiver.close()
    await world.close()
  })

  test('a webhook is sent with its token and the id of the warning', async () => {
    const egress = createEgress({ allow: [receiver.address], clock: systemClock })
    const url = `${receiver.origin}/hook?a=1`
    const send = webhookTo(() => egress, url, new Map([['authorization', 'Bearer t0ken']]))
    await send('{"a":1}', 'q/1')
    expect(receiver.requests[0]).toMatchObject({
      method: 'POST',
      url: '/hook?a=1',
      headers: {
        ...{ authorization: 'Bearer t0ken', 'idempotency-key': 'q/1' },
        'content-type': 'application/cloudevents+json',
      },
    })
    expect(receiver.requests[0]?.body.toString()).toBe('{"a":1}')
    receiver.answer = json({}, 503)
    await expect(send('{}', 'q/2')).rejects.toMatchObject({ code: 'target_bad_answer' })
    await egress.close()
    const strict = createEgress({ allow: [], clock: systemClock })
    await expect(webhookTo(() => strict, url, new Map())('{}', 'q/3')).rejects.toMatchObject({ code: 'egress_refused' })
  })

  test('a configuration is in force with its metrics, log and webhook', async () => {
    const lines: unknown[] = []
    const said: string[] = []
    const note = (details: object, text: string): void => void lines.push([text, details])
    const egress = createEgress({ allow: [receiver.address], clock: systemClock })
    const room: QuotaRoom = {
      records: world.records,
      clock: world.clock,
      log: { debug: note, info: note, warn: note, error: note, debugs: false },
      currency: 'USD',
      recount: world.ledger.recount,
      egress: () => egress,
      metrics: {
        quotaWarned: (quota) => said.push(`warned ${quota}`),
        quotaRefused: (quota) => said.push(`refused ${quota}`),
      },
    }
    const quotas = openQuotas(room)
    expect(quotas.enter(ann, getPet)).toBeUndefined()
    quotas.configure({
      quotas: quotasSchema.parse([
        { ...daily, invocations: 1, warnAt: [1], webhook: { url: `${receiver.origin}/`, token: { env: 'T' } } },
      ]),
      prices: list,
      secretsFound: new Map([['metering.quotas.0.webhook.token', new Secret('s3cret')]]),
    })
    const reservation = await quotas.enter(ann, getPet)
    reservation?.settle(1)
    for (let calls = 0; calls < 3; calls++)
      await expect(Promise.resolve(quotas.enter(ann, getPet))).rejects.toMatchObject({ code: 'quota_exceeded' })
    world.clock.pass(1_000)
    while (receiver.requests.length === 0) await turns(1)
    expect(receiver.requests[0]?.headers['authorization']).toBe('Bearer s3cret')
    expect(said).toEqual(['refused daily', 'refused daily', 'refused daily', 'warned daily'])
    expect(lines).toHaveLength(2)
    expect(JSON.stringify(lines)).not.toContain('s3cret')
    expect(quotas.ratios()).toEqual(new Map([['daily', 1]]))
    await quotas.close()
    await egress.close()
  })

  test('the API tells how much is used', async () => {
    const replica = world.start([
      rule({ name: 'calls', limit: 10n, each: 'principal' }),
      rule({ name: 'money', unit: 'cost', limit: 2_000_000_000_000n, per: 'month' }),
    ])
    await replica.calls(3)
    const app = quotaRoutes({ quotas: replica.quotas, currency: 'USD' })
    expect(await (await app.request('/api/quotas')).json()).toEqual({
      quotas: [
        {
          ...{ quota: 'calls', per: 'day', unit: 'invocations', of: { tenant: 'acme', principal: ann.subject } },
          ...{ window: '2026-11-24', used: 3, limit: 10, resetAt: '2026-11-25T00:00:00.000Z' },
        },
        {
          ...{ quota: 'money', per: 'month', unit: 'cost', currency: 'USD', of: {}, window: '2026-11' },
          ...{ used: '0.000000000', limit: '2.000000000', resetAt: '2026-12-01T00:00:00.000Z' },
        },
      ],
    })
    expect(await (await app.request('/api/quotas?quota=none')).json()).toEqual({ quotas: [] })
  })
})
