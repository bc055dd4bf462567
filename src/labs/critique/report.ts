/** The pages of `attune critique`: what was dropped, how often which principle was drawn, and samples side by side. */
import { dialogueText } from '../../feedback/constitution/dialogue.ts'
import { type Pair, type PairCounts, pairDropReasons, probabilityOf } from '../../feedback/constitution/preference.ts'
import {
  type CritiqueCounts,
  dropReasons,
  type Transcript,
  type Written,
} from '../../feedback/constitution/transcript.ts'
import { type Html, html } from '../../report/html.ts'
import { facts, page, shell, table } from '../../report/page.ts'
import { wilson } from '../../statistics/intervals.ts'
import { percent, whole } from '../../util/format.ts'
import { cut } from '../../util/quote.ts'

export type PageFacts = { entries: readonly (readonly [string, string])[]; command: readonly string[] }

/** Samples on a page, and characters of each text. */
const [mostSamples, mostCharacters] = [24, 1500]

type CritiqueReport = {
  words: readonly string[]
  counts: CritiqueCounts
  transcripts: readonly Transcript[]
  facts: PageFacts
}

/** @returns the whole document */
export const critiquePage = ({ words, counts, transcripts, facts: settings }: CritiqueReport): string =>
  page({
    title: 'attune critique',
    body: [
      header('What the model said, and how it revised it', words),
      dropTable(counts.rows, counts.kept, counts.dropped, dropReasons, 'prompts'),
      principleTable(
        counts.principles.map(({ drawn, revised, changed, ...principle }) => ({
          ...principle,
          drawn,
          cells: [whole(drawn), shareText(changed, revised)],
        })),
        ['drawn', 'changed the reply'],
        `How often each was drawn, and how many of its revisions changed the reply. A principle that changes nothing may be one
that the model follows already, or one that it does not understand.`,
      ),
      html`<section><h2>Samples</h2>
<p>${samplesNote(transcripts.length, 'prompts')}</p>
${transcripts.slice(0, mostSamples).map(transcriptCard)}</section>`,
      ...settingsOf(settings),
    ],
  })

type PreferenceReport = {
  words: readonly string[]
  counts: PairCounts
  pairs: readonly Pair[]
  principles: readonly { id: string; comparison?: string }[]
  facts: PageFacts
}

/** @returns the whole document */
export const preferencePage = ({ words, counts, pairs, principles, facts: settings }: PreferenceReport): string => {
  const questions = new Map(principles.map(({ id, comparison = '' }) => [id, comparison]))
  return page({
    title: 'attune critique --preferences',
    body: [
      header('Which of two replies, under which principle', words),
      dropTable(counts.pairs, counts.kept, counts.dropped, pairDropReasons, 'pairs'),
      html`<section><h2>How sure the judge is</h2>
<p>Rows by the probability that the chosen reply is the better one. Those near 0.5 teach only that
both replies are about as good.</p>
${table(
  [
    ['probability', 'rows', 'of all'],
    ...counts.bins.map((n, i) => [
      `${(0.5 + i / 10).toFixed(1)} to ${(0.6 + i / 10).toFixed(1)}`,
      whole(n),
      orDash(n, counts.kept),
    ]),
  ],
  ['', 'n', 'n'],
)}
<p>Both orders preferred the same reply in ${shareText(counts.consistent, counts.compared)} of the comparisons. Where one reply is longer,
the longer one was chosen in ${shareText(counts.longer, counts.unequal)}: far from a half, it may be length that the judge likes.</p></section>`,
      principleTable(
        counts.principles.map(({ drawn, compared, consistent, ...principle }) => ({
          ...principle,
          drawn,
          cells: [whole(drawn), shareText(consistent, compared)],
        })),
        ['drawn', 'both orders agree'],
        'How often each was drawn, and how often both orders preferred the same reply under it.',
      ),
      html`<section><h2>Samples</h2>
<p>${samplesNote(pairs.length, 'pairs')}</p>
${pairs.slice(0, mostSamples).map((pair) => pairCard(pair, questions.get(pair.principle) ?? ''))}</section>`,
      ...settingsOf(settings),
    ],
  })
}

const header = (title: string, words: readonly string[]): Html =>
  html`<header><p class="kicker">attune critique</p><h1>${title}</h1>
${words.map((text) => html`<p class="lead">${text}</p>`)}</header>`

const settingsOf = ({ entries, command }: PageFacts): Html[] => [
  html`<h2>Settings</h2>`,
  facts(entries),
  shell(command.join(' ')),
]

const orDash = (n: number, of: number) => (of ? percent(n / of) : '–')

/** A share with its interval: 40 % (12 to 77). */
const shareText = (n: number, of: number): string => {
  if (!of) return '–'
  const { share, low, high } = wilson(n, of)
  return `${percent(share)} (${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)})`
}

const dropTable = (
  all: number,
  kept: number,
  dropped: Readonly<Record<string, number>>,
  meanings: Readonly<Record<string, string>>,
  what: string,
): Html => html`<section><h2>What became of the ${what}</h2>
${table(
  [
    ['', what, 'of all'],
    ['a row to learn from', whole(kept), orDash(kept, all)],
    ...Object.entries(dropped).map(([reason, n]) => [meanings[reason], whole(n), orDash(n, all)]),
  ],
  ['wrap', 'n', 'n'],
)}</section>`

/** Principles that were drawn, the commonest first; the others are named below. */
const principleTable = (
  principles: readonly { id: string; kind?: string; drawn: number; cells: string[] }[],
  head: readonly string[],
  note: string,
): Html => {
  const drawn = principles.filter(({ drawn }) => drawn > 0).sort((a, b) => b.drawn - a.drawn)
  const others = principles.filter(({ drawn }) => drawn === 0).map(({ id }) => id)
  return html`<section><h2>Principles</h2>
<p>${note} Intervals of 95 %.</p>
${table(
  [
    ['principle', ...head],
    ...drawn.map(({ id, kind, cells }) => [
      kind === undefined ? id : html`${id} <span class="soft">${kind}</span>`,
      ...cells,
    ]),
  ],
  ['', 'n', 'n'],
)}
${others.length ? [html`<p class="soft">Never drawn: ${others.join(', ')}.</p>`] : []}</section>`
}

const samplesNote = (all: number, what: string) =>
  all > mostSamples
    ? `The first ${mostSamples} of ${whole(all)} ${what}, not selected. The others are in the folder.`
    : `All ${whole(all)} ${what}.`

/** Columns side by side where there is room for three. */
const columns = (cells: readonly Html[]): Html =>
  html`<div class="beside" style="grid-template-columns: repeat(auto-fit, minmax(min(100%, 14rem), 1fr))">${cells}</div>`

const said = (name: Html, text: string): Html =>
  html`<div><p class="soft" style="margin: 0">${name}</p><div class="said">${cut(text, mostCharacters)}</div></div>`

const writtenText = (written: Written | undefined): string => {
  if (!written) return '–'
  if (!written.text) return '(empty)'
  return written.text
}

const cutNote = (written: Written | undefined) => (written?.cut ? ', cut' : '')

const card = (prompt: Html, body: readonly Html[], dropped: string | undefined): Html =>
  html`<div class="card"><div class="said">${prompt}</div>
${body}
${dropped ? [html`<p class="bad" style="margin: 1rem 0 0">Dropped: ${dropped}.</p>`] : []}</div>`

const promptOf = (prompt: Transcript['prompt']): Html =>
  html`<strong>${cut(prompt.length === 1 ? dialogueText(prompt).replace(/^\n\nHuman: /, '') : dialogueText(prompt).trim(), mostCharacters)}</strong>`

const transcriptCard = ({ prompt, response, rounds, failure, dropped }: Transcript): Html => {
  const first = [{ name: 'before', written: response }]
  const rows = rounds.map(({ principle, critique, revision }, i) =>
    columns([
      ...(i === 0 ? first : [{ name: 'before', written: rounds[i - 1].revision }]).map(({ name, written }) =>
        said(html`<span class="before">${name}</span>${cutNote(written)}`, writtenText(written)),
      ),
      said(html`critique: ${principle}${cutNote(critique)}`, writtenText(critique)),
      said(html`<span class="after">revision</span>${cutNote(revision)}`, writtenText(revision)),
    ]),
  )
  const alone = columns(
    first.map(({ name, written }) => said(html`<span class="before">${name}</span>`, writtenText(written))),
  )
  const why = dropped && (failure ? `${failure.step}: ${cut(failure.message, 300)}` : dropReasons[dropped])
  return card(promptOf(prompt), rows.length ? rows : [alone], why)
}

const pairCard = ({ prompt, replies, comparison, failure, dropped }: Pair, question: string): Html => {
  const p = comparison && probabilityOf(comparison)
  const shares = p === undefined ? [undefined, undefined] : [p, 1 - p]
  const cells = (replies ?? []).map((reply, i) => {
    const share = shares[i]
    const preferred = share !== undefined && share > 0.5
    return said(
      html`<span class="${preferred ? 'after' : 'before'}">${preferred ? 'chosen' : share === undefined ? 'not compared' : 'rejected'}</span>${share === undefined ? '' : `, better with probability ${share.toFixed(2)}`}${cutNote(reply)}`,
      writtenText(reply),
    )
  })
  const orders = comparison
    ? [
        html`<p class="soft" style="margin: 1rem 0 0">${question} The left reply is better with probability ${comparison.asA.toFixed(2)} as (A) and ${comparison.asB.toFixed(2)} as (B).</p>`,
      ]
    : [html`<p class="soft" style="margin: 1rem 0 0">${question}</p>`]
  const why = dropped && (failure ? cut(failure.message, 300) : pairDropReasons[dropped])
  return card(promptOf(prompt), [columns(cells), ...orders], why)
}
