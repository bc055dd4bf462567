/** The standard error of a mean whose values come in clusters, such as several judgements of one prompt. */
import { mean } from './summary.ts'

/**
 * The cluster-robust error with the factor G / (G - 1) of G clusters (Liang and Zeger 1986). Where each value is a cluster of
 * its own it is the usual one, deviation / sqrt(n). NaN of fewer than two clusters.
 * @param clusters of each value
 */
export const clusteredError = (values: readonly number[], clusters: readonly string[]): number => {
  const centre = mean(values)
  const residuals = new Map<string, number>()
  values.forEach((value, i) => {
    residuals.set(clusters[i], (residuals.get(clusters[i]) ?? 0) + value - centre)
  })
  const G = residuals.size
  if (G < 2) return Number.NaN
  let squares = 0
  for (const residual of residuals.values()) squares += residual * residual
  return Math.sqrt((G / (G - 1)) * squares) / values.length
}
