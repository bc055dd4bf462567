/** The report of self-rewarding: what each iteration made and what came of it, as a page and as JSON in the run's folder. */

import { promptText } from '../../data/prompts.ts'
import type { Text } from '../../data/rows.ts'
import { writeJson, writeText } from '../../report/files.node.ts'
import { type Html, html } from '../../report/html.ts'
import { page, table } from '../../report/page.ts'
import type { Share } from '../../statistics/intervals.ts'
import { formatNumber, percent, whole } from '../../util/format.ts'
import { modelName, pathIn, readLines, type SelfRewardContext } from './context.ts'
import {
  agreementShare,
  type Evaluation,
  evaluationPrompts,
  readAnswers,
  readEvaluation,
  winShare,
} from './evaluation.ts'
import { type IterationFigures, type Pair, pairSchema, preferenceFiles, readFigures } from './preferences.ts'

export type SelfRewardReport = {
  judge: string
  outside_judge: string | null
  models: (Evaluation & { agreement_rate: Rate; win_rate: Rate })[]
  iterations: (IterationFigures & { parse_rate: number | null })[]
}
type Rate = { value: number; low: number; high: number; n: number } | null

type Example = { prompt: string; chosen: string; rejected: string; scores: readonly [number, number] }
type Answers = { prompt: string; first: string; last: string }

const ownJudgeName = 'the model itself'

const reportFiles = { json: 'selfreward.json', page: 'selfreward.html' } as const

const rateOf = (share: Share | undefined): Rate =>
  share ? { value: share.share, low: share.low, high: share.high, n: share.total } : null

/** @param last the number of the last model */
export const writeReport = async (context: SelfRewardContext, last: number): Promise<void> => {
  const models: SelfRewardReport['models'] = []
  const iterations: SelfRewardReport['iterations'] = []
  const examples: (Example & { iteration: number })[] = []
  for (let k = 1; k <= last; k++) {
    const evaluation = await readEvaluation(context, k)
    const { agreement, wins } = evaluation
    const rates = {
      agreement_rate: rateOf(agreement && agreementShare(agreement)),
      win_rate: rateOf(wins && winShare(wins)),
    }
    models.push({ ...evaluation, ...rates })
  }
  // The iteration that ended the run for want of pairs has figures too, and no model
  const made = Math.min(context.settings.iterations, last)
  for (let t = 1; t <= made; t++) {
    const figures = await readFigures(context, t)
    iterations.push({ ...figures, parse_rate: figures.judgements ? figures.parsed / figures.judgements : null })
    const pairs: Pair[] = await readLines(preferenceFiles(context, t).pairs, pairSchema, figures.pairs)
    for (const pair of pairs.slice(0, shownPairs)) examples.push({ iteration: t, ...exampleOf(pair) })
  }
  const report: SelfRewardReport = {
    judge: context.judge?.name ?? ownJudgeName,
    outside_judge: context.outsideJudge?.name ?? null,
    models,
    iterations,
  }
  await writeJson(pathIn(context, reportFiles.json), report)
  await writeText(pathIn(context, reportFiles.page), reportPage(report, examples, await answersOf(context, last)))
}

/** Pairs of each iteration, and prompts, that the page shows. */
const [shownPairs, shownAnswers] = [3, 4]

const textOf = (text: unknown): string =>
  typeof text === 'string' ? text : promptText({}, text as Text).replace(/^(user|assistant): /, '')

const exampleOf = ({ prompt, chosen, rejected, score_chosen, score_rejected }: Pair): Example => ({
  prompt: textOf(prompt),
  chosen: textOf(chosen),
  rejected: textOf(rejected),
  scores: [score_chosen, score_rejected],
})

const answersOf = async (context: SelfRewardContext, last: number): Promise<Answers[]> => {
  if (last < 2) return []
  const prompts = await evaluationPrompts(context)
  const [first, newest] = [
    await readAnswers(context, 1, prompts.length),
    await readAnswers(context, last, prompts.length),
  ]
  return prompts
    .slice(0, shownAnswers)
    .map((prompt, i) => ({ prompt: textOf(prompt), first: first[i], last: newest[i] }))
}

// The page

const rateText = (rate: Rate): string =>
  rate ? `${percent(rate.value, 1)} (${percent(rate.low, 1)} to ${percent(rate.high, 1)}), n ${whole(rate.n)}` : '—'

const reportPage = (
  report: SelfRewardReport,
  examples: readonly (Example & { iteration: number })[],
  answers: readonly Answers[],
): string => {
  const { judge, outside_judge: outside, models, iterations } = report
  return page({
    title: 'attune selfreward',
    body: [
      html`<header><p class="kicker">attune selfreward</p><h1>What the model made of ${judge === ownJudgeName ? 'its own judgement' : 'the scores of a judge'}</h1>
${leads(report).map((text) => html`<p class="lead">${text}</p>`)}</header>`,
      html`<h2>Models</h2>
<p>${modelName(1)} learnt the seed rows; each later one learnt the pairs of the iteration before. Agreement: pairs of answers that people ranked apart, and
that nothing was learnt from, which the judge's scores put in the same order; its ties count half. ${
        outside
          ? `Won: answers that ${outside} finds better than those of the model before, in both orders; ties count half.`
          : ''
      }</p>`,
      table(
        [
          [
            'model',
            'judge agrees with people',
            'judgements with a score',
            'words of an answer',
            'won against the one before',
          ],
          ...models.map(({ model, agreement_rate, judgements, parsed, words, win_rate }) => [
            model,
            rateText(agreement_rate),
            judgements ? `${whole(parsed ?? 0)} of ${whole(judgements)}` : '—',
            formatNumber(words),
            rateText(win_rate),
          ]),
        ],
        ['', 'n', 'n', 'n', 'n'],
      ),
      html`<h2>Iterations</h2>
<p>The judge is ${judge}. A pair is the best answer to a prompt against the worst.</p>`,
      table(
        [
          [
            'iteration',
            'prompts',
            'judgements with a score',
            'mean score',
            'pairs',
            'words: all, chosen, rejected',
            'cut off',
          ],
          ...iterations.map(({ iteration, prompts, judgements, parsed, mean_score, pairs, words, cut }) => [
            `${iteration}`,
            whole(prompts),
            `${whole(parsed)} of ${whole(judgements)}`,
            mean_score === null ? '—' : formatNumber(mean_score),
            whole(pairs),
            `${formatNumber(words.all)}, ${formatNumber(words.chosen)}, ${formatNumber(words.rejected)}`,
            whole(cut),
          ]),
        ],
        ['', 'n', 'n', 'n', 'n', 'n', 'n'],
      ),
      ...pointsTable(report),
      ...droppedTable(report),
      ...(examples.length ? [html`<h2>Pairs</h2>`, ...examples.map(pairCard)] : []),
      ...(answers.length
        ? [html`<h2>Answers before and after</h2>`, ...answers.map(answerCard(models.at(-1)!.model))]
        : []),
    ],
  })
}

/** What the numbers allow to say. */
const leads = ({ judge, models, iterations }: SelfRewardReport): string[] => {
  const agreement = models.findLast(({ agreement_rate }) => agreement_rate)?.agreement_rate
  const judging = agreement
    ? agreement.low > 0.5
      ? `The judge (${judge}) orders answers as people do more often than by chance: ${rateText(agreement)}.`
      : `It is not shown that the judge (${judge}) orders answers better than by chance: ${rateText(agreement)}. What was learnt of its scores may be noise.`
    : `How far the judge (${judge}) agrees with people was not measured: give --eval-data, rankings that nothing is learnt from.`
  const parsed = iterations.reduce((n, each) => n + each.parsed, 0)
  const judged = iterations.reduce((n, each) => n + each.judgements, 0)
  const pairs = iterations.reduce((n, each) => n + each.pairs, 0)
  const prompts = iterations.reduce((n, each) => n + each.prompts, 0)
  const [first, last] = [models[0], models.at(-1)!]
  return [
    judging,
    `Of ${whole(judged)} judgements ${whole(parsed)} had a score; ${whole(prompts)} prompts gave ${whole(pairs)} pairs.`,
    ...(models.length > 1
      ? [
          `Answers of ${last.model} have ${formatNumber(last.words)} words on average, those of ${first.model} ${formatNumber(first.words)}.`,
        ]
      : []),
  ]
}

const pointsTable = ({ iterations }: SelfRewardReport): Html[] => {
  const points = [...new Set(iterations.flatMap(({ points }) => Object.keys(points)))].sort(
    (a, b) => Number(a) - Number(b),
  )
  if (points.length === 0) return []
  return [
    html`<h2>Scores</h2><p>How often each number of points was given.</p>`,
    table(
      [
        ['iteration', ...points],
        ...iterations.map(({ iteration, points: counts }) => [
          `${iteration}`,
          ...points.map((n) => whole(counts[n] ?? 0)),
        ]),
      ],
      ['', ...points.map(() => 'n')],
    ),
  ]
}

const droppedTable = ({ iterations }: SelfRewardReport): Html[] => {
  const rows = iterations.flatMap(({ iteration, dropped }) =>
    Object.entries(dropped).map(([reason, n]) => [`${iteration}`, reason, whole(n)]),
  )
  if (rows.length === 0) return []
  return [
    html`<h2>Left out</h2><p>The texts and their reasons are in <code>iterations/</code> of the run's folder.</p>`,
    table([['iteration', 'reason', 'times'], ...rows], ['', '', 'n']),
  ]
}

/** 3.33 points */
const pointsText = (score: number): string => `${Number(score.toFixed(2))} points`

const pairCard = ({ iteration, prompt, chosen, rejected, scores }: Example & { iteration: number }): Html =>
  html`<div class="card"><p class="kicker">iteration ${`${iteration}`}</p><p class="said">${prompt}</p>
<div class="beside"><div><h3 class="after">${pointsText(scores[0])}</h3><p class="said">${chosen}</p></div>
<div><h3 class="before">${pointsText(scores[1])}</h3><p class="said">${rejected}</p></div></div></div>`

const answerCard =
  (name: string) =>
  ({ prompt, first, last }: Answers): Html =>
    html`<div class="card"><p class="said">${prompt}</p>
<div class="beside"><div><h3 class="before">${modelName(1)}</h3><p class="said">${first}</p></div>
<div><h3 class="after">${name}</h3><p class="said">${last}</p></div></div></div>`
