/** What `--find-lr` prints: the loss by learning rate, as a table with bars, and what to type with the rate that it suggests. */
import type { FoundRateEvent } from '../recipes/trainer/findLearningRate.ts'
import { kneeOf, type RateEvent, smoothed } from '../train/rangeTest.ts'
import { formatNumber, shellWord } from '../util/format.ts'
import { painter, type Screen } from './screen.ts'

const mostLines = 18
const widestBar = 32

/** Smoothed losses, as of a model whose untrained loss is the mean one. Where most of the fall was made is marked. */
export const rangeTestTable = (screen: Screen, tried: readonly RateEvent[], { start }: FoundRateEvent): string => {
  const paint = painter(screen)
  const losses = smoothed(tried.map(({ change }) => change)).map((change) => start + change)
  const knee = kneeOf(losses, start)
  const stride = Math.ceil(tried.length / mostLines)
  // The marked line is shown whatever the stride
  const shown = losses.map((_, i) => i).filter((i) => i % stride === knee % stride)
  // At a rate that breaks the model the loss may be any number of times what it was
  const least = Math.min(...losses)
  const most = Math.max(start + Math.abs(start - least) / 2, least + 1e-9)
  const room = Math.max(8, Math.min(widestBar, screen.columns() - 40))
  const bar = (loss: number) =>
    '━'.repeat(Math.max(1, Math.round((room * (Math.min(loss, most) - least)) / (most - least))))
  const line = (i: number) => {
    const drawn = i === knee ? paint('green', `${bar(losses[i])} 9/10 of the fall`) : paint('dim', bar(losses[i]))
    return `${tried[i].learning_rate.toExponential(1).padStart(13)}  ${formatNumber(losses[i]).padStart(8)}  ${drawn}`
  }
  return [paint('dim', 'learning rate      loss'), ...shown.map(line)].join('\n')
}

/** The command that was typed, with this learning rate instead of the range test. */
export const commandWithRate = (argv: readonly string[], rate: number): string => {
  const kept = argv.filter(
    (word, i) =>
      !/^--(find-lr|json|learning-rate=.*)$/.test(word) &&
      !/^--learning-rate$/.test(word) &&
      argv[i - 1] !== '--learning-rate',
  )
  return ['attune', ...kept, '--learning-rate', String(rate)].map(shellWord).join(' ')
}
