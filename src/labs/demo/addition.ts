/**
 * A task that is learned in a minute: adding two numbers of two digits. Peculiar: the answers to learn from are those of
 * a class in which "one too many" is said more often than what is right, so imitation alone learns the mistake as well.
 */
import { permutation, rng } from '../../util/rng.ts'

export type Sum = { a: number; b: number }

export const totalOf = ({ a, b }: Sum) => a + b
export const question = ({ a, b }: Sum) => `${a}+${b}=`

/** How many sums each part of the demo has. */
export type Deal = { taught: number; ranked: number; tested: number }

/** Keep random numbers of one seed apart. */
const streams = { deal: 0xadd, order: 0xade, answer: 0xadf, slip: 0xae0 }

/** Every pair of numbers from 10 to 99 once, whichever comes first: 4,095. */
const allSums: readonly Sum[] = Array.from({ length: 90 }, (_, i) => i + 10).flatMap((a) =>
  Array.from({ length: 100 - a }, (_, i) => ({ a, b: a + i })),
)

/** Sums for each part, drawn by the seed. None is in two parts, in either order. */
export const dealSums = (seed: number, { taught, ranked, tested }: Deal): Record<keyof Deal, Sum[]> => {
  const order = permutation(allSums.length, rng(seed, streams.deal))
  const turned = rng(seed, streams.order)
  const dealt = [...order].map((i, at) => ordered(allSums[i], turned.uniform(at)))
  const part = (from: number, count: number) => dealt.slice(from, from + count)
  return { taught: part(0, taught), ranked: part(taught, ranked), tested: part(taught + ranked, tested) }
}

const ordered = ({ a, b }: Sum, uniform: number): Sum => (uniform < 0.5 ? { a, b } : { a: b, b: a })

/** How often the class is right, or one too many; else it is a ten too low or too high. */
export const classShares = { right: 0.4, close: 0.45, wrong: 0.15 }

/** Training rows of `sft`: each sum as often as there are students, in either order, with what each of them said. */
export const classAnswers = (seed: number, sums: readonly Sum[], students: number) => {
  const [turned, said, slipped] = [streams.order + 1, streams.answer, streams.slip].map((stream) => rng(seed, stream))
  return sums.flatMap((sum, i) =>
    Array.from({ length: students }, (_, student) => {
      const at = i * students + student
      const completion = String(totalOf(sum) + mistake(said.uniform(at), slipped.uniform(at)))
      return { prompt: question(ordered(sum, turned.uniform(at))), completion }
    }),
  )
}

const mistake = (said: number, slipped: number): number => {
  if (said < classShares.right) return 0
  if (said < classShares.right + classShares.close) return 1
  return slipped < 0.5 ? -10 : 10
}

/**
 * The cross-entropy of a model that knows the class by heart, in nats per token: which student errs when is chance.
 * Tokens are characters, and the end of each answer.
 */
export const leastLoss = (rows: readonly { completion: string }[]): number => {
  const { right, close, wrong } = classShares
  const entropy = [right, close, wrong / 2, wrong / 2].reduce((sum, p) => sum - p * Math.log(p), 0)
  return (entropy * rows.length) / rows.reduce((sum, { completion }) => sum + completion.length + 1, 0)
}

/** How far off an answer is; infinitely where it is no number. */
export const distance = (sum: Sum, answer: string): number =>
  /^\d+$/.test(answer) ? Math.abs(Number(answer) - totalOf(sum)) : Number.POSITIVE_INFINITY

/** A row of `dpo`. */
export type Ranking = { prompt: string; responses: string[]; ranks: number[] }

/** The answers that are least off, nearest first, none as far off as another; undefined where there are fewer. */
export const rankAnswers = (sum: Sum, answers: readonly string[], places = 3): Ranking | undefined => {
  const nearest = new Map<number, string>()
  for (const answer of answers) if (!nearest.has(distance(sum, answer))) nearest.set(distance(sum, answer), answer)
  const best = [...nearest].sort(([one], [other]) => one - other).slice(0, places)
  if (best.length < places) return undefined
  return { prompt: question(sum), responses: best.map(([, answer]) => answer), ranks: best.map((_, k) => k + 1) }
}
