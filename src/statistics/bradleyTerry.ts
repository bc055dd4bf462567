/**
 * Strengths of players from who beat whom: the maximum likelihood of Bradley and Terry (1952), by Newton's method, with
 * standard errors from the information matrix.
 */
import { inverseOf, times } from './cholesky.ts'

export type BradleyTerryFit = {
  /** Natural logarithms of the strengths, which add up to 0: i beats j with probability sigmoid(b_i - b_j). */
  strengths: number[]
  /** Covariance of the strengths, for strengths that add up to 0, [K][K]. */
  covariance: number[][]
  logLikelihood: number
}

const mostSteps = 200

/**
 * @param wins [K][K]: how often i beat j; a tie is half a win of each
 * @returns undefined where there is no finite maximum: some players never beat any of the others (Ford 1957)
 */
export const bradleyTerry = (wins: readonly (readonly number[])[]): BradleyTerryFit | undefined => {
  const K = wins.length
  if (K < 2 || !isStronglyConnected(wins)) return undefined
  let strengths = Array<number>(K).fill(0)
  let at = expansion(wins, strengths)
  for (let step = 0; step < mostSteps; step++) {
    const inverse = inverseOf(withOnes(at.information))
    if (!inverse) return undefined
    const change = times(inverse, at.gradient)
    const size = Math.max(...change.map(Math.abs))
    let part = 1
    for (; ; part /= 2) {
      const next = strengths.map((x, i) => x + part * change[i])
      const then = expansion(wins, next)
      if (then.logLikelihood < at.logLikelihood - 1e-12 * Math.abs(at.logLikelihood) && part > 1e-6) continue
      strengths = next
      at = then
      break
    }
    if (size < 1e-10) break
  }
  const centre = strengths.reduce((a, b) => a + b, 0) / K
  const inverse = inverseOf(withOnes(at.information))
  if (!inverse) return undefined
  return {
    strengths: strengths.map((x) => x - centre),
    // The pseudoinverse: what was added for the ones is taken away again
    covariance: inverse.map((row) => row.map((x) => x - 1 / (K * K))),
    logLikelihood: at.logLikelihood,
  }
}

/** Standard errors of strengths that add up to 0. */
export const strengthErrors = ({ covariance }: BradleyTerryFit): number[] =>
  covariance.map((row, i) => Math.sqrt(row[i]))

/** Standard errors of strengths less that of a reference player. */
export const strengthErrorsFrom = ({ covariance: c }: BradleyTerryFit, reference: number): number[] =>
  c.map((row, i) => Math.sqrt(Math.max(0, row[i] + c[reference][reference] - 2 * row[reference])))

/** The information matrix has no inverse, since only differences of strengths matter; with ones added it has. */
const withOnes = (information: readonly (readonly number[])[]) => information.map((row) => row.map((x) => x + 1))

const expansion = (wins: readonly (readonly number[])[], strengths: readonly number[]) => {
  const K = wins.length
  const gradient = Array<number>(K).fill(0)
  const information = wins.map(() => Array<number>(K).fill(0))
  let logLikelihood = 0
  for (let i = 0; i < K; i++)
    for (let j = 0; j < i; j++) {
      const games = wins[i][j] + wins[j][i]
      if (games === 0) continue
      const z = strengths[i] - strengths[j]
      const p = 1 / (1 + Math.exp(-z))
      logLikelihood -= wins[i][j] * logOnePlusExp(-z) + wins[j][i] * logOnePlusExp(z)
      const slope = wins[i][j] - games * p
      gradient[i] += slope
      gradient[j] -= slope
      const curve = games * p * (1 - p)
      information[i][i] += curve
      information[j][j] += curve
      information[i][j] -= curve
      information[j][i] -= curve
    }
  return { gradient, information, logLikelihood }
}

const logOnePlusExp = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)))

/** Whether each player beat, by a chain of wins, every other one. */
const isStronglyConnected = (wins: readonly (readonly number[])[]): boolean => {
  const reaches = (beats: (i: number, j: number) => boolean) => {
    const seen = new Set([0])
    // A set that grows while it is gone through
    for (const i of seen) for (let j = 0; j < wins.length; j++) if (beats(i, j)) seen.add(j)
    return seen.size === wins.length
  }
  return reaches((i, j) => wins[i][j] > 0) && reaches((i, j) => wins[j][i] > 0)
}
