/** The conclusions of a sweep: sentences that are made from its numbers. They are kept in findings.json. */
import { powerLabel } from '../../report/scales.ts'
import { plural, whole } from '../../util/format.ts'
import type { Comparison, Difference } from './equalCompute.ts'
import { fewestSeeds, largestMisfit, leastSeeds, type ScalingLaw } from './scalingLaw.ts'
import { type Method, type Plan, presets } from './settings.ts'

const flopsText = (flops: number) => `${powerLabel(Number(flops.toPrecision(2)))} FLOPs`

export const scalingConclusions = (standard: ScalingLaw, comparisons: readonly Comparison[], plan: Plan): string[] =>
  leastSeeds(standard) < fewestSeeds
    ? [...accuracyText(standard, comparisons, plan), fewSeedsText(leastSeeds(standard))]
    : [
        ...accuracyText(standard, comparisons, plan),
        ...bestSizeText(standard),
        ...lawText(standard),
        ...selfPlayText(comparisons, plan),
      ]

const fewSeedsText = (seeds: number): string =>
  `The plots show how training went with ${plural(seeds, 'seed')}. Which size or which method is better they cannot say: seeds differ too much. Conclusions are drawn from ${fewestSeeds} seeds on, and attune scaling --preset small trains ${presets.small.seeds}.`

/** How many sums the models complete exactly at the end: what a reader wants to know first. */
const accuracyText = (
  { sizes }: ScalingLaw,
  comparisons: readonly Comparison[],
  { taught, held: heldOut }: Plan,
): string[] => {
  if (!sizes.length) return []
  const share = (exact: number) => `${(100 * exact).toFixed(0)} %`
  const trained = sizes.map(({ hidden, exact }) => `${share(exact)} at hidden size ${hidden}`).join(', ')
  const seeds = Math.max(...sizes.map((size) => size.seeds))
  const played = comparisons.map(({ method, hidden, exact }) => `${methodTitles[method]} ${share(exact)} at ${hidden}`)
  const later = played.length ? ` Begun from earlier weights, self-play ends at: ${played.join(', ')}.` : ''
  return [
    `From random weights and ${whole(taught)} sums the models learn to add: of ${whole(heldOut)} sums that they never saw they answer exactly ${trained}.${later}${seeds > 1 ? ` These are means of ${seeds} seeds.` : ''}`,
  ]
}

const bestSizeText = ({ budgets, envelope, sizes }: ScalingLaw): string[] => {
  if (!envelope.length && sizes.length > 1)
    return ['The sizes were trained with no compute in common, so which is the best for a budget cannot be said.']
  if (budgets.length < 2)
    return ['Where all sizes were trained, none came below the loss of guessed digits; train longer.']
  const changes = budgets.filter(({ hidden }, i) => i === 0 || hidden !== budgets[i - 1].hidden)
  const named = changes.map(({ hidden, flops }) => `hidden size ${hidden} from ${flopsText(flops)}`)
  const range = `Between ${flopsText(budgets[0].flops)} and ${flopsText(budgets.at(-1)!.flops)}, where every size was trained`
  const text =
    changes.length > 1
      ? `${range}, the lowest loss moves from size to size: ${named.join(', ')} on.`
      : `${range}, hidden size ${budgets[0].hidden} has the lowest loss.`
  return [`${text} Each size has one constant learning rate of its own, and no other was tried here.`]
}

const lawText = ({ law, sizes }: ScalingLaw): string[] => {
  if (!law) return []
  const range = `from ${flopsText(law.from)} to ${flopsText(law.to)}`
  if (law.misfit > largestMisfit)
    return [
      `No power law describes the lower envelope ${range}: the best one misses its points by up to ${law.misfit.toFixed(1)} times.`,
    ]
  const few = leastSeeds({ sizes })
  return [
    `Along the lower envelope ${range} the validation loss falls as one over compute to the power ${law.exponent.toFixed(2)} (95 % of resamples: ${law.low.toFixed(2)} to ${law.high.toFixed(2)}), which misses its points by up to ${law.misfit.toFixed(2)} times.`,
    `The intervals come from ${few} seeds of data, weights and order; the law describes this task and this range, and the loss of so small a data set ends where it is learned by heart.`,
  ]
}

export const methodTitles: Record<Method, string> = { sft: 'SFT', spin: 'SPIN', 't-spin': 'T-SPIN', asft: 'aSFT' }

/** What the comparison at equal compute can say, and what it cannot. */
const selfPlayText = (comparisons: readonly Comparison[], { selfPlay, sizes }: Plan): string[] => {
  if (!comparisons.length) return []
  const titles = [...new Set(comparisons.map(({ method }) => methodTitles[method]))]
  const methods =
    titles.length > 1 ? `${titles.slice(0, -1).join(', ')} and ${titles.at(-1)} stand` : `${titles[0]} stands`
  const rates = sizes.map(({ learningRate }) => learningRate)
  const range = [...new Set([Math.min(...rates), Math.max(...rates)])].join(' to ')
  return [
    `${methods} beside supervised training at equal compute. Which is better cannot be said from that: self-play learns at ${selfPlay.learningRate}, supervised training at a constant ${range}, and a smaller rate at the end lowers the loss by itself. The rival that is missing is supervised training that goes on from the same weights at ${selfPlay.learningRate}.`,
    `Supervised training is taken at the least of all its evaluations on the held-out sums, self-play at the least of a few, and the intervals are not corrected for how many there are.`,
  ]
}

/** -12 % (-20 to -3) */
export const lossChange = ({ loss: { value, low, high } }: Difference): string => {
  const percent = (x: number) =>
    Number.isFinite(x) ? `${x > 0 ? '+' : ''}${(100 * (Math.exp(x) - 1)).toFixed(0)}` : '?'
  return `${percent(value)} % (${percent(low)} to ${percent(high)})`
}

/** +3.1 points (-1.0 to 7.2) */
export const exactChange = ({ exact: { value, low, high } }: Difference): string => {
  const points = (x: number) => (Number.isFinite(x) ? `${x > 0 ? '+' : ''}${(100 * x).toFixed(1)}` : '?')
  return `${points(value)} (${points(low)} to ${points(high)})`
}
