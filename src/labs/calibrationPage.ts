/** How far a reward model's probabilities can be believed, as a page: the reliability curve and the numbers beside it. */
import type { Calibration } from '../recipes/reward/calibration.ts'
import { html, raw } from './html.ts'
import { facts, figure, page, table } from './page.ts'
import { type Plot, plotChart } from './plot.ts'

const percent = (x: number) => `${(100 * x).toFixed(1)} %`

/** Accuracy against confidence, with an interval of two standard errors; a calibrated model lies on the diagonal. */
export const reliabilityPlot = ({ bins }: Calibration): Plot => {
  const filled = bins.filter(({ pairs }) => pairs > 0)
  const error = ({ accuracy, pairs }: (typeof bins)[number]) => Math.sqrt((accuracy * (1 - accuracy)) / pairs)
  return {
    title: 'Reliability',
    x: { name: 'how sure the model is' },
    y: { name: 'how often it is right' },
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
        interval: filled.map((bin) => [
          Math.max(0, bin.accuracy - 2 * error(bin)),
          Math.min(1, bin.accuracy + 2 * error(bin)),
        ]),
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
      figure(reliabilityPlot(calibration), 'Each dot is the pairs of like confidence, with two standard errors.'),
      facts([
        ['Accuracy', `${percent(accuracy)} ± ${percent(accuracy_se)}`],
        ['Expected calibration error', percent(ece)],
        ['Brier score (a coin: 0.25)', digits(brier, 4)],
        ['Log loss (a coin: 0.693)', digits(log_loss, 4)],
        ['Mean reward', `${digits(rewards.mean, 3)} ± ${digits(rewards.std, 3)}`],
        ['Reward and length, correlation', digits(length.correlation, 3)],
        ['The better reply is the longer', percent(length.longer_wins)],
      ]),
      html`<h2>By confidence</h2>`,
      table(
        [
          ['confidence', 'pairs', 'mean confidence', 'right'],
          ...bins.map((bin) => [
            `${percent(bin.from)} to ${percent(bin.to)}`,
            String(bin.pairs),
            percent(bin.confidence),
            percent(bin.accuracy),
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
      `${percent(slice.accuracy)} ± ${percent(slice.accuracy_se)}`,
    ]),
  ],
  ['', 'n', 'n'],
)}`
        : raw(''),
    ],
  })
}
