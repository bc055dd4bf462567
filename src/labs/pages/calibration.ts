/** The calibration page of a reward model: reliability diagram, calibration errors, and accuracy by confidence. */

import type { Calibration } from '../../recipes/reward/calibration.ts'
import { figure } from '../../report/figures.ts'
import { html, raw } from '../../report/html.ts'
import { facts, page, table } from '../../report/page.ts'
import { type Plot, plotChart } from '../../report/plot.ts'
import { wilson } from '../../statistics/intervals.ts'
import { percent } from '../../util/format.ts'

/** Accuracy against confidence, with Wilson's 95 % intervals; a calibrated model lies on the diagonal. */
const reliabilityPlot = ({ bins }: Calibration): Plot => {
  const filled = bins.filter(({ pairs }) => pairs > 0)
  return {
    title: 'Reliability',
    x: { name: 'confidence (probability of the response that the model prefers)' },
    y: { name: 'accuracy (share of pairs where it is right)' },
    series: [
      {
        name: 'calibrated',
        color: 1,
        dashed: true,
        points: [
          [0.5, 0.5],
          [1, 1],
        ],
      },
      {
        name: 'model',
        color: 0,
        dots: true,
        points: filled.map(({ confidence, accuracy }) => [confidence, accuracy]),
        interval: filled.map(({ accuracy, pairs }) => {
          const { low, high } = wilson(accuracy * pairs, pairs)
          return [low, high]
        }),
      },
    ],
  }
}

/** @returns an `<svg>` element */
export const reliabilitySvg = (calibration: Calibration): string => plotChart(reliabilityPlot(calibration))

/** A correlation of responses that are all of one length is not defined, and null in calibration.json. */
const digits = (x: number | null, count: number) =>
  x !== null && Number.isFinite(x) ? x.toFixed(count) : 'not defined'

/** Where all pairs are right, or all wrong, the standard error says nothing and Wilson's interval takes its place. */
const accuracyText = (accuracy: number, error: number, pairs: number): string => {
  if (error !== 0) return `${percent(accuracy, 1)} ± ${percent(error, 1)}`
  const { low, high } = wilson(accuracy * pairs, pairs)
  return `${percent(accuracy, 1)} (95 %: ${percent(low, 1)} to ${percent(high, 1)})`
}

/** @param model its name   @returns a self-contained page */
export const calibrationPage = (model: string, calibration: Calibration): string => {
  const { accuracy, accuracy_se, brier, log_loss, ece, pairs, rows, rewards, length, slices, kind } = calibration
  const bins = calibration.bins.filter((bin) => bin.pairs > 0)
  return page({
    title: `Calibration: ${model}`,
    body: [
      html`<h1>Can its probabilities be believed?</h1>
<p>${model} (${kind}) on ${pairs} held-out pairs of ${rows} prompts. Where it is 70 % sure which response is better, it should
be right in 70 % of the pairs.</p>`,
      figure(
        reliabilityPlot(calibration),
        'Each dot stands for the pairs of similar confidence, with 95 % intervals (Wilson). Below the dashed line the model is overconfident, above it underconfident.',
      ),
      facts([
        ['Accuracy ± standard error', accuracyText(accuracy, accuracy_se, rows)],
        ['Expected calibration error (best: 0)', percent(ece, 1)],
        ['Brier score (a coin: 0.25)', digits(brier, 4)],
        ['Log loss (a coin: 0.693)', digits(log_loss, 4)],
        ['Mean reward ± deviation', `${digits(rewards.mean, 3)} ± ${digits(rewards.std, 3)}`],
        ['Reward and length, correlation', digits(length.correlation, 3)],
        ['The better response is the longer one', percent(length.longer_wins, 1)],
      ]),
      html`<p class="soft">Expected calibration error: the mean distance of the dots from the dashed line, over all pairs. Brier score and
log loss penalize a wrong answer more, the more confident the model was; lower is better, and a model that always says 50 %
gets the value in brackets. Where rewards are correlated with length, but the better response is not the longer one more often
than not, the model prefers length itself.</p>`,
      html`<h2>By confidence</h2>`,
      table(
        [
          ['confidence', 'pairs', 'mean', 'right'],
          ...bins.map((bin) => [
            `${percent(bin.from, 1)} to ${percent(bin.to, 1)}`,
            String(bin.pairs),
            percent(bin.confidence, 1),
            percent(bin.accuracy, 1),
          ]),
        ],
        ['', 'n', 'n', 'n'],
      ),
      slices.length > 0
        ? html`<h2>By the difference of ratings</h2>
${table(
  [
    ['difference', 'pairs', 'right'],
    ...slices.map((slice) => [
      `${slice.from} to ${slice.to}`,
      String(slice.pairs),
      accuracyText(slice.accuracy, slice.accuracy_se, slice.pairs),
    ]),
  ],
  ['', 'n', 'n'],
)}`
        : raw(''),
    ],
  })
}
