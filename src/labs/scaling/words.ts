/** What the numbers come to, in sentences made from them. */
import { powerLabel } from '../axes.ts'
import { type Against, type Comparison, type Verdict, verdictOf } from './modified.ts'
import type { Method } from './settings.ts'
import type { StandardLaw } from './standard.ts'

const flopsText = (flops: number) => `${powerLabel(Number(flops.toPrecision(2)))} FLOPs`

const two = (x: number) => x.toFixed(2)

export const inWords = (standard: StandardLaw, comparisons: readonly Comparison[]): string[] => [
  ...bestSizes(standard),
  ...lawText(standard),
  ...answers(comparisons),
]

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
    `Along the lower envelope the validation loss falls as one over compute to the power ${two(law.exponent)} (95 % of resamples: ${two(law.low)} to ${two(law.high)}), fitted from ${flopsText(law.from)} to ${flopsText(law.to)}.`,
    `The intervals come from ${few === 1 ? 'one seed, so they say nothing' : `${few} seeds of data, weights and order`}; the law describes this task and this range, and the loss of so small a data set ends where it is learned by heart.`,
  ]
}

export const methodTitles: Record<Method, string> = { sft: 'SFT', spin: 'SPIN', 't-spin': 'T-SPIN', asft: 'aSFT' }

/** At equal compute: does each method beat supervised training, and from which size on? */
const answers = (comparisons: readonly Comparison[]): string[] => {
  const methods = [...new Set(comparisons.map(({ method }) => method))]
  const texts = methods.map((method) =>
    answer(
      method,
      comparisons.filter((each) => each.method === method),
    ),
  )
  const single = comparisons.some(({ own, whole }) => (own ?? whole)?.seeds === 1)
  const limits =
    'Limits: one task of 1,000 sums, small models, one learning rate and beta for self-play that were not tuned for each size; supervised training is taken at its best so far, self-play too.'
  return methods.length
    ? [...texts, single ? `${limits} One seed gives no interval, so nothing here is sure.` : limits]
    : []
}

const answer = (method: Method, sizes: readonly Comparison[]): string => {
  const name = methodTitles[method]
  const helped = sizes.some(({ helperFlops }) => helperFlops > 0)
  const loss = verdict(sizes, (each) => each.own && verdictOf(each.own.loss, -1))
  const exact = verdict(sizes, (each) => each.own && verdictOf(each.own.exact, 1))
  const whole = verdict(sizes, (each) => each.whole && verdictOf(each.whole.exact, 1))
  const counted = helped
    ? ` With the compute of the larger model that helps counted too, against supervised training of the best size: exact answers ${whole}.`
    : ''
  return `Does ${name} beat supervised training at equal compute? By the validation loss ${loss}; by exact answers ${exact}.${counted}`
}

/** yes from a size on, no, or not told apart; by size, smallest first. */
const verdict = (sizes: readonly Comparison[], of: (comparison: Comparison) => Verdict | undefined): string => {
  const known = sizes.flatMap((each) => {
    const found = of(each)
    return found ? [{ hidden: each.hidden, found }] : []
  })
  if (!known.length) return 'cannot be said, for no supervised run is as long'
  const last = known.findLastIndex(({ found }) => found !== 'better')
  const list = (found: Verdict) => known.filter((each) => each.found === found).map(({ hidden }) => hidden)
  if (last < known.length - 1) return `yes, from hidden size ${known[last + 1].hidden} on`
  const [better, worse, unsure] = [list('better'), list('worse'), list('unsure')]
  const parts = [
    ...(better.length ? [`better at hidden size ${better.join(', ')}`] : []),
    ...(worse.length ? [`worse at ${worse.join(', ')}`] : []),
    ...(unsure.length ? [`not to be told apart at ${unsure.join(', ')}`] : []),
  ]
  return `no: ${parts.join(', ')}`
}

/** -12 % (-20 to -3) */
export const lossChange = ({ loss: { value, low, high } }: Against): string => {
  const percent = (x: number) =>
    Number.isFinite(x) ? `${x > 0 ? '+' : ''}${(100 * (Math.exp(x) - 1)).toFixed(0)}` : '?'
  return `${percent(value)} % (${percent(low)} to ${percent(high)})`
}

/** +3.1 points (-1.0 to 7.2) */
export const exactChange = ({ exact: { value, low, high } }: Against): string => {
  const points = (x: number) => (Number.isFinite(x) ? `${x > 0 ? '+' : ''}${(100 * x).toFixed(1)}` : '?')
  return `${points(value)} (${points(low)} to ${points(high)})`
}
