/** Numbers as people read them, in reports and on a terminal. */

/** 1,234 */
export const whole = (x: number): string => Math.round(x).toLocaleString('en-US')

/** 12 % of 0.12; 12.3 % with a digit. */
export const percent = (x: number, digits = 0): string => `${(100 * x).toFixed(digits)} %`

/** 1 row, 2 rows */
export const plural = (n: number, noun: string): string => `${whole(n)} ${noun}${n === 1 ? '' : 's'}`

/** a, b and c */
export const listed = (items: readonly string[]): string =>
  items.length < 2 ? (items[0] ?? '') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`

/** Four significant digits (0.6931, 12.40), whole numbers from 1,000 on (1,234, 56,789), two digits below 0.001 (1.0e-6). */
export const formatNumber = (x: number): string => {
  const size = Math.abs(x)
  if (x === 0 || !Number.isFinite(x)) return String(x)
  if (size >= 1000) return whole(x)
  return size < 1e-3 ? x.toExponential(1) : x.toPrecision(4)
}

/** Quoted for a shell, where that is necessary. */
export const shellWord = (text: string): string =>
  /^[\w./@:+=,%-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
