/** Floats in decimal, exact to the last digit, rounded half to even as C and Python round. */

export type Decimal = { readonly digits: string; readonly point: number }

const view = new DataView(new ArrayBuffer(8))

/** All digits of a finite float of 0 or more; the value is 0.digits * 10^point. */
const exact = (value: number): Decimal => {
  if (value === 0) return { digits: '0', point: 1 }
  view.setFloat64(0, value)
  const bits = view.getBigUint64(0)
  const exponent = Number((bits >> 52n) & 0x7ffn)
  const mantissa = (bits & 0xfffffffffffffn) | (exponent ? 1n << 52n : 0n)
  const shift = BigInt(Math.max(exponent, 1) - 1075)
  // a fraction m / 2^k is m * 5^k / 10^k
  const digits = (shift >= 0n ? mantissa << shift : mantissa * 5n ** -shift).toString()
  return { digits, point: digits.length + Math.min(0, Number(shift)) }
}

/** Cut after `places` digits of 0.digits, half to even. */
const cut = ({ digits, point }: Decimal, places: number): Decimal => {
  if (places >= digits.length) return { digits: digits.padEnd(places, '0'), point }
  if (places < 0) return { digits: '', point }
  const [kept, rest] = [digits.slice(0, places), digits.slice(places)]
  const odd = '13579'.includes(kept.at(-1) ?? '0')
  const up = rest[0] > '5' || (rest[0] === '5' && (/[1-9]/.test(rest.slice(1)) || odd))
  if (!up) return { digits: kept, point }
  const raised = (BigInt(kept || '0') + 1n).toString().padStart(places, '0')
  return raised.length > places
    ? { digits: raised.slice(0, Math.max(places, 1)), point: point + 1 }
    : { digits: raised, point }
}

/** %f: so many digits behind the point. */
export const fixed = (value: number, precision: number): string => {
  const all = exact(value)
  const { digits, point } = cut(all, all.point + precision)
  if (digits === '') return precision > 0 ? `0.${'0'.repeat(precision)}` : '0'
  const whole = point > 0 ? digits.slice(0, point) : '0'
  const rest = point > 0 ? digits.slice(point) : '0'.repeat(-point) + digits
  return precision > 0 ? `${whole}.${rest.slice(0, precision).padEnd(precision, '0')}` : whole
}

/** %e: so many digits behind the first, and the power of ten. */
export const scientific = (value: number, precision: number): { digits: string; power: number } => {
  const { digits, point } = cut(exact(value), precision + 1)
  return { digits, power: value === 0 ? 0 : point - 1 }
}

/** round(): the float nearest to the value rounded to so many digits, which may be below 0. */
export const roundedTo = (value: number, precision: number): number => {
  const size = Math.abs(value)
  if (!Number.isFinite(value) || precision > 323) return value
  const all = exact(size)
  const { digits, point } = cut(all, all.point + precision)
  const result = digits === '' ? 0 : Number(`0.${digits}e${point}`)
  return value < 0 || Object.is(value, -0) ? -result : result
}
