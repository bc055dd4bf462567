/** A study's report as an HTML page: the conclusions, the plots and the tables. */

import { figure } from '../../report/figures.ts'
import { type Html, html } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import type { Plot } from '../../report/plot.ts'
import { powerLabel } from '../../report/scales.ts'
import { percent, whole } from '../../util/format.ts'
import type { CellResult } from './cells.ts'
import type { MethodStudy } from './comparison.ts'
import { exactChange, lossChange } from './conclusions.ts'
import { fewestSeeds, largestMisfit, type ScalingLaws, type SizeAtBudget } from './laws.ts'
import { methods } from './methods.ts'
import type { Plan } from './settings.ts'

export type ReportSettings = { preset: string; tokenizer?: string }

type ScalingFindings = {
  laws: ScalingLaws
  study?: MethodStudy
  conclusions: readonly string[]
  results: readonly CellResult[]
  plan: Plan
  settings: ReportSettings
  command: readonly string[]
}

/** @returns the page, and its plots by the names of their files */
export const scalingReport = (findings: ScalingFindings): { html: string; plots: Record<string, Plot> } => {
  const { laws, study, conclusions } = findings
  const plots: Record<string, Plot> = {
    ...(laws.sizes.length && {
      'loss-vs-compute': lossPlot(laws),
      'loss-vs-size': sizePlot(laws),
      'exact-vs-compute': exactPlot(laws),
    }),
    ...(study && methodPlots(study, findings.results)),
  }
  const shown = (name: string, note: string) => (plots[name] ? [figure(plots[name], note)] : [])
  return {
    plots,
    html: page({
      title: 'attune scaling: loss against compute',
      body: [
        html`<header><p class="kicker">attune scaling</p><h1>Loss against compute</h1>
${conclusions.map((text) => html`<p class="lead">${text}</p>`)}</header>`,
        ...shown('loss-vs-compute', curvesNote),
        ...shown('loss-vs-size', isoNote),
        ...shown(
          'exact-vs-compute',
          'Sums that nothing was chosen by, answered exactly by greedy decoding. Means over seeds.',
        ),
        ...(laws.sizes.length ? [sizesTable(laws)] : []),
        ...(laws.best.length && laws.best[0] && seedsOf(laws) >= fewestSeeds
          ? [html`<h2>The best size of a budget</h2>`, bestTable(laws)]
          : []),
        ...(study ? [methodSection(study, plots)] : []),
        setupSection(findings),
      ],
    }),
  }
}

const seedsOf = ({ sizes }: ScalingLaws) => Math.min(...sizes.map(({ seeds }) => seeds))

const curvesNote =
  'Each point is a run of its own, whose learning rate fell to 0 at the end: the mean over seeds on sums that nothing was chosen by, with the range of the seeds. Compute leaves out the embedding and the logit layer. Dashed: the best size of each budget.'
const isoNote = 'The same points by size: each line is a budget that every size was trained with.'

const compute = { name: 'training compute, FLOPs without embedding and logits', log: true }
const lossAxis = { name: 'loss, nats per token', log: true }

const groupsBy = <K>(sizes: readonly SizeAtBudget[], keyOf: (size: SizeAtBudget) => K) =>
  [...new Set(sizes.map(keyOf))].map((key) => [key, sizes.filter((size) => keyOf(size) === key)] as const)

const lossPlot = (laws: ScalingLaws): Plot => {
  const { sizes, best, lossLaw } = laws
  const isCompared = seedsOf(laws) >= fewestSeeds && best.length > 0
  return {
    title: 'Loss against training compute',
    x: compute,
    y: lossAxis,
    series: [
      ...groupsBy(sizes, ({ hidden }) => hidden).map(([hidden, own], i) => ({
        name: `hidden ${hidden}`,
        points: own.map(({ budget, loss }) => [budget, loss] as const),
        interval: own.map(({ range }) => range),
        color: i % 5,
        dots: true,
      })),
      ...(isCompared
        ? [{ name: 'best', points: best.map(({ budget, loss }) => [budget, loss] as const), color: 5, dashed: true }]
        : []),
      ...(isCompared && lossLaw && lossLaw.misfit <= largestMisfit
        ? [
            {
              name: `C^${lossLaw.exponent.toFixed(2)}`,
              points: [best[0].budget, best.at(-1)!.budget].map(
                (c) => [c, lossLaw.factor * c ** lossLaw.exponent] as const,
              ),
              color: 5,
            },
          ]
        : []),
    ],
  }
}

const sizePlot = ({ sizes }: ScalingLaws): Plot => ({
  title: 'Loss against size, for each budget',
  x: { name: 'weights in blocks', log: true },
  y: lossAxis,
  series: groupsBy(sizes, ({ budget }) => budget).map(([budget, own], i) => ({
    name: powerLabel(Number(budget.toPrecision(2))),
    points: own.map(({ blocks, loss }) => [blocks, loss] as const),
    interval: own.map(({ range }) => range),
    color: i % 6,
    dots: true,
  })),
})

const exactPlot = ({ sizes }: ScalingLaws): Plot => ({
  title: 'Exact answers against training compute',
  x: compute,
  y: { name: 'sums answered exactly, %' },
  series: groupsBy(sizes, ({ hidden }) => hidden).map(([hidden, own], i) => ({
    name: `hidden ${hidden}`,
    points: own.map(({ budget, exact }) => [budget, 100 * exact] as const),
    color: i % 5,
    dots: true,
  })),
})

const sizesTable = ({ sizes }: ScalingLaws): Html =>
  table(
    [
      ['hidden size', 'weights in blocks', 'compute', 'steps', 'learning rate', 'seeds', 'loss', 'exact'],
      ...sizes.map(({ hidden, blocks, budget, steps, rate, seeds, loss, exact }) => [
        String(hidden),
        whole(blocks),
        powerLabel(Number(budget.toPrecision(2))),
        whole(steps),
        String(rate),
        String(seeds),
        loss.toPrecision(3),
        percent(exact, 1),
      ]),
    ],
    ['n', 'n', 'n', 'n', 'n', 'n', 'n', 'n'],
  )

const bestTable = ({ best }: ScalingLaws): Html =>
  table(
    [
      ['compute', 'hidden size', 'loss', 'exact', 'best in resamples', 'lowest point of the parabola, weights'],
      ...best.map(({ budget, hidden, loss, exact, sure, edge, optimum }) => [
        powerLabel(Number(budget.toPrecision(2))),
        `${hidden}${edge ? ` (${edge})` : ''}`,
        loss.toPrecision(3),
        percent(exact, 1),
        percent(sure, 1),
        optimum
          ? `${whole(Math.round(optimum.blocks))} (${whole(Math.round(optimum.low))} to ${whole(Math.round(optimum.high))})`
          : '\u2013',
      ]),
    ],
    ['n', 'n', 'n', 'n', 'n', 'n'],
  )

/** A point for each seed and one for the mean, by method. */
const methodPlots = ({ comparisons }: MethodStudy, results: readonly CellResult[]): Record<string, Plot> => {
  const hiddens = [...new Set(comparisons.map(({ hidden }) => hidden))]
  return Object.fromEntries(
    hiddens.map((hidden): [string, Plot] => {
      const own = comparisons.filter((comparison) => comparison.hidden === hidden)
      return [
        `methods-h${hidden}`,
        {
          title: `Hidden size ${hidden}: loss and exact answers of each method`,
          x: { name: 'sums answered exactly, %' },
          y: lossAxis,
          series: own.map(({ method }, i) => ({
            name: methods[method].title,
            color: i % 6,
            loose: true,
            dots: true,
            points: results
              .filter((result) => result.kind === 'method' && result.method === method && result.hidden === hidden)
              .map(({ reported }) => [100 * reported!.exact.share, reported!.loss] as const),
          })),
        },
      ]
    }),
  )
}

const methodSection = ({ rival, comparisons }: MethodStudy, plots: Record<string, Plot>): Html => html`<section>
<h2>Methods with equal compute, from the same weights</h2>
<p>Each row went on from the same weights with the same compute of its own, and was measured once, at its end. Differences are to
\u201c${methods[rival].title}\u201d, paired by seed, with 95 % intervals of Student\u2019s t; p is corrected for all rows (Holm). Learning rates and betas
were chosen on other seeds. \u201cHelper\u201d is what the model that helps took to be trained and to sample, which no budget holds.</p>
${Object.entries(plots)
  .filter(([name]) => name.startsWith('methods-'))
  .map(([, plot]) => figure(plot, 'Each point is a seed.'))}
${table(
  [
    [
      'method',
      'hidden',
      'rate',
      'beta',
      'compute',
      'helper',
      'loss',
      'exact',
      'loss, difference',
      'p',
      'exact, difference',
      'p',
    ],
    ...comparisons.map(({ method, hidden, rate, beta, flops, helperFlops, loss, exact, byLoss, byExact, unequal }) => [
      methods[method].title,
      String(hidden),
      String(rate),
      methods[method].beta ? String(beta) : '\u2013',
      `${flops.toExponential(2)}${unequal ? ' (unequal)' : ''}`,
      helperFlops ? powerLabel(Number(helperFlops.toPrecision(2))) : '\u2013',
      loss.toPrecision(3),
      percent(exact, 1),
      byLoss ? lossChange(byLoss) : '\u2013',
      byLoss ? byLoss.p.toPrecision(2) : '',
      byExact ? exactChange(byExact) : '\u2013',
      byExact ? byExact.p.toPrecision(2) : '',
    ]),
  ],
  ['', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n', 'n'],
)}
</section>`

const setupSection = ({ plan, settings, results, command }: ScalingFindings): Html => html`<section>
<h2>Set-up</h2>
${facts([
  ['model', `Llama, from scratch; ${plan.layers} layers; one attention head of dimension 64; feed-forward ratio 4`],
  ['context, vocabulary', `256, ${whole(plan.vocabulary)}`],
  [
    'data',
    `sums of numbers of ${plan.digits} digits: ${whole(plan.taught)} to train on, ${whole(plan.held)} to choose settings by, ${whole(plan.reported)} reported, none in two parts`,
  ],
  ['tokenizer', settings.tokenizer ?? 'embedded, a token a character'],
  [
    'learning rates',
    `of ${plan.learningRates.join(', ')} the one with the lowest loss at the largest budget, for each size, on ${plan.tuningSeeds} seeds of which nothing is reported`,
  ],
  ['rows of a step', String(plan.batchSize)],
  [
    'learning rate over a run',
    `rises for ${percent(plan.warmup)} of the steps, falls to 0 over the last ${percent(plan.cooldown)}`,
  ],
  ['cells, core seconds', `${results.length}, ${whole(results.reduce((sum, { seconds }) => sum + seconds, 0))}`],
])}
<p>Operations of training on a row: three passes, the backward pass counting as two. Each pass takes 2 for every weight of the blocks and
every token, and 4 · layers · heads · head dimension for every token and every position that it sees.</p>
${shell(command.length ? command.join(' ') : 'attune scaling')}
</section>`
