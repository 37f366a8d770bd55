/** A statement as one page for a customer: printable, self-contained, nothing fetched and nothing run. */
import { minorDigits, type Statement, type StatementLine } from '../meter/invoice.ts'
import { invoiceStyle } from './invoice-style.ts'

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Markup of our own. Every other text goes through `html`, which escapes it. */
class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Piece = string | number | Markup | readonly Markup[]

/** Names come from strangers: no markup of theirs, no controls, and no signs that turn the direction of writing. */
const escape = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}').replace(/[&<>"']/g, (char) => entities[char] ?? '')

const rendered = (piece: Piece): string => {
  if (piece instanceof Markup) return piece.text
  return typeof piece === 'object' ? piece.map(({ text }) => text).join('') : escape(String(piece))
}

const html = (parts: TemplateStringsArray, ...pieces: Piece[]): Markup =>
  new Markup(parts.map((part, index) => part + (index < pieces.length ? rendered(pieces[index] ?? '') : '')).join(''))

const nothing = new Markup('')

/** `1234567.5` → `1,234,567.5`. */
const grouped = (decimal: string): string => {
  const [whole = '', fraction] = decimal.split('.')
  const parted = whole.replace(/\B(?=(?:\d{3})+$)/g, ',')
  return fraction === undefined ? parted : `${parted}.${fraction}`
}

const count = (value: number): string => grouped(String(value))

/** Amounts of one statement stand under each other, so all have as many digits as the longest needs. */
const digitsNeeded = ({ lines, targets, tools, total, currency }: Statement): number =>
  [...lines, ...targets, ...tools, total].reduce((most, { amount }) => {
    const [, fraction = ''] = amount.split('.')
    return Math.max(most, fraction.replace(/0+$/, '').length)
  }, minorDigits(currency))

const money = (amount: string, digits: number): string => {
  const [whole = '', fraction = ''] = amount.split('.')
  return grouped(digits === 0 ? whole : `${whole}.${fraction.padEnd(digits, '0').slice(0, digits)}`)
}

const longDay = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', day: 'numeric', month: 'long', year: 'numeric' })
const longMonth = new Intl.DateTimeFormat('en-GB', { timeZone: 'UTC', month: 'long', year: 'numeric' })

const day = (timestamp: string | number): string => longDay.format(new Date(timestamp))

const minute = (timestamp: string): string => `${day(timestamp)}, ${timestamp.slice(11, 16)} UTC`

const meterNames = { call: 'Tool calls', search: 'Tool searches', list: 'Tool listings' } as const

const outcomeNames: ReadonlyMap<string, string> = new Map([
  ['ok', 'Answered'],
  ['target_error', 'Target’s error'],
  ['invalid_arguments', 'Wrong arguments'],
  ['failed', 'Failed'],
  ['unreached', 'Not reached'],
  ['cancelled', 'Cancelled'],
  ['input_required', 'Consent needed'],
  ['unknown', 'End unknown'],
])

const unitsRange = ({ from, upTo }: { readonly from: number; readonly upTo?: number }): string =>
  upTo === undefined
    ? from === 1
      ? 'all units'
      : `from unit ${count(from)}`
    : `units ${count(from)} to ${count(upTo)}`

const table = (
  heads: readonly string[],
  rows: readonly Markup[],
  numbers: number,
  foot: Markup = nothing,
): Markup => html`
<table>
<thead><tr>${heads.map((head, index) =>
  index < heads.length - numbers ? html`<th scope="col">${head}</th>` : html`<th scope="col" class="n">${head}</th>`,
)}</tr></thead>
<tbody>${rows}</tbody>${foot}
</table>`

const number = (text: string): Markup => html`<td class="n">${text}</td>`

const details = (statement: Statement): Markup => {
  const lastDay = day(Date.parse(statement.to) - 1)
  const state = statement.state === 'closed' ? 'Closed' : 'Open, preliminary'
  return html`<dl>
<div><dt>Customer</dt><dd><bdi>${statement.tenant}</bdi></dd></div>
<div><dt>Period</dt><dd>1 to ${lastDay} (UTC)</dd></div>
<div><dt>Currency</dt><dd>${statement.currency}</dd></div>
<div><dt>Ledger</dt><dd>${state}</dd></div>
<div><dt>Generated</dt><dd>${minute(statement.generatedAt)}</dd></div>
</dl>`
}

const lineRow = (line: StatementLine, digits: number, begin: string): Markup => {
  const isWhole = line.from === 1 && line.upTo === undefined
  const about = [
    ...(isWhole ? [] : [unitsRange(line)]),
    ...(line.since === undefined || line.since <= begin ? [] : [`price from ${day(line.since)}`]),
  ]
  const small = about.length === 0 ? nothing : html`<small>${about.join(', ')}</small>`
  return html`
<tr><td>${line.title}${small}</td>${number(count(line.units))}${number(line.pricePer1000)}${number(money(line.amount, digits))}</tr>`
}

const charges = (statement: Statement, digits: number): Markup => {
  const { lines, total, currency, from } = statement
  const rows = lines.map((line) => lineRow(line, digits, from.slice(0, 10)))
  const none = html`<tr><td colspan="4" class="none">Nothing was billed in this period.</td></tr>`
  return html`<section><h2>Charges</h2>${table(
    ['Price line', 'Units', 'Per 1,000', `Amount (${currency})`],
    rows.length === 0 ? [none] : rows,
    3,
    html`<tfoot><tr><th scope="row">Total</th>${number(count(total.units))}<td></td>${number(money(total.amount, digits))}</tr></tfoot>`,
  )}</section>`
}

type Prices = Statement['prices'][number]

/** A later version of the prices shows what it has otherwise than the one before. */
const changed = (version: Prices, before: Prices | undefined): Prices['lines'] => {
  const known = new Set(before?.lines.map((line) => JSON.stringify(line)))
  return version.lines.filter((line) => !known.has(JSON.stringify(line)))
}

const priceList = ({ prices, currency, from }: Statement): Markup => {
  const versions = prices.map((version, index) => {
    const { since = '' } = version
    const heading = since > from.slice(0, 10) ? `Changed from ${day(since)}` : ''
    const rows = changed(version, prices[index - 1]).flatMap(({ title, tiers }) =>
      tiers.map(
        (tier, index) =>
          html`<tr><td>${index === 0 ? title : ''}</td><td>${unitsRange(tier)}</td>${number(tier.pricePer1000)}</tr>`,
      ),
    )
    const heads = ['Price line', 'Units of the month', `Per 1,000 (${currency})`]
    return html`${heading === '' ? nothing : html`<h3>${heading}</h3>`}${rows.length === 0 ? nothing : table(heads, rows, 1)}`
  })
  return html`<section class="prices"><h2>Prices in force</h2>${versions}</section>`
}

const subtotals = ({ targets, tools, currency }: Statement, digits: number): Markup => {
  if (targets.length === 0) return nothing
  const named = (name: string, fallback: string): Markup => html`<bdi>${name === '' ? fallback : name}</bdi>`
  const heads = ['Units', `Amount (${currency})`]
  return html`<section><h2>By target</h2>${table(
    ['Target', 'What', ...heads],
    targets.map(
      ({ meter, target, units, amount }) =>
        html`<tr><td>${named(target, '–')}</td><td>${meterNames[meter]}</td>${number(count(units))}${number(money(amount, digits))}</tr>`,
    ),
    2,
  )}</section><section><h2>By tool</h2>${table(
    ['Tool', 'Target', ...heads],
    tools.map(
      ({ meter, target, tool, units, amount }) =>
        html`<tr><td>${named(tool, meterNames[meter])}</td><td>${named(target, '–')}</td>${number(count(units))}${number(money(amount, digits))}</tr>`,
    ),
    2,
  )}</section>`
}

const notBilled = ({ notBilled }: Statement): Markup =>
  notBilled.length === 0
    ? nothing
    : html`<section><h2>Not billed</h2>${table(
        ['Outcome', 'Reason', 'Calls'],
        notBilled.map(
          ({ outcome, calls, reason }) =>
            html`<tr><td class="short">${outcomeNames.get(outcome) ?? outcome}</td><td>${reason}</td>${number(count(calls))}</tr>`,
        ),
        1,
      )}</section>`

/** The whole page as HTML. `notes` are for the operator and not on it. */
export const invoicePage = (statement: Statement): string => {
  const digits = digitsNeeded(statement)
  const { currency, total, tenant, state } = statement
  const month = longMonth.format(new Date(statement.from))
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>Usage statement ${month} · ${tenant}</title>
<style>${new Markup(invoiceStyle)}</style>
</head>
<body>
<main>
<header>
<div><h1>Usage statement</h1><p>${month}</p></div>
<div class="due"><span>Total</span><strong>${currency} ${grouped(total.rounded)}</strong></div>
</header>
${state === 'preliminary' ? html`<p class="note"><strong>Preliminary.</strong> The period is still open; figures may grow until it is closed.</p>` : nothing}
${details(statement)}
${charges(statement, digits)}
${notBilled(statement)}
${subtotals(statement, digits)}
${priceList(statement)}
<footer>Amounts are exact; only the total at the top is rounded to the smallest unit of ${currency}, a tie to the even one. Volume counts from the first unit of the month, by price line. Hours, days and months are of UTC.</footer>
</main>
</body>
</html>
`.text
}
