/** How sure a share of counted answers is. */

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
