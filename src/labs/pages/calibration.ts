/** How far a reward model's probabilities can be believed, as a page: the reliability curve and the numbers beside it. */
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
    x: { name: 'how sure the model is (probability of the reply that it prefers)' },
    y: { name: 'how often it is right (share of pairs)' },
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

export const reliabilitySvg = (calibration: Calibration): string => plotChart(reliabilityPlot(calibration))

/** What is no number (of replies that are all of one length) is null once it was in a file. */
const digits = (x: number | null, count: number) =>
  x !== null && Number.isFinite(x) ? x.toFixed(count) : 'not defined'

/** A self-contained page. */
export const calibrationPage = (model: string, calibration: Calibration): string => {
  const { accuracy, accuracy_se, brier, log_loss, ece, pairs, rows, rewards, length, slices, kind } = calibration
  const bins = calibration.bins.filter((bin) => bin.pairs > 0)
  return page({
    title: `Calibration: ${model}`,
    body: [
      html`<h1>Can its probabilities be believed?</h1>
<p>${model} (${kind}) on ${pairs} held-out pairs of ${rows} prompts. Where it is 70 % sure which reply is better, it should
be right in 70 % of the pairs.</p>`,
      figure(
        reliabilityPlot(calibration),
        'Each dot is the pairs of like confidence, with 95 % intervals (Wilson). Below the dashed line the model is surer than it may be, above it less sure.',
      ),
      facts([
        ['Accuracy ± standard error', `${percent(accuracy, 1)} ± ${percent(accuracy_se, 1)}`],
        ['Expected calibration error (best: 0)', percent(ece, 1)],
        ['Brier score (a coin: 0.25)', digits(brier, 4)],
        ['Log loss (a coin: 0.693)', digits(log_loss, 4)],
        ['Mean reward ± deviation', `${digits(rewards.mean, 3)} ± ${digits(rewards.std, 3)}`],
        ['Reward and length, correlation', digits(length.correlation, 3)],
        ['The better reply is the longer', percent(length.longer_wins, 1)],
      ]),
      html`<p class="soft">Expected calibration error: how far the dots lie from the dashed line, in the mean over pairs. Brier score and
log loss punish being wrong the more, the surer the model was; less is better, and a coin that is never sure gets what
stands in brackets. Where rewards follow length, and the better reply is no more often the longer one, the model likes
length for itself.</p>`,
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
      `${percent(slice.accuracy, 1)} ± ${percent(slice.accuracy_se, 1)}`,
    ]),
  ],
  ['', 'n', 'n'],
)}`
        : raw(''),
    ],
  })
}
