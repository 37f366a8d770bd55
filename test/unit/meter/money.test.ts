/** Money: exact to the last digit, rounded in one place. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cost, formatCost, parsePrice, priceSyntax } from '../../../src/meter/money.ts'

describe('prices', () => {
  test.each([
    ['0', 0n],
    ['0.005', 5_000_000n],
    ['0.025', 25_000_000n],
    ['1', 1_000_000_000n],
    ['0.000000001', 1n],
    ['999999999.999999999', 999_999_999_999_999_999n],
    ['10.50', 10_500_000_000n],
  ])('%s is %s billionths', (text, price) => {
    expect(parsePrice(text)).toBe(price)
    expect(priceSyntax.test(text)).toBe(true)
  })

  test.each([
    '',
    '.5',
    '5.',
    '05',
    '-1',
    '+1',
    '1e3',
    '0x1',
    '1,5',
    ' 1',
    '1 ',
    '1\n',
    '0.0000000001',
    '1000000000',
    'NaN',
    '１',
  ])('%j is no price', (text) => {
    expect(priceSyntax.test(text)).toBe(false)
    expect(() => parsePrice(text)).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })
})

describe('amounts', () => {
  test.each([
    [0, '0.005', '0.000000000'],
    [1, '0.005', '0.000005000'],
    [1_000, '0.005', '0.005000000'],
    [2_500_000, '0.005', '12.500000000'],
    [1, '0.000000001', '0.000000000'],
    [500, '0.000000001', '0.000000000'],
    [501, '0.000000001', '0.000000001'],
    [1_500, '0.000000001', '0.000000002'],
    [2_500, '0.000000001', '0.000000002'],
    [Number.MAX_SAFE_INTEGER, '999999999.999999999', '9007199254740990990992.800745259'],
  ])('%d invocations at %s for 1,000 are %s', (invocations, price, shown) => {
    expect(formatCost(cost(invocations, parsePrice(price)))).toBe(shown)
  })

  test('a negative amount mirrors the positive one, and nothing is minus zero', () => {
    expect(formatCost(-1_500n)).toBe('-0.000000002')
    expect(formatCost(-500n)).toBe('0.000000000')
  })

  test('any count at any price equals the naive fraction, rounded half to even', () => {
    const price = fc
      .record({ whole: fc.nat(999_999_999), fraction: fc.nat(999_999_999) })
      .map(({ whole, fraction }) => ({ text: `${whole}.${String(fraction).padStart(9, '0')}`, whole, fraction }))
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 15n), price, (invocations, { text, whole, fraction }) => {
        // invocations × (whole × 10⁹ + fraction) ÷ (10⁹ × 1000), to nine decimals
        const numerator = invocations * (BigInt(whole) * 1_000_000_000n + BigInt(fraction)) * 1_000_000_000n
        const denominator = 1_000_000_000n * 1_000n
        const floor = numerator / denominator
        const rest = (numerator % denominator) * 2n
        const up = rest > denominator || (rest === denominator && floor % 2n === 1n) ? 1n : 0n
        const [before, after] = formatCost(cost(invocations, parsePrice(text))).split('.')
        expect(after).toHaveLength(9)
        expect(BigInt(`${before}${after}`)).toBe(floor + up)
      }),
    )
  })

  test('amounts of parts add up to the amount of the whole, exactly', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10 ** 9)), fc.bigInt(0n, 10n ** 12n), (parts, price) => {
        const whole = parts.reduce((sum, part) => sum + BigInt(part), 0n)
        expect(parts.reduce((sum, part) => sum + cost(part, price), 0n)).toBe(cost(whole, price))
      }),
    )
  })
})
