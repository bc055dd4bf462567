/** The report's section on self-play at equal compute: plots of loss and exact completions for each size, and a table. */

import { figure } from '../../report/figures.ts'
import { type Html, html } from '../../report/html.ts'
import { table } from '../../report/page.ts'
import type { Plot, PlotSeries } from '../../report/plot.ts'
import { powerLabel } from '../../report/scales.ts'
import { mean } from '../../statistics/summary.ts'
import { percent } from '../../util/format.ts'
import type { CellResult } from './cells.ts'
import { exactChange, lossChange, methodTitles } from './conclusions.ts'
import type { Comparison } from './equalCompute.ts'
import { type Method, methodNames } from './settings.ts'

type CurveValue = { flops: number; helperFlops: number; value: number }

/** The mean over seeds at each point, with the least and the greatest. */
const series = (name: string, runs: readonly CurveValue[][], color: number, look: Partial<PlotSeries>): PlotSeries => {
  const points = runs[0].map((_, i) => runs.map((run) => run[i]).filter(Boolean))
  return {
    name,
    color,
    ...look,
    points: points.map((each) => [mean(each.map(({ flops }) => flops)), mean(each.map(({ value }) => value))]),
    interval: points.map((each) => {
      const values = each.map(({ value }) => value)
      return [Math.min(...values), Math.max(...values)]
    }),
  }
}

const color = (method: Method) => methodNames.indexOf(method)

const seriesOf = (results: readonly CellResult[], read: (result: CellResult) => CurveValue[]): PlotSeries[] =>
  methodNames.flatMap((method) => {
    const group = results.filter((result) => result.method === method).map(read)
    if (!group.length) return []
    const own = series(methodTitles[method], group, color(method), { dots: method !== 'sft' })
    if (!group.flat().some(({ helperFlops }) => helperFlops > 0)) return [own]
    const whole = group.map((run) => run.map((each) => ({ ...each, flops: each.flops + each.helperFlops })))
    return [own, series(`${methodTitles[method]}, helper too`, whole, color(method), { dashed: true, dots: true })]
  })

/** Plots by the names of their files; none without self-play. */
export const equalComputePlots = (results: readonly CellResult[]): Record<string, Plot> => {
  const sizes = [...new Set(results.filter(({ method }) => method !== 'sft').map(({ hidden }) => hidden))]
  const x = { name: 'compute, FLOPs without embedding and logits', log: true }
  const plots = sizes
    .sort((a, b) => a - b)
    .flatMap((hidden): [string, Plot][] => {
      const group = results.filter((result) => result.hidden === hidden)
      const losses = seriesOf(group, ({ curve }) => curve.map(({ loss, ...at }) => ({ ...at, value: loss })))
      const shares = seriesOf(group, ({ marks }) =>
        marks.map(({ exact, ...at }) => ({ ...at, value: 100 * exact.share })),
      )
      const title = (what: string) => `Hidden size ${hidden}: ${what}`
      return [
        [
          `methods-h${hidden}-loss`,
          { title: title('loss'), x, y: { name: 'validation loss, nats per token', log: true }, series: losses },
        ],
        [
          `methods-h${hidden}-exact`,
          { title: title('exact answers'), x, y: { name: 'held-out sums answered exactly, %' }, series: shares },
        ],
      ]
    })
  return Object.fromEntries(plots)
}

const note =
  'Self-play begins part of the way through the supervised run. Its compute counts sampling its own completions, the reference pass over them, and training. Dashed: the training and the completions of the helper model counted too. Lines are means over seeds, bands go from the lowest seed to the highest.'

/** @param compared whether there are seeds enough to compare methods: the table of differences */
export const equalComputeSection = (
  comparisons: readonly Comparison[],
  plots: Record<string, Plot>,
  compared: boolean,
): Html => html`<section>
<h2>Self-play at equal compute</h2>
${Object.values(plots).map((plot) => figure(plot, note))}
${endsTable(comparisons)}
${compared ? differences(comparisons) : ''}
</section>`

const endsTable = (comparisons: readonly Comparison[]): Html =>
  table(
    [
      ['method', 'hidden', 'compute', 'helper', 'lowest loss', 'exact at the end'],
      ...comparisons.map(({ method, hidden, flops, helperFlops, loss, exact }) => [
        methodTitles[method],
        String(hidden),
        powerLabel(flops),
        helperFlops ? powerLabel(helperFlops) : '\u2013',
        loss.toPrecision(3),
        percent(exact, 1),
      ]),
    ],
    ['', 'n', 'n', 'n', 'n', 'n'],
  )

const differences = (
  comparisons: readonly Comparison[],
): Html => html`<p>Differences to supervised training with as much compute, with 95 % intervals over the seeds (Student\u2019s t). Below 0 is
better for the loss, above 0 for exact answers, which are in percentage points. \u201cOwn compute\u201d leaves the helper model out and
compares with the same size; \u201cwhole\u201d counts it and compares with the best of all sizes. Self-play uses a smaller learning rate
than supervised training, which changes the loss too, so the differences do not say which method is better.</p>
${table(
  [
    ['method', 'hidden', 'loss, own compute', 'exact, own compute', 'loss, whole', 'exact, whole'],
    ...comparisons.map(({ method, hidden, own, whole }) => [
      methodTitles[method],
      String(hidden),
      own ? lossChange(own) : '\u2013',
      own ? exactChange(own) : '\u2013',
      whole ? lossChange(whole) : '\u2013',
      whole ? exactChange(whole) : '\u2013',
    ]),
  ],
  ['', 'n', 'n', 'n', 'n', 'n'],
)}`
