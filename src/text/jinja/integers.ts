/** Integers of any size: numbers where those are exact, bigints beyond. */
import type { Int } from './values.ts'
import { fail } from './values.ts'

/** As in Python, longer integers are neither read nor printed. */
const mostDigits = 4300
/** No real template needs larger integers, and arithmetic up to here is fast. */
const mostBits = 2 ** 16

export const whole = (value: bigint | string): Int => {
  if (typeof value === 'string' && value.length > mostDigits + 1)
    return fail(`an integer of more than ${mostDigits} digits`)
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number || 0
  const big = BigInt(value)
  return bitLength(big) > mostBits ? fail(`an integer of more than ${mostBits} bits`) : big
}

export const bitLength = (value: bigint): number => {
  const hex = (value < 0n ? -value : value).toString(16)
  return hex === '0' ? 0 : (hex.length - 1) * 4 + Number.parseInt(hex[0], 16).toString(2).length
}

export const intText = (value: Int): string => {
  if (typeof value === 'number') return String(value || 0)
  if (bitLength(value) > mostDigits * 3.33 && value.toString().length > mostDigits)
    return fail(`an integer of more than ${mostDigits} digits cannot be printed`)
  return value.toString()
}

type Operation = '+' | '-' | '*' | '//' | '%' | '**'

/** Python's operators on whole numbers; the divisor is not 0, the exponent not negative. */
export const integers = (operator: Operation, x: Int, y: Int): Int => {
  if (typeof x === 'number' && typeof y === 'number' && operator !== '**') {
    const small = ofNumbers(operator, x, y)
    if (Number.isSafeInteger(small)) return small || 0
  }
  return whole(ofBigints(operator, BigInt(x), BigInt(y)))
}

const ofNumbers = (operator: Exclude<Operation, '**'>, x: number, y: number): number => {
  if (operator === '+') return x + y
  if (operator === '-') return x - y
  if (operator === '*') return x * y
  const rest = modulo(x, y)
  return operator === '%' ? rest : (x - rest) / y
}

/** The remainder with the sign of the divisor. */
const modulo = (x: number, y: number): number => {
  const rest = x % y
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest
}

const ofBigints = (operator: Operation, x: bigint, y: bigint): bigint => {
  if (operator === '+') return x + y
  if (operator === '-') return x - y
  if (operator === '*') return x * y
  if (operator === '**') {
    if (y > mostBits || bitLength(x) * Number(y) > mostBits * 2) fail(`an integer of more than ${mostBits} bits`)
    return x ** y
  }
  const cut = x % y
  const rest = cut !== 0n && cut < 0n !== y < 0n ? cut + y : cut
  return operator === '%' ? rest : (x - rest) / y
}

/** Results of // and % on floats, as in Python: the remainder is exact, and the quotient follows from it. */
export const floatDivision = (x: number, y: number): { quotient: number; rest: number } => {
  let rest = x % y
  let quotient = (x - rest) / y
  if (rest !== 0) {
    if (y < 0 !== rest < 0) {
      rest += y
      quotient -= 1
    }
  } else rest = y < 0 ? -0 : 0
  if (quotient === 0) return { quotient: Object.is(x / y, -0) || x / y < 0 ? -0 : 0, rest }
  const floor = Math.floor(quotient)
  return { quotient: quotient - floor > 0.5 ? floor + 1 : floor, rest }
}
