/** How sure a mean of few measurements, or a share of counted answers, is. */
import { mean, standardError } from './summary.ts'

export type Interval = { value: number; low: number; high: number }

/** A share with its confidence interval, all in [0, 1]. */
export type Share = { right: number; total: number; share: number; low: number; high: number }

/** The normal quantile of 97.5 %: intervals are of 95 %. */
const z = 1.959963984540054

/**
 * Wilson's score interval, which keeps its level near 0 and 1 where the usual one does not (Wilson 1927; Brown, Cai and
 * DasGupta 2001). @param total at least 1
 */
export const wilson = (right: number, total: number): Share => {
  const share = right / total
  const weight = z ** 2 / total
  const centre = (share + weight / 2) / (1 + weight)
  const half = (z * Math.sqrt((share * (1 - share)) / total + weight / (4 * total))) / (1 + weight)
  return { right, total, share, low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

/** 97.5 % quantiles of Student's t by degrees of freedom, from 1. */
const tTable = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228]

/** Beyond the table by its expansion in 1 / freedom (Abramowitz and Stegun 26.7.5), right to 2e-4 there. */
const tQuantile = (freedom: number) =>
  tTable[freedom - 1] ?? z + 2.37227 / freedom + 2.8225 / freedom ** 2 + 2.55585 / freedom ** 3

/** The mean of a few measurements with its 95 % interval (Student's t); infinite for a single one. */
export const tInterval = (values: readonly number[]): Interval => {
  const value = mean(values)
  const freedom = values.length - 1
  if (freedom < 1) return { value, low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }
  const half = tQuantile(freedom) * standardError(values)
  return { value, low: value - half, high: value + half }
}
