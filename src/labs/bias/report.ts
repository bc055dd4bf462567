/** The page "may this judge be believed, on this data?": an answer, then figures with what each means, then failures to read. */

import type { Figure } from '../../feedback/bias/figure.ts'
import type { BiasFigures } from '../../feedback/bias/figures.ts'
import { type Html, html, raw } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import { shareChart } from '../../report/shareChart.ts'
import { shellWord, whole } from '../../util/format.ts'
import type { Belief, Grade, Point, PointName } from './belief.ts'
import type { Example } from './examples.ts'
import type { BiasSettings } from './settings.ts'

export type BiasReport = {
  figures: BiasFigures
  belief: Belief
  examples: readonly Example[]
  /** What a reader has to know beside the figures: rows that were left out. */
  notes: readonly string[]
  settings: BiasSettings
  command: readonly string[]
}

export const biasPage = ({ figures, belief, examples, notes, settings, command }: BiasReport): string => {
  const charts = biasCharts(figures)
  return page({
    title: `May ${figures.judge} be believed?`,
    body: [
      html`<header><p class="kicker">attune bias: ${figures.judge}, ${whole(figures.pairs)} pairs of answers</p>
<h1>May this judge be believed, on this data?</h1>
<p class="lead"><strong>${belief.begins}</strong> ${unbroken(belief.headline.slice(belief.begins.length).trim())}</p>
${belief.advice.length ? html`<div class="card"><p><strong>What to do</strong></p><ul>${belief.advice.map((text) => html`<li>${text}</li>`)}</ul></div>` : raw('')}</header>`,
      html`<h2>In short</h2>`,
      table(
        [['question', 'found'], ...belief.points.map(({ question, grade }) => [question, gradeText(grade)])],
        ['wrap', 'wrap'],
      ),
      ...belief.points.map((point) => section(point, figures, charts)),
      ...marksSection(figures),
      ...examplesSection(examples),
      html`<h2>How this was counted</h2>`,
      html`<p>Ranges are intervals of 95 %: Wilson's, or the bootstrap over prompts where a prompt has several judgements. n is how many judgements
or votes a figure counts. A finding compares its range with a bound, so few judgements make no judge look good or bad; the bounds
are attune's own, and a team may have stricter ones.</p>`,
      ...notes.map((text) => html`<p>${text}.</p>`),
      facts(settingsFacts(figures, settings)),
      shell(command.map(shellWord).join(' ')),
    ],
  })
}

/** Keeps a number and its % on one line. */
const unbroken = (text: string) => text.replaceAll(' %', '\u00a0%').replaceAll('n = ', 'n\u00a0=\u00a0')

const gradeText = (grade: Grade): Html =>
  ({
    good: html`<strong class="good">No fault found</strong>`,
    care: html`<strong class="before">With care</strong>`,
    bad: html`<strong class="bad">A grave fault</strong>`,
    unknown: html`<strong class="soft">Too few to tell</strong>`,
  })[grade]

type Row = { name: string; share: { share: number; low: number; high: number }; color: number }

const row = (name: string, figure: Figure | undefined, color: number): Row[] =>
  figure ? [{ name, share: { share: figure.value, low: figure.low, high: figure.high }, color }] : []

/** Charts of shares, by the names of their files. */
export const biasCharts = (figures: BiasFigures): Record<string, string> => {
  const { position, consistent, names, length, padding, math, self, agreement } = figures
  const all: Record<string, [string, Row[]]> = {
    people: [
      'Agreement',
      [
        ...row('judge, person', agreement?.judge_human_no_ties, 0),
        ...row('two people', agreement?.human_human_no_ties, 1),
        ...row('with ties', agreement?.judge_human_with_ties, 0),
        ...row('people, ties', agreement?.human_human_with_ties, 1),
      ],
    ],
    order: [
      'Verdicts when the answers change places',
      [
        ...row('the same', position?.consistent ?? consistent, 0),
        ...row('to the first', position?.first, 1),
        ...row('to the second', position?.second, 2),
        ...row('no verdict', position?.error, 5),
        ...row('renamed: same', names?.renamed.consistent, 0),
        ...row('renamed: first', names?.renamed.first, 1),
        ...row('renamed: second', names?.renamed.second, 2),
      ],
    ],
    length: [
      'Verdicts for the longer answer',
      [
        ...row('padded list', padding?.wrong, 1),
        ...row('the longer', length?.longer, 0),
        ...row('by people', length?.people, 5),
        ...(length?.by_difference ?? []).flatMap(({ from, to, longer }) =>
          row(to === null ? `by > ${from}` : `by ${from + 1}–${to}`, longer, 2),
        ),
      ],
    ],
    math: [
      'Wrong answers that were not refused',
      [
        ...row('plain', math?.modes.plain?.failure, 1),
        ...row('own solution', math?.modes.own_solution?.failure, 2),
        ...row('reference', math?.modes.reference?.failure, 0),
      ],
    ],
    self: [
      'Win rate of its own model',
      [...row('by itself', self?.by_itself, 1), ...row('by others', self?.by_others, 0)],
    ],
  }
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, [title, rows]]) => (rows.length ? [[name, shareChart(title, rows)]] : [])),
  )
}

const section = (point: Point, figures: BiasFigures, charts: Record<string, string>): Html => {
  const chart = charts[point.name]
  return html`<section><h2>${point.question}</h2>
<p>${gradeText(point.grade)}. ${unbroken(point.said)}</p>
${chart ? html`<div class="card"><div class="side">${raw(chart)}<p class="soft">${point.meaning}</p></div></div>` : html`<p class="soft">${point.meaning}</p>`}
${more(point.name, figures)}</section>`
}

const tilt = ({ value, low, high }: Figure) => {
  const signed = (x: number) => `${x > 0 ? '+' : ''}${(100 * x).toFixed(1)}`
  return `${signed(value)} points (${signed(low)} to ${signed(high)})`
}

/** What a specialist wants beside the chart. */
const more = (name: PointName, { position, names, length, padding, agreement }: BiasFigures): Html => {
  const entries: [string, string][] = []
  const add = (label: string, figure: Figure | undefined, text: (figure: Figure) => string) => {
    if (figure) entries.push([label, `${text(figure)}, n\u00a0=\u00a0${whole(figure.n)}`])
  }
  const share = ({ value, low, high }: Figure) =>
    `${(100 * value).toFixed(1)}\u00a0% (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`
  if (name === 'order') {
    add('single verdicts, first less second', position?.tilt, tilt)
    add('single verdicts for the first, of those that decide', position?.prefers_first, share)
    add('of that tilt, to the name A wherever it stands', names?.name, tilt)
    add('of that tilt, to the first place whatever its name', names?.place, tilt)
  }
  if (name === 'length') {
    add('single verdicts, longer less shorter', length?.tilt, tilt)
    add('padded lists: a tie, or by the order', padding?.undecided, share)
    if (padding)
      entries.push([
        'lists in other words by',
        `${padding.by === 'judge' ? 'the judge itself' : 'a simple rule'}${padding.made ? `; ${whole(padding.made)} made of sentences` : ''}`,
      ])
  }
  if (name === 'people') {
    add(
      "Cohen's kappa with the majority of people, three classes",
      agreement?.kappa,
      ({ value, low, high }) => `${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`,
    )
  }
  return entries.length ? facts(entries) : raw('')
}

const marksSection = ({ marks }: BiasFigures): Html[] => {
  if (!marks) return []
  const ratio = ({ value, low, high, n }: Figure) => [
    `${(100 * value).toFixed(1)} %`,
    `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)} %`,
    whole(n),
  ]
  return [
    html`<section><h2>Do marks depend on the order?</h2>
<p>Marks of the second answer as a share of those of the first, by which of them stood first.</p>
${table(
  [
    ['', 'share', '95 %', 'n'],
    ['A first', ...ratio(marks.a_first)],
    ['B first', ...ratio(marks.b_first)],
    ['both', ...ratio(marks.mean)],
    ['difference', ...ratio(marks.effect)],
  ],
  ['', 'n', 'n', 'n'],
)}</section>`,
  ]
}

/** Characters of a text that an example shows. */
const shown = 1200

const cutText = (text: string) => {
  const trimmed = text.trim()
  return trimmed.length > shown ? `${trimmed.slice(0, shown)} …` : trimmed
}

const examplesSection = (examples: readonly Example[]): Html[] => {
  if (!examples.length) return []
  return [
    html`<h2>Failures to read</h2>
<p>The first of each kind, not selected.</p>`,
    ...examples.map(
      ({ title, why, question, answers, replies }) => html`<div class="card"><h3>${title}</h3>
<p class="soft">${why}</p>
<p class="soft">The user asked</p><p class="said">${cutText(question)}</p><br/>
<div class="beside">${answers.map(({ name, text }) => html`<div><span class="soft">${name}</span><p class="said">${cutText(text)}</p></div>`)}</div>
${replies.length ? html`<details><summary>What the judge said</summary><div class="beside">${replies.map(({ name, text }) => html`<div><span class="soft">${name}</span><p class="said">${cutText(text)}</p></div>`)}</div></details>` : raw('')}</div>`,
    ),
  ]
}

const settingsFacts = ({ judge, pairs }: BiasFigures, settings: BiasSettings): [string, string][] => [
  ['judge', judge],
  ['pairs of answers', whole(pairs)],
  ['rows', [...(settings.data ?? []), ...(settings.against ?? []), ...settings.files].join(', ')],
  ...(settings.votes ? [['votes of people', settings.votes.join(', ')] as [string, string]] : []),
  ...(settings.judge ? [['mode', settings.mode] as [string, string]] : []),
]
