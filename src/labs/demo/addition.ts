/**
 * Data of the demo: sums of two numbers of two digits, completed by a simulated class of students who often say one too
 * many. A model that imitates the class learns to add, and learns the mistake as well; that is what the demo then aligns.
 */
import { permutation, rng } from '../../util/rng.ts'

export type Sum = { a: number; b: number }

export const totalOf = ({ a, b }: Sum) => a + b
export const promptOf = ({ a, b }: Sum) => `${a}+${b}=`

/** How many sums are for supervised fine-tuning, for rankings, and for the evaluation. */
export type SplitSizes = { taught: number; ranked: number; tested: number }

/** Streams of random numbers of one seed. */
const streams = { split: 0xadd, order: 0xade, completion: 0xadf, slip: 0xae0 }

/** Every pair of numbers of so many digits once, whichever comes first: 4,095 of two digits. */
const allSums = (digits: number): Sum[] => {
  const [low, count] = [10 ** (digits - 1), 9 * 10 ** (digits - 1)]
  return Array.from({ length: count }, (_, i) => i + low).flatMap((a) =>
    Array.from({ length: low + count - a }, (_, i) => ({ a, b: a + i })),
  )
}

/** Draws the sums of each part by the seed. No sum is in two parts, in either order. */
export const splitSums = (
  seed: number,
  { taught, ranked, tested }: SplitSizes,
  digits = 2,
): Record<keyof SplitSizes, Sum[]> => {
  const all = allSums(digits)
  const order = permutation(all.length, rng(seed, streams.split))
  const swap = rng(seed, streams.order)
  const drawn = [...order].slice(0, taught + ranked + tested).map((i, at) => ordered(all[i], swap.uniform(at)))
  const part = (from: number, count: number) => drawn.slice(from, from + count)
  return { taught: part(0, taught), ranked: part(taught, ranked), tested: part(taught + ranked, tested) }
}

const ordered = ({ a, b }: Sum, uniform: number): Sum => (uniform < 0.5 ? { a, b } : { a: b, b: a })

/** How often a student is right (`right`), one too many (`close`), or a ten too low or too high (`wrong`). */
export const classShares = { right: 0.4, close: 0.45, wrong: 0.15 }

/** Rows for `sft`: each sum once for each student, in either order, with what the student says. */
export const classCompletions = (seed: number, sums: readonly Sum[], students: number) => {
  const swap = rng(seed, streams.order + 1)
  const said = rng(seed, streams.completion)
  const slipped = rng(seed, streams.slip)
  return sums.flatMap((sum, i) =>
    Array.from({ length: students }, (_, student) => {
      const at = i * students + student
      const completion = String(totalOf(sum) + mistake(said.uniform(at), slipped.uniform(at)))
      return { prompt: promptOf(ordered(sum, swap.uniform(at))), completion }
    }),
  )
}

const mistake = (said: number, slipped: number): number => {
  if (said < classShares.right) return 0
  if (said < classShares.right + classShares.close) return 1
  return slipped < 0.5 ? -10 : 10
}

/**
 * The lowest loss that any model can reach on `classCompletions`, in nats per token: the entropy of the students' mistakes,
 * which nobody can predict. Tokens are characters, and the end of each completion.
 */
export const lossFloor = (rows: readonly { completion: string }[]): number => {
  const { right, close, wrong } = classShares
  const entropy = [right, close, wrong / 2, wrong / 2].reduce((sum, p) => sum - p * Math.log(p), 0)
  return (entropy * rows.length) / rows.reduce((sum, { completion }) => sum + completion.length + 1, 0)
}

/** Rows with right answers, for `sft`, `spin` and `asft`. */
export const rightAnswers = (sums: readonly Sum[]) =>
  sums.map((sum) => ({ prompt: promptOf(sum), completion: String(totalOf(sum)) }))

/** How far a completion is off the right sum; infinity where it is no number. */
export const errorOf = (sum: Sum, completion: string): number =>
  /^\d+$/.test(completion) ? Math.abs(Number(completion) - totalOf(sum)) : Number.POSITIVE_INFINITY

/** A row for `dpo`. */
export type Ranking = { prompt: string; responses: string[]; ranks: number[] }

/**
 * Ranks the completions with the smallest errors, best first, one for each size of error.
 * @returns undefined where there are fewer than `places` different errors
 */
export const rankCompletions = (sum: Sum, completions: readonly string[], places = 3): Ranking | undefined => {
  const byError = new Map<number, string>()
  for (const completion of completions) {
    const error = errorOf(sum, completion)
    if (!byError.has(error)) byError.set(error, completion)
  }
  const best = [...byError].sort(([one], [other]) => one - other).slice(0, places)
  if (best.length < places) return undefined
  return {
    prompt: promptOf(sum),
    responses: best.map(([, completion]) => completion),
    ranks: best.map((_, k) => k + 1),
  }
}
