/** The page of a folder of judgements: what was decided, how far the judge agrees with itself, what failed, and what it cost. */
import type { Spent } from '../../endpoint/client.ts'
import { type Html, html } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import { wilson } from '../../statistics/intervals.ts'
import { percent, plural, whole } from '../../util/format.ts'
import type { Judge, Judgement } from './judge.ts'
import type { JudgeSummary } from './summary.ts'

export type JudgeReport = {
  summary: JudgeSummary
  judge: Pick<Judge, 'name'>
  settings: { mode: string; singleOrder: boolean; data: readonly string[] }
  command: readonly string[]
  spent: Spent
}

export const judgePage = ({ summary, judge, settings, command, spent }: JudgeReport): string =>
  page({
    title: `attune judge: ${judge.name}`,
    body: [
      html`<header><p class="kicker">attune judge</p><h1>${plural(summary.n, 'row')} by ${judge.name}</h1>
${sentences(summary, settings).map((text, i) => html`<p class="${i ? 'soft' : 'lead'}">${text}</p>`)}</header>`,
      ...(total(summary) ? [verdictTable(summary)] : []),
      ...(summary.grades ? [gradeTable(summary)] : []),
      ...(summary.errors ? [errorTable(summary)] : []),
      html`<h2>Some judgements</h2>`,
      ...summary.examples.map(exampleCard),
      html`<h2>Settings and cost</h2>`,
      facts([
        ['judge', judge.name],
        ['mode', settings.mode],
        ['orders', settings.singleOrder ? 'one' : 'both'],
        ['rows', settings.data.join(', ')],
        ['requests, and from the cache', `${whole(spent.asked)}, ${whole(spent.cached)}`],
        ['repeated requests', whole(spent.retries)],
        ['tokens of prompts and replies', `${whole(spent.promptTokens)}, ${whole(spent.completionTokens)}`],
        ['cost', spent.cost === undefined ? 'no prices given' : `$${spent.cost.toPrecision(3)}`],
      ]),
      shell(command.join(' ')),
    ],
  })

const total = ({ verdicts: { A, B, tie } }: JudgeSummary) => A + B + tie

const shareText = (count: number, of: number): string => {
  const { share, low, high } = wilson(count, of)
  return `${percent(share, 1)} (${percent(low, 1)} to ${percent(high, 1)})`
}

const sentences = (summary: JudgeSummary, { mode, singleOrder }: JudgeReport['settings']): string[] => {
  const { swapped, consistent, firstPlace, secondPlace, errors, n, verdicts, grades, gradeSum } = summary
  const said: string[] = []
  if (total(summary))
    said.push(
      `A is preferred in ${whole(verdicts.A)} rows, B in ${whole(verdicts.B)}, and ${whole(verdicts.tie)} are ties.`,
    )
  if (grades) said.push(`The mean of ${plural(grades, 'grade')} is ${(gradeSum / grades).toFixed(2)}.`)
  if (swapped)
    said.push(
      `Both orders agree in ${shareText(consistent, swapped)} of ${plural(swapped, 'row')}. Where they do not, the row counts as a tie; the first place won ${plural(firstPlace, 'such row')}, the second ${whole(secondPlace)}.`,
    )
  if (singleOrder && mode !== 'single')
    said.push('Each row was judged in one order: a liking of the judge for a place is part of these numbers.')
  if (errors) said.push(`${plural(errors, 'row')} of ${whole(n)} gave no verdict and are in none of the shares.`)
  return said
}

const verdictTable = (summary: JudgeSummary): Html => {
  const rows = (['A', 'B', 'tie'] as const).map((verdict) => [
    verdict,
    whole(summary.verdicts[verdict]),
    shareText(summary.verdicts[verdict], total(summary)),
  ])
  return html`<h2>Verdicts</h2>${table([['verdict', 'rows', 'share (95 %)'], ...rows], ['', 'n', 'n'])}`
}

const gradeTable = ({ gradeCounts, grades }: JudgeSummary): Html => {
  const rows = gradeCounts.map((count, i) => [`${i + 1}`, whole(count), percent(count / grades, 1)])
  return html`<h2>Grades</h2>${table([['grade', 'answers', 'share'], ...rows], ['n', 'n', 'n'])}`
}

const errorTable = ({ errorsBy, n }: JudgeSummary): Html => {
  const rows = Object.entries(errorsBy).map(([code, count]) => [code, whole(count), percent(count / n, 1)])
  return html`<h2>What gave no verdict</h2>${table([['reason', 'rows', 'of all'], ...rows], ['mono', 'n', 'n'])}`
}

const exampleCard = ({ id, verdict, verdicts, scores, reason }: Judgement): Html =>
  html`<div class="card"><h3>Row ${String(id)}: ${verdict ?? 'graded'}${verdicts.length > 1 ? ` (${verdicts.join(', ')})` : ''}${
    scores.length ? ` ${scores.map((score) => Number(score.toPrecision(3))).join(', ')}` : ''
  }</h3><p class="said">${reason.slice(0, 1500)}</p></div>`
