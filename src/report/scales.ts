/** Scales of charts: where a value stands, which values get a tick, and how the ticks are labelled. */
import { extent } from 'd3-array'
import { format } from 'd3-format'
import { scaleLinear, scaleLog } from 'd3-scale'
import { round } from './svg.ts'

export type Scale = {
  /** The place of a value, in units of the drawing, to a tenth. */
  at(value: number): number
  ticks: { value: number; label: string }[]
  /** Whether a value has a place. */
  shows(value: number): boolean
}

/** `nice` extends the scale at both ends to a tick. `count` is about how many ticks there are: they stay round numbers. */
type LinearOptions = { nice?: boolean; count?: number }

/**
 * @param values the scale reaches from the least to the greatest that is finite
 * @param from place of the least value   @param to place of the greatest
 */
export const linearScale = (
  values: readonly number[],
  from: number,
  to: number,
  { nice = true, count = 4 }: LinearOptions = {},
): Scale => {
  const [low = 0, high = 1] = extent(values.filter(Number.isFinite))
  const scale = scaleLinear([low, high > low ? high : low + (Math.abs(low) || 1)], [from, to])
  if (nice) scale.nice(count)
  return {
    at: (value) => round(scale(value)),
    ticks: scale.ticks(count).map((value) => ({ value, label: numberLabel(value) })),
    shows: Number.isFinite,
  }
}

/** As `linearScale`, over the logarithm: only finite values above 0 have a place. */
export const logScale = (values: readonly number[], from: number, to: number): Scale => {
  const shows = (value: number) => value > 0 && Number.isFinite(value)
  const [low = 1, high = 2] = extent(values.filter(shows))
  const domain: [number, number] = [low, high > low ? high : 2 * low]
  const scale = scaleLog(domain, [from, to])
  return {
    at: (value) => round(scale(value)),
    ticks: logTicks(...domain).map((value) => ({ value, label: powerLabel(value) })),
    shows,
  }
}

/**
 * Powers of ten with 2 and 5 times those, or the powers alone where that would be more than nine ticks. d3 gives all
 * multiples from 1 to 9, more than there is room for, and on a range too short for any of this round values.
 */
export const logTicks = (low: number, high: number): number[] => {
  const all = scaleLog([low, high], [0, 1]).ticks(5)
  const multiples = (...factors: readonly number[]) => all.filter((value) => factors.includes(scientific(value)[0]))
  const dense = multiples(1, 2, 5)
  if (dense.length < 2) return all
  return dense.length <= 9 ? dense : multiples(1)
}

/** The factor and the power of a number in scientific notation. */
const scientific = (value: number, digits?: number): [factor: number, power: number] => {
  const [factor, power] = value.toExponential(digits).split('e')
  return [Number(factor), Number(power)]
}

const plain = format(',.6~r')
const small = format('.2~e')

/** 1,234 and 0.25, without zeros at the end; 1.5e-5 where zeros after the point would fill the margin of a chart. */
const numberLabel = (value: number) => (value !== 0 && Math.abs(value) < 0.001 ? small(value) : plain(value))

const superscript = (power: number) =>
  [...String(power)].map((c) => '⁰¹²³⁴⁵⁶⁷⁸⁹'['0123456789'.indexOf(c)] ?? '⁻').join('')

/** 0.05, 200, 10⁹, 2×10⁹ */
export const powerLabel = (value: number): string => {
  if (value >= 0.001 && value < 10_000) return numberLabel(value)
  const [factor, power] = scientific(value, 1)
  return factor === 1 ? `10${superscript(power)}` : `${factor}×10${superscript(power)}`
}
