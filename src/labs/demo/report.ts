/** The demo's report as an HTML page, for someone who has never aligned a model. */

import { chartGrid } from '../../report/figures.ts'
import { type Html, html, raw } from '../../report/html.ts'
import { type Chart, lineChart, measured, type Point } from '../../report/lineChart.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import { shareChart } from '../../report/shareChart.ts'
import type { Curves } from '../../runs/curves.ts'
import type { RunInfo } from '../../runs/run.node.ts'
import type { Share } from '../../statistics/intervals.ts'
import { whole } from '../../util/format.ts'
import { classShares, type Ranking } from './addition.ts'
import { alignmentRows, type DemoResult, gainText, limitText, type TestedSum } from './result.ts'
import { demoConfig } from './settings.ts'

type DemoFindings = {
  result: DemoResult
  tested: readonly TestedSum[]
  rankings: readonly Ranking[]
  curves: { sft: Curves; dpo: Curves }
  /** The demo's folder as the user typed it. */
  output: string
  /** Versions and machine of the last run. */
  made: Pick<RunInfo, 'versions' | 'machine'>
}

/** @returns the page, and its plots as SVG by name */
export const demoReport = (findings: DemoFindings): { html: string; plots: Record<string, string> } => {
  const { result } = findings
  const charts = chartsOf(findings)
  const shares = sharesOf(result)
  const plots = Object.entries(charts).map(([name, chart]) => [name, lineChart(chart)])
  return {
    html: page({
      title: 'attune demo: what alignment changed',
      body: [
        header(result, shares),
        acts(result),
        besideActs(result),
        outcomes(result),
        limits(result),
        rankingsOf(findings),
        curvesSection(charts, result),
        completionsTable(findings),
        nextSteps(findings),
        settings(result),
        footer(findings),
      ],
    }),
    plots: { ...Object.fromEntries(plots), accuracy: shares },
  }
}

const percent = (share: number) => `${(100 * share).toFixed(0)}\u00a0%`
const interval = ({ low, high }: Share) => `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)} %`

const sharesOf = (result: DemoResult) =>
  shareChart(
    `Right answers: ${percent(result.before.share)} before alignment, ${alignmentRows(result)
      .map(({ name, outcome }) => `${percent(outcome.after.share)} after ${name}`)
      .join(', ')}`,
    [
      { name: 'before', share: result.before, color: 1 },
      ...alignmentRows(result).map(({ name, outcome }) => ({ name, share: outcome.after, color: 0 })),
    ],
  )

const header = (result: DemoResult, shares: string): Html => {
  const { before, after, kinds } = result
  return html`<header>
<p class="kicker">attune demo</p>
<h1>The same model, before and after alignment: <span class="before">${percent(before.share)}</span> and <span class="after">${percent(after.share)}</span> right</h1>
<p class="lead">A small language model learned to add from a class whose answers are often one too high, and learned that mistake too.
Then its own answers were ranked, better before worse, and it was trained on these rankings. Beside that, the same model learned from
right answers: by imitation, by SPIN and by aSFT.</p>
</header>
<div class="card side">
${raw(shares)}
<p class="soft">Right answers to ${whole(before.total)} sums that were in no step of training, with 95 % intervals (Wilson).
Before, ${whole(kinds.before.close)} of the ${whole(before.total - before.right)} wrong answers were one off. ${gainText(result)}</p>
</div>`
}

const acts = ({ sizes, parameters, before, after, rankings, mended, spoiled }: DemoResult): Html => {
  const said = [classShares.right, classShares.close].map(percent)
  return html`<section>
<h2>What you just saw</h2>
<ol class="acts">
<li><h3><span class="number">1</span>Learn by imitation</h3>
<p>A model with ${whole(parameters)} random weights was trained on ${whole(sizes.taught * sizes.students)} answers of a class. Of these
answers ${said[0]} are right, ${said[1]} are one too high, and the rest is off by ten.</p>
<p>It learned to add, and to make the mistakes of the class: <span class="before">${whole(before.right)} of ${whole(before.total)}</span>
new sums right.</p>
<p class="soft">Supervised fine-tuning, <code>attune sft</code></p></li>
<li><h3><span class="number">2</span>Rank its own answers</h3>
<p>It answered ${whole(sizes.ranked)} other sums, ${sizes.samples} times each. A program ranked the different answers to each sum, the
nearest to the right one first. For questions without a formula, people or a larger model would rank them.</p>
<p>That made ${whole(rankings)} rankings of three answers, all of them the model's own.</p>
<p class="soft">Sampling, <code>attune generate</code></p></li>
<li><h3><span class="number">3</span>Align</h3>
<p>It was trained to give better answers a higher probability than worse ones, while it stays close to the model of the first step.</p>
<p>Now <span class="after">${whole(after.right)} of ${whole(after.total)}</span> are right: ${whole(mended)} were corrected,
${whole(spoiled)} made wrong.</p>
<p class="soft">Direct preference optimization on rankings (K-wise Plackett-Luce), <code>attune dpo</code></p></li>
</ol>
</section>`
}

const besideActs = (result: DemoResult): Html => {
  const { sizes, beside } = result
  const right = (by: keyof typeof beside) => {
    const { after, mended, spoiled } = beside[by]
    return html`<p><span class="after">${whole(after.right)} of ${whole(after.total)}</span> are right: ${whole(mended)} were corrected,
${whole(spoiled)} made wrong.</p>`
  }
  return html`<section>
<h2>Beside it: right answers in place of rankings</h2>
<p>Each of these began with the model of the first step again, and was given the right answers to the ${whole(sizes.ranked)} sums of the
second. Steps, rows of a step and learning rate are those of the third.</p>
<ol class="acts">
<li><h3><span class="number">4</span>Imitate them</h3>
<p>It learned to say the right answers, as it had learned from the class.</p>
${right('imitation')}
<p class="soft">Supervised fine-tuning, <code>attune sft</code></p></li>
<li><h3><span class="number">5</span>Prefer them to its own</h3>
<p>It answered the sums itself, and learned to give the right answer a higher probability than its own. Then the same once more, with
its new answers. Nobody ranked anything.</p>
${right('spin')}
<p class="soft">SPIN, self-play, <code>attune spin</code></p></li>
<li><h3><span class="number">6</span>The same with a helper</h3>
<p>A better model answered too, and its answer was ranked between the right one and the model's own. Here the model of the third step
helped; in practice it is a larger one.</p>
${right('asft')}
<p class="soft">aSFT, self-play with helper models, <code>attune asft</code></p></li>
</ol>
</section>`
}

const outcomes = (result: DemoResult): Html => {
  const rows = alignmentRows(result).map(({ name, learnedFrom, outcome: { after, mended, spoiled }, seconds }) => [
    name,
    learnedFrom,
    percent(after.share),
    interval(after),
    whole(mended),
    whole(spoiled),
    `${seconds.toFixed(0)} s`,
  ])
  const before = [
    'before',
    `${whole(result.sizes.taught * result.sizes.students)} of the class`,
    percent(result.before.share),
    interval(result.before),
    '',
    '',
    `${result.seconds.learn.toFixed(0)} s`,
  ]
  return html`<section>
<h2>What came out, and what it cost</h2>
${table([['', 'learned from', 'right', '95 % interval', 'corrected', 'made wrong', 'time'], before, ...rows], ['', '', 'n', 'n', 'n', 'n', 'n'])}
<p>${limitText} The right answers were known here, so imitating them is a fair rival: where it does as well, it is the simpler choice.
Rankings need no right answer, only a judgement which of two is better. SPIN is meant for a model that has learned from its good answers
already, aSFT for a small model that a larger one can help.</p>
</section>`
}

const limits = ({ knew, sizes }: DemoResult): Html => html`<section class="card">
<p><strong>Why it works, and when it does not.</strong> Alignment brings out what a model can do already. For ${whole(knew)} of the
${whole(sizes.ranked)} sums in the second step the right answer was among the model's own; it only did not know which one to give. What a
model cannot do at all, it does not learn from rankings of its answers.</p>
</section>`

const rankingsOf = ({ rankings, result }: DemoFindings): Html => html`<section>
<h2>The rankings</h2>
<p>The first four of ${whole(result.rankings)} rankings. The model sees the order of the answers, never how far off they are.</p>
${table(
  [
    ['sum', 'best', 'second', 'third'],
    ...rankings.slice(0, 4).map(({ prompt, responses }) => [prompt, ...responses.slice(0, 3)]),
  ],
  ['mono', 'mono', 'mono', 'mono'],
)}
</section>`

const curve = (curves: Curves, name: string, scale = 1): Point[] =>
  (curves.get(name) ?? []).map(([step, value]) => [step, scale * value])

type Charts = Record<'sft-loss' | 'dpo-loss' | 'reward-margin' | 'order', Chart>

const chartsOf = ({ curves: { sft, dpo }, result }: DemoFindings): Charts => {
  const plain = (title: string, y: string, points: Point[]) => ({
    title,
    x: 'step',
    y,
    series: measured('step', points),
  })
  return {
    'sft-loss': {
      ...plain('1 · Imitation: loss', 'nats per token', curve(sft, 'loss')),
      guides: [{ value: result.floor, name: 'lower bound', below: true }],
    },
    'dpo-loss': {
      ...plain('3 · Alignment: loss', 'nats per ranking', curve(dpo, 'loss')),
      guides: [{ value: Math.log(6), name: 'random' }],
    },
    'reward-margin': plain('3 · Alignment: reward margin', 'nats', curve(dpo, 'rewards/margins')),
    order: {
      ...plain('3 · Alignment: answers in the right order', '% of pairs', curve(dpo, 'rewards/accuracies', 100)),
      guides: [{ value: 50, name: 'chance', below: true }],
      range: [0, 100],
    },
  }
}

const curvesSection = (charts: Charts, { sizes }: DemoResult): Html => {
  const notes: Record<keyof Charts, Html> = {
    'sft-loss': html`Cross-entropy of the class's answers. Which answer is wrong is random, so the loss cannot fall below the dashed line.`,
    'dpo-loss': html`Plackett-Luce loss of rankings of three answers. At random it is ln 6, the dashed line.`,
    'reward-margin': html`By how much the log-probability of better answers rose over that of worse ones, since the first step; times beta, ${String(sizes.align.beta)}.`,
    order: html`Share of the pairs of a ranking in which the probability of the better answer rose more.`,
  }
  return html`<section>
<h2>Training curves</h2>
<p>${whole(Number(sizes.learn.maxSteps))} steps of imitation, then ${whole(Number(sizes.align.maxSteps))} of alignment.</p>
${chartGrid((Object.keys(notes) as (keyof Charts)[]).map((name) => ({ chart: charts[name], note: notes[name] })))}
</section>`
}

const shown = 12

const completionsTable = ({ tested, result: { kinds, beside, before } }: DemoFindings): Html => {
  const marked = (completion: string, right: string): Html =>
    completion === right
      ? html`${completion} <span class="good">✓ right</span>`
      : html`${completion} <span class="bad">✗ ${errorText(completion, right)}</span>`
  const rows = tested
    .slice(0, shown)
    .map(({ prompt, right, before, after }) => [prompt, marked(before, right), marked(after, right)])
  const kind = (name: string, key: keyof typeof kinds.before) => [
    name,
    ...[kinds.before, kinds.after, beside.imitation.kinds.after, beside.spin.kinds.after, beside.asft.kinds.after].map(
      (counts) => whole(counts[key]),
    ),
  ]
  return html`<section>
<h2>Answers side by side</h2>
<p>The first ${shown} of the ${whole(before.total)} test sums, not selected; each time the most likely answer.</p>
${table([['sum', 'before', 'after rankings'], ...rows], ['mono', 'mono', 'mono'])}
<p>And all of them by kind:</p>
${table([['', 'before', 'rankings', 'imitation', 'SPIN', 'aSFT'], kind('right', 'right'), kind('one off', 'close'), kind('further off', 'wrong')], ['', 'n', 'n', 'n', 'n', 'n'])}
</section>`
}

const errorText = (completion: string, right: string): string => {
  const by = Number(completion) - Number(right)
  if (!/^\d+$/.test(completion)) return 'no number'
  return `${Math.abs(by)} too ${by > 0 ? 'many' : 'few'}`
}

const nextSteps = ({ output }: DemoFindings): Html => html`<section>
<h2>Try it on your own model</h2>
<p>Any model in Hugging Face layout works, by folder or by name, and the resulting adapter loads in transformers and peft. In a clone of
attune the command is <code>node bin/attune.js</code>. Which one depends on what you have.</p>
<p>Ranked answers, one line for each prompt; two answers are enough, more carry more information:</p>
${shell(`{"prompt": "Why is the sky blue?", "responses": ["best", "fair", "poor"], "ranks": [1, 2, 3]}`)}
${shell(`attune dpo --model HuggingFaceTB/SmolLM2-135M-Instruct --data rankings.jsonl --lora-r 16 --output my-run
attune generate --model my-run --chat --prompt "Why is the sky blue?"`)}
<p>Good answers, and perhaps a larger model that helps:</p>
${shell(`{"prompt": "Why is the sky blue?", "completion": "Air scatters blue light the most."}`)}
${shell(`attune sft --model HuggingFaceTB/SmolLM2-135M-Instruct --data answers.jsonl --lora-r 16 --output my-sft
attune spin --model my-sft --data answers.jsonl --output my-spin
attune asft --model my-sft --data answers.jsonl --helper HuggingFaceTB/SmolLM2-360M-Instruct --output my-asft`)}
<p>Or go on with the models of this demo:</p>
${shell(`attune generate --model ${output}/dpo --prompt "27+58=" --temperature 0
attune runs compare ${output}/sft ${output}/dpo
attune demo --seed 7`)}
</section>`

const settings = ({ seed, sizes, seconds, beside, parameters }: DemoResult): Html => {
  const { hidden_size, num_hidden_layers, num_attention_heads } = demoConfig
  const step = ({ maxSteps, batchSize, learningRate }: Record<string, unknown>) =>
    `${maxSteps} × ${batchSize} rows, learning rate ${Number(learningRate).toExponential()}`
  const time = (value: number) => `${value.toFixed(0)} s`
  return html`<section>
<h2>Settings</h2>
${facts([
  ['model', `Llama, ${whole(parameters)} parameters`],
  ['width, layers, heads', `${hidden_size}, ${num_hidden_layers}, ${num_attention_heads}`],
  ['vocabulary', `${demoConfig.vocab_size} tokens, one a character`],
  ['seed', String(seed)],
  ['sums taught, ranked, counted', [sizes.taught, sizes.ranked, sizes.tested].map(whole).join(', ')],
  ['imitation of the class', step(sizes.learn)],
  ['rankings', step(sizes.align)],
  ['imitation of right answers', step(sizes.imitate)],
  ['SPIN and aSFT', `${sizes.selfPlay.iterations} iterations, each ${step(sizes.selfPlay)}`],
  ['loss of rankings, SPIN and aSFT', `Plackett-Luce, beta ${sizes.align.beta}`],
  [
    'time of the steps',
    [...Object.values(seconds), ...Object.values(beside).map((each) => each.seconds)].map(time).join(', '),
  ],
])}
</section>`
}

const footer = ({ result: { seed, seconds, beside }, made: { versions, machine } }: DemoFindings): Html => html`<footer>
Made by attune ${versions.attune} on Node ${versions.node}, ${String(machine.cpu)}, ${String(machine.cores)} cores, offline, in
${[...Object.values(seconds), ...Object.values(beside).map((each) => each.seconds)]
  .reduce((a, b) => a + b)
  .toFixed(0)} s. The same seed (${seed}) gives the same numbers on the same kind
of processor. This file asks nothing of any network.
</footer>`
