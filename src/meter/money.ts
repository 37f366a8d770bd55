/**
 * Money without floating point. Prices are integers of 10⁻⁹ of the currency unit per 1,000 invocations, amounts are
 * integers of 10⁻¹²: so invocations × price ÷ 1,000 is always exact, and amounts add up without a remainder.
 * Rounding happens in one place, where an amount is printed.
 */
import { GatewayError } from '../core/errors.ts'

const priceDecimals = 9
const amountDecimals = 12
const shownDecimals = 9

/** A price as text: at most nine digits on either side of the point, no sign, no exponent. */
export const priceSyntax = /^(0|[1-9]\d{0,8})(?:\.(\d{1,9}))?$/

/**
 * A decimal string such as `0.005` as an integer of 10⁻⁹ per 1,000 invocations. What is not of `priceSyntax` is
 * `bad_config`.
 */
export const parsePrice = (text: string): bigint => {
  const [, whole, fraction = ''] = priceSyntax.exec(text) ?? []
  if (whole === undefined)
    throw new GatewayError('bad_config', {
      words: 'A price is a decimal string such as "0.005", with at most nine digits on either side of the point.',
    })
  return BigInt(whole + fraction.padEnd(priceDecimals, '0'))
}

/** What so many invocations cost, exactly: an integer of 10⁻¹² of the currency unit. `pricePer1000` is from `parsePrice`. */
export const cost = (invocations: bigint | number, pricePer1000: bigint): bigint => BigInt(invocations) * pricePer1000

/** The nearest multiple of `unit`, a tie to the even one (IEEE 754 `roundTiesToEven`), so that rounding does not lean. */
const roundHalfEven = (value: bigint, unit: bigint): bigint => {
  const quotient = value / unit
  const twice = (value % unit) * 2n
  const up = twice > unit || (twice === unit && quotient % 2n === 1n)
  return up ? quotient + 1n : quotient
}

/**
 * An amount of 10⁻¹² as a decimal with so many digits after the point (0 to 12), for example `0.005000000`. This is the
 * only place where an amount is rounded, half to even.
 */
export const formatCost = (amount: bigint, decimals = shownDecimals): string => {
  const size = amount < 0n ? -amount : amount
  const shown = roundHalfEven(size, 10n ** BigInt(amountDecimals - decimals))
  const digits = shown.toString().padStart(decimals + 1, '0')
  const sign = amount < 0n && shown !== 0n ? '-' : ''
  const whole = digits.slice(0, digits.length - decimals)
  return decimals === 0 ? `${sign}${whole}` : `${sign}${whole}.${digits.slice(-decimals)}`
}

/** A price of `parsePrice` as the shortest decimal string that reads the same, for example `0.005`. */
export const formatPrice = (price: bigint): string => {
  const digits = price.toString().padStart(priceDecimals + 1, '0')
  const fraction = digits.slice(-priceDecimals).replace(/0+$/, '')
  return `${digits.slice(0, -priceDecimals)}${fraction === '' ? '' : `.${fraction}`}`
}
