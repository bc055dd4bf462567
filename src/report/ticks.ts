/** Round numbers for an axis. */

/** About `count` of them, that cover [low, high]: steps of 1, 2 or 5 times a power of ten. */
export const ticks = (low: number, high: number, count = 5): number[] => {
  const span = high - low || Math.abs(high) || 1
  const power = 10 ** Math.floor(Math.log10(span / count))
  const step = power * [1, 2, 5, 10].find((factor) => span <= count * factor * power * (1 + 1e-9))!
  const first = Math.floor(low / step + 1e-9)
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9))
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}
