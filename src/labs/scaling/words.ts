/** What the numbers come to, in sentences made from them. */
import { powerLabel } from '../axes.ts'
import type { StandardLaw } from './standard.ts'

export const flopsText = (flops: number) => `${powerLabel(Number(flops.toPrecision(2)))} FLOPs`

const two = (x: number) => x.toFixed(2)

export const inWords = (standard: StandardLaw): string[] => [...bestSizes(standard), ...lawText(standard)]

const bestSizes = ({ budgets, growth }: StandardLaw): string[] => {
  if (budgets.length < 2) return ['No size came below the loss of guessed digits; train longer.']
  const turns = budgets.filter(({ hidden }, i) => i === 0 || hidden !== budgets[i - 1].hidden)
  const sizes = turns.map(({ hidden, flops }) => `hidden size ${hidden} from ${flopsText(flops)}`)
  const first = budgets.length > 1 && turns.length > 1
  const text = first
    ? `For every budget there is a best size: ${sizes.join(', ')} on.`
    : `One size is the best at every budget looked at: hidden size ${budgets[0].hidden}, from ${flopsText(budgets[0].flops)} to ${flopsText(budgets.at(-1)!.flops)}.`
  const grown =
    growth &&
    `The best number of weights in the blocks grows as compute to the power ${two(growth.exponent)} (95 % of resamples of the seeds: ${two(growth.low)} to ${two(growth.high)}).`
  return [text, ...(grown ? [grown] : [])]
}

const lawText = ({ law, sizes }: StandardLaw): string[] => {
  if (!law) return []
  const few = Math.min(...sizes.map(({ seeds }) => seeds))
  return [
    `Along the lower envelope the validation loss falls as compute to the power -${two(law.exponent)} (95 % of resamples: ${two(law.low)} to ${two(law.high)}), fitted from ${flopsText(law.from)} to ${flopsText(law.to)}.`,
    `The intervals come from ${few === 1 ? 'one seed, so they say nothing' : `${few} seeds of data, weights and order`}; the law describes this task and this range, and the loss of so small a data set ends where it is learned by heart.`,
  ]
}
