/** What `attune check` found as an HTML page: findings first, then the rows with the use of every token in its colour. */
import { type Html, html, raw } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import type { Where } from '../../util/fault.ts'
import { percent, plural, whole } from '../../util/format.ts'
import type { CheckSummary, ShownRow } from './check.ts'
import { type Finding, isRuin } from './findings.ts'
import type { ShownSequence, ShownToken } from './shown.ts'

/** What a run would cost on this machine; its keys are those of --json. */
export type CostEstimate = {
  seconds_per_step: number
  steps: number
  seconds: number
  /** Memory of the process at its largest, and the memory that there is. */
  peak_bytes: number
  /** Too few steps were made to meet the largest batches, so the run needs more. */
  peak_is_least?: true
  of_bytes: number
}

export type CheckedFile = {
  method: string
  model: string
  files: readonly string[]
  /** The command line that made the page. */
  command: string
  rows: readonly ShownRow[]
  sums: CheckSummary
  /** Time and memory in words. */
  cost?: { time: string; memory: string }
}

/** @returns the page */
export const checkPage = (checked: CheckedFile): string => {
  const { method, model, files, command, rows, sums, cost } = checked
  return page({
    title: `attune check: ${files.join(', ')}`,
    body: [
      raw(`<style>${style}</style>`),
      html`<header>
<p class="kicker">attune check · ${method} · ${model}</p>
<h1>${headline(sums)}</h1>
<p class="lead">${files.join(', ')}: ${whole(sums.used)} of ${plural(sums.rows, 'row')} would be trained on${sums.evalRows ? `, ${whole(sums.evalRows)} are held out` : ''}.</p>
</header>`,
      findingsPart(sums.findings),
      numbers(sums, learntOf(method), cost),
      rowsPart(rows, method),
      html`<h2>The command</h2>
${shell(command)}`,
    ],
  })
}

/** What happens to the tokens of a response. */
export const learntOf = (method: string) => (method === 'reward' ? 'scored' : 'trained')
/** And to those of a response that another one shall beat; undefined where a method has none. */
export const awayOf = (method: string): string | undefined => {
  if (method === 'reward') return 'scored, to be lower'
  return method === 'dpo' || method === 'kto' ? 'pushed away' : undefined
}

/** Whether training makes this response less likely, or its score lower: the worse one of a pair, the worst of a list. */
export const isPushedAway = (sequences: readonly { name: string }[], at: number): boolean => {
  const { name } = sequences[at]
  if (name === 'rejected' || name === 'bad') return true
  return name.startsWith('rank ') && at === sequences.length - 1 && name !== sequences[0].name
}

const headline = ({ findings }: CheckSummary): string => {
  const ruins = findings.filter(isRuin).length
  if (ruins) return `This run would be ruined: ${plural(ruins, 'reason')}`
  return findings.length ? `Ready to train; ${plural(findings.length, 'thing')} to look at` : 'Ready to train'
}

const findingsPart = (findings: readonly Finding[]): Html =>
  findings.length === 0
    ? html`<p>Nothing is wrong with the rows.</p>`
    : html`<h2>Findings</h2>
${table(
  [
    ['', 'rows', 'what'],
    ...findings.map((finding) => [
      html`<span class="${isRuin(finding) ? 'bad' : 'before'}">${isRuin(finding) ? 'ruins' : 'warns'}</span>`,
      `${whole(finding.count)} of ${whole(finding.of)}`,
      html`<code>${finding.code}</code><br/>${finding.message}<br/><span class="soft">${finding.advice}${finding.first ? `; the first: ${placeText(finding.first)}` : ''}</span>`,
    ]),
  ],
  ['', 'n', 'what'],
)}`

const numbers = (
  { tokens, trained, longest, maxLength }: CheckSummary,
  learnt: string,
  cost: CheckedFile['cost'],
): Html =>
  facts([
    ['tokens', whole(tokens)],
    [learnt, tokens ? percent(trained / tokens) : '-'],
    ['longest sequence', plural(longest, 'token')],
    ['length limit', plural(maxLength, 'token')],
    ...(cost
      ? ([
          ['time here', cost.time],
          ['memory', cost.memory],
        ] as const)
      : []),
  ])

const rowsPart = (rows: readonly ShownRow[], method: string): Html => {
  const learnt = learntOf(method)
  const away = awayOf(method)
  return rows.length === 0
    ? raw('')
    : html`<h2>${rows.length === 1 ? 'The first row' : `The first ${whole(rows.length)} rows`}, token by token</h2>
<p class="legend">${[
        html`<span class="tokens"><span class="trained">${learnt}</span></span>`,
        ...(away === undefined ? [] : [html`<span class="tokens"><span class="away">${away}</span></span>`]),
        html`<span class="tokens"><span class="context">context, read only</span></span>`,
        html`<span class="tokens"><span class="special">special, not ${learnt}</span></span>`,
        html`<span class="tokens"><span class="cut">cut away</span></span>`,
        html`<span class="tokens"><span class="trained stop">stop token</span></span>`,
      ]}</p>
${rows.map(rowPart)}`
}

const rowPart = ({ where, dropped, refused, sequences }: ShownRow): Html => {
  const note = refused !== undefined ? `refused: ${refused}` : dropped !== undefined ? `dropped: ${dropped}` : ''
  return html`<section class="card">
<h3>${placeText(where)}${note ? html` <span class="bad">${note}</span>` : ''}</h3>
${sequences.map((sequence, at) => sequencePart(sequence, isPushedAway(sequences, at)))}
</section>`
}

const sequencePart = ({ name, tokens }: ShownSequence, away: boolean): Html =>
  html`<p class="soft name">${name} · ${plural(tokens.filter(({ use }) => use !== 'cut').length, 'token')}</p>
<div class="tokens">${raw(tokens.map((token) => tokenPart(token, away).html).join(''))}</div>`

const tokenPart = (token: ShownToken, away: boolean): Html =>
  html`<span class="${classOf(token, away)}" title="${whole(token.id)}">${token.text}</span>`

const classOf = ({ use, special, stop }: ShownToken, away: boolean): string =>
  [use === 'context' && special ? 'special' : use === 'trained' && away ? 'away' : use, ...(stop ? ['stop'] : [])].join(
    ' ',
  )

const placeText = ({ file, line, row }: Where): string =>
  [file?.split(/[\\/]/).at(-1), line !== undefined && `line ${line}`, row !== undefined && `row ${row}`]
    .filter(Boolean)
    .join(', ')

const style = `.tokens { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: 0.85rem; line-height: 1.7; white-space: pre-wrap; overflow-wrap: anywhere; }
.tokens span { border-radius: 3px; box-shadow: inset -1px 0 var(--card); }
.trained { background: color-mix(in srgb, var(--c0) 24%, transparent); }
.away { background: color-mix(in srgb, var(--c3) 24%, transparent); }
.context { color: var(--soft); }
.special { color: var(--c2); background: color-mix(in srgb, var(--c2) 12%, transparent); }
.cut { color: var(--c1); text-decoration: line-through; }
.stop { outline: 1px solid currentColor; outline-offset: -1px; }
.legend { display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; }
.name { margin: 0.75rem 0 0.2rem; font-size: 0.85rem; }
td.what { white-space: normal; min-width: 14rem; }`
