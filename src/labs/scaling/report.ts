/** A sweep's report as an HTML page: the conclusions, the plots and the tables. */

import { figure } from '../../report/figures.ts'
import { type Html, html } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import type { Plot } from '../../report/plot.ts'
import { powerLabel } from '../../report/scales.ts'
import { mean } from '../../statistics/summary.ts'
import { percent, whole } from '../../util/format.ts'
import type { CellResult } from './cells.ts'
import type { Comparison } from './equalCompute.ts'
import { equalComputePlots, equalComputeSection } from './equalComputeReport.ts'
import { fewestSeeds, largestMisfit, leastSeeds, type ScalingLaw } from './scalingLaw.ts'
import type { Plan } from './settings.ts'

export type ReportSettings = { preset: string; tokenizer?: string }

type ScalingFindings = {
  standard: ScalingLaw
  comparisons: readonly Comparison[]
  conclusions: readonly string[]
  results: readonly CellResult[]
  plan: Plan
  settings: ReportSettings
  command: readonly string[]
}

/** @returns the page, and its plots by the names of their files */
export const scalingReport = (findings: ScalingFindings): { html: string; plots: Record<string, Plot> } => {
  const { standard, conclusions, results, comparisons } = findings
  const selfPlayPlots = equalComputePlots(results)
  const compared = leastSeeds(standard) >= fewestSeeds
  const plots: Record<string, Plot> = {
    'loss-vs-compute': lossPlot(standard, compared),
    'accuracy-vs-compute': accuracyPlot(results),
    ...selfPlayPlots,
  }
  return {
    plots,
    html: page({
      title: 'attune scaling: loss against compute',
      body: [
        html`<header><p class="kicker">attune scaling</p><h1>Validation loss against compute</h1>
${conclusions.map((text) => html`<p class="lead">${text}</p>`)}</header>`,
        figure(plots['loss-vs-compute'], compared ? `${curvesNote} ${comparedNote}` : curvesNote),
        sizesTable(standard),
        ...(compared && standard.budgets.length
          ? [html`<h2>The lowest loss where every size was trained</h2>`, budgetsTable(standard)]
          : []),
        html`<h2>Right answers</h2>`,
        figure(
          plots['accuracy-vs-compute'],
          'Held-out sums answered exactly by greedy decoding. Lines are means over seeds, bands go from the lowest seed to the highest.',
        ),
        ...(comparisons.length ? [equalComputeSection(comparisons, selfPlayPlots, compared)] : []),
        setupSection(findings),
      ],
    }),
  }
}

const curvesNote =
  'Each curve is one size: the mean over seeds, with the range of the seeds. Compute leaves out the embedding and the logit layer.'

const comparedNote =
  'Dashed: the lowest loss of any size, over the compute that every size was given. Straight: a power law, if one fits.'

const sizeName = (hidden: number) => `hidden ${hidden}`

/** @param compared whether there are seeds enough to compare sizes: the envelope and the law */
const lossPlot = ({ sizes, envelope, law: fitted }: ScalingLaw, compared: boolean): Plot => {
  const law = compared && fitted && fitted.misfit <= largestMisfit ? fitted : undefined
  return {
    title: 'Validation loss against training compute',
    x: { name: 'training compute, FLOPs without embedding and logits', log: true },
    y: { name: 'validation loss, nats per token', log: true },
    series: [
      ...sizes.map(({ hidden, curve, range }, i) => ({
        name: sizeName(hidden),
        points: curve,
        interval: range,
        color: i % 5,
      })),
      ...(compared
        ? [
            {
              name: 'lowest',
              points: envelope.map(({ flops, loss }) => [flops, loss] as const),
              color: 5,
              dashed: true,
            },
          ]
        : []),
      ...(law
        ? [
            {
              name: `∝ C^-${law.exponent.toFixed(2)}`,
              points: [law.from, law.to].map((c) => [c, law.factor * c ** -law.exponent] as const),
              color: 5,
            },
          ]
        : []),
    ],
  }
}

const accuracyPlot = (results: readonly CellResult[]): Plot => {
  const sft = results.filter(({ method }) => method === 'sft')
  const sizes = [...new Set(sft.map(({ hidden }) => hidden))].sort((a, b) => a - b)
  return {
    title: 'Exact answers against training compute',
    x: { name: 'training compute, FLOPs without embedding and logits', log: true },
    y: { name: 'held-out sums answered exactly, %' },
    series: sizes.map((hidden, i) => {
      const group = sft.filter((result) => result.hidden === hidden)
      const shares = group[0].marks.map((_, m) => group.map(({ marks }) => 100 * marks[m].exact.share))
      return {
        name: sizeName(hidden),
        color: i % 5,
        dots: true,
        points: shares.map((each, m) => [group[0].marks[m].flops, mean(each)] as const),
        interval: shares.map((each) => [Math.min(...each), Math.max(...each)] as const),
      }
    }),
  }
}

const sizesTable = ({ sizes }: ScalingLaw): Html =>
  table(
    [
      ['hidden size', 'layers', 'weights in blocks', 'all parameters', 'seeds', 'compute', 'loss at the end', 'exact'],
      ...sizes.map(({ hidden, layers, blocks, parameters, seeds, curve, exact }) => [
        String(hidden),
        String(layers),
        whole(blocks),
        whole(parameters),
        String(seeds),
        powerLabel(curve.at(-1)?.[0] ?? 0),
        (curve.at(-1)?.[1] ?? Number.NaN).toPrecision(3),
        percent(exact, 1),
      ]),
    ],
    ['n', 'n', 'n', 'n', 'n', 'n', 'n', 'n'],
  )

const budgetsTable = ({ budgets }: ScalingLaw): Html =>
  table(
    [
      ['compute, FLOPs', 'hidden size', 'weights in blocks', 'loss', 'of resamples'],
      ...budgets.map(({ flops, hidden, blocks, loss, sure }) => [
        powerLabel(Number(flops.toPrecision(2))),
        String(hidden),
        whole(blocks),
        loss.toPrecision(3),
        percent(sure, 1),
      ]),
    ],
    ['n', 'n', 'n', 'n', 'n'],
  )

const setupSection = ({ plan, settings, results, command }: ScalingFindings): Html => html`<section>
<h2>Set-up</h2>
${facts([
  ['model', 'Llama, from scratch; one attention head of dimension 64; feed-forward ratio 4'],
  ['context, vocabulary', `256, ${whole(plan.vocabulary)}`],
  ['data', `${whole(plan.taught)} sums to train on, ${whole(plan.held)} held out, none in both`],
  ['tokenizer', settings.tokenizer ?? 'embedded, a token a character'],
  ['steps', plan.sizes.map(({ hidden, steps }) => `${hidden}: ${whole(steps)}`).join(', ')],
  ['learning rate', plan.sizes.map(({ hidden, learningRate }) => `${hidden}: ${learningRate}`).join(', ')],
  ['rows of a step, warm-up', `${plan.batchSize}, ${plan.warmupSteps} steps, then constant`],
  ['cells, core seconds', `${results.length}, ${whole(results.reduce((sum, { seconds }) => sum + seconds, 0))}`],
])}
<p>Operations of training on a row: three passes, the backward pass counting as two. Each pass takes 2 for every weight of the blocks and
every token, and 4 · layers · heads · head dimension for every token and every position that it sees.</p>
${shell(command.length ? command.join(' ') : 'attune scaling')}
</section>`
