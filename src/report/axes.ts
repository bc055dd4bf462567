/** Axes of plots: where a value stands, and which values get a tick. */
import { round, shortNumber } from './svg.ts'
import { ticks } from './ticks.ts'

export type Axis = {
  at(value: number): number
  ticks: { value: number; label: string }[]
  covers(value: number): boolean
}

/** @param from where the least value stands, @param to where the greatest does, in units of the drawing */
export const linearAxis = (values: readonly number[], from: number, to: number): Axis => {
  const marks = ticks(...extent(values))
  const [low, high] = [marks[0], marks.at(-1)!]
  return {
    at: (value) => round(from + ((to - from) * (value - low)) / (high - low)),
    ticks: marks.map((value) => ({ value, label: shortNumber(value) })),
    covers: Number.isFinite,
  }
}

/** Only values above 0 have a place on it. */
export const logAxis = (values: readonly number[], from: number, to: number): Axis => {
  const [low, high] = extent(values.filter((value) => value > 0 && Number.isFinite(value)))
  const [a, b] = [Math.log(low), Math.log(high > low ? high : 2 * low)]
  return {
    at: (value) => round(from + ((to - from) * (Math.log(value) - a)) / (b - a)),
    ticks: logTicks(low, high).map((value) => ({ value, label: powerLabel(value) })),
    covers: (value) => value > 0 && Number.isFinite(value),
  }
}

const extent = (values: readonly number[]): [number, number] =>
  values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [1, 2]

/** Powers of ten within the range; 2 and 5 times those where there are few, every so many where there are a lot. */
export const logTicks = (low: number, high: number, most = 9): number[] => {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))]
  const within = (factors: readonly number[], every = 1) =>
    Array.from({ length: Math.floor((last - first) / every) + 1 }, (_, i) => first + i * every)
      .flatMap((power) => factors.map((factor) => Number(`${factor}e${power}`)))
      .filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9))
  const dense = within([1, 2, 5])
  if (dense.length <= most) return dense
  return within([1], Math.max(1, Math.ceil((last - first) / most)))
}

const raised = (power: number) => [...String(power)].map((c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'['0123456789'.indexOf(c)] ?? '⁻').join('')

/** 0.05, 200, 10⁹, 2×10⁹ */
export const powerLabel = (value: number): string => {
  if (value >= 0.001 && value < 10_000) return shortNumber(value)
  const power = Math.floor(Math.log10(value) + 1e-9)
  const factor = Number((value / 10 ** power).toPrecision(2))
  return factor === 1 ? `10${raised(power)}` : `${factor}×10${raised(power)}`
}
