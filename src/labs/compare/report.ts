/** The page of a comparison: the result, how sure it is, then the numbers behind it, each with how to read it. */

import { eitherWidth, figure } from '../../report/figures.ts'
import { type Html, html } from '../../report/html.ts'
import type { Point } from '../../report/lineChart.ts'
import { facts, page, shell, stackedTable } from '../../report/page.ts'
import { type Plot, type PlotSeries, plotCharts } from '../../report/plot.ts'
import type { Interval } from '../../statistics/intervals.ts'
import { listed, percent } from '../../util/format.ts'
import type { Conclusions } from './conclusions.ts'
import type { CompareFindings, Frontier, PairFindings, PolicyFindings } from './findings.ts'
import { forestChart } from './forestChart.ts'
import { boundsText, promptsText, rateBounds, valueText } from './phrases.ts'
import { winnersFirst } from './verdicts.ts'

/** A prompt with one completion of each policy. */
export type Example = { prompt: string; completions: { policy: string; text: string }[] }

export type ComparisonReport = {
  findings: CompareFindings
  conclusions: Conclusions
  warnings: readonly string[]
  examples: readonly Example[]
  /** That the examples were sampled at. */
  temperature: number
  settings: readonly (readonly [string, string])[]
  command: readonly string[]
}

/** @returns the page, and its plots as SVG by the names of their files */
export const comparisonPage = (report: ComparisonReport): { html: string; plots: Record<string, string> } => {
  const { conclusions, warnings } = report
  const findings = winnersFirst(report.findings)
  return {
    plots: comparisonPlots(findings),
    html: page({
      title: `attune compare: ${conclusions.headline}`,
      body: [
        html`<header><p class="kicker">attune compare · ${promptsText(findings)} · judged by ${listed(findings.judges.map(({ name }) => name))}</p><h1>${unbroken(conclusions.headline)}</h1>
${conclusions.verdicts.map((text) => html`<p class="lead">${unbroken(text)}</p>`)}</header>`,
        ...warnings.map((text) => html`<p class="card">${text}</p>`),
        ...howSure(conclusions, findings),
        ...winRateSection(forestCharts(findings), forestCharts(findings, true)),
        crossTable(findings),
        lengthTable(findings),
        ...frontierSection(findings, frontierPlots(findings)),
        policiesTable(findings),
        examplesOf(report),
        html`<h2>Settings</h2>`,
        facts(report.settings),
        shell(report.command.join(' ')),
      ],
    }),
  }
}

/** The plots of a comparison as SVG, by the names of their files. @param narrow drawn for the width of a phone */
export const comparisonPlots = (findings: CompareFindings, narrow = false): Record<string, string> => ({
  ...forestCharts(findings, narrow),
  ...plotCharts(frontierPlots(findings), narrow),
})

const frontierPlots = (findings: CompareFindings): Record<string, Plot> =>
  Object.fromEntries(findings.frontiers.map((frontier, i) => [`reward-kl-${i + 1}`, frontierPlot(frontier, findings)]))

/** Keeps a number and its percent sign on one line. */
const unbroken = (text: string): string => text.replace(/(\d) %/g, '$1\u00a0%')

const howSure = ({ causes, limits }: Conclusions, { sft }: CompareFindings): Html[] => {
  if (!causes.length && !limits.length) return []
  const list = (texts: readonly string[]) =>
    html`<ul class="spaced">${texts.map((text) => html`<li>${unbroken(text)}</li>`)}</ul>`
  return [
    html`<section><h2>How sure this is</h2>
${limits.length ? list(limits) : ''}`,
    ...(causes.length
      ? [
          html`<p>What else differs, and could be the cause (KL, in nats, says how far a model's answers have moved from those of ${sft}):</p>
${list(causes)}`,
        ]
      : []),
    html`</section>`,
  ]
}

const signed = (x: number) => {
  const digits = x.toFixed(2)
  return Number(digits) === 0 ? '0.00' : `${x > 0 ? '+' : ''}${digits}`
}

const betweenText = ({ low, high }: Interval) =>
  Number.isFinite(low) && low < high ? `(${signed(low)} to ${signed(high)})` : ''

/** A value, and below it its interval. */
const twoLines = (value: string, bounds: string): Html =>
  bounds ? html`${value}<br/><span class="soft">${bounds}</span>` : html`${value}`

const withInterval = (interval: Interval): Html => twoLines(valueText(interval), boundsText(interval))
const rateWithInterval = (rate: Interval): Html => twoLines(percent(rate.value), rateBounds(rate))

/** A background that is stronger the farther the value is from 0, the mean of the model before training. */
const heat = (value: number): string => {
  const share = Math.round(Math.min(1, Math.abs(value) / 2) * 60)
  return `background: color-mix(in srgb, var(--${value > 0 ? 'good' : 'bad'}) ${share}%, transparent)`
}

/** From this share of equal rewards on, the standard deviation of the model before training is that of a few exceptions. */
const mostlyEqual = 0.9

const crossTable = ({ table: cells, judges, policies, sft, prompts }: CompareFindings): Html => {
  const isNarrow = (judge: string) => (judges.find(({ name }) => name === judge)?.commonest ?? 0) >= mostlyEqual
  const narrow = judges.filter(({ name, scale }) => scale && isNarrow(name))
  const cell = (policy: string, judge: string) => cells.find((each) => each.policy === policy && each.judge === judge)!
  const shown = (policy: string, judge: string): Html => {
    const { reward, standardised } = cell(policy, judge)
    const main = standardised
      ? html`<span style="${`padding: 0.1rem 0.35rem; border-radius: 4px; ${heat(standardised.value)}`}">${signed(standardised.value)}${isNarrow(judge) ? ' *' : ''}</span><br/><span class="soft">${betweenText(standardised)}</span>`
      : html`<span class="soft">no scale</span>`
    return html`${main}<br/><span class="soft">reward ${reward.value.toPrecision(4)}</span>`
  }
  return html`<section><h2>Each model under each judge</h2>
<p>How far the mean reward lies above that of ${sft}, the model before training, with an interval of 95 %. The unit is the standard
deviation of the rewards of ${sft} under that judge, so this number can be compared between judges under which these rewards vary. The
reward below it is on the judge's own scale: compare it only with other rewards of that judge.</p>
${narrow.map(
  ({ name, commonest }) =>
    html`<p class="soft">* ${name} gave ${percent(commonest!, 1)} of the answers of ${sft} one and the same reward. The unit is the spread of the few others, so any gain looks large: compare these numbers with none of other judges.</p>`,
)}
${stackedTable(
  ['', ...judges.map(({ name }) => name)],
  [
    ...policies.map(({ name }) => [name, ...judges.map((judge) => shown(name, judge.name))]),
    ['trained on this judge', ...judges.map(({ trained }) => trained.join(', ') || 'none')],
    ...(judges.some((judge) => judge.prompts < prompts)
      ? [['prompts with rewards', ...judges.map((judge) => `${judge.prompts} of ${prompts}`)]]
      : []),
  ],
)}</section>`
}

const forestCharts = ({ between, against, sft }: CompareFindings, narrow = false): Record<string, string> => ({
  ...(between.length && { 'win-rates': forestChart('Win rates between the models', between, narrow) }),
  'win-rates-sft': forestChart(`Win rates against ${sft}`, against, narrow),
})

const winRateSection = (forests: Record<string, string>, narrowForests: Record<string, string>): Html[] => [
  html`<h2>Whose answers are preferred</h2>
<p>How often an answer of the first is preferred to an answer of the second to the same prompt, a tie counting one half: the dot with its
interval of 95 %, which is Wilson's where every prompt has the same result. The faint line below it is the win rate where answers are equally long. p below 0.05, in bold, is a difference that
chance hardly makes (paired permutation test, corrected for all tests of the plot by Holm's method).</p>`,
  ...Object.entries(forests).map(
    ([name, chart]) => html`<figure class="wide">${eitherWidth(chart, narrowForests[name])}</figure>`,
  ),
]

const orDash = (interval: Interval | undefined, text: (interval: Interval) => Html): string | Html =>
  interval ? text(interval) : '–'

const lengthTable = ({ between, against }: CompareFindings): Html => {
  const row = ({ a, b, judge, longer, difference, controlled }: PairFindings) => [
    `${a} over ${b}`,
    judge,
    withInterval(longer),
    orDash(controlled?.winRate, rateWithInterval),
    orDash(difference, withInterval),
    orDash(controlled?.difference, withInterval),
  ]
  return html`<section><h2>At equal length</h2>
<p>By how many characters the answers of the first are longer, and what is left of the win rate and of the difference of rewards (in
standard deviations, as above) where answers are equally long, by linear regression. It says what goes with length, not what length
causes.</p>
${stackedTable(
  ['pair', 'judge', 'longer by', 'win rate at equal length', 'difference of rewards', 'the same at equal length'],
  [...between, ...against].map(row),
)}</section>`
}

const frontierPlot = ({ judge, paths, best }: Frontier, { policies, sft }: CompareFindings): Plot => {
  const names = policies.slice(1).map(({ name }) => name)
  /** The model before training, from which KL and reward are measured. */
  const origin = { kl: { value: 0 }, reward: { value: 0, low: 0, high: 0 } }
  return {
    title: `Reward by ${judge} against KL from ${sft}`,
    x: { name: `KL from ${sft}, nats per answer` },
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

const frontierSection = ({ frontiers, sft, clusters }: CompareFindings, plots: Record<string, Plot>): Html[] => {
  if (!frontiers.length) return []
  const single = frontiers.every(({ paths }) => paths.every(({ points }) => points.length < 2))
  return [
    html`<h2>Reward against KL</h2>
<p>${single ? 'Each point is the final model of a run.' : 'Each point is a checkpoint that a run kept, the last one its final model.'}
Every line is drawn from ${sft}, the model before training, also that of a run which went on from another run.
Dashed: the best of n answers of ${sft} itself, selected and measured by the same judge, at the upper bound of its KL.
A model below the dashed line has gained less than selecting the best of n answers would have.</p>`,
    ...Object.values(plots).map((plot) =>
      figure(plot, `Bands are intervals of 95 % of the reward over ${clusters ? 'clusters of ' : ''}prompts.`),
    ),
  ]
}

const policiesTable = ({ policies, sft }: CompareFindings): Html => {
  const row = (name: string, of: (policy: PolicyFindings) => string | Html) => [name, ...policies.map(of)]
  return html`<section><h2>How they write</h2>
<p>KL from ${sft} in nats an answer is estimated from a model's own answers by k1 (unbiased) and k3 (unbiased, never negative). Distinct
words, pairs and triples are shares among equally many. Self-BLEU is of the answers to one prompt, 100 where all are the same.</p>
${stackedTable(
  ['', ...policies.map(({ name }) => name)],
  [
    row('training runs', ({ name, runs }) => (name === sft ? '–' : String(runs))),
    row('tokens of an answer', ({ tokens }) => withInterval(tokens)),
    row('cut off at the limit', ({ cut }) => percent(cut)),
    row('KL, k1', ({ kl }) => orDash(kl?.k1, withInterval)),
    row('KL, k3', ({ kl }) => orDash(kl?.k3, withInterval)),
    ...['distinct words', 'distinct pairs', 'distinct triples'].map((name, i) =>
      row(name, ({ distinct }) => distinct[i].toFixed(3)),
    ),
    row('self-BLEU', ({ selfBleu }) => withInterval(selfBleu)),
  ],
)}</section>`
}

const examplesOf = ({ examples, temperature }: ComparisonReport): Html =>
  html`<section><h2>Answers side by side</h2>
<p>The first prompts of the data, not selected; the first answer of each model. ${sampledText(temperature)}</p>
${examples.map(
  ({ prompt, completions }) => html`<div class="card"><p><strong>${prompt}</strong></p>
${completions.map(({ policy, text }) => html`<p><span class="soft">${policy}</span> ${text}</p>`)}</div>`,
)}</section>`

/** Why answers may look odd that are good when greedy. */
const sampledText = (temperature: number): string =>
  temperature < 0.5
    ? ''
    : `They are drawn at random at temperature ${temperature}, so they hold unlikely words, and those of a small model often make no sense. How it answers when it takes the likeliest word each time, attune chat --model RUN --temperature 0 shows.`
