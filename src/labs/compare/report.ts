/** The page of a comparison: the conclusions, then the numbers behind them, each with how to read it. */

import { eitherWidth, figure } from '../../report/figures.ts'
import { type Html, html } from '../../report/html.ts'
import type { Point } from '../../report/lineChart.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import { type Plot, type PlotSeries, plotCharts } from '../../report/plot.ts'
import type { Interval } from '../../statistics/intervals.ts'
import { percent } from '../../util/format.ts'
import { intervalText, rateText } from './conclusions.ts'
import type { CompareFindings, Frontier, PairFindings, PolicyFindings } from './findings.ts'
import { forestChart } from './forestChart.ts'

/** A prompt with one completion of each policy. */
export type Example = { prompt: string; completions: { policy: string; text: string }[] }

export type ComparisonReport = {
  findings: CompareFindings
  conclusions: readonly string[]
  warnings: readonly string[]
  examples: readonly Example[]
  settings: readonly (readonly [string, string])[]
  command: readonly string[]
}

/** @returns the page, and its plots as SVG by the names of their files */
export const comparisonPage = (report: ComparisonReport): { html: string; plots: Record<string, string> } => {
  const { findings, conclusions, warnings } = report
  const forests = forestCharts(findings)
  const frontiers = Object.fromEntries(
    findings.frontiers.map((frontier, i) => [`reward-kl-${i + 1}`, frontierPlot(frontier, findings)]),
  )
  return {
    plots: { ...forests, ...plotCharts(frontiers) },
    html: page({
      title: `attune compare: ${findings.policies.map(({ name }) => name).join(', ')}`,
      body: [
        html`<header><p class="kicker">attune compare</p><h1>${questionOf(findings)}, and who says so</h1>
${conclusions.map((text, i) => html`<p class="${i === conclusions.length - 1 ? 'soft' : 'lead'}">${text}</p>`)}</header>`,
        ...warnings.map((text) => html`<p class="card">${text}</p>`),
        crossTable(findings),
        ...winRateSection(forests, forestCharts(findings, true)),
        lengthTable(findings),
        ...frontierSection(findings, frontiers),
        policiesTable(findings),
        examplesOf(report),
        html`<h2>Settings</h2>`,
        facts(report.settings),
        shell(report.command.join(' ')),
      ],
    }),
  }
}

const questionOf = ({ sft, policies, between }: CompareFindings): string =>
  between.length || policies.length !== 2
    ? 'Which policy answers better'
    : `Whether ${policies[1].name} answers better than ${sft}`

const signed = (x: number) => {
  const digits = x.toFixed(2)
  return Number(digits) === 0 ? '0.00' : `${x > 0 ? '+' : ''}${digits}`
}

const betweenText = ({ low, high }: Interval) => (Number.isFinite(low) ? `(${signed(low)} to ${signed(high)})` : '')

/** A background that is stronger the farther the value is from 0, the SFT policy's mean. */
const heat = (value: number): string => {
  const share = Math.round(Math.min(1, Math.abs(value) / 2) * 60)
  return `background: color-mix(in srgb, var(--${value > 0 ? 'good' : 'bad'}) ${share}%, transparent)`
}

const crossTable = ({ table: cells, judges, policies }: CompareFindings): Html => {
  const cell = (policy: string, judge: string) => cells.find((each) => each.policy === policy && each.judge === judge)!
  const shown = (policy: string, judge: string): Html => {
    const { reward, standardised } = cell(policy, judge)
    const main = standardised
      ? html`<span style="${`padding: 0.1rem 0.35rem; border-radius: 4px; ${heat(standardised.value)}`}">${signed(standardised.value)}</span><br/><span class="soft">${betweenText(standardised)}</span>`
      : html`<span class="soft">no scale</span>`
    return html`${main}<br/><span class="soft">${reward.value.toPrecision(4)}</span>`
  }
  return html`<section><h2>Each policy under each judge</h2>
<p>Mean reward in standard deviations of the SFT policy's own rewards under that judge, from their mean, with intervals of 95 %;
below it the reward as the judge gives it. Rewards of different judges have different scales and zeros: only the first number
may be compared along a row.</p>
${table(
  [
    ['', ...judges.map(({ name }) => name)],
    ...policies.map(({ name }) => [name, ...judges.map((judge) => shown(name, judge.name))]),
    [html`<span class="soft">trained on it</span>`, ...judges.map(({ trained }) => trained.join(', ') || 'none')],
  ],
  ['', ...judges.map(() => 'n')],
)}</section>`
}

const forestCharts = ({ between, against, sft }: CompareFindings, narrow = false): Record<string, string> => ({
  ...(between.length && { 'win-rates': forestChart('Win rates between the policies', between, narrow) }),
  'win-rates-sft': forestChart(`Win rates against ${sft}`, against, narrow),
})

const winRateSection = (forests: Record<string, string>, narrowForests: Record<string, string>): Html[] => [
  html`<h2>Whose answers are preferred</h2>
<p>How often an answer of the first is preferred to an answer of the second to the same prompt, ties one half: the dot with its
interval of 95 %. The faint line below it is the win rate at equal length. p is of the paired permutation test, corrected for
all tests of the plot (Holm); below 0.05 it stands out.</p>`,
  ...Object.entries(forests).map(
    ([name, chart]) => html`<figure class="wide">${eitherWidth(chart, narrowForests[name])}</figure>`,
  ),
]

const orDash = (interval: Interval | undefined, text: (interval: Interval) => string) =>
  interval ? text(interval) : '–'

const lengthTable = ({ between, against }: CompareFindings): Html => {
  const row = ({ a, b, judge, longer, difference, controlled }: PairFindings) => [
    `${a} over ${b}`,
    judge,
    intervalText(longer),
    orDash(controlled?.winRate, rateText),
    orDash(difference, intervalText),
    orDash(controlled?.difference, intervalText),
  ]
  return html`<section><h2>At equal length</h2>
<p>The win rate and the difference of rewards (in standard deviations), by linear regression on how many characters longer the answers are:
what is left where they are equally long. A line through the data says what goes with length, not what length causes.</p>
${table(
  [
    ['pair', 'judge', 'longer by', 'win rate at equal length', 'difference', 'at equal length'],
    ...[...between, ...against].map(row),
  ],
  ['', '', 'n', 'n', 'n', 'n'],
)}</section>`
}

const frontierPlot = ({ judge, paths, best }: Frontier, { policies }: CompareFindings): Plot => {
  const names = policies.slice(1).map(({ name }) => name)
  /** The SFT policy, where every run begins. */
  const origin = { kl: { value: 0 }, reward: { value: 0, low: 0, high: 0 } }
  return {
    title: `Reward by ${judge} against KL from the SFT policy`,
    x: { name: 'KL(policy || SFT), nats per answer' },
    y: { name: 'reward, standard deviations' },
    series: [
      ...paths.map(({ policy, points }, i): PlotSeries => {
        const all = [origin, ...points]
        const isFirstRun = paths.findIndex((path) => path.policy === policy) === i
        return {
          name: isFirstRun ? policy : undefined,
          color: names.indexOf(policy) % 5,
          dots: true,
          points: all.map(({ kl, reward }) => [kl.value, reward.value]),
          interval: all.map(({ reward }) => [reward.low, reward.high]),
        }
      }),
      ...(best.length > 1
        ? [
            {
              name: `best of ${best.length}`,
              color: 5,
              dashed: true,
              points: best.map(({ kl, reward }): Point => [kl, reward.value]),
            },
          ]
        : []),
    ],
  }
}

const frontierSection = ({ frontiers }: CompareFindings, plots: Record<string, Plot>): Html[] => {
  if (!frontiers.length) return []
  const kept = frontiers.some(({ paths }) => paths.some(({ points }) => points.length > 1))
  return [
    html`<h2>Reward against KL</h2>
<p>Each point is a checkpoint that a run kept, the last one its final model. Every run begins at the SFT policy.
${kept ? '' : 'No run kept a checkpoint, so each has only its final model. '}
Dashed: best-of-n of the SFT policy's own answers, selected and measured by the same judge, at the upper bound of its KL.
A policy below the dashed line has gained less than selecting the best of n answers would have.</p>`,
    ...Object.values(plots).map((plot) => figure(plot, 'Bands are intervals of 95 % of the reward over prompts.')),
  ]
}

const policiesTable = ({ policies }: CompareFindings): Html => {
  const row = ({ name, runs, tokens, cut, kl, distinct, selfBleu }: PolicyFindings) => [
    name,
    String(runs),
    intervalText(tokens),
    percent(cut),
    orDash(kl?.k1, intervalText),
    orDash(kl?.k3, intervalText),
    ...distinct.map((share) => share.toFixed(3)),
    intervalText(selfBleu),
  ]
  return html`<section><h2>How they write</h2>
<p>Tokens of an answer; how many were cut off; KL from the SFT policy in nats an answer, estimated from the policy's own answers
by k1 (unbiased) and k3 (unbiased, never negative); distinct words, pairs and triples among equally many; self-BLEU of the answers to
one prompt, 100 where all are the same.</p>
${table(
  [
    ['', 'runs', 'tokens', 'cut', 'KL, k1', 'KL, k3', 'distinct-1', 'distinct-2', 'distinct-3', 'self-BLEU'],
    ...policies.map(row),
  ],
  ['', ...Array(9).fill('n')],
)}</section>`
}

const examplesOf = ({ examples }: ComparisonReport): Html =>
  html`<section><h2>Answers side by side</h2>
<p>The first prompts of the data, not selected; the first answer of each policy.</p>
${examples.map(
  ({ prompt, completions }) => html`<div class="card"><p><strong>${prompt}</strong></p>
${completions.map(({ policy, text }) => html`<p><span class="soft">${policy}</span> ${text}</p>`)}</div>`,
)}</section>`
