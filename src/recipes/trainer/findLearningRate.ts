/** `--find-lr`: the learning-rate range test of a method on its own rows, and the rate that it suggests. */
import type { ProgressEvent } from '../../runs/events.ts'
import { type RangeTestOptions, type RateEvent, rangeTest, risingRates, suggestRate } from '../../train/rangeTest.ts'
import { badInput } from '../../util/fault.ts'
import { formatNumber } from '../../util/format.ts'

/** The last event of `--find-lr`. */
export type FoundRateEvent = {
  event: 'found-lr'
  /** Undefined where no rate lowered the loss. */
  learning_rate?: number
  /** The rate by which the loss had made nine tenths of its fall, and the whole fall below that of the untrained model. */
  knee: number
  fall: number
  /** The mean loss of the untrained model. */
  start: number
  /** Whether the test ended because the loss had doubled. */
  diverged: boolean
  message: string
}

/** From where nothing happens to where nothing survives, by optimizer: SGD has no step of unit size. */
const ranges: Readonly<Record<string, readonly [low: number, high: number]>> = { sgd: [1e-5, 100] }
const usualRange = [1e-7, 1] as const
const steps = 50

const byReward =
  'the loss of a policy gradient does not say how well a model learns; make short runs instead, with --max-steps 30 and a third, once and three times the --learning-rate, and compare their rewards with attune runs compare'
const byOwnAnswers =
  'each rate would need completions of its own; make short runs instead, with --iterations 1, --max-samples 64 and a third, once and three times the --learning-rate, and compare their held-out margins with attune runs compare'
const noRangeTest: Readonly<Record<string, string>> = {
  ...{ reinforce: byReward, rloo: byReward, grpo: byReward, ppo: byReward, 'online-dpo': byReward },
  distill:
    'each rate would need completions of its own; make short runs instead, with --max-steps 30 and a third, once and three times the --learning-rate, and compare their eval_loss with attune runs compare',
  ...{ spin: byOwnAnswers, asft: byOwnAnswers, selfreward: byOwnAnswers },
}

/** Throws a Fault 'bad-flag' for a method that has no range test, and for a run that is resumed. */
export const requireRangeTest = (method: string, resume: boolean): void => {
  const flag = '--find-lr'
  const why = noRangeTest[method]
  if (why) throw badInput('bad-flag', `is not for ${method}: ${why}`, { flag })
  if (resume) throw badInput('bad-flag', 'tries rates on a model before its first step; leave out --resume', { flag })
}

/** Yields every rate that is tried, and what is suggested; nothing more after an abort. */
export async function* findLearningRate({
  optimizer,
  ...options
}: Omit<RangeTestOptions, 'rates'> & { optimizer: string }): AsyncGenerator<
  ProgressEvent | RateEvent | FoundRateEvent
> {
  const [low, high] = ranges[optimizer] ?? usualRange
  const test = yield* rangeTest({ ...options, rates: risingRates(low, high, steps) })
  if (!test) return
  const { start, diverged } = test
  const { rate, knee, fall } = suggestRate(test)
  const message = rate
    ? `a tenth of ${formatNumber(knee)}, by which the loss had made nine tenths of its fall (range test, arXiv 1506.01186)`
    : 'no rate lowered the loss: look at the rows with attune check, or give larger batches (--batch-size)'
  yield { event: 'found-lr', ...(rate && { learning_rate: rate }), knee, fall, start, diverged, message }
}
