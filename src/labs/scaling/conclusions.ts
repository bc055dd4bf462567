/** The conclusions of a study: sentences that are made from its numbers. They are kept in findings.json. */
import { powerLabel } from '../../report/scales.ts'
import { plural, whole } from '../../util/format.ts'
import type { Comparison, Difference, MethodStudy } from './comparison.ts'
import { fewestSeeds, largestMisfit, type ScalingLaws } from './laws.ts'
import { methods } from './methods.ts'
import type { Plan } from './settings.ts'

const flopsText = (flops: number) => `${powerLabel(Number(flops.toPrecision(2)))} FLOPs`

export const scalingConclusions = (laws: ScalingLaws, study: MethodStudy | undefined, plan: Plan): string[] => {
  const lawSeeds = Math.min(...laws.sizes.map(({ seeds }) => seeds))
  return [
    ...exactText(laws, plan),
    ...(lawSeeds < fewestSeeds ? [fewSeedsText(lawSeeds)] : [...bestSizeText(laws), ...lossLawText(laws)]),
    ...(study ? comparisonText(study, plan) : []),
  ]
}

export const fewSeedsText = (seeds: number): string =>
  `The plots show how training went with ${plural(seeds, 'seed')}. Which size or which method is better they cannot say: seeds differ too much. Conclusions are drawn from ${fewestSeeds} seeds on.`

/** How many sums the models complete exactly at the end: what a reader wants to know first. */
const exactText = ({ sizes }: ScalingLaws, { taught, reported, budgets }: Plan): string[] => {
  const most = budgets.at(-1)!
  const ends = sizes.filter(({ budget }) => budget === most)
  if (!ends.length) return []
  const shares = ends.map(({ hidden, exact }) => `${share(exact)} at hidden size ${hidden}`).join(', ')
  const seeds = Math.min(...ends.map((end) => end.seeds))
  return [
    `From random weights and ${whole(taught)} sums the models learn to add: trained with ${flopsText(most)}, they answer exactly, of ${whole(reported)} sums that they never saw, ${shares}.${seeds > 1 ? ` These are means of ${seeds} seeds.` : ''}`,
  ]
}

const share = (x: number) => `${(100 * x).toFixed(0)} %`

const bestSizeText = ({ best }: ScalingLaws): string[] => {
  if (!best.length) return ['No seed has every size trained to every budget, so which size is best cannot be said.']
  const parts = best.map(({ budget, hidden, sure, edge }) => {
    const limit = edge ? `, the ${edge} that was tried` : ''
    return `${hidden} at ${flopsText(budget)} (in ${share(sure)} of resamples${limit})`
  })
  const inner = best.filter(({ optimum }) => optimum).length
  const shape =
    inner === best.length
      ? ''
      : ` The parabola through the sizes has its lowest point between them at ${inner} of ${plural(best.length, 'budget')}: where it has not, the best size may lie beyond those that were tried.`
  return [`The hidden size with the lowest loss: ${parts.join(', ')}.${shape}`]
}

const lossLawText = ({ lossLaw, sizeLaw, best }: ScalingLaws): string[] => {
  const range = best.length ? `from ${flopsText(best[0].budget)} to ${flopsText(best.at(-1)!.budget)}` : ''
  const exponents = ({ exponent, low, high }: NonNullable<typeof lossLaw>) =>
    `${exponent.toFixed(2)} (95 % of resamples: ${low.toFixed(2)} to ${high.toFixed(2)})`
  const loss = !lossLaw
    ? []
    : lossLaw.misfit > largestMisfit
      ? [
          `No power law describes the loss of the best size ${range}: the best one misses a point by ${lossLaw.misfit.toFixed(1)} times.`,
        ]
      : [
          `${range[0].toUpperCase()}${range.slice(1)} the loss of the best size goes as compute to the power ${exponents(lossLaw)}; the law misses no point by more than ${lossLaw.misfit.toFixed(2)} times, and holds for this task alone.`,
        ]
  const size = sizeLaw ? [`The weights of the best size go as compute to the power ${exponents(sizeLaw)}.`] : []
  return [...loss, ...size]
}

/** What the comparison at equal compute can say, and what it cannot. */
const comparisonText = ({ rival, comparisons }: MethodStudy, { comparison }: Plan): string[] => {
  const seeds = Math.min(...comparisons.map((each) => each.seeds))
  if (seeds < fewestSeeds) return [fewSeedsText(seeds)]
  const tested = comparisons.filter(({ byLoss, unequal }) => byLoss && !unequal)
  const named = (some: readonly Comparison[], read: (comparison: Comparison) => string) =>
    some.map((each) => `${methods[each.method].title} at hidden size ${each.hidden} ${read(each)}`).join('; ')
  const better = tested.filter(({ byLoss }) => byLoss!.p < 0.05 && byLoss!.value < 0)
  const worse = tested.filter(({ byLoss }) => byLoss!.p < 0.05 && byLoss!.value > 0)
  const open = tested.filter(({ byLoss }) => byLoss!.p >= 0.05)
  const head = `After the same weights and ${flopsText(comparison.budget)} more, compared with supervised training whose ${rival === 'sft-decay' ? 'learning rate falls to 0' : 'learning rate stays'} (${seeds} seeds, corrected for ${tested.length} comparisons):`
  const parts = [
    better.length
      ? `lower losses: ${named(better, ({ byLoss }) => lossChange(byLoss!))}.`
      : 'no method has a lower loss.',
    ...(worse.length ? [`Higher losses: ${named(worse, ({ byLoss }) => lossChange(byLoss!))}.`] : []),
    ...(open.length
      ? [
          `Not to be told apart: ${named(open, ({ byLoss }) => `${lossChange(byLoss!)}, where a difference of ${percentOf(byLoss!.detectable)} would have been seen`)}.`,
        ]
      : []),
  ]
  const exact = tested.filter(({ byExact }) => byExact!.p < 0.05)
  const right = exact.length
    ? [`Of exact answers: ${named(exact, ({ byExact }) => `${exactChange(byExact!)} points`)}.`]
    : ['Of exact answers no difference is shown.']
  const unequal = comparisons.filter((each) => each.unequal)
  const left = unequal.length
    ? [`Of ${named(unequal, ({ flops }) => `(${flopsText(flops)})`)} nothing is said, since the compute was not equal.`]
    : []
  return [[head, ...parts].join(' '), ...right, ...left]
}

const percentOf = (log: number) => `${(100 * (Math.exp(log) - 1)).toFixed(0)} %`

/** -12 % (-20 to -3) */
export const lossChange = ({ value, low, high }: Difference): string => {
  const percent = (x: number) =>
    Number.isFinite(x) ? `${x > 0 ? '+' : ''}${(100 * (Math.exp(x) - 1)).toFixed(0)}` : '?'
  return `${percent(value)} % (${percent(low)} to ${percent(high)})`
}

/** +3.1 (-1.0 to 7.2) */
export const exactChange = ({ value, low, high }: Difference): string => {
  const points = (x: number) => (Number.isFinite(x) ? `${x > 0 ? '+' : ''}${(100 * x).toFixed(1)}` : '?')
  return `${points(value)} (${points(low)} to ${points(high)})`
}
