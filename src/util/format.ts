/** Numbers as people read them, in reports and on a terminal. */

/** 1,234 */
export const whole = (x: number): string => Math.round(x).toLocaleString('en-US')

/** 12 % of 0.12; 12.3 % with a digit. */
export const percent = (x: number, digits = 0): string => `${(100 * x).toFixed(digits)} %`

/** 1 row, 2 rows */
export const plural = (n: number, noun: string): string => `${whole(n)} ${noun}${n === 1 ? '' : 's'}`
