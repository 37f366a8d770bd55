/** Statements: their figures, their state, and the page that is printed of them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { invoicePage } from '../../../src/cli/invoice-page.ts'
import { csv } from '../../../src/cli/print.ts'
import { configSchema } from '../../../src/config/schema.ts'
import { createUsage } from '../../../src/meter/usage.ts'
import { openSqliteStore } from '../../../src/store/sqlite.ts'
import type { Store, UsageDelta } from '../../../src/store/store.ts'
import { manualClock } from './parts.ts'

let dir = ''
let store: Store
let added = 0
const clock = manualClock()
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'invoice-'))
  store = openSqliteStore(join(dir, 'toolgate.db'))
  clock.set(Date.UTC(2026, 11, 1, 1))
})
afterEach(async () => {
  await store.close()
  rmSync(dir, { recursive: true, force: true })
})

const usage = (metering: object) =>
  createUsage({
    ...{ dir: join(dir, 'spool'), store, clock, retentionDays: 30, keepsPrices: false },
    prices: configSchema.parse({ metering }).metering,
  })
const add = async (...rows: (Partial<UsageDelta> & { events: number })[]) => {
  const whole = rows.map((row): UsageDelta => {
    const names = {
      tenant: 'acme',
      subject: 'ann',
      client: 'c',
      target: 'crm',
      tool: 'crm___find',
      outcome: 'ok' as const,
    }
    return { hour: Date.UTC(2026, 10, 3), ...names, ms: 1, bytesIn: 1, bytesOut: 1, units: row.events, ...row }
  })
  added += 1
  expect(await store.addUsage(`s${added}`, 0, 1, whole, false)).toBe(true)
}

const metering = {
  pricePer1000: {
    call: [{ upTo: 100, pricePer1000: '0' }, { upTo: 1_000, pricePer1000: '0.005' }, { pricePer1000: '0.003' }],
  },
  overrides: [{ target: 'crm', tools: ['crm___save*'], pricePer1000: '0.25' }],
  prices: [{ from: '2026-11-16', pricePer1000: { call: '0.0041' } }],
}
const fill = async () => {
  await add(
    { events: 1_500 },
    { events: 300, tool: 'crm___save_contact' },
    { events: 7, target: '', tool: 'find_tools', meter: 'search' },
    { events: 40, target: '', tool: 'tools/list', meter: 'list' },
    { events: 5, units: 0, outcome: 'unreached' },
    { events: 3, units: 0, outcome: 'unknown' },
  )
  await add({ events: 11, hour: Date.UTC(2026, 10, 20), target: 'mail', tool: 'mail___send', outcome: 'target_error' })
  await add({ events: 999, tenant: 'other' }, { events: 999, hour: Date.UTC(2026, 11, 1) })
}

describe('a statement', () => {
  test('has lines by price line and tier, subtotals, what is not billed and why, and the total', async () => {
    await fill()
    const { prices, ...rest } = await usage(metering).invoice({ month: '2026-11', tenant: 'acme' })
    expect(rest).toEqual({
      ...{
        tenant: 'acme',
        month: '2026-11',
        currency: 'USD',
        state: 'closed',
        generatedAt: '2026-12-01T01:00:00.000Z',
      },
      ...{ from: '2026-11-01T00:00:00.000Z', to: '2026-12-01T00:00:00.000Z' },
      lines: [
        ...[
          { from: 1, upTo: 100, pricePer1000: '0', units: 100, amount: '0.000000000' },
          { from: 101, upTo: 1_000, pricePer1000: '0.005', units: 900, amount: '0.004500000' },
          { from: 1_001, pricePer1000: '0.003', units: 500, amount: '0.001500000' },
          { from: 1, pricePer1000: '0.0041', units: 11, amount: '0.000045100', since: '2026-11-16' },
        ].map((line) => ({ line: 'call', title: 'Tool calls', ...line })),
        { line: 'search', title: 'Tool searches', from: 1, pricePer1000: '0.025', units: 7, amount: '0.000175000' },
        { line: 'list', title: 'Tool listings', from: 1, pricePer1000: '0.005', units: 40, amount: '0.000200000' },
        {
          line: '{"target":"crm","tools":["crm___save*"]}',
          title: 'Tool calls to crm: crm___save*',
          ...{ from: 1, pricePer1000: '0.25', units: 300, amount: '0.075000000' },
        },
      ],
      targets: [
        { meter: 'call', target: 'crm', units: 1_800, amount: '0.081000000' },
        { meter: 'call', target: 'mail', units: 11, amount: '0.000045100' },
        { meter: 'search', target: '', units: 7, amount: '0.000175000' },
        { meter: 'list', target: '', units: 40, amount: '0.000200000' },
      ],
      tools: [
        { meter: 'call', target: 'crm', tool: 'crm___find', units: 1_500, amount: '0.006000000' },
        { meter: 'call', target: 'crm', tool: 'crm___save_contact', units: 300, amount: '0.075000000' },
        { meter: 'call', target: 'mail', tool: 'mail___send', units: 11, amount: '0.000045100' },
        { meter: 'search', target: '', tool: 'find_tools', units: 7, amount: '0.000175000' },
        { meter: 'list', target: '', tool: 'tools/list', units: 40, amount: '0.000200000' },
      ],
      notBilled: [
        { outcome: 'unknown', calls: 3, reason: expect.stringContaining('stopped before the call ended') },
        { outcome: 'unreached', calls: 5, reason: expect.stringContaining('nothing was sent') },
      ],
      total: { units: 1_858, amount: '0.081420100', rounded: '0.08' },
    })
    expect(prices.map(({ since, lines }) => [since, lines[0]?.tiers.length])).toEqual([
      [undefined, 3],
      ['2026-11-16', 1],
    ])
  })

  test('keeps as one line what a later version of the prices leaves as it was', async () => {
    const search = { target: '', tool: 'find_tools', meter: 'search' as const }
    await add({ events: 1, ...search }, { events: 2, hour: Date.UTC(2026, 10, 20), ...search })
    expect((await usage(metering).invoice({ month: '2026-11', tenant: 'acme' })).lines).toEqual([
      { line: 'search', title: 'Tool searches', from: 1, pricePer1000: '0.025', units: 3, amount: '0.000075000' },
    ])
  })

  test.each([
    [Date.UTC(2026, 10, 24), 'preliminary'],
    [Date.UTC(2026, 11, 1, 0, 59, 59), 'preliminary'],
    [Date.UTC(2026, 11, 1, 1), 'closed'],
  ])('at %d is %s', async (now, state) => {
    clock.set(now)
    expect(await usage({}).invoice({ month: '2026-11', tenant: 'acme' })).toMatchObject({ state, lines: [] })
  })

  test.each([
    ['USD', '1234567.895', '1234567.90'],
    ['USD', '0.005', '0.00'],
    ['USD', '0.015', '0.02'],
    ['JPY', '2.5', '2'],
    ['BHD', '0.0005', '0.000'],
  ])('is rounded for %s: %s is %s', async (currency, price, rounded) => {
    await add({ events: 1_000 })
    const prices = { currency, pricePer1000: { call: price } }
    expect((await usage(prices).invoice({ month: '2026-11', tenant: 'acme' })).total.rounded).toBe(rounded)
  })

  test.each([
    [{ month: '2026-13', tenant: 'acme' }, '"month" is a month'],
    [{ month: '2026-1', tenant: 'acme' }, '"month" is a month'],
    [{ month: undefined, tenant: 'acme' }, '"month" is a month'],
    [{ month: '2026-11', tenant: '' }, '"tenant" is the name'],
    [{ month: '2026-11', tenant: undefined }, '"tenant" is the name'],
  ])('of %j is refused', async (query, words) => {
    const asked = usage({}).invoice(query)
    await expect(asked).rejects.toMatchObject({ code: 'invalid_params', message: expect.stringContaining(words) })
  })
})

describe('the page', () => {
  const page = async (tenant = 'acme', prices: object = metering) =>
    invoicePage(await usage(prices).invoice({ month: '2026-11', tenant }))

  test('is whole in itself, says what it is, and shows every figure', async () => {
    await fill()
    const text = await page()
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(text).toContain("default-src 'none'; style-src 'unsafe-inline'")
    expect(text).not.toMatch(/<script|<img|<link|@import|url\(|src=|href=/i)
    for (const shown of [
      '<bdi>acme</bdi>',
      '1 to 30 November 2026',
      'USD 0.08',
      '1,858',
      '0.0814201',
      'units 101 to 1,000',
    ])
      expect(text).toContain(shown)
    expect(text).toContain('price from 16 November 2026')
    expect(text).not.toContain('Preliminary')
  })

  test('says that it is preliminary while the month is open, and that nothing was billed', async () => {
    clock.set(Date.UTC(2026, 10, 24))
    const text = await page()
    expect(text).toContain('<strong>Preliminary.</strong>')
    expect(text).toContain('Nothing was billed in this period.')
  })

  test('has amounts with as many digits as the longest needs, at least those of the currency', async () => {
    await add({ events: 1_000 }, { events: 1, tool: 'crm___other' })
    const text = await page('acme', { currency: 'EUR', pricePer1000: { call: '1234' } })
    expect(text).toContain('<td class="n">1,234.000</td>')
    expect(text).toContain('<td class="n">1.234</td>')
    expect(text).toContain('EUR 1,235.23')
  })

  test.each([
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    [`"><img src=x onerror='a'>`, '&quot;&gt;&lt;img src=x onerror=&#39;a&#39;&gt;'],
    ['</title></style>&amp;', '&lt;/title&gt;&lt;/style&gt;&amp;amp;'],
    ['a\u202eb\u0000c\u2066', 'a\ufffdb\ufffdc\ufffd'],
  ])('shows the name %j as text, wherever it comes from', async (name, shown) => {
    await add({ events: 1, tenant: name, target: name, tool: name })
    const text = await page(name, { overrides: [{ target: name, pricePer1000: '1' }] })
    expect(text.split(shown).length).toBeGreaterThan(4)
    expect(text).not.toContain(name)
    expect(text).not.toMatch(/<img|<script/)
  })
})

describe('CSV', () => {
  test.each([
    ['=HYPERLINK("http://x")', `"'=HYPERLINK(""http://x"")"`],
    ['+1+1', "'+1+1"],
    ['-2+3', "'-2+3"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t=1"],
    ['\r=1', `"'\r=1"`],
    ['-5', '-5'],
    ['0.005000000', '0.005000000'],
    ['acme', 'acme'],
  ])('the cell %j is no formula to a spreadsheet: %j', (cell, shown) => {
    expect(csv(['name'], [[cell]])).toBe(`name\r\n${shown}\r\n`)
  })
})
